"""check_grads and suggest."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import seqgrad as sg
from seqgrad.rules import Finding


def with_grads(**grads):
    model = nn.ModuleDict({"rnn": nn.RNN(2, 3), "head": nn.Linear(3, 1)})
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    for name, value in grads.items():
        module, _, parameter = name.partition("__")
        getattr(model[module], parameter).grad = value
    return model


# -- check_grads -------------------------------------------------------------------------------------------------------
def test_a_model_in_order_has_no_findings():
    assert sg.check_grads(with_grads(head__weight=torch.full((1, 3), 57.0))) == []  # norm 98.7


def test_the_loop_of_the_lesson():
    """Norm above 100, NaN and Inf, each parameter judged by itself."""
    model = with_grads(
        head__weight=torch.full((1, 3), 58.0),  # norm 100.5
        head__bias=torch.tensor([math.inf]),
        rnn__weight_hh_l0=torch.tensor([[1.0, math.nan, 0.0]] * 3),
    )
    found = sg.check_grads(model)
    assert [(f.rule, f.module, f.series) for f in found] == [
        ("NonFinite", "rnn", "weight_hh_l0"), ("NonFinite", "head", "bias"), ("Exploding", "head", "weight"),
    ]  # fmt: skip
    assert math.isnan(found[0].value)
    assert found[1].value == math.inf
    assert found[2].value == pytest.approx(58 * 3**0.5)
    assert "3 NaN and 0 Inf among 9 elements" in str(found[0])
    assert all(f.message.endswith(f.action) and f.step is None and f.t is None for f in found)


def test_a_large_gradient_is_large_and_not_infinite():
    """Its sum of squares is beyond float32."""
    (found,) = sg.check_grads(with_grads(head__weight=torch.full((1, 3), 1e30)))
    assert (found.rule, found.value) == ("Exploding", pytest.approx(3**0.5 * 1e30, rel=1e-6))


def test_threshold_sparse_and_half_gradients():
    assert len(sg.check_grads(with_grads(head__weight=torch.ones(1, 3)), max_norm=1.0)) == 1
    table = nn.Embedding(5, 2, sparse=True)
    (90 * table(torch.tensor([1, 1, 3])).sum()).backward()
    (found,) = sg.check_grads(table)
    assert found.value == pytest.approx(90 * math.hypot(2, 2, 1, 1))
    half = nn.Linear(2, 1, bias=False).half()
    half.weight.grad = torch.full((1, 2), 6e4).half()
    assert sg.check_grads(half)[0].value == pytest.approx(6e4 * 2**0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sg.check_grads(nn.Linear(2, 2)), ValueError, "no parameter of the model holds a gradient"),
        (lambda: sg.check_grads(nn.Linear(2, 2).parameters()), TypeError, "model must be a torch.nn.Module"),
        (lambda: sg.check_grads(with_grads(), max_norm=-1.0), ValueError, "max_norm must be a positive number"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- suggest -----------------------------------------------------------------------------------------------------------
def finding(rule, severity="warning", module="rnn", series="l0", action="loss.backward()", **options):
    return Finding(rule, severity, 3, module, series, 5, 1.0, 2.0, f"{rule} there: {action}", action=action, **options)


def test_errors_come_first_and_causes_before_symptoms():
    ranked = sg.suggest(
        [
            finding("Vanishing", action="a()"),
            finding("Padding", action="b()"),
            finding("Exploding", "error", action="c()"),
            finding("LossScale", "error", action="d()"),
            finding("Saturation", "info", action="e()"),
        ]
    )
    calls = [s.call for s in ranked]
    assert [c for c in calls if c in ("a()", "b()", "c()", "d()", "e()")] == ["d()", "c()", "b()", "a()", "e()"]
    assert [s.rank for s in ranked] == list(range(1, len(ranked) + 1))
    assert ranked[0].why == "LossScale there"


def test_nothing_is_said_twice_and_what_many_ask_for_moves_up():
    once = finding("Exploding", "error", series="l0", action="one()")
    twice = [finding("Exploding", "error", series=name, action="two()") for name in ("l1", "l2")]
    calls = [s.call for s in sg.suggest([once, *twice])]
    assert calls[:2] == ["two()", "one()"]
    assert len(set(calls)) == len(calls)


@pytest.mark.parametrize(
    ("layer", "call"),
    [
        (sg.LSTM, "seqgrad.init.forget_bias_(model.get_submodule('rnn'), 1.0)"),
        (sg.RNN, "seqgrad.ResidualRNN(input_size, hidden_size, residual_scale=0.1)"),
    ],
)
def test_calls_fit_the_kind_of_layer(layer, call):
    model = nn.ModuleDict({"rnn": layer(2, 3)})
    assert call in [s.call for s in sg.suggest([finding("Vanishing")], model)]


def test_takes_a_record_a_history_and_a_single_finding():
    rnn = sg.RNN(3, 8)
    mon = sg.Monitor(rnn, every=1, on_finding=None)
    with mon, sg.record(rnn) as rec:
        rnn(torch.randn(80, 2, 3))[0][-1].sum().backward()
    (found,) = mon.step()
    advised = [s.call for s in sg.suggest(found, rnn)]
    assert advised[0] == "seqgrad.init.orthogonal_(model)"
    assert [s.call for s in sg.suggest(rec, rnn)] == advised
    assert [s.call for s in sg.suggest(mon.history, rnn)] == advised
    assert str(sg.suggest(found)[0]).startswith("1. Let the recurrence keep the gradient: seqgrad.init.orthogonal_")


def test_no_findings_no_suggestions():
    assert sg.suggest([]) == []


@pytest.mark.parametrize("source", [3, [3], "findings"])
def test_anything_else_is_refused(source):
    with pytest.raises(TypeError, match="findings must be findings, a History or a GradientRecord"):
        sg.suggest(source)
