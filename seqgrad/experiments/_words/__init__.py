"""Everything the experiments say, a module each: ``CLAIMS`` where something is claimed, ``TEXTS`` in both languages.

Tolerances of claims come from at least five seeds of each experiment, with room to spare; closed forms have tight ones.
A module's texts are named after their experiment: ``name.X``, ``X.KIND.caption``, ``X.KIND.alt`` for each figure.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from seqgrad.experiments._word import Text
from seqgrad.experiments.claims import Spec


def _modules() -> list[ModuleType]:
    return [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]


@cache
def texts() -> dict[str, Text]:
    """All texts by key."""
    return {key: text for module in _modules() for key, text in module.TEXTS.items()}


@cache
def specs() -> dict[str, Spec]:
    """All claims by id: those of the lesson in its order, then the others."""
    table = [spec for module in _modules() for spec in getattr(module, "CLAIMS", ())]
    table.sort(key=lambda spec: (spec.line is None, spec.line or 0))
    return {spec.id: spec for spec in table}
