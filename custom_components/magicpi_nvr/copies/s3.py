"""Storage that speaks Amazon's S3 protocol, through aiobotocore. Imported only when such a target is set up."""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
import hashlib
import re
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiohttp import ClientError as HttpError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as EndpointError,
    ConnectTimeoutError,
    HTTPClientError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from botocore.handlers import add_expect_header
from botocore.parsers import ResponseParserError

from .errors import Cause, TargetError
from .target import Body, Proof, StoredObject

# Up to this an object goes in one request, whose ETag is the MD5 of all of it; the protocol allows 5 GiB.
_SINGLE = 512 * 1024 * 1024
_PART = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_SMALL = 128 * 1024
_REGION = re.compile(r"(?:^|\.)s3[.-]([a-z]{2,}(?:-[a-z0-9]+)+)\.")
_MD5 = re.compile(r"[0-9a-f]{32}")
_CAUSES = {
    "AccessDenied": Cause.ACCESS_DENIED,
    "AllAccessDisabled": Cause.ACCESS_DENIED,
    "AccountProblem": Cause.ACCESS_DENIED,
    "InvalidAccessKeyId": Cause.INVALID_AUTH,
    "InvalidToken": Cause.INVALID_AUTH,
    "SignatureDoesNotMatch": Cause.INVALID_AUTH,
    "Unauthorized": Cause.INVALID_AUTH,
    "RequestTimeTooSkewed": Cause.CLOCK_SKEW,
    "RequestExpired": Cause.CLOCK_SKEW,
    "NoSuchBucket": Cause.NO_BUCKET,
    "InvalidBucketName": Cause.NO_BUCKET,
    "NoSuchKey": Cause.NOT_FOUND,
    "QuotaExceeded": Cause.FULL,
    "EntityTooLarge": Cause.FULL,
    "StorageFull": Cause.FULL,
    "XMinioStorageFull": Cause.FULL,
    "InsufficientStorage": Cause.FULL,
    "BadDigest": Cause.MISMATCH,
    "InvalidDigest": Cause.MISMATCH,
    "XAmzContentSHA256Mismatch": Cause.MISMATCH,
    "IncompleteBody": Cause.CANNOT_CONNECT,
    "RequestTimeout": Cause.TIMEOUT,
    "SlowDown": Cause.BUSY,
    "ServiceUnavailable": Cause.BUSY,
    "TooManyRequests": Cause.BUSY,
    "PermanentRedirect": Cause.NO_BUCKET,
}
_STATUS_CAUSES = {
    401: Cause.INVALID_AUTH,
    403: Cause.ACCESS_DENIED,
    404: Cause.NOT_FOUND,
    405: Cause.NOT_A_TARGET,
    413: Cause.FULL,
    429: Cause.BUSY,
    503: Cause.BUSY,
    507: Cause.FULL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """Where a bucket is. `region` None = read from the address; `ca` is a file with certificates to trust."""

    endpoint: str
    bucket: str
    access_key_id: str
    secret_access_key: str
    prefix: str = ""
    region: str | None = None
    verify_tls: bool = True
    ca: str | None = None

    def __repr__(self) -> str:
        """Leave the keys out."""
        return f"S3Settings({self.endpoint!r}, {self.bucket!r}, {self.prefix!r})"


def region_of(endpoint: str) -> str:
    """Return the region that an address names, as most providers' do."""
    if ".r2.cloudflarestorage.com" in endpoint:
        return "auto"
    match = _REGION.search(endpoint.partition("://")[2] or endpoint)
    return match[1] if match else "us-east-1"


class _Stream:
    """A body that is read while it is sent; botocore takes it for a file, aiohttp for an iterable."""

    def __init__(self, body: Body, start: int, stop: int) -> None:
        self._body, self._start, self._stop = body, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def read(self, size: int = -1) -> bytes:
        """Nobody reads it so: the payload is not signed."""
        raise NotImplementedError

    def seek(self, offset: int, whence: int = 0) -> int:
        """Each iteration begins at the start."""
        return 0

    def tell(self) -> int:
        """Return the start."""
        return 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.read(self._start, self._stop)


class S3Target:
    """A prefix in a bucket."""

    def __init__(
        self, settings: S3Settings, *, single: int = _SINGLE, part_size: int = _PART
    ) -> None:
        """Prepare; nothing is sent before the first request."""
        self.part_size = part_size
        self._settings = settings
        self._single = single
        prefix = settings.prefix.strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._stated = "", ""  # the last object's name and ETag

    async def put(self, name: str, body: Body, *, content_type: str) -> None:
        """Store an object; the server compares its MD5."""
        client = await self._connect()
        with _errors(name):
            if body.size <= self._single:
                answer = await client.put_object(
                    **self._key(name),
                    Body=_Stream(body, 0, body.size) if body.size else b"",
                    ContentLength=body.size,
                    ContentMD5=_base64(body.md5),
                    ContentType=content_type,
                )
                self._stated = name, str(answer.get("ETag", "")).strip('"').lower()
            else:
                await self._put_parts(client, name, body, content_type)

    async def _put_parts(
        self, client: Any, name: str, body: Body, content_type: str
    ) -> None:
        upload = await client.create_multipart_upload(
            **self._key(name), ContentType=content_type
        )
        which = {**self._key(name), "UploadId": upload["UploadId"]}
        try:
            parts = []
            for number, md5 in enumerate(body.part_md5, 1):
                start = (number - 1) * body.part_size
                stop = min(start + body.part_size, body.size)
                answer = await client.upload_part(
                    **which,
                    PartNumber=number,
                    Body=_Stream(body, start, stop),
                    ContentLength=stop - start,
                    ContentMD5=_base64(md5),
                )
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            await client.complete_multipart_upload(
                **which, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # Parts that nobody completes are paid for and not shown.
            with suppress(BotoCoreError, ClientError, HttpError, OSError):
                await client.abort_multipart_upload(**which)
            raise

    async def proof(self, name: str, body: Body) -> Proof:
        """Compare size and ETag; an ETag that is no MD5 says nothing.

        Of a small object the answer to its upload is enough: the same MD5 is the same size.
        """
        if body.size < _SMALL and self._stated == (name, body.md5):
            return Proof.SAME
        client = await self._connect()
        with _errors(name):
            answer = await client.head_object(**self._key(name))
        if answer["ContentLength"] != body.size:
            return Proof.DIFFERENT
        etag = answer.get("ETag", "").strip('"').lower()
        if answer.get("ServerSideEncryption", "AES256") != "AES256" or answer.get(
            "SSECustomerAlgorithm"
        ):
            return Proof.UNKNOWN
        if body.size > self._single:
            digest = hashlib.md5(
                b"".join(map(bytes.fromhex, body.part_md5)), usedforsecurity=False
            ).hexdigest()
            same = etag == f"{digest}-{len(body.part_md5)}"
            return Proof.SAME if same else Proof.UNKNOWN
        if etag == body.md5:
            return Proof.SAME
        return Proof.DIFFERENT if _MD5.fullmatch(etag) else Proof.UNKNOWN

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield a range of an object."""
        if start >= stop:
            return
        client = await self._connect()
        with _errors(name):
            answer = await client.get_object(
                **self._key(name), Range=f"bytes={start}-{stop - 1}"
            )
            async with answer["Body"] as body:
                async for chunk in body.content.iter_chunked(_CHUNK):
                    yield chunk

    async def objects(self, folder: str = "") -> AsyncIterator[StoredObject]:
        """Yield the objects in a folder and those below it."""
        client = await self._connect()
        inside = f"{self._prefix}{folder}/" if folder else self._prefix
        with _errors(folder):
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=self._settings.bucket, Prefix=inside
            )
            async for page in pages:
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(self._prefix)
                    if not name.endswith("/"):
                        yield StoredObject(name, item["Size"])

    async def delete(self, name: str) -> None:
        """Remove an object."""
        client = await self._connect()
        try:
            with _errors(name):
                await client.delete_object(**self._key(name))
        except TargetError as error:
            if error.cause is not Cause.NOT_FOUND:
                raise

    async def close(self) -> None:
        """Close the connections."""
        self._client = None
        await self._stack.aclose()

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._settings.bucket, "Key": f"{self._prefix}{name}"}

    async def _connect(self) -> Any:
        if self._client is None:
            settings = self._settings
            with _errors(settings.endpoint):
                self._client = await self._stack.enter_async_context(
                    AioSession().create_client(
                        "s3",
                        endpoint_url=settings.endpoint,
                        region_name=settings.region or region_of(settings.endpoint),
                        aws_access_key_id=settings.access_key_id,
                        aws_secret_access_key=settings.secret_access_key,
                        verify=(settings.ca or True) if settings.verify_tls else False,
                        config=AioConfig(
                            signature_version="s3v4",
                            connect_timeout=10,
                            read_timeout=60,
                            # The queue knows better when to try again.
                            retries={"total_max_attempts": 1},
                            # Checksums in trailers are not understood everywhere; Content-MD5 is.
                            request_checksum_calculation="when_required",
                            response_checksum_validation="when_required",
                            s3={
                                "addressing_style": "auto"
                                if "amazonaws.com" in settings.endpoint
                                else "path",
                                "payload_signing_enabled": False,
                            },
                            # Its files are read in a thread.
                            warm_up_loader_caches=True,
                        ),
                    )
                )
                # With it aiohttp and some servers wait for each other.
                self._client.meta.events.unregister("before-call.s3", add_expect_header)
        return self._client


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn what the libraries raise into TargetError."""
    try:
        yield
    except ClientError as error:
        raise _named(error, name) from error
    except SSLError as error:
        raise TargetError(Cause.TLS, _reason(error)) from error
    except (ConnectTimeoutError, ReadTimeoutError, TimeoutError) as error:
        raise TargetError(Cause.TIMEOUT, name) from error
    except ParamValidationError as error:
        raise TargetError(Cause.NO_BUCKET, "not a name of a bucket") from error
    except ValueError as error:
        # Of an address that is none; the text quotes it and nothing else.
        raise TargetError(Cause.NOT_A_TARGET, str(error)) from error
    except (HTTPClientError, EndpointError, HttpError) as error:
        raise TargetError(Cause.CANNOT_CONNECT, _reason(error)) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise TargetError(Cause.NOT_A_TARGET, type(error).__name__) from error
    except OSError as error:
        raise TargetError(Cause.CANNOT_CONNECT, error.strerror or "") from error


def _named(error: ClientError, name: str) -> TargetError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    cause = _CAUSES.get(code) or _STATUS_CAUSES.get(status)
    if cause is None:
        cause = Cause.SERVER_ERROR if status >= 500 else Cause.NOT_A_TARGET
    return TargetError(cause, f"{code or status} for {name}")


def _reason(error: Exception) -> str:
    """Return the kind of the error below; its text may hold a signed address."""
    inner = getattr(error, "kwargs", {}).get("error")
    return type(inner).__name__ if inner is not None else type(error).__name__


def _base64(digest: str) -> str:
    return b64encode(bytes.fromhex(digest)).decode()
