"""What the comparison of cures says about claims that are often heard; each is judged where its networks were run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seqgrad.experiments._cures_plan import GATED, GROWN, LEARNT, TASKS
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from seqgrad.experiments.cures import Cures

VANISHING = ("rnn", "gru", "lstm")  # their gradient vanishes untrained; the residual RNN's grows
LONG = "first_100"


def judged(result: Cures) -> list[Claim]:
    """All claims whose places of the table are there."""

    def outcome(task: str, cell: str, cure: str) -> float:
        entry = result.entry(task, cell, cure)
        if entry is None:
            raise LookupError(f"{task}, {cell}, {cure} was not run")
        return entry.outcome

    def truncated() -> float:
        tasks = [task for task in result.tasks if TASKS[task].measure == "success"]
        rates = [outcome(task, cell, cure) for task in tasks for cell, cure in result.lines if cure == "truncate"]
        if not rates:
            raise LookupError("truncate was not run")
        return max(rates)

    def rate(*, reaches: bool) -> float:
        """Success of the long task where the untrained gradient reaches the signal without growing, or falls short."""
        found = [network for network in result.networks if network.task == LONG]
        far = TASKS[LONG].steps - 1
        if reaches:
            found = [network for network in found if network.horizon_before >= far and network.ratio_before <= GROWN]
        else:
            found = [network for network in found if network.horizon_before < far]
        if not found:
            raise LookupError(f"no network of {LONG} is of this kind")
        return sum(network.outcome >= LEARNT for network in found) / len(found)

    def spelling() -> float:
        pairs = [line for line in result.lines if line[0] in VANISHING]
        return max(outcome("spelling", cell, "clip") - outcome("spelling", cell, cure) for cell, cure in pairs)

    measures: dict[str, Callable[[], float]] = {
        "cures.truncate": truncated,
        "cures.clip_vanishing": lambda: max(outcome(LONG, cell, "clip") for cell in VANISHING),
        "cures.clip_growing": lambda: outcome(LONG, "residual", "clip") - outcome(LONG, "residual", "none"),
        "cures.state_clip": lambda: outcome(LONG, "residual", "state_clip"),
        "cures.orthogonal": lambda: outcome(LONG, "rnn", "orthogonal"),
        "cures.orthogonal_pixels": lambda: outcome("pixels", "rnn", "orthogonal") - outcome("pixels", "rnn", "clip"),
        "cures.identity_pixels": lambda: outcome("pixels", "rnn", "clip") - outcome("pixels", "rnn", "identity"),
        "cures.forget_one": lambda: max(outcome(LONG, cell, "forget_one") for cell in GATED),
        "cures.chrono": lambda: min(outcome(LONG, cell, "chrono") for cell in GATED),
        "cures.chrono_price": lambda: min(
            outcome("spelling", cell, "chrono") - outcome("spelling", cell, "clip") for cell in GATED
        ),
        "cures.omega": lambda: min(outcome(LONG, cell, "omega") for cell in VANISHING),
        "cures.reaches": lambda: rate(reaches=True),
        "cures.falls_short": lambda: rate(reaches=False),
        "cures.spelling": spelling,
    }
    claims = []
    for name, measure in measures.items():
        try:
            claims.append(judge(name, measure()))
        except LookupError:
            continue
    return claims
