"""The saved form of a GradientRecord: an .npz of plain arrays beside a JSON header, read with suspicion.

A zip archive whose members are stored, not compressed, so that nothing in it can be larger than the file itself:

    header.npy      uint8: JSON with format, version, names and, per pass, what the Series is
    data_K.npy      [Q, T, N] float32 or float64, pass K
    lengths_K.npy   [N] int64, where pass K has lengths
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import secrets
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from seqgrad._ext import build_info
from seqgrad._recorder import Log
from seqgrad._series import Series

FORMAT = "seqgrad.GradientRecord"
VERSION = 1
_DTYPES = {"data": ("<f4", "<f8"), "lengths": ("<i8",), "header": ("|u1",)}
_HEADROOM = 4096  # bytes a npy header may take


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("saved records are npz files and need NumPy: pip install numpy") from error
    return numpy


# -- out ---------------------------------------------------------------------------------------------------------------
def save(passes: Iterable[Series], log: Log, path: str | os.PathLike[str] | BinaryIO) -> None:
    """See GradientRecord.save."""
    numpy = _numpy()
    arrays: dict[str, Any] = {}
    entries = []
    for i, series in enumerate(passes):
        arrays[f"data_{i}"] = series.data.cpu().numpy()
        if series.lengths is not None:
            arrays[f"lengths_{i}"] = series.lengths.cpu().long().numpy()
        entries.append(
            {
                "layer": series.layer,
                "name": series.name,
                "cell": series.cell,
                "reverse": series.reverse,
                "quantities": list(series.quantities),
                "lengths": series.lengths is not None,
                "backward": series.backward,
                "call": series.call,
            }
        )
    header = {"format": FORMAT, "version": VERSION, "passes": entries, "aliases": log.aliases, "calls": log.calls}
    header["keys"] = {key: list(pair) for key, pair in log.keys.items()}
    header |= {
        "seqgrad": build_info().version,
        "torch": torch.__version__,
        "untracked": log.untracked,
        "unconverted": list(log.unconverted),
        "complex_layers": list(log.complex_layers),
        "rank": log.rank,
    }
    arrays["header"] = numpy.frombuffer(json.dumps(header).encode(), dtype=numpy.uint8)
    if isinstance(path, (str, os.PathLike)):
        _replace(Path(path), arrays)
    else:
        numpy.savez(path, **arrays)


def _replace(target: Path, arrays: dict[str, Any]) -> None:
    """Write beside ``target``, then rename: whatever happens, there is the old file or the new one, never half."""
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(scratch, "xb") as file:
            _numpy().savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


# -- in ----------------------------------------------------------------------------------------------------------------
class _ForeignError(Exception):
    """Not one of ours at all."""


class _DamagedError(Exception):
    """One of ours, but not as it was written; the message says where."""


def load(path: str | os.PathLike[str] | BinaryIO) -> Log:
    """See GradientRecord.load."""
    if isinstance(path, (str, os.PathLike)):
        with open(path, "rb") as file:
            return _load(file, str(path))
    return _load(path, "the file")


def written_with(path: str | os.PathLike[str]) -> dict[str, str]:
    """Versions of seqgrad and torch that wrote a record which :func:`load` reads; files of before have none."""
    with open(path, "rb") as file, _open(file) as archive:
        header = _header(archive)
    return {name: str(header[name]) for name in ("seqgrad", "torch") if name in header}


def _load(file: BinaryIO, name: str) -> Log:
    _numpy()
    try:
        with _open(file) as archive:
            header = _header(archive)
            _check_version(header.get("version"), name)
            return _read(header, archive)
    except _ForeignError as error:
        raise ValueError(f"{name} is not a gradient record; load reads what GradientRecord.save wrote") from error
    except _DamagedError as error:
        raise ValueError(f"{name} is a damaged gradient record ({error}); save it again") from error


def _open(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise _ForeignError from error


def _header(archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        header = json.loads(_array(archive, "header", "header", 1).tobytes().decode())
    except (_DamagedError, ValueError, RecursionError) as error:
        raise _ForeignError from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _ForeignError
    return header


def _check_version(version: object, name: str) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _DamagedError(f"its format version is {version!r}")
    if version > VERSION:
        raise ValueError(
            f"{name} has format version {version}, this seqgrad reads up to version {VERSION}; "
            f"upgrade seqgrad to read it"
        )


def _array(archive: zipfile.ZipFile, name: str, kind: str, rank: int) -> Any:
    """One member as an array, after its size, dtype and rank have proven to be what they claim."""
    numpy = _numpy()
    try:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise _DamagedError(f"{name} is compressed, which save never does")
        with archive.open(info) as member:
            raw = member.read()  # at most the size of the file: it is stored as it is
        stream = io.BytesIO(raw)
        version = numpy.lib.format.read_magic(stream)
        if version != (1, 0):
            raise _DamagedError(f"{name} has npy version {version}")
        shape, fortran, dtype = numpy.lib.format.read_array_header_1_0(stream, max_header_size=_HEADROOM)
    except KeyError as error:
        raise _DamagedError(f"{name} is missing") from error
    except (ValueError, EOFError, OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise _DamagedError(f"{name} cannot be read: {str(error).partition(chr(10))[0]}") from error
    if dtype.str not in _DTYPES[kind] or len(shape) != rank:
        raise _DamagedError(f"{name} holds {dtype} of shape {list(shape)}")
    body = raw[stream.tell() :]
    if min(shape) < 0 or len(body) != math.prod(shape) * dtype.itemsize:
        raise _DamagedError(f"{name} holds {len(body)} bytes for shape {list(shape)}")
    return numpy.ndarray(shape, dtype, body, order="F" if fortran else "C").copy()


def _read(header: dict[str, Any], archive: zipfile.ZipFile) -> Log:
    def tensor(name: str, kind: str, rank: int) -> Tensor:
        return torch.from_numpy(_array(archive, name, kind, rank))

    try:
        log = Log(aliases=_names(header["aliases"]), calls=_counts(header["calls"]))
        log.untracked = _counts(header.get("untracked", {}))
        log.unconverted = tuple(str(name) for name in header.get("unconverted", ()))
        log.complex_layers = tuple(str(name) for name in header.get("complex_layers", ()))
        log.rank = None if header.get("rank") is None else int(header["rank"])
        log.keys = {str(key): (str(layer), str(name)) for key, (layer, name) in header["keys"].items()}
        for i, entry in enumerate(header["passes"]):
            log.passes.append(
                Series(
                    layer=str(entry["layer"]),
                    name=str(entry["name"]),
                    cell=str(entry["cell"]),
                    reverse=bool(entry["reverse"]),
                    quantities=tuple(str(quantity) for quantity in entry["quantities"]),
                    data=tensor(f"data_{i}", "data", 3),
                    lengths=tensor(f"lengths_{i}", "lengths", 1) if entry["lengths"] else None,
                    backward=int(entry["backward"]),
                    call=int(entry["call"]),
                )
            )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _DamagedError(f"{type(error).__name__}: {error}") from error
    for one in log.passes:
        if one.key not in log.keys:
            raise _DamagedError(f"series {one.key!r} is not among its keys")
        if one.lengths is not None and not bool(((one.lengths >= 0) & (one.lengths <= one.steps)).all()):
            raise _DamagedError(f"series {one.key!r} has lengths outside 0..{one.steps}")
    return log


def _names(value: Any) -> dict[str, str]:
    return {str(key): str(name) for key, name in value.items()}


def _counts(value: Any) -> dict[str, int]:
    return {str(key): int(count) for key, count in value.items()}
