"""Layers solved by the CUDA engine on the host emulator: the same names as ``problem.solve``, no GPU, no nvcc.

The module is built on first use, again whenever a source has changed; it needs g++, pybind11 and NVIDIA's headers.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import native_build
import pybind11
import toolchain
import torch
from problem import Problem, arithmetic
from toolchain import EMULATOR, ROOT
from torch import Tensor

from seqgrad import _ops

FLAGS = (*toolchain.FLAGS, "-O2", "-g0", "-fPIC", "-fvisibility=hidden")
POLICIES = ("in order", "reverse", "uniform", "thread priorities", "warp priorities")

H100: dict[str, int | bool] = {
    "major": 9, "minor": 0, "multiprocessors": 132, "shared_per_block": 232448, "shared_per_multiprocessor": 233472,
    "registers_per_multiprocessor": 65536, "l2_bytes": 50 << 20, "cooperative_launch": True,
}  # fmt: skip
GUARD = 64  # elements around every output that must stay as they were


def missing() -> str | None:
    """Why the emulator cannot be built here, if so."""
    if (why := toolchain.missing()) is not None:
        return why
    if not native_build.has_python_headers():
        return "the emulator needs Python.h: install python3-dev"
    return None


def sources() -> list[Path]:
    """Kernels, engine and plan, the emulator's runtime, the module; those that take long first."""
    found = [*(ROOT / "csrc" / "cuda").glob("*.cu"), *(ROOT / "csrc" / "cuda").glob("*.cpp"), *EMULATOR.glob("*.cpp")]
    return sorted(
        [*found, EMULATOR / "suite" / "module.cpp"], key=lambda p: -p.stat().st_size - 10**6 * ("res" in p.name)
    )


def fingerprint() -> str:
    """Changes with any source, flag, compiler or Python."""
    total = hashlib.sha256(
        " ".join([str(toolchain.compiler()), *FLAGS, sysconfig.get_config_var("EXT_SUFFIX")]).encode()
    )
    headers = [p for folder in (ROOT / "csrc", EMULATOR) for p in folder.rglob("*") if p.suffix in (".h", ".cuh")]
    for path in sorted([*sources(), *headers]):
        total.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return total.hexdigest()[:12]


