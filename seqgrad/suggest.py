"""suggest: from what was found to a ranked list of concrete changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from seqgrad import rules
from seqgrad._finding import SEVERITIES, Finding
from seqgrad._observation import Observation
from seqgrad._rules_check import submodule
from seqgrad._rules_gradient import CLIP
from seqgrad._speech import Text, checked
from seqgrad.history import History
from seqgrad.record import GradientRecord

Change = tuple[Text, str]  # what to change, and the call
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
    findings: GradientRecord | History | Finding | Iterable[Finding],
    model: nn.Module | None = None,
    *,
    lang: str = "en",
) -> list[Suggestion]:
    """Concrete changes for what was found, the most promising first.

    Errors come before warnings and warnings before "info", causes before symptoms; what several findings ask for moves
    up, and nothing is said twice.

    Args:
        findings: what ``Monitor.step`` or ``check_grads`` returned; a history, whose latest finding of each kind and
            place counts; or a record, to which ``seqgrad.rules.default()`` is applied.
        model: the model, so that the calls fit the kind of layer; without it they fit the finding alone.
        lang: of the change and its reason, "en" or "es".

    Raises:
        TypeError: for anything else. ValueError: no such language.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(3, 16)
        >>> with sg.record(rnn) as rec:
        ...     rnn(torch.randn(80, 4, 3))[0][-1].sum().backward()
        >>> print(sg.suggest(rec, rnn)[0].call)
        seqgrad.init.orthogonal_(model)
    """
    checked(lang)
    scores: dict[str, list[float]] = {}
    details: dict[str, tuple[str, str, str]] = {}
    for finding in _findings(findings):
        place = _ORDER.index(finding.rule) if finding.rule in _ORDER else len(_ORDER)
        weight = 100.0 * SEVERITIES.index(finding.severity) - place
        why = finding.text(lang).removesuffix(f": {finding.action}")
        for k, (change, call) in enumerate(_changes(finding, model)):
            details.setdefault(call, (getattr(change, lang), why, call))
            scores.setdefault(call, []).append(weight - 0.3 * k)
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
    changes = [(_OWN.get(finding.rule, _FOLLOW), finding.action)] if finding.action else []
    layer, kind = submodule(finding.module), _kind(finding, model)
    if finding.rule == "Vanishing":
        if kind in ("gated", "lstm", "gru"):
            changes.append((_OTHER["open"], f"seqgrad.init.forget_bias_({layer}, 1.0)"))
        else:
            changes.append((_OTHER["gated"], "seqgrad.LSTM(input_size, hidden_size)"))
            changes.append((_OTHER["residual"], "seqgrad.ResidualRNN(input_size, hidden_size, residual_scale=0.1)"))
    elif finding.rule == "Exploding":
        changes.append((_OTHER["inside"], f"setattr({layer}, 'state_clip', seqgrad.clip.Norm(1.0))"))
        if finding.series.startswith(("l", "cell")):
            changes.append((_OTHER["orthogonal"], f"seqgrad.init.orthogonal_({layer})"))
        changes.append((_OTHER["truncate"], "list(seqgrad.tbptt(x, size=20))"))
    elif finding.rule == "NonFinite" and finding.phase == "backward":
        changes.append((_OTHER["skip"], 'seqgrad.clip.grad_norm_(model.parameters(), 1.0, nonfinite="skip")'))
    elif finding.rule == "Underflow":
        changes.append((_OTHER["bfloat16"], "model.to(torch.bfloat16)"))
    elif finding.rule == "LearningRate":
        changes.append((_OWN["Exploding"], CLIP))
    elif finding.rule == "DeadUnits":
        changes.append((_OTHER["tanh"], "seqgrad.RNN(input_size, hidden_size)"))
    return changes


_FOLLOW = Text("Follow the finding", "Sigue el hallazgo")
_OWN = {
    "NonFinite": Text("Stop the first NaN or Inf", "Detén el primer NaN o infinito"),
    "MissingDetach": Text("Cut the state's history", "Corta la historia del estado"),
    "StaleGradients": Text("Clear the gradients", "Borra los gradientes"),
    "SwappedAxes": Text("Swap batch and time", "Intercambia lote y tiempo"),
    "ReadTooEarly": Text("Read the end of the run", "Lee el final del recorrido"),
    "Padding": Text("Hand over the lengths", "Entrega las longitudes"),
    "LearningRate": Text("Lower the learning rate", "Baja la tasa de aprendizaje"),
    "LossScale": Text("Rescale the loss", "Reescala la pérdida"),
    "Underflow": Text("Scale the loss for half precision", "Escala la pérdida para media precisión"),
    "DeadUnits": Text("Revive the units", "Revive las unidades"),
    "Saturation": Text("Draw smaller input weights", "Sortea pesos de entrada más pequeños"),
    "ExplodingState": Text("Keep the state small", "Mantén pequeño el estado"),
    "Exploding": Text("Clip the gradient", "Recorta el gradiente"),
    "Vanishing": Text("Let the recurrence keep the gradient", "Haz que la recurrencia conserve el gradiente"),
}
_OTHER = {
    "open": Text("Open the gate that keeps the state", "Abre la puerta que conserva el estado"),
    "gated": Text("Take gated layers", "Usa capas con puertas"),
    "residual": Text("Add an identity path", "Añade un camino identidad"),
    "inside": Text("Clip inside the backward", "Recorta dentro de la retropropagación"),
    "orthogonal": Text("Start with singular values of 1", "Empieza con valores singulares de 1"),
    "truncate": Text("Cut backprop in time", "Trunca la retropropagación en el tiempo"),
    "skip": Text("Leave bad steps out", "Sáltate los pasos malos"),
    "bfloat16": Text("Take bfloat16, whose range is that of float32", "Usa bfloat16, que tiene el rango de float32"),
    "tanh": Text("Take tanh, whose units do not die", "Usa tanh, cuyas unidades no mueren"),
}
