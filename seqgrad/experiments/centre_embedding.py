"""Agreement across relative clauses within relative clauses, one deeper than any that was trained on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from seqgrad.experiments._lexicon import LEXICONS
from seqgrad.experiments._reader import BATCH, CELLS, CLIP, EMBED, HIDDEN, RATE, Reader, Teacher
from seqgrad.experiments._result import Progress, Result, median, one_of, positive, reporter, seeded, spread_out
from seqgrad.experiments._tasks_agreement import Agreement, agreement
from seqgrad.experiments.claims import Claim, judge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINED, DEEPEST, STEPS, TESTED = (1, 2, 3), 4, 2000, 1000
FEW = 20  # a share of fewer sentences than this is not reported


@dataclass(frozen=True)
class Score:
    """Share of right answers of one network to one kind of sentence: in all, in number, in gender.

    ``opposite``: all nouns between are of the other number and gender. ``attractors``: only sentences with so many
    nouns between that ask for another form (20 or more of them); None for all.
    """

    depth: int
    opposite: bool
    attractors: int | None
    accuracy: float
    number: float
    gender: float


@dataclass(frozen=True)
class Arm:
    """Trained networks that belong together. ``ask="first"``: only the main clause's verb is ever asked for."""

    language: str
    cell: str
    ask: str = "any"


@dataclass
class CentreEmbedding(Result):
    """``scores[arm][seed]``: what each network was tested on."""

    name: ClassVar[str] = "centre_embedding"
    kinds: ClassVar[tuple[str, ...]] = ("depth", "attractors")

    steps: int
    seeds: int
    scores: dict[Arm, list[list[Score]]]

    def accuracy(self, arm: Arm, depth: int, *, opposite: bool = True, attractors: int | None = None) -> list[float]:
        """One number per seed: main clause's verb, ``depth`` relative clauses; empty if no sentence was like that."""
        return [
            score.accuracy for tests in self.scores[arm] for score in tests
            if (score.depth, score.opposite, score.attractors) == (depth, opposite, attractors)
        ]  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """One row per network and kind of sentence."""
        return [
            {**asdict(arm), "seed": seed, **asdict(score)}
            for arm, networks in self.scores.items()
            for seed, tests in enumerate(networks)
            for score in tests
        ]

    def facts(self) -> dict[str, Any]:
        """Protocol, and every arm's accuracies at the deepest sentences in percent."""
        facts: dict[str, Any] = {
            "steps": self.steps, "seeds": self.seeds, "hidden": HIDDEN, "embed": EMBED, "batch": BATCH, "rate": RATE,
            "clip": CLIP, "deepest": DEEPEST, "tested": TESTED,
        }  # fmt: skip
        facts["table"] = self._table(lambda arm: _spread(self.accuracy(arm, DEEPEST)))
        facts["table_attractors"] = self._table(self._falling)
        return facts

    def _falling(self, arm: Arm) -> str:
        """Medians by number of attractors; a dash where the test had next to no such sentence."""
        found = [self.accuracy(arm, DEEPEST, opposite=False, attractors=k) for k in range(DEEPEST + 1)]
        return ", ".join(f"{100 * median(values):.0f}" if values else "–" for values in found)

    def _table(self, cell: Callable[[Arm], str]) -> str:
        return "; ".join(f"{arm.cell} ({arm.language}): {cell(arm)}" for arm in self.scores if arm.ask == "any")

    def draw(self, kind: str, figure: Figure, say: Callable[[str], str]) -> Any:
        """``depth`` or ``attractors``."""
        from seqgrad.experiments import _draw_agreement

        arms = [arm for arm in self.scores if arm.ask == "any"]
        if kind == "depth":
            xs: Sequence[int] = (*TRAINED, DEEPEST)
            groups = {arm: {x: self.accuracy(arm, x) for x in xs} for arm in arms}
            return _draw_agreement.depths(figure, groups, say, trained=max(TRAINED))
        xs = range(DEEPEST + 1)
        groups = {arm: {x: self.accuracy(arm, DEEPEST, opposite=False, attractors=x) for x in xs} for arm in arms}
        return _draw_agreement.attractors(figure, groups, say)


def _spread(values: Sequence[float]) -> str:
    low, middle, high = (100 * value for value in (min(values), median(values), max(values)))
    return f"{middle:.0f} ({low:.0f}–{high:.0f})"


