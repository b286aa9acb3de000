"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch

import seqgrad

MODULES = ["seqgrad"] + [
    found.name
    for found in pkgutil.walk_packages(seqgrad.__path__, "seqgrad.")
    if found.name not in ("seqgrad.__main__", "seqgrad._C")
]


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch 2.10 deep-copies its own exported programs
@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str):
    torch.manual_seed(0)
    package = name.removeprefix("seqgrad.integrations.")
    if package != name and not package.startswith("_"):
        pytest.importorskip(package, reason=f"needs {package}")
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    plt.close("all")
    assert failed == 0, f"{failed} examples of {name} do not hold; their output is above"


@pytest.mark.parametrize("name", ["analysis", "init", "clip", "tbptt", "regularizers", "record"])
def test_public_functions_have_an_example(name: str):
    module = importlib.import_module(f"seqgrad.{name}")
    public = getattr(module, "__all__", vars(module))
    functions = {
        key: value
        for key, value in ((key, getattr(module, key)) for key in public)
        if inspect.isfunction(value) and not key.startswith("_") and value.__module__.startswith(f"seqgrad.{name}")
    }
    assert functions
    assert [key for key, function in functions.items() if ">>>" not in (function.__doc__ or "")] == []
