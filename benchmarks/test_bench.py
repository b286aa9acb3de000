"""A few problems for pytest-benchmark, to compare one commit with another on one machine.

python -m pytest benchmarks --benchmark-autosave
python -m pytest benchmarks --benchmark-compare
"""

from __future__ import annotations

import pytest
from _problems import MODES, PEERS, rivals
from _shapes import Shape
from pytest_benchmark.fixture import BenchmarkFixture

SHAPES = (
    Shape(1, 100, 64, 64),
    Shape(32, 100, 64, 64),
    Shape(32, 100, 256, 256),
    Shape(32, 100, 128, 250, ragged=True),
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cell", PEERS)
def test_layer(benchmark: BenchmarkFixture, cell: str, mode: str, shape: Shape) -> None:
    calls = rivals(cell, shape, mode)
    benchmark.group = f"{cell} {mode} {shape}"
    benchmark(calls.get("recording", calls["seqgrad"]))
