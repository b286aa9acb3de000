"""Bad input at the level of the ops: one clear ValueError that names the argument, what was expected and what came."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from cases import Shape
from problem import make
from torch import Tensor

from seqgrad import _ops

# T=3, N=2, I=4, H=5 everywhere; the replacements, and the whole message behind "seqgrad: ".
CELL_NAMES = "rnn_tanh, rnn_relu, residual_tanh, residual_relu, gru, lstm"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("gru", {"cell": "grru"}, f"cell must be one of {CELL_NAMES}, got 'grru'"),
    ("gru", {"x": torch.zeros(3, 4)}, "input must have shape [T, N, I], got [3, 4]"),
    ("gru", {"x": torch.zeros(0, 2, 4)}, "input must have at least one time step, got shape [0, 2, 4]"),
    (
        "gru",
        {"x": torch.zeros(3, 2, 4, dtype=torch.int64)},
        "input must be float32, float64, bfloat16 or float16, got int64",
    ),
    (
        "gru",
        {"x": torch.zeros(3, 2, 4, dtype=torch.bool)},
        "input must be float32, float64, bfloat16 or float16, got another dtype",
    ),
    ("gru", {"x": torch.zeros(3, 2, 7)}, "w_ih must have shape [15, 7], got [15, 4]"),
    ("gru", {"w_hh": torch.zeros(5)}, "w_hh must have shape [G*H, P], got [5]"),
    ("gru", {"w_hh": torch.zeros(2, 5)}, "w_hh must have shape [3*H, P], got [2, 5]"),
    ("gru", {"w_hh": torch.zeros(15, 4)}, "w_hh must have shape [3*H, H], got [15, 4]"),
    ("gru", {"w_hh": torch.zeros(16, 5)}, "w_hh must have shape [15, 5], got [16, 5]"),
    ("gru", {"w_hh": torch.zeros(15, 5).double()}, "w_hh must be float32, got float64"),
    ("gru", {"w_ih": torch.zeros(14, 4)}, "w_ih must have shape [15, 4], got [14, 4]"),
    ("gru", {"w_ih": torch.zeros(15, 4).half()}, "w_ih must be float32, got float16"),
    ("gru", {"b_ih": torch.zeros(5)}, "b_ih must have shape [15], got [5]"),
    ("gru", {"b_hh": torch.zeros(15, 1)}, "b_hh must have shape [15], got [15, 1]"),
    ("gru", {"b_hh": torch.zeros(15).bfloat16()}, "b_hh must be float32, got bfloat16"),
    ("gru", {"h0": torch.zeros(1, 3, 5)}, "h0 must have shape [1, 2, 5], got [1, 3, 5]"),
    ("gru", {"h0": torch.zeros(5)}, "h0 must have shape [2, 5], got [5]"),
    ("gru", {"h0": torch.zeros(3, 5)}, "h0 must have shape [2, 5], got [3, 5]"),
    ("gru", {"h0": torch.zeros(2, 5).int()}, "h0 must be float32, got int32"),
    ("gru", {"c0": torch.zeros(2, 5)}, "c0 must be given for LSTM and only there"),
    ("gru", {"w_hr": torch.zeros(3, 5)}, "w_hr (proj_size) is for LSTM only"),
    ("lstm", {"c0": None}, "c0 must be given for LSTM and only there"),
    ("lstm", {"c0": torch.zeros(2, 4)}, "c0 must have shape [2, 5], got [2, 4]"),
    ("lstm", {"c0": torch.zeros(1, 2, 5)}, "c0 must have shape [2, 5], got [1, 2, 5]"),
    ("lstm", {"h0": None}, "c0 must be given for LSTM and only there"),
    ("lstm", {"w_hr": torch.zeros(3, 5)}, "w_hr must have shape [5, 5], got [3, 5]"),
    ("lstm", {"w_hh": torch.zeros(20, 3)}, "w_hh must have shape [4*H, H], got [20, 3]"),
    ("gru", {"tap": torch.zeros(2, 3, 3)}, "tap must have shape [2, 3, 2], got [2, 3, 3]"),
    ("lstm", {"tap": torch.zeros(2, 3, 2)}, "tap must have shape [3, 3, 2], got [2, 3, 2]"),
    ("gru", {"tap": torch.zeros(2, 3, 2).double()}, "tap must be float32, got float64"),
    ("gru", {"lengths": torch.tensor([3, 3, 3])}, "lengths must have shape [2], got [3]"),
    ("gru", {"lengths": torch.tensor([3, 2], dtype=torch.int32)}, "lengths must be int64, got int32"),
    ("gru", {"lengths": torch.tensor([3.0, 2.0])}, "lengths must be int64, got float32"),
    (
        "gru",
        {"lengths": torch.tensor([3, 4])},
        "lengths must lie between 0 and the number of time steps 3, got 4 for sample 1",
    ),
    (
        "gru",
        {"lengths": torch.tensor([-1, 3])},
        "lengths must lie between 0 and the number of time steps 3, got -1 for sample 0",
    ),
    ("gru", {"truncate": -2}, "truncate must be 0 (off) or a positive number of steps, got -2"),
]


def arguments(cell: str) -> dict[str, Any]:
    problem = make(cell, Shape(3, 2, 4, 5)).to(torch.float32)
    return {**problem.tensors, "cell": cell}


@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("cell", "wrong", "message"), WRONG, ids=[f"{c}-{m[:40]}" for c, _, m in WRONG])
def test_forward_names_what_is_wrong(cell: str, wrong: dict[str, Any], message: str, grad: bool) -> None:
    given = {**arguments(cell), **wrong}
    if grad:
        given["w_ih"] = given["w_ih"].requires_grad_()
    with pytest.raises(ValueError, match="^" + re.escape("seqgrad: " + message) + "$"):
        _ops.layer(**given)


@pytest.mark.parametrize("name", ["x", "w_ih", "w_hh", "b_ih", "b_hh", "h0", "c0", "lengths"])
def test_one_tensor_on_another_device_is_named(name: str) -> None:
    """The meta device stands for any other: half a model was materialised."""
    given = {**arguments("lstm"), "lengths": torch.tensor([3, 1])}
    given[name] = given[name].to("meta")
    who = "w_ih" if name == "x" else name  # the input sets the device
    with pytest.raises(ValueError, match=f"^seqgrad: {who} must be on the same device as the input"):
        _ops.layer(**given)


def test_state_clip_of_another_kind_is_a_type_error() -> None:
    message = "state_clip must be None, seqgrad.clip.Norm or seqgrad.clip.Value, got float"
    with pytest.raises(TypeError, match="^" + re.escape(message) + "$"):
        _ops.layer(**arguments("gru"), state_clip=1.0)  # type: ignore[arg-type]


def test_the_raw_op_checks_the_kind_of_clip() -> None:
    with pytest.raises(ValueError, match=r"^seqgrad: state_clip must be none, norm or value, got 'both'$"):
        torch.ops.seqgrad.forward(*raw()[:12], 1.0, "both", 1.0, 0, False)


@pytest.mark.parametrize("code", [-1, 255, 3 << 9])
def test_the_eager_op_checks_its_code(code: int) -> None:
    with pytest.raises(ValueError, match=rf"^seqgrad: code holds no cell and clip, got {code}$"):
        torch.ops.seqgrad.eager(*raw()[:9], code, 1.0, 0.0, False)


def test_a_graph_takes_states_without_a_further_axis() -> None:
    """What it returns is [N, *], as its fake kernel says."""
    args = raw("gru")
    args[6] = args[6].unsqueeze(0)
    with pytest.raises(ValueError, match=re.escape("h0 must have shape [2, 5], got [1, 2, 5]")):
        torch.ops.seqgrad.forward(*args)


def raw(cell: str = "lstm") -> list[Any]:
    """The positional arguments of torch.ops.seqgrad.forward."""
    t = arguments(cell)
    tensors = [t[k] for k in ("x", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "h0", "c0")]
    return [*tensors, None, None, cell, False, 1.0, "none", 0.0, 0, True]


BACKWARD: list[tuple[int, Tensor, str]] = [
    (0, torch.zeros(3, 2, 4), "grad_out must have shape [3, 2, 5], got [3, 2, 4]"),
    (0, torch.zeros(3, 2, 5).double(), "grad_out must be float32, got float64"),
    (1, torch.zeros(2, 4), "grad_hn must have shape [2, 5], got [2, 4]"),
    (2, torch.zeros(5), "grad_cn must have shape [2, 5], got [5]"),
    (3, torch.zeros(2, 2, 5), "out must have shape [3, 2, 5], got [2, 2, 5]"),
    (4, torch.zeros(0), "saved must have shape [3, 2, 5, 5], got [0]"),
    (4, torch.zeros(3, 2, 5, 5).double(), "saved must be float32, got float64"),
    (5, torch.zeros(3, 2, 3), "w_ih must have shape [20, 3], got [20, 4]"),
]


@pytest.mark.parametrize(("place", "wrong", "message"), BACKWARD, ids=[m[:40] for _, _, m in BACKWARD])
def test_backward_names_what_is_wrong(place: int, wrong: Tensor, message: str) -> None:
    args = raw()
    out, hn, cn, saved = torch.ops.seqgrad.forward(*args)
    given = [torch.ones_like(out), torch.ones_like(hn), torch.ones_like(cn), out, saved]
    given += [*args[:9], *args[10:16], True, True, True]
    assert torch.ops.seqgrad.backward(*given)[0].shape == (3, 2, 4)
    given[place] = wrong
    with pytest.raises(ValueError, match="^" + re.escape("seqgrad: " + message) + "$"):
        torch.ops.seqgrad.backward(*given)


def test_a_backward_without_a_saving_forward_is_refused() -> None:
    args = raw("gru")
    out, hn, _, saved = torch.ops.seqgrad.forward(*args[:-1], False)
    with pytest.raises(ValueError, match=re.escape("saved must have shape [3, 2, 4, 5], got [0]")):
        torch.ops.seqgrad.backward(out, hn, None, out, saved, *args[:9], *args[10:16], True, True, False)
