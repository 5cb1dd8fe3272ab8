"""Folders that speak WebDAV, through aiowebdav2. Imported only when such a target is set up."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import ssl

from aiohttp import ClientError, ClientSession, ClientSSLError, ClientTimeout
from aiowebdav2.client import Client, ClientOptions
from aiowebdav2.exceptions import (
    AccessDeniedError,
    ConflictError,
    MethodNotSupportedError,
    NoConnectionError,
    NotEnoughSpaceError,
    RemoteParentNotFoundError,
    RemoteResourceNotFoundError,
    ResourceLockedError,
    ResponseErrorCodeError,
    UnauthorizedError,
    WebDavError,
)
from yarl import URL

from .errors import Cause, TargetError
from .target import Body, Proof, StoredObject

_CHUNK = 256 * 1024
# The request as a whole may take as long as it moves; the caller watches that.
_TIMEOUT = ClientTimeout(total=None, sock_connect=10, sock_read=60)
_STATUS_CAUSES = {
    400: Cause.NOT_A_TARGET,
    412: Cause.BUSY,
    413: Cause.FULL,
    416: Cause.MISMATCH,
    429: Cause.BUSY,
    501: Cause.NOT_A_TARGET,
    503: Cause.BUSY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDavSettings:
    """Where a folder is; `url` is the server's WebDAV address, `prefix` a folder in it."""

    url: str
    username: str
    password: str
    prefix: str = ""
    verify_tls: bool = True

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"WebDavSettings({self.url!r}, {self.prefix!r})"


