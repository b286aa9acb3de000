"""Bad calls: the same mistake on torch.nn and on ours must end in the same exception, in the same words where
torch.nn has words of its own, and in one clear message where torch.nn lets a kernel complain."""

from __future__ import annotations

import warnings

import pytest
import torch
from pairs import CELLS, LAYERS, build
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import seqgrad.nn as ours
from seqgrad.clip import Norm
from seqgrad.record import record

X = torch.zeros(3, 2, 4)
VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])
words_of_today = pytest.mark.skipif(VERSION < (2, 13), reason="torch.nn worded these errors otherwise before 2.13")


def hx(kind: str, *shape: int, **options):
    state = torch.zeros(*shape, **options)
    return (state, state) if kind == "lstm" else state


def failure(call) -> Exception:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except (ValueError, TypeError, RuntimeError, IndexError, AttributeError) as error:
        return error
    raise AssertionError("nothing was raised")


def same_words(mine, theirs) -> None:
    got, expected = failure(mine), failure(theirs)
    assert (type(got), str(got)) == (type(expected), str(expected))


SAME = {
    "4-D input": lambda m, k: m(torch.zeros(3, 2, 4, 1)),
    "1-D input": lambda m, k: m(torch.zeros(4)),
    "wrong input size": lambda m, k: m(torch.zeros(3, 2, 6)),
    "float64 input": lambda m, k: m(X.double()),
    "integer input": lambda m, k: m(X.long()),
    "bool input": lambda m, k: m(X.bool()),
    "bfloat16 input": lambda m, k: m(X.bfloat16()),
    "empty time": lambda m, k: m(torch.zeros(0, 2, 4)),
    "empty unbatched time": lambda m, k: m(torch.zeros(0, 4)),
    "hx of another batch": lambda m, k: m(X, hx(k, 4, 3, 5)),
    "hx of another size": lambda m, k: m(X, hx(k, 4, 2, 6)),
    "hx of too few layers": lambda m, k: m(X, hx(k, 2, 2, 5)),
    "2-D hx for batched input": lambda m, k: m(X, hx(k, 4, 5)),
    "3-D hx for unbatched input": lambda m, k: m(X[:, 0], hx(k, 4, 1, 5)),
    "hx of too few layers, unbatched": lambda m, k: m(X[:, 0], hx(k, 3, 5)),
    "hx on another device": lambda m, k: m(X, hx(k, 4, 2, 5, device="meta")),
    "input on another device": lambda m, k: m(X.to("meta")),
    "a list as input": lambda m, k: m([1, 2]),
    "no input": lambda m, k: m(None),
    "hx of the other kind": lambda m, k: m(X, hx("gru" if k == "lstm" else "lstm", 4, 2, 5)),
    "a tuple of one as hx": lambda m, k: m(X, (torch.zeros(4, 2, 5),)),
    "a tuple of three as hx": lambda m, k: m(X, (torch.zeros(4, 2, 5),) * 3),
    "packed hx of a smaller batch": lambda m, k: m(
        pack_padded_sequence(X, [2, 3], enforce_sorted=False), hx(k, 4, 1, 5)
    ),
}


@words_of_today
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("mistake", SAME)
def test_layers_fail_in_the_words_of_torch_nn(kind: str, mistake: str):
    mine, theirs = build(kind, 4, 5, num_layers=2, bidirectional=True)
    same_words(lambda: SAME[mistake](mine, kind), lambda: SAME[mistake](theirs, kind))


# torch.nn.LSTM leaves these to its kernels, whose words help nobody; RNN and GRU check, and so do we for all.
PACKED = {
    "wrong packed input size": lambda m: m(pack_padded_sequence(torch.zeros(3, 2, 6), [3, 2])),
    "float64 packed input": lambda m: m(pack_padded_sequence(X.double(), [3, 2])),
    "2-D packed hx": lambda m: m(pack_padded_sequence(X, [3, 2]), hx("lstm" if m.mode == "LSTM" else "gru", 1, 2)),
    "3-D packed data": lambda m: m(pack_padded_sequence(torch.zeros(3, 2, 4, 4), [3, 2])),
}


@words_of_today
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("mistake", PACKED)
def test_packed_input_is_checked_in_the_words_of_torch_nn(kind: str, mistake: str):
    mine = build(kind, 4, 5)[0]
    theirs = torch.nn.GRU(4, 5)
    got, expected = failure(lambda: PACKED[mistake](mine)), failure(lambda: PACKED[mistake](theirs))
    assert (type(got), str(got).replace("hidden[0]", "hidden")) == (type(expected), str(expected))


@pytest.mark.parametrize(
    ("data", "sizes", "error", "match"),
    [
        (torch.zeros(3, 4), [1, 2], RuntimeError, "must be positive and never grow, got \\[1, 2\\]"),
        (torch.zeros(2, 4), [2, 1], RuntimeError, "has 2 rows but batch_sizes asks for 3"),
        (torch.zeros(2, 4), [2, 0], RuntimeError, "must be positive"),
        (torch.zeros(0, 4), [], ValueError, "non-empty 1-D integer tensor"),
        (torch.zeros(3, 4), [2.0, 1.0], ValueError, "non-empty 1-D integer tensor"),
    ],
)
def test_a_malformed_packed_sequence_is_named(data, sizes, error, match):
    with pytest.raises(error, match=match):
        ours.GRU(4, 5)(PackedSequence(data, torch.tensor(sizes)))


