"""A given shape on its way to a latent, in slices of a Sampler's time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import ModelsChanged, TooManyVoxels
from api.given import Variation
from api.messages import Fitted, Unfitted
from api.sampler.engine import Engine
from models.fitting import Fit, fitted
from models.shape import Voxels
from models.state import DiffusionState
from models.strength import FIT_STEPS
from tests.support.engines import ORDER, finish, generate, loaded

pytestmark = pytest.mark.usefixtures("store")


def test_slices_find_the_latent_that_is_found_at_once_and_it_can_be_varied(engine: Engine) -> None:
    coarse, _ = generate(engine, ORDER)
    found, slices = Fitted(), 0
    while not found.latent:
        if slices < 3:
            engine.times.forget()  # as long as nothing was measured a slice is one step
        before, found = found.step, engine.fit(Unfitted(coarse=coarse.voxels, fit=found.fit))
        found.check()
        slices += 1
        assert found.step == before + 1 or slices > 3
    assert found.step == FIT_STEPS
    state = DiffusionState.from_bytes(found.latent)
    whole, _ = fitted(engine.models.coarse(), Voxels.from_bytes(coarse.voxels))
    assert (state.x == whole.x).all()
    variation = Variation(latent=found.latent, strength=0.5)
    begun = engine.begin(ORDER.model_copy(update={"variation": variation, "seed": 5}))
    begun.check()
    assert begun.step == ORDER.ddim_steps // 2
    engine.decode(finish(engine, begun).state).check()


def test_a_shape_of_too_many_voxels_and_a_fit_of_other_models_are_refused(engine: Engine, tiny_models: Path) -> None:
    coarse, _ = generate(engine, ORDER)
    begun = engine.fit(Unfitted(coarse=coarse.voxels))
    strange = replace(Fit.from_bytes(begun.fit), weights="others").to_bytes()
    with pytest.raises(ModelsChanged):
        engine.fit(Unfitted(coarse=coarse.voxels, fit=strange)).check()
    assert engine.fit(Unfitted(coarse=coarse.voxels, fit=b"none")).code == "unreadable_state"
    with pytest.raises(TooManyVoxels, match="The coarse shape has"):
        loaded(tiny_models, max_voxels=1).fit(Unfitted(coarse=coarse.voxels)).check()
