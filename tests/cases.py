"""The grid of shapes that have broken recurrent kernels: edges of vectors and blocks, one step, one sample."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

STEPS = (1, 2, 7, 33)
SAMPLES = (1, 3, 8)
HIDDEN = (1, 31, 32, 33, 130)
INPUTS = (1, 5, 32)


class Shape(NamedTuple):
    """One sequence problem: T timesteps, N samples, I inputs, H hidden units."""

    T: int
    N: int
    I: int  # noqa: E741
    H: int


def pairwise(*axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Rows in which every pair of values of any two axes occurs, far fewer than the full product; deterministic."""
    wanted = {
        (i, a, j, b) for i in range(len(axes)) for j in range(i + 1, len(axes)) for a, b in product(axes[i], axes[j])
    }
    rows: list[tuple[int, ...]] = []
    while wanted:
        row = max(product(*axes), key=lambda r: len(_pairs(r) & wanted))
        wanted -= _pairs(row)
        rows.append(row)
    return rows


def _pairs(row: tuple[int, ...]) -> set[tuple[int, int, int, int]]:
    return {(i, row[i], j, row[j]) for i in range(len(row)) for j in range(i + 1, len(row))}


TILED = Shape(6, 70, 35, 200)  # rows and units enough for the CPU engine to take AMX's tiles, ragged too
TILED_FEW = Shape(4, 18, 600, 128)  # few rows, which it still does; its input is multiplied in parts
GRID = [Shape(*row) for row in pairwise(STEPS, SAMPLES, INPUTS, HIDDEN)]
