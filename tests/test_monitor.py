"""Monitor: schedule, what a block records and leaves behind, what it survives, and whom it tells."""

from __future__ import annotations

import copy
import itertools
import json
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import seqgrad as sg
from seqgrad import _recorder, _watch
from seqgrad.monitor import FindingError, FindingWarning, Monitor

T, N, I, H = 12, 3, 4, 8  # noqa: E741 - the letters of the formulas


class Reader(nn.Module):
    def __init__(self, rnn=None):
        super().__init__()
        self.rnn = sg.GRU(I, H) if rnn is None else rnn
        self.head = nn.Linear(H, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])


def data():
    return torch.randn(T, N, I)


def watch(model, **options):
    return Monitor(model, **{"every": 1, "on_finding": None, **options})


def train(mon, model, steps=1, batch=data):
    found = []
    for _ in range(steps):
        with mon:
            model(batch()).square().mean().backward()
        found = mon.step()
        model.zero_grad()
    return found


def broken_rnn(gain=1.5):
    """Explodes at x = h = 0: norm gain^lag."""
    rnn = sg.init.identity_(sg.RNN(I, H), gain)
    return Reader(rnn)


def zeros(steps=40):
    return lambda: torch.zeros(steps, N, I)


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


# -- what it survives --------------------------------------------------------------------------------------------------
def quiet_after(mon):
    """Nothing of a block is left."""
    assert not _recorder._recording
    assert not _recorder._watching
    assert _recorder._active.get() == ()
    assert mon._block is None


def test_an_exception_inside_the_block_leaves_nothing_behind():
    model = Reader()
    mon = watch(model)
    with pytest.raises(KeyError, match="mine"), mon:
        model(data()).sum().backward()
        raise KeyError("mine")
    quiet_after(mon)
    mon.step()
    train(mon, model)
    assert mon.history.steps == [0, 1]


def test_a_forward_without_backward_is_no_trouble():
    model = Reader()
    mon = watch(model)
    with mon:
        model(data())
    assert mon.step() == []
    assert mon.history.series == ()
    train(mon, model)
    assert mon.history.series == ("rnn.l0",)
    assert math.isnan(mon.history.figures("rnn.l0")["ratio"][0])


def test_several_backwards_calls_and_blocks_belong_to_one_step():
    model, x = Reader(), data()
    mon = watch(model)
    with mon:
        loss = (model(x) + model(2 * x)).sum()
        loss.backward(retain_graph=True)
        loss.backward()
    with mon:
        (3 * model(x)).sum().backward()
    found = mon.step()
    assert found == []
    with sg.record(model) as rec:
        (3 * model(x)).sum().backward()
    assert torch.equal(mon.history.matrix("rnn.l0")[0], rec["rnn.l0"].norm())  # the last pass
    assert mon.history.steps == [0]


def test_passes_of_several_blocks_number_on():
    model, x = Reader(), data()
    seen = []

    class Look:
        name = "Look"

        def check(self, entry):
            seen.extend((p.series.backward, p.series.call) for p in entry.passes("rnn.l0"))
            return []

    mon = watch(model, rules=[Look()])
    for _ in range(2):
        with mon:
            (model(x) + model(x)).sum().backward()
    mon.step()
    assert seen == [(0, 0), (0, 1), (1, 2), (1, 3)]


def test_a_layer_called_very_often_is_looked_at_a_bounded_number_of_times():
    model = Reader()
    mon = watch(model)
    with mon:
        sum(model(data()).sum() for _ in range(_watch.CALLS_SEEN + 8)).backward()
        assert len(mon._block.facts) == _watch.CALLS_SEEN
    mon.step()
    assert mon.history.series == ("rnn.l0",)


@pytest.mark.parametrize("order", ["before", "inside", "after backward", "never None"])
def test_the_order_of_zero_grad_does_not_matter(order):
    model, x = Reader(), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    mon = watch(model)
    for _ in range(3):
        if order == "before":
            optimizer.zero_grad()
        with mon:
            loss = model(x).square().mean()
            if order == "inside":
                optimizer.zero_grad()
            loss.backward()
            if order == "after backward":
                optimizer.step()
                optimizer.zero_grad()
        assert mon.step() == []
        if order != "after backward":
            optimizer.step()
        if order == "never None":
            optimizer.zero_grad(set_to_none=False)
    assert mon.history.steps == [0, 1, 2]
    assert (mon.history.matrix("rnn.l0")[:, -1] > 0).all()


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_neither_doubles_nor_hides_a_forward(reentrant):
    model, x = Reader(), data()
    plain, mon = watch(model), watch(model)
    with plain:
        model(x).sum().backward()
    plain.step()
    with mon:
        checkpoint(model, x.requires_grad_(), use_reentrant=reentrant).sum().backward()
        assert [facts.key for facts in mon._block.facts] == ["rnn.l0"]
        assert len(mon._block.log.passes) == 1
    mon.step()
    for quantity in ("grad_h", "h"):
        assert torch.equal(plain.history.matrix("rnn.l0", quantity), mon.history.matrix("rnn.l0", quantity))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch hides it at a graph break, not an error
