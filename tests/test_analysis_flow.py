"""Information flow: autograd's Jacobian of the layer, a shift register that forgets exactly, left-out fits."""

from __future__ import annotations

import math

import pytest
import torch

import seqgrad as sg
from seqgrad import analysis
from seqgrad.analysis import _flow
from seqgrad.analysis._flow import leave_one_out

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


LAYERS = {
    "rnn": lambda **o: sg.RNN(2, 4, **o),
    "residual": lambda **o: sg.ResidualRNN(2, 4, residual_scale=0.3, **o),
    "gru": lambda **o: sg.GRU(2, 4, **o),
    "projected": lambda **o: sg.LSTM(2, 4, proj_size=3, **o),
    "torch": lambda **o: torch.nn.LSTM(2, 4, **o),
}


def brute(rnn, x, row: int, n: int, length: int):
    """[T] Frobenius norms of d h_end / d x_t of one sample, by torch.autograd.functional.jacobian on it alone."""

    def last(alone):
        state = rnn(alone)[1]
        return (state[0] if isinstance(state, tuple) else state)[row, 0]

    jacobian = torch.autograd.functional.jacobian(last, x[:length, n : n + 1])  # [P, T', 1, I]
    found = torch.full((x.shape[0],), math.nan, dtype=F64)
    found[:length] = jacobian.squeeze(2).transpose(0, 1).flatten(1).norm(dim=1)
    return found


@pytest.mark.parametrize("kind", LAYERS)
def test_sensitivity_is_the_norm_of_the_jacobian_of_the_whole_stack(kind: str):
    rnn, x = LAYERS[kind](num_layers=2, dtype=F64), torch.randn(7, 3, 2, dtype=F64)
    found = analysis.information_flow(rnn, x)
    assert found.layer == "l1" and found.sensitivity.shape == (7, 3)
    expected = torch.stack([brute(rnn, x, 1, n, 7) for n in range(3)], 1)
    torch.testing.assert_close(found.sensitivity, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize(("layer", "row"), [("l0", 0), ("l0_reverse", 1), ("l1", 2), ("l1_reverse", 3)])
def test_every_layer_and_direction_with_samples_that_end_early(layer: str, row: int):
    rnn, x = sg.GRU(2, 4, num_layers=2, bidirectional=True, dtype=F64), torch.randn(7, 3, 2, dtype=F64)
    found = analysis.information_flow(rnn, x, layer=layer, lengths=[7, 3, 0])
    assert found.reverse is layer.endswith("reverse")
    for n, length in ((0, 7), (1, 3)):
        expected = brute(rnn, x, row, n, length)
        torch.testing.assert_close(found.sensitivity[:, n], expected, rtol=1e-10, atol=0, equal_nan=True)
    assert found.sensitivity[:, 2].isnan().all()


def test_sensitivity_is_the_product_of_the_step_jacobians():
    rnn, x = sg.RNN(2, 4, dtype=F64), torch.randn(20, 3, 2, dtype=F64)
    jacobians = analysis.step_jacobians(rnn, x)
    slope = 1 - rnn(x)[0].detach().square()
    into = slope.unsqueeze(-1) * rnn.weight_ih_l0.detach()
    expected = (analysis.products(jacobians) @ into).flatten(2).norm(dim=-1)
    torch.testing.assert_close(analysis.information_flow(rnn, x).sensitivity, expected, rtol=1e-10, atol=0)


def test_blocks_of_units_give_what_all_at_once_give(monkeypatch):
    rnn, x = sg.LSTM(2, 5, dtype=F64), torch.randn(6, 3, 2, dtype=F64)
    whole = analysis.information_flow(rnn, x).sensitivity
    monkeypatch.setattr(_flow, "_ROOM", 6 * 3 * 5 * 2)
    torch.testing.assert_close(analysis.information_flow(rnn, x).sensitivity, whole, rtol=1e-13, atol=0)


@pytest.mark.parametrize("lengths", [None, [6, 3, 5, 6, 2, 6]])
def test_the_sensitivity_of_some_samples_only_is_that_of_these(lengths):
    rnn, x = sg.LSTM(2, 4, dtype=F64), torch.randn(6, 6, 2, dtype=F64)
    whole = analysis.information_flow(rnn, x, lengths=lengths)
    some = analysis.information_flow(rnn, x, lengths=lengths, samples=2)
    torch.testing.assert_close(some.sensitivity[:, :2], whole.sensitivity[:, :2], rtol=1e-13, atol=0, equal_nan=True)
    assert some.sensitivity[:, 2:].isnan().all() and torch.equal(some.probe, whole.probe)
    alone = analysis.information_flow(rnn, x[:, :2], lengths=None if lengths is None else lengths[:2])
    torch.testing.assert_close(some.by_lag(), alone.by_lag(), rtol=1e-13, atol=0)
    for wrong, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="samples must be a"):
            analysis.information_flow(rnn, x, samples=wrong)


def test_nan_is_not_averaged_away():
    rnn, x = sg.GRU(2, 4, dtype=F64), torch.randn(6, 5, 2, dtype=F64)
    x[3, 2] = math.nan
    flow = analysis.information_flow(rnn, x)
    assert flow.sensitivity[:, 2].isnan().any() and flow.sensitivity[:, :2].isfinite().all()
    assert flow.by_step().isnan().any() and flow.by_lag().isnan().any() and flow.probe.isnan().all()


