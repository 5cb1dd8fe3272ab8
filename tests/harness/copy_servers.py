"""Real servers that copies go to, beside scripts/lib/object_stores.py: Apache's and nginx's WebDAV, OpenStack Swift."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import getpass
import hashlib
import os
from pathlib import Path
import pwd

from home_assistant import free_port
from object_stores import MissingServer, Process, Store, program

USER = "magicpi"
PASSWORD = "pass-word:of the tests"
_APACHE_MODULES = "/usr/lib/apache2/modules"
_SERVER_USER = "www-data"


def _hand_over(folder: Path) -> None:
    """Let the server's user write."""
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam(_SERVER_USER)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)


def _crypted() -> str:
    """Return the password as Apache and nginx read it, without a program of theirs."""
    return "{SHA}" + b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()


@asynccontextmanager
async def apache_store(
    folder: Path, *, tls: tuple[Path, Path] | None = None
) -> AsyncIterator[Store]:
    """Run Debian's Apache as a WebDAV server with a password; `tls`: certificate and key."""
    apache = program("apache2")
    if apache is None:
        raise MissingServer("apache2 is missing: install apache2-bin")
    port = free_port()
    root = folder / "apache"
    files = root / "files"
    for path in (files, root / "lock"):
        path.mkdir(parents=True, exist_ok=True)
    (root / "passwords").write_text(f"{USER}:{_crypted()}\n")
    modules = ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dav", "dav_fs", "env", "setenvif"]  # fmt: skip
    if tls:
        modules.append("ssl")
    lines = [
        f'LoadModule {name}_module "{_APACHE_MODULES}/mod_{name}.so"'
        for name in modules
    ]
    lines += [
        f'ServerRoot "{root}"',
        "ServerName localhost",
        f"Listen 127.0.0.1:{port}",
        f'PidFile "{root}/apache.pid"',
        f'ErrorLog "{root}/error.log"',
        f'DavLockDB "{root}/lock/dav"',
        f'DocumentRoot "{files}"',
        "StartServers 1",
        "ThreadsPerChild 25",
        "<Location /dav>",
        "  Dav On",
        "  AuthType Basic",
        "  AuthName copies",
        f'  AuthUserFile "{root}/passwords"',
        "  Require valid-user",
        "</Location>",
        f'Mutex "file:{root}/lock" default',
    ]
    if os.geteuid() == 0:
        lines += [f"User {_SERVER_USER}", f"Group {_SERVER_USER}"]
    if tls:
        lines += [
            "SSLEngine on",
            f'SSLCertificateFile "{tls[0]}"',
            f'SSLCertificateKeyFile "{tls[1]}"',
        ]
    (files / "dav").mkdir(exist_ok=True)
    (root / "apache.conf").write_text("\n".join(lines) + "\n")
    _hand_over(root)
    server = Process(
        [apache, "-f", str(root / "apache.conf"), "-DFOREGROUND"],
        f"http://127.0.0.1:{port}/",
        root / "out.log",
    )
    await server.start()
    try:
        scheme = "https" if tls else "http"
        host = "localhost" if tls else "127.0.0.1"
        yield Store(f"{scheme}://{host}:{port}/dav", port, files / "dav", server)
    finally:
        await server.stop()


