"""What the engines would do with a layer and direction: typed wrappers of the native planning ops."""

from __future__ import annotations

import json
from typing import NamedTuple

import torch

from seqgrad._ext import CudaDevice, extension


class Estimate(NamedTuple):
    """One time step, all samples, by the cost model of csrc/cuda/cost.h: estimates, not measurements."""

    flops: float  # of the recurrent product
    shared_bytes: float  # moved by the busiest multiprocessor
    l2_bytes: float
    memory_bytes: float
    product_us: float
    pointwise_us: float
    exchange_us: float
    barrier_us: float
    memory_us: float  # runs beside the other four
    floor_us: float  # the slowest level alone, without latencies and padding
    step_us: float
    fixed_us: float  # paid once per pass


class CudaPlan(NamedTuple):
    """A plan of csrc/cuda/plan.h, one pass of one layer and direction. 0 where a path has no such thing."""

    path: str  # "block", "grid" or "step"
    rows: int  # samples per block
    units: int  # hidden units per block
    slices: int  # blocks that share a group of samples
    groups: int  # of samples
    threads: int  # per block
    row_tile: int
    k_parts: int
    k_chunk: int
    shared_bytes: int  # per block
    layout_bytes: int  # the same, as the kernels will count it
    lanes: int  # per sample in the pointwise phase
    workspace_bytes: int
    barriers: int  # between blocks, over all steps
    reason: str
    estimate: Estimate


class CpuPlan(NamedTuple):
    """How the CPU engine uses its threads."""

    isa: str  # instruction set: "baseline", "avx2", "avx512", "amx", "neon"
    slices: int  # of the batch
    team: int  # threads that share a slice, splitting its units
    at_once: bool  # instead, the two directions of a layer run at the same time, a thread each


def cuda_plan(
    cell: str,
    dtype: torch.dtype,
    *,
    T: int,
    N: int,
    H: int,
    P: int | None = None,
    backward: bool,
    device: CudaDevice,
    clip_norm: bool = False,
    wish: str = "auto",
) -> CudaPlan:
    """The plan for ``T`` steps of ``N`` samples and ``H`` units (``P``: width of the state, default H) on ``device``.

    ``clip_norm``: with ``state_clip=Norm(...)``. ``wish``: what SEQGRAD_CUDA_PATH may say.

    Raises:
        ValueError: an unknown cell, dtype or wish, or a size that cannot be.

    Example:
        >>> from seqgrad._devices import named
        >>> cuda_plan("gru", torch.float32, T=100, N=32, H=64, backward=False, device=named("H100")).path
        'block'
    """
    extension()
    sizes = [T, N, H, H if P is None else P]
    text = torch.ops.seqgrad.cuda_plan(
        cell, _name(dtype), sizes, backward, clip_norm, [int(fact) for fact in device], wish
    )
    facts = json.loads(text)
    return CudaPlan(**{**facts, "estimate": Estimate(**facts["estimate"])})


def cpu_plan(
    cell: str,
    dtype: torch.dtype,
    sizes: dict[str, int],
    *,
    P: int | None = None,
    backward: bool,
    clipped: bool = False,
    weight_gradients: bool = True,
    norms: bool = False,
) -> CpuPlan:
    """How the CPU engine would use torch's threads; ``sizes`` has T, N, I and H, ``clipped`` means with state_clip.

    Example:
        >>> cpu_plan("gru", torch.float32, {"T": 5, "N": 1, "I": 2, "H": 3}, backward=False).slices
        1
    """
    extension()
    numbers = [sizes["T"], sizes["N"], sizes["I"], sizes["H"], sizes["H"] if P is None else P]
    options = (backward, clipped, weight_gradients, norms, torch.get_num_threads())
    return CpuPlan(**json.loads(torch.ops.seqgrad.cpu_plan(cell, _name(dtype), numbers, *options)))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
