"""The CUDA engine on the host emulator: right against the reference on every path, and the same bits in any schedule.

What the emulator cannot see (time, weak memory, nvcc's own rounding) is not claimed here.
"""

from __future__ import annotations

from typing import Any

import emulated
import pytest
import torch
from cases import GRID, Shape
from emulated import H100, POLICIES
from oracle import assert_within_ratio
from problem import CELLS, DTYPES, Problem, expect, make
from test_ops import CASES, OPTIONS, check, same_bits, spread
from torch import Tensor

from seqgrad.clip import Norm, Value

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(emulated.missing() is not None, reason=str(emulated.missing())),
]

PATHS = ("block", "grid", "step")
RESIDENT = ("block", "grid")
SMALL = (torch.float32, torch.bfloat16, torch.float16)
# A slice of an H100. Few multiprocessors: several samples per block. Little shared memory too: the operand in chunks.
MIG = {**H100, "multiprocessors": 16}
FEW = {**H100, "major": 8, "multiprocessors": 4, "shared_per_block": 101376, "shared_per_multiprocessor": 102400}
TIGHT = {**FEW, "multiprocessors": 12, "shared_per_block": 20480, "shared_per_multiprocessor": 65536}
DEVICES = {"slice": MIG, "few": FEW, "tight": TIGHT}


def nudged(problem: Problem, seed: int) -> Problem:
    """The same problem with every number that enters it moved by at most one unit in the last place."""
    generator = torch.Generator().manual_seed(seed)

    def moved(t: Tensor) -> Tensor:
        signs = torch.randint(-1, 2, t.shape, generator=generator)
        return (t.double() * (1 + signs * torch.finfo(t.dtype).eps)).to(t.dtype)

    return problem._replace(tensors={k: None if t is None else moved(t) for k, t in problem.tensors.items()})


def peers_of(problem: Problem, exact: dict[str, Tensor]) -> dict[str, Tensor]:
    """torch's own answer in the dtype of the problem.

    Where relu bends, a state that rounds to the other side of zero changes a gradient by a whole term. One peer may
    miss that; of several, which differ by the last bit of their input, the one furthest off is taken.
    """
    if problem.tensors["x"].dtype == torch.float64:
        return exact
    bends = "relu" in problem.cell and problem.tensors["x"].dtype.itemsize == 2
    several = [expect(problem), *(expect(nudged(problem, seed)) for seed in range(6 if bends else 0))]
    return {name: max((p[name] for p in several), key=lambda v: float((v - e).abs().max()) if v.numel() else 0.0)
            for name, e in exact.items()}  # fmt: skip


def compare(problem: Problem, answers: dict[str, dict[str, Tensor]], what: str) -> None:
    """Every answer against the reference in float64, torch's own loss of precision as the measure."""
    dtype = problem.tensors["x"].dtype
    exact = expect(problem.to(torch.float64))
    peer = peers_of(problem, exact)
    for path, ours in answers.items():
        assert ours.keys() == exact.keys()
        for name in exact:
            if name == "clip_hits" and dtype.itemsize == 2:
                continue  # a threshold crossed or not is no rounding error; see test_clip_hits_count_what_grad_h_says
            label = f"{what} {path} {name}"
            check(ours[name], peer[name].to(ours[name].dtype), exact[name], dtype, label, spread(name, exact))


def problems(cell: str, option: str, dtype: torch.dtype) -> list[tuple[str, Problem]]:
    """A part of the grid of shapes, another for each option and dtype, which together cover it."""
    first = (list(OPTIONS).index(option) + 2 * DTYPES.index(dtype)) % 7
    found = []
    for i, shape in list(enumerate(GRID))[first :: 3 if option == "plain" else 7]:
        kwargs = dict(OPTIONS[option])
        if "proj" in kwargs:
            if shape.H == 1:
                continue
            kwargs["proj"] = shape.H // 2
        found.append((f"{cell} {option} {tuple(shape)}", make(cell, shape, seed=i, **kwargs).to(dtype)))
    return found


