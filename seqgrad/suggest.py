"""suggest: from what was found to a ranked list of concrete changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from seqgrad import rules
from seqgrad._finding import SEVERITIES, Finding
from seqgrad._observation import Observation
from seqgrad._rules_check import submodule
from seqgrad.history import History
from seqgrad.record import GradientRecord

Change = tuple[str, str, str]  # what to change, why, the call
# Causes before symptoms: what comes first here may be all there is to the rest.
_ORDER = tuple(rule.name for rule in rules.default())


@dataclass(frozen=True)
class Suggestion:
    """One change to try.

    ``call`` is Python source in the names of :class:`~seqgrad.rules.Finding`, input_size and hidden_size.
    """

    rank: int  # from 1, best first
    change: str
    why: str
    call: str

    def __str__(self) -> str:
        return f"{self.rank}. {self.change}: {self.call}\n   {self.why}"


def suggest(
    findings: GradientRecord | History | Finding | Iterable[Finding], model: nn.Module | None = None
) -> list[Suggestion]:
    """Concrete changes for what was found, the most promising first.

    Errors come before warnings and warnings before "info", causes before symptoms; what several findings ask for moves
    up, and nothing is said twice.

    Args:
        findings: what ``Monitor.step`` or ``check_grads`` returned; a history, whose latest finding of each kind and
            place counts; or a record, to which ``seqgrad.rules.default()`` is applied.
        model: the model, so that the calls fit the kind of layer; without it they fit the finding alone.

    Raises:
        TypeError: for anything else.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(3, 16)
        >>> with sg.record(rnn) as rec:
        ...     rnn(torch.randn(80, 4, 3))[0][-1].sum().backward()
        >>> print(sg.suggest(rec, rnn)[0].call)
        seqgrad.init.orthogonal_(model.get_submodule(''))
    """
    scores: dict[str, list[float]] = {}
    details: dict[str, Change] = {}
    for finding in _findings(findings):
        place = _ORDER.index(finding.rule) if finding.rule in _ORDER else len(_ORDER)
        weight = 100.0 * SEVERITIES.index(finding.severity) - place
        for k, change in enumerate(_changes(finding, model)):
            details.setdefault(change[2], change)
            scores.setdefault(change[2], []).append(weight - 0.3 * k)
    # The best reason decides; more reasons for the same change break ties.
    ranked = sorted(scores, key=lambda call: -(max(scores[call]) + 0.1 * (len(scores[call]) - 1)))
    return [Suggestion(rank, *details[call]) for rank, call in enumerate(ranked, 1)]


def _findings(source: GradientRecord | History | Finding | Iterable[Finding]) -> list[Finding]:
    if isinstance(source, Finding):
        return [source]
    if isinstance(source, GradientRecord):
        from seqgrad import rules

        seen = Observation.of_record(source)
        return [finding for rule in rules.default() for finding in rule.check(seen)]
    if isinstance(source, History):
        return list({finding.identity: finding for finding in source.findings}.values())
    expected = "findings must be findings, a History or a GradientRecord"
    if not isinstance(source, Iterable):
        raise TypeError(f"{expected}, got {type(source).__name__}")
    items = list(source)
    for item in items:
        if not isinstance(item, Finding):
            raise TypeError(f"{expected}, got an iterable with {type(item).__name__}")
    return items


def _kind(finding: Finding, model: nn.Module | None) -> str:
    """rnn, relu, gru, lstm, or "" where the layer is not known."""
    try:
        layer = None if model is None else model.get_submodule(finding.module)
    except AttributeError:
        layer = None
    if layer is None:
        return "gated" if "chrono_" in finding.action else "relu" if "identity_" in finding.action else ""
    name = type(layer).__name__.lower()
    if "lstm" in name or "gru" in name:
        return "lstm" if "lstm" in name else "gru"
    return "relu" if getattr(layer, "nonlinearity", "") == "relu" else "rnn"


def _changes(finding: Finding, model: nn.Module | None) -> list[Change]:
    """The finding's own action first, then what else helps against it."""
    first = (_TITLES.get(finding.rule, "Follow the finding"), finding.message.rpartition(": ")[0], finding.action)
    changes = [first] if finding.action else []
    layer, kind = submodule(finding.module), _kind(finding, model)
    why = finding.message.rpartition(": ")[0]
    if finding.rule == "Vanishing":
        if kind in ("gated", "lstm", "gru"):
            changes.append(("Open the gate that keeps the state", why, f"seqgrad.init.forget_bias_({layer}, 1.0)"))
        else:
            changes.append(("Take gated layers", why, "seqgrad.LSTM(input_size, hidden_size)"))
            changes.append(
                ("Add an identity path", why, "seqgrad.ResidualRNN(input_size, hidden_size, residual_scale=0.1)")
            )
    elif finding.rule == "Exploding":
        changes.append(("Clip inside the backward", why, f"setattr({layer}, 'state_clip', seqgrad.clip.Norm(1.0))"))
        if finding.series.startswith(("l", "cell")):
            changes.append(("Start with singular values of 1", why, f"seqgrad.init.orthogonal_({layer})"))
        changes.append(("Cut backprop in time", why, "list(seqgrad.tbptt(x, size=20))"))
    elif finding.rule == "NonFinite" and finding.phase == "backward":
        changes.append(
            ("Leave bad steps out", why, 'seqgrad.clip.grad_norm_(model.parameters(), 1.0, nonfinite="skip")')
        )
    elif finding.rule == "Underflow":
        changes.append(("Take bfloat16, whose range is that of float32", why, "model.to(torch.bfloat16)"))
    elif finding.rule == "LearningRate":
        changes.append(("Clip the gradient", why, "seqgrad.clip.grad_norm_(model.parameters(), 1.0)"))
    elif finding.rule == "DeadUnits":
        changes.append(("Take tanh, whose units do not die", why, "seqgrad.RNN(input_size, hidden_size)"))
    return changes


_TITLES = {
    "NonFinite": "Stop the first NaN or Inf",
    "MissingDetach": "Cut the state's history",
    "StaleGradients": "Clear the gradients",
    "SwappedAxes": "Swap batch and time",
    "ReadTooEarly": "Read the end of the run",
    "Padding": "Hand over the lengths",
    "LearningRate": "Lower the learning rate",
    "LossScale": "Rescale the loss",
    "Underflow": "Scale the loss for half precision",
    "DeadUnits": "Revive the units",
    "Saturation": "Draw smaller input weights",
    "ExplodingState": "Keep the state small",
    "Exploding": "Clip the gradient",
    "Vanishing": "Let the recurrence keep the gradient",
}
