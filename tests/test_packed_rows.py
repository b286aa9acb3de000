"""Packed rows: what the CPU engine reads of a PackedSequence gives what the padded batch gives, without a copy."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import seqgrad as sg
from seqgrad import _ops

T, N, INPUTS, H = 7, 5, 4, 6
UNSORTED = torch.tensor([3, 7, 1, 5, 5])
CLASSES = (sg.RNN, sg.GRU, sg.LSTM, sg.ResidualRNN)
OPTIONS = (
    {},
    {"num_layers": 2, "bidirectional": True},
    {"state_clip": sg.clip.Norm(0.05)},
    {"truncate": 2, "bias": False},
)


def trained(layer, x, lengths, weigh, packed):
    """Output, states, gradients and recorded series of a loss on all outputs and final states."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    with sg.record(layer) as rec:
        if packed:
            rows, state = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
            out = pad_packed_sequence(rows, total_length=x.size(0))[0]
        else:
            out, state = layer(x, lengths=lengths)
        ends = state if isinstance(state, tuple) else (state,)
        ((out * weigh).sum() + sum(end.square().sum() for end in ends)).backward()
    found = {name: getattr(rec[""], name) for name in rec[""].series}
    series = {f"{name}.{q}": getattr(s, q) for name, s in found.items() for q in s.quantities}
    lengths_seen = {f"{name}.lengths": s.lengths for name, s in found.items()}
    weights = {name: p.grad.clone() for name, p in layer.named_parameters()}
    return {"out": out, "ends": torch.stack(ends), "dx": x.grad} | weights | series | lengths_seen


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("cls", CLASSES)
def test_packed_rows_give_what_the_padded_batch_gives(cls, options):
    torch.manual_seed(0)
    layer = cls(INPUTS, H, **options).double()
    x = torch.randn(T, N, INPUTS, dtype=torch.float64)
    weigh = torch.randn(T, N, H * (2 if layer.bidirectional else 1), dtype=torch.float64)
    padded, packed = (trained(layer, x, UNSORTED, weigh, way) for way in (False, True))
    assert padded.keys() == packed.keys()
    for name, right in padded.items():
        torch.testing.assert_close(packed[name], right, rtol=1e-12, atol=1e-14, msg=lambda m, n=name: f"{n}: {m}")


def test_norms_stand_in_the_users_order_and_end_with_the_samples():
    layer = sg.GRU(INPUTS, H)
    with sg.record(layer) as rec:
        rows, _ = layer(pack_padded_sequence(torch.randn(T, N, INPUTS), UNSORTED, enforce_sorted=False))
        rows.data.sum().backward()
    series = rec[""].l0
    assert series.lengths.tolist() == UNSORTED.tolist()
    assert ((series.grad_h > 0).sum(0) == UNSORTED).all()


def test_an_initial_state_finds_its_sample():
    torch.manual_seed(1)
    layer, x = sg.LSTM(INPUTS, H, num_layers=2), torch.randn(T, N, INPUTS)
    state = torch.randn(2, N, H), torch.randn(2, N, H)
    rows, ends = layer(pack_padded_sequence(x, UNSORTED, enforce_sorted=False), state)
    out, right = layer(x, state, lengths=UNSORTED)
    assert torch.equal(pad_packed_sequence(rows, total_length=T)[0], out)
    assert all(torch.equal(a, b) for a, b in zip(ends, right, strict=True))


@pytest.mark.parametrize("cls", CLASSES)
def test_second_order_of_packed_rows(cls):
    torch.manual_seed(2)
    layer = cls(2, 3).double()
    packed = pack_padded_sequence(torch.randn(3, 2, 2, dtype=torch.float64), [3, 2])

    def outputs(data):
        rows, _ = layer(PackedSequence(data, packed.batch_sizes))
        return rows.data

    assert torch.autograd.gradgradcheck(outputs, packed.data.clone().requires_grad_())


def test_batched_gradients_of_packed_rows():
    torch.manual_seed(3)
    layer = sg.GRU(2, 3).double()
    packed = pack_padded_sequence(torch.randn(3, 2, 2, dtype=torch.float64), [3, 2])
    data = packed.data.clone().requires_grad_()

    def outputs(x):
        return layer(PackedSequence(x, packed.batch_sizes))[0].data

    by_vmap, one_by_one = (
        torch.autograd.functional.jacobian(outputs, data, vectorize=vectorize) for vectorize in (True, False)
    )
    torch.testing.assert_close(by_vmap, one_by_one)


def test_rows_of_no_sample_are_left_out():
    layer = sg.RNN(INPUTS, H)
    data = torch.randn(9, INPUTS)
    rows, _ = layer(PackedSequence(data, torch.tensor([3, 2, 1])))
    right, _ = layer(PackedSequence(data[:6], torch.tensor([3, 2, 1])))
    torch.testing.assert_close(rows.data, right.data)


def arguments(x, lengths, samples=2):
    layer = sg.RNN(INPUTS, H)
    weights = (layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    settings = _ops.options("rnn_tanh", False, 1.0, None, 0)
    return (x, *weights, None, torch.zeros(samples, H), None, torch.tensor(lengths), None, *settings, False)


@pytest.mark.parametrize(
    ("rows", "lengths", "message"),
    [
        (5, [2, 3], "lengths of packed rows must be at least 1 and never grow"),
        (2, [2, 0], "lengths of packed rows must be at least 1 and never grow"),
        (4, [3, 2], r"as many packed rows as lengths add up to, 5, got \[4, 4\]"),
    ],
)
def test_the_op_refuses_rows_that_do_not_fit_their_lengths(rows, lengths, message):
    with pytest.raises(ValueError, match=message):
        torch.ops.seqgrad.forward.default(*arguments(torch.randn(rows, INPUTS), lengths))


def test_fake_tensors_know_the_shapes_of_packed_rows():
    torch.library.opcheck(
        torch.ops.seqgrad.forward.default, arguments(torch.randn(5, INPUTS), [3, 2]), test_utils="test_faketensor"
    )
