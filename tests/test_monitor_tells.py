"""Monitor: whom it tells of what it finds, and what it says of its arguments."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from torch import nn
from watched import Reader, broken_rnn, data, train, watch, zeros

import seqgrad as sg
from seqgrad.monitor import FindingError, FindingWarning, Monitor


@pytest.fixture(autouse=True)
def _seed():
    """A small GRU drawn at random vanishes once in a while, and rightly has a finding then."""
    torch.manual_seed(0)


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
