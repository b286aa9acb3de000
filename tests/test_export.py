"""torch.export and AOTInductor: programs with free batch and time, equal to the layers, also in a bare process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import CELLS, LAYERS, inductor_in, tensors
from torch import Tensor, nn
from torch.export import Dim, export

import seqgrad as sg
from seqgrad import _ext

BATCH, TIME = Dim("batch", min=1, max=512), Dim("time", min=1, max=4096)
SHAPES = ((7, 3), (11, 5), (1, 1), (1, 4), (9, 1))
both_ways = pytest.mark.parametrize("strict", [True, False], ids=["strict", "non-strict"])


def assert_equal(program: Any, module: nn.Module, *inputs: Tensor, **named: Tensor) -> None:
    for ours, eager in zip(tensors(program(*inputs, **named)), tensors(module(*inputs, **named)), strict=True):
        assert torch.equal(ours, eager)


@both_ways
@pytest.mark.parametrize("cls", LAYERS, ids=lambda cls: cls.__name__)
def test_layers_export_with_dynamic_batch_and_time(cls: Any, strict: bool) -> None:
    for options in ({"state_clip": sg.clip.Norm(0.1), "truncate": 3}, {"num_layers": 2, "bidirectional": True}):
        module = cls(5, 8, **options).eval()
        program = export(module, (torch.randn(7, 3, 5),), dynamic_shapes=({0: TIME, 1: BATCH},), strict=strict).module()
        for T, N in SHAPES:
            assert_equal(program, module, torch.randn(T, N, 5))


@both_ways
def test_lengths_are_an_input_of_the_program(strict: bool) -> None:
    module = sg.LSTM(5, 8, proj_size=3, bidirectional=True, batch_first=True).eval()
    axes = {"input": {0: BATCH, 1: TIME}, "lengths": {0: BATCH}}
    given = {"lengths": torch.tensor([7, 0, 5])}
    program = export(module, (torch.randn(3, 7, 5),), given, dynamic_shapes=axes, strict=strict).module()
    for T, N in SHAPES:
        assert_equal(program, module, torch.randn(N, T, 5), lengths=torch.arange(N) % (T + 1))
    with pytest.raises(RuntimeError, match=r"every entry of lengths must lie in 0\.\.T"):
        program(torch.randn(3, 7, 5), lengths=torch.tensor([8, 1, 1]))


@both_ways
@pytest.mark.parametrize("cls", CELLS, ids=lambda cls: cls.__name__)
def test_cells_export_with_dynamic_batch(cls: Any, strict: bool) -> None:
    module = cls(5, 8)
    program = export(module, (torch.randn(3, 5),), dynamic_shapes=({0: BATCH},), strict=strict).module()
    for N in (3, 1, 6):
        assert_equal(program, module, torch.randn(N, 5))


@both_ways
def test_programs_keep_nothing_for_a_backward_and_train_all_the_same(strict: bool) -> None:
    module, x = sg.GRU(5, 8, num_layers=2), torch.randn(7, 3, 5)
    exported = export(module, (x,), strict=strict)
    calls = [n for n in exported.graph.nodes if n.target is torch.ops.seqgrad.forward.default]
    assert [call.args[-1] for call in calls] == [False, False]
    program = exported.module()
    program(x)[0].square().sum().backward()
    for ours, eager in zip(
        program.parameters(), torch.autograd.grad(module(x)[0].square().sum(), list(module.parameters())), strict=True
    ):
        assert torch.equal(ours.grad, eager)


def test_an_open_record_leaves_no_trace_in_a_program() -> None:
    module, x = sg.RNN(5, 8), torch.randn(7, 3, 5)
    for strict in (True, False):
        with sg.record(module) as rec:
            program = export(module, (x,), strict=strict)
        assert not rec
        names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
        assert [name for name in names if name.startswith("seqgrad.")] == ["seqgrad.forward.default"]


class Deployed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = sg.LSTM(5, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.residual = sg.ResidualRNN(16, 4, residual_scale=0.5)
        self.cell = sg.GRUCell(4, 4)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        out, h = self.residual(self.lstm(x, lengths=lengths)[0].transpose(0, 1))
        return out, self.cell(h[0])


BARE = """
import sys, torch
import torch._inductor.codecache  # torch 2.10 needs it to load a package, and does not import it
library, package, answers = sys.argv[1:]
torch.ops.load_library(library)
run = torch._inductor.aoti_load_package(package)
for x, lengths, expected in torch.load(answers):
    for ours, eager in zip(run(x, lengths), expected, strict=True):
        torch.testing.assert_close(ours, eager, rtol=0, atol=0)
assert "seqgrad" not in sys.modules
"""


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # inductor imports torch's own use of it
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch deep-copies its own exported programs
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_an_aotinductor_package_runs_where_only_the_extension_is_loaded(
    tmp_path: Path, inductor_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Deployed().eval()
    axes = {"x": {0: BATCH, 1: TIME}, "lengths": {0: BATCH}}
    program = export(model, (torch.randn(3, 7, 5), torch.tensor([7, 0, 5])), dynamic_shapes=axes)
    with inductor_in(inductor_folder, monkeypatch):
        package = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "model.pt2"))
        cases = [(torch.randn(N, T, 5), torch.arange(N) % (T + 1)) for T, N in SHAPES]
        with torch.no_grad():
            torch.save([(*case, model(*case)) for case in cases], tmp_path / "answers.pt")
        library = Path(_ext.__file__).with_name("_C.abi3.so")
        command = [sys.executable, "-c", BARE, str(library), package, str(tmp_path / "answers.pt")]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
