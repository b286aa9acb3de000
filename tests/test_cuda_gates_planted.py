"""Planted kernels, really compiled: each breaks one law of the gates, and each gate must see it. No GPU is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cuda_gates import compiling, coresidency, resources, rules, sass
from cuda_gates.compiling import Unit
from cuda_gates.coresidency import Device
from cuda_gates.findings import Finding, Kernel
from cuda_gates.resources import Budget, Resources
from cuda_gates.toolkit import ROOT, Build, Toolkit, ToolkitError, find_toolkit

HEAD = "struct Params { const float* from; float* to; int n; };\n"
CLEAN = (
    HEAD
    + """
__global__ void clean_kernel(Params p) {
  __shared__ float s[32];
  s[threadIdx.x] = p.from[threadIdx.x];
  __syncthreads();
  p.to[threadIdx.x] = s[31 - threadIdx.x];
}
"""
)
# Indexed by a run-time value, an array cannot stay in registers.
LOCAL = (
    HEAD
    + """
__global__ void local_kernel(Params p) {
  float v[64];
  for (int i = 0; i < 64; ++i) v[i] = p.from[i * 33 + threadIdx.x];
  for (int k = 0; k < p.n; ++k) p.to[k] = v[(k * 7) & 63];
}
"""
)
# 96 values are alive at once where 32 registers are allowed.
SPILL = (
    HEAD
    + """
