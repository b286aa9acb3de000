"""record: what is recorded when, how it is addressed, and what comes out of it."""

from __future__ import annotations

import copy
import csv
import gc
import io
import json
import math
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
import torch
from tapped import Tapped, TappedCell, rotation
from torch import nn

from seqgrad import _recorder, clip
from seqgrad._recorder import make_tap
from seqgrad.record import GradientRecord, Series, record

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
        assert tap_of(rnn, x).shape == (2, 4, 2)
        assert tap_of(other, x) is None
        with torch.no_grad():
            assert tap_of(rnn, x) is None
        with torch.inference_mode():
            assert tap_of(rnn, x) is None
    assert tap_of(rnn, x) is None
    assert not _recorder._recording and _recorder._active.get() == ()
    rnn(x).sum().backward()
    assert not rec


def test_taps_are_float32_zeros_and_float64_for_float64():
    with record(nn.Sequential(rnn := Tapped(3, 5))):
        half = tap_of(rnn, torch.zeros(4, 2, 3, dtype=torch.bfloat16))
        double = tap_of(rnn, torch.zeros(4, 2, 3, dtype=torch.float64))
    assert (half.dtype, double.dtype) == (torch.float32, torch.float64)
    assert half.is_leaf and half.requires_grad and not half.any()


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
        (tap * 2).sum().backward()
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
    """The least that takes a tap: its gradient is dL/dy summed over features."""

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


# -- addressing --------------------------------------------------------------------------------------------------------
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.rnn = Tapped(3, 5, bidirectional=True)
        self.decoder = Tapped(10, 4, "lstm")
        self.alias = self.encoder.rnn
        self.idle = Tapped(3, 2)

    def forward(self, x):
        return self.decoder(self.encoder.rnn(x))


@pytest.fixture
def rec():
    model = Model()
    with record(model) as rec:
        model(torch.randn(12, 3, 3))[-1].sum().backward()
        model.idle(torch.randn(12, 3, 3))
    return rec


def test_series_are_addressed_like_parameters(rec):
    assert rec.keys() == ["encoder.rnn.l0", "encoder.rnn.l0_reverse", "decoder.l0"]  # by first use
    assert list(rec) == rec.keys() and len(rec) == 3 and rec.layers == ["encoder.rnn", "decoder"]
    assert rec["encoder.rnn"].l0 is rec["encoder.rnn.l0"] is rec["encoder.rnn"]["l0"]
    assert rec["encoder.rnn"].l0_reverse.key == "encoder.rnn.l0_reverse"
    assert rec["encoder.rnn"].series == list(rec["encoder.rnn"]) == ["l0", "l0_reverse"]
    assert {"l0", "l0_reverse"} <= set(dir(rec["encoder.rnn"]))
    assert all(figure.keys() == set(rec) for figure in (rec.ratio, rec.decay, rec.half_life, rec.horizon(0.1)))
    assert [s.key for s in rec.values()] == rec.keys()


def test_a_shared_module_answers_to_each_of_its_names(rec):
    assert rec["alias"].l0 is rec["encoder.rnn"].l0 is rec["alias.l0"]
    assert "alias" in rec and "alias.l0" in rec and "encoder.rnn" in rec and "encoder" not in rec and 3 not in rec


def test_a_wrong_name_is_answered_with_what_there_is(rec):
    have = "Recorded: 'encoder.rnn.l0', 'encoder.rnn.l0_reverse', 'decoder.l0'."
    with pytest.raises(KeyError) as error:
        rec["encodr"]
    assert str(error.value) == f"no gradients are recorded for 'encodr'. {have}"
    with pytest.raises(AttributeError) as error:
        _ = rec["decoder"].l1
    assert str(error.value) == f"layer 'decoder' has no series 'l1'. {have}"
    with pytest.raises(KeyError, match=r"'idle.l0' \(1x\), but no backward inside the block reached it"):
        rec["idle"]
    with pytest.raises(TypeError, match="addressed by name"):
        rec[0]


