"""seqgrad.explain: which engine and path runs a layer, and why, as rows, text, HTML and dict."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import seqgrad as sg
from seqgrad._plan import cpu_plan, cuda_plan
from seqgrad.explain import DEVICES, CudaDevice, Explanation, explain

LAYERS = {"rnn_tanh": sg.RNN, "residual_tanh": sg.ResidualRNN, "gru": sg.GRU, "lstm": sg.LSTM}
CELLS = {"rnn_tanh": sg.RNNCell, "residual_tanh": sg.ResidualRNNCell, "gru": sg.GRUCell, "lstm": sg.LSTMCell}
ISAS = {"baseline", "avx2", "avx512", "amx", "neon"}


def x(*shape: int, **options: Any) -> Tensor:
    return torch.empty(*shape, device="meta", **options)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
def test_a_layer_is_planned_for_the_named_device(name: str, backward: bool) -> None:
    found = explain(LAYERS[name](5, 33), x(7, 3, 5), device="A100")
    expected = cuda_plan(name, torch.float32, T=7, N=3, H=33, backward=backward, device=DEVICES["A100"])
    row = found[int(backward)]
    assert row.direction == ("backward" if backward else "forward")
    assert (row.series, row.engine, row.path, row.why) == ("l0", "cuda", expected.path, expected.reason)
    assert row.plan == expected and row.step_us == expected.estimate.step_us


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_one_step(name: str) -> None:
    found = explain(CELLS[name](5, 33), x(3, 5), device="H100")
    assert (found.steps, found.samples, len(found)) == (1, 3, 2)
    assert found[1].plan == cuda_plan(name, torch.float32, T=1, N=3, H=33, backward=True, device=DEVICES["H100"])
    assert {row.series for row in found} == {"cell"}
    assert explain(CELLS[name](5, 33), x(5), device="H100").samples == 1


def test_relu_is_a_cell_of_its_own() -> None:
    seen = [explain(kind(5, 8, nonlinearity="relu"), x(2, 1, 5), device="H100") for kind in (sg.RNN, sg.ResidualRNN)]
    assert all(row.path == "block" for found in seen for row in found)


def test_every_layer_and_direction_has_two_rows() -> None:
    found = explain(sg.GRU(5, 8, num_layers=2, bidirectional=True), x(4, 2, 5), device="L4")
    names = ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert [(row.series, row.direction) for row in found] == [(n, p) for n in names for p in ("forward", "backward")]


def test_the_forms_of_an_input_mean_the_same() -> None:
    rnn, first = sg.LSTM(5, 8), sg.LSTM(5, 8, batch_first=True)
    padded = torch.randn(7, 3, 5)
    packed = pack_padded_sequence(padded, torch.tensor([7, 2, 4]), enforce_sorted=False)
    for found in (
        explain(rnn, padded, device="H100"),
        explain(rnn, padded, lengths=[7, 2, 4], device="H100"),
        explain(rnn, packed, device="H100"),
        explain(first, padded.transpose(0, 1), device="H100"),
    ):
        assert (found.steps, found.samples) == (7, 3)
        assert found.rows == explain(rnn, padded, device="H100").rows
    assert explain(rnn, x(7, 5), device="H100").samples == explain(first, x(7, 5), device="H100").samples == 1


def test_state_clip_adds_a_barrier_to_the_backward_of_a_grid() -> None:
    plain, clipped = (
        explain(sg.LSTM(4, 768, state_clip=clip, device="meta"), x(1000, 16, 4, dtype=torch.float16), device="H100")
        for clip in (None, sg.clip.Norm(1.0))
    )
    for found, barriers in ((plain, 1000), (clipped, 2000)):
        assert found[1].path == "grid"
        assert found[1].plan is not None
        assert found[1].plan.barriers == barriers
    assert plain[0] == clipped[0]


def test_projection_and_double_take_the_step_path() -> None:
    projected = explain(sg.LSTM(5, 16, proj_size=4), x(3, 2, 5), device="H100")
    assert all(row.path == "step" and "(proj_size 4)" in row.why for row in projected)
    double = explain(sg.GRU(5, 16), x(3, 2, 5, dtype=torch.float64), device="H100")
    assert all(row.path == "step" and "float64" in row.why for row in double)


def test_the_environment_variable_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQGRAD_CUDA_PATH", "grid")
    assert [row.path for row in explain(sg.RNN(5, 40), x(3, 2, 5), device="H100")] == ["grid", "grid"]
    monkeypatch.setenv("SEQGRAD_CUDA_PATH", "")
    assert [row.path for row in explain(sg.RNN(5, 40), x(3, 2, 5), device="H100")] == ["block", "block"]
    monkeypatch.setenv("SEQGRAD_CUDA_PATH", "quick")
    with pytest.raises(ValueError, match="SEQGRAD_CUDA_PATH must be auto, block, grid or step, got 'quick'"):
        explain(sg.RNN(5, 40), x(3, 2, 5), device="H100")


def test_a_device_may_be_given_by_its_figures() -> None:
    tiny = DEVICES["H100"]._replace(shared_per_block=4096)
    found = explain(sg.RNN(5, 64), x(100, 2, 5), device=tiny)
    assert found.device == "a device of compute capability 9.0"
    assert "one block would need" in found[0].why


def test_on_the_cpu_the_instruction_set_and_the_threads_are_told() -> None:
    torch.set_num_threads(4)
    many = explain(sg.GRU(64, 128), torch.randn(100, 64, 64))
    assert many.device == "cpu"
    for row in many:
        assert row.engine == "cpu" and row.path in ISAS and row.plan is None and row.step_us is None
        assert row.how == "4 threads of 4"
        assert "the batch is dealt to 4 threads" in row.why
    one = explain(sg.GRU(64, 512), torch.randn(100, 1, 64))
    assert one[0].how == "4 threads of 4"
    assert "a team of 4 shares each of 1 slice" in one[0].why
    clipped = explain(sg.GRU(64, 512, state_clip=sg.clip.Norm(1.0)), torch.randn(100, 1, 64))
    assert "a team of 4" in clipped[0].why
    assert clipped[1].how == "1 thread of 4"
    assert "clipping and projection need a whole sample at once" in clipped[1].why
    both = explain(sg.GRU(64, 64, bidirectional=True), torch.randn(100, 1, 64))
    assert {row.how for row in both} == {"1 thread of 4"}
    assert all("both directions run at the same time" in row.why for row in both)
    assert "both directions" not in explain(sg.GRU(64, 64, bidirectional=True), torch.randn(100, 32, 64))[0].why
    assert "too little work for a second thread" in explain(sg.GRU(2, 3), torch.randn(5, 1, 2))[0].why
    assert explain(sg.GRU(2, 3), torch.randn(5, 0, 2))[0].why == "there is nothing to do"
    torch.set_num_threads(1)
    assert "torch has one thread" in explain(sg.GRU(64, 128), torch.randn(100, 32, 64))[0].why


def test_a_chosen_instruction_set_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    isa = explain(sg.RNN(2, 3), torch.randn(5, 1, 2))[0].path
    monkeypatch.delenv("SEQGRAD_CPU_ISA", raising=False)
    assert "the best instruction set of this machine" in explain(sg.RNN(2, 3), torch.randn(5, 1, 2))[0].why
    monkeypatch.setenv("SEQGRAD_CPU_ISA", isa)
    assert f"{isa}, as SEQGRAD_CPU_ISA says" in explain(sg.RNN(2, 3), torch.randn(5, 1, 2))[0].why


def test_tiles_are_named_only_where_a_layer_uses_them() -> None:
    def path(layer: sg.LSTM, dtype: torch.dtype) -> str:
        return explain(layer.to(dtype), torch.randn(5, 2, 3, dtype=dtype))[0].path

    single = path(sg.LSTM(3, 8), torch.float32)
    assert single in ISAS - {"amx"}
    assert path(sg.LSTM(3, 8), torch.bfloat16) in {single, "amx"}
    assert path(sg.LSTM(3, 8, proj_size=4), torch.bfloat16) == single


def test_the_split_is_the_engines_own() -> None:
    """Recording in float64 scales its norms: there a team would not do, and the engine says so."""
    torch.set_num_threads(4)
    sizes = {"T": 100, "N": 1, "I": 64, "H": 512}
    assert cpu_plan("gru", torch.float64, sizes, backward=True).team == 4
    assert cpu_plan("gru", torch.float64, sizes, backward=True, norms=True).team == 1
    assert cpu_plan("gru", torch.float32, sizes, backward=True, norms=True).team == 4


def test_later_layers_read_both_directions() -> None:
    """The CPU's split depends on the width of the input: 2 x 8 features in the second layer."""
    torch.set_num_threads(4)
    found = explain(sg.RNN(700, 40, num_layers=2, bidirectional=True), torch.randn(60, 2, 700))
    first, second = found[0], found[4]
    assert second.series == "l1"
    expected = cpu_plan("rnn_tanh", torch.float32, {"T": 60, "N": 2, "I": 80, "H": 40}, backward=False)
    assert second.how.split()[0] == str(expected.slices * expected.team)
    assert first.why != second.why


