"""What each cure does: cells x mitigations x tasks, the gradient's horizon beside the outcome, and what it costs."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from seqgrad._page import environment, write_whole
from seqgrad.experiments import _cures_claims
from seqgrad.experiments._cures_plan import CELLS, CURES, LEARNT, OMEGA_EVERY, TASKS, Lesson, Network, train_once
from seqgrad.experiments._result import Progress, Result, median, one_of, plain, positive, reporter, seeded, spread_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = Path(__file__).parent / "_data" / "cures.jsonl"
Costs = dict[tuple[str, str], float]  # by cell and cure


@dataclass(frozen=True)
class Entry:
    """One place of the table: all seeds of a task, a cell and a cure."""

    seeds: int
    outcome: float  # success rate, median accuracy, or median bits per character; a diverged network counts as worst
    low: float  # the worst and the best seed's own accuracy or bits; NaN where one diverged
    high: float
    diverged: int
    horizon_before: float  # medians over seeds
    horizon_after: float
    ratio_before: float
    ratio_after: float


@dataclass
class Cures(Result):
    """``networks``, one a seed, and ``costs[cell, cure]``: time of a training step over that of the bare cell's."""

    name: ClassVar[str] = "cures"
    kinds: ClassVar[tuple[str, ...]] = ("outcome", "horizon")

    networks: list[Network]
    costs: Costs
    environment: dict[str, str]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that were run, in the order of the plan."""
        found = {network.task for network in self.networks}
        return tuple(task for task in TASKS if task in found)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The pairs of cell and cure that were run, in the order of the plan."""
        found = {(network.cell, network.cure) for network in self.networks}
        return [(cell, cure) for cell in CELLS for cure in CURES if (cell, cure) in found]

    def entry(self, task: str, cell: str, cure: str) -> Entry | None:
        """All seeds of one place of the table; None where the cure does not apply or was not run."""
        found = [n for n in self.networks if (n.task, n.cell, n.cure) == (task, cell, cure)]
        if not found:
            return None
        outcomes = [network.outcome for network in found]
        worst = math.inf if TASKS[task].measure == "bits" else -math.inf
        if TASKS[task].measure == "success":
            outcome = sum(value >= LEARNT for value in outcomes) / len(outcomes)
        else:
            outcome = median([worst if math.isnan(value) else value for value in outcomes])
        alive = [value for value in outcomes if math.isfinite(value)]
        diverged = len(outcomes) - len(alive)
        spread = (math.nan, math.nan) if diverged else (min(alive), max(alive))
        middle = {name: median([getattr(n, name) for n in found]) for name in _MEDIANS}
        return Entry(len(found), outcome, *spread, diverged, **middle)

    def rows(self) -> list[dict[str, Any]]:
        """One row per task, cell and cure."""
        return [
            {"task": task, "cell": cell, "cure": cure, **asdict(entry), "time": self.costs.get((cell, cure), math.nan)}
            for task in self.tasks
            for cell, cure in self.lines
            if (entry := self.entry(task, cell, cure)) is not None
        ]

    def facts(self) -> dict[str, Any]:
        """How much was trained."""
        seeds = [entry["seeds"] for entry in self.rows()]
        return {
            "networks": len(self.networks), "seeds_min": min(seeds), "seeds_max": max(seeds),
            "pairs": len(self.lines), "tasks": len(self.tasks), "shown": self._shown,
            "told": self._told(),
            "minutes": sum(network.seconds for network in self.networks) / 60,
        }  # fmt: skip

    def _told(self) -> str:
        """One task of the figures, place by place, for those who hear them."""
        from seqgrad.experiments import _cures_table

        table, task = _cures_table, self._shown
        return "; ".join(
            f"{cell} {cure} {table.outcome(task, entry, 'en', spread=False)}, {table.horizon(entry)}"
            for cell, cure in self.lines
            if (entry := self.entry(task, cell, cure)) is not None
        )

    @property
    def _shown(self) -> str:
        return "first_100" if "first_100" in self.tasks else self.tasks[0]

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``outcome`` or ``horizon``: a field per task, cures by cells."""
        from seqgrad.experiments import _draw_cures

        return _draw_cures.fields(figure, self, kind, say)

    def to_markdown(self, lang: str = "en") -> str:
        """The whole table for a document: a row per cell and cure, two columns per task, what it costs."""
        from seqgrad.experiments import _cures_table

        return _cures_table.markdown(self, lang)

    def to_html(self, lang: str = "en") -> str:
        """The same as an HTML ``<table>`` in a box that scrolls sideways where the page is narrow."""
        from seqgrad.experiments import _cures_table

        return _cures_table.html(self, lang)

    def save(self, path: Path | str) -> None:
        """Write everything measured as JSON lines, in the order of the plan, for :meth:`load`."""
        order = {key: k for k, key in enumerate((t, c, n) for t in TASKS for c in CELLS for n in CURES)}
        ordered = sorted(self.networks, key=lambda n: (order[n.task, n.cell, n.cure], n.seed))
        lines: list[dict[str, Any]] = [{"environment": self.environment}]
        lines += [{"cell": cell, "cure": cure, "time": value} for (cell, cure), value in self.costs.items()]
        lines += [asdict(network) for network in ordered]
        write_whole(Path(path), "".join(_line(one) for one in lines))

    @classmethod
    def load(cls, path: Path | str = PUBLISHED) -> Cures:
        """What :meth:`save` wrote; by default the table that this version publishes, with its claims judged.

        Example:
            >>> import seqgrad as sg
            >>> table = sg.experiments.Cures.load()
            >>> table.entry("first_100", "lstm", "chrono").seeds
            10
        """
        networks, costs, known = _read(Path(path))
        result = cls(networks, costs, known)
        result.claims = _cures_claims.judged(result)
        result.seconds = sum(network.seconds for network in networks)
        return result


_MEDIANS = ("horizon_before", "horizon_after", "ratio_before", "ratio_after")


def cures(
    tasks: Sequence[str] = tuple(TASKS), cells: Sequence[str] = CELLS, cures: Sequence[str] = tuple(CURES), *,
    seeds: int | None = None, updates: int | None = None, keep: Path | str | None = None, workers: int = 1,
    progress: bool | Progress = False,
) -> Cures:  # fmt: skip
    """Train every cell with every cure that makes sense for it on every task, anew for each seed, nothing tuned.

    Tasks: ``first_50`` and ``first_100``, the lesson's first element (H=32, Adam 1e-3, 300 updates of 32 fresh samples,
    10 seeds, success is an accuracy of 0.9 on 1000 fresh samples); ``pixels``, digits pixel by pixel (T=64, H=64, Adam
    2e-3, 800 updates of 32, 5 seeds, accuracy on 450 test images); ``spelling``, CPython's documentation (T=100, H=64,
    Adam 5e-3, 300 updates of 32 windows, 5 seeds, bits per character on the held-out tenth, in windows of 100).

    ``none`` is the bare cell. All others clip the parameters' gradient at norm 1, except ``state_clip``, which clips
    the carried gradient instead, at 1/32 for each sample of the mean loss. On top of the clipping: ``orthogonal`` W_hh
    and zero biases (Saxe et al. 2014); ``identity``, the IRNN (Le et al. 2015); ``forget_one`` (Gers et al. 2000);
    ``chrono`` (Tallec and Ollivier 2018); ``truncate``, BPTT cut into chunks of 25 (pixels: 16); ``omega``, Pascanu's
    regulariser (2013) with weight 1, at every fifth update; ``residual_scale`` 0.1.

    The gradient is that of a loss at the end of the sequence alone, 64 fresh or held-out samples, in the median sample:
    ``horizon`` is how many steps back it keeps a thousandth of its size, ``ratio`` its size at the first timestep.
    The full table takes some 20 minutes of processor time. ``Cures.load()`` reads the published one, which was made by
    ``cures(keep="kept.jsonl", workers=2).save("seqgrad/experiments/_data/cures.jsonl")``. Costs are processor time on
    one thread of a 2-core x86 machine with AVX-512, at T=100, N=32, H=32.

    Pairs of cell and cure that make no sense are left out. ``seeds`` and ``updates`` replace each task's own. ``keep``
    is a file to which each finished network is added, and from which those already there are taken, so that an
    interrupted run goes on. ``workers`` processes share the work.

    Example:
        >>> import seqgrad as sg
        >>> table = sg.experiments.cures(("first_50",), ("rnn",), ("clip", "orthogonal"), seeds=1, updates=2)
        >>> [(row["cure"], row["horizon_before"] > 40) for row in table.rows()]
        [('clip', False), ('orthogonal', True)]
    """
    pairs = _pairs(tasks, cells, cures)
    for argument, value in (("seeds", seeds), ("updates", updates), ("workers", workers)):
        if value is not None:
            positive(argument, value)
    start, tell = time.perf_counter(), reporter(progress, "cures")
    done, costs, _ = _read(Path(keep)) if keep and Path(keep).exists() else ([], {}, {})
    known_ones = {(n.task, n.cell, n.cure, n.seed, n.updates): n for n in done}
    jobs = [
        (task, cell, cure, seed, updates or TASKS[task].updates)
        for task in tasks for cell, cure in pairs for seed in range(seeds or TASKS[task].seeds)
    ]  # fmt: skip
    missing = [(keep, *job) for job in jobs if job not in known_ones]
    found = spread_out(
        _train_and_keep, missing, workers=workers, tell=lambda k: tell(k / len(missing), f"{k}/{len(missing)} networks")
    )
    known_ones |= {job[1:]: network for job, network in zip(missing, found, strict=True)}
    if any(pair not in costs for pair in pairs):
        costs = measure_costs(pairs, rounds=30 if seeds is None else 8)  # fewer seeds, a rougher look
        if keep:
            _append(keep, *({"cell": cell, "cure": cure, "time": value} for (cell, cure), value in costs.items()))
    result = Cures([known_ones[job] for job in jobs], costs, environment())
    result.claims = _cures_claims.judged(result) if updates is None else []
    result.seconds = time.perf_counter() - start
    return result


def _pairs(tasks: Sequence[str], cells: Sequence[str], cures: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of cell and cure that make sense; unknown and missing names are refused."""
    known: dict[str, tuple[str, ...]] = {"tasks": tuple(TASKS), "cells": CELLS, "cures": tuple(CURES)}
    for argument, names in (("tasks", tasks), ("cells", cells), ("cures", cures)):
        if not names:
            raise ValueError(f"{argument} must name at least one of {', '.join(known[argument])}, got none")
        for name in names:
            one_of(argument, name, known[argument])
    pairs = [(cell, cure) for cell in cells for cure in cures if cell in CURES[cure].cells]
    if not pairs:
        apply = "; ".join(f"{cure} to {', '.join(CURES[cure].cells)}" for cure in cures)
        raise ValueError(f"none of cures {', '.join(cures)} applies to cells {', '.join(cells)}; apply {apply}")
    return pairs


