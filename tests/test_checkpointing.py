"""Activation checkpointing: same gradients, and a record that does not show that anything was recomputed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from oracle import assert_close
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential, set_checkpoint_early_stop

import seqgrad as sg

LAYERS = ("RNN", "GRU", "LSTM", "ResidualRNN")
CELLS = tuple(f"{name}Cell" for name in LAYERS)
MODES = (False, True)  # of use_reentrant
both = pytest.mark.parametrize("reentrant", MODES)


class Chunked(nn.Module):
    """Chunks of time, each in a checkpoint, through two layers or a cell: the way to train on long sequences."""

    def __init__(self, kind: str, chunk: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.chunk, self.loop = chunk, kind.endswith("Cell")
        self.first = getattr(sg, kind)(3, 4)
        self.second = None if self.loop else sg.GRU(4, 4, bidirectional=True)

    def run(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        hx = None if not state else state if len(state) > 1 else state[0]
        if self.second is not None:
            out, hx = self.first(x, hx)
            return (self.second(out)[0], *(hx if isinstance(hx, tuple) else (hx,)))
        outs = []
        for step in x:
            hx = self.first(step, hx)
            outs.append(hx[0] if isinstance(hx, tuple) else hx)
        return (torch.stack(outs), *(hx if isinstance(hx, tuple) else (hx,)))

    def forward(self, x: Tensor, through: Callable[..., tuple[Tensor, ...]] | None = None) -> Tensor:
        outs, state = [], ()
        for part in x.split(self.chunk):
            out, *state = self.run(part, *state) if through is None else through(self.run, part, *state)
            outs.append(out)
        return torch.cat(outs)


def data(steps: int = 6) -> Tensor:
    return torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()


def through(reentrant: bool) -> Callable[..., tuple[Tensor, ...]]:
    return lambda run, *inputs: checkpoint(run, *inputs, use_reentrant=reentrant)


def passes(record: sg.GradientRecord) -> dict[str, list[tuple[int, int, Tensor]]]:
    return {key: [(one.backward, one.call, one.data) for one in record.all(key)] for key in record}


def assert_same_records(got: sg.GradientRecord, expected: sg.GradientRecord) -> None:
    found, wanted = passes(got), passes(expected)
    assert list(found) == list(wanted)
    for key, all_of_it in found.items():
        assert [one[:2] for one in all_of_it] == [one[:2] for one in wanted[key]]
        assert all(torch.equal(a, b) for (*_, a), (*_, b) in zip(all_of_it, wanted[key], strict=True))
    assert got.backwards == expected.backwards
    assert got._log.calls == expected._log.calls


def grads(model: nn.Module, x: Tensor) -> list[Tensor]:
    return [x.grad, *(p.grad for p in model.parameters())]


@both
@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_chunks_in_checkpoints_have_the_gradients_and_the_record_of_plain_ones(kind: str, reentrant: bool):
    """Two steps with accumulated gradients, the second through a retained graph, twice. Norms to the bit; gradients
    too, but use_reentrant=True adds up those of the weights in another order.
    """
    found = []
    for way in (None, through(reentrant)):
        model, x = Chunked(kind), data()
        with sg.record(model) as record:
            model(x, way).square().mean().backward()
            value = model(x, way).sum()
            value.backward(retain_graph=True)
            (2 * value).backward()
        assert record.backwards == 3
        found.append((record, grads(model, x)))
    (plain, exact), (record, got) = found
    assert_same_records(record, plain)
    for a, b in zip(got, exact, strict=True):
        assert_close(a, b, ulps=64 if reentrant else 0)


@both
@pytest.mark.parametrize("kind", CELLS)
def test_a_checkpoint_per_step_of_a_cell_is_one_series(kind: str, reentrant: bool):
    model, x = Chunked(kind, chunk=1), data()
    with sg.record(model) as record:
        model(x, through(reentrant))[-1].sum().backward()
    assert record["first.cell"].data.shape[1:] == (6, 2)
    with sg.record(model) as plain:
        model(x)[-1].sum().backward()
    assert_same_records(record, plain)


@both
def test_plain_and_checkpointed_calls_of_one_layer_keep_their_order(reentrant: bool):
    torch.manual_seed(0)
    rnn, x = sg.GRU(3, 3), data()
    ways = (lambda v: rnn(v)[0], lambda v: checkpoint(lambda u: rnn(u)[0], v, use_reentrant=reentrant))
    records = []
    for order in ((0, 0, 0, 0), (0, 1, 1, 0), (1, 0, 0, 1)):
        with sg.record(rnn) as record:
            out = x
            for way in order:
                out = ways[way](out)
            out.square().sum().backward()
        records.append(record)
    for record in records[1:]:
        assert_same_records(record, records[0])


@both
def test_a_forward_without_grad_in_between_belongs_to_no_backward(reentrant: bool):
    model, x = Chunked("LSTM"), data()
    with sg.record(model) as record:
        with torch.no_grad():
            model(x)
        model(x, through(reentrant)).sum().backward()
    with sg.record(model) as plain:
        model(x).sum().backward()
    assert [len(record.all(key)) for key in record] == [len(plain.all(key)) for key in plain] == [3, 3, 3]
    for key in record:
        for one, other in zip(record.all(key), plain.all(key), strict=True):
            assert torch.equal(one.data, other.data)
        assert [one.call for one in record.all(key)] == [3, 4, 5]  # the calls without grad were 0, 1, 2


def test_nested_checkpoints_and_full_recomputation_record_once():
    model, x = Chunked("GRU"), data()
    with sg.record(model) as plain:
        model(x).sum().backward()
    with sg.record(model) as nested:
        checkpoint(lambda v: model(v, through(False)), x, use_reentrant=False).sum().backward()
    assert_same_records(nested, plain)
    with sg.record(model) as whole, set_checkpoint_early_stop(False):
        model(x, through(False)).sum().backward()
    assert_same_records(whole, plain)


@both
def test_a_sequence_of_segments(reentrant: bool):
    class First(nn.Module):
        def __init__(self, rnn: nn.Module) -> None:
            super().__init__()
            self.rnn = rnn

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x)[0]

    torch.manual_seed(0)
    model, x = nn.Sequential(*(First(sg.LSTM(3, 3)) for _ in range(4))), data()
    found = []
    for run in (model, lambda v: checkpoint_sequential(model, 2, v, use_reentrant=reentrant)):
        x.grad = None
        model.zero_grad()
        with sg.record(model) as record:
            run(x).sum().backward()
        found.append((record, grads(model, x)))
    assert_same_records(found[1][0], found[0][0])
    assert all(torch.equal(a, b) for a, b in zip(found[1][1], found[0][1], strict=True))


@both
def test_dropout_between_layers_is_drawn_again(reentrant: bool):
    rnn, x = sg.GRU(3, 4, num_layers=3, dropout=0.5), data()
    found = []
    for run in (rnn, lambda v: checkpoint(rnn, v, use_reentrant=reentrant)):
        torch.manual_seed(3)
        rnn.zero_grad()
        with sg.record(rnn) as record:
            run(x)[0].sum().backward()
        found.append((record, [p.grad for p in rnn.parameters()]))
    assert_same_records(found[1][0], found[0][0])
    assert all(torch.equal(a, b) for a, b in zip(found[1][1], found[0][1], strict=True))


@both
def test_a_frozen_layer_is_recorded_though_nothing_in_it_requires_grad(reentrant: bool):
    """Its tap alone does; with use_reentrant=False both runs must then save the same."""
    rnn = sg.RNN(3, 4).requires_grad_(False)
    head, x = nn.Linear(4, 1), data().detach()
    with sg.record(rnn) as record:
        head(checkpoint(lambda v: rnn(v)[0], x.requires_grad_(reentrant), use_reentrant=reentrant)).sum().backward()
    with sg.record(rnn) as plain:
        head(rnn(x)[0]).sum().backward()
    assert_same_records(record, plain)


@both
def test_a_backward_in_another_thread_is_recorded(reentrant: bool):
    """On a GPU autograd recomputes in a thread of its own, which knows nothing of the block's context."""
    model, x = Chunked("LSTM"), data()
    with sg.record(model) as plain:
        model(x).sum().backward()
    with sg.record(model) as record:
        value = model(x, through(reentrant)).sum()
        thread = threading.Thread(target=value.backward)
        thread.start()
        thread.join()
    assert_same_records(record, plain)


@both
def test_nothing_is_recorded_of_a_recomputation_after_the_block(reentrant: bool):
    model, x = Chunked("GRU"), data()
    with sg.record(model) as record:
        value = model(x, through(reentrant)).sum()
    value.backward()
    assert not record
    with sg.record(nn.Linear(1, 1)) as other:
        model(x, through(reentrant)).sum().backward()
    assert not other


@both
def test_segments_of_a_monitored_model_count_once(reentrant: bool):
    """A small cell in chunks: figures of the history equal those without checkpoints."""
    found = []
    for way in (None, through(reentrant)):
        model, x = Chunked("GRUCell"), data()
        mon = sg.Monitor(model, every=1, on_finding=None)
        with mon:
            model(x, way).sum().backward()
        mon.step()
        found.append(mon.history.matrix("first.cell"))
    assert torch.equal(*found)