@pytest.mark.parametrize("kind", LAYERS)
def test_states_of_another_dtype_raise_the_same_type_with_a_message_that_says_so(kind: str):
    mine, theirs = build(kind, 4, 5)
    for dtype in (torch.float64, torch.int64):
        state = hx(kind, 1, 2, 5, dtype=dtype)
        assert type(failure(lambda s=state: theirs(X, s))) is RuntimeError
        with pytest.raises(RuntimeError, match=f"Input and hidden tensors are not the same dtype.*{dtype}"):
            mine(X, state)


def test_a_stacked_tensor_is_no_lstm_state():
    for module in (ours.LSTM(4, 5), torch.nn.LSTM(4, 5)):
        with pytest.raises(TypeError, match="hx"):
            module(X, torch.zeros(2, 1, 2, 5))


def test_autocast_does_not_hide_a_wrong_dtype():
    with torch.autocast("cpu"):
        for value in (X.double(), X.long()):
            with pytest.raises(RuntimeError, match="not the same dtype"):
                ours.GRU(4, 5)(value)


CONSTRUCTION = {
    "dropout above 1": lambda c: c(4, 5, dropout=1.5),
    "negative dropout": lambda c: c(4, 5, dropout=-0.1),
    "dropout as bool": lambda c: c(4, 5, dropout=True),
    "dropout as text": lambda c: c(4, 5, dropout="a"),
    "bias as int": lambda c: c(4, 5, bias=1),
    "batch_first as int": lambda c: c(4, 5, batch_first=1),
    "hidden_size as float": lambda c: c(4, 5.0),
    "input_size as text": lambda c: c("4", 5),
    "no input": lambda c: c(0, 5),
    "no hidden unit": lambda c: c(4, 0),
    "no layer": lambda c: c(4, 5, 0),
    "negative proj_size": lambda c: c(4, 5, proj_size=-1),
    "proj_size too large": lambda c: c(4, 5, proj_size=5),
    "unknown argument": lambda c: c(4, 5, colour="red"),
    "no argument": lambda c: c(),
    "too many arguments": lambda c: c(*([4] * 20)),
}


@words_of_today
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("mistake", CONSTRUCTION)
def test_construction_fails_in_the_words_of_torch_nn(name: str, mistake: str):
    call = CONSTRUCTION[mistake]
    same_words(lambda: call(getattr(ours, name)), lambda: call(getattr(torch.nn, name)))


@pytest.mark.parametrize("arguments", [(4, 5, 1, "foo"), (4, 5, 1, True), (4, 5, 1, ["tanh"])])
def test_unknown_nonlinearity_fails_in_the_words_of_torch_nn(arguments: tuple):
    same_words(lambda: ours.RNN(*arguments), lambda: torch.nn.RNN(*arguments))
    same_words(lambda: ours.ResidualRNN(*arguments), lambda: torch.nn.RNN(*arguments))


def test_nonlinearity_given_twice_fails():
    same_words(
        lambda: ours.RNN(4, 5, 1, "tanh", nonlinearity="relu"),
        lambda: torch.nn.RNN(4, 5, 1, "tanh", nonlinearity="relu"),
    )


def test_a_positional_proj_size_that_torch_nn_cannot_run_is_refused_at_construction():
    for build_one in (
        lambda: ours.GRU(4, 5, 1, True, False, 0.0, False, 2),
        lambda: ours.RNN(4, 5, 1, "tanh", True, False, 0.0, False, 2),
    ):
        with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
            build_one()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_useless_dropout_warns_as_torch_nn_does(name: str):
    with pytest.warns(UserWarning, match="num_layers greater than 1, but got dropout=0.5 and num_layers=1"):
        getattr(ours, name)(4, 5, dropout=0.5)