class WebDavTarget:
    """A folder on a WebDAV server. The session is the caller's and stays open."""

    part_size = 1 << 62  # everything goes in one request

    def __init__(self, settings: WebDavSettings, session: ClientSession) -> None:
        """Prepare; nothing is sent before the first request."""
        self._prefix = settings.prefix.strip("/")
        self._base = URL(settings.url).path.rstrip("/")
        self._client = Client(
            settings.url,
            settings.username,
            settings.password,
            options=ClientOptions(
                session=session, timeout=_TIMEOUT, verify_ssl=settings.verify_tls
            ),
        )
        # Folders that are known to be there; one check of each is enough.
        self._folders: set[str] = set()

    async def put(self, name: str, body: Body, *, content_type: str) -> None:
        """Store an object; folders on the way are made."""
        path = self._path(name)
        folder = path.rpartition("/")[0]
        with _errors(name):
            await self._make(folder)
            try:
                response = await self._client.execute_request(
                    "upload",
                    path,
                    data=body.read(0, body.size),
                    headers_ext={
                        "Content-Length": str(body.size),
                        "Content-Type": content_type,
                    },
                )
            except ConflictError, RemoteResourceNotFoundError:
                # Somebody removed the folder; the next try makes it.
                self._folders.clear()
                raise
            response.release()

    async def proof(self, name: str, body: Body) -> Proof:
        """Compare the size; WebDAV knows no checksum."""
        with _errors(name):
            info = await self._client.info(self._path(name))
        try:
            size = int(info.get("size") or "")
        except ValueError:
            return Proof.UNKNOWN
        return Proof.UNKNOWN if size == body.size else Proof.DIFFERENT

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield a range of an object; a server that knows no ranges sends all of it."""
        if start >= stop:
            return
        with _errors(name):
            response = await self._client.execute_request(
                "download",
                self._path(name),
                headers_ext={
                    "Range": f"bytes={start}-{stop - 1}",
                    "Accept-Encoding": "identity",
                },
            )
            try:
                position = start if response.status == 206 else 0
                async for chunk in response.content.iter_chunked(_CHUNK):
                    piece = chunk[max(start - position, 0) : max(stop - position, 0)]
                    position += len(chunk)
                    if piece:
                        yield piece
                    if position >= stop:
                        break
            finally:
                response.close()

    async def objects(self, folder: str = "") -> AsyncIterator[StoredObject]:
        """Yield the objects in a folder and those below it; one folder at a time, as many servers refuse more."""
        waiting = [folder]
        while waiting:
            inside = waiting.pop()
            for found in await self._entries(inside) or ():
                name = f"{inside}/{found[0]}" if inside else found[0]
                if found[1] is None:
                    waiting.append(name)
                else:
                    yield StoredObject(name, found[1])

    async def delete(self, name: str) -> None:
        """Remove an object, and its folder when nothing else is in it."""
        try:
            with _errors(name):
                await self._client.clean(self._path(name))
        except TargetError as error:
            if error.cause is not Cause.NOT_FOUND:
                raise
        folder = name.rpartition("/")[0]
        if folder and await self._entries(folder) == []:
            self._folders.discard(self._path(folder))
            with _errors(folder):
                await self._client.clean(f"{self._path(folder)}/")

    async def close(self) -> None:
        """Nothing to close: the session is not ours."""

    def _path(self, name: str) -> str:
        return "/" + "/".join(part for part in (self._prefix, name) if part)

    async def _entries(self, folder: str) -> list[tuple[str, int | None]] | None:
        """Return names in a folder with their sizes, None for folders; None when it is not there."""
        path = self._path(folder)
        try:
            with _errors(folder):
                infos = await self._client.list_with_infos(f"{path.rstrip('/')}/")
        except TargetError as error:
            if error.cause is Cause.NOT_FOUND:
                return None
            raise
        mine = f"{self._base}/{path.strip('/')}".rstrip("/")
        found: list[tuple[str, int | None]] = []
        for info in infos:
            full = info["path"].rstrip("/")
            if full == mine or not full.startswith(f"{mine}/"):
                continue
            name = full.removeprefix(f"{mine}/")
            if "/" in name:
                continue
            if info["isdir"] == "True":
                found.append((name, None))
            else:
                found.append((name, int(info.get("size") or 0)))
        return found

    async def _make(self, folder: str) -> None:
        """Make a folder and those above it."""
        if not folder.strip("/") or folder in self._folders:
            return
        await self._make(folder.rpartition("/")[0])
        if not await self._client.check(f"{folder}/"):
            await self._client.mkdir(f"{folder}/")
        self._folders.add(folder)


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn what the library raises into TargetError."""
    try:
        yield
    except UnauthorizedError as error:
        raise TargetError(Cause.INVALID_AUTH, name) from error
    except AccessDeniedError as error:
        raise TargetError(Cause.ACCESS_DENIED, name) from error
    except NotEnoughSpaceError as error:
        raise TargetError(Cause.FULL, name) from error
    except (RemoteResourceNotFoundError, RemoteParentNotFoundError) as error:
        raise TargetError(Cause.NOT_FOUND, name) from error
    except (ResourceLockedError, ConflictError) as error:
        raise TargetError(Cause.BUSY, name) from error
    except MethodNotSupportedError as error:
        raise TargetError(Cause.NOT_A_TARGET, name) from error
    except ResponseErrorCodeError as error:
        cause = _STATUS_CAUSES.get(error.code)
        if cause is None:
            cause = Cause.SERVER_ERROR if error.code >= 500 else Cause.NOT_A_TARGET
        raise TargetError(cause, f"{error.code} for {name}") from error
    except NoConnectionError as error:
        below = error.__cause__
        if isinstance(below, (ClientSSLError, ssl.SSLError)):
            raise TargetError(Cause.TLS, type(below).__name__) from error
        if isinstance(below, TimeoutError):
            raise TargetError(Cause.TIMEOUT, name) from error
        raise TargetError(Cause.CANNOT_CONNECT, type(below).__name__) from error
    except TimeoutError as error:
        raise TargetError(Cause.TIMEOUT, name) from error
    except WebDavError as error:
        raise TargetError(Cause.NOT_A_TARGET, type(error).__name__) from error
    except ValueError as error:
        raise TargetError(Cause.NOT_A_TARGET, "not an address") from error
    except (ClientError, OSError) as error:
        raise TargetError(Cause.CANNOT_CONNECT, type(error).__name__) from error
