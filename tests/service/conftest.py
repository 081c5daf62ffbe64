from __future__ import annotations

from pathlib import Path

import pytest

TEST_SECONDS = 300
"""A test of services takes seconds, but minutes where the machine has other work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives the tests of this folder their time, where they do not ask for more."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
