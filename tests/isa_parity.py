"""A compact parity check, run by test_isa.py in a process of its own for each instruction set. No test by itself."""

from __future__ import annotations

import sys
from typing import Any

import torch
from cases import Shape
from oracle import assert_within_ratio
from problem import CELLS, DTYPES, expect, make, solve

from seqgrad.clip import Norm, Value

CASES: list[tuple[Shape, dict[str, Any]]] = [
    (Shape(1, 1, 1, 1), {}),
    (Shape(5, 3, 5, 7), {"ragged": True}),
    (Shape(7, 8, 33, 32), {"reverse": True, "ragged": True, "state_clip": Norm(1.0)}),
    (Shape(4, 17, 9, 65), {"state_clip": Value(0.5), "truncate": 2}),
    (Shape(3, 33, 5, 19), {"bias": False}),
    (Shape(4, 26, 35, 200), {}),  # from here on AMX multiplies float32, too
    (Shape(5, 60, 20, 193), {"ragged": True, "reverse": True, "state_clip": Norm(1.0)}),
]
LSTM_CASES: list[tuple[Shape, dict[str, Any]]] = [
    (Shape(6, 5, 4, 21), {"proj": 10, "ragged": True}),
    (Shape(3, 30, 20, 224), {"proj": 200}),
]


def main() -> int:
    """Every cell and dtype over CASES against the reference in fp64; the number of comparisons."""
    torch.set_num_threads(1)
    count = 0
    for cell in CELLS:
        cases = [*CASES, *LSTM_CASES] if cell == "lstm" else CASES
        for shape, options in cases:
            for dtype in DTYPES:
                problem = make(cell, shape, gain=0.7, **options).to(dtype)
                exact = expect(problem.to(torch.float64))
                ours, peer = solve(problem), exact if dtype == torch.float64 else expect(problem)
                for name in exact.keys() - {"clip_hits"}:
                    theirs = peer[name].to(ours[name].dtype)
                    floor = (8.0 if dtype.itemsize == 2 else 256.0) * torch.finfo(dtype).eps
                    ulps = floor / torch.finfo(ours[name].dtype).eps
                    what = f"{cell} {dtype} {tuple(shape)} {options} {name}"
                    assert_within_ratio(ours[name], theirs, exact[name], k=2.0, ulps=ulps, what=what)
                    count += 1
    return count


if __name__ == "__main__":
    sys.stdout.write(f"{main()} comparisons\n")
