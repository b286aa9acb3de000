"""Gradients of the states as vectors: the engine's own norms and weight gradients, and each timestep's share."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import seqgrad as sg
from seqgrad import _reference, analysis
from seqgrad.analysis._deltas import deltas
from seqgrad.analysis._trace import weights_of

F64 = torch.float64
LAYERS = {
    "rnn_tanh": lambda **o: sg.RNN(3, 5, **o),
    "residual_relu": lambda **o: sg.ResidualRNN(3, 5, nonlinearity="relu", residual_scale=0.4, **o),
    "gru": lambda **o: sg.GRU(3, 5, **o),
    "lstm": lambda **o: sg.LSTM(3, 5, **o),
    "projected": lambda **o: sg.LSTM(3, 5, proj_size=2, **o),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def state_of(rnn, batch: int):
    rows = rnn.num_layers * (2 if rnn.bidirectional else 1)
    h = torch.randn(rows, batch, rnn.proj_size or 5, dtype=F64)
    return (h, torch.randn(rows, batch, 5, dtype=F64)) if rnn.mode == "LSTM" else h


def loss_of(out, state):
    """Reads every step and every final state, each with weights of its own."""
    tensors = [out, *(state if isinstance(state, tuple) else (state,))]
    return sum((t * torch.randn_like(t)).sum() for t in tensors)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bidirectional": True},
        {"bidirectional": True, "lengths": [7, 3, 0, 5]},
        {"bidirectional": True, "truncate": 3, "lengths": [7, 3, 6, 5]},
        {"state_clip": sg.clip.Norm(1.0)},
        {"state_clip": sg.clip.Value(0.3), "truncate": 2, "num_layers": 2},
    ],
    ids=lambda o: "-".join(o) or "plain",
)
def test_the_vectors_are_those_of_the_fused_backward(kind: str, options):
    lengths = options.get("lengths")
    rnn = LAYERS[kind](dtype=F64, **{k: v for k, v in options.items() if k != "lengths"})
    x, hx = torch.randn(7, 4, 3, dtype=F64, requires_grad=True), state_of(rnn, 4)
    with sg.record(rnn) as rec:
        output = rnn(x, hx, lengths=lengths)
        loss = loss_of(*output)
        found = deltas(rnn, x, output, loss, hx, lengths=lengths)
        loss.backward()
    clipped = rnn.state_clip is not None
    for name, one in found.items():
        if not clipped:  # norms are reported before clipping
            torch.testing.assert_close(one.grad_h.norm(dim=-1), rec[name].grad_h, rtol=1e-10, atol=1e-12)
        weights = torch.einsum("tng,tnp->gp", one.planes, one.maps.trace.previous)
        torch.testing.assert_close(weights, getattr(rnn, f"weight_hh_{name}").grad, rtol=1e-10, atol=1e-11)
    lowest = [one.input_gradient() for name, one in found.items() if name.startswith("l0")]
    torch.testing.assert_close(sum(lowest), x.grad, rtol=1e-10, atol=1e-11)


def test_every_form_of_input_and_output_is_understood():
    rnn = sg.LSTM(3, 5, batch_first=True, dtype=F64)
    x, lengths = torch.randn(4, 7, 3, dtype=F64), torch.tensor([7, 3, 1, 5])

    def share(x, output, loss, **options):
        return analysis.contribution(rnn, x, output, loss, **options)

    out, state = rnn(x, lengths=lengths)
    padded = share(x, (out, state), state[0].sum(), lengths=lengths)
    packed_x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    packed = rnn(packed_x)
    torch.testing.assert_close(share(packed_x, packed, packed[1][0].sum()), padded, rtol=1e-12, atol=0)
    whole = pad_packed_sequence(packed[0], batch_first=True)[0].sum()
    torch.testing.assert_close(
        share(packed_x, packed[0], whole), share(x, out, out.sum(), lengths=lengths), rtol=1e-12, atol=0
    )
    one = rnn(x[1])
    alone = rnn(x[1:2])
    torch.testing.assert_close(share(x[1], one, one[1][1].sum()), share(x[1:2], alone, alone[1][1].sum()))


@pytest.mark.parametrize("kind", LAYERS)
def test_contribution_is_the_share_of_each_step_in_the_weights_gradient(kind: str):
    rnn, x = LAYERS[kind](dtype=F64), torch.randn(6, 4, 3, dtype=F64)
    hx, w = state_of(rnn, 4), weights_of(rnn, "l0")
    v = torch.randn(6, 4, rnn.proj_size or 5, dtype=F64)
    out, _ = rnn(x, hx)
    found = analysis.contribution(rnn, x, out, (out * v).sum(), hx)
    # a copy of the weights for every step: the gradient of copy t is the term of step t
    copies = [w.w_hh.detach().clone().requires_grad_() for _ in range(6)]
    h, c = (hx[0][0], hx[1][0]) if isinstance(hx, tuple) else (hx[0], None)
    total = torch.zeros((), dtype=F64)
    for t, copy in enumerate(copies):
        cell, scale = ("lstm" if rnn.mode == "LSTM" else kind), getattr(rnn, "residual_scale", 1.0)
        step = _reference.layer(x[t : t + 1], w.w_ih, copy, w.b_ih, w.b_hh, h, c, cell=cell, w_hr=w.w_hr, scale=scale)
        h, c = step.hn, step.cn
        total = total + (h * v[t]).sum()
    terms = torch.stack([g.norm() for g in torch.autograd.grad(total, copies)])
    torch.testing.assert_close(found, terms / terms.sum(), rtol=1e-10, atol=0)


def test_the_recorded_estimate_is_exact_for_one_sample_of_a_linear_network():
    rnn = sg.RNN(3, 5, bias=False, dtype=F64)
    q = torch.linalg.qr(torch.randn(5, 5, dtype=F64))[0]
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.8 * q)
        rnn.weight_ih_l0.mul_(1e-6)  # tanh is linear there
    x = torch.randn(40, 1, 3, dtype=F64)
    with sg.record(rnn) as rec:
        out, _ = rnn(x)
        exact = analysis.contribution(rnn, x, out, out[-1].sum())
        out[-1].sum().backward()
    before = torch.cat([torch.zeros(1, 1, 5, dtype=F64), out[:-1].detach()]).norm(dim=-1)
    torch.testing.assert_close(rec["l0"].contribution(before), exact, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda r, x, o: analysis.contribution(r, x, o, torch.ones(())),
            ValueError,
            "loss must be a scalar with a graph",
        ),
        (
            lambda r, x, o: analysis.contribution(r, x, o, o[0].sum(-1)),
            ValueError,
            "loss must be a scalar with a graph",
        ),
        (lambda r, x, o: analysis.contribution(r, x, o, r(x)[0].sum()), ValueError, "loss does not depend on output"),
        (
            lambda r, x, o: analysis.contribution(r, x, "o", o[0].sum()),
            TypeError,
            "output must be what the layer returned",
        ),
        (
            lambda r, x, o: analysis.contribution(r, x, o, o[0].sum(), layer="l1"),
            ValueError,
            "layer must be one of 'l0'",
        ),
        (
            lambda r, x, o: analysis.contribution(sg.GRU(3, 5, num_layers=2, dropout=0.1), x, o, o[0].sum()),
            ValueError,
            "the dropout between the layers is drawn anew",
        ),
    ],
)
def test_mistakes_are_named(call, error, match):
    rnn, x = sg.GRU(3, 5), torch.randn(4, 2, 3)
    with pytest.raises(error, match=match):
        call(rnn, x, rnn(x))
