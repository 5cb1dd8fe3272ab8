"""The integration's own certificate authority and the server certificate below it.

Cameras pin the authority for life and check name and chain but no dates, so the authority
outlives them and the server certificate below it is renewed without touching them.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
import os
from pathlib import Path
import ssl
import tempfile
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAME: Final = "nvr.magicpi.internal"
CA_FILE: Final = "ca.pem"
SERVER_FILE: Final = "server.pem"
SERVER_LIFETIME: Final = timedelta(days=397)
RENEW_BEFORE: Final = timedelta(days=120)

# A host without a battery-backed clock may start in 1970: nothing is dated before this.
_EPOCH: Final = datetime(2025, 1, 1, tzinfo=UTC)
_CA_END: Final = datetime(2085, 1, 1, tzinfo=UTC)
# ECDHE with AEAD only; the cameras' mbedTLS speaks AES-GCM.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class _Pair:
    """A key and its certificate; both live in one file so that they are replaced together."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    def pem(self) -> bytes:
        """Return key and certificate, in this order."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ) + self.certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def from_pem(cls, data: bytes) -> Self:
        """Read both; raises ValueError when they don't belong together."""
        key = serialization.load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(
            key.curve, ec.SECP256R1
        ):
            raise ValueError("not a P-256 key")  # noqa: TRY004 - a file's content, not a type
        if key.public_key() != certificate.public_key():
            raise ValueError("key and certificate differ")
        return cls(key, certificate)


def _write_private(path: Path, data: bytes) -> None:
    """Replace a file atomically, readable by its owner alone."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _make_authority() -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "MagicPi NVR CA")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_EPOCH)
        .not_valid_after(_CA_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(key, certificate)


def _make_server(authority: _Pair, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    start = max(now - timedelta(days=1), _EPOCH)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(min(start + SERVER_LIFETIME, _CA_END))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                authority.certificate.extensions.get_extension_for_class(
                    x509.SubjectKeyIdentifier
                ).value
            ),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(key, certificate)


def _is_authority(pair: _Pair) -> bool:
    try:
        constraints = pair.certificate.extensions.get_extension_for_class(
            x509.BasicConstraints
        ).value
        pair.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        pair.certificate.verify_directly_issued_by(pair.certificate)
    except x509.ExtensionNotFound, ValueError, InvalidSignature:
        return False
    return constraints.ca


def _is_due(server: _Pair, authority: _Pair, now: datetime) -> bool:
    """Return whether the server certificate must be renewed."""
    certificate = server.certificate
    try:
        certificate.verify_directly_issued_by(authority.certificate)
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound, ValueError, InvalidSignature:
        return True
    return (
        SERVER_NAME not in names
        or certificate.not_valid_before_utc > max(now, _EPOCH)
        or certificate.not_valid_after_utc - now < RENEW_BEFORE
    )


class Authority:
    """CA and server certificate in a private folder; all methods but the properties block."""

    def __init__(self, folder: Path, authority: _Pair, *, created: bool) -> None:
        """Use `load_or_create`."""
        self._folder = folder
        self._authority = authority
        self._server: _Pair | None = None
        self._context: ssl.SSLContext | None = None
        self.created = created
        """A new CA was made: cameras of an earlier one must be claimed again."""

    @classmethod
    def load_or_create(cls, folder: Path, *, now: datetime | None = None) -> Self:
        """Read or make what is missing or broken in `folder`; raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        path = folder / CA_FILE
        created = False
        try:
            pair = _Pair.from_pem(path.read_bytes())
            if not _is_authority(pair):
                raise ValueError("not a CA")  # noqa: TRY301 - as any other broken file
            path.chmod(0o600)
        except FileNotFoundError, ValueError, TypeError, UnsupportedAlgorithm:
            if path.exists():
                # A person may still restore it from a backup; cameras trust no other.
                path.replace(path.with_suffix(".broken"))
            pair = _make_authority()
            _write_private(path, pair.pem())
            created = True
        authority = cls(folder, pair, created=created)
        authority.renew_if_due(now)
        return authority

    @property
    def ca_pem(self) -> str:
        """The CA's certificate, as cameras pin it."""
        return self._authority.certificate.public_bytes(
            serialization.Encoding.PEM
        ).decode()

    @property
    def ca_fingerprint(self) -> str:
        """SHA-256 of the CA's certificate, 64 hex digits."""
        return self._authority.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def server_name(self) -> str:
        """The DNS name that cameras expect in the server certificate."""
        return SERVER_NAME

    @property
    def server_expires(self) -> datetime:
        """End of the server certificate's life."""
        assert self._server is not None
        return self._server.certificate.not_valid_after_utc

    def renew_if_due(self, now: datetime | None = None) -> bool:
        """Renew the server certificate where it is due; a live context serves it at once."""
        now = now or datetime.now(UTC)
        path = self._folder / SERVER_FILE
        if self._server is None:
            try:
                self._server = _Pair.from_pem(path.read_bytes())
                path.chmod(0o600)
            except FileNotFoundError, ValueError, TypeError, UnsupportedAlgorithm:
                self._server = None
        if self._server is not None and not _is_due(self._server, self._authority, now):
            return False
        server = _make_server(self._authority, now)
        _write_private(path, server.pem())
        self._server = server
        if self._context is not None:
            self._context.load_cert_chain(path)
        return True

    def ssl_context(self) -> ssl.SSLContext:
        """Return the listener's context: TLS 1.2 and up, session tickets on."""
        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(_CIPHERS)
            context.set_ecdh_curve("prime256v1")
            context.options |= (
                ssl.OP_NO_COMPRESSION
                | ssl.OP_NO_RENEGOTIATION
                | ssl.OP_SINGLE_ECDH_USE
                | ssl.OP_CIPHER_SERVER_PREFERENCE
            )
            context.load_cert_chain(self._folder / SERVER_FILE)
            self._context = context
        return self._context
