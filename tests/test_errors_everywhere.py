"""Bad input is refused in the same words wherever a layer runs: eager, compiled, under vmap and under grad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

import seqgrad as sg

T, N, I, H = 7, 3, 5, 8  # noqa: E741
Call = Callable[[Any, Tensor], Any]
LAYERS: dict[str, tuple[Call, str]] = {
    "rank": (lambda f, x: f(x[0, 0]), "Expected input to be 2D or 3D, got 1D"),
    "size": (lambda f, x: f(x[..., 1:]), "input.size(-1) must be equal to input_size. Expected 5, got 4"),
    "dtype": (lambda f, x: f(x.double()), "RNN input dtype (torch.float64) does not match weight dtype"),
    "time": (lambda f, x: f(x[:0]), "Expected sequence length to be larger than 0 in RNN"),
    "hidden": (lambda f, x: f(x, torch.zeros(1, N, 7)), "Expected hidden size (1, 3, 8), got [1, 3, 7]"),
    "lengths": (lambda f, x: f(x, lengths=torch.ones(2).long()), "lengths must have shape [3], one per sample"),
    "lengths dtype": (lambda f, x: f(x, lengths=torch.ones(N)), "lengths must be an integer tensor or a list of int"),
}
CELLS: dict[str, tuple[Call, str]] = {
    "rank": (lambda f, x: f(x[None]), "Expected input to be 1D or 2D, got 3D instead"),
    "size": (lambda f, x: f(x[:, 1:]), "input has inconsistent input_size: got 4 expected 5"),
    "batch": (lambda f, x: f(x, torch.zeros(2, H)), "Input batch size 3 doesn't match hidden0 batch size 2"),
    "hidden": (lambda f, x: f(x, torch.zeros(N, 7)), "hidden0 has inconsistent hidden_size: got 7, expected 8"),
    "dtype": (lambda f, x: f(x.double()), "Input and parameter tensors are not the same dtype"),
}
VALUES: dict[str, tuple[Call, str]] = {  # what a graph does not know until it runs
    "too long": (lambda f, x: f(x, lengths=[1, 8, 3]), "lengths[1] = 8 is outside 0..7"),
    "negative": (lambda f, x: f(x, lengths=torch.tensor([1, 2, -1])), "lengths[2] = -1 is outside 0..7"),
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def output(found: Any) -> Tensor:
    return found[0] if isinstance(found, tuple) else found


def refusal(run: Callable[[], Any], words: str) -> Exception:
    with pytest.raises((ValueError, RuntimeError, TypeError)) as caught:
        run()
    assert words in str(caught.value)
    return caught.value


def assert_same_refusal(run: Callable[[], Any], eager: Exception) -> None:
    with pytest.raises(type(eager)) as caught:
        run()
    assert str(caught.value) == str(eager)


def transformed(module: Any, call: Call, x: Tensor) -> list[Callable[[], Any]]:
    """The call under vmap over two inputs, and its gradient."""
    return [
        lambda: vmap(lambda v: output(call(module, v)))(torch.stack([x, x])),
        lambda: grad(lambda v: output(call(module, v)).sum())(x),
    ]


@pytest.mark.parametrize("cls", [sg.RNN, sg.GRU, sg.ResidualRNN], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("what", LAYERS)
def test_layers(cls: Any, what: str) -> None:
    call, words = LAYERS[what]
    assert_everywhere(cls(I, H), call, torch.zeros(T, N, I), words)


@pytest.mark.parametrize("cls", [sg.RNNCell, sg.GRUCell, sg.ResidualRNNCell], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("what", CELLS)
def test_cells(cls: Any, what: str) -> None:
    call, words = CELLS[what]
    assert_everywhere(cls(I, H), call, torch.zeros(N, I), words)


def test_the_pair_of_an_lstm() -> None:
    def call(f: Any, x: Tensor) -> Any:
        return f(x, (torch.zeros(1, N, 7), torch.zeros(1, N, H)))

    assert_everywhere(sg.LSTM(I, H), call, torch.zeros(T, N, I), "Expected hidden[0] size (1, 3, 8)")
    cell = sg.LSTMCell(I, H)
    assert_everywhere(cell, lambda f, x: f(x, (x,)), torch.zeros(N, I), "lstm_cell expects two hidden states")


def assert_everywhere(module: Any, call: Call, x: Tensor, words: str) -> None:
    eager = refusal(lambda: call(module, x), words)
    for run in transformed(module, call, x):
        assert_same_refusal(run, eager)
    assert_same_refusal(lambda: call(torch.compile(module, backend="aot_eager"), x), eager)
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported) as whole:  # what torch makes of any exception in a whole graph
        call(torch.compile(module, backend="aot_eager", fullgraph=True), x)
    assert words in str(whole.value)


@pytest.mark.parametrize("what", VALUES)
def test_values_under_transforms(what: str) -> None:
    """Under torch.compile they are an assertion of the graph: see test_compile.py."""
    call, words = VALUES[what]
    gru, x = sg.GRU(I, H), torch.zeros(T, N, I)
    eager = refusal(lambda: call(gru, x), words)
    for run in transformed(gru, call, x):
        assert_same_refusal(run, eager)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"truncate": 0}, "truncate must be a positive int, got 0"),
        ({"truncate": 2.5}, "truncate must be a positive int or None, got float 2.5"),
        ({"state_clip": 1.0}, "state_clip must be seqgrad.clip.Norm(max_norm), seqgrad.clip.Value(clip_value) or None"),
    ],
)
def test_options_of_a_layer_built_in_a_graph(options: dict[str, Any], words: str) -> None:
    def build(x: Tensor) -> Tensor:
        return sg.GRU(I, H, **options)(x)[0]

    x = torch.zeros(T, N, I)
    eager = refusal(lambda: build(x), words)
    assert_same_refusal(lambda: vmap(build)(torch.stack([x, x])), eager)
    assert_same_refusal(lambda: torch.compile(build, backend="eager")(x), eager)
