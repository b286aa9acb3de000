"""When a monitor measures the parameters' gradients: as backward left them, whatever the block does to them then."""

from __future__ import annotations

import contextlib
import tempfile

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import seqgrad as sg

T, N, I, H = 12, 3, 4, 8  # noqa: E741 - the letters of the formulas


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(I, I)
        self.rnn = sg.GRU(I, H)
        self.head = nn.Linear(H, 2)

    def forward(self, x):
        return self.head(self.rnn(self.embed(x))[0][-1])


def data():
    return torch.randn(T, N, I, generator=torch.Generator().manual_seed(1))


def total(model):
    return torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item()


def grad_norm(block, model=None, wrapped=None, scaler=None):
    """What the monitor says of one step; ``block(model)`` runs inside of it."""
    model = model or Reader()
    mon = sg.Monitor(model, every=1, on_finding=None)
    with mon:
        block(wrapped or model)
    mon.step(scaler=scaler)
    return mon.history.entries[0].figures["grad_norm"]


def backward(model, factor=1.0):
    (factor * model(data()).square().mean()).backward()


@pytest.fixture
def expected():
    model = Reader()
    backward(model)
    return total(model)


def test_clipping_and_clearing_inside_the_block_change_nothing(expected):
    def block(model):
        backward(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)

    def cleared(model):
        block(model)
        model.zero_grad()

    assert grad_norm(block) == grad_norm(cleared) == pytest.approx(expected, rel=1e-6)


def test_unscaling_inside_the_block_changes_nothing(expected):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)

    def block(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler.scale(model(data()).square().mean()).backward()
        scaler.unscale_(optimizer)
        assert total(model) == pytest.approx(expected, rel=1e-6)

    assert grad_norm(block, scaler=scaler) == pytest.approx(expected, rel=1e-6)


def test_accumulated_backwards_add_up(expected):
    def block(model):
        for _ in range(3):
            backward(model)

    assert grad_norm(block) == pytest.approx(3 * expected, rel=1e-6)


def test_a_backward_that_passes_no_recurrent_layer_is_measured_at_the_end(expected):
    def block(model):
        model.rnn.requires_grad_(False)
        model.head(model.rnn(data())[0][-1].detach()).sum().backward()

    model = Reader()
    assert grad_norm(block, model) == pytest.approx(model.head.weight.grad.norm().hypot(model.head.bias.grad.norm()))


def test_checkpointed_segments_leave_nothing_out(expected):
    def block(model):
        x = data().requires_grad_()
        out = checkpoint(lambda e: model.rnn(e)[0], model.embed(x), use_reentrant=True)
        model.head(out[-1]).square().mean().backward()

    assert grad_norm(block) == pytest.approx(expected, rel=1e-6)


def test_gradients_are_those_that_ddp_has_reduced(expected):
    def doubled(state, bucket):
        future = torch.futures.Future()
        future.set_result(2 * bucket.buffer())  # a reduction that shows
        return future

    with tempfile.TemporaryDirectory() as folder:
        store = torch.distributed.FileStore(f"{folder}/store", 1)
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        try:
            model = Reader()
            wrapped = DistributedDataParallel(model)
            wrapped.register_comm_hook(None, doubled)

            def block(module):
                backward(module)
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1e-3)

            assert grad_norm(block, model, wrapped) == pytest.approx(2 * expected, rel=1e-6)
        finally:
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize("cls", [sg.RNN, sg.GRU, sg.LSTM])
@pytest.mark.parametrize(("steps", "samples"), [(1, 1), (1, 3), (5, 1), (40, 9)])
def test_a_monitor_changes_no_gradient(cls, steps, samples):
    """It looks at what the layer kept for its backward, and must leave it as it is."""
    torch.manual_seed(0)
    rnn, x = cls(I, H), torch.randn(steps, samples, I)
    found = []
    for block in (contextlib.nullcontext(), sg.Monitor(rnn, every=1, on_finding=None)):
        rnn.zero_grad()
        with block:
            rnn(x)[0].square().sum().backward()
        found.append([p.grad.clone() for p in rnn.parameters()])
    torch.testing.assert_close(*found, rtol=0, atol=0)
