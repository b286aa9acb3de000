"""Finding: one thing that is wrong, where, and what to do. Published by ``seqgrad.rules``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seqgrad._finding_text import Fact, message_of, text_of, title_of

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")  # rising
# What the call that a message ends in may speak of; see Finding.
NAMES = (
    "seqgrad", "torch", "model", "optimizer", "scaler", "loss", "x", "lengths", "state", "h_n", "checkpoint"
)  # fmt: skip
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Finding:
    """What a rule saw. Timesteps ``t``, samples and training steps count from 0, as tensors do.

    ``str(finding)`` is the English message, which ends in ``action``; ``text("es")`` says the same in Spanish, from
    ``case``, the key of its text, and ``facts``. A finding that is made with an empty message words it from these.
    The action is one call, as Python source, in the names ``seqgrad``, ``torch``, ``model``, ``optimizer``,
    ``scaler``, ``loss``, ``x``, ``lengths``, ``state`` (one that is handed on), ``h_n`` (the layer's final states) and
    ``checkpoint`` (a state_dict).

    Example:
        >>> from seqgrad.rules import Finding
        >>> f = Finding("Exploding", "error", 0, "rnn", "l0", 7, 450.0, 100.0, "rnn l0 passes 100 at t=7.")
        >>> f.key, f.t
        ('rnn.l0', 7)
    """

    rule: str
    severity: Severity
    step: int | None  # training step; None outside training
    module: str  # dotted path, "" for the model itself
    series: str  # l0, l0_reverse, cell ...; a parameter's name where the rule judges one; "" for the whole module
    t: int | None  # input timestep
    value: float
    threshold: float
    message: str
    sample: int | None = None
    direction: str = ""  # forward or reverse
    phase: str = ""  # forward or backward pass, where that matters
    since: int | None = None  # first training step of the unbroken run of this finding
    action: str = ""
    rank: int | None = None  # of the distributed process that saw it
    case: str = ""  # "" for the rules of others, whose message is all there is
    facts: Mapping[str, Fact] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity must be one of {', '.join(SEVERITIES)}, got {self.severity!r}")

    @property
    def key(self) -> str:
        """Name of the series as records and histories use it: ``encoder.rnn.l0``."""
        return ".".join(part for part in (self.module, self.series) if part)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two findings at different steps the same trouble: rule, module, series."""
        return self.rule, self.module, self.series

    def text(self, lang: str = "en") -> str:
        """The message in ``lang``, "en" or "es"; in English where no other text is known.

        Raises:
            ValueError: no such language.

        Example:
            >>> import torch, seqgrad as sg
            >>> layer = torch.nn.Linear(2, 1)
            >>> layer(torch.full((1, 2), 300.0)).sum().backward()
            >>> print(sg.check_grads(layer)[0].text("es").rpartition(";")[0])
            weight: la norma de su gradiente es 424, por encima de 100
        """
        return text_of(self, lang)

    def title(self, lang: str = "en") -> str:
        """The rule's name in ``lang``, for people to read."""
        return title_of(self, lang)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values by field name; NaN and Inf stay floats."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Finding:
        """Undo :meth:`to_dict`; unknown keys are passed over, and numbers may be "NaN", "Infinity", "-Infinity".

        Raises:
            ValueError: a field is missing.
        """
        known = {one.name for one in dataclasses.fields(cls)}
        values = {name: value for name, value in fields.items() if name in known}
        for name in ("value", "threshold"):
            if name in values:
                values[name] = float(_WORDS.get(values[name], values[name]))
        if isinstance(values.get("facts"), Mapping):
            values["facts"] = {key: _WORDS.get(fact, fact) for key, fact in values["facts"].items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"not a finding ({error}); expected the fields of seqgrad.rules.Finding") from error

    def __str__(self) -> str:
        return self.message


class _Message:
    """The English message; where none was given, worded from case and facts when first asked for: few ever are."""

    def __get__(self, finding: Finding | None, owner: type) -> Any:
        if finding is None:
            return self
        fields = vars(finding)
        if not fields["message"] and finding.case:
            fields["message"] = message_of(finding)
        return fields["message"]

    def __set__(self, finding: Finding, message: str) -> None:
        vars(finding)["message"] = message


Finding.message = _Message()  # type: ignore[assignment]


class Findings(list[Finding]):
    """A list of findings, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        from seqgrad import _html

        return _html.findings(self)


def worst_first(findings: list[Finding]) -> Findings:
    """By falling severity; among equals the order of the rules stays."""
    return Findings(sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity)))
