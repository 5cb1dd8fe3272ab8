"""The package stands on its own, and its libraries are loaded by nobody but their targets."""

from tests.harness.alone import import_alone, run_without


def test_imports() -> None:
    """Without Home Assistant and its neighbors; without S3 and WebDAV until they are needed."""
    import_alone("copies")
    run_without(
        *("aiobotocore", "botocore", "aiowebdav2", "aiohttp"),
        code="""
import importlib
import pkgutil
import copies

for module in pkgutil.walk_packages(copies.__path__, "copies."):
    if module.name not in ("copies.s3", "copies.webdav"):
        importlib.import_module(module.name)
""",
    )
