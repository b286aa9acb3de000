"""Where a test runs: the CPU, or one of the CUDA engine's paths on a GPU. One test body serves all of them.

What only a GPU has (streams, graphs, waiting) has a plain counterpart on the CPU, so that every line of a test that is
meant for a GPU also runs where there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from seqgrad import _ext

PATHS = ("block", "grid", "step")
# Set where the emulated CUDA engine (tests/emulator) serves the tensors of the CPU: then the CPU has paths as well.
EMULATED = os.environ.get("SEQGRAD_TEST_EMULATED") == "1"


def why_no_cuda() -> str:
    """Why nothing can run on a GPU here; empty where it can."""
    if not _ext.has_cuda():
        return "this build holds no CUDA kernels"
    if not torch.cuda.is_available():
        return "no CUDA device"
    return ""


class Place(NamedTuple):
    """A device and what SEQGRAD_CUDA_PATH says there."""

    device: str
    path: str

    def __str__(self) -> str:
        return f"{self.device}-{self.path}"

    @property
    def engine(self) -> str:
        """Which engine computes: "cpu", or "cuda" whether emulated or not."""
        return "cuda" if EMULATED or self.device != "cpu" else "cpu"

    @property
    def devices(self) -> list[str]:
        """Every device of this kind; on the CPU the same one twice."""
        return ["cpu", "cpu"] if self.device == "cpu" else [f"cuda:{i}" for i in range(torch.cuda.device_count())]

    def wait(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()

    @contextmanager
    def side_stream(self) -> Iterator[None]:
        """Work that is ordered after what came before, and before what comes after."""
        if self.device == "cpu":
            yield
            return
        side, main = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(main)
        with torch.cuda.stream(side):
            yield
        main.wait_stream(side)

    @contextmanager
    def never_waiting(self) -> Iterator[None]:
        """Raise where torch makes the host wait for the device."""
        if self.device == "cpu":
            yield
            return
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def busy(self) -> None:
        """Keep the current stream occupied for some milliseconds, so that work out of order would show."""
        if self.device != "cpu":
            torch.cuda._sleep(20_000_000)

    def captured(self, call: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
        """``call`` as a CUDA graph: every replay writes the same tensors anew. On the CPU it is called instead."""
        if self.device == "cpu":
            fixed = call()

            def again() -> tuple[Tensor, ...]:
                for old, new in zip(fixed, call(), strict=True):
                    old.copy_(new)
                return fixed

            return again
        with self.side_stream():
            for _ in range(3):
                call()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = call()

        def replay() -> tuple[Tensor, ...]:
            graph.replay()
            return result

        return replay

    def current(self, device: str) -> AbstractContextManager[Any]:
        """``device`` as the current one."""
        return nullcontext() if self.device == "cpu" else torch.cuda.device(device)


def _places() -> list[Any]:
    places: list[Any] = [Place("cpu", path) for path in PATHS] if EMULATED else [Place("cpu", "auto")]
    marks, paths = [pytest.mark.cuda], ("auto", *PATHS)
    if no_cuda := why_no_cuda():
        marks, paths = [pytest.mark.cuda, pytest.mark.skip(reason=no_cuda)], ("auto",)
    return [*places, *(pytest.param(Place("cuda", path), marks=marks, id=f"cuda-{path}") for path in paths)]


PLACES = _places()

if EMULATED:
    assert _ext.build_info().cuda_archs == "emulated", "the emulated extension is not the one that was imported"

    # aten has this product for CUDA alone.

    @torch.library.impl("aten::mm.dtype_out", "CPU")
    def _(a: Tensor, b: Tensor, out_dtype: torch.dtype, *, out: Tensor) -> Tensor:
        assert a.dtype == b.dtype and out.dtype == out_dtype == torch.float32
        return out.copy_(a.float() @ b.float())