def test_an_empty_record_says_why():
    with record(nn.Sequential(nn.LSTM(3, 4), nn.GRUCell(3, 4))) as rec:
        pass
    assert "torch.nn's own layers ('0', '1') do not show their gradients; seqgrad.convert_(model)" in repr(rec)
    with record(rnn := Tapped(3, 4)) as rec, torch.no_grad():
        rnn(torch.randn(2, 1, 3))
    with pytest.raises(KeyError, match=r"'' ran only under torch\.no_grad\(\)"):
        rec["l0"]
    with record(nn.Linear(2, 2)) as rec:
        pass
    assert "No backward ran inside the block" in rec.summary() and "no forward" in rec._repr_html_()
    assert rec.to_dict() == {"backwards": 0, "series": {}} and len(rec.to_pandas()) == 0


# -- out ---------------------------------------------------------------------------------------------------------------
def test_summary_names_layer_direction_and_values(rec):
    lines = rec.summary().splitlines()
    row = next(line for line in lines if line.startswith("encoder.rnn.l0_reverse")).split()
    assert row[:5] == ["encoder.rnn.l0_reverse", "rnn_tanh", "reverse", "12", "3"]
    assert float(row[7]) == pytest.approx(rec.ratio["encoder.rnn.l0_reverse"], rel=1e-2)
    assert "stored in input-time order" in lines[-1]
    assert "3 series, 1 backward" in repr(rec) and "encoder.rnn.l0: rnn_tanh, forward, T=12, N=3" in repr(rec)


@pytest.mark.parametrize(("cell", "noted"), [("gru", True), ("lstm", False)])
def test_summary_says_when_fresh_gradient_hides_what_the_recurrence_does(cell, noted):
    total = torch.tensor([2.0 - 0.5 ** (19 - t) for t in range(20)]).reshape(1, 20, 1)  # A5, rho = 0.5
    data = torch.cat([total, total - 1])
    log = _recorder.Log(keys={"l0": ("", "l0")})
    log.passes.append(Series("", "l0", cell, False, ("grad_h", "grad_carry"), data))
    text = GradientRecord(log).summary()
    assert ("l0, forward: the norm changes by 1 per step, but only 0.5 of it is carried over" in text) is noted


def test_html_is_a_table_with_sparklines_and_needs_no_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    rnn = Tapped(3, 5)
    with record(nn.ModuleDict({"<b>": rnn})) as rec:
        (rnn(torch.randn(9, 2, 3))[4].sum()).backward()
    html = rec._repr_html_()
    assert html.startswith("<table>") and "<svg" in html and "<polyline" in html
    assert "4 exact zeros" in html and "&lt;b&gt;" in html and "<b>" not in html


def test_html_shows_nan_and_inf_and_isolated_points():
    norms = torch.tensor([math.nan, 1.0, math.inf, 0.0, 2.0]).reshape(1, 5, 1)
    log = _recorder.Log(passes=[Series("", "l0", "gru", False, ("grad_h",), norms)], keys={"l0": ("", "l0")})
    html = GradientRecord(log)._repr_html_()
    assert "1 exact zero, 2 NaN or Inf" in html and html.count("<circle") == 2 and "is inf at t=2" in html


def test_to_dict_holds_plain_numbers(rec):
    entry = json.loads(json.dumps(rec.to_dict()))["series"]["decoder.l0"]
    assert (entry["cell"], entry["steps"], entry["batch"], entry["passes"]) == ("lstm", 12, 3, 1)
    assert entry["norm"]["grad_c"] == rec["decoder.l0"].norm("grad_c").tolist()
    assert entry["decay"] == rec.decay["decoder.l0"] and entry["first_nonfinite"] is None