def test_a_linear_network_forgets_by_its_power_law_far_below_float32():  # A1
    q = torch.linalg.qr(torch.randn(4, 4, dtype=F64))[0]
    rnn = sg.RNN(2, 4, bias=False)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.25 * q)
        rnn.weight_ih_l0.copy_(torch.eye(4)[:, :2])
    flow = analysis.information_flow(rnn, torch.zeros(120, 2, 2))
    lag = torch.arange(119, -1, -1, dtype=F64)
    expected = math.sqrt(2) * 0.25**lag
    torch.testing.assert_close(flow.by_step(), expected, rtol=1e-4, atol=0)  # W is orthogonal to float32 only
    torch.testing.assert_close(flow.by_lag(), flow.by_step().flip(0), rtol=1e-12, atol=0)


def test_a_shift_register_remembers_as_many_inputs_as_it_has_places():
    places, steps = 5, 12
    rnn = sg.RNN(1, places, nonlinearity="relu", bias=False, dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(torch.diag(torch.ones(places - 1, dtype=F64), -1))
        rnn.weight_ih_l0.zero_()[0] = 1
    x = torch.rand(steps, 200, 1, dtype=F64)  # relu is linear on positive numbers
    flow = analysis.information_flow(rnn, x)
    kept = torch.arange(steps) >= steps - places
    torch.testing.assert_close(flow.sensitivity, kept.double().unsqueeze(1).expand(steps, 200), rtol=1e-12, atol=0)
    assert (flow.probe[kept] > 1 - 1e-10).all()
    assert (flow.probe[~kept] < 0.05).all()  # independent of the state; the best of six fits may flatter a little
    state = x[-places:].flip(0).squeeze(-1)
    assert flow.spread[-1] == pytest.approx(float(state.var(1, correction=0).mean().sqrt()), rel=1e-12)


def test_the_probe_equals_fits_that_really_leave_each_sample_out():
    count, width, features = 9, 4, 2
    state, target = torch.randn(count, width, dtype=F64), torch.randn(count, 3, features, dtype=F64)
    target[:, 0] += (state @ torch.randn(width, features, dtype=F64)) * 2
    found = leave_one_out(state, target)
    top = torch.linalg.svdvals(state - state.mean(0))[0].square()
    best = torch.full((3,), -math.inf, dtype=F64)
    for strength in _flow._STRENGTHS:
        error, base = torch.zeros(3, dtype=F64), torch.zeros(3, dtype=F64)
        for n in range(count):
            rest = [k for k in range(count) if k != n]
            x, y = state[rest], target[rest]
            mx, my = x.mean(0), y.mean(0)
            gram = (x - mx).T @ (x - mx) + strength * top * torch.eye(width, dtype=F64)
            w = torch.linalg.solve(gram, (x - mx).T @ (y - my).flatten(1))
            guess = ((state[n] - mx) @ w).view(3, features) + my
            error += (target[n] - guess).square().sum(1)
            base += (target[n] - my).square().sum(1)
        best = torch.maximum(best, 1 - error / base)
    torch.testing.assert_close(found, best, rtol=1e-9, atol=1e-12)
    assert found[0] > 0.8


def test_more_units_than_samples_does_not_pass_for_knowledge():
    noise, target = torch.randn(20, 64, dtype=F64), torch.randn(20, 5, 1, dtype=F64)
    assert (leave_one_out(noise, target) < 0.3).all()


@pytest.mark.parametrize(
    ("features", "target", "expected"),
    [
        (torch.zeros(8, 3), torch.randn(8, 1, 1), 0.0),  # a state that never differs: the mean is all there is
        (torch.randn(8, 3), torch.ones(8, 1, 1), math.nan),  # nothing to explain
        (torch.full((8, 3), math.nan), torch.randn(8, 1, 1), math.nan),
    ],
)
def test_degenerate_probes(features, target, expected):
    found = leave_one_out(features.double(), target.double()).item()
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_samples_that_end_early_are_probed_among_those_that_are_there():
    rnn, x = sg.GRU(1, 3, dtype=F64), torch.randn(6, 12, 1, dtype=F64)
    lengths = torch.tensor([6] * 8 + [4] * 2 + [1, 0])
    flow = analysis.information_flow(rnn, x, lengths=lengths)
    alone = analysis.information_flow(rnn, x[:, :8])
    torch.testing.assert_close(flow.probe[4:], alone.probe[4:], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(flow.spread[4:], alone.spread[4:], rtol=1e-12, atol=0)
    few = analysis.information_flow(rnn, x[:, :2])
    assert few.probe.isnan().all() and few.sensitivity.isfinite().all()
    assert flow.by_step().isfinite().all() and len(flow.by_lag()) == 6


def test_the_result_prints_and_becomes_a_frame_and_the_layer_stays_as_it_was():
    rnn, x = sg.RNN(2, 4, dtype=torch.bfloat16), torch.randn(5, 12, 2, dtype=torch.bfloat16)
    with sg.record(rnn) as rec:
        flow = analysis.information_flow(rnn, x)
    assert not rec and all(p.grad is None for p in rnn.parameters())
    assert repr(flow).startswith("<InformationFlow into the last state of 'l0': T=5, N=12, sensitivity ")
    table = flow.to_pandas()
    assert list(table.columns) == ["layer", "t", "sensitivity", "probe", "spread"]
    assert table.sensitivity.tolist() == flow.by_step().tolist()
    with torch.no_grad():  # needs a graph of its own, whatever the mode around it
        assert torch.equal(analysis.information_flow(rnn, x).sensitivity, flow.sensitivity)


def test_mistakes_are_named():
    with pytest.raises(TypeError, match="information_flow expects a recurrent layer"):
        analysis.information_flow(torch.nn.Linear(2, 2), torch.zeros(2, 1, 2))
    with pytest.raises(ValueError, match="layer must be one of 'l0', got 'l2'"):
        analysis.information_flow(sg.GRU(2, 2), torch.zeros(2, 1, 2), layer="l2")
