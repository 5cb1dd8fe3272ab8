"""OpenStack Swift's S3 middleware: another S3 server, in the slow run where its packages are installed."""

from collections.abc import AsyncIterator
from pathlib import Path

from aiobotocore.session import AioSession
import pytest

from custom_components.magicpi_nvr.copies.errors import Cause, TargetError
from custom_components.magicpi_nvr.copies.s3 import S3Settings, S3Target
from custom_components.magicpi_nvr.copies.target import check
from object_stores import BUCKET, MissingServer, server_folder
from tests.harness.copies import Clips, RunningCopier
from tests.harness.copy_servers import SWIFT_KEY, SWIFT_USER, swift_store

pytestmark = pytest.mark.slow


@pytest.fixture
async def swift() -> AsyncIterator[str]:
    """Return the address of a Swift with a bucket."""
    with server_folder() as folder:
        try:
            async with swift_store(folder) as url:
                async with AioSession().create_client(
                    "s3",
                    endpoint_url=url,
                    region_name="us-east-1",
                    aws_access_key_id=SWIFT_USER,
                    aws_secret_access_key=SWIFT_KEY,
                ) as client:
                    await client.create_bucket(Bucket=BUCKET)
                yield url
        except MissingServer as error:
            pytest.skip(str(error))


def _target(url: str, *, secret: str = SWIFT_KEY) -> S3Target:
    return S3Target(
        S3Settings(
            endpoint=url,
            bucket=BUCKET,
            access_key_id=SWIFT_USER,
            secret_access_key=secret,
            prefix="magicpi",
        ),
        single=5 * 1024 * 1024,
        part_size=5 * 1024 * 1024,
    )


@pytest.mark.timeout(300)
async def test_copies(swift: str, clips: Clips, tmp_path: Path) -> None:
    """The check passes, a wrong key is named, clips arrive, one of them in parts, and are read back elsewhere."""
    target = _target(swift)
    await check(target)
    await target.close()
    wrong = _target(swift, secret="wrong")
    with pytest.raises(TargetError) as caught:
        await check(wrong)
    await wrong.close()
    assert caught.value.cause is Cause.INVALID_AUTH
    events = [clips.add(number) for number in range(1, 6)]
    events.append(clips.add(9, size=11_000_000))
    async with RunningCopier(
        lambda: _target(swift), tmp_path / "one", clips
    ) as running:
        await running.offer(*events)
        await running.settled()
        changed = clips.change(events[0].event, labels=("Fox",))
        await running.offer(changed)
        await running.settled()
        assert sorted(running.copied) == sorted(clips.clips)
    async with RunningCopier(
        lambda: _target(swift), tmp_path / "two", Clips()
    ) as running:
        await running.until(lambda: running.copier.stats.copies == 6)
        for event, clip in clips.clips.items():
            assert await running.copier.read(event, 0, clip.size) == clip.data
            document = await running.copier.document(event)
            assert document.facts == clip.facts
