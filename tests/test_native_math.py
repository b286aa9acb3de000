"""The engine's arithmetic, per instruction set: tanh, sigmoid, 16-bit conversion, norms, and the cells' formulas."""

from __future__ import annotations

import platform
from types import ModuleType
from typing import Any

import native_build
import numpy as np
import pytest
import torch
from problem import CELLS

from seqgrad import _ops, _reference

if not (native_build.ROOT / "csrc").is_dir():
    pytest.skip("the native sources are not beside these tests", allow_module_level=True)
if not native_build.has_python_headers():
    pytest.skip("no Python.h to build the hooks with: install python3-dev", allow_module_level=True)

ISAS = ("baseline", "avx2", "avx512") if platform.machine() in ("x86_64", "AMD64") else ("neon",)
WIDE = np.longdouble  # 64 bits of mantissa on x86, 113 elsewhere: the truth for double
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def hooks() -> ModuleType:
    return native_build.hooks()


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, hooks: ModuleType) -> str:
    if request.param not in hooks.isas():
        pytest.skip(f"no {request.param} here, only {', '.join(hooks.isas())}")
    return request.param


def apply(hooks: ModuleType, name: str, isa: str, values: Array, to: Any = None) -> Array:
    values = np.ascontiguousarray(values)
    result = np.empty(values.shape, to or values.dtype)
    getattr(hooks, name)(isa, values, result)
    return result


def call(hooks: ModuleType, function: str, isa: str, values: Array) -> Array:
    return apply(hooks, f"{function}_{'float' if values.dtype == np.float32 else 'double'}", isa, values)


def truth(function: str, x: Array) -> Array:
    """In a wider type, and without cancellation: tanh x = m / (m + 2) with m = expm1(2x), sigmoid from exp(-|x|)."""
    x = x.astype(WIDE)
    if function == "tanh":
        m = np.expm1(2 * np.abs(np.clip(x, -500, 500)))
        return np.copysign(m / (m + 2), x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def ulps(got: Array, exact: Array) -> Array:
    """Distance in units in the last place of the exact value; a denormal's unit is the smallest number."""
    info = np.finfo(got.dtype)
    _, exponent = np.frexp(np.abs(exact))
    unit = np.ldexp(WIDE(1), np.maximum(exponent - 1, info.minexp) - info.nmant)
    return np.abs(got.astype(WIDE) - exact) / unit


def points(dtype: Any) -> Array:
    """All magnitudes: dense where the functions bend, log-spaced from denormals to the largest number, both signs."""
    generator = np.random.default_rng(0)
    info = np.finfo(dtype)
    smallest, largest = np.log2(np.float64(info.smallest_subnormal)), np.log2(np.float64(info.max))
    logs = np.exp2(generator.uniform(smallest, min(largest, 1023.0), 40_000))
    near = generator.uniform(0, 1.5 * abs(float(np.log(info.tiny))), 40_000)
    dense = generator.uniform(0, 20, 80_000)
    edges = [
        0.0,
        info.smallest_subnormal,
        info.tiny,
        info.max,
        22.0,
        40.0,
        44.0,
        44.1,
        80.0,
        103.9,
        104.1,
        745.1,
        746.1,
    ]
    all_of = np.concatenate([logs, near, dense, np.array(edges, np.float64)]).astype(dtype)
    return np.concatenate([all_of, -all_of])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", ["tanh", "sigmoid"])
def test_functions_are_within_3_ulp_everywhere(hooks: ModuleType, isa: str, function: str, dtype: Any) -> None:
    """Every magnitude from the smallest denormal to the largest number."""
    x = points(dtype)
    got, exact = call(hooks, function, isa, x), truth(function, x)
    wrong = ulps(got, exact)
    worst = int(wrong.argmax())
    assert wrong[worst] <= 3, f"{function}({x[worst]!r}) = {got[worst]!r}, exact {exact[worst]!r}, {wrong[worst]} ulp"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_is_odd_bounded_and_exactly_one_at_saturation(hooks: ModuleType, isa: str, dtype: Any) -> None:
    x = points(dtype)
    got = call(hooks, "tanh", isa, x)
    half = x.size // 2
    assert np.array_equal(got[:half], -got[half:])
    assert (np.abs(got) <= 1).all()
    large = np.abs(x) > (9.1 if dtype == np.float32 else 19.1)
    assert np.array_equal(got[large], np.sign(x[large]))
    assert (np.abs(got[np.abs(x) < 0.5]) < 0.5).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(hooks: ModuleType, isa: str, dtype: Any) -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan], dtype)
    t, s = call(hooks, "tanh", isa, x), call(hooks, "sigmoid", isa, x)
    assert np.array_equal(t[:4], [0, 0, 1, -1])
    assert np.signbit(t[:4]).tolist() == [False, True, False, True]
    assert np.isnan(t[4:]).all()
    assert np.isnan(s[4:]).all()
    assert np.array_equal(s[:4], [0.5, 0.5, 1, 0])
    tiny = np.finfo(dtype).smallest_subnormal * np.array([1, -1, 5, -12345], dtype)
    assert np.array_equal(call(hooks, "tanh", isa, tiny), tiny)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_lane_does_not_depend_on_its_place_or_its_neighbours(hooks: ModuleType, isa: str, dtype: Any) -> None:
    x = np.random.default_rng(1).normal(0, 3, 67).astype(dtype)
    for function in ("tanh", "sigmoid"):
        whole = call(hooks, function, isa, x)
        for start, stop in ((1, 67), (3, 20), (66, 67), (5, 5)):
            assert np.array_equal(call(hooks, function, isa, x[start:stop]), whole[start:stop])
        poisoned = np.where(np.arange(67) % 3 == 0, np.nan, x).astype(dtype)
        kept = np.arange(67) % 3 != 0
        assert np.array_equal(call(hooks, function, isa, poisoned)[kept], whole[kept])


