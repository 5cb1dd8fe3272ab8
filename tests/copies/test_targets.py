"""What targets store, give back and refuse, against real servers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
import random
import subprocess
from typing import Any

from aiohttp import ClientSession
import pytest

from custom_components.magicpi_nvr.copies.errors import Cause, TargetError
from custom_components.magicpi_nvr.copies.s3 import S3Settings, region_of
from custom_components.magicpi_nvr.copies.target import (
    Body,
    Target,
    check,
    fetch,
    store,
)
from custom_components.magicpi_nvr.copies.webdav import WebDavSettings, WebDavTarget
from object_stores import server_folder
from tests.harness.copies import CopyServer
from tests.harness.copy_servers import PASSWORD, USER, apache_store
from tests.harness.link import Link

NAME = "Front dóor/2026-11-22/08-15-03 motion aabbcc000001-00000001-1.mp4"
DATA = random.Random(7).randbytes(700_123)


async def _body(data: bytes, target: Target) -> Body:
    async def read(start: int, stop: int) -> AsyncIterator[bytes]:
        for at in range(start, stop, 65_000):
            yield data[at : min(at + 65_000, stop)]

    return await Body.measure(len(data), read, part_size=target.part_size)


async def _put(target: Target, name: str, data: bytes) -> None:
    await store(target, name, await _body(data, target), content_type="video/mp4")


async def _names(target: Target, folder: str = "") -> dict[str, int]:
    return {item.name: item.size async for item in target.objects(folder)}


async def test_round_trip(copy_server: CopyServer) -> None:
    """What was stored is listed, read in part and in full, replaced and deleted."""
    target = copy_server.target()
    try:
        await _put(target, NAME, b"first")
        await _put(target, NAME, DATA)
        assert copy_server.files() == {NAME: DATA}
        assert await _names(target) == {NAME: len(DATA)}
        assert await _names(target, "Front dóor/2026-11-22") == {NAME: len(DATA)}
        assert await _names(target, "Front dóor/2026-11-23") == {}
        assert await fetch(target, NAME, len(DATA)) == DATA
        for start, stop in ((0, 1), (5, 70_000), (len(DATA) - 3, len(DATA)), (9, 9)):
            part = b"".join([chunk async for chunk in target.read(NAME, start, stop)])
            assert part == DATA[start:stop]
        await target.delete(NAME)
        await target.delete(NAME)
        assert await _names(target) == {}
        assert copy_server.files() == {}
    finally:
        await target.close()


async def test_nginx(nginx: CopyServer) -> None:
    """Another WebDAV server does as well."""
    target = nginx.target()
    await check(target)
    await _put(target, NAME, DATA)
    assert nginx.files() == {NAME: DATA}
    assert await _names(target) == {NAME: len(DATA)}
    await target.delete(NAME)
    assert nginx.files() == {}


async def test_check_leaves_nothing(copy_server: CopyServer) -> None:
    """The check writes, reads, lists and deletes."""
    target = copy_server.target()
    try:
        await check(target)
        assert copy_server.files() == {}
    finally:
        await target.close()


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"secret_access_key": "wrong"}, Cause.INVALID_AUTH),
        ({"access_key_id": "nobody"}, Cause.INVALID_AUTH),
        ({"bucket": "another"}, Cause.NO_BUCKET),
        ({"bucket": "No bucket!"}, Cause.NO_BUCKET),
        ({"endpoint": "http://127.0.0.1:1"}, Cause.CANNOT_CONNECT),
        ({"endpoint": "http://storage.invalid"}, Cause.CANNOT_CONNECT),
        ({"endpoint": "storage"}, Cause.NOT_A_TARGET),
    ],
)
async def test_s3_causes(s3: CopyServer, changes: dict[str, str], cause: Cause) -> None:
    """The check names what is wrong, and no secret."""
    target = s3.target(**changes)
    try:
        with pytest.raises(TargetError) as caught:
            await check(target)
    finally:
        await target.close()
    assert caught.value.cause is cause
    assert caught.value.step == "write"
    for secret in ("wrong", "secret/of"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"password": "wrong"}, Cause.INVALID_AUTH),
        ({"username": "nobody"}, Cause.INVALID_AUTH),
        ({"url": "{origin}/elsewhere"}, Cause.NOT_A_TARGET),
        ({"url": "http://127.0.0.1:1/dav"}, Cause.CANNOT_CONNECT),
        ({"url": "http://storage.invalid/dav"}, Cause.CANNOT_CONNECT),
    ],
)
async def test_webdav_causes(
    webdav: CopyServer, changes: dict[str, str], cause: Cause
) -> None:
    """The check names what is wrong, and no secret."""
    origin = webdav.store.url.removesuffix("/dav")
    target = webdav.target(
        **{key: value.format(origin=origin) for key, value in changes.items()}
    )
    with pytest.raises(TargetError) as caught:
        await check(target)
    assert caught.value.cause is cause
    assert caught.value.step == "write"
    for secret in ("wrong", "pass-word"):
        assert secret not in str(caught.value)


async def test_read_only_folder(webdav: CopyServer) -> None:
    """A folder that the server may not write to is no target."""
    webdav.store.folder.chmod(0o555)
    try:
        with pytest.raises(TargetError) as caught:
            await check(webdav.target())
    finally:
        webdav.store.folder.chmod(0o755)
    assert caught.value.cause in (Cause.ACCESS_DENIED, Cause.SERVER_ERROR, Cause.BUSY)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 507])
async def test_status(copy_server: CopyServer, link: Link, status: int) -> None:
    """Each answer of a server has its cause."""
    link.status = status
    target = copy_server.target(link.url)
    try:
        with pytest.raises(TargetError) as caught:
            await check(target)
    finally:
        await target.close()
    assert (
        caught.value.cause
        is {
            401: Cause.INVALID_AUTH,
            403: Cause.ACCESS_DENIED,
            429: Cause.BUSY,
            500: Cause.SERVER_ERROR,
            503: Cause.BUSY,
            507: Cause.FULL,
        }[status]
    )


async def test_clock(s3: CopyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is an hour off is named: the server refuses the signature's time."""
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime",
        lambda remove_tzinfo=True: (datetime.now(UTC) + timedelta(hours=1)).replace(
            tzinfo=None if remove_tzinfo else UTC
        ),
    )
    target = s3.target()
    try:
        with pytest.raises(TargetError) as caught:
            await check(target)
    finally:
        await target.close()
    assert caught.value.cause is Cause.CLOCK_SKEW


