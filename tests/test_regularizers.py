"""Omega: the paper's formula, its immediate derivative and no other, and what it drives the network towards."""

from __future__ import annotations

import math

import pytest
import torch

import seqgrad as sg
from seqgrad import analysis
from seqgrad.analysis._deltas import deltas
from seqgrad.regularizers import normalised, omega, ratio_penalty

F64 = torch.float64
LAYERS = {
    "rnn_tanh": lambda **o: sg.RNN(3, 5, **o),
    "rnn_relu": lambda **o: sg.RNN(3, 5, nonlinearity="relu", **o),
    "residual": lambda **o: sg.ResidualRNN(3, 5, residual_scale=0.4, **o),
    "gru": lambda **o: sg.GRU(3, 5, **o),
    "lstm": lambda **o: sg.LSTM(3, 5, **o),
    "projected": lambda **o: sg.LSTM(3, 5, proj_size=2, **o),
    "torch": lambda **o: torch.nn.RNN(3, 5, **o),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def problem(kind: str, steps: int = 6, batch: int = 3, **options):
    rnn = LAYERS[kind](dtype=F64, **options)
    x = torch.randn(steps, batch, 3, dtype=F64)
    return rnn, x, rnn(x)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_value_is_the_papers_ratio_of_norms(kind: str, squared: bool):
    rnn, x, output = problem(kind)
    v = torch.randn_like(output[0])
    loss = (output[0] * v).sum()
    jacobians = analysis.step_jacobians(rnn, x)
    one = deltas(rnn, x, output, loss, None, lengths=None)["l0"]
    d = one.grad_h if one.grad_c is None else torch.cat([one.grad_h, one.grad_c], -1)
    ratio = torch.einsum("tna,tnab->tnb", d, jacobians).norm(dim=-1) / d.norm(dim=-1)
    expected = ((ratio.square() if squared else ratio) - 1).square().mean()
    found = omega(rnn, x, output, loss, squared=squared)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert found.dim() == 0 and found.requires_grad


def test_a_loss_at_the_last_step_of_a_linear_network_gives_the_distance_of_rho_from_1():  # A1
    rnn = sg.RNN(3, 5, bias=False, dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.7 * torch.linalg.qr(torch.randn(5, 5, dtype=F64))[0])
    out, _ = rnn(torch.zeros(400, 2, 3, dtype=F64))
    loss = out[-1].sum()
    assert omega(rnn, torch.zeros(400, 2, 3, dtype=F64), out, loss).item() == pytest.approx(0.3**2, rel=1e-12)
    assert omega(rnn, torch.zeros(400, 2, 3, dtype=F64), out, loss * 1e-30, squared=True).item() == pytest.approx(
        (0.49 - 1) ** 2, rel=1e-12
    )


def test_ratios_are_right_where_float32_gradients_have_long_vanished():
    rnn = sg.RNN(1, 4, bias=False)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.5 * torch.eye(4))
    x = torch.zeros(500, 1, 1)  # 2^-500 is no float32
    out, _ = rnn(x)
    assert omega(rnn, x, out, out[-1].sum()).item() == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("squared", [False, True])
def test_only_the_immediate_derivative_reaches_only_the_recurrent_weights(kind: str, squared: bool):
    rnn, x, output = problem(kind)
    loss = output[0].square().sum()
    omega(rnn, x, output, loss, squared=squared).backward()
    assert {name for name, p in rnn.named_parameters() if p.grad is not None} == {"weight_hh_l0"}
    # The immediate derivative by hand: d_t, states and gates held, one entry of W_hh moved.
    one = deltas(rnn, x, output, loss, None, lengths=None)["l0"]
    planes, kept, other, valid = normalised(one)
    w, step = rnn.weight_hh_l0.detach().clone(), 1e-6
    for place in [(0, 0), (2, 1), (4, 0)]:
        ends = []
        for sign in (1, -1):
            moved = w.clone()
            moved[place] += sign * step
            ends.append(float(ratio_penalty(moved, planes, kept, other, valid, squared)))
        assert rnn.weight_hh_l0.grad[place].item() == pytest.approx(
            (ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9
        )


@pytest.mark.parametrize("kind", ["rnn_tanh", "residual", "gru", "projected"])
def test_gradcheck(kind: str):
    rnn, x, output = problem(kind)
    one = deltas(rnn, x, output, output[0].square().sum(), None, lengths=None)["l0"]
    parts = normalised(one)
    w = rnn.weight_hh_l0.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: ratio_penalty(w, *parts, False), w)
    assert torch.autograd.gradcheck(lambda w: ratio_penalty(w, *parts, True), w)