def measure_costs(pairs: Sequence[tuple[str, str]], *, rounds: int = 30, task: str = "first_100") -> Costs:
    """Median processor time of a training step over that of the bare cell, on one thread, all in turns.

    A turn is five steps, so that a cure which acts at every fifth is paid for once; ``rounds`` turns are counted.
    """
    costs: Costs = {}
    for cell in dict.fromkeys(cell for cell, _ in pairs):
        names = list(dict.fromkeys(["none", *(cure for one, cure in pairs if one == cell)]))
        times: dict[str, list[float]] = {name: [] for name in names}
        with seeded(0):
            lessons = {name: Lesson(task, cell, name) for name in names}
            for _ in range(rounds + 1):
                for name, lesson in lessons.items():
                    start = time.process_time()
                    for _ in range(OMEGA_EVERY):
                        lesson.step()
                    times[name].append(time.process_time() - start)
        bare = statistics.median(times["none"][1:])  # the first turn warms up
        costs |= {(cell, name): statistics.median(times[name][1:]) / bare for name in names if (cell, name) in pairs}
    return costs


def _train_and_keep(keep: Path | str | None, *job: Any) -> Network:
    network = Network(**_rounded(train_once(*job)))  # kept or fresh, the same numbers
    if keep is not None:
        _append(keep, asdict(network))
    return network


def _append(path: Path | str, *lines: dict[str, Any]) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("".join(_line(one) for one in lines))  # one short write: whole, whoever else appends


def _line(one: dict[str, Any]) -> str:
    return json.dumps(plain(one), allow_nan=False) + "\n"


def _rounded(network: Network) -> dict[str, Any]:
    """Five figures are more than any seed repeats on another machine."""
    return {name: float(f"{v:.5g}") if isinstance(v, float) else v for name, v in asdict(network).items()}


def _read(path: Path) -> tuple[list[Network], Costs, dict[str, str]]:
    networks: list[Network] = []
    costs: Costs = {}
    known: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            one = json.loads(line)
            if "environment" in one:
                known = one["environment"]
            elif "task" in one:
                numbers = {name: float(one[name]) for name in (*_MEDIANS, "outcome", "seconds")}
                networks.append(Network(**{**one, **numbers}))
            else:
                costs[one["cell"], one["cure"]] = float(one["time"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path}, line {number}: no network and no cost of the experiment cures: {error}"
            ) from None
    return networks, costs, known