__global__ void __launch_bounds__(1024, 2) spill_kernel(Params p) {
  float v[96];
#pragma unroll
  for (int i = 0; i < 96; ++i) v[i] = p.from[i * 33 + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 96; ++i) p.to[i * 33 + threadIdx.x] = v[i] * v[95 - i];
}
"""
)
# The state that blocks exchange, read through a pointer that promises nobody writes it.
NON_COHERENT = """
struct Gru {};
template <class S, class Cell>
__global__ void resident_forward_kernel(const float* __restrict__ out, float* __restrict__ next) {
  next[threadIdx.x] = out[threadIdx.x] + 1.0f;
}
template __global__ void resident_forward_kernel<float, Gru>(const float*, float*);
"""
WARNING = "__global__ void unused_kernel(float* to) { int unused = 3; to[0] = 1.0f; }\n"
DOUBLE = HEAD + "__global__ void half_hearted_kernel(Params p) { p.to[0] = p.from[0] * 0.1 + p.from[1]; }\n"
ATOMIC = HEAD + "__global__ void summing_kernel(Params p) { atomicAdd(p.to, p.from[threadIdx.x]); }\n"


@pytest.fixture(scope="module")
def toolkit() -> Toolkit:
    try:
        return find_toolkit()
    except ToolkitError as error:
        pytest.skip(f"needs a CUDA compiler: {error}")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


def compiled(toolkit: Toolkit, room: Path, name: str, text: str, *architectures: int) -> list[Unit]:
    """The units of one planted file; made once for all tests of this run."""
    source = room / f"{name}.cu"
    source.write_text(text)
    build = Build(architectures or (80,), ("-O3", "-std=c++20"))
    return compiling.compile_all(toolkit, build, [source], room, room / "cache")


def gates(found: list[Finding]) -> set[str]:
    return {finding.gate for finding in found}


def test_a_clean_kernel_passes_every_gate(toolkit: Toolkit, room: Path) -> None:
    units = compiled(toolkit, room, "clean", CLEAN, 75, 120)
    used, counts = resources.usage(units), sass.count(toolkit, units)
    kernel = Kernel("clean.cu", "clean_kernel")
    assert set(used) == set(counts) == {(kernel, 75), (kernel, 120)}
    assert all(r.registers > 0 and (r.shared, r.barriers, r.stack, r.spills) == (128, 1, 0, 0) for r in used.values())
    assert [*compiling.check(units), *resources.check_memory(used), *sass.check(rules.SASS, counts)] == []
    assert sass.check_same(used, counts) == []
    assert resources.check_budgets(used, resources.most(used), ["clean.cu"]) == []
    assert [sum(n for o, n in c.items() if o.startswith("BAR.SYNC")) for c in counts.values()] == [1, 1]
    assert sass.check(rules.PTX, sass.count_ptx(units)) == []


def test_an_object_comes_from_the_cache_until_its_source_changes(toolkit: Toolkit, room: Path) -> None:
    (first,) = compiled(toolkit, room, "cached", CLEAN)
    (again,) = compiled(toolkit, room, "cached", CLEAN)
    assert (again.cubin, again.seconds) == (first.cubin, first.seconds)
    (other,) = compiled(toolkit, room, "cached", CLEAN.replace("31 -", "30 -"))
    assert other.cubin != first.cubin


@pytest.mark.parametrize(("name", "text", "gate"), [("local", LOCAL, "local memory"), ("spill", SPILL, "spill")])
def test_memory_that_nobody_planned_stops_the_compiler_and_is_measured(
    toolkit: Toolkit, room: Path, name: str, text: str, gate: str
) -> None:
    units = compiled(toolkit, room, name, text)
    assert units[0].cubin is None
    assert "compile" in gates(compiling.check(units))
    assert gate in gates(resources.check_memory(resources.usage(units)))


def test_local_memory_shows_in_the_machine_code_too(
    toolkit: Toolkit, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "STRICT", ("-Xptxas", "-v"))
    units = compiled(toolkit, room, "lenient", LOCAL, 75, 120)
    assert {f.architecture for f in sass.check(rules.SASS, sass.count(toolkit, units))} == {75, 120}


def test_a_warning_stops_the_compiler(toolkit: Toolkit, room: Path) -> None:
    units = compiled(toolkit, room, "warning", WARNING)
    assert units[0].cubin is None
    assert any("unused" in finding.message for finding in compiling.check(units))


def test_exchanged_state_through_the_non_coherent_cache_is_seen(toolkit: Toolkit, room: Path) -> None:
    units = compiled(toolkit, room, "exchange", NON_COHERENT, 75, 90, 120)
    found = sass.check(rules.SASS, sass.count(toolkit, units))
    assert {f.architecture for f in found if f.gate == "non-coherent load"} == {75, 90, 120}
    assert "non-coherent load" in gates(sass.check(rules.PTX, sass.count_ptx(units)))


@pytest.mark.parametrize(("text", "gate"), [(DOUBLE, "double"), (ATOMIC, "float atomics")])
def test_instructions_that_nobody_means_are_seen(toolkit: Toolkit, room: Path, text: str, gate: str) -> None:
    units = compiled(toolkit, room, gate.replace(" ", "_"), text, 75, 100)
    found = sass.check(rules.SASS, sass.count(toolkit, units))
    assert {f.architecture for f in found if f.gate == gate} == {75, 100}


def test_a_compiled_kernel_over_its_budget_is_seen(toolkit: Toolkit, room: Path) -> None:
    used = resources.usage(compiled(toolkit, room, "clean", CLEAN))
    ((kernel, registers),) = [(k, r.registers) for (k, _), r in used.items()]
    assert resources.check_budgets(used, {kernel: Budget(registers, 128, 1)}, ["clean.cu"]) == []
    (found,) = resources.check_budgets(used, {kernel: Budget(registers - 1, 128, 1)}, ["clean.cu"])
    assert f"registers {registers}, budget {registers - 1}" in found.message


# A device of two multiprocessors and a plan that always says the same: what of it does not fit must be seen.
SMALL = Device("small", 8, 0, 2, 163 * 1024, 164 * 1024, 65536, 1 << 20, True)
PLAN = """
#include <cstdio>
#include <cstdlib>
#include "cuda/plan.h"
namespace seqgrad::cuda {
Plan plan(const Question&, const DeviceLimits&, const std::string& wish) {
  long slices, shared;
  Plan p;
  if (std::sscanf(std::getenv("PLANTED"), "%ld %d %ld", &slices, &p.tiles.threads, &shared) != 3) std::abort();
  p.path = wish == "grid" ? Path::grid : Path::block;
  p.tiles.slices = wish == "grid" ? slices : 1;
  p.tiles.groups = 1;
  p.shared_bytes = shared;
  return p;
}
const char* name(Path path) { return path == Path::grid ? "grid" : "block"; }
}  // namespace seqgrad::cuda
"""
FITTING = {"slices": 2, "threads": 256, "shared": 160 * 1024}


def planted_plan(toolkit: Toolkit, room: Path, device: Device = SMALL, registers: int = 128, **shape: int) -> list[str]:
    """What the co-residency gate says where every plan has this shape."""
    source = room / "plan.cpp"
    source.write_text(PLAN)
    program = coresidency.build(toolkit, source, ROOT / "csrc", room / "cache")
    known = coresidency.cells((ROOT / "csrc" / "cells" / "cells.h").read_text())
    used = {
        (Kernel("r.cu", f"resident_{p}_kernel<{t}, {c}>"), 80): Resources(registers, 0, 1, 0, 0)
        for p in ("forward", "backward")
        for t in ("float", "__half", "__nv_bfloat16")
        for c in known
    }
    threads = {(kernel.name, 80): 256 for kernel, _ in used}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(
            "PLANTED", " ".join(str({**FITTING, **shape}[key]) for key in ("slices", "threads", "shared"))
        )
        found, planned = coresidency.survey(program, [device], coresidency.kernel_lines(used, threads, known))
    assert [(p.device, p.architecture, p.step) for p in planned] == [("small", 80, 0)]
    assert planned[0].block == planned[0].grid > 0
    return [finding.message for finding in found]


def test_a_plan_that_fits_passes(toolkit: Toolkit, room: Path) -> None:
    assert planted_plan(toolkit, room) == []


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"slices": 3}, "3 blocks that wait for each other on 2 multiprocessors"),
        ({"shared": 163 * 1024 + 1}, "no multiprocessor has room"),
        ({"registers": 255, "threads": 256}, ""),
        ({"threads": 288}, "the kernel takes at most 256 threads"),
    ],
)
def test_a_plan_that_does_not_fit_is_seen(toolkit: Toolkit, room: Path, shape: dict[str, int], message: str) -> None:
    said = planted_plan(toolkit, room, **shape)
    assert all(message in line for line in said)
    assert bool(said) == bool(message)


def test_registers_that_no_multiprocessor_has_are_seen(toolkit: Toolkit, room: Path) -> None:
    said = planted_plan(toolkit, room, SMALL._replace(registers_per_multiprocessor=32768), 255)
    assert "no multiprocessor has room for a block of 256 threads of 255 registers" in said[0]


def test_a_path_that_was_never_planned_is_a_finding() -> None:
    seen = coresidency.Planned("small", 80, 5, 0, 7)
    (found,) = coresidency.check_planned([seen], [80])
    assert found.message == "no question was ever answered with path grid"


def test_an_architecture_without_a_device_is_a_finding() -> None:
    seen = coresidency.Planned("small", 80, 5, 6, 7)
    assert [f.architecture for f in coresidency.check_planned([seen], [80, 86])] == [86]


def test_a_resident_kernel_of_an_unknown_cell_is_refused() -> None:
    used = {(Kernel("r.cu", "resident_forward_kernel<float, Nobody>"), 80): Resources(1, 0, 0, 0, 0)}
    with pytest.raises(ToolkitError, match=r"cells\.h"):
        coresidency.kernel_lines(used, {}, {"Gru": "gru"})


def test_block_sizes_are_read_from_the_code(toolkit: Toolkit, room: Path) -> None:
    text = CLEAN.replace("void clean", "void __launch_bounds__(96) clean")
    assert coresidency.most_threads(compiled(toolkit, room, "bounded", text)) == {("clean_kernel", 80): 96}
