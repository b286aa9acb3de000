"""The character model of every cell: bits per character beside how far the gradient reaches, before and after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

import seqgrad as sg
from seqgrad.experiments import _speller
from seqgrad.experiments._comparison import CELLS, CLIP, LAYERS, Comparison, Fit, check
from seqgrad.experiments._result import Progress, median, positive, reporter, seeded, spread_out
from seqgrad.experiments.claims import Claim, judge
from seqgrad.experiments.tasks import bigram_bits, documentation

HIDDEN, RATE, UPDATES = 128, 5e-3, 600


@dataclass
class CharCells(Comparison):
    """Bits per character on held-out text in windows of 100, ``long[cell]`` where one window is hundreds long."""

    name: ClassVar[str] = "char_cells"
    unit: ClassVar[str] = "bits"
    rate: ClassVar[float] = RATE

    bigram: float
    origin: str
    long: dict[str, list[float]]

    @property
    def reference(self) -> float:
        """Bits per character of the table of letter pairs."""
        return self.bigram

    def facts(self) -> dict[str, Any]:
        """Budget, medians, and what each cell needs where it reads on beyond the windows of its training."""
        long = "; ".join(f"{cell} {median(values):.3g}" for cell, values in self.long.items())
        return {
            **super().facts(), "bigram": self.bigram, "origin": self.origin, "length": _speller.LENGTH, "long": long,
        }  # fmt: skip


def char_cells(
    cells: Sequence[str] = CELLS, *, seeds: int = 5, updates: int = UPDATES, hidden: int = HIDDEN, workers: int = 1,
    progress: bool | Progress = False,
) -> CharCells:  # fmt: skip
    """Train every cell to spell CPython's documentation, anew for each seed.

    Protocol: that of :func:`seqgrad.experiments.char_model`: H=128, windows of 100 characters from a zero state, 32 an
    update, Adam 5e-3, clipping at norm 1, 600 updates; the last tenth of the text is held out. Bits per character are
    measured on all of it in windows of 100, as in training, and again read on from one window to the next for some
    700 characters (``long``). The gradient is that of a window's last character alone, 64 held-out windows.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.char_cells(("gru",), seeds=1, updates=2, hidden=8)
        >>> 6 < run.outcome("text", "gru") < 7.5
        True
    """
    check(cells, seeds=seeds, updates=updates, workers=workers)
    positive("hidden", hidden, at_least=2)
    start, tell = time.perf_counter(), reporter(progress, "char_cells")
    jobs = [(cell, seed, updates, hidden) for cell in cells for seed in range(seeds)]
    found = spread_out(_train, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks"))
    text = documentation()
    long = {cell: [bits for one, bits in found if one.cell == cell] for cell in cells}
    result = CharCells(
        [one for one, _ in found], updates, hidden, {"text": _speller.LENGTH}, bigram=bigram_bits(text),
        origin=text.origin, long=long,
    )  # fmt: skip
    result.claims = _judge(result) if (updates, hidden) == (UPDATES, HIDDEN) else []
    result.seconds = time.perf_counter() - start
    return result


def _train(cell: str, seed: int, updates: int, hidden: int) -> tuple[Fit, float]:
    text = documentation()
    with seeded(seed):
        model = _speller.Speller(len(text.alphabet), lambda inputs: LAYERS[cell](inputs, hidden))
        optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
        before = _speller.probe(model, text)
        for _ in range(updates):
            optimizer.zero_grad()
            _speller.loss_of(model, _speller.window(text)).backward()
            sg.clip.grad_norm_(model, CLIP)
            optimizer.step()
        bits = _speller.held_out_bits(model, text, length=_speller.LENGTH)
        after, long = _speller.probe(model, text), _speller.held_out_bits(model, text)
        return Fit("text", cell, seed, bits, before, after), long


def _judge(result: CharCells) -> list[Claim]:
    """Only the claims whose cells were run."""
    claims: list[Claim] = []
    bits = {cell: result.outcome("text", cell) for cell in result.cells}
    if {"rnn", "gru", "lstm"} <= set(bits):
        claims.append(judge("chars.bigrams", result.bigram - max(bits[cell] for cell in ("rnn", "gru", "lstm"))))
        claims.append(judge("chars.horizon", result.opening("text")))
        claims.append(judge("chars.gru", bits["lstm"] - bits["gru"]))
    if {"residual", "residual_scaled"} <= set(bits):
        claims.append(judge("chars.residual", min(bits["residual"], bits["residual_scaled"]) - result.bigram))
    return claims
