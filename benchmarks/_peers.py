"""What else a user could run: the loop over timesteps in torch, jax's scan, onnxruntime. The same weights and data.

Every peer answers like torch.nn's layer before it is timed (:func:`check`), and runs as fast as we know how to make it:
the loop has its input projected for all timesteps at once and unbound, jax is compiled and runs the same way.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import torch
from _shapes import Shape
from torch import Tensor, nn

NAMES = ("torch", "loop", "jax", "onnxruntime")
Call = Callable[[], object]


def available(name: str, mode: str, cell: str) -> bool:
    """Whether this peer takes part: installed, and made for the mode and the cell."""
    if name == "loop":
        return mode == "train"
    if name == "onnxruntime":
        return mode == "infer" and cell in _ONNX_OPS and all(map(importlib.util.find_spec, ("onnx", "onnxruntime")))
    return name == "torch" or importlib.util.find_spec(name) is not None


def keep_to(threads: int) -> None:
    """Hold this process to so many cores: jax takes every core it is allowed, whatever torch was told."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    torch.set_num_threads(threads)


def build(name: str, cell: str, layer: nn.RNNBase, x: Tensor, shape: Shape, mode: str) -> tuple[Call, Call]:
    """``(call, output)``: what is timed, and the layer's output as a numpy array ``[T, N, H]`` or tensor for the check.

    Args:
        name: ``"loop"``, ``"jax"`` or ``"onnxruntime"``.
        cell: ``"rnn"``, ``"residual"``, ``"gru"`` or ``"lstm"``.
        layer: torch.nn's, with the weights.
        x: ``[T, N, I]``.
        shape: of the problem.
        mode: ``"infer"`` or ``"train"``.
    """
    return {"loop": _loop, "jax": _jax, "onnxruntime": _onnxruntime}[name](cell, layer, x, shape, mode)


# -- the loop ----------------------------------------------------------------------------------------------------------
def _loop(cell: str, layer: nn.RNNBase, x: Tensor, shape: Shape, mode: str) -> tuple[Call, Call]:
    """The only other way to the norm of dL/dh_t: torch's cells unrolled, every state kept with ``retain_grad``."""
    weights = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    x = x.detach().clone().requires_grad_()
    limits = shape.lengths
    masks = None if limits is None else [(limits > t).unsqueeze(1) for t in range(shape.T)]

    def states() -> list[Tensor]:
        w_ih, w_hh, b_ih, b_hh = weights
        h = c = x.new_zeros(shape.N, shape.H)
        found = []
        for t, wx in enumerate(nn.functional.linear(x, w_ih, b_ih).unbind(0)):
            new, new_c = _torch_cell(cell, wx, nn.functional.linear(h, w_hh, b_hh), h, c)
            if masks is not None:
                new, new_c = torch.where(masks[t], new, h), torch.where(masks[t], new_c, c)
            h, c = new, new_c
            h.retain_grad()
            found.append(h)
        return found

    def call() -> None:
        found = states()
        torch.stack(found).sum().backward()
        torch.linalg.vector_norm(torch.stack([h.grad for h in found if h.grad is not None]), dim=2)
        x.grad = None
        for p in weights:
            p.grad = None

    return call, lambda: torch.stack(states()).detach()