def test_frames_leave_padding_out_and_know_the_lag(tmp_path):
    rnn = Tapped(3, 5, "lstm", bidirectional=True)
    with record(rnn) as rec:
        for _ in range(2):
            rnn(torch.randn(5, 2, 3), torch.tensor([5, 2])).sum().backward()
    table = rec.to_pandas()
    assert len(table) == 2 * 2 * (5 + 2)
    assert list(table.columns[:9]) == ["series", "layer", "cell", "reverse", "backward", "call", "t", "lag", "n"]
    one = table[(table.series == "l0") & (table.backward == 1) & (table.n == 1)]
    assert one.t.tolist() == [0, 1] and one.lag.tolist() == [1, 0]
    assert one.grad_h.tolist() == rec["l0"].grad_h[:2, 1].tolist()
    assert table[table.reverse].lag.eq(table[table.reverse].t).all()
    assert table.clip_hits.isna().all()

    rec.to_csv(tmp_path / "norms.csv")
    with open(tmp_path / "norms.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(r["grad_h"]) for r in rows] == table.grad_h.tolist()
    assert {r["clip_hits"] for r in rows} == {""}


def test_missing_pandas_is_an_import_error_with_the_pip_line(rec, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'seqgrad\[pandas\]'"):
        rec.to_pandas()


def test_save_and_load_are_bit_exact(tmp_path):
    model = nn.Sequential(Tapped(3, 5, "lstm", state_clip=clip.Value(0.1), dtype=torch.float64))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    x[0, 0] = math.nan
    with record(model) as rec:
        for _ in range(2):
            model[0](x, torch.tensor([5, 3])).sum().backward()
    rec.save(tmp_path / "flow.npz")
    again = GradientRecord.load(tmp_path / "flow.npz")
    assert again.keys() == rec.keys() and again.backwards == 2
    for a, b in zip(rec.all("0.l0"), again.all("0.l0"), strict=True):
        assert a.data.numpy().tobytes() == b.data.numpy().tobytes() and a.data.dtype == b.data.dtype
        assert torch.equal(a.lengths, b.lengths)
        assert (a.key, a.cell, a.reverse, a.quantities, a.backward, a.call) == (
            *(b.key, b.cell, b.reverse, b.quantities, b.backward, b.call),
        )
    assert again.summary() == rec.summary()
    assert [p.name for p in tmp_path.iterdir()] == ["flow.npz"]

    buffer = io.BytesIO()
    rec.save(buffer)
    buffer.seek(0)
    assert GradientRecord.load(buffer).keys() == rec.keys()


def test_saved_names_are_kept_as_given_and_cells_stay_joined(tmp_path):
    cell, h = TappedCell(3, 5), torch.zeros(2, 5)
    with record(nn.ModuleDict({"a": cell, "b": cell})) as rec:
        for step in torch.randn(4, 2, 3):
            h = cell(step, h)
        h.sum().backward()
    rec.save(tmp_path / "no_suffix")
    again = GradientRecord.load(tmp_path / "no_suffix")
    assert torch.equal(again["b"].cell.grad_h, rec["a"].cell.grad_h) and again["b"].cell.steps == 4


def _header(**change):
    header = {"format": "seqgrad.GradientRecord", "version": 1, "passes": [], "aliases": {}, "calls": {}, "keys": {}}
    return np.frombuffer(json.dumps(header | change).encode(), dtype=np.uint8)


def test_load_refuses_what_it_did_not_write(tmp_path, rec):
    path = tmp_path / "x.npz"
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"x\.npz is not a gradient record"):
        GradientRecord.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is not a gradient record"):
        GradientRecord.load(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(ValueError, match="is not a gradient record"):
        GradientRecord.load(path)
    np.savez(path, header=_header(format="other"))
    with pytest.raises(ValueError, match="is not a gradient record"):
        GradientRecord.load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="is not a gradient record"):
        GradientRecord.load(path)
    with open(path, "wb") as file:
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="is not a gradient record"):
        GradientRecord.load(path)
    with pytest.raises(FileNotFoundError):
        GradientRecord.load(tmp_path / "absent.npz")


def test_load_refuses_newer_and_damaged_files(tmp_path, rec):
    path = tmp_path / "x.npz"
    np.savez(path, header=_header(version=2))
    with pytest.raises(ValueError, match="format version 2, this seqgrad reads up to version 1; upgrade seqgrad"):
        GradientRecord.load(path)
    np.savez(path, header=_header(passes=[{"layer": "", "name": "l0"}]))
    with pytest.raises(ValueError, match="damaged gradient record"):
        GradientRecord.load(path)
    rec.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="gradient record"):
        GradientRecord.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, rec, monkeypatch):
    path = tmp_path / "x.npz"
    rec.save(path)
    before = path.read_bytes()

    def fail(*_args, **_arrays):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        rec.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
