"""The library's fixtures serve here too."""

from tests.recording.library.conftest import large, library, place, recordings, small  # noqa: F401
