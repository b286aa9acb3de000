"""A GradientRecord as files and frames: dict, CSV, pandas, and the saved format (npz with JSON inside)."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from torch import Tensor

from seqgrad import _figures
from seqgrad._recorder import Log
from seqgrad._series import Series

if TYPE_CHECKING:
    import pandas

    from seqgrad.record import GradientRecord

_FORMAT = "seqgrad.GradientRecord"
_VERSION = 1
_QUANTITIES = ("grad_h", "grad_carry", "grad_c", "clip_hits")
_COLUMNS = ("series", "layer", "cell", "reverse", "backward", "call", "t", "lag", "n", *_QUANTITIES)


def _passes(record: GradientRecord) -> list[Series]:
    return [series for key in record for series in record.all(key)]


def to_dict(record: GradientRecord) -> dict[str, Any]:
    """See GradientRecord.to_dict."""
    result: dict[str, Any] = {"backwards": record.backwards, "series": {}}
    bad = record.first_nonfinite
    for key in record:
        passes = record.all(key)
        series = passes[-1]
        hit = bad[key]
        norms = [q for q in series.quantities if q != "clip_hits"]
        result["series"][key] = {
            "layer": series.layer,
            "name": series.name,
            "cell": series.cell,
            "reverse": series.reverse,
            "steps": series.steps,
            "batch": series.batch,
            "lengths": None if series.lengths is None else series.lengths.tolist(),
            "passes": len(passes),
            "norm": {q: series.norm(q).tolist() for q in norms},
            "clip_hits": None if series.clip_hits is None else series.clip_hits.sum(dim=1).tolist(),
            "ratio": series.ratio(),
            "decay": series.decay(),
            "half_life": series.half_life(),
            "transmission": series.transmission(),
            "first_nonfinite": None if hit is None else hit._asdict(),
        }
    return result


def _frame(series: Series) -> dict[str, list[Any]]:
    """Columns of one pass, steps beyond a sample's length left out; rows by t, then n."""
    lengths = None if series.lengths is None else series.lengths.cpu()
    inside = _figures.alive(series.steps, series.batch, lengths).nonzero()
    t, n = inside.unbind(1)
    last = torch.full((series.batch,), series.steps) if lengths is None else lengths
    size = len(t)
    columns: dict[str, list[Any]] = {
        "series": [series.key] * size,
        "layer": [series.layer] * size,
        "cell": [series.cell] * size,
        "reverse": [series.reverse] * size,
        "backward": [series.backward] * size,
        "call": [series.call] * size,
        "t": t.tolist(),
        "lag": (t if series.reverse else last[n] - 1 - t).tolist(),
        "n": n.tolist(),
    }
    data = series.data.cpu()
    for quantity in _QUANTITIES:
        have = quantity in series.quantities
        columns[quantity] = data[series.quantities.index(quantity)][t, n].tolist() if have else [None] * size
    return columns


def to_pandas(record: GradientRecord) -> pandas.DataFrame:
    """See GradientRecord.to_pandas."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install 'seqgrad[pandas]' (to_csv works without)") from error
    frames = [pandas.DataFrame(_frame(series), columns=list(_COLUMNS)) for series in _passes(record)]
    table = pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame(columns=list(_COLUMNS))
    return table.astype({quantity: "float64" for quantity in _QUANTITIES})


def to_csv(record: GradientRecord, path: str | os.PathLike[str]) -> None:
    """See GradientRecord.to_csv."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for series in _passes(record):
            frame = _frame(series)
            writer.writerows(zip(*(frame[column] for column in _COLUMNS), strict=True))


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("saved records are npz files and need NumPy: pip install numpy") from error
    return numpy


def save(record: GradientRecord, log: Log, path: str | os.PathLike[str] | BinaryIO) -> None:
    """See GradientRecord.save. A file appears whole or not at all."""
    numpy = _numpy()
    arrays: dict[str, Any] = {}
    entries = []
    for i, series in enumerate(_passes(record)):
        arrays[f"data_{i}"] = series.data.cpu().numpy()
        if series.lengths is not None:
            arrays[f"lengths_{i}"] = series.lengths.cpu().numpy()
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
    header = {"format": _FORMAT, "version": _VERSION, "passes": entries, "aliases": log.aliases, "calls": log.calls}
    header["keys"] = {key: list(pair) for key, pair in log.keys.items()}
    arrays["header"] = numpy.frombuffer(json.dumps(header).encode(), dtype=numpy.uint8)
    if not isinstance(path, (str, os.PathLike)):
        numpy.savez(path, **arrays)
        return
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(scratch, "xb") as file:
            numpy.savez(file, **arrays)
        os.replace(scratch, target)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def load(path: str | os.PathLike[str] | BinaryIO) -> Log:
    """See GradientRecord.load."""
    if isinstance(path, (str, os.PathLike)):
        with open(path, "rb") as file:  # NumPy leaks its own handle when the file is damaged
            return _load(file, str(path))
    return _load(path, "the file")


def _load(file: BinaryIO, name: str) -> Log:
    numpy = _numpy()
    foreign = f"{name} is not a gradient record; load reads what GradientRecord.save wrote"
    try:
        archive = numpy.load(file, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(foreign) from error
    if not isinstance(archive, numpy.lib.npyio.NpzFile):
        raise ValueError(foreign)
    with archive:
        try:
            header = json.loads(archive["header"].tobytes().decode())
        except (KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(foreign) from error
        if not isinstance(header, dict) or header.get("format") != _FORMAT:
            raise ValueError(foreign)
        if header.get("version") != _VERSION:
            raise ValueError(
                f"{name} has format version {header.get('version')}, this seqgrad reads version {_VERSION}; "
                f"upgrade seqgrad to read it"
            )
        try:
            return _read(header, archive)
        except (KeyError, IndexError, TypeError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{name} is a damaged gradient record ({error}); save it again") from error


def _read(header: dict[str, Any], archive: Any) -> Log:
    def tensor(name: str) -> Tensor:
        return torch.from_numpy(archive[name])

    log = Log(aliases=dict(header["aliases"]), calls=dict(header["calls"]))
    log.keys = {key: (str(layer), str(name)) for key, (layer, name) in header["keys"].items()}
    for i, entry in enumerate(header["passes"]):
        log.passes.append(
            Series(
                layer=entry["layer"],
                name=entry["name"],
                cell=entry["cell"],
                reverse=bool(entry["reverse"]),
                quantities=tuple(entry["quantities"]),
                data=tensor(f"data_{i}"),
                lengths=tensor(f"lengths_{i}") if entry["lengths"] else None,
                backward=int(entry["backward"]),
                call=int(entry["call"]),
            )
        )
    return log
