"""How information and gradients travel through a recurrent layer, in numbers.

Every function takes a layer of seqgrad or torch.nn and one batch, and works on one layer and direction
(``layer="l0"``, ``"l0_reverse"``, ``"l1"`` ...). Nothing here trains, records or changes the layer.
"""

from __future__ import annotations

from seqgrad.analysis._gates import Gates, GateStatistics, gate_statistics, gates

__all__ = ["GateStatistics", "Gates", "gate_statistics", "gates"]
