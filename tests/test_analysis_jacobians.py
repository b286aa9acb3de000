"""Step Jacobians: autograd's own, for every cell; their products carry the recorded gradient; spectra of known ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import seqgrad as sg
from seqgrad import _reference, analysis
from seqgrad.analysis._trace import weights_of

F64 = torch.float64
LAYERS = {
    "rnn_tanh": lambda **o: sg.RNN(3, 5, **o),
    "rnn_relu": lambda **o: sg.RNN(3, 5, nonlinearity="relu", **o),
    "residual_tanh": lambda **o: sg.ResidualRNN(3, 5, residual_scale=0.7, **o),
    "residual_relu": lambda **o: sg.ResidualRNN(3, 5, nonlinearity="relu", residual_scale=0.7, **o),
    "gru": lambda **o: sg.GRU(3, 5, **o),
    "lstm": lambda **o: sg.LSTM(3, 5, **o),
    "projected": lambda **o: sg.LSTM(3, 5, proj_size=2, **o),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def case(kind: str, *, steps: int = 6, batch: int = 3, **options):
    """A layer in float64, its input and an initial state, all of a size that bends every nonlinearity."""
    rnn = LAYERS[kind](dtype=F64, **options)
    with torch.no_grad():
        for p in rnn.parameters():
            p.copy_(0.6 * torch.randn_like(p))
    rows = 2 if options.get("bidirectional") else 1
    h = torch.randn(rows, batch, 2 if kind == "projected" else 5, dtype=F64)
    hx = (h, torch.randn(rows, batch, 5, dtype=F64)) if rnn.mode == "LSTM" else h
    return rnn, torch.randn(steps, batch, 3, dtype=F64), hx


def by_autograd(kind: str, rnn, name: str, x, hx, *, lengths=None):
    """[T, N, S, S] from torch.autograd.functional.jacobian of one reference step at a time."""
    w, lstm, reverse = weights_of(rnn, name), rnn.mode == "LSTM", name.endswith("reverse")
    cell = "lstm" if lstm else kind
    row = int(reverse)
    batch, width = x.shape[1], w.w_hh.shape[1]
    found = {}
    for n in range(batch):
        state = torch.cat([hx[0][row, n], hx[1][row, n]]) if lstm else hx[row, n]
        steps = range(x.shape[0] if lengths is None else lengths[n])
        for t in reversed(steps) if reverse else steps:

            def step(s, t=t, n=n):
                h, c = (s[None, :width], s[None, width:]) if lstm else (s[None], None)
                r = _reference.layer(
                    x[t : t + 1, n : n + 1],
                    *w[:4],
                    h,
                    c,
                    cell=cell,
                    w_hr=w.w_hr,
                    scale=getattr(rnn, "residual_scale", 1.0),
                )
                return torch.cat([r.hn[0], r.cn[0]]) if lstm else r.hn[0]

            found[t, n] = torch.autograd.functional.jacobian(step, state)
            state = step(state).detach()
    size = state.shape[0]
    return torch.stack(
        [torch.stack([found.get((t, n), torch.eye(size, dtype=F64)) for n in range(batch)]) for t in range(x.shape[0])]
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_the_closed_form_is_autograds_jacobian(kind: str):
    rnn, x, hx = case(kind)
    found = analysis.step_jacobians(rnn, x, hx)
    torch.testing.assert_close(found, by_autograd(kind, rnn, "l0", x, hx), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["residual_tanh", "gru", "projected"])
@pytest.mark.parametrize("name", ["l0", "l0_reverse"])
def test_both_directions_and_samples_that_end_early(kind: str, name: str):
    rnn, x, hx = case(kind, bidirectional=True)
    found = analysis.step_jacobians(rnn, x, hx, layer=name, lengths=[6, 2, 0])
    expected = by_autograd(kind, rnn, name, x, hx, lengths=[6, 2, 0])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_blocks_of_the_lstm_state():
    rnn, x, hx = case("projected")
    whole = analysis.step_jacobians(rnn, x, hx)
    assert torch.equal(analysis.step_jacobians(rnn, x, hx, state="hc"), whole)
    assert torch.equal(analysis.step_jacobians(rnn, x, hx, state="h"), whole[..., :2, :2])
    forget = analysis.gates(rnn, x, hx)["f"]
    torch.testing.assert_close(analysis.step_jacobians(rnn, x, hx, state="c"), torch.diag_embed(forget))


@pytest.mark.parametrize("kind", ["rnn_tanh", "residual_relu", "gru"])
@pytest.mark.parametrize("reverse", [False, True])
def test_products_carry_the_gradient_that_the_engine_records(kind: str, reverse: bool):
    rnn, x, hx = case(kind, steps=12, bidirectional=True)
    v = torch.randn(3, 5, dtype=F64)
    with sg.record(rnn) as rec:
        (rnn(x, hx)[1][int(reverse)] * v).sum().backward()
    name = "l0_reverse" if reverse else "l0"
    product = analysis.products(analysis.step_jacobians(rnn, x, hx, layer=name), reverse=reverse)
    norms = torch.einsum("na,tnab->tnb", v, product).norm(dim=-1)
    torch.testing.assert_close(rec[name].grad_h, norms, rtol=1e-10, atol=0)


def test_products_carry_the_gradient_of_both_states_of_an_lstm():
    rnn, x, hx = case("lstm", steps=12)
    x = x.requires_grad_()
    v = torch.randn(3, 5, dtype=F64)
    with sg.record(rnn) as rec:
        (rnn(x, hx)[0][-1] * v).sum().backward()
    product = analysis.products(analysis.step_jacobians(rnn, x, hx))
    pulled = torch.einsum("na,tnab->tnb", v, product[:, :, :5])  # dL/d(h, c), h and c apart
    torch.testing.assert_close(rec["l0"].grad_h, pulled[..., :5].norm(dim=-1), rtol=1e-10, atol=0)


def test_the_power_law_of_a_linear_network():  # A1
    q = torch.linalg.qr(torch.randn(5, 5, dtype=F64))[0]
    rnn = sg.RNN(3, 5, bias=False, dtype=F64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.5 * q)
    jacobians = analysis.step_jacobians(rnn, torch.zeros(40, 2, 3, dtype=F64))
    torch.testing.assert_close(jacobians, rnn.weight_hh_l0.detach().expand(40, 2, 5, 5), rtol=0, atol=0)
    lag = torch.arange(39, -1, -1, dtype=F64)
    expected = 0.5 ** lag[:, None].expand(40, 2)
    torch.testing.assert_close(analysis.product_norms(jacobians), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(analysis.product_norms(jacobians, reverse=True), expected.flip(0), rtol=1e-12, atol=0)
    assert analysis.product_norms(jacobians.float()).dtype == F64


def test_saturation_and_dead_relu_stop_everything_and_nan_stays():
    rnn = sg.RNN(1, 2, nonlinearity="relu", dtype=F64)
    with torch.no_grad():
        rnn.bias_ih_l0.fill_(-100.0)
    assert not analysis.step_jacobians(rnn, torch.zeros(3, 1, 1, dtype=F64)).any()
    x = torch.zeros(3, 1, 1, dtype=F64)
    x[1] = math.nan
    found = analysis.step_jacobians(rnn, x)
    assert not found[0].isnan().any() and found[1:].isnan().all()
    assert analysis.singular_values(found).isnan().all(-1).flatten().tolist() == [False, True, True]
    assert analysis.spectral_radius(found).isnan().flatten().tolist() == [False, True, True]


def test_spectra_of_known_matrices():
    matrices = torch.stack([torch.diag(torch.tensor([3.0, -4.0])), torch.tensor([[0.0, -2.0], [2.0, 0.0]])])
    torch.testing.assert_close(analysis.singular_values(matrices), torch.tensor([[4.0, 3.0], [2.0, 2.0]]))
    torch.testing.assert_close(analysis.spectral_radius(matrices), torch.tensor([4.0, 2.0]))
    shear = torch.tensor([[0.5, 100.0], [0.0, 0.25]], dtype=F64)
    assert float(analysis.spectral_radius(shear)) == pytest.approx(0.5, rel=1e-12)
    assert float(analysis.singular_values(shear)[0]) > 100


def test_radius_of_a_layer_is_that_of_its_gates():
    rnn = sg.init.identity_(nn.LSTM(3, 4, num_layers=2, bidirectional=True), scale=0.75)
    found = analysis.spectral_radius(rnn)
    assert list(found) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert all(gates == dict.fromkeys("ifgo", 0.75) for gates in found.values())


def test_the_step_of_a_gru_at_the_origin_mixes_identity_and_candidate():  # C2
    gru, z, r = sg.GRU(1, 4, dtype=F64), 0.8, 0.3
    a = torch.randn(4, 4, dtype=F64)
    with torch.no_grad():
        for p in gru.parameters():
            p.zero_()
        gru.weight_hh_l0[8:] = a
        gru.bias_ih_l0[:4], gru.bias_ih_l0[4:8] = math.log(r / (1 - r)), math.log(z / (1 - z))
    found = analysis.step_jacobians(gru, torch.zeros(2, 1, 1, dtype=F64))
    expected = z * torch.eye(4, dtype=F64) + (1 - z) * r * a
    torch.testing.assert_close(found, expected.expand(2, 1, 4, 4), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: analysis.step_jacobians(nn.RNNCell(3, 5), torch.zeros(2, 3)),
            TypeError,
            "got RNNCell; pass the layer",
        ),
        (
            lambda: analysis.step_jacobians(nn.GRU(3, 5), torch.zeros(2, 1, 3), state="c"),
            ValueError,
            "one of 'h', got 'c'",
        ),
        (
            lambda: analysis.step_jacobians(nn.GRU(3, 5), torch.zeros(2, 1, 3), layer="l3"),
            ValueError,
            "one of 'l0', got",
        ),
        (lambda: analysis.products(torch.zeros(3, 3)), ValueError, r"square matrices \[T, N, S, S\].*got \[3, 3\]"),
        (lambda: analysis.singular_values(torch.zeros(3, 2)), ValueError, r"\[\.\.\., S, S\].*got \[3, 2\]"),
        (lambda: analysis.spectral_radius(nn.Linear(2, 2)), TypeError, "expected a recurrent layer or cell"),
    ],
)
def test_mistakes_are_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