@asynccontextmanager
async def nginx_store(folder: Path) -> AsyncIterator[Store]:
    """Run Debian's nginx as a WebDAV server with a password."""
    nginx = program("nginx")
    module = "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so"
    if nginx is None or not Path(module).exists():
        raise MissingServer("nginx or libnginx-mod-http-dav-ext is missing")
    port = free_port()
    root = folder / "nginx"
    files = root / "files"
    for path in (files / "dav", root / "scratch"):
        path.mkdir(parents=True, exist_ok=True)
    (root / "passwords").write_text(f"{USER}:{_crypted()}\n")
    user = f"user {_SERVER_USER};" if os.geteuid() == 0 else ""
    (root / "nginx.conf").write_text(f"""
load_module {module};
{user} daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {root}/scratch; proxy_temp_path {root}/scratch; fastcgi_temp_path {root}/scratch;
  uwsgi_temp_path {root}/scratch; scgi_temp_path {root}/scratch;
  dav_ext_lock_zone zone=locks:1m;
  server {{
    listen 127.0.0.1:{port}; root {files}; client_max_body_size 0;
    location /dav {{
      auth_basic copies; auth_basic_user_file {root}/passwords;
      dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK; dav_ext_lock zone=locks;
    }}
  }}
}}
""")
    _hand_over(root)
    server = Process(
        [nginx, "-p", str(root), "-c", str(root / "nginx.conf")],
        f"http://127.0.0.1:{port}/",
        root / "out.log",
    )
    await server.start()
    try:
        yield Store(f"http://127.0.0.1:{port}/dav", port, files / "dav", server)
    finally:
        await server.stop()


SWIFT_USER = "test:tester"
SWIFT_KEY = "testing-swift"
_SWIFT_SERVERS = ("account", "container", "object")


@asynccontextmanager
async def swift_store(folder: Path) -> AsyncIterator[str]:
    """Run OpenStack Swift with its S3 middleware out of Debian's packages; yields the address."""
    programs = ["swift-ring-builder", "memcached", "swift-proxy-server"]
    programs += [f"swift-{name}-server" for name in _SWIFT_SERVERS]
    if missing := [name for name in programs if program(name) is None]:
        raise MissingServer(f"missing: {', '.join(missing)}")
    root = folder / "swift"
    (root / "devices" / "d1").mkdir(parents=True)
    (root / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n"
        "[storage-policy:0]\nname = gold\ndefault = yes\n"
    )
    ports = {name: free_port() for name in (*_SWIFT_SERVERS, "proxy", "cache")}
    common = f"swift_dir = {root}\nbind_ip = 127.0.0.1\nuser = {getpass.getuser()}\nworkers = 0\nlog_level = WARNING\nlog_address = {root}/log\n"
    for name in _SWIFT_SERVERS:
        builder = root / f"{name}.builder"
        for arguments in (
            ["create", "2", "1", "0"],
            ["add", f"r1z1-127.0.0.1:{ports[name]}/d1", "1"],
            ["rebalance"],
        ):
            await _run("swift-ring-builder", str(builder), *arguments)
        (root / f"{name}.conf").write_text(
            f"[DEFAULT]\n{common}bind_port = {ports[name]}\ndevices = {root}/devices\nmount_check = false\n"
            f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
        )
    (root / "proxy.conf").write_text(
        f"[DEFAULT]\n{common}bind_port = {ports['proxy']}\n"
        "[pipeline:main]\npipeline = catch_errors cache listing_formats s3api tempauth copy dlo slo proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
        f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = {SWIFT_KEY} .admin\n"
        f"[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:{ports['cache']}\n"
        + "".join(
            f"[filter:{name}]\nuse = egg:swift#{name}\n"
            for name in (
                "catch_errors",
                "listing_formats",
                "s3api",
                "copy",
                "dlo",
                "slo",
            )
        )
    )
    cache = await asyncio.create_subprocess_exec(
        str(program("memcached")),
        *("-l", "127.0.0.1", "-p", str(ports["cache"]), "-u", getpass.getuser()),
        start_new_session=True,
    )
    servers = [
        Process(
            [str(program(f"swift-{name}-server")), str(root / f"{name}.conf")],
            f"http://127.0.0.1:{ports[name]}/",
            root / f"{name}.log",
        )
        for name in (*_SWIFT_SERVERS, "proxy")
    ]
    try:
        for server in servers:
            await server.start()
        yield f"http://127.0.0.1:{ports['proxy']}"
    finally:
        for server in servers:
            await server.stop()
        cache.terminate()
        await cache.wait()


async def _run(name: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(program(name)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    # 1 is a warning of the ring builder
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{name}: {out.decode()[-500:]}")
