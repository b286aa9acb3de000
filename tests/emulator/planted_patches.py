"""Bugs that are no missing barrier, as small patches to the kernels: each must apply, and be caught."""

from __future__ import annotations

from typing import NamedTuple

ALL_MODES = ("schedules", "thread", "address")


class Patch(NamedTuple):
    """Replace ``old``, which occurs once in ``file`` of csrc/cuda, by ``new``."""

    what: str
    file: str
    old: str
    new: str
    modes: tuple[str, ...] = ALL_MODES
    resident: str = "resident_f32.cu"  # the storage type in which resident kernels are tried
    patterns: tuple[str, ...] = ()  # problems; none: those that reach the file


PATCHES = (
    Patch(
        "forward: the state is stored one unit too far",
        "resident_forward.cuh",
        "if (!exchange) operand[pair[e].row() * l.lda + pair[e].unit()] = from_arithmetic<S>(cell.h);",
        "if (!exchange) operand[pair[e].row() * l.lda + pair[e].unit() + 1] = from_arithmetic<S>(cell.h);",
    ),
    Patch(
        "forward: the operand is read from the step at hand, not the one before",
        "resident_forward.cuh",
        "static_cast<const S*>(p.out) + (before * p.N + n) * p.H",
        "static_cast<const S*>(p.out) + (t * p.N + n) * p.H",
    ),
    Patch(
        "backward: partial norms in one round instead of two",
        "resident_backward.cuh",
        "(((k % 2) * p.tiles.groups + place.group)",
        "((0 * k * p.tiles.groups + place.group)",
    ),
    Patch(
        "backward: every slice leaves its partial norms at the first",
        "resident_backward.cuh",
        "if (exchange) __stcg(round(k, place.slice) + at, value);",
        "if (exchange) __stcg(round(k, 0) + at, value);",
    ),
    Patch(
        "backward: lanes without a pair stay away from the sums of their warp",
        "resident_backward.cuh",
        "if (!warp_has(e)) continue;",
        "if (!pair[e].here()) continue;",
    ),
    Patch(
        "backward: shares of a row's sum land one segment too far",
        "resident_backward.cuh",
        "const int at = sum_at(norm, row) + index % l.lanes / 32;",
        "const int at = sum_at(norm, row) + index % l.lanes / 32 + (row + 1 == p.tiles.rows && norm == kHits);",
        patterns=("lstm fp32: clip by value",),
    ),
    Patch(
        "every row of the operand is the first sample's",
        "block.cuh",
        "if (k0 + column < K) copy_async_16(to, row_of(row) + k0 + column);",
        "if (k0 + column < K) copy_async_16(to, row_of(0) + k0 + column);",
    ),
    Patch(
        "the operand is read past the end of a row",
        "block.cuh",
        "k0 + column < K ? load_exchanged(row_of(row) + k0 + column) : from_arithmetic<S>(0.0f);",
        "load_exchanged(row_of(row) + k0 + column);",
    ),
    Patch(
        "zeros are written one element past an array",
        "block.cuh",
        "for (int64_t i = threadIdx.x; i < count; i += blockDim.x) array[i] = T(0.0f);",
        "for (int64_t i = threadIdx.x; i <= count; i += blockDim.x) array[i] = T(0.0f);",
    ),
    Patch(
        "the last slice takes more units than there are",
        "block.cuh",
        "units = int(p.H - u0 < p.tiles.units ? p.H - u0 : p.tiles.units);",
        "units = int(p.tiles.units);",
    ),
    Patch(
        "the barrier between blocks opens one arrival early",
        "block.cuh",
        "target += blocks;",
        "target += target ? blocks : blocks - 1;",
    ),
    Patch(
        "all groups of samples meet at one counter",
        "block.cuh",
        "counter(counters + group * (kCounterBytes / static_cast<int64_t>(sizeof(unsigned))))",
        "counter(counters + group * 0)",
    ),
    Patch(
        "shares of K overwrite each other",
        "product.cuh",
        "float* c = partial + (part * s.rows + row) * s.ldc + column;",
        "float* c = partial + row * s.ldc + column;",
        patterns=("fp16: shares of K",),
        resident="resident_f16.cu",
    ),
    Patch(
        "16 bits: the accumulator is not cleared",
        "product.cuh",
        "else wmma::fill_fragment(sum, 0.0f);",
        "",
        patterns=("gru fp16",),
        resident="resident_f16.cu",
    ),
    Patch(
        "16 bits: a tile is taken with the stride of the other operand",
        "product.cuh",
        "wmma::load_matrix_sync(left, a + k, s.lda);",
        "wmma::load_matrix_sync(left, a + k, s.ldb);",
        patterns=("gru fp16",),
        resident="resident_f16.cu",
    ),
    Patch(
        "step: warps leave their sums in each other's place",
        "step_norms.cuh",
        "if (threadIdx.x % 32 == 0) scratch[i * warps + warp] = values[i];",
        "if (threadIdx.x % 32 == 0) scratch[i * warps] = values[i];",
    ),
    Patch(
        "column sums: the last lane reads past the array",
        "rows.cuh",
        "if (lane < half) sums[threadIdx.x]",
        "if (lane <= half) sums[threadIdx.x]",
    ),
)