def centre_embedding(
    cells: Sequence[str] = CELLS, languages: Sequence[str] = tuple(LEXICONS), *, seeds: int = 8, steps: int = STEPS,
    workers: int = 1, progress: bool | Progress = False,
) -> CentreEmbedding:  # fmt: skip
    """Train readers on sentences with one to three relative clauses and test them on four.

    "The map that the keys that the box covers hide [was ...]": each sentence stops before one of its verbs, and the
    network says which form follows. The test asks for the main clause's verb; all other nouns are of the opposite
    number (and gender). An RNN that is only ever asked for the main clause's verb is trained too: it may learn "the
    first noun decides" and needs no depth.

    Protocol: embedding 16, H=32, torch's initialisation, Adam 3e-3, clipping at norm 1, ``steps`` batches of 64 fresh
    sentences, 1000 test sentences of each kind. Chance is 1/2 in English (number) and 1/4 in Spanish (gender and
    number). ``workers`` processes share the networks.

    Source: Linzen, Dupoux and Goldberg 2016, "Assessing the Ability of LSTMs to Learn Syntax-Sensitive Dependencies".

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.centre_embedding(("lstm",), ("en",), seeds=1, steps=20)
        >>> [arm.ask for arm in run.scores]
        ['any']
    """
    for cell in cells:
        one_of("cells", cell, CELLS)
    for language in languages:
        one_of("languages", language, tuple(LEXICONS))
    if not cells or not languages:
        raise ValueError("cells and languages must name at least one each")
    positive("seeds", seeds), positive("steps", steps), positive("workers", workers)
    start, tell = time.perf_counter(), reporter(progress, "centre_embedding")
    arms = [Arm(language, cell) for language in languages for cell in cells]
    arms += [Arm(language, "rnn", "first") for language in languages if "rnn" in cells]
    jobs = [(arm, seed, steps) for arm in arms for seed in range(seeds)]
    found = spread_out(
        train_once, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks")
    )
    scores = {arm: found[k * seeds : (k + 1) * seeds] for k, arm in enumerate(arms)}
    result = CentreEmbedding(steps, seeds, scores)
    result.claims = _judge(result) if steps == STEPS else []
    result.seconds = time.perf_counter() - start
    return result


def train_once(arm: Arm, seed: int, steps: int = STEPS) -> list[Score]:
    """One network from scratch, and its scores on sentences it never saw."""
    with seeded(seed):
        data = agreement(steps * BATCH, language=arm.language, depths=TRAINED, ask=arm.ask)
        reader = Reader(arm.cell, len(data.vocabulary), len(data.answers))
        teacher = Teacher(reader, data)
        for _ in range(steps):
            teacher.step()
        scores = []
        for depth in (*TRAINED, DEEPEST):
            for opposite in (False, True):
                test = agreement(TESTED, language=arm.language, depths=(depth,), opposite=opposite)
                scores.append(_score(reader, test, depth, opposite))
                if not opposite:
                    by = [(k, test.part(test.attractors == k)) for k in range(depth + 1)]
                    scores += [_score(reader, part, depth, opposite, k) for k, part in by if len(part.labels) >= FEW]
        return scores


def _score(reader: Reader, test: Agreement, depth: int, opposite: bool, attractors: int | None = None) -> Score:
    answers, labels = reader.answer(test), test.labels
    shares = [float((a == b).double().mean()) for a, b in
              ((answers, labels), (answers % 2, labels % 2), (answers // 2, labels // 2))]  # fmt: skip
    return Score(depth, opposite, attractors, *shares)


def _judge(result: CentreEmbedding) -> list[Claim]:
    """Medians over seeds, of the cells and languages that were run."""
    arms, deep = result.scores, {arm: median(result.accuracy(arm, DEEPEST)) for arm in result.scores}
    claims = []
    if all(Arm("en", cell) in arms for cell in CELLS):
        claims.append(judge("embedding.seen", min(median(result.accuracy(Arm("en", cell), 3)) for cell in CELLS)))
    single = {f"embedding.{cell}_{language}": Arm(language, cell) for language in LEXICONS for cell in CELLS}
    del single["embedding.rnn_es"]
    single["embedding.first_noun"] = Arm("en", "rnn", "first")
    claims += [judge(id, deep[arm]) for id, arm in single.items() if arm in arms]
    spanish = [Arm("es", cell) for cell in ("lstm", "rnn")]
    if all(arm in arms for arm in spanish):
        claims.append(judge("embedding.gap_es", deep[spanish[0]] - deep[spanish[1]]))
    return claims
