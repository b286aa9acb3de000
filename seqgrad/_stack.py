"""The layers of a module one after the other, and what lies between them: directions, dropout, final states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqgrad import _both, _ops, _recorder, _rnn_run
from seqgrad._rnn_input import PackedRows, Packing
from seqgrad._rnn_run import Weights

if TYPE_CHECKING:
    from seqgrad.nn import _Layer


def through_layers(
    module: _Layer,
    cell: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Weights],
    lengths: Tensor | None = None,
    packing: Packing | PackedRows | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """``x [T, N, I]``, or packed rows, to the output of the last layer and the final states ``[L * D, N, *]``.

    ``states``: h, or h and c, ``[L * D, N, *]``; none for zeros. ``weights``: of each layer and direction.
    """
    rows = packing if isinstance(packing, PackedRows) else None
    options: dict[str, Any] = {
        "cell": cell, "lengths": lengths, "scale": module.residual_scale, "truncate": module.truncate or 0,
        "state_clip": module.state_clip, "rows": rows,
    }  # fmt: skip
    together = module.bidirectional and _goes_together(module, x, weights)
    step = _both_directions if together else _each_direction
    final: list[Sequence[Tensor | None]] = []  # hn and cn: [2, N, *] of both directions, else of each [1, N, *]
    for layer in range(module.num_layers):
        x, ends = step(module, layer, x, weights, states, options)
        final += ends
        if module.dropout and module.training and layer < module.num_layers - 1:
            x = _drop(x, module.dropout, packing)
    columns: list[tuple[Any, ...]] = [c for c in zip(*final, strict=True) if c[0] is not None]
    if len(final) == 1:
        return x, [c[0] for c in columns]
    return x, [torch.cat(c) for c in columns]


_Ends = list[Sequence[Tensor | None]]


def _each_direction(
    module: _Layer, layer: int, x: Tensor, weights: Sequence[Weights], states: Sequence[Tensor],
    options: dict[str, Any],
) -> tuple[Tensor, _Ends]:  # fmt: skip
    directions, single = 2 if module.bidirectional else 1, len(weights) == 1
    outs: list[Tensor] = []
    ends: _Ends = []
    for d in range(directions):
        k, series = layer * directions + d, f"l{layer}{'_reverse' if d else ''}"
        h0, c0 = [s if single or s is None else s[k : k + 1] for s in (*states, None, None)[:2]]
        out, *state = _rnn_run.run(module, series, x, weights[k], h0, c0, reverse=bool(d), **options)
        if _recorder.on():
            _recorder.watch(
                module, series, cell=options["cell"], x=x, out=out, ends=state, h0=h0, weights=weights[k],
                lengths=options["lengths"], reverse=bool(d),
            )  # fmt: skip
        outs.append(out)
        ends.append(state)
    return outs[0] if directions == 1 else torch.cat(outs, -1), ends


def _goes_together(module: _Layer, x: Tensor, weights: Sequence[Weights]) -> bool:
    """Whether both directions may go in one native call; see ``_both``."""
    if not (_ops.CPU_ENGINE and _rnn_run.plain(x) and x.is_cpu and x.is_floating_point() and module.hidden_size):
        return False
    # Not every kind of tensor (DTensor of torch 2.10) is found in the lists that the call takes.
    return all(w is None or type(w) in (Tensor, torch.nn.Parameter) for group in weights for w in group)


def _both_directions(
    module: _Layer, layer: int, x: Tensor, weights: Sequence[Weights], states: Sequence[Tensor],
    options: dict[str, Any],
) -> tuple[Tensor, _Ends]:  # fmt: skip
    k = 2 * layer
    ahead, back = weights[k : k + 2]
    names = f"l{layer}", f"l{layer}_reverse"
    samples = options["rows"].samples if options["rows"] else x.size(1)
    h0, *more = [s[k : k + 2] for s in states] if states else module._zeros(x, 2, samples)
    recorded, taps = _recorder.on(), None
    if recorded:
        taps = [_rnn_run.tap_for(module, name, x, reverse=name is names[1], **options) for name in names]
    known = {name: value for name, value in options.items() if name != "rows"}
    out, hn, cn = _both.layer(x, ahead, back, h0, more[0] if more else None, taps=taps or (None, None), **known)
    if recorded:
        for name, half, start, own in zip(names, out.detach().chunk(2, dim=-1), h0, (ahead, back), strict=True):
            _recorder.watch(
                module, name, cell=options["cell"], x=x, out=half, ends=(hn, cn), h0=start, weights=own,
                lengths=options["lengths"], reverse=name is names[1],
            )  # fmt: skip
    return out, [(hn, cn)]


def _drop(x: Tensor, probability: float, packing: Packing | PackedRows | None) -> Tensor:
    # On packed rows, as torch.nn does: from one seed both draw the same mask.
    drop = torch.nn.functional.dropout
    return drop(x, probability) if packing is None else packing.pad(drop(packing.pack(x), probability))
