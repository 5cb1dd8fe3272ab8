"""What breaks around a whole Home Assistant with cameras: what is lost, what is told, and that it recovers."""

import pytest

pytest.register_assert_rewrite("tests.faults.proof")
