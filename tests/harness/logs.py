"""What a test leaves in the log."""

import logging

import pytest


def assert_no_errors(
    caplog: pytest.LogCaptureFixture,
    *,
    logger: str = "",
    exceptions_from: int = logging.WARNING,
) -> None:
    """No error, and no exception from a level on, was logged by a logger or below it."""
    errors = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)  # type: ignore[arg-type]
        if record.name.startswith(logger)
        and (
            record.levelno >= logging.ERROR
            or (record.exc_info and record.levelno >= exceptions_from)
        )
    ]
    assert not errors
