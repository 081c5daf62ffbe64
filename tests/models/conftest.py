from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny networks gain nothing from threads, and lose a lot to them where other processes want the same cores."""
    torch.set_num_threads(1)
