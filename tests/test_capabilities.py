"""README's table of capabilities: its ticks name tests that are there, its column of torch.nn on the CPU is tried."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

import seqgrad as sg

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
LAYERS = ("RNN", "GRU", "LSTM")
X = torch.linspace(-1, 1, 7 * 3 * 5).view(7, 3, 5)
pytestmark = pytest.mark.skipif(not README.is_file(), reason="the README is not beside the tests")


def rows() -> dict[str, list[str]]:
    """Capability to what the table says of torch.nn CPU, cuDNN, haste, FlashRNN, seqgrad, and the tests."""
    text = README.read_text(encoding="utf-8").partition("\n## What works where")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def call(module: nn.Module, x: Tensor = X) -> Tensor:
    return module(x)[0]


def compiles(module: nn.Module) -> None:
    call(torch.compile(module, backend="aot_eager", fullgraph=True)).sum().backward()


def exports(module: nn.Module) -> None:
    axes = ({0: torch.export.Dim("time"), 1: torch.export.Dim("batch")},)
    program = torch.export.export(module.eval(), (X,), dynamic_shapes=axes, strict=False)
    torch.testing.assert_close(call(program.module(), X[:4, :2]), call(module, X[:4, :2]))


def loss_of(module: nn.Module) -> Callable[[Any, Tensor], Tensor]:
    return lambda weights, x: functional_call(module, weights, (x,))[0].sin().sum()


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach() for key, value in module.named_parameters()}


def maps_inputs(module: nn.Module) -> None:
    vmap(loss_of(module), in_dims=(None, 0))(weights_of(module), torch.stack([X, -X]))


def per_sample_gradients(module: nn.Module) -> None:
    vmap(grad(loss_of(module)), in_dims=(None, 0))(weights_of(module), torch.stack([X, -X]))


def ensembles(module: nn.Module) -> None:
    weights, _ = stack_module_state([module, copy.deepcopy(module)])
    vmap(loss_of(module), in_dims=(0, None))(weights, X)


def forward_mode(module: nn.Module) -> None:
    jvp(lambda x: call(module, x), (X,), (X,))


def double_backward(module: nn.Module) -> None:
    x = X.clone().requires_grad_()
    (first,) = torch.autograd.grad(call(module, x).square().sum(), x, create_graph=True)
    torch.autograd.grad(first.square().sum(), list(module.parameters()))


def backward_in_eval_mode(module: nn.Module) -> None:
    call(module.eval()).sum().backward()


def autocast(module: nn.Module, dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype=dtype):
        out = call(module)
    out.sum().backward()


def orthogonal_copies(module: nn.Module) -> None:
    nn.utils.parametrizations.orthogonal(module, "weight_hh_l0")
    call(module).sum().backward()
    copy.deepcopy(module)


class Wrapper(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def scripts(module: nn.Module) -> None:
    torch.jit.script(Wrapper(module))(X)


def quantizes(module: nn.Module) -> None:
    model = torch.ao.quantization.quantize_dynamic(Wrapper(module), {type(module)}, dtype=torch.qint8)
    assert ".quantized." in type(model.layer).__module__


TRIALS: dict[str, Callable[[Any], None]] = {
    "`torch.compile(fullgraph=True)`, forward and backward": compiles,
    "`torch.export` with free time and batch, AOTInductor": exports,
    "`vmap` over inputs": maps_inputs,
    "per-sample gradients, `vmap(grad(...))`": per_sample_gradients,
    "ensembles, `vmap` over stacked weights": ensembles,
    "forward mode, `jvp`": forward_mode,
    "double backward, Hessian-vector products": double_backward,
    "backward in eval mode": backward_in_eval_mode,
    "training under autocast, bfloat16": lambda module: autocast(module, torch.bfloat16),
    "training under autocast, float16": lambda module: autocast(module, torch.float16),
    "orthogonal `weight_hh_l0`, trained and deep-copied": orthogonal_copies,
    "`torch.jit.script`": scripts,
    "`quantize_dynamic`": quantizes,
}


def in_words(works: list[str]) -> str:
    """What the table says of a capability that only some of the layers have."""
    fail = [name for name in LAYERS if name not in works]
    if not fail or not works:
        return "no" if fail else "yes"
    return f"not {fail[0]}" if len(fail) == 1 else f"{works[0]} only"


def can(trial: Callable[[Any], None], layer: type) -> bool:
    torch.manual_seed(0)
    try:
        trial(layer(5, 8))
    except Exception:  # noqa: BLE001 - whatever it says, it cannot
        return False
    return True


@pytest.mark.filterwarnings("ignore")  # of torch, about what it cannot do well
@pytest.mark.parametrize("what", TRIALS)
def test_the_column_of_torch_nn_on_the_cpu(what: str) -> None:
    if not torch.__version__.startswith("2.13."):
        pytest.skip("the table tells of torch 2.13")
    works = [name for name in LAYERS if can(TRIALS[what], getattr(nn, name))]
    assert rows()[what][0] == in_words(works)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", TRIALS)
def test_the_column_of_seqgrad_by_the_same_trial(what: str) -> None:
    assert can(TRIALS[what], sg.LSTM) is (rows()[what][4] == "yes")


def test_every_row_names_tests_that_are_there() -> None:
    for what, (*_, tests) in rows().items():
        named = re.findall(r"`(\w+\.py)::(\w+)`", tests)
        assert named, f"no test is named for: {what}"
        for file, function in named:
            tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
            assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, function


def test_every_trial_is_a_row() -> None:
    assert TRIALS.keys() <= rows().keys()
