"""CUDA devices by name, for planning where there is none: ``seqgrad.explain(rnn, x, device="H100")``, tests, roofline.

Shared memory, registers and cooperative launch follow from the compute capability (CUDA C++ Programming Guide, table of
technical specifications per compute capability: 64, 164, 100, 228, 228 and 100 KiB per multiprocessor for 7.5, 8.0,
8.6 and 8.9, 9.0, 10.0, and 12.0; a block may take 1 KiB less, on 7.5 all of it). Multiprocessors and L2 cache are those
of the product; each row says where they stand.
"""

from __future__ import annotations

from seqgrad._ext import CudaDevice

_SHARED = {  # compute capability: KiB per multiprocessor, KiB that one block may opt in to
    (7, 5): (64, 64), (8, 0): (164, 163), (8, 6): (100, 99), (8, 9): (100, 99), (9, 0): (228, 227),
    (10, 0): (228, 227), (12, 0): (100, 99),
}  # fmt: skip


def _device(capability: tuple[int, int], multiprocessors: int, l2_mib: float) -> CudaDevice:
    per_multiprocessor, per_block = _SHARED[capability]
    return CudaDevice(
        major=capability[0],
        minor=capability[1],
        multiprocessors=multiprocessors,
        shared_per_block=per_block * 1024,
        shared_per_multiprocessor=per_multiprocessor * 1024,
        registers_per_multiprocessor=65536,
        l2_bytes=int(l2_mib * 2**20),
        cooperative_launch=True,
    )


DEVICES: dict[str, CudaDevice] = {
    "T4": _device((7, 5), 40, 4),  # Turing white paper, appendix on the T4: 2560 cores, 64 each; 4 MB L2
    "A100": _device((8, 0), 108, 40),  # Ampere white paper: 108 multiprocessors, 40 MB L2
    "RTX 3090": _device((8, 6), 82, 6),  # Ampere GA102 white paper: 82 multiprocessors, 6 MB L2
    "L4": _device((8, 9), 58, 48),  # L4 data sheet: 7424 cores, 128 each; 48 MB L2
    "RTX 4090": _device((8, 9), 128, 72),  # Ada white paper: 128 multiprocessors, 72 MB L2
    "H100": _device((9, 0), 132, 50),  # Hopper white paper, SXM5: 132 multiprocessors, 50 MB L2
    "H100 1g.10gb": _device((9, 0), 16, 6.25),  # MIG guide: a seventh of the multiprocessors, an eighth of the L2
    "B200": _device((10, 0), 148, 126),  # Blackwell: 148 multiprocessors, 126 MB L2 as devices report them
    "RTX 5090": _device((12, 0), 170, 96),  # RTX Blackwell white paper: 170 multiprocessors, 96 MB L2
}


def named(name: str) -> CudaDevice:
    """The row ``name`` of the table.

    Raises:
        ValueError: there is none; the message lists the names.

    Example:
        >>> named("H100").multiprocessors
        132
    """
    if name not in DEVICES:
        known = ", ".join(map(repr, DEVICES))
        raise ValueError(
            f"device must be one of {known}, or a seqgrad.explain.CudaDevice with the figures of another, got {name!r}"
        )
    return DEVICES[name]
