"""Monitor: schedule, what a block records and leaves behind, loss scales."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from watched import H, I, Reader, data, train, watch

import seqgrad as sg
from seqgrad import _recorder


@pytest.fixture(autouse=True)
def _seed():
    """A small GRU drawn at random vanishes once in a while, and rightly has a finding then."""
    torch.manual_seed(0)


# -- schedule ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"every": 10, "first": 0, "log": False}, [0, 10, 20, 30]),
        ({"every": 10, "first": 3, "log": False}, [0, 1, 2, 10, 20, 30]),
        ({"every": 20, "first": 0}, [0, 1, 2, 4, 8, 16, 20]),
        ({"every": 50}, [0, 1, 2, 4, 8, 16, 32]),
        ({"every": 10, "first": 2, "log": False, "start": 15}, [15, 16, 20, 30]),
    ],
)
def test_schedule(options, steps):
    model = Reader()
    mon = watch(model, **options)
    train(mon, model, steps[-1] + 1 - mon.next_step)
    assert mon.history.steps == steps
    assert [step for step in range(mon.start, steps[-1] + 1) if mon.is_due(step)] == steps


def test_outside_the_schedule_nothing_is_recorded():
    model = Reader()
    mon = watch(model, every=10, first=0, log=False)
    train(mon, model)
    with mon:
        assert not _recorder._recording
        assert not _recorder._watching
        out = model.rnn(data())[0]
        assert not out._backward_hooks
        out.sum().backward()
    assert mon.step() == []
    assert mon.history.steps == [0]


class Reads(TorchDispatchMode):
    """Notes every operation whose answer the CPU must wait for."""

    waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "bincount")

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        if name.startswith(self.waits):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def test_the_device_is_waited_for_in_step_alone_and_only_when_scheduled():
    for model in (Reader(sg.LSTM(I, H)), Reader(sg.RNN(I, H, nonlinearity="relu"))):
        mon = watch(model, every=2, first=0, log=False)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = iter([data() for _ in range(4)])
        with Reads() as quiet:
            for step in range(4):
                with mon:
                    model(next(batches)).square().mean().backward()
                if mon.is_due(step):
                    with torch.utils._python_dispatch._disable_current_modes():
                        mon.step()
                else:
                    mon.step()
                optimizer.step()
                optimizer.zero_grad()
        assert quiet.seen == []
        assert mon.history.steps == [0, 2]


@pytest.mark.cuda
def test_a_cuda_device_is_not_waited_for():
    if not (torch.cuda.is_available() and sg.has_cuda()):
        pytest.skip("needs a CUDA device and a build with CUDA kernels")
    model = Reader(sg.LSTM(I, H, bidirectional=True)).cuda()
    model.head = nn.Linear(2 * H, 2).cuda()
    mon = watch(model, every=2, first=0, log=False)
    batches = [data().cuda() for _ in range(4)]
    try:
        for step, x in enumerate(batches):
            torch.cuda.set_sync_debug_mode("error")
            with mon:
                model(x).square().mean().backward()
            torch.cuda.set_sync_debug_mode("default" if mon.is_due(step) else "error")
            mon.step()
            model.zero_grad()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert mon.history.steps == [0, 2]


def test_gradients_are_the_same_to_the_bit_under_a_monitor():
    model = Reader(sg.LSTM(I, H, num_layers=2))
    twin = copy.deepcopy(model)
    x = data()
    with watch(model):
        model(x).sum().backward()
    twin(x).sum().backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_history_has_what_a_record_has():
    model = Reader(sg.LSTM(I, H, bidirectional=True))
    model.head = nn.Linear(2 * H, 2)
    mon, x = watch(model), data()
    with mon, sg.record(model) as rec:
        out = model(x)
        out.sum().backward()
    mon.step(loss=out.sum().detach())
    assert mon.history.series == ("rnn.l0", "rnn.l0_reverse")
    for name, quantity in itertools.product(mon.history.series, ("grad_h", "grad_carry", "grad_c")):
        assert torch.equal(mon.history.matrix(name, quantity)[0], rec[name].norm(quantity))
    figures = mon.history.figures("rnn.l0")
    assert figures["ratio"] == [pytest.approx(rec.ratio["rnn.l0"], rel=1e-12)]
    assert figures["horizon"] == [rec.horizon()["rnn.l0"]]
    assert figures["transmission"] == [pytest.approx(rec.transmission["rnn.l0"], rel=1e-12)]  # summed in another order
    states = model.rnn(x)[0][..., :H]
    rms = states.double().square().mean(dim=(1, 2)).sqrt()
    torch.testing.assert_close(mon.history.matrix("rnn.l0", "h")[0], rms.detach(), rtol=1e-6, atol=0)
    assert mon.history.losses == [pytest.approx(float(out.sum().detach()))]


# -- AMP ---------------------------------------------------------------------------------------------------------------
def test_norms_are_divided_by_the_scale_of_this_backward():
    model, x = Reader(), data()
    plain, scaled = watch(model, rules=[]), watch(model, rules=[])
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    with plain:
        model(x).square().mean().backward()
    plain.step()
    model.zero_grad()
    with scaled:
        scaler.scale(model(x).square().mean()).backward()
    scaled.step(scaler=scaler)
    assert torch.equal(plain.history.matrix("rnn.l0"), scaled.history.matrix("rnn.l0"))
    ours, theirs = (mon.history.entries[0].figures for mon in (plain, scaled))
    assert theirs["grad_norm"] == pytest.approx(ours["grad_norm"], rel=1e-6)
    assert theirs["scale"] == 2.0**12


def test_an_overflow_under_a_scaler_is_no_alarm_until_it_lasts():
    model, x = Reader(), data()
    mon = watch(model)
    severities = []
    for _ in range(5):
        with mon:
            (model(x).square().mean() * math.inf).backward()
        severities.append([f.severity for f in mon.step(scaler=2.0**16) if f.rule == "NonFinite"])
        model.zero_grad()
    assert severities == [["info"]] * 3 + [["error"]] * 2


@pytest.mark.parametrize(("scaler", "error"), [("big", TypeError), (0, ValueError), (math.inf, ValueError)])
def test_scaler_must_be_a_scaler_or_a_positive_number(scaler, error):
    model = Reader()
    with (mon := watch(model)):
        model(data()).sum().backward()
    with pytest.raises(error, match="scaler must be"):
        mon.step(scaler=scaler)
    assert mon.next_step == 1