TYPES = [("bfloat16", torch.bfloat16), ("half", torch.float16)]


@pytest.mark.parametrize(("name", "dtype"), TYPES)
def test_all_65536_16_bit_values_load_as_in_torch(hooks: ModuleType, isa: str, name: str, dtype: torch.dtype) -> None:
    bits = np.arange(65536, dtype=np.uint16)
    got = torch.from_numpy(apply(hooks, f"load_{name}", isa, bits, np.float32))
    theirs = torch.from_numpy(bits.view(np.int16)).view(dtype).float()
    assert torch.equal(got.isnan(), theirs.isnan())
    assert torch.equal(got.nan_to_num(7.0).view(torch.int32), theirs.nan_to_num(7.0).view(torch.int32))


@pytest.mark.parametrize(("name", "dtype"), TYPES)
def test_storing_rounds_as_torch_does(hooks: ModuleType, isa: str, name: str, dtype: torch.dtype) -> None:
    """Every 16-bit value, its ties with both neighbours, a bit to either side of them, and random floats."""
    every = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16).view(dtype).float()
    every = every[every.isfinite()]
    gap = (torch.nextafter(every.to(dtype), torch.tensor(float("inf"), dtype=dtype)).float() - every) / 2
    ties = (every + gap)[gap.isfinite()]
    up, down = (torch.nextafter(ties, torch.tensor(s * float("inf"))) for s in (1, -1))
    bits = torch.randint(-(2**31), 2**31 - 1, (100_000,), generator=torch.Generator().manual_seed(0))
    random = bits.to(torch.int32).view(torch.float32)
    edges = torch.tensor(
        [0.0, -0.0, 65504.0, 65519.99, 65520.0, 65536.0, 5.9e-8, 2.98e-8, 2.99e-8, 3.4e38, float("inf")]
    )
    values = torch.cat([every, ties, up, down, random, edges, -edges])
    values = values[~values.isnan()]
    got = apply(hooks, f"store_{name}", isa, values.numpy(), np.uint16).view(np.int16)
    theirs = values.to(dtype).view(torch.int16)
    assert values.numel() > 300_000
    wrong = torch.from_numpy(got) != theirs
    assert not wrong.any(), f"{values[wrong][0].item()!r} stored as {got[wrong.numpy()][0]:#06x}"


