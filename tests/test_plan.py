"""plan(): which CUDA path a layer takes and how it is cut, for devices nobody has here. No GPU is needed or used."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import pytest
import torch

from seqgrad import _ops
from seqgrad._devices import DEVICES, named
from seqgrad._ext import CudaDevice
from seqgrad._plan import CudaPlan, cuda_plan

H100, A100, T4 = named("H100"), named("A100"), named("T4")
MIG = named("H100 1g.10gb")
FAKES = {
    **DEVICES,
    "alone": H100._replace(multiprocessors=1),
    "pair": A100._replace(multiprocessors=2, shared_per_block=49152),
    "shy": H100._replace(cooperative_launch=False),
    "half the registers": H100._replace(registers_per_multiprocessor=32768),
    "giant": H100._replace(multiprocessors=1000, shared_per_block=2**31, shared_per_multiprocessor=2**31),
}
CELLS = tuple(_ops.CELLS)
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
STEPS = (1, 2, 33, 1000, 2**40)
SAMPLES = (0, 1, 2, 3, 8, 16, 17, 64, 131, 132, 133, 512, 4096, 100_000, 2**33, 2**40)
HIDDEN = (1, 2, 3, 31, 32, 33, 64, 100, 130, 225, 256, 319, 512, 768, 1000, 1024, 1333, 2048, 2593, 4096, 2**20, 2**40)
WISHES = ("auto", "block", "grid", "step")
MAX_PAIRS, MAX_THREADS, REGISTERS = 4, 256, 256  # csrc/cuda/layout.h


def ask(cell: str, dtype: torch.dtype, N: int, H: int, *, T: int = 100, **options: Any) -> CudaPlan:
    return cuda_plan(cell, dtype, T=T, N=N, H=H, **{"backward": False, "device": H100, **options})


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def layout_bytes(cell: str, dtype: torch.dtype, H: int, backward: bool, p: CudaPlan) -> int:
    """The arrays of a resident block, counted anew from their description in csrc/cuda/layout.h."""
    half, G = dtype.itemsize == 2, _ops.CELLS[cell].gates
    K, C = (G * H, p.units) if backward else (H, G * p.units)
    step = 16 if half else 4
    K, C = up(K, step), up(C, step)
    chunk = min(p.k_chunk, K)
    operand_row, weights = (chunk + 8, C * (K + 8)) if half else (up(chunk, 32) + 4, K * C)
    rows = up(p.rows, p.row_tile)
    lanes = up(p.units, 32) if p.units >= 32 else 2 ** math.ceil(math.log2(p.units))
    biases = 0 if backward else (G + (cell == "gru")) * p.units
    sums = 4 * p.rows * max(1, lanes // 32) if backward else 0
    arrays = (weights * dtype.itemsize, rows * operand_row * dtype.itemsize, p.k_parts * rows * C * 4)
    return sum(up(size, 128) for size in (*arrays, biases * 4, sums * 8))


def check_resident(p: CudaPlan, device: CudaDevice, cell: str, dtype: torch.dtype, N: int, H: int, back: bool) -> None:
    """What every plan of a resident path must hold, or its kernel would fail, hang or leave something out."""
    lanes = up(p.units, 32) if p.units >= 32 else 2 ** math.ceil(math.log2(p.units))
    assert p.lanes == lanes
    assert p.shared_bytes == p.layout_bytes == layout_bytes(cell, dtype, H, back, p)
    assert 0 < p.shared_bytes <= device.shared_per_block
    assert p.threads % 32 == 0 and 32 <= p.threads <= MAX_THREADS
    assert p.threads * REGISTERS <= device.registers_per_multiprocessor
    assert p.rows * lanes <= MAX_PAIRS * p.threads, "each thread carries at most four pairs"
    assert p.rows >= 1 and p.groups == -(-N // p.rows), "every sample in a group, no group empty"
    assert p.units >= 1 and p.slices == -(-H // p.units), "every unit in a slice, no slice empty"
    assert p.row_tile in ((4, 16) if dtype == torch.float32 else (16,))
    depth = up((_ops.CELLS[cell].gates if back else 1) * H, 4 if dtype == torch.float32 else 16)
    assert 1 <= p.k_parts <= max(1, depth // (4 if dtype == torch.float32 else 16))
    assert p.k_chunk == depth or (p.path == "grid" and p.k_chunk % 64 == 0 and 64 <= p.k_chunk < depth)
    if p.path == "block":
        assert p.slices == 1 and p.units == H and p.groups < 2**31
        assert p.barriers == p.workspace_bytes == 0
        return
    assert p.slices >= 2 and device.cooperative_launch
    assert p.slices * p.groups <= device.multiprocessors, "all blocks resident at once, or a barrier never ends"


def sample(count: int) -> list[tuple[Any, ...]]:
    draw = random.Random(20)
    axes = (CELLS, DTYPES, SAMPLES, HIDDEN, STEPS, tuple(FAKES), (False, True), (False, True), WISHES)
    return [tuple(draw.choice(axis) for axis in axes) for _ in range(count)]


def test_every_plan_can_run() -> None:
    seen = set()
    for cell, dtype, N, H, T, name, backward, clip, wish in sample(12_000):
        device = FAKES[name]
        p = ask(cell, dtype, N, H, T=T, backward=backward, device=device, clip_norm=clip, wish=wish)
        seen.add((p.path, wish))
        what = f"{cell} {dtype} N={N} H={H} T={T} {name} backward={backward} clip={clip} wish={wish}: {p}"
        assert p.reason and re.fullmatch(r"[\w\s.,:;()/+-]+", p.reason), what
        assert all(value >= 0 for value in (*p.estimate, p.workspace_bytes, p.barriers, p.shared_bytes)), what
        if p.path == "step":
            assert (p.slices, p.groups, p.shared_bytes, p.workspace_bytes, p.barriers) == (1, 1, 0, 0, 0), what
            continue
        try:
            check_resident(p, device, cell, dtype, N, H, backward)
        except AssertionError as error:
            raise AssertionError(what) from error
        if p.path == "grid":
            assert p.barriers == (T * (2 if clip else 1) if backward else T - 1), what
            segments = max(1, p.lanes // 32)
            norms = 2 * p.groups * p.slices * 4 * p.rows * segments * 8 if backward else 0
            assert p.workspace_bytes == 128 * p.groups + norms, what
    assert seen >= {(path, "auto") for path in ("block", "grid", "step")} | {(w, w) for w in WISHES if w != "auto"}


def test_the_same_question_has_the_same_answer() -> None:
    for cell, dtype, N, H, T, name, backward, clip, wish in sample(300):
        options = {"T": T, "backward": backward, "device": FAKES[name], "clip_norm": clip, "wish": wish}
        assert ask(cell, dtype, N, H, **options) == ask(cell, dtype, N, H, **options)


# Hidden sizes up to which one block holds W_hh and its operand for a single sample, forward.
BLOCK_CEILINGS = [
    ("rnn_tanh", torch.float32, H100, 225), ("gru", torch.float32, H100, 130), ("lstm", torch.float32, H100, 112),
    ("rnn_tanh", torch.float32, A100, 185), ("gru", torch.float32, A100, 107), ("lstm", torch.float32, A100, 92),
    ("rnn_tanh", torch.float16, H100, 304), ("gru", torch.float16, H100, 160), ("lstm", torch.float16, H100, 144),
    ("rnn_tanh", torch.bfloat16, A100, 256), ("gru", torch.bfloat16, A100, 144), ("lstm", torch.bfloat16, A100, 112),
]  # fmt: skip


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize(("cell", "dtype", "device", "ceiling"), BLOCK_CEILINGS)
def test_one_block_holds_what_its_shared_memory_allows(
    cell: str, dtype: torch.dtype, device: CudaDevice, ceiling: int, backward: bool
) -> None:
    options = {"device": device, "backward": backward, "wish": "block"}
    assert ask(cell, dtype, 1, ceiling, **options).path == "block"
    beyond = ask(cell, dtype, 1, ceiling + 33, **options)
    assert beyond.path != "block"
    assert re.match(r"block was asked for, but one block would need \d+\.\d KiB of shared memory", beyond.reason)


@pytest.mark.parametrize(("cell", "H"), [("rnn_tanh", 2560), ("gru", 1408), ("lstm", 1280)])
def test_the_grid_holds_far_more_than_one_block(cell: str, H: int) -> None:
    assert ask(cell, torch.float32, 4, H, wish="grid").path == "grid"
    beyond = ask(cell, torch.float32, 4, 2 * H, wish="grid")
    assert beyond.path == "step"
    assert "grid was asked for, but even cut over 132 multiprocessors a block would need" in beyond.reason


def test_small_layers_take_the_block_path_on_every_device() -> None:
    for name, device in DEVICES.items():
        for cell in CELLS:
            for backward in (False, True):
                p = ask(cell, torch.float32, 8, 32, device=device, backward=backward)
                assert p.path == "block", f"{cell} on {name}: {p.reason}"


def test_samples_spread_over_the_multiprocessors() -> None:
    assert ask("rnn_tanh", torch.float32, 132, 64, wish="block").groups == 132
    p = ask("rnn_tanh", torch.float32, 264, 64, wish="block")
    assert (p.rows, p.groups) == (2, 132)
    p = ask("rnn_tanh", torch.float32, 200, 64, device=MIG, wish="block")
    assert (p.rows, p.groups) == (13, 16)
    crowd = ask("rnn_tanh", torch.float32, 1_000_000, 64, device=MIG, wish="block")
    assert crowd.rows == 16, "256 threads carry 4 pairs each: 16 samples of 64 units"
    assert crowd.groups == 62_500, "more groups than multiprocessors wait their turn"


def test_a_large_batch_leaves_the_grid_to_the_library() -> None:
    p = ask("lstm", torch.float16, 4096, 1024)
    assert p.path == "step"
    assert (
        "the states of 4096 samples and 1024 units are more than the registers of 132 multiprocessors hold" in p.reason
    )


def test_one_step_of_a_large_layer_is_not_worth_a_cooperative_launch() -> None:
    assert ask("lstm", torch.float16, 16, 768, T=1).path == "step"
    assert ask("lstm", torch.float16, 16, 768, T=1000).path == "grid"


REFUSED = [
    ({"dtype": torch.float64}, "float64 has no resident kernels"),
    ({"P": 16}, "a projected state (proj_size 16) has no resident kernels"),
    ({"dtype": torch.bfloat16, "device": T4},
     "bfloat16 on tensor cores needs compute capability 8.0, the device has 7.5"),
    ({"dtype": torch.float16, "device": T4._replace(major=6, minor=1)},
     "float16 on tensor cores needs compute capability 7.0, the device has 6.1"),
    ({"N": 0}, "there is nothing to do"),
    ({"T": 0}, "there is nothing to do"),
    ({"H": 0, "P": 0}, "there is nothing to do"),
    ({"device": H100._replace(multiprocessors=0)}, "the device offers no room for a block"),
    ({"device": H100._replace(registers_per_multiprocessor=0)}, "the device offers no room for a block"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "why"), REFUSED, ids=[why[:30] for _, why in REFUSED])
@pytest.mark.parametrize("wish", WISHES)
def test_what_no_resident_kernel_can_do_takes_the_step_path(wrong: dict[str, Any], why: str, wish: str) -> None:
    given = {"dtype": torch.float32, "N": 4, "H": 32, **wrong}
    p = ask("lstm", given.pop("dtype"), given.pop("N"), given.pop("H"), wish=wish, **given)
    assert p.path == "step"
    asked = f"{wish} was asked for, but " if wish in ("block", "grid") else ""
    assert p.reason.startswith(f"{asked}{why}: a product and a pointwise kernel per step")


def test_float16_runs_resident_before_bfloat16_does() -> None:
    assert ask("gru", torch.float16, 8, 32, device=T4).path == "block"
    assert ask("gru", torch.bfloat16, 8, 32, device=A100).path == "block"


GRIDLESS = [
    ({"device": H100._replace(cooperative_launch=False)}, 64, "the device cannot launch cooperatively"),
    ({"device": H100._replace(multiprocessors=1)}, 64, "the device has a single multiprocessor"),
    ({}, 1, "a single unit cannot be cut into slices"),
]


@pytest.mark.parametrize(("options", "H", "why"), GRIDLESS, ids=[why for *_, why in GRIDLESS])
def test_a_wish_for_a_grid_that_cannot_be_falls_back_and_says_why(options: dict[str, Any], H: int, why: str) -> None:
    p = ask("rnn_relu", torch.float32, 4, H, wish="grid", **options)
    assert p.path == "block"
    assert p.reason.startswith(f"grid was asked for, but {why}; W_hh stays in the shared memory of")


@pytest.mark.parametrize("wish", ["block", "grid", "step"])
def test_a_wish_that_fits_is_granted_even_where_it_is_slower(wish: str) -> None:
    for backward in (False, True):
        p = ask("gru", torch.float32, 5, 33, wish=wish, backward=backward)
        assert p.path == wish
        assert "was asked for" not in p.reason


def test_the_reason_names_what_the_others_would_take() -> None:
    p = ask("lstm", torch.float16, 16, 768, T=1000)
    number = r"[\d.]+"
    assert re.fullmatch(
        rf"W_hh stays in the shared memory of {p.slices * p.groups} blocks, {p.units} units each "
        rf"\({number} KiB of 227\.0 KiB\), about {number} us a step and {number} us once by estimate; "
        rf"block: one block would need {number} KiB of shared memory and has 227\.0 KiB; step: {number} us a step",
        p.reason,
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"wish": "fast"}, "SEQGRAD_CUDA_PATH must be auto, block, grid or step, got 'fast'"),
    ({"wish": ""}, "SEQGRAD_CUDA_PATH must be auto, block, grid or step, got ''"),
    ({"T": -1}, "a plan needs sizes T, N, H, P from 0 to 2^40, got -1, 4, 32, 32"),
    ({"N": 2**41}, "a plan needs sizes T, N, H, P from 0 to 2^40, got 100, 2199023255552, 32, 32"),
    ({"cell": "grru"}, f"cell must be one of {', '.join(CELLS)}, got 'grru'"),
    ({"dtype": torch.int8}, "dtype must be float32, float64, bfloat16 or float16, got 'int8'"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_a_question_that_makes_no_sense_is_refused(wrong: dict[str, Any], message: str) -> None:
    given = {"cell": "gru", "dtype": torch.float32, "N": 4, "H": 32, **wrong}
    with pytest.raises(ValueError, match="^" + re.escape("seqgrad: " + message) + "$"):
        ask(given.pop("cell"), given.pop("dtype"), given.pop("N"), given.pop("H"), **given)


@pytest.mark.parametrize(
    ("sizes", "limits", "message"),
    [
        ([1, 2, 3], list(H100), "sizes must be T, N, H, P, got 3 numbers"),
        ([1, 2, 3, 3], [9, 0], "limits must be the 8 fields of CudaDevice, got 2 numbers"),
    ],
)
def test_the_raw_op_counts_its_numbers(sizes: list[int], limits: list[int], message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape("seqgrad: " + message) + "$"):
        torch.ops.seqgrad.cuda_plan("gru", "float32", sizes, False, False, [int(fact) for fact in limits], "auto")


def test_estimates_grow_with_the_work() -> None:
    for wish, backward in ((w, b) for w in ("block", "grid", "step") for b in (False, True)):
        options = {"wish": wish, "backward": backward}
        small, large = (ask("gru", torch.float32, N, 96, **options) for N in (8, 4096 if wish != "grid" else 1024))
        assert small.path == large.path == wish
        assert large.estimate.step_us > small.estimate.step_us
        assert large.estimate.flops == small.estimate.flops * (4096 if wish != "grid" else 1024) / 8


def test_flops_are_those_of_the_product() -> None:
    assert ask("lstm", torch.float32, 3, 40).estimate.flops == 2 * 4 * 40 * 40 * 3
    assert ask("lstm", torch.float32, 3, 40, P=10).estimate.flops == 2 * 4 * 40 * 10 * 3


def test_a_slice_of_a_device_is_slower_than_the_device() -> None:
    whole = ask("lstm", torch.float16, 64, 512, T=1000)
    part = ask("lstm", torch.float16, 64, 512, T=1000, device=MIG)
    assert part.estimate.step_us > whole.estimate.step_us