def test_a_compiled_model_is_seen_under_its_own_names():
    torch._dynamo.reset()
    model, x = Reader(), data()
    mon = watch(torch.compile(model, backend="eager"), every=2, first=0, log=False)
    compiled = torch.compile(model, backend="eager")
    for _ in range(3):
        with mon:
            compiled(x).sum().backward()
        assert mon.step() == []
    plain = watch(model)
    with plain:
        model(x).sum().backward()
    plain.step()
    assert mon.history.series == ("rnn.l0",)
    torch.testing.assert_close(mon.history.matrix("rnn.l0")[0], plain.history.matrix("rnn.l0")[0], rtol=1e-6, atol=0)
    assert mon.history.quantities("rnn.l0") == plain.history.quantities("rnn.l0")
    torch._dynamo.reset()


def test_compiled_parts_of_a_model_go_by_their_own_names():
    torch._dynamo.reset()
    model = nn.ModuleDict({"rnn": torch.compile(sg.RNN(I, H), backend="eager"), "head": nn.Linear(H, 2)})
    with torch.no_grad():
        model["rnn"].weight_hh_l0.copy_(0.1 * torch.eye(H))
    seen = []

    class Look:
        name = "Look"

        def check(self, entry):
            seen.append((set(entry.gradients), set(entry.weights), set(entry.updates)))
            return []

    mon = watch(model, rules=[Look(), *sg.rules.default()])
    assert mon._layers == {"rnn": model["rnn"]._orig_mod}
    for _ in range(2):
        with mon:
            model["head"](model["rnn"](zeros(40)())[0][-1]).sum().backward()
        (found,) = mon.step()
        model.zero_grad()
    weights = {f"rnn.{name}" for name, _ in sg.RNN(I, H).named_parameters()}
    assert seen[1] == (weights | {"head.weight", "head.bias"}, weights, {"rnn"})
    assert (found.rule, found.module, mon.history.header["layers"]) == ("Vanishing", "rnn", {"rnn": "RNN"})
    eval(found.action, {"seqgrad": sg, "model": model})
    singular = torch.linalg.svdvals(model["rnn"].weight_hh_l0.detach())
    torch.testing.assert_close(singular, torch.ones(H))


def first_of(output):
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "ResidualRNN", "RNNCell", "LSTMCell"])
def test_complex_layers_are_watched_by_size(name, dtype):
    layer = getattr(sg, name)(I, H, dtype=dtype)
    x = torch.randn((N, I) if "Cell" in name else (T, N, I), dtype=dtype)
    mon = watch(layer)
    with mon:
        out = first_of(layer(x))
        out.abs().square().mean().backward()
        mon._block._watcher.finish()
        (facts,) = mon._block.facts
    torch.testing.assert_close(facts.tensors["norm"], out.detach().abs().square().sum(-1).sqrt().reshape(-1, N))
    assert not {"saturated", "gates_high"} & set(facts.tensors)
    rules = {finding.rule for finding in mon.step()}
    assert not rules & {"LossScale", "Saturation"}  # nothing says whose doing a large gradient is
    assert mon.history.entries[0].figures["grad_norm"] > 0


