"""Monitor: what it survives, from exceptions to recomputed, compiled, shared and complex layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.checkpoint import checkpoint
from watched import H, I, N, Reader, T, broken_rnn, data, train, watch, zeros

import seqgrad as sg
from seqgrad import _recorder, _watch


@pytest.fixture(autouse=True)
def _seed():
    """A small GRU drawn at random vanishes once in a while, and rightly has a finding then."""
    torch.manual_seed(0)


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
