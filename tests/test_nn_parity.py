"""Our layers against torch.nn: outputs, final states and every gradient, over the grid of hostile shapes."""

from __future__ import annotations

from itertools import cycle

import pytest
import torch
from cases import GRID, Shape
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import assert_close, assert_within_ratio
from pairs import CELLS, LAYERS, as_dtype, build, everything, states
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import seqgrad.nn as ours
from seqgrad.record import record

# torch.nn says so about itself, on a projected LSTM.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

OPTIONS = [
    {},
    {"batch_first": True},
    {"bidirectional": True},
    {"num_layers": 2, "bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"bias": False, "batch_first": True},
]
CASES = [
    pytest.param(kind, shape, options, with_hx, id="-".join([kind, *map(str, shape), *options, "hx" * with_hx]))
    for (shape, options), with_hx in zip(
        zip(GRID, cycle(OPTIONS), strict=False), cycle([True, False, False]), strict=False
    )
    for kind in LAYERS
]


def compare(mine, theirs, x, hx):
    """Both dtypes: float64 tight, float32 by the ratio rule."""
    double = [as_dtype(v, torch.float64) for v in (mine, theirs, x, hx)]
    exact = everything(double[1], *double[2:])
    got = everything(double[0], *(as_dtype(v, torch.float64) for v in (x, hx)))
    assert got.keys() == exact.keys()
    for name in exact:
        assert_close(got[name], exact[name], ulps=2000, what=name + " (float64)")
    got = everything(mine, *(as_dtype(v, torch.float32) for v in (x, hx)))
    peer = everything(theirs, *(as_dtype(v, torch.float32) for v in (x, hx)))
    for name in exact:
        assert_within_ratio(got[name], peer[name], exact[name], what=name)


@pytest.mark.parametrize(("kind", "shape", "options", "with_hx"), CASES)
def test_layer_equals_torch_nn(kind: str, shape: Shape, options: dict, with_hx: bool):
    mine, theirs = build(kind, shape.I, shape.H, **options)
    torch.manual_seed(3)
    x = torch.randn(shape.N, shape.T, shape.I) if options.get("batch_first") else torch.randn(*shape[:3])
    compare(mine, theirs, x, states(mine, shape.N) if with_hx else None)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("lengths", [[7, 5, 5, 2, 1], [4, 4, 4], [3]])
def test_packed_sequence_equals_torch_nn(kind: str, enforce_sorted: bool, lengths: list[int]):
    if not enforce_sorted:
        lengths = lengths[::-1][1:] + lengths[::-1][:1]
    mine, theirs = build(kind, 5, 9, num_layers=2, bidirectional=True)
    x = torch.randn(max(lengths), len(lengths), 5)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
    for hx in (None, states(mine, len(lengths))):
        compare(mine, theirs, packed, hx)
    out, peer = mine(packed)[0], theirs(packed)[0]
    assert torch.equal(out.batch_sizes, peer.batch_sizes)
    assert out.batch_sizes.device.type == "cpu"
    for got, expected in ((out.sorted_indices, peer.sorted_indices), (out.unsorted_indices, peer.unsorted_indices)):
        assert (got is None) == (expected is None)
        assert got is None or torch.equal(got, expected)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_lengths_equal_the_pack_and_pad_round_trip(kind: str, batch_first: bool):
    lengths = torch.tensor([2, 7, 1, 7, 4])
    mine, theirs = build(kind, 5, 9, num_layers=2, bidirectional=True, batch_first=batch_first, dtype=torch.float64)
    x = torch.randn((5, 7, 5) if batch_first else (7, 5, 5), dtype=torch.float64)
    hx = states(mine, 5, dtype=torch.float64)
    out, state = mine(x, hx, lengths=lengths)
    packed, expected_state = theirs(pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False), hx)
    assert_close(out, pad_packed_sequence(packed, batch_first)[0], what="out")
    pairs = zip(state, expected_state, strict=True) if kind == "lstm" else [(state, expected_state)]
    for got, expected in pairs:
        assert_close(got, expected, what="state")


@pytest.mark.parametrize("kind", LAYERS)
def test_steps_beyond_the_length_are_zero_and_reach_no_gradient(kind: str):
    mine, _ = build(kind, 3, 4, bidirectional=True, dtype=torch.float64)
    x = torch.randn(6, 3, 3, dtype=torch.float64, requires_grad=True)
    poisoned = x.detach().clone()
    poisoned[4:, 1] = 1e6
    poisoned.requires_grad_(True)
    lengths = torch.tensor([6, 4, 0])
    for value in (x, poisoned):
        out, _ = mine(value, lengths=lengths)
        out.square().sum().backward()
    assert torch.equal(x.grad, poisoned.grad)
    assert torch.equal(out[4:, 1], torch.zeros(2, 8, dtype=torch.float64))
    assert not out[:, 2].any()
    assert not x.grad[4:, 1].any()
    assert not x.grad[:, 2].any()
    assert x.grad[:4, 1].all()


