"""Two real processes of torch.distributed over gloo. Each runs the named scenarios and leaves its findings in a file.

``run(folder, names)`` is what a test calls; the rest runs in the processes that it starts. A scenario is a function
``rank -> findings`` of ``rank_scenarios``; each has a process group of its own, so that one that fails on one rank
alone does not put the others out of step.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

WORLD = 2
LIMIT = 240  # seconds for all scenarios, process start included: only a deadlock takes so long
_PATIENCE = timedelta(seconds=30)  # of a rank that waits for the other


def run(folder: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """The findings of each scenario, by rank. One that raised has its traceback as a string instead."""
    import torch

    places = os.pathsep.join(path or os.getcwd() for path in sys.path)
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    logs = [folder / f"log{rank}" for rank in range(WORLD)]
    workers = []
    try:
        for rank, log in enumerate(logs):
            with open(log, "wb") as sink:
                command = [sys.executable, __file__, str(folder), str(rank), *names]
                workers.append(subprocess.Popen(command, env=environment, stdout=sink, stderr=subprocess.STDOUT))
        end = time.monotonic() + LIMIT
        codes = [worker.wait(max(0.0, end - time.monotonic())) for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
    assert codes == [0] * WORLD, "\n".join(log.read_text(errors="replace")[-4000:] for log in logs)
    return {
        name: [torch.load(folder / f"{name}.{rank}", weights_only=False) for rank in range(WORLD)] for name in names
    }


def _work(folder: Path, rank: int, names: Sequence[str]) -> None:
    import rank_scenarios
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    warnings.simplefilter("error")
    # FSDP2 says so of every model whose output is a view, whatever its layers are.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view")
    # So it is for equal numbers on all ranks, which reset_parameters of a sharded layer does not promise.
    warnings.filterwarnings("ignore", "DTensor random operators may not have complete support on cpu")
    rank_scenarios.FOLDER = folder
    for name in names:
        store = distributed.FileStore(str(folder / f"{name}.store"), WORLD)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=WORLD, timeout=_PATIENCE)
        try:
            found = getattr(rank_scenarios, name)(rank)
        except Exception:  # noqa: BLE001 - the test shows it
            found = traceback.format_exc()
        finally:
            distributed.destroy_process_group()
        torch.save(found, folder / f"{name}.{rank}")


if __name__ == "__main__":
    _work(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
