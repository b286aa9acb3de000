"""torch.compile: one whole graph per layer, one more for all shapes, equal numbers, records, errors."""

from __future__ import annotations

import copy
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import CELLS, SHAPES, counted, inductor_in, solve
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

import seqgrad as sg
from seqgrad import _graph_tap

# torch's tracer looks at .grad of every input and silences its own warning about that in another way than as an error.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    assert not _graph_tap._tickets, "a closed block left tickets behind"
    assert not _graph_tap._waiting, "a closed block left norms behind"


def lengths_for(T: int, N: int, least: int = 0) -> Tensor:
    """Lengths from ``least`` to T, both among them."""
    lengths = torch.arange(N) * 3 % T
    lengths[-1] = T
    return lengths.clamp(min=least)


def states(module: Any, N: int) -> Any:
    rows = module.num_layers * (2 if module.bidirectional else 1)
    h = torch.linspace(-1, 1, rows * N * 8).view(rows, N, 8)
    return (h, h.cos()) if isinstance(module, sg.LSTM) else h


# Name -> (constructor options, how a layer f is called; module is the layer itself).
USES: dict[str, tuple[dict[str, Any], Callable[[Any, Any, Tensor], Any]]] = {
    "plain": ({}, lambda f, module, x: f(x)),
    "deep": (
        {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5},
        lambda f, module, x: f(x.transpose(0, 1)),
    ),
    "states": ({"num_layers": 2}, lambda f, module, x: f(x, states(module, x.size(1)))),
    "lengths": ({"bidirectional": True}, lambda f, module, x: f(x, lengths=lengths_for(*x.shape[:2]))),
    "packed": (
        {"num_layers": 2, "dropout": 0.5},
        lambda f, module, x: f(
            pack_padded_sequence(x, lengths_for(*x.shape[:2], least=1), enforce_sorted=False)
        ),
    ),
    "packed sorted": (
        {"bidirectional": True},
        lambda f, module, x: f(
            pack_padded_sequence(x, lengths_for(*x.shape[:2], least=1).sort(descending=True).values),
            states(module, x.size(1)),
        ),
    ),
    "state_clip": ({"state_clip": sg.clip.Norm(0.1)}, lambda f, module, x: f(x)),
    "truncate": ({"truncate": 3, "state_clip": sg.clip.Value(0.01)}, lambda f, module, x: f(x)),
    "unbatched": ({}, lambda f, module, x: f(x[:, 0])),
}  # fmt: skip


# Each use with the LSTM and with one of the others in turn.
CASES = [(sg.LSTM, use) for use in USES] + [
    (cls, use) for k, cls in enumerate((sg.RNN, sg.GRU, sg.ResidualRNN)) for use in list(USES)[k::3]
]


@pytest.mark.parametrize(("cls", "use"), CASES, ids=[f"{cls.__name__}-{use}" for cls, use in CASES])
def test_one_static_and_one_dynamic_graph_serve_all_shapes(cls: Any, use: str) -> None:
    options, call = USES[use]
    module = cls(5, 8, **options)
    assert_two_graphs(module, lambda f, x: call(f, module, x))


@pytest.mark.parametrize("cls", CELLS, ids=lambda cls: cls.__name__)
def test_one_static_and_one_dynamic_graph_serve_a_cell(cls: Any) -> None:
    assert_two_graphs(cls(5, 8), lambda f, x: f(x[0]))


def test_projection_compiles() -> None:
    assert_two_graphs(sg.LSTM(5, 8, proj_size=3, bidirectional=True), lambda f, x: f(x))


def assert_two_graphs(module: nn.Module, call: Callable[[Any, Tensor], Any]) -> None:
    compiled, counter = counted(module, "aot_eager")
    counts = []
    for T, N in SHAPES:
        x = torch.randn(T, N, 5, requires_grad=True)
        for ours, eager in zip(
            solve(lambda x: call(compiled, x), x, module), solve(lambda x: call(module, x), x, module), strict=True
        ):
            torch.testing.assert_close(ours, eager)
        counts.append(counter.frame_count)
    assert counts == [1, 2, 2, 2]


def test_lengths_as_a_list_are_part_of_the_graph() -> None:
    """Their number and values are Python's: each kind of list is a graph of its own. A tensor is not."""
    gru, x = sg.GRU(5, 8), torch.randn(7, 3, 5)
    compiled, counter = counted(gru, "aot_eager")
    assert torch.equal(compiled(x, lengths=[7, 0, 2])[0], gru(x, lengths=[7, 0, 2])[0])
    assert counter.frame_count == 1


