"""Keys of readers outside: one per camera, kept as a hash; wrong guesses must wait."""

from collections import Counter, OrderedDict
from collections.abc import Callable, MutableMapping
import hashlib
import hmac
import secrets
from time import monotonic
from typing import Final

_KEY_BYTES: Final = 24
# Wrong keys of one address before it must wait: for one camera, and for all of them.
# A program that goes on with an old key of one camera keeps the others.
ATTEMPTS: Final = 10
ALL_ATTEMPTS: Final = 50
WINDOW_S: Final = 60.0
# Addresses that are remembered; the oldest is forgotten
_ADDRESSES: Final = 256


class TooManyAttempts(Exception):
    """An address has tried too many wrong keys."""


class StreamKeys:
    """`hashes`: by camera, kept by the owner; `on_change` saves them."""

    def __init__(
        self, hashes: MutableMapping[str, str], on_change: Callable[[], None]
    ) -> None:
        """Begin with no wrong key seen."""
        self._hashes = hashes
        self._on_change = on_change
        self._failures: OrderedDict[str, tuple[float, Counter[str]]] = OrderedDict()

    def has(self, camera_id: str) -> bool:
        """Whether a camera may be watched from outside."""
        return camera_id in self._hashes

    def new(self, camera_id: str) -> str:
        """Return a new key; the one before is no longer good."""
        key = secrets.token_urlsafe(_KEY_BYTES)
        self._hashes[camera_id] = _hash(key)
        self._on_change()
        return key

    def revoke(self, camera_id: str) -> bool:
        """Let no key be good; False where none was."""
        if self._hashes.pop(camera_id, None) is None:
            return False
        self._on_change()
        return True

    def check(self, camera_id: str, key: str, address: str) -> bool:
        """Return whether a key is good; raises TooManyAttempts, whatever the key."""
        now = monotonic()
        began, failures = self._failures.get(address, (now, Counter()))
        if now - began > WINDOW_S:
            began, failures = now, Counter()
        if failures[camera_id] >= ATTEMPTS or failures.total() >= ALL_ATTEMPTS:
            raise TooManyAttempts
        # An unknown camera takes as long as a wrong key
        expected = self._hashes.get(camera_id, "")
        if hmac.compare_digest(_hash(key), expected):
            return True
        failures[camera_id] += 1
        self._failures[address] = (began, failures)
        self._failures.move_to_end(address)
        if len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)
        return False


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
