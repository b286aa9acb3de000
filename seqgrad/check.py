"""check_grads: the loop over the parameters that every recipe for exploding gradients has, as one call."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqgrad._finding import Finding, worst_first
from seqgrad._finding_text import said
from seqgrad._parameters import whole
from seqgrad._rules_check import above_zero
from seqgrad._rules_gradient import CLIP
from seqgrad._watch import gather


@torch.no_grad()
def check_grads(model: nn.Module, max_norm: float = 100.0) -> list[Finding]:
    """What is wrong with the gradients that the parameters hold now: NaN, Inf, a norm above ``max_norm``.

    Call it after ``backward`` and before ``zero_grad``. It looks at every parameter of any model, needs no seqgrad
    layer, and waits for the device once. For the timestep at which it began use :func:`seqgrad.record`. Gradients that
    ``fully_shard`` has spread over several processes are judged whole: every process calls it.

    Returns:
        One :class:`~seqgrad.rules.Finding` (rule NonFinite or Exploding) per parameter that is wrong, NonFinite first,
        ``module`` and ``series`` being the module and the parameter in it; empty if all is well.

    Raises:
        TypeError, ValueError: bad arguments, or no parameter holds a gradient.

    Example:
        >>> import torch, seqgrad as sg
        >>> layer = torch.nn.Linear(2, 1)
        >>> layer(torch.full((1, 2), 300.0)).sum().backward()
        >>> [(f.rule, f.series, round(f.value)) for f in sg.check_grads(layer)]
        [('Exploding', 'weight', 424)]
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}; pass the model")
    above_zero("max_norm", max_norm)
    named = [(name, _values(p.grad)) for name, p in model.named_parameters() if p.grad is not None]
    if not named:
        raise ValueError(
            "no parameter of the model holds a gradient: call check_grads after backward, before zero_grad"
        )
    figures = [torch.stack(list(map(whole, (_norm(g), g.isnan().sum(), g.isinf().sum())))) for _, g in named]
    findings = []
    for (name, grad), row in zip(named, gather(figures), strict=True):
        norm, nan, inf = row.tolist()
        finding = _judge(name, grad.numel(), norm, int(nan), int(inf), float(max_norm))
        if finding:
            findings.append(finding)
    return worst_first(sorted(findings, key=lambda finding: finding.rule != "NonFinite"))


def _values(grad: Tensor) -> Tensor:
    return grad.coalesce().values() if grad.is_sparse else grad


def _norm(grad: Tensor) -> Tensor:
    """L2 norm that does not overflow where the gradient's dtype would."""
    if grad.is_complex():
        grad = torch.view_as_real(grad)
    wide = torch.float32 if grad.device.type == "mps" else torch.float64
    return torch.linalg.vector_norm(grad, dtype=wide)


def _judge(name: str, size: int, norm: float, nan: int, inf: int, max_norm: float) -> Finding | None:
    module, _, parameter = name.rpartition(".")
    if nan or inf:
        rule, value, limit = "NonFinite", math.nan if nan else math.inf, math.inf
        text = said("NonFinite.elements", nan=nan, inf=inf, size=size)
        action = 'seqgrad.clip.grad_norm_(model.parameters(), 1.0, nonfinite="skip")'
    elif norm > max_norm:
        rule, value, limit, text, action = "Exploding", norm, max_norm, said("Exploding.parameter"), CLIP
    else:
        return None
    return Finding(
        rule, "error", None, module, parameter, None, value, limit, "", action=action, case=text.case, facts=text.facts
    )
