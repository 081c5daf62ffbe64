"""What an outcome says to clients."""

from __future__ import annotations

import pytest

from api.messages import failure
from models.errors import CheckpointError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/me/checkpoints/demo_coarse/config.yaml: no unet", "demo_coarse/config.yaml: no unet"),
        ("in '/srv/store/models/xcube-fine/ab12/model.safetensors' (again)", "in 'ab12/model.safetensors' (again)"),
        (
            "ask https://example.org/a/b/c or /jobs/id, 1/2/3 times",
            "ask https://example.org/a/b/c or /jobs/id, 1/2/3 times",
        ),
    ],
)
def test_clients_are_not_told_where_this_machine_keeps_its_files(text: str, told: str) -> None:
    assert failure(CheckpointError(text)) == ("models_unavailable", told)
