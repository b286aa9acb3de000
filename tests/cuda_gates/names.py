"""Names of kernels as people write them: without the namespaces of the project and without parameters."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable

from .toolkit import ToolkitError

_NAMESPACES = re.compile(r"\b(?:seqgrad::)(?:cuda::)?|\(anonymous namespace\)::")


def without_parameters(name: str) -> str:
    """``name`` up to the parenthesis that its last one closes."""
    depth = 0
    for index in range(len(name) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(name[index], 0)
        if name[index] == "(" and depth == 0:
            return name[:index]
    return name


def short(demangled: str) -> str:
    """Example:
    >>> short("void seqgrad::cuda::forward_kernel<__half, seqgrad::Gru>(seqgrad::cuda::Params)")
    'forward_kernel<__half, Gru>'
    """
    name = _NAMESPACES.sub("", without_parameters(demangled) if demangled.endswith(")") else demangled)
    return re.sub(r"^void ", "", name).replace("> >", ">>")


def readable(mangled: Iterable[str]) -> dict[str, str]:
    """The short name of each mangled one.

    Raises:
        ToolkitError: there is no c++filt (binutils; every g++ needs them).
    """
    symbols = list(mangled)
    if not symbols:
        return {}
    if (tool := shutil.which("c++filt")) is None:
        raise ToolkitError("c++filt is not installed (Debian, Ubuntu: apt install binutils)")
    said = subprocess.run([tool], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    return dict(zip(symbols, map(short, said.splitlines()), strict=True))