@pytest.mark.parametrize("kind", LAYERS)
def test_a_sample_of_length_zero_keeps_its_initial_state(kind: str):
    mine, _ = build(kind, 3, 4, bidirectional=True)
    hx = states(mine, 2)
    _, state = mine(torch.randn(5, 2, 3), hx, lengths=[0, 5])
    for got, start in zip(*((v if kind == "lstm" else (v,)) for v in (state, hx)), strict=True):
        assert torch.equal(got[:, 0], start[:, 0])
        assert not torch.equal(got[:, 1], start[:, 1])


@pytest.mark.parametrize("kind", LAYERS)
def test_lengths_of_any_integer_kind_agree(kind: str):
    mine, _ = build(kind, 3, 4)
    x = torch.randn(5, 3, 3)
    expected = mine(x, lengths=torch.tensor([5, 2, 3]))[0]
    for lengths in (
        [5, 2, 3],
        (5, 2, 3),
        torch.tensor([5, 2, 3], dtype=torch.int32),
        torch.tensor([5, 2, 3], dtype=torch.uint8),
    ):
        assert torch.equal(mine(x, lengths=lengths)[0], expected)
    assert torch.equal(mine(x, lengths=[5, 5, 5])[0], mine(x)[0])
    assert torch.equal(mine(x[:, 1], lengths=[2])[0], mine(x[:, 1:2], lengths=[2])[0][:, 0])
    assert torch.equal(mine(x[:, 1], lengths=2)[0], mine(x[:, 1:2], lengths=[2])[0][:, 0])
    assert mine(torch.zeros(5, 0, 3), lengths=[])[0].shape == (5, 0, 4)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_unbatched_input_equals_torch_nn(kind: str, batch_first: bool):
    mine, theirs = build(kind, 5, 6, num_layers=2, bidirectional=True, batch_first=batch_first)
    hx = states(mine, 1)
    flat = tuple(h[:, 0] for h in hx) if kind == "lstm" else hx[:, 0]
    for start in (None, flat):
        compare(mine, theirs, torch.randn(7, 5), start)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "bias": False}])
@pytest.mark.parametrize("packed", [False, True])
def test_projected_lstm_equals_torch_nn(options: dict, packed: bool):
    mine, theirs = build("lstm", 5, 9, proj_size=4, **options)
    x = torch.randn(7, 3, 5)
    compare(mine, theirs, pack_padded_sequence(x, [7, 3, 5], enforce_sorted=False) if packed else x, states(mine, 3))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("packed", [False, True])
def test_dropout_draws_the_masks_of_torch_nn(kind: str, packed: bool):
    mine, theirs = build(kind, 5, 6, num_layers=3, dropout=0.5, bidirectional=True)
    x = torch.randn(4, 3, 5)
    x = pack_padded_sequence(x, [2, 4, 3], enforce_sorted=False) if packed else x
    outs = []
    for module in (mine, theirs):
        torch.manual_seed(5)
        out = module(x)[0]
        outs.append((out.data if packed else out, torch.rand(1)))
    (got, after), (expected, expected_after) = outs
    assert torch.equal(after, expected_after)
    torch.testing.assert_close(got, expected)
    mine.eval(), theirs.eval()
    got, expected = mine(x)[0], theirs(x)[0]
    torch.testing.assert_close(got.data if packed else got, expected.data if packed else expected)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("hidden", [1, 31, 33, 130])
@pytest.mark.parametrize("samples", [None, 0, 1, 3])
def test_cell_equals_torch_nn(kind: str, hidden: int, samples: int | None):
    mine, theirs = build(kind, 5, hidden, table=CELLS, bias=hidden != 31)
    lead = () if samples is None else (samples,)
    x, h, c = torch.randn(*lead, 5), torch.randn(*lead, hidden), torch.randn(*lead, hidden)
    for hx in (None, (h, c) if kind == "lstm" else h):
        found = []
        for module, dtype in ((mine, torch.float32), (theirs, torch.float32), (theirs, torch.float64)):
            cell, *data = (as_dtype(v, dtype) for v in (module, x, hx))

            def run(x, hx, cell=cell):
                state = cell(x, hx)
                return (state[0], state) if kind == "lstm" else (state, state)

            run.named_parameters = cell.named_parameters
            found.append(everything(run, *data))
        for name in found[2]:
            assert_within_ratio(*(f[name] for f in found), what=name)


@pytest.mark.parametrize("kind", LAYERS)
def test_zero_batch_equals_torch_nn(kind: str):
    compare(*build(kind, 5, 6, num_layers=2, bidirectional=True), torch.randn(7, 0, 5), None)


