"""The package stands on its own, and its libraries are loaded by nobody but their targets."""

from pathlib import Path
import subprocess
import sys

import custom_components.magicpi_nvr.copies as package

FOLDER = Path(package.__file__).parent.parent

ALONE = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("homeassistant", "custom_components", "recording", "gateway", "vision", "live"):
            raise ImportError(name)

sys.meta_path.insert(0, Wall())
import importlib
import pkgutil
import copies

modules = [module.name for module in pkgutil.walk_packages(copies.__path__, "copies.")]
for name in modules:
    if name not in ("copies.s3", "copies.webdav"):
        importlib.import_module(name)
for library in ("aiobotocore", "botocore", "aiowebdav2", "aiohttp"):
    assert library not in sys.modules, library
for name in ("copies.s3", "copies.webdav"):
    importlib.import_module(name)
print("alone")
"""


def test_imports() -> None:
    """Without Home Assistant and its neighbors; without S3 and WebDAV until they are needed."""
    result = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "alone\n", result.stderr
