"""The broken-model zoo: the instrument names cause, place and timestep in each, and keeps silent on the healthy."""

from __future__ import annotations

import pytest
import torch
from zoo import BROKEN, Specimen
from zoo_healthy import HEALTHY


@pytest.mark.parametrize("specimen", BROKEN, ids=lambda s: s.name.replace(" ", "_"))
def test_the_instrument_names_cause_place_and_timestep(specimen: Specimen) -> None:
    torch.manual_seed(0)
    found = specimen.run()
    assert found, "nothing was found"
    first = found[0]
    assert (first.rule, first.module, first.series, first.t) == (
        specimen.rule, specimen.module, specimen.series, specimen.t,
    ), [str(finding) for finding in found]  # fmt: skip
    assert first.severity == specimen.severity
    if specimen.sample is not None:
        assert first.sample == specimen.sample
    assert first.message.endswith(f": {first.action}")


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("name", ["batch and time swapped", "closed output gate"])
def test_causes_that_hang_on_the_draw_are_named_for_other_seeds_too(name: str, seed: int) -> None:
    (specimen,) = [one for one in BROKEN if one.name == name]
    torch.manual_seed(seed if name.startswith("batch") else 15 + seed)  # 16: a gradient below LossScale's limit
    first = specimen.run()[0]
    assert (first.rule, first.series, first.t) == (specimen.rule, specimen.series, specimen.t)


@pytest.mark.parametrize("train", HEALTHY, ids=lambda train: train.__name__)
def test_the_instrument_is_silent_on_the_healthy(train) -> None:
    torch.manual_seed(0)
    assert [str(finding) for finding in train() if finding.severity != "info"] == []