class Everything(nn.Module):
    """Each kind of layer and cell once, and one layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = sg.LSTM(5, 8, num_layers=2, bidirectional=True)
        self.gru = sg.GRU(16, 6, state_clip=sg.clip.Norm(0.01))
        self.residual = sg.ResidualRNN(6, 4, residual_scale=0.5)
        self.rnn = sg.RNN(4, 4, truncate=3)
        self.cell = sg.GRUCell(4, 4)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        y = self.residual(self.gru(self.lstm(x, lengths=lengths)[0])[0])[0]
        first, second = self.rnn(y)[0], self.rnn(y)[0]
        h = first[0]
        for t in range(3):
            h = self.cell(second[t], h)
        return first.square().sum() + second.sin().sum() + h.sum()


def data(T: int, N: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 * T + N)
    return torch.randn(T, N, 5, generator=generator), torch.randint(0, T + 1, (N,), generator=generator)


def record_of(recorded: nn.Module, call: Any, T: int, N: int, factor: float = 2.0) -> Any:
    with sg.record(recorded) as rec:
        (factor * call(*data(T, N))).backward()
    return rec


def assert_same_record(ours: Any, eager: Any) -> None:
    """Every pass of every series: numbers, backward, call, lengths."""
    assert ours.keys() == eager.keys() != []
    for key in eager:
        assert len(ours.all(key)) == len(eager.all(key))
        for a, b in zip(ours.all(key), eager.all(key), strict=True):
            assert (a.backward, a.call, a.reverse, a.quantities) == (b.backward, b.call, b.reverse, b.quantities)
            torch.testing.assert_close(a.data, b.data)
            assert (a.lengths is None) == (b.lengths is None)
            assert a.lengths is None or torch.equal(a.lengths, b.lengths)


def test_records_of_whole_graphs_equal_those_of_eager_code() -> None:
    model = Everything()
    compiled, counter = counted(model, "aot_eager")
    counts = []
    for T, N in SHAPES:
        for factor in (2.0, 3.0):
            compiled(*data(T, N)).backward()
            assert_same_record(record_of(model, compiled, T, N, factor), record_of(model, model, T, N, factor))
        assert_same_record(record_of(compiled, compiled, T, N), record_of(model, model, T, N))
        counts.append(counter.frame_count)
    assert counts == [2, 4, 4, 4]  # with and without records; no more for a new block, or for a block on the wrapper
    assert [n for n, m in model.named_modules() if _graph_tap.ATTRIBUTE in vars(m)] == []


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # inductor imports torch's own use of it
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_inductor_gives_the_same_numbers_and_records(inductor_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.residual = sg.LSTM(5, 8, bidirectional=True), sg.ResidualRNN(16, 4)

        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            return self.residual(self.lstm(x, lengths=lengths)[0])[0].square().sum()

    model = Two()
    with inductor_in(inductor_folder, monkeypatch):
        compiled, counter = counted(model, "inductor", dynamic=True)
        for T, N in SHAPES:
            found = [torch.autograd.grad(call(*data(T, N)), list(model.parameters())) for call in (compiled, model)]
            torch.testing.assert_close(*found)
            assert_same_record(record_of(model, compiled, T, N), record_of(model, model, T, N))
    assert counter.frame_count == 2  # with and without records


def test_a_block_on_one_layer_leaves_the_others_alone() -> None:
    model = Everything()
    compiled, _ = counted(model, "aot_eager")
    for part in (model.gru, model.rnn):
        assert_same_record(record_of(part, compiled, 7, 3), record_of(part, model, 7, 3))


def test_compiled_parts_and_eager_parts_fill_one_record() -> None:
    model = Everything()
    eager = record_of(model, model, 7, 3)
    model.gru.compile(backend="aot_eager", fullgraph=True)
    model.rnn.compile(backend="aot_eager", fullgraph=True)
    assert_same_record(record_of(model, model, 7, 3), eager)


def test_nested_blocks_each_get_their_record() -> None:
    model = Everything()
    compiled, _ = counted(model, "aot_eager")
    eager = record_of(model, model, 7, 3)
    with sg.record(model) as outer:
        inner = record_of(model, compiled, 7, 3)
        assert_same_record(inner, eager)
        record_of(model.rnn, compiled, 7, 3)
    assert outer.backwards == 2


def test_every_backward_through_a_compiled_graph_appends() -> None:
    from torch._functorch import config

    model = Everything()
    compiled, _ = counted(model, "aot_eager")
    records = []
    for call in (compiled, model):
        with sg.record(model) as rec, config.patch(donated_buffer=False):  # or torch forbids retain_graph
            loss = call(*data(7, 3))
            loss.backward(retain_graph=True)
            loss.backward()
            torch.autograd.grad(call(*data(5, 2)), list(model.parameters()))  # chosen gradients leave no trace
            call(*data(5, 2)).backward()
        records.append(rec)
    assert_same_record(*records)
    assert records[0].backwards == 3


def test_a_backward_after_the_block_adds_nothing() -> None:
    model = Everything()
    compiled, _ = counted(model, "aot_eager")
    with sg.record(model) as rec:
        loss = compiled(*data(7, 3))
    loss.backward()
    assert not rec


def test_compiled_forwards_without_grad_are_counted_as_such() -> None:
    model = Everything()
    compiled, _ = counted(model, "aot_eager")
    for call in (compiled, model):
        with sg.record(model) as rec, torch.no_grad():
            call(*data(7, 3))
        with pytest.raises(KeyError, match="no_grad"):
            rec["lstm"]


def test_copies_and_pickles_made_in_a_block_are_other_layers() -> None:
    model = Everything()
    with sg.record(model) as rec:
        twin, read = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
        for other in (twin, read):
            counted(other, "aot_eager")[0](*data(7, 3)).backward()
    assert not rec


def test_checkpointing_inside_a_graph_records_each_step_once() -> None:
    lstm, x = sg.LSTM(5, 8, num_layers=2), torch.randn(7, 3, 5)

    def f(x: Tensor) -> Tensor:
        return checkpoint(lambda y: lstm(y)[0], x, use_reentrant=False).square().sum()

    with sg.record(lstm) as eager:
        lstm(x)[0].square().sum().backward()
    for _ in range(2):
        with sg.record(lstm) as rec:
            counted(f, "aot_eager")[0](x).backward()
        assert [len(rec.all(key)) for key in rec] == [1, 1]
        for key in eager:
            torch.testing.assert_close(rec[key].data, eager[key].data)


def test_a_monitor_sees_a_whole_graph_as_it_sees_eager_code() -> None:
    model, histories = Everything(), []
    compiled, counter = counted(model, "aot_eager")
    for call in (compiled, model):
        monitor = sg.Monitor(model, every=1, on_finding=None)
        for _ in range(2):
            model.zero_grad()
            with monitor:
                loss = call(*data(7, 3))
                loss.backward()
            monitor.step(loss)
        histories.append(monitor.history)
    assert counter.frame_count == 1
    assert histories[0].series == histories[1].series != ()
    for series in histories[0].series:
        for quantity in ("grad_h", "h"):
            torch.testing.assert_close(*[history.matrix(series, quantity) for history in histories], equal_nan=True)


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_a_monitor_sees_inductors_graph_as_it_sees_eager_code(
    inductor_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x, histories = nn.Sequential(sg.GRU(5, 8)), torch.randn(7, 3, 5), []
    with inductor_in(inductor_folder, monkeypatch):
        compiled, counter = counted(model, "inductor")
        for call in (compiled, model):
            monitor = sg.Monitor(compiled, every=2, first=0, log=False, on_finding=None)
            for _ in range(3):
                model.zero_grad()
                with monitor:
                    loss = call(x)[0].square().mean()
                    loss.backward()
                monitor.step(loss)
            histories.append(monitor.history)
    assert counter.frame_count == 2  # with and without records
    assert [history.steps for history in histories] == [[0, 2]] * 2
    assert histories[0].series == histories[1].series == ("0.l0",)
    for quantity in ("grad_h", "grad_carry", "h"):
        torch.testing.assert_close(*[history.matrix("0.l0", quantity) for history in histories])
    assert histories[0].entries[0].figures == pytest.approx(histories[1].entries[0].figures, rel=1e-5)


def test_values_out_of_range_are_refused_when_the_graph_runs() -> None:
    compiled, counter = counted(sg.GRU(5, 8), "aot_eager")
    x = torch.zeros(7, 3, 5)
    compiled(x, lengths=torch.tensor([7, 0, 3]))
    for wrong in (8, -1):
        with pytest.raises(RuntimeError, match=r"every entry of lengths must lie in 0\.\.T"):
            compiled(x, lengths=torch.tensor([7, wrong, 3]))
    packed = pack_padded_sequence(x, torch.tensor([7, 5, 2]))
    assert counter.frame_count == 1
    compiled(packed)
    broken = packed._replace(batch_sizes=packed.batch_sizes.flip(0))
    with pytest.raises(RuntimeError, match=r"batch_sizes must be positive and never grow"):
        compiled(broken)