@functools.cache
def module() -> ModuleType:
    """The built module ``_emulated``.

    Raises:
        RuntimeError: what :func:`missing` says, or the compiler refuses the sources; the message holds its words.
    """
    if (why := missing()) is not None:
        raise RuntimeError(why)
    folder = ROOT / "build" / "emulated_module" / fingerprint()
    library = folder / f"_emulated{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        build(folder, library)
    spec = importlib.util.spec_from_file_location("_emulated", library)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def build(folder: Path, library: Path) -> None:
    """Objects side by side, then one link; the library appears under its name only when complete."""
    system = [str(f) for f in (toolchain.cuda_headers(), pybind11.get_include(), sysconfig.get_paths()["include"])]
    flags = [*FLAGS, f"-I{EMULATOR}", f"-I{ROOT / 'csrc'}", *(part for f in system for part in ("-isystem", f))]

    def compile_one(source: Path) -> Path:
        target = folder / f"{source.name}.{os.getpid()}.o"
        native_build.run([str(toolchain.compiler()), *flags, "-x", "c++", "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources()))
    unfinished = folder / f"{os.getpid()}.so"
    native_build.run([str(toolchain.compiler()), "-shared", *map(str, objects), "-o", str(unfinished)])
    unfinished.replace(library)


class Outputs:
    """Tensors for the engine to fill: NaN at first, and with a margin that it must not touch."""

    def __init__(self) -> None:
        self.whole: list[Tensor] = []

    def __call__(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """An empty tensor of that shape."""
        count = int(torch.Size(shape).numel())
        self.whole.append(torch.full((count + 2 * GUARD,), float("nan"), dtype=dtype))
        return self.whole[-1][GUARD : GUARD + count].view(shape)

    def check(self) -> None:
        """Fail if something was written outside."""
        for tensor in self.whole:
            assert tensor[:GUARD].isnan().all(), "a write before an output"
            assert tensor[tensor.numel() - GUARD :].isnan().all(), "a write past an output"


def address(t: Tensor | None) -> int:
    """Where a tensor begins; 0 for none."""
    return 0 if t is None else t.data_ptr()


def _layer(problem: Problem, x: Tensor, lengths: Tensor | None) -> dict[str, Any]:
    tensors = problem.tensors
    T, N, I = x.shape  # noqa: E741
    kind, limit = _ops._clip_arguments(problem.state_clip)
    names = ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")
    return {
        "cell": problem.cell, "dtype": str(x.dtype).removeprefix("torch."), "T": T, "N": N, "I": I,
        "H": tensors["w_hh"].shape[0] // _ops.CELLS[problem.cell].gates, "P": tensors["h0"].shape[1],
        "reverse": problem.reverse, "scale": problem.scale, "truncate": problem.truncate, "clip": kind,
        "clip_limit": limit, "lengths": address(lengths), "x": address(x), "x_stride_t": x.stride(0),
        "x_stride_n": x.stride(1), **{name: address(tensors[name]) for name in names},
    }  # fmt: skip


def solve(
    problem: Problem,
    path: str = "auto",
    *,
    device: dict[str, int | bool] = H100,
    believed: dict[str, int | bool] | None = None,
    policy: str = "in order",
    seed: int = 0,
    record: bool = True,
    tiles: dict[str, Any] | None = None,
    plans: list[dict[str, Any]] | None = None,
) -> dict[str, Tensor]:
    """The emulated engine's answer: out, hn, cn, ``d<name>`` per input and, recording, the norms ``[T, N]``.

    The emulator models ``device``; the engine plans for the ``believed`` one. ``tiles`` are taken instead of a plan.
    ``plans`` is given what forward and backward did. Tensors must be dense in their last index.
    """
    t = problem.tensors
    x, lengths = t["x"], problem.lengths
    T, N, _ = x.shape
    P, traits = t["h0"].shape[1], _ops.CELLS[problem.cell]
    H, two, A = t["w_hh"].shape[0] // traits.gates, t["c0"] is not None, arithmetic(x.dtype)
    new = Outputs()
    setting = {
        "wish": path, "policy": policy, "seed": seed, "device": device, "believed": believed or device,
        "lasting": believed is None, "tiles": tiles or {},
    }  # fmt: skip
    out, hn, cn = new(x.dtype, T, N, P), new(x.dtype, N, P), new(x.dtype, N, H) if two else None
    saved = new(A, T, N, traits.saved, H)
    layer = _layer(problem, x, lengths)
    given = {"out": address(out), "hn": address(hn), "cn": address(cn), "saved": address(saved)}
    went = [module().forward(layer, given, setting)]
    kept = [s.clone() for s in (out, saved)]

    wanted = {f"d{name}": new(x.dtype, *v.shape) for name, v in t.items() if v is not None}
    quantities = _ops.quantities(problem.cell, problem.state_clip)
    norms = new(A, len(quantities), T, N) if record else None
    grad_out, grad_hn, grad_cn = problem.grads
    strides = (0, 0) if grad_out is None else (grad_out.stride(0), grad_out.stride(1))
    names = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")
    went.append(module().backward(
        layer,
        {
            **given, "grad_out": address(grad_out), "grad_hn": address(grad_hn), "grad_cn": address(grad_cn),
            "grad_out_stride_t": strides[0], "grad_out_stride_n": strides[1], "norms": address(norms),
            **{f"d{name}": address(wanted.get(f"d{name}")) for name in names},
        },
        setting,
    ))  # fmt: skip
    new.check()
    assert all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in zip(kept, (out, saved), strict=True))
    if plans is not None:
        plans += went
    result = {"out": out, "hn": hn, **({"cn": cn} if cn is not None else {}), **wanted}
    return result | (dict(zip(quantities, norms.unbind(0), strict=True)) if norms is not None else {})
