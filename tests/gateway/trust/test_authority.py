"""The CA, the server certificate, and what TLS speaks."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
import shutil
import socket
import ssl
import stat
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import serialization
import pytest

from custom_components.magicpi_nvr.gateway.trust.authority import (
    CA_FILE,
    RENEW_BEFORE,
    SERVER_FILE,
    Authority,
)
from tests.harness.gateway import HOST, RunningGateway, run_gateway
from tests.harness.waiting import until

YEAR = timedelta(days=365)


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def certificate(folder: Path) -> x509.Certificate:
    """Return the server certificate on disk."""
    return x509.load_pem_x509_certificate((folder / SERVER_FILE).read_bytes())


def test_files_are_private(tmp_path: Path) -> None:
    """Folder 0700, files 0600, nothing else left lying about."""
    folder = tmp_path / "tls"
    authority = Authority.load_or_create(folder)
    assert authority.created
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        CA_FILE: 0o600,
        SERVER_FILE: 0o600,
    }
    assert "PRIVATE" not in authority.ca_pem
    assert len(authority.ca_fingerprint) == 64
    assert "PRIVATE" not in repr(vars(authority))


def test_open_files_are_closed_again(tmp_path: Path) -> None:
    """A folder that was copied carelessly is made private."""
    Authority.load_or_create(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / CA_FILE).chmod(0o644)
    (tmp_path / SERVER_FILE).chmod(0o644)
    assert not Authority.load_or_create(tmp_path).created
    assert mode(tmp_path) == 0o700
    assert mode(tmp_path / CA_FILE) == mode(tmp_path / SERVER_FILE) == 0o600


def test_authority_stays(tmp_path: Path) -> None:
    """The same CA and certificate at every start."""
    first = Authority.load_or_create(tmp_path)
    serial = certificate(tmp_path).serial_number
    again = Authority.load_or_create(tmp_path)
    assert not again.created
    assert again.ca_fingerprint == first.ca_fingerprint
    assert certificate(tmp_path).serial_number == serial


def test_renewal(tmp_path: Path) -> None:
    """Before its end, and when its dates lie in the future; the CA stays."""
    now = datetime(2026, 11, 1, tzinfo=UTC)
    authority = Authority.load_or_create(tmp_path, now=now)
    ends = authority.server_expires
    assert not authority.renew_if_due(ends - RENEW_BEFORE)
    due = ends - RENEW_BEFORE + timedelta(seconds=1)
    assert authority.renew_if_due(due)
    assert certificate(tmp_path).not_valid_after_utc > ends
    assert authority.renew_if_due(now)
    assert certificate(tmp_path).not_valid_before_utc < now
    again = Authority.load_or_create(tmp_path, now=now + 20 * YEAR)
    assert not again.created
    assert again.ca_fingerprint == authority.ca_fingerprint
    assert again.server_expires > now + 20 * YEAR + RENEW_BEFORE


def test_host_without_clock(tmp_path: Path) -> None:
    """In 1970 nothing is dated 1970, and nothing is made again each time."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    authority = Authority.load_or_create(tmp_path, now=start)
    assert certificate(tmp_path).not_valid_before_utc.year == 2025
    assert not authority.renew_if_due(start)
    assert not Authority.load_or_create(tmp_path, now=start).created
    ca = x509.load_pem_x509_certificate(authority.ca_pem.encode())
    assert ca.not_valid_after_utc - ca.not_valid_before_utc > 30 * YEAR


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"\0" * 100, None],
    ids=["empty", "garbage", "zeros", "missing"],
)
def test_lost_authority(tmp_path: Path, content: bytes | None) -> None:
    """A new one is made and said; a broken file is kept beside it."""
    first = Authority.load_or_create(tmp_path)
    path = tmp_path / CA_FILE
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    again = Authority.load_or_create(tmp_path)
    assert again.created
    assert again.ca_fingerprint != first.ca_fingerprint
    assert (tmp_path / "ca.broken").exists() == (content is not None)
    # The server certificate of the older CA is of no use.
    ca = x509.load_pem_x509_certificate(again.ca_pem.encode())
    certificate(tmp_path).verify_directly_issued_by(ca)
    assert not Authority.load_or_create(tmp_path).created


def test_authority_that_is_none(tmp_path: Path) -> None:
    """A server certificate in the CA's place is none; so is half a pair."""
    Authority.load_or_create(tmp_path)
    shutil.copy(tmp_path / SERVER_FILE, tmp_path / CA_FILE)
    assert Authority.load_or_create(tmp_path).created
    key = (tmp_path / CA_FILE).read_bytes().split(b"-----BEGIN CERT")[0]
    ca = Authority.load_or_create(tmp_path / "other").ca_pem.encode()
    (tmp_path / CA_FILE).write_bytes(key + ca)
    assert Authority.load_or_create(tmp_path).created


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_lost_server_certificate(tmp_path: Path, content: bytes | None) -> None:
    """It is made again below the same CA."""
    first = Authority.load_or_create(tmp_path)
    path = tmp_path / SERVER_FILE
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    again = Authority.load_or_create(tmp_path)
    assert not again.created
    assert again.ca_fingerprint == first.ca_fingerprint


