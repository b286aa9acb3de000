"""Handwritten digits read as sequences: row by row, pixel by pixel, and pixels in a fixed random order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from seqgrad.experiments import datasets
from seqgrad.experiments._comparison import CELLS, Comparison, Fit, check, fit
from seqgrad.experiments._result import Progress, median, one_of, reporter, spread_out
from seqgrad.experiments.claims import Claim, judge

HIDDEN, RATE, UPDATES = 64, 2e-3, 800


@dataclass
class Digits(Comparison):
    """Accuracy on 450 test images, and the reach of the gradient, by order of reading and cell."""

    name: ClassVar[str] = "digits"
    rate: ClassVar[float] = RATE


def digits(
    cells: Sequence[str] = CELLS, orders: Sequence[str] = datasets.ORDERS, *, seeds: int = 5, updates: int = UPDATES,
    workers: int = 1, progress: bool | Progress = False,
) -> Digits:  # fmt: skip
    """Train every cell on every order of reading, anew for each seed. Needs the extra ``[data]``.

    Protocol: H=64, Adam 2e-3, clipping at norm 1, 800 updates of 32 of the 1347 training images, the last state read
    by a linear layer; accuracy on 450 images never trained on. All cells see the same batches. torch's default
    initialisation: this is what the cells do by themselves. The gradient is that of the loss on 64 test images.

    Source: pixel by pixel and permuted, on MNIST, in Le, Jaitly and Hinton 2015, "A Simple Way to Initialize Recurrent
    Networks of Rectified Linear Units"; here on the 8 x 8 images of :func:`seqgrad.experiments.datasets.digits`.

    Example:
        >>> import seqgrad as sg
        >>> run = sg.experiments.digits(("gru",), ("row",), seeds=1, updates=2)
        >>> run.steps
        {'row': 8}
    """
    check(cells, seeds=seeds, updates=updates, workers=workers)
    if not orders:
        raise ValueError(f"orders must name at least one of {', '.join(datasets.ORDERS)}, got none")
    for order in orders:
        one_of("orders", order, datasets.ORDERS)
    start, tell = time.perf_counter(), reporter(progress, "digits")
    steps = {order: datasets.digits(order).steps for order in orders}
    jobs = [(order, cell, seed, updates) for order in orders for cell in cells for seed in range(seeds)]
    jobs.sort(key=lambda job: -steps[job[0]])
    found = spread_out(_train, jobs, workers=workers, tell=lambda k: tell(k / len(jobs), f"{k}/{len(jobs)} networks"))
    by_job = dict(zip(jobs, found, strict=True))
    fits = [by_job[order, cell, seed, updates] for order in orders for cell in cells for seed in range(seeds)]
    result = Digits(fits, updates, HIDDEN, steps)
    result.claims = _judge(result) if updates == UPDATES else []
    result.seconds = time.perf_counter() - start
    return result


def _train(order: datasets.Order, cell: str, seed: int, updates: int) -> Fit:
    data = datasets.digits(order)
    return fit(order, cell, seed, data, hidden=HIDDEN, rate=RATE, updates=updates)


def _judge(result: Digits) -> list[Claim]:
    """Only the claims whose cells and orders were run."""
    claims, plain = [], ("rnn", "gru", "lstm")
    ran = {order for order in result.groups if set(plain) <= set(result.cells)}
    reached = {order: [result.outcome(order, cell) for cell in plain] for order in ran}
    if "row" in ran:
        claims.append(judge("digits.rows", min(reached["row"])))
    if {"row", "pixel"} <= ran:
        lost = [a - b for a, b in zip(reached["row"], reached["pixel"], strict=True)]
        claims.append(judge("digits.pixels", median(lost)))
    if "pixel" in ran:
        claims.append(judge("digits.horizon", result.opening("pixel")))
    if {"pixel", "permuted"} <= ran:
        lost = [a - b for a, b in zip(reached["pixel"], reached["permuted"], strict=True)]
        claims.append(judge("digits.permuted", median(lost)))
    if "pixel" in result.groups and "residual" in result.cells:
        claims.append(judge("digits.residual", result.outcome("pixel", "residual")))
    return claims
