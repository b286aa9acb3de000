"""The call that every message ends in, and those of sg.suggest: one real call each, that runs and helps."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from telling import same_numbers
from torch import Tensor, nn
from zoo import BROKEN, H, I, Model, N, T, first_unit, noise, observed, quiet_rnn, zeros

import seqgrad as sg
from seqgrad._finding import NAMES
from seqgrad._speech import LANGUAGES
from seqgrad.rules import Finding

SUGGESTED = {"input_size", "hidden_size", "setattr", "list"}  # what the calls of sg.suggest speak of, too


# -- troubles that have a call of their own and are not in the zoo -----------------------------------------------------
def overflow_under_a_scaler() -> list[Finding]:
    model = Model(quiet_rnn(1.0))
    with (mon := sg.Monitor(model, every=1, on_finding=None)):
        (math.inf * first_unit(model(zeros()))).backward()
    return mon.step(scaler=2.0**16)


def overflow_on_the_way_back() -> list[Finding]:
    return observed(Model(quiet_rnn(1e4)), zeros, loss=first_unit)


def nan_in_the_initial_state() -> list[Finding]:
    return observed(Model(sg.GRU(I, H)), noise(), hx=torch.full((1, N, H), math.nan))


def nan_in_the_loss_alone() -> list[Finding]:
    model = Model(quiet_rnn(1.0))
    with (mon := sg.Monitor(model, every=1, on_finding=None)):
        first_unit(model(zeros())).backward()
    return mon.step(loss=math.nan)


def infinite_gradient_elsewhere() -> list[Finding]:
    model = Model(quiet_rnn(1.0))
    model.scale = nn.Parameter(torch.zeros(()))
    return observed(model, zeros, loss=lambda y: first_unit(y) + model.scale.sqrt())


def forget_gate_always_open() -> list[Finding]:
    lstm = sg.LSTM(I, H)
    with torch.no_grad():
        lstm.bias_ih_l0[H : 2 * H] = 12.0
    return observed(Model(lstm, lambda out: out), noise())


def relu_state_that_grows() -> list[Finding]:
    rnn = sg.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(1.5 * torch.eye(H))
        rnn.weight_ih_l0.abs_()
    return observed(Model(rnn), lambda: torch.ones(T, N, I), loss=lambda y: 1e-9 * first_unit(y))


def gradient_that_jumps() -> list[Finding]:
    model = Model(quiet_rnn(1.0))
    mon, found = sg.Monitor(model, every=1, on_finding=None), []
    for factor in [1.0] * 12 + [40.0]:
        with mon:
            (factor * first_unit(model(zeros()))).backward()
        found = mon.step()
        model.zero_grad()
    return found


OTHERS = {
    overflow_under_a_scaler: "scaler.update",
    overflow_on_the_way_back: "setattr",
    nan_in_the_initial_state: "seqgrad.detach",
    nan_in_the_loss_alone: "torch.autograd.set_detect_anomaly",
    infinite_gradient_elsewhere: "seqgrad.clip.grad_norm_",
    forget_gate_always_open: "seqgrad.init.forget_bias_",
    relu_state_that_grows: "seqgrad.init.identity_",
    gradient_that_jumps: "seqgrad.clip.grad_norm_",
}
TROUBLES = {**{one.name.replace(" ", "_"): one.run for one in BROKEN}, **{run.__name__: run for run in OTHERS}}


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The models that monitors are built for, in order."""
    seen: list[nn.Module] = []

    class Spy(sg.Monitor):
        def __init__(self, model: nn.Module, *args: Any, **options: Any) -> None:
            seen.append(model)
            super().__init__(model, *args, **options)

    monkeypatch.setattr(sg, "Monitor", Spy)
    return seen


def surroundings(model: nn.Module) -> dict[str, Any]:
    """Things of the kind a reader of a message has."""
    dtype = next(model.parameters()).dtype
    scaler = torch.amp.GradScaler("cpu")
    used = nn.Parameter(torch.ones(()))
    scaler.scale(used.square()).backward()
    scaler.step(torch.optim.SGD([used], lr=0.1))
    return {
        "seqgrad": sg, "torch": torch, "model": model, "x": torch.randn(T, N, I, dtype=dtype),
        "lengths": [40, 31, 12, 22], "optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "scaler": scaler,
        "loss": torch.ones((), requires_grad=True), "state": torch.zeros(1, N, H), "h_n": torch.zeros(2, N, H),
        "checkpoint": model.state_dict(), "input_size": I, "hidden_size": H, "setattr": setattr, "list": list,
    }  # fmt: skip