def test_certificate_of_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate for another name is made again."""
    module = "custom_components.magicpi_nvr.gateway.trust.authority.SERVER_NAME"
    with monkeypatch.context() as patch:
        patch.setattr(module, "other.internal")
        Authority.load_or_create(tmp_path)
    serial = certificate(tmp_path).serial_number
    Authority.load_or_create(tmp_path)
    assert certificate(tmp_path).serial_number != serial


def test_openssl_agrees(tmp_path: Path) -> None:
    """Strict verification outside of Python, by name and purpose."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("no openssl")
    authority = Authority.load_or_create(tmp_path / "tls")
    ca, server = tmp_path / "ca.pem", tmp_path / "server.pem"
    ca.write_text(authority.ca_pem)
    server.write_bytes(
        certificate(tmp_path / "tls").public_bytes(serialization.Encoding.PEM)
    )
    result = subprocess.run(
        [
            *(openssl, "verify", "-x509_strict", "-check_ss_sig", "-no_check_time"),
            *("-purpose", "sslserver", "-verify_hostname", authority.server_name),
            *("-CAfile", str(ca), str(server)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def handshake(
    gateway: RunningGateway, context: ssl.SSLContext, name: str
) -> ssl.SSLSocket:
    """Connect and shake hands; blocks."""
    sock = socket.create_connection((HOST, gateway.server.port), timeout=10)
    return context.wrap_socket(sock, server_hostname=name)


async def shake(gateway: RunningGateway, context: ssl.SSLContext) -> tuple[str, str]:
    """Return protocol and cipher of a handshake."""

    def work() -> tuple[str, str]:
        with handshake(gateway, context, gateway.authority.server_name) as tls:
            cipher = tls.cipher()
            assert cipher is not None
            return str(tls.version()), cipher[0]

    return await asyncio.to_thread(work)


def limited(gateway: RunningGateway, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a client that speaks this version alone."""
    context = gateway.client_context()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def test_tls_versions(gateway: RunningGateway) -> None:
    """1.2 and 1.3, nothing older."""
    version, cipher = await shake(gateway, limited(gateway, ssl.TLSVersion.TLSv1_2))
    assert version == "TLSv1.2"
    assert cipher.startswith("ECDHE-ECDSA-")
    version, _ = await shake(gateway, limited(gateway, ssl.TLSVersion.TLSv1_3))
    assert version == "TLSv1.3"
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.warns(DeprecationWarning, match="TLS"):
            context = limited(gateway, old)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shake(gateway, context)


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]
)
async def test_ciphers_of_the_cameras(gateway: RunningGateway, cipher: str) -> None:
    """What mbedTLS speaks is spoken."""
    context = limited(gateway, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    assert (await shake(gateway, context))[1] == cipher


@pytest.mark.parametrize(
    "ciphers",
    ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA", "PSK"],
)
async def test_weak_ciphers(gateway: RunningGateway, ciphers: str) -> None:
    """No key exchange without forward secrecy, no CBC."""
    context = limited(gateway, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await shake(gateway, context)


async def test_session_ticket(gateway: RunningGateway) -> None:
    """A camera that wakes resumes instead of shaking hands again."""
    context = limited(gateway, ssl.TLSVersion.TLSv1_2)

    def work() -> tuple[bool, bool]:
        name = gateway.authority.server_name
        with handshake(gateway, context, name) as first:
            session, reused = first.session, first.session_reused
        sock = socket.create_connection((HOST, gateway.server.port), timeout=10)
        with context.wrap_socket(sock, server_hostname=name, session=session) as second:
            return bool(reused), bool(second.session_reused)

    assert await asyncio.to_thread(work) == (False, True)


async def test_wrong_authority_and_name(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    """A camera of another CA, or one that expects another name, refuses."""
    other = Authority.load_or_create(tmp_path / "other")
    wrong_ca = ssl.create_default_context(cadata=other.ca_pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake(gateway, wrong_ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(
            handshake, gateway, gateway.client_context(), "other.internal"
        )
    await until(lambda: gateway.server.counters["refused_handshake"] == 2)
    assert (await gateway.call("GET", "/health"))[0] == 200


async def test_renewed_certificate_is_served(gateway: RunningGateway) -> None:
    """From the next handshake, without a new listener; tickets stay good."""

    def served() -> bytes | None:
        context = gateway.client_context()
        with handshake(gateway, context, gateway.authority.server_name) as tls:
            return tls.getpeercert(binary_form=True)

    before = await asyncio.to_thread(served)
    later = gateway.authority.server_expires - timedelta(days=1)
    # Dated a day before `later`, so not yet valid for a client with a clock.
    assert await asyncio.to_thread(gateway.authority.renew_if_due, later)
    assert await asyncio.to_thread(gateway.authority.renew_if_due)
    after = await asyncio.to_thread(served)
    assert before != after


async def test_gateway_renews_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway looks at its certificate from time to time."""
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.gateway.server.RENEWAL_CHECK_S", 0.05
    )
    old = datetime.now(UTC) - timedelta(days=390)
    Authority.load_or_create(tmp_path, now=old)
    serial = certificate(tmp_path).serial_number
    monkeypatch.setattr(
        "custom_components.magicpi_nvr.gateway.trust.authority.RENEW_BEFORE",
        timedelta(days=-1),
    )
    async with run_gateway(tmp_path):
        assert certificate(tmp_path).serial_number == serial
        monkeypatch.undo()
        monkeypatch.setattr(
            "custom_components.magicpi_nvr.gateway.server.RENEWAL_CHECK_S", 0.05
        )
        await until(lambda: certificate(tmp_path).serial_number != serial)
