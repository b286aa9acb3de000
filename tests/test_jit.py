"""TorchScript: a trace holds the native op and outlives the process; scripting says what to do instead."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seqgrad as sg

PEERS = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
ALL = (*PEERS, "ResidualRNN", "ResidualRNNCell")
RICH = {"num_layers": 2, "bidirectional": True, "batch_first": True}
CASES = [(name, {}) for name in ALL] + [(name, RICH) for name in ALL if not name.endswith("Cell")]
# torch says of each of its entry points that it is deprecated, and of every check of a shape that the trace does not
# repeat it: torch.nn's layers have those, too.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


def build(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return getattr(sg, name)(4, 6, **options)


def x_for(name: str, more: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(more)
    lead = (3,) if name.endswith("Cell") else (5, 3)
    return torch.randn(*(size + more for size in lead), 4, generator=generator)


def flat(value: Any) -> list[Tensor]:
    return [t for part in value for t in flat(part)] if isinstance(value, tuple) else [value]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_trace_computes_and_trains_as_the_layer(name: str, options: dict[str, Any], tmp_path: Path):
    """To the bit, also for other numbers of timesteps and samples, and after saving and loading."""
    module = build(name, **options)
    traced = torch.jit.trace(module, (x_for(name),))
    traced.save(str(tmp_path / "trace.pt"))
    for one in (traced, torch.jit.load(str(tmp_path / "trace.pt"))):
        assert {node.kind() for node in one.inlined_graph.nodes() if "seqgrad" in node.kind()} == {"seqgrad::forward"}
        for more in (0, 2, 0):
            x, twin = x_for(name, more).requires_grad_(), copy.deepcopy(module)
            leaf = x.detach().clone().requires_grad_()
            one.zero_grad()
            got, expected = flat(one(x)), flat(twin(leaf))
            assert all(map(torch.equal, got, expected))
            sum(out.square().sum() for out in got).backward()
            sum(out.square().sum() for out in expected).backward()
            assert torch.equal(x.grad, leaf.grad)
            for (n, p), (m, q) in zip(one.named_parameters(), twin.named_parameters(), strict=True):
                assert (n, torch.equal(p.grad, q.grad)) == (m, True)
        with torch.no_grad():
            assert all(map(torch.equal, flat(one(x)), expected))


def test_options_states_and_lengths_are_traced():
    module = build("LSTM", truncate=2, state_clip=sg.clip.Norm(0.1))
    states = torch.randn(1, 3, 6), torch.randn(1, 3, 6)

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = module

        def forward(self, x: Tensor, lengths: Tensor, h: Tensor, c: Tensor) -> Tensor:
            return self.rnn(x, (h, c), lengths=lengths)[0]

    model, x = Padded(), x_for("LSTM")
    traced = torch.jit.trace(model, (x, torch.tensor([5, 1, 2]), *states))
    lengths = torch.tensor([3, 5, 4])
    found = []
    for one in (model, traced):
        model.zero_grad()
        out = one(x, lengths, *states)
        out.square().sum().backward()
        found.append((out, [p.grad.clone() for p in model.parameters()]))
    assert torch.equal(found[0][0], found[1][0])
    assert all(map(torch.equal, found[0][1], found[1][1]))


def test_a_trace_without_anything_to_train_keeps_nothing_for_a_backward():
    module = build("GRU").requires_grad_(False)
    traced = torch.jit.trace(module, (x_for("GRU"),))
    node = next(node for node in traced.inlined_graph.nodes() if node.kind() == "seqgrad::forward")
    assert list(node.inputs())[-1].toIValue() is False
    assert torch.equal(traced(x_for("GRU", 2))[0], module(x_for("GRU", 2))[0])
    with torch.no_grad():  # what is kept does not hang on the mode in which it was traced
        other = torch.jit.trace(build("GRU"), (x_for("GRU"),))
    flat(other(x_for("GRU")))[0].sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in other.parameters())


def test_a_trace_runs_in_a_process_that_imports_seqgrad_and_nothing_of_the_model(tmp_path: Path):
    expected = {}
    for name in ALL:
        module, x = build(name), x_for(name, 1)
        torch.jit.trace(module, (x_for(name),)).save(str(tmp_path / f"{name}.pt"))
        expected[name] = (x, flat(module(x))[0].detach())
    torch.save(expected, tmp_path / "expected")
    code = (
        "import sys, torch, seqgrad\n"
        "folder = sys.argv[1]\n"
        "for name, (x, exact) in torch.load(folder + '/expected').items():\n"
        "    out = torch.jit.load(f'{folder}/{name}.pt')(x)\n"
        "    assert torch.equal(out if isinstance(out, torch.Tensor) else out[0], exact), name\n"
        "sys.stdout.write('all the same')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "all the same", done.stderr


@pytest.mark.parametrize("name", ALL)
def test_scripting_says_what_to_do_instead(name: str):
    model = nn.Sequential(nn.Linear(4, 4), build(name))
    for one in (model, model[1]):
        with pytest.raises(NotImplementedError, match=rf"torch\.jit\.script cannot compile seqgrad\.{name}; trace it"):
            torch.jit.script(one)
    assert type(model[1]) is getattr(sg, name)  # left as it was
    with pytest.raises(NotImplementedError) as error:
        torch.jit.script(model)
    assert ("revert_" in str(error.value)) is (name in PEERS)


class Reader(nn.Module):
    """A scripted RNN, GRU or LSTM of torch.nn can be called from within a model alone."""

    def __init__(self, rnn: nn.Module) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


@pytest.mark.parametrize("name", PEERS)
def test_the_advised_way_to_a_script_works(name: str):
    model, x = Reader(build(name)), x_for(name)
    scripted = torch.jit.script(sg.revert_(copy.deepcopy(model)))
    torch.testing.assert_close(scripted(x), model(x))
    assert type(model.rnn) is getattr(sg, name)
