"""The GPU benchmark from its command line to its two files, on small problems and without a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import _machines
import bench_gpu
import pytest
import torch

import seqgrad as sg


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Exit code, what the JSON file holds, and the Markdown."""

    def call(*arguments: str) -> tuple[int, dict[str, Any], str]:
        monkeypatch.setattr("sys.argv", ["bench_gpu.py", *arguments, "--out", str(tmp_path / "report")])
        code = bench_gpu.main()
        result = json.loads((tmp_path / "report" / "bench_gpu.json").read_text())
        return code, result, (tmp_path / "report" / "bench_gpu.md").read_text()

    return call


TINY = ("--device", "cpu", "--tiny", "--seconds", "0.001")


def test_it_runs_from_start_to_end(run: Callable[..., Any]) -> None:
    code, result, page = run(*TINY, "--precisions", "fp32", "bf16", "tf32")
    assert code == 0
    assert result["machine"]["torch"] == torch.__version__
    assert result["machine"]["commit"]
    assert len(result["rows"]) == 3 * 3 * 2 * len(bench_gpu.TINY)  # cells, precisions, modes
    for row in result["rows"]:
        assert row["ratio"] == row["timings"]["torch"]["median"] / list(row["timings"].values())[-1]["median"]
        assert (row["norms"] is None) == (row["mode"] == "infer")
        assert set(row["timings"]) == {"torch", "seqgrad"} | ({"recording"} if row["mode"] == "train" else set())
        assert all(value > 0 for value in row["step_us"].values())
        assert row["difference"] is None or row["difference"] < (0.03 if row["precision"] == "bf16" else 1e-5)
        assert len(row["paths"]) == (1 if row["mode"] == "infer" else 2)
        assert row["model_us"] > 0
    assert page.count("| lstm | bf16 | train |") == 1 + len(bench_gpu.TINY)
    assert "Failed" not in page


def test_a_problem_that_fails_costs_one_line(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    timed = bench_gpu.interleave

    def fail_in_training(rivals: Any, **options: Any) -> Any:
        if "recording" in rivals:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB.\nmore")
        return timed(rivals, **options)

    monkeypatch.setattr(bench_gpu, "interleave", fail_in_training)
    code, result, page = run(*TINY, "--cells", "gru", "--precisions", "fp32")
    assert code == 1
    assert sum("error" in row for row in result["rows"]) == len(bench_gpu.TINY)
    assert "- gru fp32 train 3,4,5,7: CUDA out of memory. Tried to allocate 2 TiB.\n" in page
    assert "| gru | fp32 | infer |" in page


def test_without_a_gpu_it_says_what_is_missing(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    if sg.has_cuda() and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(SystemExit):
        run()
    assert "--device cpu --tiny tries the script without" in capsys.readouterr().err


def test_the_full_grid_covers_both_sides_of_what_cudnn_likes() -> None:
    shapes = [variant.shape for variant in bench_gpu.FULL]
    assert {64, 100, 128, 256, 300, 512, 768, 1000, 1024, 1536} <= {shape.H for shape in shapes}
    assert {1, 256} <= {shape.N for shape in shapes}
    assert any(shape.ragged for shape in shapes)
    assert any(variant.bidirectional for variant in bench_gpu.FULL)
    assert any(variant.layers == 2 for variant in bench_gpu.FULL)
    assert 0 < len(bench_gpu.QUICK) < len(bench_gpu.FULL)


class Clock:
    """Stands for torch.cuda.Event: every record is a millisecond later."""

    now = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        Clock.now += 1.0
        self.at = Clock.now

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Clock) -> float:
        return end.at - self.at


def test_a_gpu_is_timed_between_two_events_behind_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(
        name="a GPU", major=9, minor=0, multi_processor_count=132, total_memory=80 << 30, L2_cache_size=50 << 20
    )
    if torch.version.cuda:
        assert set(vars(properties)) <= set(dir(torch._C._CudaDeviceProperties))
    monkeypatch.setattr(torch.cuda, "Event", Clock)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    real = torch.empty
    monkeypatch.setattr(torch, "empty", lambda size, *, dtype, device: real(size, dtype=dtype).fill_(7))
    machine = _machines.Gpu()
    seen = []
    assert machine.seconds(lambda: seen.append(int(machine._filler.max()))) == pytest.approx(1e-3)
    assert seen == [0]  # flushed before the call
    assert machine._filler.numel() == 100 << 20  # twice the cache
    facts = machine.facts()
    assert facts["gpu"] == "a GPU"
    assert facts["compute_capability"] == "9.0"
    assert facts["memory_gib"] == 80


def test_tf32_is_on_in_its_own_rows_alone() -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    for name in bench_gpu.PRECISIONS:
        with _machines.precision(name):
            wanted = name == "tf32"
            assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (wanted, wanted)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
