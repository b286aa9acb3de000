"""What a gate has to say: a finding names the gate, the kernel, the architectures and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Kernel(NamedTuple):
    """A kernel of a source file, e.g. ``Kernel("step.cu", "forward_kernel<float>")``."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source} {self.name}"


class Finding(NamedTuple):
    """One broken law at one place; ``architecture`` 0: at all or none."""

    gate: str
    subject: str
    message: str
    architecture: int = 0


def lines(findings: Iterable[Finding], named: int = 3) -> list[str]:
    """Findings as sorted lines; those that differ in the architecture, or in the kernel of one file, share one.

    Example:
        >>> lines([Finding("spill", "a.cu k", "8 bytes", 80), Finding("spill", "a.cu k", "8 bytes", 75)])
        ['spill: a.cu k: 8 bytes (sm_75 sm_80)']
    """
    places: dict[tuple[str, str, str], set[int]] = {}
    for finding in findings:
        places.setdefault(finding[:3], set()).add(finding.architecture)
    alike: dict[tuple[str, str, str, tuple[int, ...]], list[str]] = {}
    for (gate, subject, message), found in sorted(places.items()):
        source, _, kernel = subject.partition(" ")
        alike.setdefault((gate, source, message, tuple(sorted(found))), []).append(kernel)
    text = []
    for (gate, source, message, architectures), kernels in sorted(alike.items()):
        more = f" and {len(kernels) - named} more" if len(kernels) > named else ""
        subject = f"{source} {', '.join(kernels[:named])}".rstrip() + more
        where = " ".join(f"sm_{a}" for a in architectures if a)
        text.append(f"{gate}: {subject}: {message}" + (f" ({where})" if where else ""))
    return text
