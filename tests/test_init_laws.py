"""Initialisations against their closed forms: distributions, what they do to gates, and to a recorded gradient."""

from __future__ import annotations

import math

import pytest
import torch

import seqgrad as sg
from seqgrad import analysis, init

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def kolmogorov(values: torch.Tensor, low: float, high: float) -> float:
    """sqrt(n) times the largest gap between the empirical and the uniform distribution; above 1.95 one time in 1000."""
    ordered = ((values.double().flatten().sort().values - low) / (high - low)).clamp(0, 1)
    n = len(ordered)
    rank = torch.arange(1, n + 1, dtype=F64) / n
    return float(torch.maximum((rank - ordered).max(), (ordered - rank + 1 / n).max())) * n**0.5


def silent(rnn):
    """Every weight 0: only the biases speak."""
    with torch.no_grad():
        for name, p in rnn.named_parameters():
            if "weight" in name:
                p.zero_()
    return rnn


def test_the_test_of_uniformity_tells_distributions_apart():
    assert kolmogorov(torch.rand(2000), 0, 1) < 1.95 < kolmogorov(torch.rand(2000) ** 2, 0, 1)
    assert kolmogorov(torch.rand(2000) * 1.1, 0, 1) > 1.95


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("kind", [sg.RNN, sg.GRU, sg.LSTM])
def test_xavier_is_uniform_with_the_fans_of_one_gate(kind, gain: float):
    I, H = 40, 60  # noqa: E741
    rnn = init.xavier_(kind(I, H), gain)
    bound = gain * math.sqrt(6 / (I + H))
    for gate in rnn.weight_ih_l0.detach().split(H):
        assert kolmogorov(gate, -bound, bound) < 1.95
        assert float(gate.var()) == pytest.approx(gain**2 * 2 / (I + H), rel=0.1)


def test_orthogonal_matrices_are_drawn_from_all_of_them():
    # Uniform over the group: entries have mean 0 and variance 1/H, and half of the determinants are -1.
    H, many = 6, 400
    draws = torch.stack([init.orthogonal_(sg.RNN(1, H)).weight_hh_l0.detach() for _ in range(many)]).double()
    error = 4.5 / math.sqrt(H * many)
    assert draws.mean(0).abs().max() < error
    assert float(draws[:, 0, 0].var()) == pytest.approx(1 / H, rel=0.25)
    negative = float((torch.linalg.det(draws) < 0).double().mean())
    assert abs(negative - 0.5) < 4.5 * 0.5 / math.sqrt(many)


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
def test_orthogonal_weights_carry_the_gradient_by_their_gain(gain: float):  # A1
    rnn = init.orthogonal_(sg.RNN(1, 8, bias=False, dtype=F64), gain)
    with sg.record(rnn) as rec:
        rnn(torch.zeros(40, 2, 1, dtype=F64))[0][-1].sum().backward()
    assert rec.decay["l0"] == pytest.approx(gain, rel=1e-9)
    assert rec.ratio["l0"] == pytest.approx(gain**39, rel=1e-9)


def test_the_irnn_carries_the_gradient_unchanged():  # A4
    rnn = init.identity_(sg.RNN(2, 8, nonlinearity="relu", dtype=F64))
    with torch.no_grad():
        rnn.weight_ih_l0.abs_()
    with sg.record(rnn) as rec:
        rnn(torch.rand(50, 3, 2, dtype=F64))[0][-1].sum().backward()
    torch.testing.assert_close(rec["l0"].grad_h, torch.full((50, 3), math.sqrt(8), dtype=F64), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("kind", "gate"), [(sg.LSTM, "f"), (sg.GRU, "z"), (torch.nn.LSTM, "f"), (torch.nn.GRU, "z")])
@pytest.mark.parametrize("value", [-2.0, 0.0, 1.0])
def test_the_forget_bias_counts_once_although_torch_adds_two_biases(kind, gate: str, value: float):
    rnn = silent(init.forget_bias_(kind(2, 4, num_layers=2, dtype=F64), value))
    for layer in ("l0", "l1"):
        gates = analysis.gates(rnn, torch.zeros(3, 1, 2, dtype=F64), layer=layer)
        torch.testing.assert_close(gates[gate], torch.full((3, 1, 4), 1 / (1 + math.exp(-value)), dtype=F64))