def test_what_the_engine_leaves_to_torch_is_said() -> None:
    found = explain(sg.RNN(3, 4), torch.randn(5, 2, 3, dtype=torch.complex64))
    assert [(row.engine, row.path) for row in found] == [("torch", "composite")] * 2
    assert found[0].why == "complex numbers run in torch's own ops"
    cell = explain(sg.RNNCell(3, 0), torch.randn(2, 3))
    assert cell[0].why == "a layer without units runs in torch's own ops"


def test_autocast_decides_the_dtype() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert explain(sg.RNN(3, 4), torch.randn(5, 2, 3)).dtype == "bfloat16"
        assert explain(sg.RNN(3, 4).double(), torch.randn(5, 2, 3).double()).dtype == "float64"
    assert explain(sg.RNN(3, 4), torch.randn(5, 2, 3)).dtype == "float32"


def test_a_meta_tensor_has_no_engine() -> None:
    found = explain(sg.RNN(3, 4, device="meta"), x(5, 2, 3))
    assert [(row.engine, row.path) for row in found] == [("none", "-")] * 2
    assert found[0].why == "there is no engine for meta tensors; name a device, such as device='H100'"


def test_nothing_runs_and_nothing_changes() -> None:
    rnn, given = sg.LSTM(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    state = torch.get_rng_state()
    explain(rnn, given)
    explain(rnn, given, device="H100")
    assert torch.equal(torch.get_rng_state(), state)
    assert given.grad is None and all(p.grad is None for p in rnn.parameters())


def shown() -> Explanation:
    return explain(sg.LSTM(5, 8, bidirectional=True), x(7, 3, 5), device="RTX 4090")


def test_the_text_is_a_table_and_its_reasons() -> None:
    lines = repr(shown()).splitlines()
    assert lines[0] == "LSTM(5, 8, bidirectional=True), 7 steps of 3 samples, float32, on RTX 4090"
    assert lines[2].split() == ["series", "pass", "engine", "path", "us/step", "how"]
    assert lines[4].split()[:4] == ["l0", "forward", "cuda", "block"]
    assert "l0 forward, l0_reverse forward: W_hh stays in the shared memory" in repr(shown())
    assert lines[-1] == "us/step: estimated by a cost model, not measured."
    assert max(map(len, lines)) <= 110
    assert all(line == line.rstrip() for line in lines)
    assert "estimated" not in repr(explain(sg.RNN(3, 4), torch.randn(5, 2, 3)))


def test_the_html_holds_the_same() -> None:
    page = shown()._repr_html_()
    assert page.count("<tr>") == 1 + 4
    assert "<td>block</td>" in page
    assert "not measured" in page
    assert "x &lt; y" in Explanation("x < y", 1, 1, "float32", "cpu", ())._repr_html_()


def test_the_dict_survives_json() -> None:
    found = shown()
    facts = json.loads(json.dumps(found.to_dict()))
    assert (facts["T"], facts["N"], facts["dtype"], facts["device"]) == (7, 3, "float32", "RTX 4090")
    assert [row["path"] for row in facts["rows"]] == [row.path for row in found]
    assert facts["rows"][0]["plan"]["estimate"]["step_us"] == found[0].step_us
    assert explain(sg.RNN(3, 4), torch.randn(5, 2, 3)).to_dict()["rows"][0]["plan"] is None


TYPES: list[tuple[Any, str]] = [
    (nn.LSTM(3, 4), "rnn must be a layer of seqgrad, got torch.nn's own LSTM; seqgrad.convert_(rnn) turns it"),
    (nn.GRUCell(3, 4), "rnn must be a layer of seqgrad, got torch.nn's own GRUCell; seqgrad.convert_(rnn) turns it"),
    (nn.Sequential(sg.RNN(3, 4)), "rnn must be one layer of seqgrad, got Sequential; pass the layer itself"),
    ("lstm", "rnn must be a layer of seqgrad (RNN, GRU, LSTM, ResidualRNN or one of their cells), got str"),
]


@pytest.mark.parametrize(("module", "message"), TYPES, ids=[type(m).__name__ for m, _ in TYPES])
def test_what_is_no_layer_of_ours_is_a_type_error(module: Any, message: str) -> None:
    with pytest.raises(TypeError, match="^" + re.escape(message)):
        explain(module, torch.randn(5, 2, 3))


def test_the_way_out_that_the_error_names_works() -> None:
    model = nn.LSTM(3, 4)
    assert explain(sg.convert_(model), torch.randn(5, 2, 3))[0].engine == "cpu"


NAMES = ", ".join(map(repr, DEVICES))
WRONG: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (x(5, 2, 3), {"device": "H200X"}, ValueError,
     f"device must be one of {NAMES}, or a seqgrad.explain.CudaDevice with the figures of another, got 'H200X'"),
    (x(5, 2, 3), {"device": 3}, TypeError,
     "device must be a name such as 'H100', a seqgrad.explain.CudaDevice or None, got int"),
    (x(5, 2, 4), {}, ValueError, "x must have 3 features in its last dimension, got shape [5, 2, 4]"),
    (x(3), {}, ValueError, "x must be [T, N, I], or [T, I] for one sample, got 1 dimensions"),
    ([1.0], {}, TypeError, "x must be a Tensor or a PackedSequence, got list"),
    (x(5, 2, 3, dtype=torch.int64), {}, ValueError, "x must be float32, float64, bfloat16 or float16, got torch.int64"),
    (torch.zeros(5, 2, 3), {"lengths": [9, 1]}, ValueError, "lengths[0] = 9 is outside 0..5"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "options", "kind", "message"), WRONG, ids=[m[:40] for *_, m in WRONG])
