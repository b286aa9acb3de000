"""ONNX: the standard operators, with torch's numbers in onnxruntime for every batch and time."""

from __future__ import annotations

import sys
from typing import Any

import onnxruntime
import pytest
import torch
from graphs import CELLS, LAYERS, tensors
from oracle import assert_close
from torch import Tensor, nn
from torch.export import Dim

import seqgrad as sg

SHAPES = ((7, 3), (11, 5), (1, 1), (1, 4), (9, 1))
BATCH, TIME = Dim("batch", min=1, max=512), Dim("time", min=1, max=4096)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # torch deep-copies its own exported programs
    pytest.mark.filterwarnings("ignore:# The axis name:UserWarning"),  # of two axes of one name, which is as meant
    # numpy's and torch's own, out of the exporter
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def export(module: nn.Module, *inputs: Any, axes: Any = None, **named: Tensor) -> Any:
    return torch.onnx.export(
        module.eval(), inputs, kwargs=named or None, dynamic_shapes=axes, dynamo=True, verbose=False,
        custom_translation_table=sg.onnx.translation_table(),
    )  # fmt: skip


def operators(program: Any) -> list[str]:
    recurrent = ("RNN", "GRU", "LSTM", "Scan")
    return [node.op_type for node in program.model.graph if node.op_type in recurrent]


def assert_same_numbers(program: Any, module: nn.Module, cases: list[tuple[Any, ...]]) -> None:
    """Each case is the inputs, and ``lengths`` last where the module's forward was exported with them."""
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    for case in cases:
        given = tensors(list(case))
        found = session.run(None, dict(zip(names, [t.numpy() for t in given], strict=True)))
        named = {"lengths": case[-1]} if names[-1] == "lengths" else {}
        with torch.no_grad():
            expected = tensors(module(*(case[:-1] if named else case), **named))
        for ours, eager in zip(found, expected, strict=True):
            assert_close(torch.from_numpy(ours), eager, ulps=256.0)  # T steps of a few roundings each, T <= 11


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_layers_become_the_operator_of_their_name(cls: Any) -> None:
    module = cls(5, 8, num_layers=2, bidirectional=True, batch_first=True)
    program = export(module, torch.randn(3, 7, 5), axes=({0: BATCH, 1: TIME},))
    assert operators(program) == ["Scan" if cls is sg.ResidualRNN else cls.__name__] * 4
    assert_same_numbers(program, module, [(torch.randn(N, T, 5),) for T, N in SHAPES])


@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_lengths_become_sequence_lens(cls: Any) -> None:
    """With an initial state, no bias, options that act in backwards only, and samples of no step at all."""
    module = cls(5, 8, bidirectional=True, bias=False, state_clip=sg.clip.Norm(0.1), truncate=2)

    def case(T: int, N: int) -> tuple[Any, ...]:
        h = torch.randn(2, N, 8)
        return torch.randn(T, N, 5), (h, h.cos()) if cls is sg.LSTM else h, torch.arange(N) % (T + 1)

    x, hx, lengths = case(7, 3)
    state = ({1: BATCH}, {1: BATCH}) if cls is sg.LSTM else {1: BATCH}
    axes = {"input": {0: TIME, 1: BATCH}, "hx": state, "lengths": {0: BATCH}}
    program = export(module, x, hx, axes=axes, lengths=lengths)
    assert_same_numbers(program, module, [case(T, N) for T, N in SHAPES])


@pytest.mark.parametrize("cls", [sg.RNN, sg.ResidualRNN], ids=lambda cls: cls.__name__)
def test_relu_and_the_residual_scale_are_kept(cls: Any) -> None:
    options = {"residual_scale": 0.3} if cls is sg.ResidualRNN else {}
    module = cls(5, 8, nonlinearity="relu", **options)
    x = torch.randn(7, 3, 5)
    assert_same_numbers(export(module, x), module, [(x,)])


@pytest.mark.parametrize("cls", CELLS, ids=lambda cls: cls.__name__)
def test_cells_export_as_layers_of_one_step(cls: Any) -> None:
    module, x = cls(5, 8), torch.randn(3, 5)
    program = export(module, x)
    assert operators(program) == ["Scan" if cls is sg.ResidualRNNCell else cls.__name__.removesuffix("Cell")]
    assert_same_numbers(program, module, [(x,)])


def test_gru_applies_the_reset_gate_after_the_product() -> None:
    program = export(sg.GRU(5, 8), torch.randn(7, 3, 5))
    (node,) = [node for node in program.model.graph if node.op_type == "GRU"]
    assert node.attributes["linear_before_reset"].value == 1


def test_a_projection_says_what_to_do_instead() -> None:
    with pytest.raises(Exception) as raised:
        export(sg.LSTM(5, 8, proj_size=3), torch.randn(7, 3, 5))
    causes, error = [], raised.value
    while error is not None:
        causes.append(error)
        error = error.__cause__
    assert isinstance(causes[-1], NotImplementedError)
    assert "no projection" in str(causes[-1])
    assert "AOTInductor" in str(causes[-1])


def test_without_onnxscript_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "seqgrad._onnx_operators", raising=False)
    monkeypatch.delattr(sg, "_onnx_operators", raising=False)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"onnxscript.*pip install 'seqgrad\[onnx\]'"):
        sg.onnx.translation_table()


def test_importing_the_package_does_not_import_onnx() -> None:
    import subprocess

    code = "import sys, seqgrad; sys.exit(sum(n in sys.modules for n in ('onnx', 'onnxscript', 'torch._dynamo')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