CELL_SAME = {
    "3-D input": lambda m, k: m(torch.zeros(2, 2, 4)),
    "wrong input size": lambda m, k: m(torch.zeros(2, 6)),
    "3-D state": lambda m, k: m(X[0], hx(k, 1, 2, 5)),
    "state of another batch": lambda m, k: m(X[0], hx(k, 3, 5)),
    "state of another size": lambda m, k: m(X[0], hx(k, 2, 6)),
    "1-D state for batched input": lambda m, k: m(X[0], hx(k, 5)),
    "1-D state for a batch of that size": lambda m, k: m(torch.zeros(5, 4), hx(k, 5)),
    "2-D state for unbatched input": lambda m, k: m(X[0, 0], hx(k, 1, 5)),
    "state of the other kind": lambda m, k: m(X[0], hx("gru" if k == "lstm" else "lstm", 2, 5)),
    "a list as input": lambda m, k: m([1]),
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("mistake", CELL_SAME)
def test_cells_fail_in_the_words_of_torch_nn(kind: str, mistake: str):
    mine, theirs = build(kind, 4, 5, table=CELLS)
    same_words(lambda: CELL_SAME[mistake](mine, kind), lambda: CELL_SAME[mistake](theirs, kind))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("value", "state", "match"),
    [
        (X[0].double(), {}, "Input and (parameter|hidden) tensors are not the same dtype"),
        (X[0].long(), {}, "not the same dtype"),
        (X[0], {"dtype": torch.float64}, "Input and hidden tensors are not the same dtype"),
        (X[0], {"device": "meta"}, "Input and hidden tensors are not at the same device"),
    ],
)
def test_cells_raise_the_type_of_torch_nn_and_say_what_differs(kind: str, value, state: dict, match: str):
    mine, theirs = build(kind, 4, 5, table=CELLS)
    start = hx(kind, 2, 5, **state) if state else None
    assert type(failure(lambda: theirs(value, start))) is RuntimeError
    with pytest.raises(RuntimeError, match=match):
        mine(value, start)


def test_cells_with_an_unknown_nonlinearity_or_a_wrong_count_of_states_fail_in_the_words_of_torch_nn():
    same_words(
        lambda: ours.RNNCell(4, 5, nonlinearity="foo")(X[0]), lambda: torch.nn.RNNCell(4, 5, nonlinearity="foo")(X[0])
    )
    state = torch.zeros(2, 5)
    for states in ((state,), (state,) * 3, (state, torch.zeros(2, 6))):
        same_words(lambda s=states: ours.LSTMCell(4, 5)(X[0], s), lambda s=states: torch.nn.LSTMCell(4, 5)(X[0], s))


@pytest.mark.parametrize(
    ("lengths", "error", "match"),
    [
        ([3], ValueError, r"lengths must have shape \[2\], one per sample of the batch, got shape \[1\]"),
        (torch.ones(2, 1, dtype=torch.long), ValueError, r"got shape \[2, 1\]"),
        (torch.tensor(3), ValueError, r"got shape \[\]"),
        ([3, 4], ValueError, r"lengths\[1\] = 4 is outside 0\.\.3"),
        (torch.tensor([-1, 2]), ValueError, r"lengths\[0\] = -1 is outside 0\.\.3"),
        ([3.0, 2.0], TypeError, "lengths must be an integer tensor or a list of int, got dtype torch.float32"),
        (torch.tensor([True, True]), TypeError, "got dtype torch.bool"),
        (["a", "b"], TypeError, "lengths must be an integer tensor or a list of int, got list"),
        ({3, 2}, TypeError, "got set"),
    ],
)
def test_bad_lengths_are_named(lengths, error, match):
    for rnn in (ours.RNN(4, 5), ours.LSTM(4, 5)):
        with pytest.raises(error, match=match):
            rnn(X, lengths=lengths)


def test_lengths_and_a_packed_sequence_exclude_each_other():
    with pytest.raises(ValueError, match="pass only one of them"):
        ours.GRU(4, 5)(pack_padded_sequence(X, [3, 2]), lengths=[3, 2])


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "ResidualRNN"])
@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"state_clip": 1.0}, TypeError, r"state_clip must be seqgrad.clip.Norm\(max_norm\).* got float 1.0"),
        ({"state_clip": Norm}, TypeError, "state_clip must be"),
        ({"truncate": 0}, ValueError, "truncate must be a positive int, got 0"),
        ({"truncate": -3}, ValueError, "truncate must be a positive int, got -3"),
        ({"truncate": 2.5}, TypeError, "truncate must be a positive int or None, got float 2.5"),
        ({"truncate": True}, TypeError, "got bool True"),
    ],
)
def test_bad_options_are_named(name: str, options: dict, error: type, match: str):
    with pytest.raises(error, match=match):
        getattr(ours, name)(4, 5, **options)


@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell", "ResidualRNNCell"])
def test_bad_state_clip_of_a_cell_is_named(name: str):
    with pytest.raises(TypeError, match="state_clip must be"):
        getattr(ours, name)(4, 5, state_clip="norm")


@pytest.mark.parametrize("kind", [ours.ResidualRNN, ours.ResidualRNNCell])
def test_bad_residual_scale_is_named(kind: type):
    for value, error in ((float("nan"), ValueError), (float("inf"), ValueError), ("1", TypeError), (True, TypeError)):
        with pytest.raises(error, match="residual_scale must be a finite number"):
            kind(4, 5, residual_scale=value)


def test_a_recorder_changes_no_word_of_an_error():
    layer = ours.GRU(4, 5, num_layers=2)
    layer.weight_hh_l1 = torch.nn.Parameter(layer.weight_hh_l1.detach().double())
    x = torch.randn(3, 2, 4)
    with pytest.raises(RuntimeError) as plain:
        layer(x)
    with record(layer), pytest.raises(RuntimeError) as recorded:
        layer(x)
    assert str(recorded.value) == str(plain.value)