def went_where_it_was_sent(path: str, plans: list[dict[str, Any]]) -> bool:
    """Whether both passes took the path; if not, the plan must say why it could not."""
    for plan in plans:
        why_not = plan["reason"].startswith(f"{path} was asked for, but") or "has no resident kernels" in plan["reason"]
        assert plan["path"] == path or why_not, plan
        assert plan["cooperative"] == (plan["path"] == "grid"), plan
    return all(plan["path"] == path for plan in plans)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("cell", "option"), CASES)
def test_every_path_matches_the_reference(cell: str, option: str, dtype: torch.dtype) -> None:
    for i, (what, problem) in enumerate(problems(cell, option, dtype)):
        answers = {}
        for k, path in enumerate(PATHS):
            plans: list[dict[str, Any]] = []
            device = list(DEVICES)[(i + k) % len(DEVICES)]
            policy = POLICIES[(i + 2 * k) % len(POLICIES)]
            ours = emulated.solve(problem, path, device=DEVICES[device], policy=policy, seed=i, plans=plans)
            if went_where_it_was_sent(path, plans) or path == "grid":
                answers[f"{path} on {device}, {policy},"] = ours
        compare(problem, answers, what)


TILES = [
    {"rows": 1, "units": 1, "threads": 32, "row_tile": 4},
    {"rows": 5, "units": 4, "threads": 64, "row_tile": 4, "k_parts": 2},
    {"rows": 3, "units": 6, "threads": 96, "k_chunk": 16},
    {"rows": 2, "units": 33, "threads": 128, "k_chunk": 32, "k_parts": 2},
    {"rows": 17, "units": 8, "threads": 128, "k_chunk": 16, "k_parts": 1},
    {"rows": 2, "units": 40, "threads": 64, "row_tile": 4, "k_parts": 4},  # alone
]


@pytest.mark.parametrize("dtype", SMALL, ids=str)
@pytest.mark.parametrize("tiles", TILES, ids=lambda t: f"{t['rows']}x{t['units']}")
@pytest.mark.parametrize("cell", ["rnn_tanh", "residual_relu", "gru", "lstm"])
def test_every_edge_of_a_tile(cell: str, tiles: dict[str, Any], dtype: torch.dtype) -> None:
    H = 37 if tiles["units"] > 1 else 5
    tiles = {"row_tile": 16, "k_parts": 1, "k_chunk": 0, **tiles, "path": "grid" if tiles["units"] < H else "block"}
    if dtype != torch.float32:
        tiles["row_tile"] = 16
    if tiles["path"] == "block":
        tiles["units"] = H
    for seed, clip in enumerate((None, Norm(1.0), Value(0.4))):
        problem = make(cell, Shape(3, 19, 2, H), seed=seed, ragged=True, state_clip=clip, reverse=seed == 1).to(dtype)
        ours = emulated.solve(problem, tiles=tiles, policy=POLICIES[seed + 2], seed=seed)
        compare(problem, {tiles["path"]: ours}, f"{cell} {tiles}")


@pytest.mark.parametrize("dtype", SMALL, ids=str)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_no_schedule_changes_a_bit(cell: str, path: str, dtype: torch.dtype) -> None:
    for shape, clip in ((Shape(4, 5, 3, 33), Norm(1.0)), (Shape(3, 3, 2, 7), Value(0.4))):
        problem = make(cell, shape, ragged=True, state_clip=clip).to(dtype)
        first = emulated.solve(problem, path, device=FEW)
        for policy in POLICIES[1:]:
            for seed in range(1 if policy == "reverse" else 3):
                same_bits(first, emulated.solve(problem, path, device=FEW, policy=policy, seed=seed))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("clip", [None, Norm(1.0), Value(0.3)], ids=["unclipped", "norm", "value"])