@pytest.mark.parametrize(("kind", "gate", "T"), [(sg.LSTM, "f", 100), (sg.GRU, "z", 100), (sg.LSTM, "f", 2.5)])
def test_chrono_biases_are_logs_of_a_uniform_time(kind, gate: str, T: float):
    H = 2000
    rnn = init.chrono_(kind(1, H, dtype=F64), T)
    total = (rnn.bias_ih_l0 + rnn.bias_hh_l0).detach().split(H)  # what the gates see
    letters = "ifgo" if gate == "f" else "rzn"
    keep = total[letters.index(gate)]
    assert kolmogorov(keep.exp(), 1, T - 1) < 1.95
    if gate == "f":
        assert torch.equal(total[0], -keep)  # the input gate opens as little as the forget gate leaks


def test_chrono_memories_last_up_to_t_steps():
    # f = u / (1 + u) with u = U(1, T - 1): the memory lasts 1 / (1 - f) = 1 + u steps, from 2 to T.
    T, H = 50, 3000
    rnn = silent(init.chrono_(sg.LSTM(1, H, dtype=F64), T))
    x = torch.zeros(1, 1, 1, dtype=F64)
    f = analysis.gates(rnn, x)["f"].flatten()
    assert kolmogorov(1 / (1 - f), 2, T) < 1.95
    scale = analysis.gate_statistics(rnn, x)["f"].timescale_by_unit
    torch.testing.assert_close(scale, -1 / f.log())
    assert float(scale.max()) < T and float(scale.min()) > 1.4


def test_chrono_for_the_shortest_memory_is_a_bias_of_zero():
    rnn = init.chrono_(sg.LSTM(1, 4), 2)
    assert not rnn.bias_ih_l0[:8].any() and not rnn.bias_hh_l0[:8].any()


def test_gates_that_keep_the_state_are_told_from_the_candidate_by_their_rows():
    # one value per gate, seen again in the gate of that name: the order of rows is torch's
    for kind, letters in ((sg.GRU, "rzn"), (sg.LSTM, "ifgo")):
        rnn = silent(kind(1, 3, dtype=F64))
        with torch.no_grad():
            rnn.bias_hh_l0.zero_()
            for k in range(len(letters)):
                rnn.bias_ih_l0[3 * k : 3 * k + 3] = k + 1.0
        gates = analysis.gates(rnn, torch.zeros(1, 1, 1, dtype=F64))
        for k, letter in enumerate(letters):
            value = math.tanh(k + 1) if letter in "ng" else 1 / (1 + math.exp(-k - 1))
            assert float(gates[letter][0, 0, 0]) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("function", [init.orthogonal_, init.xavier_, lambda rnn: init.chrono_(rnn, 20)])
def test_the_same_seed_draws_the_same_weights_and_layers_differ(function):
    first, second = sg.LSTM(4, 4, num_layers=2), sg.LSTM(4, 4, num_layers=2)
    second.load_state_dict(first.state_dict())
    for rnn in (first, second):
        torch.manual_seed(7)
        function(rnn)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    changed = "weight_hh" if function is init.orthogonal_ else "weight_ih" if function is init.xavier_ else "bias_ih"
    assert not torch.equal(getattr(first, f"{changed}_l0"), getattr(first, f"{changed}_l1"))


def test_the_spectrum_of_gaussian_weights_follows_the_circular_law():
    # entries of variance g^2 / H: radius g, largest singular value 2 g, for large H
    H, g = 300, 0.8
    rnn = sg.RNN(1, H)
    with torch.no_grad():
        rnn.weight_hh_l0.normal_(0, g / math.sqrt(H))
    found = init.recurrent_spectrum(rnn)["l0"]["h"]
    assert found.radius == pytest.approx(g, rel=0.1)
    assert found.largest == pytest.approx(2 * g, rel=0.1)
    assert found.smallest < 0.02
