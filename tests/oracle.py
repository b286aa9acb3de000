"""How close is close enough: one rule for the whole suite.

The ratio rule: against an oracle in float64, our error may be at most ``k`` times the error that torch.nn itself
makes in the same dtype, plus a floor of a few units in the last place of the value scale.
"""

from __future__ import annotations

import torch
from torch import Tensor


def assert_within_ratio(
    ours: Tensor, peer: Tensor, exact: Tensor, *, k: float = 4.0, ulps: float = 16.0, what: str = "value"
) -> None:
    """Fail, naming the worst element, unless ``|ours - exact| <= k max|peer - exact| + ulps eps max|exact|``.

    ``ours`` and ``peer`` are in the dtype under test, ``exact`` in float64. NaN and Inf must sit where ``exact`` has
    them, with the same sign. The peer's NaN, where the oracle is finite, grants nothing.
    """
    assert ours.shape == exact.shape == peer.shape, f"{what}: shapes {ours.shape}, {peer.shape}, {exact.shape}"
    assert ours.dtype == peer.dtype, f"{what}: dtype {ours.dtype}, torch.nn gives {peer.dtype}"
    if exact.numel() == 0:
        return
    eps = torch.finfo(ours.dtype).eps
    ours, peer, exact = (t.detach().double() for t in (ours, peer, exact))
    wrong = _odd(ours, exact)
    if bool(wrong.any()):
        _fail(what, wrong.double(), ours, peer, exact, "NaN or Inf where the oracle has none, or the other way round")
    finite = exact.isfinite()
    if not bool(finite.any()):
        return
    error = torch.where(finite, (ours - exact).abs(), 0.0)
    peer_error = float(torch.where(finite & peer.isfinite(), (peer - exact).abs(), 0.0).max())
    limit = k * peer_error + ulps * eps * float(exact[finite].abs().max())
    if float(error.max()) > limit:
        _fail(what, error, ours, peer, exact, f"error above {limit:.3g} (torch.nn's own: {peer_error:.3g})")


def assert_close(ours: Tensor, exact: Tensor, *, ulps: float = 64.0, what: str = "value") -> None:
    """Fail, naming the worst element, unless ``ours`` is within ``ulps`` units in the last place of the value scale."""
    assert_within_ratio(ours, exact.to(ours.dtype), exact.double(), k=0.0, ulps=ulps, what=what)


def _odd(ours: Tensor, exact: Tensor) -> Tensor:
    nan = ours.isnan() != exact.isnan()
    inf = (ours.isinf() | exact.isinf()) & (ours != exact) & ~exact.isnan()
    return nan | inf


def _fail(what: str, badness: Tensor, ours: Tensor, peer: Tensor, exact: Tensor, why: str) -> None:
    flat = int(badness.argmax())
    place = [int(i) for i in torch.unravel_index(torch.tensor(flat), badness.shape)]
    mine, theirs, truth = (float(t.flatten()[flat]) for t in (ours, peer, exact))
    raise AssertionError(f"{what}{place}: {mine!r}, oracle {truth!r}, torch.nn {theirs!r}: {why}")
