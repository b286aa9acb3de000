"""Clipping of parameter gradients, and the settings of per-step clipping."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqgrad
from seqgrad.clip import Norm, Value, grad_norm_, grad_value_

NAN, INF = float("nan"), float("inf")


def model(*values: float) -> torch.nn.Module:
    """A layer of 2 + 1 parameters whose gradient has these values, repeated."""
    layer = torch.nn.Linear(2, 1)
    layer.weight.grad = torch.tensor([[values[0], values[1 % len(values)]]])
    layer.bias.grad = torch.tensor([values[2 % len(values)]])
    return layer


def gradient(layer: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in layer.parameters()])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3),
    st.floats(1e-3, 1e3),
    st.sampled_from(["raise", "skip", "keep"]),
)
def test_norm_clipping_is_torchs(values, max_norm, nonfinite):
    mine = model(*values)
    theirs = copy.deepcopy(mine)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        q.grad = p.grad.clone()
    got = grad_norm_(mine.parameters(), max_norm, nonfinite)
    assert torch.equal(got, torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm))
    assert torch.equal(gradient(mine), gradient(theirs))
    assert gradient(mine).norm() <= max_norm * (1 + 1e-5)


def test_norm_clipping_returns_the_norm_before_and_keeps_the_direction():
    layer = model(3.0, 4.0, 12.0)
    assert grad_norm_(layer, 1.0).item() == pytest.approx(13.0)
    torch.testing.assert_close(gradient(layer), torch.tensor([3.0, 4.0, 12.0]) / 13)
    assert grad_norm_(layer, 5.0).item() == pytest.approx(1.0)
    torch.testing.assert_close(gradient(layer), torch.tensor([3.0, 4.0, 12.0]) / 13)


def test_value_clipping_bends_the_direction():
    layer = model(3.0, -4.0, 0.5)
    assert grad_value_(layer, 1.0) is None
    assert gradient(layer).tolist() == [1.0, -1.0, 0.5]
    layer = model(NAN, INF, -INF)
    grad_value_(layer, 2.0)
    assert gradient(layer)[0].isnan()
    assert gradient(layer)[1:].tolist() == [2.0, -2.0]


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_raise_names_the_parameter_and_leaves_the_gradients(bad: float):
    layer = model(1.0, 2.0, bad)
    for params, name in (
        (layer, "bias"),
        (layer.named_parameters(), "bias"),
        (layer.parameters(), "#1 of 2"),
        (layer.bias, "given"),
    ):
        with pytest.raises(RuntimeError, match=rf"gradient of parameter {name} \(shape \[1\]\) is not finite: "):
            grad_norm_(params, 1.0)
    assert gradient(layer)[:2].tolist() == [1.0, 2.0]
    assert not gradient(layer)[2].isfinite()
    with pytest.raises(RuntimeError, match=r"1 NaN and 1 Inf among 2 elements"):
        grad_norm_(model(NAN, INF, 1.0), 1.0)


def test_skip_makes_the_coming_step_change_nothing():
    layer = model(1.0, 2.0, 3.0)
    optimizer = torch.optim.Adam(layer.parameters(), weight_decay=0.1)
    optimizer.step()
    before = [p.clone() for p in layer.parameters()]
    layer.bias.grad.fill_(NAN)
    assert not grad_norm_(layer, 1.0, nonfinite="skip").isfinite()
    assert all(p.grad is None for p in layer.parameters())
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), before, strict=True))
    layer = model(3.0, 4.0, 12.0)
    assert grad_norm_(layer, 1.0, nonfinite="skip").item() == pytest.approx(13.0)
    assert gradient(layer).norm().item() == pytest.approx(1.0)


def test_keep_does_as_torch_does():
    layer = model(1.0, INF, 2.0)
    assert grad_norm_(layer, 1.0, nonfinite="keep").isinf()
    assert gradient(layer)[[0, 2]].tolist() == [0.0, 0.0]
    assert gradient(layer)[1].isnan()
    layer = model(1.0, NAN, 2.0)
    assert grad_norm_(layer, 1.0, nonfinite="keep").isnan()
    assert gradient(layer).isnan().all()


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_norm_beyond_the_dtype_is_measured_and_clipped_all_the_same(nonfinite: str):
    layer = model(3e38, 2e38, 1e38)
    norm = grad_norm_(layer, 1.0, nonfinite)
    assert norm.item() == pytest.approx(14**0.5 * 1e38)
    torch.testing.assert_close(gradient(layer), torch.tensor([3.0, 2.0, 1.0]) / 14**0.5)


def test_parameters_without_gradient_and_empty_lists_are_fine():
    layer = torch.nn.Linear(2, 1)
    assert grad_norm_(layer, 1.0).item() == 0
    assert grad_norm_([], 1.0).item() == 0
    grad_value_(layer, 1.0)
    layer.bias.grad = torch.tensor([5.0])
    assert grad_norm_(iter(layer.parameters()), 1.0).item() == 5
    assert layer.bias.grad.item() == pytest.approx(1)
    assert grad_norm_(layer, INF).item() == pytest.approx(1)
    grad_norm_(layer, 0)
    assert layer.bias.grad.item() == 0


@pytest.mark.parametrize("value", [-1.0, NAN, -INF])
def test_a_negative_or_nan_limit_raises_everywhere(value: float):
    layer = model(1.0)
    for call in (
        lambda: grad_norm_(layer, value),
        lambda: grad_value_(layer, value),
        lambda: Norm(value),
        lambda: Value(value),
    ):
        with pytest.raises(ValueError, match=r"must be a (positive number|number >= 0), got"):
            call()
    assert gradient(layer).tolist() == [1.0, 1.0, 1.0]


def test_zero_is_no_limit_per_step_and_bad_kinds_are_named():
    for call in (lambda: Norm(0), lambda: Value(0.0), lambda: grad_value_([], 0)):
        with pytest.raises(ValueError, match="positive number"):
            call()
    for call in (lambda: Norm("1"), lambda: Value(True), lambda: grad_norm_([], "1"), lambda: grad_norm_([], None)):
        with pytest.raises(TypeError, match="number"):
            call()
    with pytest.raises(ValueError, match='nonfinite must be "raise", "skip" or "keep", got \'drop\''):
        grad_norm_([], 1.0, nonfinite="drop")
    with pytest.raises(TypeError, match="params must be a module, a tensor or an iterable of tensors, got int"):
        grad_norm_(3, 1.0)
    with pytest.raises(TypeError, match=r"params must hold tensors or \(name, tensor\) pairs, got str at 1"):
        grad_norm_([torch.ones(1), "a"], 1.0)


def test_settings_are_values_that_print_compare_and_stay():
    assert Norm(1.0) == Norm(1.0) != Norm(2.0)
    assert repr(Value(0.5)) == "Value(clip_value=0.5)"
    with pytest.raises(AttributeError):
        Norm(1.0).max_norm = 2.0


def test_numpy_scalars_are_numbers():
    assert Norm(np.float32(0.5)).max_norm == Norm(0.5).max_norm
    assert Value(np.int64(2)) == Value(2)
    layer = model(3.0, 4.0)
    assert grad_norm_(layer, np.float32(1.0)).item() == pytest.approx(math.hypot(3, 4, 3), rel=1e-6)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM", "ResidualRNN"])
@pytest.mark.parametrize("limit", [1e-3, 0.1, 1e3, INF])
def test_hits_of_a_norm_are_the_places_whose_gradient_was_above_it(cell: str, limit: float):
    rnn = getattr(seqgrad, cell)(3, 5, state_clip=Norm(limit), dtype=torch.float64)
    with seqgrad.record(rnn) as rec:
        rnn(torch.randn(9, 4, 3, dtype=torch.float64), lengths=[9, 4, 0, 7])[0].square().sum().backward()
    series = rec["l0"]
    assert torch.equal(series.clip_hits, (series.grad_h > limit).double())
    assert rec.clip_hits == {"l0": int((series.grad_h > limit).sum())}
    if limit == 1e-3:
        assert 0 < rec.clip_hits["l0"] <= 9 + 4 + 7
    if limit == INF:
        assert rec.clip_hits["l0"] == 0


def test_hits_of_a_value_count_the_elements_it_clamped():
    rnn = seqgrad.RNN(1, 3, bias=False, state_clip=Value(0.5), dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.eye(3))
    with seqgrad.record(rnn) as rec:
        out, _ = rnn(torch.zeros(4, 1, 1, dtype=torch.float64))
        (out[-1] * torch.tensor([2.0, -1.0, 0.25])).sum().backward()
    assert rec["l0"].clip_hits.flatten().tolist() == [0, 0, 0, 2]  # carried on at 0.5, which is no more than allowed
    assert rec.clip_hits == {"l0": 2}
    torch.testing.assert_close(rec["l0"].grad_h[0, 0].item(), math.sqrt(0.5**2 * 2 + 0.25**2))
