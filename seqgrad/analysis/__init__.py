"""How information and gradients travel through a recurrent layer, in numbers.

Every function takes a layer of seqgrad or torch.nn and one batch, and works on one layer and direction
(``layer="l0"``, ``"l0_reverse"``, ``"l1"`` ...). Nothing here trains, records or changes the layer.
"""

from __future__ import annotations

from seqgrad.analysis._deltas import contribution
from seqgrad.analysis._flow import InformationFlow, information_flow
from seqgrad.analysis._gates import Gates, GateStatistics, gate_statistics, gates
from seqgrad.analysis._jacobians import product_norms, products, singular_values, spectral_radius, step_jacobians
from seqgrad.analysis._lyapunov import Lyapunov, lyapunov

__all__ = [
    "GateStatistics",
    "Gates",
    "InformationFlow",
    "Lyapunov",
    "contribution",
    "gate_statistics",
    "gates",
    "information_flow",
    "lyapunov",
    "product_norms",
    "products",
    "singular_values",
    "spectral_radius",
    "step_jacobians",
]