@pytest.mark.parametrize(("name", "dtype"), TYPES)
def test_nan_is_stored_as_nan(hooks: ModuleType, isa: str, name: str, dtype: torch.dtype) -> None:
    payloads = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0x7F80FFFF], np.uint32)
    got = apply(hooks, f"store_{name}", isa, payloads.view(np.float32), np.uint16)
    assert torch.from_numpy(got.view(np.int16)).view(dtype).isnan().all()


def test_norms_over_the_whole_range(hooks: ModuleType, isa: str) -> None:
    """Vectors of every length around the vector width; scales whose squares leave the range of double as well."""
    generator = np.random.default_rng(2)
    for count in (1, 2, 3, 7, 8, 9, 16, 17, 33, 1000):
        base = generator.normal(size=count)
        for scale in (1.0, 1e-30, 1e-37, 1e30, 1e37):
            values = (base * scale).astype(np.float32)
            exact = np.sqrt((values.astype(WIDE) ** 2).sum())
            assert abs(hooks.norm_float(isa, values) - exact) <= 1e-14 * exact
        for scale in (1.0, 1e-150, 1e-200, 1e-300, 1e150, 1e200, 1e300):
            values = base * scale
            largest = np.abs(values).max()
            exact = largest * np.sqrt(((values.astype(WIDE) / largest) ** 2).sum())
            assert abs(hooks.norm_double(isa, values) - exact) <= 1e-13 * exact


def test_norms_of_special_values(hooks: ModuleType, isa: str) -> None:
    for name, dtype in (("norm_float", np.float32), ("norm_double", np.float64)):
        norm = getattr(hooks, name)
        assert norm(isa, np.zeros(0, dtype)) == 0
        assert norm(isa, np.zeros(9, dtype)) == 0
        assert np.isnan(norm(isa, np.array([1, np.nan, 2], dtype)))
        assert np.isnan(norm(isa, np.array([np.inf, np.nan], dtype)))
        assert norm(isa, np.array([1, -np.inf, 2] * 5, dtype)) == np.inf
        smallest = np.finfo(dtype).smallest_subnormal
        assert norm(isa, np.array([3, 4] * 1, dtype) * smallest) == 5 * np.float64(smallest)
        top = np.finfo(dtype).max
        assert norm(isa, np.array([top], dtype)) == top


def cell_inputs(cell: str, generator: np.random.Generator) -> dict[str, Any]:
    gates, states = _ops.CELLS[cell].gates, _ops.CELLS[cell].states
    values = generator.normal(size=2 * gates + 4)
    return {
        "in_": values[:gates], "rec": values[gates : 2 * gates], "h_prev": values[-4], "scale": 0.6, "dh": values[-2],
        "c_prev": values[-3] if states == 2 else 0.0, "dc": values[-1] if states == 2 else 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_the_formulas_of_one_unit_are_torchs(hooks: ModuleType, cell: str) -> None:
    """Forward against the reference's step, backward against autograd through it."""
    generator, two = np.random.default_rng(3), _ops.CELLS[cell].states == 2
    for _ in range(100):
        given = cell_inputs(cell, generator)
        ours = hooks.cell_step(cell, **given)
        wx, wh = (torch.tensor(given[k]).unsqueeze(0).requires_grad_() for k in ("in_", "rec"))
        h, c = (torch.tensor([[given[k]]], dtype=torch.float64, requires_grad=True) for k in ("h_prev", "c_prev"))
        new_h, new_c = _reference.STEPS[cell](wx, wh, h, c, given["scale"])
        loss = given["dh"] * new_h + (given["dc"] * new_c if two else 0)
        found = torch.autograd.grad(loss.sum(), [wx, wh, h, c, *([new_c] if two else [])], allow_unused=True)
        d_in, d_rec, dh, dc = (np.zeros(1) if g is None else g.detach().numpy().ravel() for g in found[:4])
        np.testing.assert_allclose(ours["h"], new_h.item(), rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(ours["d_in"], d_in, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(ours["d_rec"], d_rec, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(ours["dh_prev"], dh.item(), rtol=1e-12, atol=1e-15)
        if two:
            np.testing.assert_allclose(ours["c"], new_c.item(), rtol=1e-14, atol=1e-15)
            np.testing.assert_allclose(ours["dc_prev"], dc.item(), rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(ours["dc_total"], found[4].item(), rtol=1e-12, atol=1e-15)
