"""The experiments of the lesson at toy size: what is at stake is the form of reports and commands, not the numbers."""

from __future__ import annotations

from typing import Any

from seqgrad import experiments

TINY: dict[str, dict[str, Any]] = {
    "decay": {"seeds": 1},
    "gradient_flow": {"seeds": 1, "hidden": 16},
    "explosion": {"seeds": 1, "steps": 4},
    "detection": {"seeds": 1, "gains": (0.5, 1.5, 3.0)},
    "clipping": {"seeds": 1, "steps": 3},
    "initialisation": {"seeds": 1, "hidden": 16},
    "residual": {"seeds": 1, "hidden": 16, "training": 1, "scales": (1.0, 0.01)},
    "truncation": {"seeds": 1, "steps": 1, "sizes": (5, 25)},
    "long_dependency": {
        "cells": ("rnn",), "lengths": (3, 50), "seeds": 1, "steps": 2, "cures": ("rnn_orthogonal",), "speed": False,
    },
    "information_flow": {"seeds": 1, "hidden": 16, "steps": 12},
    "char_model": {"steps": 2, "hidden": 8, "checkpoints": 1},
}  # fmt: skip


def lesson() -> list[experiments.Experiment]:
    """The entries that make the lesson, in order."""
    return [entry for entry in experiments.EXPERIMENTS.values() if entry.group == "lesson"]


def results() -> dict[str, experiments.Result]:
    """All of them, run."""
    return {entry.name: entry.function(**TINY[entry.name]) for entry in lesson()}