def test_all_layers_directions_and_lengths_take_part():
    rnn, x, _ = problem("gru", num_layers=2, bidirectional=True)
    lengths = [6, 2, 0]
    output = rnn(x, lengths=lengths)
    loss = sum(t.sum() for t in output)
    each = {
        name: omega(rnn, x, output, loss, layer=name, lengths=lengths)
        for name in ("l0", "l0_reverse", "l1", "l1_reverse")
    }
    whole = omega(rnn, x, output, loss, lengths=lengths)
    assert whole.item() == pytest.approx(sum(v.item() for v in each.values()) / 4, rel=1e-12)
    whole.backward()
    assert all((p.grad is not None) == ("weight_hh" in name) for name, p in rnn.named_parameters())
    # a padded sample counts as it does alone, weighted by its steps
    single = sg.GRU(3, 5, dtype=F64)
    both = single(x[:, :2], lengths=[6, 2])
    alone = [single(x[:length, n : n + 1]) for n, length in ((0, 6), (1, 2))]
    parts = [omega(single, x[: len(o[0]), n : n + 1], o, o[1].sum()).item() for n, o in enumerate(alone)]
    mixed = omega(single, x[:, :2], both, both[1].sum(), lengths=[6, 2]).item()
    assert mixed == pytest.approx((6 * parts[0] + 2 * parts[1]) / 8, rel=1e-12)


def test_truncated_steps_are_left_out():
    rnn, x, output = problem("rnn_tanh", steps=9, truncate=3)
    one = deltas(rnn, x, output, output[0].sum(), None, lengths=None)["l0"]
    valid = normalised(one)[3]
    assert valid.all(1).tolist() == [True, True, True, False, True, True, False, True, True]


def test_nothing_to_measure_gives_zero_and_dead_units_no_nan():
    rnn, x, output = problem("rnn_relu")
    assert omega(rnn, x, output, output[0].sum() * 0).item() == 0  # d_t = 0 everywhere
    with torch.no_grad():
        rnn.bias_ih_l0.fill_(-100.0)
    output = rnn(x)
    found = omega(rnn, x, output, output[0].sum())
    found.backward()
    assert found.item() == 1  # the ratio is 0
    assert not rnn.weight_hh_l0.grad.any()
    bad = omega(rnn, x, output, output[0].sum() * math.inf)
    assert bad.item() == 0


def test_the_loss_can_still_be_backpropagated_and_parametrized_weights_are_reached():
    rnn, x, _ = problem("gru")
    torch.nn.utils.parametrizations.spectral_norm(rnn, "weight_hh_l0", n_power_iterations=1)
    output = rnn(x)
    loss = output[0].square().mean()
    (loss + 0.1 * omega(rnn, x, output, loss)).backward()
    assert rnn.parametrizations.weight_hh_l0.original.grad.any()
    assert rnn.weight_ih_l0.grad.any()


@pytest.mark.parametrize(("start", "drive"), [(0.4, 0.1), (1.8, 1e-10)])  # the second stays clear of saturation
def test_it_drives_the_ratio_to_1_and_the_norms_up_by_decades_or_down(start: float, drive: float):
    rnn = sg.RNN(2, 16, bias=False)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(start * torch.linalg.qr(torch.randn(16, 16))[0])
        rnn.weight_ih_l0.mul_(drive)
    x, v = torch.randn(30, 8, 2), torch.randn(16)
    optimizer = torch.optim.SGD([rnn.weight_hh_l0], lr=0.3)

    def ratio() -> float:
        with sg.record(rnn) as rec:
            (rnn(x)[0][-1] @ v).sum().backward()
        return rec.ratio["l0"]

    before = ratio()
    first = None
    for _ in range(60):
        optimizer.zero_grad()
        out, _ = rnn(x)
        term = omega(rnn, x, out, (out[-1] @ v).sum())
        first = term.item() if first is None else first
        term.backward()
        optimizer.step()
    after = ratio()
    assert term.item() < 0.1 * first
    assert abs(math.log10(after)) < 0.5 * abs(math.log10(before)) and abs(math.log10(before)) > 1.5


def test_mistakes_are_named():
    rnn, x, output = problem("gru")
    with pytest.raises(TypeError, match=r"omega expects a recurrent layer .* got Linear"):
        omega(torch.nn.Linear(2, 2), x, output, output[0].sum())
    with pytest.raises(ValueError, match="layer must be one of 'l0', got 'l5'"):
        omega(rnn, x, output, output[0].sum(), layer="l5")
    with pytest.raises(ValueError, match="loss must be a scalar with a graph; call this before"):
        omega(rnn, x, output, output[0].detach().sum())
