"""Initialisations: gate by gate, one bias only, on ours and on torch.nn's."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.utils import parametrizations

import seqgrad.nn as ours
from seqgrad import init

H = 8
GATES = {"RNN": "h", "ResidualRNN": "h", "GRU": "rzn", "LSTM": "ifgo"}
MODULES = {
    f"{where}.{name}{'Cell' * cell}": (
        lambda w=home, n=name + "Cell" * cell, c=cell: (
            getattr(w, n)(5, H) if c else getattr(w, n)(5, H, 2, bidirectional=True)
        )
    )
    for where, home in (("seqgrad", ours), ("torch", torch.nn))
    for name in GATES
    for cell in (False, True)
    if not (home is torch.nn and name == "ResidualRNN")
}
GATED = [name for name in MODULES if "RNN" not in name]


def suffixes(rnn) -> list[str]:
    return [""] if hasattr(rnn, "weight_hh") else ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]


def gates(rnn, name: str, kind: str) -> list[torch.Tensor]:
    letters = GATES[name.split(".")[1].removesuffix("Cell")]
    return [g for s in suffixes(rnn) for g in getattr(rnn, kind + s).detach().chunk(len(letters))]


def bias(rnn, name: str, gate: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    letters = GATES[name.split(".")[1].removesuffix("Cell")]
    both = [
        [getattr(rnn, kind + s).detach().chunk(len(letters)) for s in suffixes(rnn)] for kind in ("bias_ih", "bias_hh")
    ]
    return [(a[letters.index(gate)], b[letters.index(gate)]) for a, b in zip(*both, strict=True)]


@pytest.mark.parametrize("name", MODULES)
def test_orthogonal_makes_every_gate_orthogonal_and_touches_only_it(name: str):
    rnn = MODULES[name]()
    before = {k: v.clone() for k, v in rnn.state_dict().items()}
    assert init.orthogonal_(rnn, gain=0.5) is rnn
    for block in gates(rnn, name, "weight_hh"):
        torch.testing.assert_close(block @ block.T, 0.25 * torch.eye(H), rtol=0, atol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in rnn.state_dict().items() if "weight_hh" not in k)
    assert all(p.requires_grad and p.is_leaf for p in rnn.parameters())


@pytest.mark.parametrize("name", MODULES)
def test_xavier_draws_every_input_block_with_its_own_fans(name: str):
    rnn = MODULES[name]()
    before = {k: v.clone() for k, v in rnn.state_dict().items()}
    torch.manual_seed(0)
    assert init.xavier_(rnn) is rnn
    for block in gates(rnn, name, "weight_ih"):
        bound = math.sqrt(6 / sum(block.shape))
        assert block.abs().max() <= bound
        assert block.std() == pytest.approx(bound / math.sqrt(3), rel=0.25)
    assert all(torch.equal(v, before[k]) for k, v in rnn.state_dict().items() if "weight_ih" not in k)


@pytest.mark.parametrize("name", MODULES)
def test_identity_sets_every_gate_and_zeroes_the_biases(name: str):
    rnn = MODULES[name]()
    assert init.identity_(rnn, scale=0.9) is rnn
    assert all(torch.equal(block, 0.9 * torch.eye(H)) for block in gates(rnn, name, "weight_hh"))
    assert all(not v.any() for k, v in rnn.state_dict().items() if "bias" in k)


@pytest.mark.parametrize("name", GATED)
def test_forget_bias_sits_in_one_bias_of_the_keeping_gate(name: str):
    rnn = MODULES[name]()
    before = {k: v.clone() for k, v in rnn.state_dict().items()}
    assert init.forget_bias_(rnn, 1.5) is rnn
    for first, second in bias(rnn, name, "f" if "LSTM" in name else "z"):
        assert torch.equal(first, torch.full((H,), 1.5))
        assert not second.any()
    keep = slice(H, 2 * H)  # f of i f g o, z of r z n
    for k, v in rnn.state_dict().items():
        if "bias" in k:
            v[keep] = before[k][keep]
        assert torch.equal(v, before[k])


@pytest.mark.parametrize("name", GATED)
def test_chrono_biases_are_logs_up_to_t_and_the_input_gate_mirrors_them(name: str):
    rnn = MODULES[name]()
    torch.manual_seed(0)
    assert init.chrono_(rnn, 50) is rnn
    keep = bias(rnn, name, "f" if "LSTM" in name else "z")
    values = torch.cat([first for first, _ in keep])
    assert values.min() >= 0
    assert values.max() <= math.log(49)
    assert values.std() > 0.1
    assert not any(second.any() for _, second in keep)
    if "LSTM" in name:
        for (forget, _), (enter, zero) in zip(keep, bias(rnn, name, "i"), strict=True):
            assert torch.equal(enter, -forget)
            assert not zero.any()
    assert len({tuple(first.tolist()) for first, _ in keep}) == len(keep)


@pytest.mark.parametrize("name", MODULES)
def test_spectrum_reports_every_layer_direction_and_gate(name: str):
    rnn = MODULES[name]()
    init.orthogonal_(rnn, gain=1.25)
    found = init.recurrent_spectrum(rnn)
    assert list(found) == [s.lstrip("_") or "cell" for s in suffixes(rnn)]
    for per_gate in found.values():
        assert "".join(per_gate) == GATES[name.split(".")[1].removesuffix("Cell")]
        for spectrum in per_gate.values():
            assert tuple(spectrum) == pytest.approx((1.25, 1.25, 1.25), rel=1e-5)


def test_spectrum_of_known_matrices():
    rnn = ours.RNN(1, 2, dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.tensor([[0.5, 100.0], [0.0, 0.25]]))
    spectrum = init.recurrent_spectrum(rnn)["l0"]["h"]
    assert spectrum.radius == pytest.approx(0.5)  # not normal: a step can do far more than the long run
    assert spectrum.largest > 100
    assert spectrum.largest * spectrum.smallest == pytest.approx(0.125)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(2 * torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    assert tuple(init.recurrent_spectrum(rnn)["l0"]["h"]) == pytest.approx((2, 2, 2))  # a complex pair
    with torch.no_grad():
        rnn.weight_hh_l0[0, 0] = float("nan")
    assert math.isnan(init.recurrent_spectrum(rnn)["l0"]["h"].radius)


@pytest.mark.parametrize("kind", [ours.LSTM, torch.nn.LSTM])
def test_projection(kind: type):
    lstm = init.orthogonal_(kind(5, 8, proj_size=3))
    for block in lstm.weight_hh_l0.detach().chunk(4):
        torch.testing.assert_close(block.T @ block, torch.eye(3), rtol=0, atol=1e-5)
    singular = torch.linalg.svdvals(lstm.weight_hr_l0.detach())
    spectrum = init.recurrent_spectrum(lstm)["l0"]["f"]
    assert spectrum.largest == pytest.approx(float(singular[0]), rel=1e-5)
    assert spectrum.smallest == pytest.approx(0, abs=1e-6)


def test_half_precision_and_no_bias_and_parametrized_layers():
    half = init.orthogonal_(ours.GRU(5, 8, dtype=torch.bfloat16))
    assert init.recurrent_spectrum(half)["l0"]["n"].largest == pytest.approx(1, abs=2e-2)
    assert init.identity_(ours.RNN(5, 8, bias=False)).weight_hh_l0.equal(torch.eye(8))
    normed = parametrizations.weight_norm(ours.RNN(5, 8), "weight_hh_l0")
    init.orthogonal_(normed)
    assert tuple(init.recurrent_spectrum(normed)["l0"]["h"]) == pytest.approx((1, 1, 1), rel=1e-5)


def test_mistakes_are_named():
    with pytest.raises(TypeError, match=r"expected a recurrent layer or cell .* got Linear; pass the layer itself"):
        init.orthogonal_(torch.nn.Linear(2, 2))
    for function in (lambda r: init.forget_bias_(r), lambda r: init.chrono_(r, 9)):
        with pytest.raises(TypeError, match="needs a gate that keeps the state, and RNN has none"):
            function(torch.nn.RNN(2, 2))
        with pytest.raises(ValueError, match="was built with bias=False"):
            function(ours.LSTM(2, 2, bias=False))
    for value, error in ((1, ValueError), (float("nan"), ValueError), ("9", TypeError), (True, TypeError)):
        with pytest.raises(error, match="T must be a number of timesteps"):
            init.chrono_(ours.LSTM(2, 2), value)
