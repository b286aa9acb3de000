"""The engine's forward op in ONNX's operators. The only module that imports onnxscript; see :mod:`seqgrad.onnx`.

T time, N batch, I input, H hidden, G gates. ONNX's recurrent operators carry an axis of directions, of size 1 here: a
layer of two directions is two operators whose outputs are joined, as it is two calls of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnxscript
from onnxscript import BOOL, FLOAT, graph, ir, opset18, script

op: Any = opset18

_FUNCTIONS: Any = onnxscript.values.Opset("seqgrad", 1)
# Gates of torch (LSTM i, f, g, o; GRU r, z, n) in the order of ONNX (i, o, f, c; z, r, h).
_GATES = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}
_OPERATORS = {"lstm": op.LSTM, "gru": op.GRU, "rnn_tanh": op.RNN, "rnn_relu": op.RNN}
_ACTIVATIONS = {"rnn_tanh": ["Tanh"], "rnn_relu": ["Relu"]}


def forward(
    x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, h0: Any, c0: Any, lengths: Any, tap: Any, cell: str,
    reverse: bool, scale: float, clip: str, clip_limit: float, truncate: int, save: bool,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """Translate one call: values of the graph in, ``out, hn, cn, saved`` out; the last, and cn of no LSTM, are empty.

    ``clip`` and ``truncate`` act in backwards only, which ONNX has none of.
    """
    if w_hr is not None:
        raise NotImplementedError(
            "ONNX's LSTM operator has no projection, so seqgrad.LSTM(proj_size=...) cannot be exported to it. Train it "
            "without proj_size, or deploy it with torch.export and AOTInductor, which keep it"
        )
    if cell.startswith("residual"):
        out, hn = _residual(x, w_ih, w_hh, b_ih, b_hh, h0, lengths, cell, reverse, scale)
        return out, hn, _empty(x), _empty(x)
    w, r, b = _weight(cell, w_ih), _weight(cell, w_hh), None
    if b_ih is not None:
        b = op.Concat(_weight(cell, b_ih), _weight(cell, b_hh), axis=1)
    options: dict[str, Any] = {"hidden_size": w_hh.shape[1], "direction": "reverse" if reverse else "forward"}
    if cell == "gru":
        options["linear_before_reset"] = 1  # r * (W_hn h + b_hn), as in torch
    if cell in _ACTIVATIONS:
        options["activations"] = _ACTIVATIONS[cell]
    steps = None if lengths is None else op.Cast(lengths, to=ir.DataType.INT32.value)
    starts = [op.Unsqueeze(state, [0]) for state in (h0, c0) if state is not None]
    found, *ends = _OPERATORS[cell](x, w, r, b, steps, *starts, **options)
    out = op.Squeeze(found, [1])
    hn, *cn = [op.Squeeze(end, [0]) for end in ends]
    if lengths is not None:  # of a sample without any step the operator loses the state
        never = op.Unsqueeze(op.Equal(lengths, 0), [1])
        hn, cn = op.Where(never, h0, hn), [op.Where(never, c0, end) for end in cn]
    return out, hn, cn[0] if cn else _empty(x), _empty(x)


def _weight(cell: str, weight: Any) -> Any:
    """``[G*H, *]`` to ``[1, G*H, *]``, gates in ONNX's order."""
    rows, *rest = weight.shape
    if cell in _GATES:
        order = _GATES[cell]
        weight = op.Gather(op.Reshape(weight, [len(order), rows // len(order), *rest]), order, axis=0)
    return op.Reshape(weight, [1, rows, *rest])


def _empty(like: Any) -> Any:
    return op.CastLike(op.Constant(value=ir.tensor([], dtype=ir.DataType.FLOAT)), like)


# -- residual cells: ONNX has no operator for them, so they loop -------------------------------------------------------
def _residual(
    x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h0: Any, lengths: Any, cell: str, reverse: bool, scale: float
) -> tuple[Any, Any]:
    wx = op.MatMul(x, op.Transpose(w_ih, perm=[1, 0]))
    if b_ih is not None:
        wx = op.Add(wx, op.Add(b_ih, b_hh))
    steps = op.Shape(x, start=0, end=1)
    ends = steps if lengths is None else lengths
    times = op.Range(0, op.Squeeze(steps, [0]), 1)
    alive = op.Unsqueeze(op.Less(op.Unsqueeze(times, [1]), op.Unsqueeze(ends, [0])), [2])
    loop = _residual_relu if cell == "residual_relu" else _residual_tanh
    return loop(
        wx, alive, op.Transpose(w_hh, perm=[1, 0]), h0, scale=scale, order=[int(reverse)] * 2, order_out=[int(reverse)]
    )


@script(_FUNCTIONS, default_opset=op)
def _residual_tanh(
    wx: FLOAT, alive: BOOL, w: FLOAT, h0: FLOAT, scale: float, order: Sequence[int], order_out: Sequence[int]
) -> tuple[FLOAT, FLOAT]:
    size = op.CastLike(op.Constant(value_float=scale), h0)

    @graph()
    def step(h: Any, wx_t: Any, alive_t: Any) -> Any:
        new = h + size * op.Tanh(wx_t + op.MatMul(h, w))
        return op.Where(alive_t, new, h), op.Where(alive_t, new, op.CastLike(0.0, new))

    hn, out = op.Scan(
        h0, wx, alive, body=step, num_scan_inputs=2, scan_input_directions=order, scan_output_directions=order_out
    )
    return out, hn


@script(_FUNCTIONS, default_opset=op)
def _residual_relu(
    wx: FLOAT, alive: BOOL, w: FLOAT, h0: FLOAT, scale: float, order: Sequence[int], order_out: Sequence[int]
) -> tuple[FLOAT, FLOAT]:
    size = op.CastLike(op.Constant(value_float=scale), h0)

    @graph()
    def step(h: Any, wx_t: Any, alive_t: Any) -> Any:
        new = h + size * op.Relu(wx_t + op.MatMul(h, w))
        return op.Where(alive_t, new, h), op.Where(alive_t, new, op.CastLike(0.0, new))

    hn, out = op.Scan(
        h0, wx, alive, body=step, num_scan_inputs=2, scan_input_directions=order, scan_output_directions=order_out
    )
    return out, hn
