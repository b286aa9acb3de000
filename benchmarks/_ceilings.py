"""The two ceilings of a recurrent layer on the CPU: multiply-adds from registers, and reading the weights again.

With many samples a step is a product of matrices, and the processor's multiply-adds are the limit; with one sample it
reads all recurrent weights for a single multiply-add each, and the cache that holds them is.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from _shapes import GATES, Shape

_SOURCE = Path(__file__).with_name("_ceilings.cpp")


@functools.cache
def _library() -> ctypes.CDLL:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise SystemExit("the ceilings are measured by a small C++ program, and there is no g++; leave out --ceilings")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "ceilings.so"
        flags = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler, *flags, str(_SOURCE), "-o", str(target)], check=True)
        library = ctypes.CDLL(str(target))
    library.seqgrad_fma_rate.argtypes = [ctypes.c_int, ctypes.c_double]
    library.seqgrad_fma_rate.restype = ctypes.c_double
    library.seqgrad_read_rate.argtypes = [ctypes.c_int64, ctypes.c_int, ctypes.c_double]
    library.seqgrad_read_rate.restype = ctypes.c_double
    return library


def fma_rate(threads: int, seconds: float = 0.2) -> float:
    """Floating-point operations per second in float32, a multiply-add counting as two."""
    return float(_library().seqgrad_fma_rate(threads, seconds))


def read_rate(size: int, threads: int, seconds: float = 0.1) -> float:
    """Bytes per second that the threads read together, each its share of ``size`` bytes over and over."""
    return float(_library().seqgrad_read_rate(size, threads, seconds))


def operations(cell: str, shape: Shape, mode: str) -> int:
    """Floating-point operations of the products: forward; in training also those for the input and for the weights."""
    forward = 2 * shape.real_steps * GATES[cell] * shape.H * (shape.I + shape.H)
    return forward * (3 if mode == "train" else 1)


def weight_bytes(cell: str, shape: Shape) -> int:
    """Bytes of the recurrent weights, float32."""
    return 4 * GATES[cell] * shape.H * shape.H


def share(cell: str, shape: Shape, mode: str, seconds: float, threads: int) -> tuple[str, float]:
    """Which ceiling is the limit, ``"fma"`` or ``"read"``, and the share of it that ``seconds`` a call reach.

    For one sample every step reads W_hh once, twice in training, where its backward reads it again; the share of a
    call that spends time elsewhere, such as the products for the input, is below 1 for that.
    """
    if shape.N == 1:
        size = weight_bytes(cell, shape)
        passes = 2 if mode == "train" else 1
        return "read", size * passes * shape.T / seconds / read_rate(size, threads)
    return "fma", operations(cell, shape, mode) / seconds / fma_rate(threads)
