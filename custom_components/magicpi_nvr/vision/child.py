"""The child's entry point: `python -I child.py JSON`, requests on standard input, answers on standard output.

Run as a file, so that nothing of the integration around this folder is imported. What it imports itself is little:
somebody waits for its first answer.
"""

import importlib
import json
import os
import sys
from types import ModuleType

_NAME = "magicpi_vision"


def _package() -> None:
    """Make this folder a package of another name: the one above it belongs to Home Assistant."""
    package = ModuleType(_NAME)
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120
    sys.modules[_NAME] = package


def main() -> int:
    """Answer until standard input ends."""
    # {"model": [[file, SHA-256], [file, SHA-256]] or null, "eager": answers, "path": [folder, ...]};
    # argparse alone takes a tenth of the start
    options = json.loads(sys.argv[1])
    # Where Home Assistant finds its packages; behind Python's own, so that none of them takes their place
    sys.path += [path for path in options["path"] if path not in sys.path]
    _package()
    # One thread each: a second core belongs to the encoder
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    lanes = importlib.import_module(f"{_NAME}.lanes")
    result: int = lanes.serve(options["model"], options["eager"])
    return result


if __name__ == "__main__":
    raise SystemExit(main())