def test_ranks_watch_themselves_and_names_leave_the_wrapper_out(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = broken_rnn()
        mon = watch(nn.parallel.DistributedDataParallel(model))
        wrapped = nn.parallel.DistributedDataParallel(model)
        with mon:
            wrapped(zeros()()).sum().backward()
        found = mon.step()
    finally:
        torch.distributed.destroy_process_group()
    assert [(f.rule, f.module, f.rank) for f in found] == [("Exploding", "rnn", 0)]
    assert mon.history.header["rank"] == 0


def test_two_monitors_and_nested_blocks_do_not_disturb_each_other():
    model = Reader()
    one, two = watch(model), watch(model, every=2, first=0, log=False)
    for _ in range(2):
        with one, two, one:
            model(data()).sum().backward()
        one.step()
        two.step()
        model.zero_grad()
    assert one.history.steps == [0, 1]
    assert two.history.steps == [0]
    assert torch.equal(one.history.matrix("rnn.l0")[0], two.history.matrix("rnn.l0")[0])
    quiet_after(one)


def test_step_inside_the_block_ends_it():
    model = Reader()
    mon = watch(model)
    with mon:
        model(data()).sum().backward()
        mon.step()
        quiet_after(mon)
    train(mon, model)
    assert mon.history.steps == [0, 1]


def test_step_without_a_block_says_so_once():
    mon = watch(Reader())
    with pytest.warns(UserWarning, match="nothing was recorded: run forward and backward inside `with monitor:`"):
        mon.step()
    assert mon.step() == []
    assert mon.history.steps == []


def test_a_block_in_which_no_layer_runs_says_so():
    mon = watch(Reader())
    with mon, torch.no_grad():
        mon.model(data())
    with pytest.warns(UserWarning, match="no seqgrad layer of the model ran with grad mode on"):
        mon.step()


def test_blocks_without_step_are_bounded():
    model = Reader()
    mon = watch(model)

    def blocks(count):
        for _ in range(count):
            with mon:
                model(data()).sum().backward()

    with pytest.warns(UserWarning, match=r"call step\(\) after every training step"):
        blocks(70)
    assert len(mon._blocks) == 64
    quiet_after(mon)


def test_packed_and_padded_sequences_look_the_same():
    model = sg.LSTM(I, H)
    sequences = [torch.randn(k, I) for k in (7, 5, 2)]
    padded, packed = watch(model), watch(model)
    x = nn.utils.rnn.pad_sequence(sequences)
    with padded:
        model(x, lengths=[7, 5, 2])[0].sum().backward()
    padded.step()
    with packed:
        model(pack_sequence(sequences))[0].data.sum().backward()
    packed.step()
    for quantity in padded.history.quantities("l0"):
        assert torch.equal(padded.history.matrix("l0", quantity), packed.history.matrix("l0", quantity))


def test_cells_in_a_loop_are_one_series_with_states():
    cell = sg.LSTMCell(I, H)
    mon = watch(cell)
    with mon:
        state, states = None, []
        for now in data():
            state = cell(now, state)
            states.append(state[0])
        state[0].sum().backward()
    mon.step()
    assert mon.history.matrix("cell").shape == (1, T)
    rms = torch.stack(states).double().square().mean(dim=(1, 2)).sqrt().detach()
    torch.testing.assert_close(mon.history.matrix("cell", "h")[0], rms, rtol=1e-6, atol=0)


def test_a_second_backward_through_an_uncut_state_is_explained():
    rnn = sg.GRU(I, H)
    mon = watch(rnn)
    state, error = None, None
    for _ in range(2):
        try:
            with mon:
                out, state = rnn(data(), state)
                out.sum().backward()
        except RuntimeError as caught:
            error = caught
        mon.step()
    assert "backward through the graph a second time" in str(error)
    if hasattr(error, "__notes__"):  # Python 3.11 and later
        assert "seqgrad.detach(state)" in error.__notes__[0]


# -- findings ----------------------------------------------------------------------------------------------------------
def test_warns_once_for_each_run_of_a_finding():
    model = broken_rnn()
    mon = Monitor(model, every=1)
    with pytest.warns(FindingWarning, match="the gradient explodes") as caught:
        train(mon, model, batch=zeros())
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [f.rule for f in train(mon, model, batch=zeros())] == ["Exploding"]
        assert train(mon, model, batch=zeros(5)) == []
    with pytest.warns(FindingWarning):
        train(mon, model, batch=zeros())
    assert [(f.step, f.rule) for f in mon.history.findings] == [(0, "Exploding"), (3, "Exploding")]


def test_findings_know_since_when():
    model = broken_rnn()
    mon = watch(model)
    assert [f.since for f in train(mon, model, 4, zeros())] == [0]
    train(mon, model, 1, zeros(5))
    assert [(f.step, f.since) for f in train(mon, model, 2, zeros())] == [(6, 5)]


def test_raises_after_history_and_sinks_have_it(tmp_path):
    model = broken_rnn()
    mon = Monitor(model, every=1, on_finding="raise", sinks=[sg.sinks.JSONL(tmp_path / "run.jsonl")])
    with pytest.raises(FindingError, match="the gradient explodes") as caught:
        train(mon, model, batch=zeros())
    assert [f.rule for f in caught.value.findings] == ["Exploding"]
    assert [f.rule for f in sg.History.load(tmp_path / "run.jsonl").findings] == ["Exploding"]
    assert mon.history.steps == [0]
    assert mon.next_step == 1
    mon.close()


def test_a_callable_gets_each_new_finding():
    heard = []
    model = broken_rnn()
    mon = Monitor(model, every=1, on_finding=heard.append)
    train(mon, model, 3, zeros())
    assert [(f.rule, f.step) for f in heard] == [("Exploding", 0)]


def test_a_rule_that_fails_is_reported_once_and_passed_over():
    class Broken:
        name = "Broken"

        def check(self, entry):
            raise ZeroDivisionError("mine")

    model = broken_rnn()
    mon = watch(model, rules=[Broken(), sg.rules.Exploding()])
    with pytest.warns(UserWarning, match="rule Broken failed at step 0 and was passed over: ZeroDivisionError"):
        found = train(mon, model, batch=zeros())
    assert [f.rule for f in found] == ["Exploding"]
    train(mon, model, batch=zeros())


def test_a_sink_that_fails_is_reported_once_and_does_not_stop_the_others():
    class Full(sg.sinks.Sink):
        def write(self, history, entry, findings):
            raise OSError("no space left")

    lines = []
    model = Reader()
    mon = watch(model, sinks=[Full(), sg.sinks.Callable(lines.append)])
    with pytest.warns(UserWarning, match="sink Full failed and misses what came: OSError"):
        train(mon, model)
    train(mon, model)
    assert [line["step"] for line in lines] == [0, 1]


# -- arguments ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (nn.Linear(2, 2), ValueError, "no recurrent layer to watch"),
        (
            nn.Sequential(nn.LSTM(2, 2)),
            ValueError,
            r"only torch.nn's recurrent layers \('0'\).*seqgrad.convert_\(model\)",
        ),
        ([nn.Linear(2, 2)], TypeError, "model must be a torch.nn.Module, got list"),
    ],
)
def test_a_model_without_seqgrad_layers_is_refused(model, error, message):
    with pytest.raises(error, match=message):
        Monitor(model)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every must be an int >= 1, got 0"),
        ({"every": 1.5}, TypeError, "every must be an int >= 1, got float 1.5"),
        ({"first": -1}, ValueError, "first must be an int >= 0"),
        ({"keep": 0}, ValueError, "keep must be a positive int, or None"),
        ({"on_finding": "shout"}, ValueError, 'on_finding must be "warn", "raise", a callable or None'),
        ({"rules": [print]}, TypeError, "rules must have a name and check"),
        ({"rules": [sg.rules.Exploding]}, TypeError, "rules must have a name and check"),
        ({"rules": sg.rules.Exploding()}, TypeError, r"got Exploding .*; write rules=\[Exploding\(\.\.\.\)\]"),
        ({"sinks": sg.sinks.JSONL("run.jsonl")}, TypeError, r"got JSONL .*; write sinks=\[JSONL\(\.\.\.\)\]"),
        ({"sinks": "run.jsonl"}, TypeError, "sinks must be a list of sinks, got str 'run.jsonl'; pass a list"),
        ({"log": sg.sinks.JSONL("run.jsonl")}, TypeError, r"log must be True or False.* as sinks=\[JSONL\(\.\.\.\)\]"),
        ({"log": 3}, TypeError, "log must be True or False, .* got int 3"),
        ({"sinks": ["run.jsonl"]}, TypeError, r"sinks must be seqgrad.sinks, such as sinks.JSONL\(path\), got str"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        Monitor(Reader(), **options)


def test_loss_must_be_one_number():
    model = Reader()
    with (mon := watch(model)):
        model(data()).sum().backward()
    with pytest.raises(ValueError, match=r"loss must be a number or a tensor of one element, got shape \[3\]"):
        mon.step(loss=torch.ones(3))


def test_header_says_what_ran():
    model = Reader()
    mon = watch(model)
    train(mon, model)
    header = mon.history.header
    assert header["kind"] == "run"
    assert header["layers"] == {"rnn": "GRU"}
    assert json.loads(json.dumps(header)) == header
    assert "1 entries, steps 0 to 0" in repr(mon)