@pytest.mark.parametrize("cell", CELLS)
def test_recording_changes_no_gradient(cell: str, clip: Norm | Value | None, path: str) -> None:
    for dtype in SMALL[:2]:
        problem = make(cell, Shape(5, 4, 3, 33), ragged=True, state_clip=clip).to(dtype)
        off = emulated.solve(problem, path, device=FEW, record=False)
        assert "grad_h" not in off
        same_bits(off, emulated.solve(problem, path, device=FEW))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_clip_hits_count_what_grad_h_says(cell: str, path: str) -> None:
    for dtype in SMALL:
        for seed, limit in enumerate((0.7, 3.0)):
            problem = make(cell, Shape(7, 8, 5, 31), seed=seed, ragged=True, state_clip=Norm(limit)).to(dtype)
            r = emulated.solve(problem, path, device=FEW)
            assert torch.equal(r["clip_hits"], (r["grad_h"] > limit).to(r["clip_hits"].dtype))
            assert 0 < r["clip_hits"].sum() < 7 * 8


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_nan_and_infinity_stay_in_their_sample(cell: str, path: str, poison: float) -> None:
    for dtype in SMALL[:2]:
        clean = make(cell, Shape(6, 5, 4, 9)).to(dtype)
        base = emulated.solve(clean, path, device=FEW)
        others = torch.tensor([0, 1, 2, 4])
        x, grad, h0 = clean.tensors["x"].clone(), clean.grads[0].clone(), clean.tensors["h0"].clone()
        x[2, 3, 1] = grad[4, 3, 0] = h0[3, 2] = poison
        for tensors, grads in (
            ({**clean.tensors, "x": x}, clean.grads),
            ({**clean.tensors, "h0": h0}, clean.grads),
            (clean.tensors, (grad, *clean.grads[1:])),
        ):
            got = emulated.solve(clean._replace(tensors=tensors, grads=grads), path, device=FEW)
            for name in ("out", "dx", "grad_h", "grad_carry"):
                assert torch.equal(got[name][:, others], base[name][:, others]), name
            for name in ("hn", "dh0"):
                assert torch.equal(got[name][others], base[name][others]), name
        assert not got["grad_h"][:5, 3].isfinite().all()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_invisible(cell: str, path: str) -> None:
    """NaN beyond a sample's length changes no bit, and what comes out there is zero."""
    for reverse, dtype in ((False, torch.float32), (True, torch.float16)):
        clean = make(cell, Shape(7, 5, 4, 9), ragged=True, reverse=reverse).to(dtype)
        beyond = torch.arange(7).unsqueeze(1) >= clean.lengths
        base = emulated.solve(clean, path, device=FEW)
        x, grad = clean.tensors["x"].clone(), clean.grads[0].clone()
        x[beyond], grad[beyond] = float("nan"), float("nan")
        dirty = clean._replace(tensors={**clean.tensors, "x": x}, grads=(grad, *clean.grads[1:]))
        same_bits(base, emulated.solve(dirty, path, device=FEW))
        for name in ("out", "dx", "grad_h", "grad_carry", *(["grad_c"] if cell == "lstm" else [])):
            assert not base[name][beyond].any(), name
        empty = clean.lengths == 0
        assert torch.equal(base["hn"][empty], clean.tensors["h0"][empty])
        assert torch.equal(base["dh0"][empty], clean.grads[1][empty])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_neighbours_in_a_block_change_no_bit(cell: str, path: str) -> None:
    for dtype in SMALL[:2]:
        problem = make(cell, Shape(5, 7, 3, 9)).to(dtype)
        base = emulated.solve(problem, path, device=FEW)
        for n in (0, 3, 6):
            alone = emulated.solve(problem.sample(n), path, device={**FEW, "multiprocessors": 3})
            for name in ("out", "grad_h", "grad_carry"):
                if path == "step" or dtype == torch.bfloat16:  # a plan of other shares of K sums in another order
                    assert torch.equal(alone[name][:, 0], base[name][:, n]), name
                else:
                    torch.testing.assert_close(alone[name][:, 0], base[name][:, n], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_strides_do_not_change_a_bit(cell: str, path: str) -> None:
    T, N, I = 5, 3, 6  # noqa: E741
    problem = make(cell, Shape(T, N, I, 8), ragged=True).to(torch.float32)
    plain = emulated.solve(problem, path, device=FEW)

    def moved(layout: Any) -> Problem:
        return problem._replace(
            tensors={**problem.tensors, "x": layout(problem.tensors["x"])},
            grads=(layout(problem.grads[0]), *problem.grads[1:]),
        )

    def window(t: Tensor) -> Tensor:
        return torch.nn.functional.pad(t, (2, 3, 1, 1))[..., 1 : N + 1, 2 : 2 + t.shape[-1]]

    same_bits(plain, emulated.solve(moved(lambda t: t.transpose(0, 1).contiguous().transpose(0, 1)), path, device=FEW))
    same_bits(plain, emulated.solve(moved(window), path, device=FEW))


@pytest.mark.parametrize("present", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_an_output_without_gradient_counts_as_zero(cell: str, path: str, present: tuple[int, ...]) -> None:
    problem = make(cell, Shape(4, 3, 5, 9), ragged=True).to(torch.float32)
    some = problem._replace(grads=tuple(g if p else None for g, p in zip(problem.grads, present, strict=True)))
    zeros = tuple(None if g is None else g * p for g, p in zip(problem.grads, present, strict=True))
    same_bits(emulated.solve(some, path, device=FEW), emulated.solve(problem._replace(grads=zeros), path, device=FEW))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cell", CELLS)
def test_nothing_to_do_is_done(cell: str, path: str) -> None:
    for shape in (Shape(0, 3, 4, 5), Shape(4, 0, 3, 5), Shape(3, 2, 0, 5)):
        problem = make(cell, shape).to(torch.float32)
        ours = emulated.solve(problem, path)
        if shape.T == 0:
            assert torch.equal(ours["hn"], problem.tensors["h0"])
            assert torch.equal(ours["dh0"], problem.grads[1])
        for name in ("dw_hh", "db_ih"):
            assert ours[name].any() == (shape.T * shape.N > 0), name
        assert ours["dw_ih"].isfinite().all()
    problem = make(cell, Shape(4, 3, 5, 7)).to(torch.float32)._replace(lengths=torch.zeros(3, dtype=torch.int64))
    ours = emulated.solve(problem, path, device=FEW)
    assert torch.equal(ours["hn"], problem.tensors["h0"])
    assert torch.equal(ours["dh0"], problem.grads[1])
    for name in ours.keys() - {"hn", "cn", "dh0", "dc0"}:
        assert not ours[name].any(), name


@pytest.mark.parametrize("path", RESIDENT)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_norms_survive_vanishing_and_exploding_gradients(path: str, scale: float) -> None:
    """A plain float sum of squares would be 0 or infinite."""
    for H in (9, 70):
        problem = make("residual_relu", Shape(3, 4, 2, H)).to(torch.float32)
        grads = tuple(None if g is None else g * scale for g in problem.grads)
        small = emulated.solve(problem._replace(grads=grads), path, device=FEW)
        exact = expect(problem.to(torch.float64))
        for name in ("grad_h", "grad_carry"):
            expected = (exact[name] * scale).float()
            assert_within_ratio(small[name], expected, expected.double(), k=0.0, ulps=64, what=name)


def test_a_grid_that_the_device_refuses_takes_the_step_path() -> None:
    problem = make("gru", Shape(4, 3, 5, 33), ragged=True).to(torch.float32)
    for device in ({**FEW, "multiprocessors": 1}, {**FEW, "cooperative_launch": False}):
        plans: list[dict[str, Any]] = []
        ours = emulated.solve(problem, "grid", device=device, believed=FEW, plans=plans)
        assert [(p["path"], p["cooperative"]) for p in plans] == [("grid", 0)] * 2
        same_bits(ours, emulated.solve(problem, "step", device=FEW))


def test_a_device_with_less_shared_memory_than_planned_for_says_so() -> None:
    problem = make("gru", Shape(4, 3, 5, 70)).to(torch.float32)
    with pytest.raises(RuntimeError, match=r"resident_forward_kernel could not be launched: invalid argument \(shared"):
        emulated.solve(problem, "block", device={**H100, "shared_per_block": 49152}, believed=H100)
