"""Claims as data: what the lesson says, what a network should show, what was measured, and the verdict.

The tables live in ``_words/``, one module per experiment; the experiments only bring the measured number. The command
line, the HTML report, the documents and the tests all read the same ``Claim`` objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["reproduced", "corrected", "not reproduced"]
Relation = Literal["relative", "absolute", "factor", "at_least", "at_most"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "corrected", "not reproduced")


@dataclass(frozen=True)
class Spec:
    """One claim before it is measured.

    ``relation`` says how ``tolerance`` reads: ``relative`` and ``absolute`` bound the distance to ``expected``;
    ``factor`` accepts ``expected / tolerance .. expected * tolerance``; ``at_least`` and ``at_most`` make ``expected``
    itself the bound (``tolerance`` is then 0).
    ``line`` is the lesson's line, ``None`` where the claim goes beyond it. ``item`` is the number (1 to 5) of the
    lesson's closing checklist that the claim supports, ``None`` outside the lesson. A spec with a ``correction``
    describes a claim that is loose or wrong: when the measurement agrees with ``expected``, the verdict is "corrected".
    """

    id: str
    line: int | None
    item: int | None
    expected: float
    relation: Relation
    tolerance: float
    text: dict[str, str]
    correction: dict[str, str] | None = None

    def holds(self, measured: float) -> bool:
        """Whether ``measured`` agrees with what is expected; never for NaN."""
        if math.isnan(measured):
            return False
        if self.relation == "relative":
            return abs(measured - self.expected) <= self.tolerance * abs(self.expected)
        if self.relation == "absolute":
            return abs(measured - self.expected) <= self.tolerance
        if self.relation == "factor":
            return self.expected / self.tolerance <= measured <= self.expected * self.tolerance
        return measured >= self.expected if self.relation == "at_least" else measured <= self.expected

    def expectation(self, lang: str = "en") -> str:
        """The expected value with its tolerance, in signs and numbers."""
        expected, tolerance = number(self.expected, lang), number(self.tolerance, lang)
        if self.relation in ("at_least", "at_most"):
            return f"{'≥' if self.relation == 'at_least' else '≤'} {expected}"
        if not self.tolerance:
            return expected
        if self.relation == "factor":
            return f"{expected} ×÷ {tolerance}"
        if self.relation == "relative":
            return f"{expected} ± {number(100 * self.tolerance, lang)} %"
        return f"{expected} ± {tolerance}"


@dataclass(frozen=True)
class Claim:
    """A measured claim. ``verdict`` follows from the measurement alone.

    Example:
        >>> from seqgrad.experiments import claims
        >>> claims.judge("decay.four_factors", 0.5**4).verdict
        'reproduced'
    """

    spec: Spec
    measured: float

    @property
    def id(self) -> str:
        """The claim's id, such as ``flow.mirrored``."""
        return self.spec.id

    @property
    def verdict(self) -> Verdict:
        """What the measurement says about the claim."""
        if not self.spec.holds(self.measured):
            return "not reproduced"
        return "corrected" if self.spec.correction else "reproduced"

    @property
    def ok(self) -> bool:
        """False only for "not reproduced"."""
        return self.verdict != "not reproduced"

    def text(self, lang: str = "en") -> str:
        """What the lesson says (or what the project adds), in our words."""
        return self.spec.text[lang]

    def correction(self, lang: str = "en") -> str | None:
        """What the measurement teaches where the lesson is loose or wrong."""
        return self.spec.correction[lang] if self.spec.correction else None

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; a measured value that is not finite becomes a string."""
        spec = self.spec
        return {
            "id": spec.id, "line": spec.line, "item": spec.item, "text": spec.text, "correction": spec.correction,
            "expected": spec.expected, "relation": spec.relation, "tolerance": spec.tolerance,
            "measured": self.measured if math.isfinite(self.measured) else str(self.measured),
            "verdict": self.verdict,
        }  # fmt: skip


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, lang: str = "en") -> str:
    """A number as people write it, to three figures: 16, 0.582, 1.01·10⁻²³; with a decimal comma in Spanish."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e5:
        return str(int(value))
    if 1e-3 <= abs(value) < 1e5:
        text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    else:
        digits, power = f"{value:.2e}".split("e")
        raised = f"10{str(int(power)).translate(_RAISED)}"
        text = raised if digits == "1.00" else f"{digits}·{raised}"
    return text.replace(".", ",") if lang == "es" else text


def specs() -> dict[str, Spec]:
    """All claims by id: those of the lesson in its order, then the others."""
    from seqgrad.experiments import _words

    return _words.specs()


def judge(id: str, measured: float) -> Claim:
    """Put a measurement beside the claim ``id``.

    Raises:
        KeyError: no such claim; the message lists the ids that exist.
    """
    table = specs()
    if id not in table:
        raise KeyError(f"no claim is called {id!r}; there are: {', '.join(table)}")
    return Claim(table[id], float(measured))


def count(claims: Iterable[Claim]) -> dict[Verdict, int]:
    """How many claims got each verdict."""
    found = [claim.verdict for claim in claims]
    return {verdict: found.count(verdict) for verdict in VERDICTS}
