"""The whole of seqgrad on the emulated CUDA engine: tests/test_cuda.py in a process of its own, every path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import emulated_extension
import pytest

TESTS = Path(__file__).resolve().parent
needs = pytest.mark.skipif(
    emulated_extension.compiler() is None or emulated_extension.cuda_headers() is None,
    reason="needs a C++ compiler and the headers of a CUDA toolkit",
)


def pytest_there(site: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run test_cuda.py with the emulated package in front of any other."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={TESTS.parent}"]
    command += ["-c", str(TESTS.parent / "pyproject.toml"), str(TESTS / "test_cuda.py"), *arguments]
    environment = {**os.environ, "SEQGRAD_TEST_EMULATED": "1", "PYTHONPATH": str(site), **environment}
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site() -> Path:
    return emulated_extension.build()


@needs
@pytest.mark.slow
def test_every_path_passes_the_suite_for_gpus(site: Path) -> None:
    done = pytest_there(site, "-m", "not cuda")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 1000, done.stdout[-500:]