def check_call(call: str, names: dict[str, Any], allowed: set[str]) -> None:
    """It is one call, of known names alone, and its arguments bind to the signature of what it calls."""
    tree = ast.parse(call, mode="eval").body
    assert isinstance(tree, ast.Call), call
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used <= allowed, call
    # A call that hangs on another one, as model.get_submodule("rnn")(x), is looked at with its object made.
    target = evaluate(ast.unparse(tree.func), names)
    assert callable(target), call
    try:
        signature = inspect.signature(target)
    except ValueError:
        return  # of C++: running it, below, has to do
    given = [evaluate(ast.unparse(argument), names) for argument in tree.args]
    signature.bind(*given, **{k.arg: evaluate(ast.unparse(k.value), names) for k in tree.keywords if k.arg})


def evaluate(source: str, names: dict[str, Any]) -> Any:
    return eval(source, {"__builtins__": {}}, names)


def run_call(call: str, model: nn.Module, allowed: set[str] | None = None) -> None:
    """Check and execute what a message or a suggestion tells the user to call."""
    with torch.no_grad():
        for p in model.parameters():
            p.nan_to_num_()
            p.grad = torch.zeros_like(p)
    check_call(call, surroundings(model), {*NAMES, "setattr"} if allowed is None else allowed)
    try:
        evaluate(call, surroundings(model))
    finally:
        torch.autograd.set_detect_anomaly(False)


@pytest.mark.parametrize("run", TROUBLES.values(), ids=TROUBLES)
def test_every_message_ends_in_one_call_that_runs(run: Callable[[], list[Finding]], models: list[nn.Module]) -> None:
    torch.manual_seed(0)
    found = run()
    assert found
    for finding in found:
        for lang in LANGUAGES:
            assert finding.text(lang).endswith(f": {finding.action}")
        assert finding.case and finding.text("es") != finding.message and same_numbers(finding)
        run_call(finding.action, models[0])
    suggestions = sg.suggest(found, models[0])
    assert suggestions[0].call == found[0].action
    spanish = sg.suggest(found, models[0], lang="es")
    for suggestion, translated in zip(suggestions, spanish, strict=True):
        assert suggestion.call == translated.call
        assert suggestion.change != translated.change and suggestion.why != translated.why
        run_call(suggestion.call, models[0], {*NAMES, *SUGGESTED})


@pytest.mark.parametrize(("run", "call"), OTHERS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_calls_of_rarer_troubles(run: Callable[[], list[Finding]], call: str) -> None:
    torch.manual_seed(0)
    actions = [finding.action for finding in run()]
    assert [action for action in actions if action.startswith(f"{call}(")], actions


def test_the_zoo_has_every_default_rule() -> None:
    assert {specimen.rule for specimen in BROKEN} == {rule.name for rule in sg.rules.default()}


def test_the_advice_against_vanishing_cures_it() -> None:
    model = nn.ModuleDict({"rnn": sg.RNN(I, H)})

    def look() -> list[Finding]:
        with (mon := sg.Monitor(model, every=1, on_finding=None)):
            model["rnn"](0.1 * torch.randn(30, 4, I))[0][-1].sum().backward()
        return mon.step()

    (found,) = look()
    assert found.rule == "Vanishing"
    run_call(found.action, model)
    assert look() == []


def test_the_advice_against_a_bad_loss_scale_cures_it() -> None:
    model = nn.ModuleDict({"rnn": sg.init.orthogonal_(sg.init.identity_(sg.RNN(I, H)))})
    mon = sg.Monitor(model, every=1, on_finding=None)

    def loss() -> Tensor:
        return 3e5 * model["rnn"](torch.zeros(20, 4, I))[0][-1].sum()

    with mon:
        loss().backward()
    (found,) = mon.step()
    model.zero_grad()
    with mon:
        evaluate(found.action, {"loss": loss()})
    assert mon.step() == []
