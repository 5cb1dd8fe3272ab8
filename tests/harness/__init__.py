"""What tests are made with; docs/design/testing.md says which to use when."""

import pytest

pytest.register_assert_rewrite("tests.harness")
