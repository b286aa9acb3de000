"""The self-check of ``seqgrad doctor``: every op on every device against the reference in plain torch."""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch import Tensor

from seqgrad import _ext, _ops, _reference

STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 5, 33  # odd sizes: edges of every kernel's blocks take part
LIMIT = {torch.float32: 2e-4, torch.float64: 1e-10}  # relative to the largest element; orders of sums differ


def _cuda_code(archs: str) -> str:
    return f"kernels for {archs}" if archs else "not in this build"


def examine() -> dict[str, Any]:
    """Versions, build and checks: ``{"ok": bool, "environment": {...}, "checks": [{"name", "ok", "detail"}]}``."""
    checks = []
    for device in _devices():
        for cell in _ops.CELLS:
            for dtype in LIMIT:
                checks.append(_check(cell, dtype, device))
    return {"ok": all(check["ok"] for check in checks), "environment": _environment(), "checks": checks}


def _devices() -> list[str]:
    return ["cpu", "cuda"] if _ext.has_cuda() and torch.cuda.is_available() else ["cpu"]


def _environment() -> dict[str, str]:
    info = _ext.build_info()
    cuda = f"{torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "no device"
    return {
        "seqgrad": info.version, "torch": torch.__version__, "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}", "threads": str(torch.get_num_threads()),
        "built for": f"torch {info.torch}", "compiler": info.compiler,
        "cuda": f"{_cuda_code(info.cuda_archs)}; {cuda}",
    }  # fmt: skip


def _check(cell: str, dtype: torch.dtype, device: str) -> dict[str, Any]:
    name = f"{cell} {str(dtype).removeprefix('torch.')} {device}"
    try:
        worst, where = _worst_error(cell, dtype, device)
    except RuntimeError as error:
        return {"name": name, "ok": False, "detail": str(error).splitlines()[0]}
    return {"name": name, "ok": worst <= LIMIT[dtype], "detail": f"largest error {worst:.1e} ({where})"}


def _worst_error(cell: str, dtype: torch.dtype, device: str) -> tuple[float, str]:
    """Forward, gradients and norms of one op against the float64 reference, relative to each tensor's largest value."""
    arguments = _arguments(cell)
    expected = _expected(cell, arguments)
    mine = {key: value.to(device, dtype).detach().requires_grad_() for key, value in arguments.items()}
    rows = _ops.quantities(cell, None)
    tap = torch.zeros(len(rows), STEPS, BATCH, dtype=dtype, device=device, requires_grad=True)
    out, _, _ = _ops.layer(**mine, cell=cell, tap=tap)  # type: ignore[arg-type]
    out[-1].sum().backward()
    found: dict[str, Tensor | None] = {"out": out.detach(), "grad_h": None if tap.grad is None else tap.grad[0]}
    found |= {f"d{key}": value.grad for key, value in mine.items()}
    worst, where = 0.0, "out"
    for key, want in expected.items():
        got = found[key]
        if got is None:
            raise RuntimeError(f"no gradient came back for {key}")
        error = float((got.double().cpu() - want).abs().max() / want.abs().max().clamp_min(1e-30))
        if not error <= worst:
            worst, where = error, key
    return worst, where


def _arguments(cell: str) -> dict[str, Tensor]:
    gates = _ops.CELLS[cell].gates
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64) * 0.4

    named = {
        "x": draw(STEPS, BATCH, INPUTS), "w_ih": draw(gates * HIDDEN, INPUTS), "w_hh": draw(gates * HIDDEN, HIDDEN),
        "b_ih": draw(gates * HIDDEN), "b_hh": draw(gates * HIDDEN), "h0": draw(BATCH, HIDDEN),
    }  # fmt: skip
    if _ops.CELLS[cell].states == 2:
        named["c0"] = draw(BATCH, HIDDEN)
    return named


def _expected(cell: str, arguments: dict[str, Tensor]) -> dict[str, Tensor]:
    leaves = {key: value.clone().requires_grad_() for key, value in arguments.items()}
    result = _reference.layer(**leaves, cell=cell)  # type: ignore[arg-type]
    loss = result.out[-1].sum()
    grads = torch.autograd.grad(loss, [*result.hs, *leaves.values()])
    states, rest = grads[: len(result.hs)], grads[len(result.hs) :]
    expected = {"out": result.out.detach(), "grad_h": torch.stack([grad.norm(dim=-1) for grad in states])}
    return expected | {f"d{key}": grad for key, grad in zip(leaves, rest, strict=True)}
