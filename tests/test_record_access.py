"""record: how what was recorded is addressed, and what comes out of it."""

from __future__ import annotations

import csv
import io
import json
import math
import sys

import numpy as np
import pytest
import torch
from tapped import Tapped, TappedCell
from torch import nn

import seqgrad as sg
from seqgrad import _recorder, clip
from seqgrad.record import GradientRecord, Series, record

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


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


def test_complex_layers_are_said_to_have_no_norms():
    model = nn.ModuleDict({"complex": sg.GRU(3, 4, dtype=torch.complex64), "real": sg.RNN(4, 5)})
    with record(model) as rec:
        states, _ = model["complex"](torch.randn(6, 2, 3, dtype=torch.complex64))
        model["real"](states.abs())[0].sum().backward()
    assert list(rec) == ["real.l0"]
    with pytest.raises(KeyError, match=r"Complex layers \('complex'\) have no gradient norm at each timestep"):
        rec["complex.l0"]
    with pytest.raises(KeyError, match=r"Recorded: 'real\.l0'"):
        rec["other"]
    file = io.BytesIO()
    with record(model["complex"]) as alone:
        model["complex"](torch.randn(6, 2, 3, dtype=torch.complex64))[0].abs().sum().backward()
    alone.save(file)
    file.seek(0)
    for one in (alone, GradientRecord.load(file)):
        assert "Complex layers ('') have no gradient norm" in repr(one) and "check_grads(model)" in one.summary()