def test_bad_input_is_named(given: Any, options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match="^" + re.escape(message)):
        explain(sg.RNN(3, 4), given, **options)


def test_a_cell_refuses_what_only_a_layer_knows() -> None:
    with pytest.raises(ValueError, match=r"^lengths= is for layers: a cell runs a single step"):
        explain(sg.GRUCell(3, 4), x(2, 3), lengths=[1, 1])
    with pytest.raises(ValueError, match=r"^x must be a tensor \[N, I\], or \[I\] for one sample, got 3 dimensions"):
        explain(sg.GRUCell(3, 4), x(1, 2, 3))
    with pytest.raises(ValueError, match=r"^lengths= and a PackedSequence both say"):
        packed = pack_padded_sequence(torch.randn(3, 2, 3), torch.tensor([3, 1]))
        explain(sg.GRU(3, 4), packed, lengths=[3, 1])


def test_the_table_of_devices_is_consistent() -> None:
    for name, device in DEVICES.items():
        assert isinstance(device, CudaDevice), name
        spare = device.shared_per_multiprocessor - device.shared_per_block
        assert spare == (0 if device.major == 7 else 1024), name
        assert device.registers_per_multiprocessor == 65536 and device.cooperative_launch, name
    assert DEVICES["H100"].shared_per_block == 232448
    assert DEVICES["A100"].shared_per_block == 166912
    assert DEVICES["RTX 4090"].shared_per_block == DEVICES["RTX 5090"].shared_per_block == 101376
