"""Lyapunov exponents against ln|eig W| of linear networks and the closed form for independent Gaussian Jacobians."""

from __future__ import annotations

import math

import pytest
import torch

import seqgrad as sg
from seqgrad import analysis
from seqgrad.analysis._lyapunov import growth_rates, summarise

F64 = torch.float64


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def linear(weight, **options):
    """tanh RNN around 0, where it is linear: every step's Jacobian is W."""
    rnn = sg.RNN(1, weight.shape[0], bias=False, dtype=F64, **options)
    with torch.no_grad():
        for name, p in rnn.named_parameters():
            p.copy_(weight if "hh" in name else torch.zeros_like(p))
    return rnn


def test_a_linear_network_has_the_logs_of_its_eigenvalues():
    basis = torch.randn(5, 5, dtype=F64)
    eigenvalues = torch.tensor([1.5, -1.0, 0.6, 0.3, -0.1], dtype=F64)
    rnn = linear(basis @ torch.diag(eigenvalues) @ torch.linalg.inv(basis))  # not normal: singular values differ
    found = analysis.lyapunov(rnn, torch.zeros(160, 1, 1, dtype=F64), k=5, warmup=100)
    torch.testing.assert_close(found.exponents, eigenvalues.abs().log(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.stderr, torch.zeros(5, dtype=F64), rtol=0, atol=1e-9)
    largest = math.log(float(torch.linalg.svdvals(rnn.weight_hh_l0.detach())[0]))
    assert largest > math.log(1.5) + 0.3  # what one step can do says little about the long run


def test_complex_pairs_share_an_exponent():
    angle = torch.tensor(0.7, dtype=F64)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    weight = torch.block_diag(0.9 * turn, torch.tensor([[0.4]], dtype=F64))
    found = analysis.lyapunov(linear(weight), torch.zeros(200, 1, 1, dtype=F64), k=3, warmup=60)
    torch.testing.assert_close(found.exponents, torch.tensor([0.9, 0.9, 0.4], dtype=F64).log(), rtol=1e-8, atol=1e-8)


def test_a_relu_network_that_stays_positive_is_linear_too():  # A3
    weight = torch.tensor([[0.7, 0.2], [0.1, 0.4]], dtype=F64)
    rnn = sg.RNN(1, 2, nonlinearity="relu", dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(weight)
        rnn.weight_ih_l0.zero_()
        rnn.bias_hh_l0.zero_()
        rnn.bias_ih_l0.copy_((torch.eye(2, dtype=F64) - weight) @ torch.full((2,), 5.0, dtype=F64))
    found = analysis.lyapunov(rnn, torch.zeros(120, 1, 1, dtype=F64), 2, hx=torch.full((1, 1, 2), 5.0, dtype=F64))
    expected = torch.linalg.eigvals(weight).abs().log().sort(descending=True).values
    torch.testing.assert_close(found.exponents, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("kind", "gate", "k"), [(sg.LSTM, 4, 3), (sg.GRU, 3, 3)])
def test_gates_that_keep_the_state_set_the_exponents(kind, gate: int, k: int):  # B1, C1
    rnn = kind(2, 3, dtype=F64)
    keep = torch.tensor([0.99, 0.8, 0.5], dtype=F64)
    with torch.no_grad():
        for p in rnn.parameters():
            p.zero_()
        rnn.bias_ih_l0[3:6] = torch.logit(keep)  # f of i f g o, z of r z n
    found = analysis.lyapunov(rnn, torch.zeros(200, 2, 2, dtype=F64), k, warmup=100)
    torch.testing.assert_close(found.exponents, keep.log(), rtol=1e-9, atol=1e-9)
    if gate == 4:  # the state (h, c) has six directions, but h is made anew at every step
        whole = analysis.lyapunov(rnn, torch.zeros(200, 2, 2, dtype=F64), 6, warmup=100).exponents
        torch.testing.assert_close(whole[:3], keep.log(), rtol=1e-9, atol=1e-9)
        assert (whole[3:] < -30).all()  # exactly 0 up to rounding


def test_products_of_independent_gaussian_jacobians():
    # R_ii^2 is sigma^2 times chi^2 with m = S - i degrees of freedom, independently in every step (Newman 1986):
    # mean log R = (ln(2 sigma^2) + digamma(m / 2)) / 2, variance of log R = trigamma(m / 2) / 4.
    S, N, T, k, sigma = 6, 40, 400, 6, 0.4
    jacobians = sigma * torch.randn(T, N, S, S, dtype=F64)
    growth = growth_rates(lambda t, change: jacobians[t] @ change, iter(range(T)), N, S, k, seed=1)
    found = summarise("l0", growth, torch.ones(T, N, dtype=torch.bool), warmup=1)
    m = torch.arange(S, 0, -1, dtype=F64) / 2
    expected = (math.log(2 * sigma**2) + torch.digamma(m)) / 2
    error = (torch.polygamma(1, m) / 4 / (N * (T - 1))).sqrt()
    assert ((found.exponents - expected).abs() < 4.5 * error).all(), (found.exponents - expected) / error
    assert (error < 0.01).all()
    # the reported error is an estimate from N samples: good to about 1 / sqrt(2 N)
    torch.testing.assert_close(found.stderr, error, rtol=0.5, atol=0)
    assert int(found.steps.sum()) == N * (T - 1)


def test_a_single_long_sample_gets_its_error_from_stretches_of_time():
    jacobians = torch.randn(2500, 1, 3, 3, dtype=F64)
    growth = growth_rates(lambda t, change: jacobians[t] @ change, iter(range(2500)), 1, 3, 2, seed=0)
    found = summarise("l0", growth, torch.ones(2500, 1, dtype=torch.bool), warmup=0)
    error = (torch.polygamma(1, torch.tensor([1.5, 1.0], dtype=F64)) / 4 / 2500).sqrt()
    torch.testing.assert_close(found.stderr, error, rtol=0.5, atol=0)
    short = summarise("l0", growth[:3], torch.ones(3, 1, dtype=torch.bool), warmup=0)
    assert short.stderr.isnan().all() and short.exponents.isfinite().all()


def test_the_sum_of_all_exponents_is_the_mean_log_determinant():
    rnn = sg.GRU(2, 4, dtype=F64)
    x = torch.randn(60, 3, 2, dtype=F64)
    found = analysis.lyapunov(rnn, x, k=99, warmup=10)
    assert len(found.exponents) == 4
    logs = torch.linalg.slogdet(analysis.step_jacobians(rnn, x)).logabsdet[10:]
    torch.testing.assert_close(found.exponents.sum(), logs.mean(), rtol=1e-9, atol=0)
    torch.testing.assert_close(found.per_sample.sum(1), logs.mean(0), rtol=1e-9, atol=0)


@pytest.mark.parametrize("layer", ["l0", "l0_reverse"])
def test_a_short_sample_counts_its_own_steps_only(layer: str):
    rnn = sg.LSTM(2, 3, bidirectional=True, dtype=F64)
    x = torch.randn(30, 3, 2, dtype=F64)
    both = analysis.lyapunov(rnn, x, 2, layer=layer, lengths=[30, 12, 4], warmup=5)
    assert both.steps.tolist() == [25, 7, 0]
    for n, length in ((0, 30), (1, 12)):
        alone = analysis.lyapunov(rnn, x[:length, n : n + 1], 2, layer=layer, warmup=5)
        own = both.per_sample[n].sort(descending=True).values  # columns are in the order of the mean
        torch.testing.assert_close(own, alone.exponents, rtol=1e-9, atol=1e-12)
    assert both.per_sample[2].isnan().all()
    expected = (25 * both.per_sample[0] + 7 * both.per_sample[1]) / 32
    torch.testing.assert_close(both.exponents, expected, rtol=1e-12, atol=0)


def test_a_dead_network_forgets_at_once_and_nan_is_not_hidden():
    rnn = sg.RNN(1, 3, nonlinearity="relu", dtype=F64)
    with torch.no_grad():
        rnn.bias_ih_l0.fill_(-100.0)
    x = torch.zeros(20, 2, 1, dtype=F64)
    assert (analysis.lyapunov(rnn, x, 2).exponents == -math.inf).all()
    x[10, 1] = math.nan
    assert analysis.lyapunov(linear(torch.eye(3, dtype=F64)), x, 1).exponents.isnan().all()


def test_the_same_seed_gives_the_same_numbers_and_the_layer_stays_as_it_was():
    rnn, x = sg.RNN(2, 8), torch.randn(40, 2, 2)
    before = {k: v.clone() for k, v in rnn.state_dict().items()}
    state = torch.get_rng_state()
    a, b = analysis.lyapunov(rnn, x, 3), analysis.lyapunov(rnn, x, 3)
    assert torch.equal(a.exponents, b.exponents) and a.exponents.dtype == F64
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in rnn.state_dict().items())
    assert repr(a).startswith("<Lyapunov exponents of 'l0' per step: -") and "60 steps, 10 to warm up" in repr(a)
    table = a.to_pandas()
    assert table.exponent.tolist() == a.exponents.tolist() and table.factor[0] == pytest.approx(
        math.exp(a.exponents[0])
    )


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"k": 2.0}, TypeError, "k must be an int, at least 1, got float"),
        ({"warmup": -1}, ValueError, "warmup must be at least 0"),
        ({"warmup": 10}, ValueError, "warmup=10 leaves no step of 10; pass fewer, or a longer x"),
        ({"layer": "l1"}, ValueError, "layer must be one of 'l0'"),
    ],
)
def test_mistakes_are_named(options, error, match):
    with pytest.raises(error, match=match):
        analysis.lyapunov(sg.RNN(2, 3), torch.zeros(10, 1, 2), **options)