@pytest.mark.parametrize("kind", LAYERS)
def test_strided_and_expanded_tensors_equal_torch_nn(kind: str):
    mine, theirs = build(kind, 5, 6)
    base = torch.randn(2, 9, 14)[:, ::3, ::2]  # [N=2, T=3, 7]: strided everywhere
    hx = states(mine, 1)
    hx = tuple(h.expand(1, 2, 6) for h in hx) if kind == "lstm" else hx.expand(1, 2, 6)
    for x in (base.transpose(0, 1)[..., 1:6], torch.randn(1, 2, 5).expand(7, 2, 5)):
        got, expected = mine(x, hx)[0], theirs(x, hx)[0]
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kind", LAYERS)
def test_nan_stays_in_its_sample_and_saturation_is_finite(kind: str):
    mine, theirs = build(kind, 5, 6)
    x = torch.randn(4, 3, 5)
    x[1, 2] = float("nan")
    got, expected = mine(x)[0], theirs(x)[0]
    assert torch.equal(got.isnan(), expected.isnan())
    assert got.isnan()[1:, 2].all()
    assert not got[:, :2].isnan().any()
    if kind != "rnn_relu":
        x = torch.full((4, 3, 5), 1e4)
        torch.testing.assert_close(mine(x)[0], theirs(x)[0])


@pytest.mark.parametrize("kind", ["rnn_tanh", "gru", "lstm"])
@pytest.mark.parametrize("last_only", [True, False])
def test_retain_grad_on_torch_nn_shows_only_the_direct_gradient(kind: str, last_only: bool):
    """The trap: with a last-step loss every earlier step shows exactly 0, though the state does carry gradient."""
    mine, theirs = build(kind, 3, 4)
    x = torch.randn(6, 2, 3, requires_grad=True)
    out, _ = theirs(x)
    out.retain_grad()
    (out[-1] if last_only else out).sum().backward()
    assert x.grad.abs().sum(-1).all()  # gradient did travel to every step
    direct = torch.ones(6, 2, 4)
    if last_only:
        direct[:-1] = 0
    assert torch.equal(out.grad, direct)

    with record(mine) as rec:
        out, _ = mine(x)
        (out[-1] if last_only else out).sum().backward()
    assert rec["l0"].grad_h[:-1].all()
    assert not torch.allclose(rec["l0"].grad_h, direct.norm(dim=-1))


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_residual_rnn_is_its_formula(nonlinearity: str):
    rnn = ours.ResidualRNN(3, 4, nonlinearity=nonlinearity, residual_scale=0.3, dtype=torch.float64)
    cell = ours.ResidualRNNCell(3, 4, nonlinearity=nonlinearity, residual_scale=0.3, dtype=torch.float64)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in rnn.state_dict().items()})
    x, h = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(1, 2, 4, dtype=torch.float64)
    out, hn = rnn(x, h)
    state = by_cell = h[0]
    for t in range(5):
        pre = x[t] @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + state @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
        state, by_cell = state + 0.3 * getattr(torch, nonlinearity)(pre), cell(x[t], by_cell)
        assert_close(out[t], state)
        assert_close(by_cell, state)
    assert_close(hn[0], state)


@pytest.mark.parametrize("kind", LAYERS)
def test_truncate_equals_the_chunk_loop_with_detach(kind: str):
    mine, _ = build(kind, 3, 4, dtype=torch.float64)
    cut = as_dtype(mine, torch.float64)
    cut.truncate = 3
    x = torch.randn(8, 2, 3, dtype=torch.float64)
    outs, state = [], None
    for t in range(0, 8, 3):
        out, state = mine(x[t : t + 3], state)
        outs.append(out)
        state = tuple(s.detach() for s in state) if kind == "lstm" else state.detach()
    torch.cat(outs).square().sum().backward()
    cut(x)[0].square().sum().backward()
    for (name, p), q in zip(mine.named_parameters(), cut.parameters(), strict=True):
        assert_close(q.grad, p.grad, what=name)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(sorted(LAYERS)),
    steps=st.integers(1, 9),
    inputs=st.integers(1, 9),
    hidden=st.integers(2, 9),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
    projected=st.booleans(),
    form=st.sampled_from(["padded", "packed", "unbatched"]),
    with_hx=st.booleans(),
)
def test_any_shape_and_option_equals_torch_nn(
    kind, steps, inputs, hidden, lengths, layers, bidirectional, bias, batch_first, projected, form, with_hx
):
    options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    if projected and kind == "lstm":
        options["proj_size"] = hidden - 1
    mine, theirs = build(kind, inputs, hidden, **options)
    torch.manual_seed(4)
    hx = states(mine, len(lengths)) if with_hx else None
    if form == "unbatched":
        x = torch.randn(steps, inputs)
        hx = None if hx is None else tuple(h[:, 0] for h in hx) if kind == "lstm" else hx[:, 0]
    elif form == "padded":
        x = torch.randn(*((len(lengths), steps) if batch_first else (steps, len(lengths))), inputs)
    else:
        x = pack_padded_sequence(torch.randn(max(lengths), len(lengths), inputs), lengths, enforce_sorted=False)
    compare(mine, theirs, x, hx)


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_rounding_is_that_of_torch_nn_in_the_mean(kind):
    """A bound on the worst element does not see a sum that grows large early and loses twice as much everywhere."""
    mine, theirs = build(kind, 64, 128)
    torch.manual_seed(5)
    x = torch.randn(100, 32, 64)
    with torch.no_grad():
        exact = as_dtype(theirs, torch.float64)(x.double())[0]
        ours, peer = (float((layer(x)[0] - exact).square().mean().sqrt()) for layer in (mine, theirs))
    assert ours <= 1.4 * peer