async def test_untrusted_certificate(tmp_path: Path) -> None:
    """A certificate that nobody vouches for is refused, unless it is allowed."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key),
            "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    with server_folder() as folder:
        await _check_tls(folder, certificate, key)


async def _check_tls(folder: Path, certificate: Path, key: Path) -> None:
    async with (
        apache_store(folder, tls=(certificate, key)) as server,
        ClientSession() as session,
    ):
        settings = WebDavSettings(url=server.url, username=USER, password=PASSWORD)
        with pytest.raises(TargetError) as caught:
            await check(WebDavTarget(settings, session))
        assert caught.value.cause is Cause.TLS
        await check(WebDavTarget(replace(settings, verify_tls=False), session))


async def test_parts(s3: CopyServer) -> None:
    """A large object goes in parts and arrives as one."""
    data = random.Random(3).randbytes(11 * 1024 * 1024 + 5)
    target = s3.target()
    try:
        await _put(target, NAME, data)
        assert s3.files() == {NAME: data}
    finally:
        await target.close()


async def test_damage_is_refused(s3: CopyServer) -> None:
    """Bytes that are not those that were measured do not become an object."""
    target = s3.target()
    body = await _body(DATA, target)

    async def read(start: int, stop: int) -> AsyncIterator[bytes]:
        yield b"\0" + DATA[start + 1 : stop]

    try:
        with pytest.raises(TargetError) as caught:
            await store(
                target, NAME, replace(body, read=read), content_type="video/mp4"
            )
    finally:
        await target.close()
    assert caught.value.cause is Cause.MISMATCH
    assert s3.files() == {}


async def test_damage_is_found(webdav: CopyServer) -> None:
    """WebDAV knows no checksum: what was stored is read back."""
    target = webdav.target()
    body = await _body(DATA, target)

    async def read(start: int, stop: int) -> AsyncIterator[bytes]:
        yield b"\0" + DATA[start + 1 : stop]

    with pytest.raises(TargetError) as caught:
        await store(target, NAME, replace(body, read=read), content_type="video/mp4")
    assert caught.value.cause is Cause.MISMATCH


async def test_cut(copy_server: CopyServer, link: Link) -> None:
    """A connection that is cut at half leaves no object, and the one before stays."""
    target = copy_server.target(link.url)
    try:
        await _put(target, "a/old.mp4", DATA)
        link.cut_after = len(DATA) // 2
        link.cut()
        for name in ("a/new.mp4", "a/old.mp4"):
            with pytest.raises(TargetError) as caught:
                await _put(target, name, DATA[::-1])
            assert caught.value.cause is Cause.CANNOT_CONNECT
        link.cut_after = None
        assert await _names(target) == {"a/old.mp4": len(DATA)}
        assert copy_server.files() == {"a/old.mp4": DATA}
    finally:
        await target.close()


async def test_cut_while_reading(copy_server: CopyServer, link: Link) -> None:
    """A short answer is an error, never short data."""
    target = copy_server.target(link.url)
    try:
        await _put(target, NAME, DATA)
        link.rate = 200_000
        before = link.received
        reading = asyncio.create_task(fetch(target, NAME, len(DATA)))
        while link.received < before + len(DATA) // 4:
            await asyncio.sleep(0.01)
        link.cut()
        with pytest.raises(TargetError):
            await reading
    finally:
        await target.close()


async def test_stalled(
    copy_server: CopyServer, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer of which nothing moves is given up."""
    monkeypatch.setattr("custom_components.magicpi_nvr.copies.target._IDLE_S", 0.3)
    link.rate = 1
    target = copy_server.target(link.url)
    try:
        with pytest.raises(TargetError) as caught:
            await _put(target, NAME, DATA)
    finally:
        await target.close()
    assert caught.value.cause is Cause.TIMEOUT


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://s3.us-west-004.backblazeb2.com", "us-west-004"),
        ("https://s3.eu-central-2.wasabisys.com", "eu-central-2"),
        ("https://abc.r2.cloudflarestorage.com", "auto"),
        ("http://192.168.1.5:9000", "us-east-1"),
    ],
)
def test_region(endpoint: str, region: str) -> None:
    """Most addresses name their region."""
    assert region_of(endpoint) == region


def test_no_secret_is_shown() -> None:
    """Settings are shown without their secrets."""
    said: list[Any] = [
        S3Settings(
            endpoint="http://x",
            bucket="b",
            access_key_id="KEY",
            secret_access_key="SECRET",
        ),
        WebDavSettings(url="http://x", username="u", password="SECRET"),
    ]
    assert "SECRET" not in repr(said)
    assert "KEY" not in repr(said)
