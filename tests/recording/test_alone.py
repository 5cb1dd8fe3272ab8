"""The package stands on its own."""

from tests.harness.alone import import_alone


def test_imports_without_home_assistant() -> None:
    """Put on the path alone, every module is imported."""
    import_alone("recording")
