"""What tests of the service's parts leave behind is closed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _stores_are_closed() -> Iterator[None]:
    yield
    if (stores := sys.modules.get("tests.support.job_store")) is not None:
        stores.close_stores()
