"""Why something at a target cannot be done."""

from enum import StrEnum


class Cause(StrEnum):
    """What a person can act on."""

    CANNOT_CONNECT = "cannot_connect"  # no route, no name, refused
    TLS = "tls"  # the certificate is not trusted
    TIMEOUT = "timeout"
    INVALID_AUTH = "invalid_auth"  # key, secret or password is wrong
    ACCESS_DENIED = "access_denied"  # known, but without the right
    CLOCK_SKEW = "clock_skew"  # this clock and the server's differ
    NO_BUCKET = "no_bucket"  # bucket or folder does not exist
    NOT_FOUND = "not_found"  # the object does not exist
    NOT_A_TARGET = "not_a_target"  # a server, but not one of this kind
    FULL = "full"
    BUSY = "busy"  # locked, or asks to slow down
    SERVER_ERROR = "server_error"
    MISMATCH = "mismatch"  # what was stored is not what was sent


class TargetError(Exception):
    """A request to a target failed; `detail` holds no secret. `step` is set by the check of a target."""

    def __init__(self, cause: Cause, detail: str = "", *, step: str = "") -> None:
        """Keep what happened."""
        super().__init__(f"{cause}: {detail}" if detail else str(cause))
        self.cause = cause
        self.detail = detail
        self.step = step


class SourceGone(Exception):
    """The local clip cannot be read, now or any more."""


class NotCopied(LookupError):
    """No copy of this event is at the target."""