def _torch_cell(cell: str, wx: Tensor, wh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    if cell == "rnn":
        return torch.tanh(wx + wh), c
    if cell == "residual":
        return h + torch.tanh(wx + wh), c
    if cell == "gru":
        xr, xz, xn = wx.chunk(3, 1)
        hr, hz, hn = wh.chunk(3, 1)
        z = torch.sigmoid(xz + hz)
        n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        return n + z * (h - n), c
    i, f, g, o = (wx + wh).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


# -- jax ---------------------------------------------------------------------------------------------------------------
def _jax(cell: str, layer: nn.RNNBase, x: Tensor, shape: Shape, mode: str) -> tuple[Call, Call]:
    import jax
    import jax.numpy as jnp

    w_ih, w_hh, b_ih, b_hh = (jnp.asarray(p.detach().numpy()) for p in layer.parameters())
    data = jnp.asarray(x.detach().numpy())
    limits = None if shape.lengths is None else jnp.asarray(shape.lengths.numpy())

    def step(w_hh_t: Any, b_hh: Any, carry: Any, at: Any) -> tuple[Any, Any]:
        (h, c), (wx, t) = carry, at
        wh = h @ w_hh_t + b_hh
        if cell == "rnn":
            new, new_c = jnp.tanh(wx + wh), c
        elif cell == "residual":
            new, new_c = h + jnp.tanh(wx + wh), c
        elif cell == "gru":
            xr, xz, xn = jnp.split(wx, 3, 1)
            hr, hz, hn = jnp.split(wh, 3, 1)
            z = jax.nn.sigmoid(xz + hz)
            n = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
            new, new_c = n + z * (h - n), c
        else:
            i, f, g, o = jnp.split(wx + wh, 4, 1)
            new_c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            new = jax.nn.sigmoid(o) * jnp.tanh(new_c)
        if limits is not None:
            inside = (t < limits)[:, None]
            new, new_c = jnp.where(inside, new, h), jnp.where(inside, new_c, c)
        return (new, new_c), new

    def forward(weights: Any, x: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh = weights
        zero = jnp.zeros((shape.N, shape.H), x.dtype)
        wx = x @ w_ih.T + b_ih
        w_hh_t = w_hh.T
        _, out = jax.lax.scan(lambda carry, at: step(w_hh_t, b_hh, carry, at), (zero, zero), (wx, jnp.arange(shape.T)))
        return out

    weights = (w_ih, w_hh, b_ih, b_hh)
    fast = jax.jit(forward)
    if mode == "infer":
        return lambda: fast(weights, data).block_until_ready(), lambda: fast(weights, data)
    gradient = jax.jit(jax.grad(lambda weights, x: forward(weights, x).sum(), argnums=(0, 1)))
    return lambda: jax.block_until_ready(gradient(weights, data)), lambda: fast(weights, data)


# -- onnxruntime -------------------------------------------------------------------------------------------------------
_ONNX_OPS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
_ONNX_GATES = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}  # onnx' z r h and i o f c, in torch's numbers


def _onnxruntime(cell: str, layer: nn.RNNBase, x: Tensor, shape: Shape, mode: str) -> tuple[Call, Call]:
    import numpy
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    def ordered(p: Tensor) -> Any:
        blocks = p.detach().numpy().reshape(len(_ONNX_GATES[cell]), shape.H, -1)
        return blocks[list(_ONNX_GATES[cell])].reshape(-1, *p.shape[1:])

    w_ih, w_hh, b_ih, b_hh = (ordered(p) for p in layer.parameters())
    constants = {"W": w_ih[None], "R": w_hh[None], "B": numpy.concatenate([b_ih, b_hh])[None]}
    inputs = ["x", "W", "R", "B"]
    if shape.lengths is not None:
        constants["lengths"] = shape.lengths.numpy().astype(numpy.int32)
        inputs.append("lengths")
    options: dict[str, Any] = {"linear_before_reset": 1} if cell == "gru" else {}
    node = helper.make_node(_ONNX_OPS[cell], inputs, ["y"], hidden_size=shape.H, **options)
    kinds = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], cell, [helper.make_tensor_value_info("x", kinds, [shape.T, shape.N, shape.I])],
        [helper.make_tensor_value_info("y", kinds, [shape.T, 1, shape.N, shape.H])],
        [numpy_helper.from_array(numpy.ascontiguousarray(v), k) for k, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = torch.get_num_threads(), 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    feed = {"x": x.detach().numpy()}
    return lambda: session.run(None, feed), lambda: session.run(None, feed)[0][:, 0]


# The states of a residual layer grow and its rounding errors with them: after many steps two correct layers differ.
_SAME_FOR = 30


# -- check -------------------------------------------------------------------------------------------------------------
def check(name: str, output: Call, expected: Tensor, shape: Shape) -> None:
    """Stop the benchmark if the peer computes something else."""
    import numpy

    found = torch.as_tensor(numpy.array(output()))[:_SAME_FOR]
    expected = expected[:_SAME_FOR]
    if shape.lengths is not None:
        inside = (torch.arange(len(found)).unsqueeze(1) < shape.lengths).unsqueeze(2)
        found, expected = torch.where(inside, found, 0.0), torch.where(inside, expected, 0.0)
    try:
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    except AssertionError as error:
        raise SystemExit(f"{name} computes another layer than torch.nn at {shape}:\n{error}") from None
