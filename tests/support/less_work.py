"""Hooks for schemathesis: what it sends is computed quickly, or requests that happen to be right would take hours."""

from __future__ import annotations

from typing import Any

import schemathesis

from api.schemas import MAX_ITEMS, MAX_STEPS
from api.settings import Settings

MOST = 2
"""Of steps, prompts and variants, where a request would have more."""
_BOUNDS = {"ddim_steps": MAX_STEPS, "fine_steps": MAX_STEPS, "n": Settings.model_fields["max_batch"].default}
"""More than these, or than MAX_ITEMS prompts, are refused, and are sent as they are."""
_COARSE = ("/batch_generate", "/jobs")
"""These make many shapes; what fine ones look like is seen elsewhere."""


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Asks for less work; all values that are wrong stay as they are."""
    body = case.body
    if not isinstance(body, dict):
        return
    if body.get("ddim_steps") is None:  # the default is many
        body["ddim_steps"] = MOST
    if case.path in _COARSE and body.get("use_fine") is None:
        body["use_fine"] = False
    prompts = body.get("prompts")
    if isinstance(prompts, list) and len(prompts) <= MAX_ITEMS:
        del prompts[MOST:]
    for fields in [body, *(prompts if isinstance(prompts, list) else [])]:
        if isinstance(fields, dict):
            _lessen(fields, coarse=case.path in _COARSE)


def _lessen(fields: dict[str, Any], coarse: bool) -> None:
    for name, bound in _BOUNDS.items():
        value = fields.get(name)
        if isinstance(value, int | float) and MOST < value <= bound:
            fields[name] = MOST
    if coarse and fields.get("use_fine") is True:
        fields["use_fine"] = False
