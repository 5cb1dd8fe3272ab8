"""A camera's requests to its gateway over HTTPS: registration, REST, firmware."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from .link import PinnedContext

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=15)


class ApiError(Exception):
    """An answer other than success: HTTP status and the error's slug."""

    def __init__(self, status: int, slug: str, retry_after: float = 0) -> None:
        """Keep what the gateway said."""
        super().__init__(f"{status} {slug}")
        self.status = status
        self.slug = slug
        self.retry_after = retry_after


class GatewayApi:
    """Requests to one address of a gateway, whose certificate must carry `name`."""

    def __init__(
        self, host: str, port: int, *, context: PinnedContext, name: str
    ) -> None:
        """Take the address; nothing is dialled yet."""
        self._base = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._context = context
        self._name = name

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield a successful answer; raises ApiError, OSError and aiohttp.ClientError."""
        connector = aiohttp.TCPConnector(ssl=self._context, force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session,
            session.request(
                method,
                self._base + path,
                headers=headers,
                json=body,
                server_hostname=self._name,
                allow_redirects=False,
            ) as response,
        ):
            if response.status >= 300:
                raise await _error_of(response)
            yield response

    async def json(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return an answer's JSON object; raises as `open`, and ApiError for what is none."""
        async with self.open(method, path, headers=headers, body=body) as response:
            try:
                answer = await response.json()
            except ValueError as err:
                raise ApiError(response.status, "no_json") from err
            if not isinstance(answer, dict):
                raise ApiError(response.status, "no_object")
            return answer


async def _error_of(response: aiohttp.ClientResponse) -> ApiError:
    """Return an unsuccessful answer as an error."""
    try:
        answer = await response.json()
        slug = str(answer["error"])
    except ValueError, KeyError, TypeError, aiohttp.ClientError:
        slug = "no_reason"
    retry = response.headers.get("Retry-After", "")
    return ApiError(response.status, slug, float(retry) if retry.isdigit() else 0)
