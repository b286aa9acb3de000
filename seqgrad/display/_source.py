"""Where displays take their numbers from: one series of a record, the rows of a history."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from seqgrad._series import Series

if TYPE_CHECKING:
    from seqgrad.record import GradientRecord


class Past(Protocol):
    """What a display needs of a history."""

    @property
    def steps(self) -> list[int]:
        """Training steps with a record, ascending."""

    @property
    def series(self) -> tuple[str, ...]:
        """Full names of the series."""

    def matrix(self, name: str, quantity: str = "grad_h") -> Any:
        """``[S, T]`` norms over the batch, padded with NaN."""


class Row(NamedTuple):
    """One training step of one series; no values where the series was not recorded at that step."""

    step: int
    name: str
    values: list[float]
    reverse: bool


def one_of(name: str | None, names: Iterable[str], what: str) -> str:
    """``name``, or the only one there is."""
    known = list(names)
    if name is None and len(known) == 1:
        return known[0]
    if not known:
        raise ValueError(f"{what} is empty; there is nothing to draw")
    if name is None:
        raise ValueError(f"{what} holds {len(known)} series; say which to draw: {', '.join(map(repr, known))}")
    if name not in known:
        raise ValueError(f"{what} holds no series {name!r}; there are: {', '.join(map(repr, known))}")
    return name


def series_of(record: GradientRecord, key: str | None) -> Series:
    """The last pass of ``key``, of the only series without one.

    Raises:
        ValueError: nothing recorded, or several series and no key. KeyError: no such series.
    """
    found = record[one_of(None, record.keys(), "record")] if key is None else record[key]
    if not isinstance(found, Series):
        raise ValueError(f"series must name one series such as {next(iter(found), 'l0')!r}, {key!r} is a layer")
    return found


def rows_of(history: Past, name: str | None, quantity: str) -> list[Row]:
    """The rows of ``history.matrix`` without their padding."""
    chosen = one_of(name, history.series, "history")
    entries = getattr(history, "entries", None)
    if entries is not None:  # these know where a row ends, and a NaN at its end from padding
        return [_row(entry, chosen, quantity) for entry in entries]
    table = history.matrix(chosen, quantity).tolist()
    lengths = _lengths(history, chosen, table)
    reverse = bool(getattr(history, "reverse", lambda _: chosen.endswith("_reverse"))(chosen))
    return [
        Row(step, chosen, row[:length], reverse)
        for step, row, length in zip(history.steps, table, lengths, strict=True)
    ]


def _row(entry: Any, name: str, quantity: str) -> Row:
    found = entry.series.get(name)
    values = None if found is None else found.norms.get(quantity)
    return Row(entry.step, name, [] if values is None else values.tolist(), found is not None and found.reverse)


def _lengths(history: Past, name: str, table: list[list[float]]) -> list[int]:
    """How many timesteps each row has: said by the history, or up to the last number that is not NaN.

    Told from the numbers alone, a row that ends in NaN looks shorter than it was, and one of NaN throughout is taken
    to have full length: better a wrong length than a NaN that does not show.
    """
    told = getattr(history, "lengths", None)
    if callable(told):
        return [int(n) for n in told(name)]
    lengths = []
    for row in table:
        numbers = [i for i, value in enumerate(row) if not math.isnan(value)]
        lengths.append(numbers[-1] + 1 if numbers else len(row))
    return lengths


def names(finding: Any, name: str) -> bool:
    """Whether a finding is about the series ``name``, be its module joined by a slash or a dot."""
    module, series = finding.module, finding.series
    return name in ((f"{module}/{series}", f"{module}.{series}", series) if module else (series,))
