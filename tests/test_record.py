"""record: what is recorded when, how it is addressed, and what comes out of it."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import threading
import weakref

import pytest
import torch
from tapped import Tapped, TappedCell, rotation
from torch import nn

import seqgrad as sg
from seqgrad import _recorder, clip
from seqgrad._recorder import make_tap
from seqgrad.record import record

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def linear_rnn(weight, *, bidirectional=False, **options):
    """tanh RNN that is linear because its input is 0: oracles A1 and A5."""
    rnn = Tapped(1, weight.shape[0], bidirectional=bidirectional, dtype=weight.dtype, **options)
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            parameter.copy_(weight if "hh" in name else torch.zeros_like(parameter))
    return rnn


def tap_of(module, x, lengths=None):
    return make_tap(module, "l0", cell="rnn_tanh", state_clip=None, x=x, lengths=lengths, reverse=False)


# -- values ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rho", [0.5, 0.794, 0.9, 1.0, 1.1, 2.0])
def test_last_step_loss_gives_rho_to_the_k(rho):  # A1
    rnn, v = linear_rnn(rotation(6, rho)), torch.randn(3, 6, dtype=torch.float64)
    with record(rnn) as rec:
        (rnn(torch.zeros(30, 3, 1, dtype=torch.float64))[-1] * v).sum().backward()
    lag = torch.arange(29, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(rec[""].l0.grad_h, rho ** lag[:, None] * v.norm(dim=1), rtol=1e-12, atol=0)
    torch.testing.assert_close(rec[""].l0.norm(), rho**lag * v.norm(), rtol=1e-12, atol=0)
    assert rec.decay["l0"] == pytest.approx(rho, rel=1e-9)
    assert rec.ratio["l0"] == pytest.approx(rho**29, rel=1e-9)


@pytest.mark.parametrize("rho", [0.5, 1.0, 1.1])
def test_loss_at_every_step_gives_the_geometric_sum(rho):  # A5
    rnn, v = linear_rnn(rho * torch.eye(4, dtype=torch.float64)), torch.randn(2, 4, dtype=torch.float64)
    with record(rnn) as rec:
        (rnn(torch.zeros(12, 2, 1, dtype=torch.float64)) * v).sum().backward()
    expected = [sum(rho**j for j in range(12 - t)) * float(v.norm()) for t in range(12)]
    assert rec["l0"].norm().tolist() == pytest.approx(expected, rel=1e-12)


def test_reverse_direction_is_stored_in_input_time_order():
    rho = 0.5
    rnn, v = linear_rnn(rotation(4, rho), bidirectional=True), torch.randn(2, 4, dtype=torch.float64)
    with record(rnn) as rec:
        out = rnn(torch.zeros(10, 2, 1, dtype=torch.float64))
        ((out[-1, :, :4] + out[0, :, 4:]) * v).sum().backward()
    t = torch.arange(10, dtype=torch.float64)
    torch.testing.assert_close(rec[""].l0.norm(), rho ** (9 - t) * v.norm(), rtol=1e-12, atol=0)
    torch.testing.assert_close(rec[""].l0_reverse.norm(), rho**t * v.norm(), rtol=1e-12, atol=0)
    assert rec[""].l0_reverse.reverse and not rec[""].l0.reverse
    assert rec.decay == pytest.approx({"l0": rho, "l0_reverse": rho}, rel=1e-9)


def test_a_short_sample_has_zeros_beyond_its_length_and_the_norms_it_has_alone():
    rnn = Tapped(3, 5, "gru", bidirectional=True)
    x, lengths = torch.randn(9, 3, 3), torch.tensor([9, 4, 1])
    with record(rnn) as rec:
        rnn(x, lengths).sum().backward()
    with record(rnn) as alone:
        rnn(x[:4, 1:2]).sum().backward()
    for name in ("l0", "l0_reverse"):
        got = rec[name].grad_h
        assert got[4:, 1].eq(0).all() and got[1:, 2].eq(0).all() and got[:, 0].gt(0).all()
        torch.testing.assert_close(got[:4, 1], alone[name].grad_h[:, 0], rtol=1e-5, atol=0)
    lengths.zero_()  # the caller's buffer is not ours
    assert rec["l0"].lengths.tolist() == [9, 4, 1]


def test_nan_stays_with_its_sample_and_is_found():
    rnn = Tapped(3, 5)
    x = torch.randn(8, 4, 3)
    x[3, 2] = math.nan
    with record(rnn) as rec:
        rnn(x)[-1].sum().backward()
    norms = rec["l0"].grad_h
    assert norms[:3, 2].isnan().all() and torch.isfinite(norms[:, [0, 1, 3]]).all()
    hit = rec.first_nonfinite["l0"]
    assert (hit.n, math.isnan(hit.value)) == (2, True)
    assert f"t={hit.t}, sample 2" in rec.summary()


def test_lstm_has_grad_c_and_state_clip_has_hits():
    rnn = Tapped(3, 5, "lstm", state_clip=clip.Norm(1e-3))
    with record(rnn) as rec:
        rnn(torch.randn(6, 2, 3)).sum().backward()
    assert rec["l0"].quantities == ("grad_h", "grad_carry", "grad_c", "clip_hits")
    assert rec["l0"].grad_c.shape == rec["l0"].clip_hits.shape == (6, 2)
    assert rec["l0"].clip_hits.sum() > 0
    assert sum(rec.to_dict()["series"]["l0"]["clip_hits"]) == rec["l0"].clip_hits.sum()


def test_recording_leaves_the_gradients_bit_identical():
    rnn, x = Tapped(3, 5, "lstm"), torch.randn(7, 2, 3)
    rnn(x).square().sum().backward()
    plain = [p.grad.clone() for p in rnn.parameters()]
    rnn.zero_grad()
    with record(rnn):
        rnn(x).square().sum().backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(plain, rnn.parameters(), strict=True))


# -- the block ---------------------------------------------------------------------------------------------------------
def test_off_means_off():
    rnn, other, x = Tapped(3, 5), Tapped(3, 5), torch.randn(4, 2, 3)
    assert tap_of(rnn, x) is None
    with record(rnn) as rec:
        assert callable(tap_of(rnn, x))
        assert tap_of(other, x) is None
        with torch.no_grad():
            assert tap_of(rnn, x) is None
        with torch.inference_mode():
            assert tap_of(rnn, x) is None
    assert tap_of(rnn, x) is None
    assert not _recorder._recording and _recorder._active.get() == ()
    rnn(x).sum().backward()
    assert not rec


@pytest.mark.parametrize(
    ("dtype", "recorded"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_norms_are_float32_and_float64_for_float64(dtype, recorded):
    with record(rnn := Tapped(3, 5, dtype=dtype)) as rec:
        rnn(torch.randn(4, 2, 3, dtype=dtype)).sum().backward()
    assert rec["l0"].data.dtype == recorded


def test_backward_after_the_block_adds_nothing():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        loss = rnn(torch.randn(4, 2, 3)).sum()
    loss.backward()
    assert len(rec) == 0
    with pytest.raises(KeyError, match=r"Its forward was seen, 'l0' \(1x\), but no backward ran inside the block"):
        rec["l0"]
    with pytest.raises(KeyError, match="no backward ran inside the block"):
        rec[""]


def test_an_exception_leaves_the_record_readable_and_nothing_open():
    rnn = Tapped(3, 5)
    with pytest.raises(RuntimeError, match="boom"), record(rnn) as rec:
        rnn(torch.randn(4, 2, 3)).sum().backward()
        raise RuntimeError("boom")
    assert rec["l0"].steps == 4
    assert not _recorder._recording and _recorder._active.get() == ()


def test_a_call_that_fails_is_none():
    rnn = sg.GRU(4, 8)
    with record(rnn) as rec, record(rnn) as inner:
        for wrong in (torch.randn(3, 2, 5), torch.randn(0, 2, 4), torch.randn(3, 2, 4).double()):
            with pytest.raises((RuntimeError, ValueError)):
                rnn(wrong)
        with pytest.raises(RuntimeError, match="Expected hidden size"):
            rnn(torch.randn(3, 2, 4), torch.zeros(1, 3, 8))
        assert rec._log.calls == {}
        rnn(torch.randn(3, 2, 4), torch.zeros(1, 2, 8))[0].sum().backward()
    for r in (rec, inner):
        assert r["l0"].call == 0 and r._log.calls == {"l0": 1}


def test_nested_blocks_each_record_what_runs_in_them():
    model = nn.Sequential(Tapped(3, 5), Tapped(5, 4))
    x = torch.randn(4, 2, 3)
    with record(model) as outer:
        model(x).sum().backward()
        with record(model[1]) as inner:
            model(x).sum().backward()
        model(x).sum().backward()
    assert (inner.keys(), inner.backwards) == (["l0"], 1)
    assert (outer.keys(), outer.backwards) == (["0.l0", "1.l0"], 3)
    assert torch.equal(inner["l0"].grad_h, outer.all("1.l0")[1].grad_h)


def test_one_block_object_can_be_entered_again_and_inside_itself():
    rnn, x = Tapped(3, 5), torch.randn(4, 2, 3)
    block = record(rnn)
    with block as first:
        rnn(x).sum().backward()
        with block as second:
            rnn(x).sum().backward()
    with block as third:
        pass
    assert [r.backwards for r in (first, second, third)] == [2, 1, 0]


def test_another_thread_does_not_record_into_this_block():
    rnn, x, found = Tapped(3, 5), torch.randn(4, 2, 3), {}

    def work():
        found["without"] = tap_of(rnn, x)
        with record(rnn) as own:
            rnn(x).sum().backward()
        found["own"] = own

    with record(rnn) as rec:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert tap_of(rnn, x) is not None
    assert found["without"] is None and found["own"].backwards == 1 and not rec


def test_recording_reads_no_value():
    """On the meta device a tensor has no values: anything that reads one fails."""
    x = torch.empty(4, 2, 3, device="meta")
    rnn = Tapped(3, 5).to("meta")
    with record(rnn) as rec:
        tap = tap_of(rnn, x, torch.empty(2, dtype=torch.int64, device="meta"))
        tap(torch.empty(2, 4, 2, device="meta"))
        assert rec["l0"].grad_h.device.type == "meta"
        assert rec["l0"].norm().shape == (4,)


def test_autograd_grad_leaves_the_record_empty_and_the_message_says_so():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        torch.autograd.grad(rnn(torch.randn(4, 2, 3)).sum(), rnn.weight_hh_l0)
    with pytest.raises(KeyError, match=r"torch\.autograd\.grad and backward\(inputs=\.\.\.\) do not reach"):
        rec["l0"]


def test_double_backward_records_constants():
    rnn = Tapped(3, 5, dtype=torch.float64)
    with record(rnn) as rec:
        loss = rnn(torch.randn(4, 2, 3, dtype=torch.float64)).square().sum()
        with pytest.warns(UserWarning, match="create_graph=True"):  # torch's: .grad and graph hold each other
            loss.backward(create_graph=True)
    assert not rec["l0"].data.requires_grad
    for parameter in rnn.parameters():
        parameter.grad = None


class Scaled(nn.Module):
    """The least that takes a tap inside compiled code: its gradient is dL/dy summed over features."""

    _seqgrad_tag = None  # lets compiled code record it

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        tap = tap_of(self, x)
        y = x * self.scale
        return y if tap is None else y + tap[0].unsqueeze(-1)


def test_a_compiled_model_records_in_the_block_and_only_there():
    model, x = Scaled(), torch.randn(4, 2, 3)
    compiled = torch.compile(model, backend="eager")
    compiled(x).sum().backward()  # compiled without a tap first: entering the block must not find a stale graph
    records = []
    for factor in (1.0, 2.0):
        with record(model) as rec:
            (factor * compiled(x).sum()).backward()
        records.append(rec)
    compiled(x).sum().backward()
    assert [r.backwards for r in records] == [1, 1]
    assert [r["l0"].grad_h.unique().item() for r in records] == [3.0, 6.0]
    assert torch.compile(Scaled(), backend="eager", fullgraph=True)(x).shape == x.shape  # off: no graph break


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_records_each_step_once(reentrant):
    rnn, x = Tapped(3, 5), torch.randn(4, 2, 3, requires_grad=True)
    with record(rnn) as expected:
        rnn(x).sum().backward()
    with record(rnn) as rec:
        torch.utils.checkpoint.checkpoint(rnn, x, use_reentrant=reentrant).sum().backward()
    assert len(rec.all("l0")) == 1
    torch.testing.assert_close(rec["l0"].data, expected["l0"].data)


def test_functional_gradients_run_inside_the_block_and_record_nothing():
    model, x = Scaled(), torch.randn(4, 2, 3)

    def loss(scale):
        return torch.func.functional_call(model, {"scale": scale}, (x,)).sum()

    with record(model) as rec:
        got = torch.func.grad(loss)(torch.ones(3))
    torch.testing.assert_close(got, x.sum(dim=(0, 1)))
    assert not rec


def test_a_record_keeps_neither_model_nor_graph_alive():
    rnn = Tapped(3, 5)
    alive = weakref.ref(rnn)
    with record(rnn) as rec:
        rnn(torch.randn(4, 2, 3)).sum().backward()
    del rnn
    gc.collect()
    assert alive() is None and rec["l0"].steps == 4


def test_the_model_copies_and_pickles_after_recording():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        rnn(torch.randn(4, 2, 3)).sum().backward()
        twin = copy.deepcopy(rnn)
        assert tap_of(twin, torch.randn(4, 2, 3)) is None
    loaded = pickle.loads(pickle.dumps(rnn))
    assert loaded.state_dict().keys() == twin.state_dict().keys()
    for again in (copy.deepcopy(rec), pickle.loads(pickle.dumps(rec))):
        assert torch.equal(again["l0"].data, rec["l0"].data)


@pytest.mark.parametrize("bad", [None, [], nn.Parameter(torch.zeros(2))])
def test_only_modules_can_be_recorded(bad):
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got"):
        record(bad)


# -- several passes ----------------------------------------------------------------------------------------------------
def test_a_second_backward_through_a_retained_graph_appends():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        out = rnn(torch.randn(4, 2, 3))
        out[-1].sum().backward(retain_graph=True)
        (3 * out[-1].sum()).backward()
    first, second = rec.all("l0")
    torch.testing.assert_close(second.grad_h, 3 * first.grad_h)
    assert [(p.backward, p.call) for p in (first, second)] == [(0, 0), (1, 0)]
    assert rec["l0"] is second and rec[""].l0 is second
    assert rec.backwards == 2


def test_gradient_accumulation_appends():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        for steps in (4, 6, 5):
            rnn(torch.randn(steps, 2, 3)).sum().backward()
    assert [p.steps for p in rec.all("l0")] == [4, 6, 5]
    assert [(p.backward, p.call) for p in rec.all("l0")] == [(0, 0), (1, 1), (2, 2)]
    assert rec["l0"].steps == 5


def test_several_calls_in_one_backward_come_in_call_order():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        (
            rnn(torch.randn(4, 2, 3)).sum() + 0 * rnn(torch.randn(6, 2, 3)).sum() + rnn(torch.randn(5, 2, 3)).sum()
        ).backward()
    assert [(p.backward, p.call, p.steps) for p in rec.all("l0")] == [(0, 0, 4), (0, 1, 6), (0, 2, 5)]
    assert rec["l0"].call == 2
    assert rec.first_nonfinite == {"l0": None}


def test_the_last_pass_is_that_of_the_latest_backward_even_of_an_old_call():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        old, new = rnn(torch.randn(4, 2, 3)).sum(), rnn(torch.randn(6, 2, 3)).sum()
        new.backward()
        old.backward()
    assert rec["l0"].steps == 4


def test_first_nonfinite_looks_through_all_passes():
    rnn = Tapped(3, 5)
    with record(rnn) as rec:
        (rnn(torch.randn(4, 2, 3)).sum() * math.nan).backward()
        rnn(torch.randn(4, 2, 3)).sum().backward()
    assert rec["l0"].first_nonfinite() is None
    assert rec.first_nonfinite["l0"].backward == 0
    assert "(backward 0, call 0)" in rec.summary()


def test_a_cell_in_a_loop_gives_one_series_per_backward():
    cell, h = TappedCell(3, 5), torch.zeros(2, 5)
    x = torch.randn(7, 2, 3)
    with record(cell) as rec:
        for chunk in (x[:4], x[4:]):  # truncated BPTT by hand
            h = h.detach()
            for step in chunk:
                h = cell(step, h)
            h.sum().backward()
    assert [(p.steps, p.backward) for p in rec.all("cell")] == [(4, 0), (3, 1)]
    assert rec["cell"].grad_carry is None
    whole = Tapped(3, 5)
    whole.load_state_dict(cell.inner.state_dict())
    with record(whole) as expected:
        whole(x[:4])[-1].sum().backward()
    torch.testing.assert_close(rec.all("cell")[0].grad_h, expected["l0"].grad_h)


def test_cell_calls_of_different_batch_sizes_stay_apart():
    cell = TappedCell(3, 5)
    with record(cell) as rec:
        h = cell(torch.randn(3, 3), torch.zeros(3, 5))
        cell(torch.randn(2, 3), h[:2]).sum().backward()
    assert [(p.steps, p.batch) for p in rec.all("cell")] == [(1, 3), (1, 2)]
