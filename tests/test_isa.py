"""Every instruction set of the CPU engine, not only the one that this machine chooses by itself."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).resolve().parent
ON_X86 = platform.machine() in ("x86_64", "AMD64")
NAMES = ("baseline", "avx2", "avx512", "amx") if ON_X86 else ("neon",)
LEVELS = {"DEFAULT": 0, "AVX2": 1, "AVX512": 2}


def run(isa: str, *command: str) -> subprocess.CompletedProcess[str]:
    """``python command`` from the folder above the tests with SEQGRAD_CPU_ISA set."""
    environment = {**os.environ, "SEQGRAD_CPU_ISA": isa, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=TESTS.parent, capture_output=True, text=True, timeout=240
    )


@pytest.mark.slow
@pytest.mark.parametrize("isa", NAMES)
def test_every_instruction_set_matches_the_reference(isa: str) -> None:
    level = LEVELS.get(torch.backends.cpu.get_cpu_capability(), 0)
    if isa != "amx" and ON_X86 and NAMES.index(isa) > level:
        pytest.skip(f"this CPU has no {isa} (torch reports {torch.backends.cpu.get_cpu_capability()})")
    done = run(isa, str(TESTS / "isa_parity.py"))
    if isa == "amx" and "SEQGRAD_CPU_ISA=amx is not available here" in done.stderr:
        pytest.skip("this CPU has no amx, or its kernel lends no tiles")
    assert done.returncode == 0, done.stderr
    assert "SEQGRAD_CPU_ISA" not in done.stderr, done.stderr
    assert int(done.stdout.split()[0]) > 1000


CALL = """
import torch
from seqgrad import _ops
one = torch.ones(1, 1)
out, *_ = _ops.layer(one[None], one, one, None, None, 0 * one, cell="rnn_relu")
print(out.item())
"""


def test_an_unknown_instruction_set_is_named_and_the_best_one_serves() -> None:
    done = run("mmx", "-c", CALL)
    assert done.returncode == 0
    assert done.stdout.strip() == "1.0"
    assert "seqgrad: SEQGRAD_CPU_ISA=mmx is not available here; using " in done.stderr
    assert done.stderr.count("SEQGRAD_CPU_ISA") == 1
