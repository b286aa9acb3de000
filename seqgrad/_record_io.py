"""A GradientRecord as dict, frame and CSV. The saved format is in ``_record_file``."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Any

import torch

from seqgrad import _figures
from seqgrad._series import Series

if TYPE_CHECKING:
    import pandas

    from seqgrad.record import GradientRecord

_QUANTITIES = ("grad_h", "grad_carry", "grad_c", "clip_hits")
_COLUMNS = ("series", "layer", "cell", "reverse", "backward", "call", "t", "lag", "n", *_QUANTITIES)


def passes(record: GradientRecord) -> list[Series]:
    return [series for key in record for series in record.all(key)]


def to_dict(record: GradientRecord) -> dict[str, Any]:
    """See GradientRecord.to_dict."""
    result: dict[str, Any] = {} if record.rank is None else {"rank": record.rank}
    result |= {"backwards": record.backwards, "series": {}}
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
            "below_eps": series.below_eps(),
            "first_nonfinite": None if hit is None else hit._asdict(),
        }
    return result


def _columns(record: GradientRecord) -> list[str]:
    return [*(() if record.rank is None else ("rank",)), *_COLUMNS]


def _frame(record: GradientRecord, series: Series) -> dict[str, list[Any]]:
    """Columns of one pass, steps beyond a sample's length left out; rows by t, then n."""
    lengths = None if series.lengths is None else series.lengths.cpu()
    inside = _figures.alive(series.steps, series.batch, lengths).nonzero()
    t, n = inside.unbind(1)
    last = torch.full((series.batch,), series.steps) if lengths is None else lengths
    size = len(t)
    columns: dict[str, list[Any]] = {
        "rank": [record.rank] * size,
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
    columns = _columns(record)
    frames = [pandas.DataFrame(_frame(record, series), columns=columns) for series in passes(record)]
    table = pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame(columns=columns)
    return table.astype(dict.fromkeys(_QUANTITIES, "float64"))


def to_csv(record: GradientRecord, path: str | os.PathLike[str]) -> None:
    """See GradientRecord.to_csv."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer, columns = csv.writer(file), _columns(record)
        writer.writerow(columns)
        for series in passes(record):
            frame = _frame(record, series)
            writer.writerows(zip(*(frame[column] for column in columns), strict=True))
