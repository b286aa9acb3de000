"""Truncated backpropagation by hand: chunks are views, the cut is exact, mistakes show at the call."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

import seqgrad
from seqgrad.tbptt import detach, tbptt


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 45), st.booleans())
def test_chunks_tile_the_sequence(steps: int, size: int, batch_first: bool):
    x = torch.arange(steps * 3.0).view(steps, 3)
    y = torch.arange(steps).view(steps, 1)
    given_x, given_y = (x.T, y.T) if batch_first else (x, y)
    chunks = list(tbptt(given_x, given_y, size, batch_first=batch_first))
    axis = 1 if batch_first else 0
    assert torch.equal(torch.cat([c[0] for c in chunks], axis), given_x)
    assert torch.equal(torch.cat([c[1] for c in chunks], axis), given_y)
    assert [c[2] for c in chunks] == list(range(0, steps, size))
    assert [c[3] for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(c[0].untyped_storage().data_ptr() == x.untyped_storage().data_ptr() for c in chunks)


def test_the_default_chunk_is_twenty_steps_and_y_may_be_missing():
    assert [(len(c), y, t, last) for c, y, t, last in tbptt(torch.zeros(30, 2))] == [
        (20, None, 0, False),
        (10, None, 20, True),
    ]


def test_no_gradient_crosses_the_cut():
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 4)
    x = torch.randn(9, 2, 3, requires_grad=True)
    state = None
    for chunk, _, t0, is_last in tbptt(x, size=4):
        out, state = lstm(chunk, detach(state))
        if is_last:
            assert t0 == 8
            out[-1].sum().backward()
    assert torch.equal(x.grad[:8], torch.zeros(8, 2, 3))
    assert x.grad[8].all()


def test_detach_keeps_values_structure_and_none():
    Pair = namedtuple("Pair", "h c")
    h = torch.ones(2, requires_grad=True) * 2
    state = [None, (h, Pair(h, None))]
    found = detach(state)
    assert type(found) is list
    assert found[0] is None
    assert type(found[1][1]) is Pair
    assert found[1][1].c is None
    for tensor in (found[1][0], found[1][1].h):
        assert torch.equal(tensor, h)
        assert not tensor.requires_grad
        assert tensor.data_ptr() == h.data_ptr()
    assert detach(None) is None
    assert h.requires_grad


@pytest.mark.parametrize("state", [pack_sequence([torch.ones(2, 1)]), "h", {"h": torch.ones(1)}, 3])
def test_detach_refuses_what_is_no_state(state):
    with pytest.raises(TypeError, match=f"detach expects the state of a recurrent layer.*got {type(state).__name__}"):
        detach(state)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((torch.zeros(5, 2), None, 0), ValueError, "size must be a positive int, got 0"),
        ((torch.zeros(5, 2), None, -1), ValueError, "size must be a positive int, got -1"),
        ((torch.zeros(5, 2), None, 2.0), TypeError, "size must be a positive int, got float 2.0"),
        ((torch.zeros(5, 2), None, True), TypeError, "got bool True"),
        ((torch.zeros(5, 2), torch.zeros(4)), ValueError, "x has 5 steps on axis 0, y has 4; .* pass y=None"),
        (([1, 2],), TypeError, "x must be a tensor with time on axis 0, got list"),
        ((pack_sequence([torch.ones(2, 1)]),), TypeError, "x must be a tensor.*got PackedSequence"),
        ((torch.zeros(5, 2), [1]), TypeError, "y must be a tensor"),
        ((torch.tensor(1.0),), ValueError, r"x must have time on axis 0, got shape \[\]"),
    ],
)
def test_mistakes_show_at_the_call(arguments, error, match):
    with pytest.raises(error, match=match):
        tbptt(*arguments)


def test_batch_first_asks_for_a_second_axis():
    with pytest.raises(ValueError, match=r"y must have time on axis 1, got shape \[3\]"):
        tbptt(torch.zeros(3, 5), torch.zeros(3), batch_first=True)


def test_a_packed_sequence_is_answered_with_what_to_do_instead():
    packed = pack_sequence([torch.ones(2, 1)])
    with pytest.raises(TypeError, match=r"unpack it with .*pad_packed_sequence and pass lengths="):
        tbptt(packed)
    with pytest.raises(TypeError, match="a PackedSequence is an output, detach the state beside it"):
        detach(packed)
    with pytest.raises(TypeError, match="got PackedSequence"):
        detach((torch.ones(1), [packed]))


@pytest.mark.parametrize("size", [1, 4, 20])
@pytest.mark.parametrize("kind", [seqgrad.RNN, seqgrad.GRU, seqgrad.LSTM])
def test_the_loop_of_the_docstring_equals_truncate_inside_one_call(kind, size: int):
    torch.manual_seed(0)
    x, lengths = torch.randn(11, 3, 2, dtype=torch.float64), torch.tensor([11, 5, 8])
    by_hand = kind(2, 4, dtype=torch.float64)
    fused = kind(2, 4, truncate=size, dtype=torch.float64)
    fused.load_state_dict(by_hand.state_dict())
    fused(x, lengths=lengths)[0].square().sum().backward()
    state = None
    for chunk, _, t0, _ in tbptt(x, size=size):
        out, state = by_hand(chunk, detach(state), lengths=(lengths - t0).clamp(0, chunk.size(0)))
        out.square().sum().backward()  # the weights' gradients add up over the chunks
    for a, b in zip(by_hand.parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=1e-14)
