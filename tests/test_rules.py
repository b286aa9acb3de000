"""Rules on made-up records: thresholds, what is told apart, what each message and its call say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from zoo import I

import seqgrad as sg
from seqgrad import _facts, rules
from seqgrad._observation import Observation
from seqgrad._recorder import Log
from seqgrad.history import Entry, SeriesEntry
from seqgrad.record import GradientRecord, Series
from seqgrad.rules import Finding


def series(values, carry=None, *, name="l0", cell="rnn_tanh", grad_c=None, **options) -> Series:
    """``values`` [T] or [T, N] of grad_h; by default all of it is carried, but for the first step of backprop."""
    h = torch.as_tensor(values, dtype=torch.float32)
    h = h.unsqueeze(1) if h.dim() == 1 else h
    if carry is None:
        carry = h.clone()
        carry[0 if options.get("reverse") else -1] = 0
    carry = torch.as_tensor(carry, dtype=torch.float32).reshape(h.shape)
    rows, names = [h, carry], ["grad_h", "grad_carry"]
    if grad_c is not None:
        rows.append(torch.as_tensor(grad_c, dtype=torch.float32).reshape(h.shape))
        names.append("grad_c")
    options.setdefault("reverse", False)
    return Series("rnn", name, cell, quantities=tuple(names), data=torch.stack(rows), **options)


def forward(steps, dtype=torch.float32, *, truncated=False) -> _facts.Facts:
    """States of norm 1 throughout."""
    facts = _facts.Facts("rnn", "l0", "rnn_tanh", False, 0, steps, 1, 4, dtype, "cpu", truncated)
    ones = torch.ones(steps, 1, dtype=torch.float64)
    facts.tensors = {"norm": ones, "peak": ones, "start": ones[0]}
    return facts


def observation(*passes: Series, **options) -> Observation:
    log = Log(passes=list(passes), keys={p.key: (p.layer, p.name) for p in passes})
    return replace(Observation.of_record(GradientRecord(log)), step=7, **options)


def powers(factor, steps=30, scale=1.0):
    """Norms that change by ``factor`` per step back, ``scale`` at the last timestep."""
    return [scale * factor ** (steps - 1 - t) for t in range(steps)]


def history(*largest) -> sg.History:
    past = sg.History()
    for step, value in enumerate(largest):
        norms = {"grad_h": torch.tensor([value / 2, value], dtype=torch.float64)}
        past.append(Entry(step - len(largest), {"rnn.l0": SeriesEntry(norms, {})}, loss=value))
    return past


# -- Exploding and LossScale -------------------------------------------------------------------------------------------
def test_exploding_names_the_step_where_backprop_passes_the_limit():
    (found,) = rules.Exploding().check(observation(series(powers(2.0))))
    assert (found.t, found.value, found.threshold) == (29 - 7, 128.0, 100.0)
    assert (
        "passes 100 at t=22 (most of it in sample 0) and reaches 5.37e+08 at t=0, 2 times as large with every"
        in str(found)
    )


def test_exploding_in_reverse_counts_the_other_way():
    (found,) = rules.Exploding().check(observation(series(powers(2.0)[::-1], reverse=True, name="l0_reverse")))
    assert (found.t, found.direction, found.series) == (7, "reverse", "l0_reverse")
    assert str(found).startswith("step 7, rnn l0_reverse (reverse): ")


def test_exploding_below_the_limit_is_none():
    assert rules.Exploding().check(observation(series(powers(1.1, 40)))) == []
    assert rules.Exploding(abs=10.0).check(observation(series(powers(1.1, 40)))) != []


def test_a_gradient_as_large_where_the_loss_enters_is_the_losss():
    level = observation(series(powers(1.0, scale=1e4)))
    assert rules.Exploding().check(level) == []
    (found,) = rules.LossScale().check(level)
    assert (found.t, found.value, found.action) == (29, 1e4, "loss.div(10000).backward()")


def test_losses_that_add_up_are_no_explosion():
    """A loss of norm 20 at every step and a recurrence that carries all of it: 600 at the end (oracle A5)."""
    total = [20.0 * (30 - t) for t in range(30)]
    summed = observation(series(total, [v - 20.0 for v in total]))
    assert rules.Exploding().check(summed) == []


def test_a_parameter_alone_can_be_too_large():
    level = observation(series(powers(1.0)), gradients={"rnn.weight_hh_l0": 400.0, "head.weight": 3.0})
    (found,) = rules.LossScale().check(level)
    assert (found.module, found.series, found.t) == ("rnn", "weight_hh_l0", None)
    assert rules.Exploding().check(level) == []
    growing = observation(series(powers(1.1)), gradients={"rnn.weight_hh_l0": 400.0})
    (found,) = rules.Exploding().check(growing)
    assert (found.series, found.value) == ("weight_hh_l0", 400.0)
    assert rules.LossScale().check(growing) == []


@pytest.mark.parametrize(("now", "past", "fires"), [
    (30.0, [2.0] * 5, True), (30.0, [2.0] * 4, False), (19.0, [2.0] * 5, False), (0.9, [0.01] * 5, False),
    (30.0, [2.0, 2.0, 2.0, 50.0, 50.0], True), (30.0, [2.0, 2.0, math.nan, 2.0, 2.0, 2.0], True),
])  # fmt: skip
def test_spike_against_the_running_median(now, past, fires):
    found = rules.Exploding().check(observation(series([now / 2, now]), history=history(*past)))
    assert [(f.severity, f.t, f.value) for f in found] == ([("warning", 1, now)] if fires else [])


def test_a_small_loss_scale_is_judged_at_the_start_only():
    tiny = series(powers(1.0, scale=1e-10))
    (found,) = rules.LossScale().check(observation(tiny))
    assert found.action == "loss.mul(1e+10).backward()"
    assert rules.LossScale().check(observation(tiny, history=history(1.0, 1.0, 1.0))) == []


# -- Vanishing ---------------------------------------------------------------------------------------------------------
def test_vanishing_names_the_first_step_below():
    (found,) = rules.Vanishing().check(observation(series(powers(0.5))))
    assert (found.t, found.severity, found.value) == (29 - 10, "warning", pytest.approx(0.5**29))


@pytest.mark.parametrize("factor", [0.8, 1.0])
def test_a_gradient_that_arrives_does_not_vanish(factor):
    assert rules.Vanishing().check(observation(series(powers(factor)))) == []


def test_an_lstm_is_judged_by_the_slower_of_its_two_states():
    """Oracle B2: dL/dh is 0 before the last step, and the memory is in dL/dc."""
    h = [0.0] * 29 + [1.0]
    assert rules.Vanishing().check(observation(series(h, cell="lstm", grad_c=powers(0.95)))) == []
    (found,) = rules.Vanishing().check(observation(series(h, cell="lstm", grad_c=powers(0.5))))
    assert (found.t, found.action) == (19, "seqgrad.init.chrono_(model.get_submodule('rnn'), T=30)")


def test_steps_that_together_contribute_are_not_lost():
    """Norms fall to 5e-4, but so many steps are down there that they make a third of dW_hh."""
    norms = [5e-4] * 1000 + [1.0]
    seen = observation(series(norms))
    assert len(rules.Vanishing().check(seen)) == 1  # by the norms alone
    facts = forward(1001)
    assert rules.Vanishing().check(replace(seen, facts=[facts])) == []
    assert len(rules.Vanishing(eps=0.4).check(replace(seen, facts=[facts]))) == 1


def test_a_loss_at_every_step_hides_it_and_that_is_told_as_info():
    """Each step gets 1 afresh and passes on half: grad_h is level near 2."""
    total = [2.0 - 0.5 ** (29 - t) for t in range(30)]
    seen = observation(series(total, [v - 1.0 for v in total]))
    (found,) = rules.Vanishing().check(seen)
    assert (found.severity, found.t) == ("info", 29 - 10)
    assert found.value == pytest.approx(0.5, rel=1e-6)


def test_truncation_is_no_vanishing():
    seen = observation(series([0.0] * 20 + [1.0] * 10))
    facts = forward(30, truncated=True)
    assert len(rules.Vanishing().check(seen)) == 1
    assert rules.Vanishing().check(replace(seen, facts=[facts])) == []


def test_underflow_and_vanishing_are_told_apart_in_half_precision():
    facts = forward(30, torch.float16)
    low = observation(series(powers(0.5, scale=2.0**-20)), facts=[facts])
    assert [(f.rule, f.t) for r in rules.default() for f in r.check(low)] == [("Underflow", 29 - 5)]
    high = observation(series(powers(0.5, scale=1.0)), facts=[facts])
    assert [(f.rule, f.severity) for r in rules.default() for f in r.check(high)] == [
        ("Underflow", "info"), ("Vanishing", "warning"),
    ]  # fmt: skip


# -- NonFinite ---------------------------------------------------------------------------------------------------------
def test_the_first_nonfinite_of_the_backward_is_in_the_layer_that_backprop_meets_first():
    lower, upper = [1.0] * 9 + [math.nan], [1.0, 1.0, 1.0, math.inf, 1.0]
    seen = observation(series(upper, name="l1"), series(lower))  # arrival: the upper layer first
    (found,) = rules.NonFinite().check(seen)
    assert (found.series, found.t, found.phase, found.value) == ("l1", 3, "backward", math.inf)


@pytest.mark.parametrize(("reverse", "t", "n"), [(False, 5, 1), (True, 9, 0)])
def test_the_first_nonfinite_state_is_the_first_in_the_order_of_the_run(reverse, t, n):
    facts = forward(12)
    peak = torch.ones(12, 2, dtype=torch.float64)
    peak[5, 1], peak[9, 0] = math.nan, math.inf
    facts = replace(facts, reverse=reverse, batch=2, tensors={"peak": peak, "start": torch.zeros(2)})
    (found,) = rules.NonFinite().check(observation(series([1.0] * 12), facts=[facts]))
    assert (found.t, found.sample, found.phase) == (t, n, "forward")
    assert found.direction == ("reverse" if reverse else "forward")


def test_nonfinite_looks_at_every_pass():
    bad = series([1.0, math.nan, 1.0])
    good = replace(series([1.0, 1.0, 1.0]), backward=1)
    (found,) = rules.NonFinite().check(observation(bad, good))
    assert (found.t, found.sample) == (1, 0)


def test_a_loss_that_is_nan_over_finite_states_is_named():
    (found,) = rules.NonFinite().check(observation(series([1.0, 1.0]), loss=math.nan))
    assert (found.module, found.series, found.t) == ("", "", None)
    assert "the loss is NaN, and every hidden state is finite" in str(found)


# -- what rules are made of --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: rules.Exploding(abs=-1), ValueError, "abs must be a positive number"),
        (lambda: rules.Exploding(spike="10"), TypeError, "spike must be a positive number"),
        (lambda: rules.Vanishing(rel=2), ValueError, "rel must be a number between 0 and 1, got 2"),
        (lambda: rules.Saturation(0.99, frac=True), TypeError, "frac must be a number between 0 and 1"),
        (lambda: rules.LearningRate(update=math.nan), ValueError, "update must be a positive number"),
    ],
)
def test_thresholds_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_every_default_rule_is_a_rule_and_hashes_by_its_thresholds():
    default = rules.default()
    assert all(isinstance(rule, rules.Rule) for rule in default)
    assert len({rule.name for rule in default}) == len(default) == 14
    assert rules.Exploding() == rules.Exploding(100.0, 10.0)
    assert rules.Saturation(0.9) != rules.Saturation()


def test_an_empty_record_has_no_findings():
    assert [f for rule in rules.default() for f in rule.check(observation())] == []


def test_finding_round_trips_and_names_what_is_wrong_with_it():
    found = Finding("NonFinite", "error", 3, "a.b", "l0", 1, math.inf, math.inf, "text: f()", sample=2, action="f()")
    assert Finding.from_dict(found.to_dict()) == found
    assert Finding.from_dict({**found.to_dict(), "value": "Infinity", "new": 1}) == found
    assert found.key == "a.b.l0"
    with pytest.raises(ValueError, match="severity must be one of info, warning, error"):
        replace(found, severity="fatal")
    with pytest.raises(ValueError, match=r"not a finding .*missing"):
        Finding.from_dict({"rule": "NonFinite"})


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (2, 3), (64, 4), (65, 5), (150, 9)])
@pytest.mark.parametrize("cell", [sg.GRU, sg.LSTM])
def test_sampled_gates_are_those_of_the_analysis(cell, steps, batch, ragged):
    rnn = cell(I, 5, bidirectional=True)
    with torch.no_grad():
        for p in rnn.parameters():
            p.mul_(6)  # some gates saturated, some not
    x = torch.randn(steps, batch, I)
    lengths = torch.randint(1, steps + 1, (batch,)) if ragged else None
    with (mon := sg.Monitor(rnn, every=1, on_finding=None)):
        rnn(x, lengths=lengths)
        seen = {facts.series: facts for facts in mon._block.facts}
    for layer, facts in seen.items():
        exact = sg.analysis.gates(rnn, x, lengths=lengths, layer=layer)
        chosen = slice(0, batch, -(-batch // 4))
        alive = torch.ones(len(facts.times), len(range(batch)[chosen]))
        if lengths is not None:
            alive = (torch.tensor(facts.times).unsqueeze(1) < lengths[chosen]).float()
        for k, gate in enumerate(facts.gates):
            values = exact[gate][facts.times][:, chosen]
            high = values.abs() > 0.99 if gate in "ng" else values > 0.99
            low = torch.zeros_like(high) if gate in "ng" else values < 1 - 0.99
            for name, ends in (("gates_high", high), ("gates_low", low)):
                expected = (ends.float().mean(2) * alive).sum(1) / alive.sum(1).clamp(min=1)
                torch.testing.assert_close(facts.tensors[name][k], expected, rtol=1e-5, atol=1e-6)


# -- ExplodingState ----------------------------------------------------------------------------------------------------
def test_a_state_that_is_handed_on_and_grows_from_chunk_to_chunk_is_named():
    rnn = sg.ResidualRNN(2, 4)
    mon = sg.Monitor(rnn, every=1, on_finding=None, rules=[rules.ExplodingState()])
    state = torch.full((1, 3, 4), 150.0)
    with mon:
        rnn(torch.randn(5, 3, 2), state)[0].sum().backward()
    (found,) = mon.step()
    assert (found.rule, found.series, found.t) == ("ExplodingState", "l0", 0)
    assert found.action == "setattr(model, 'residual_scale', 0.2)"


def test_large_inputs_and_bounded_cells_are_no_exploding_state():
    relu = sg.RNN(2, 4, nonlinearity="relu")
    with torch.no_grad():
        relu.weight_hh_l0.zero_()
    for rnn, x in ((relu, 1e6 * torch.ones(5, 3, 2)), (sg.LSTM(2, 4), 1e6 * torch.ones(5, 3, 2))):
        mon = sg.Monitor(rnn, every=1, on_finding=None, rules=[rules.ExplodingState()])
        with mon:
            rnn(x)[0].sum().backward()
        assert mon.step() == []
