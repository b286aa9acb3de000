"""Real data that ships inside PyPI packages: nothing is downloaded, the numbers are the same anywhere.

Both packages belong to the extra ``[data]`` and are looked for when a set is asked for, not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from seqgrad.experiments._result import one_of

Order = Literal["row", "pixel", "permuted"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True)
class Labelled:
    """Sequences with a class each, split once and for all into ``train`` and ``test``, each ``(x, y, lengths)``.

    ``x [T, N, I]`` float32, padded with 0 behind each sample's end; ``y [N]`` int64; ``lengths [N]`` int64.
    """

    train: tuple[Tensor, Tensor, Tensor]
    test: tuple[Tensor, Tensor, Tensor]
    classes: int
    origin: str

    @property
    def inputs(self) -> int:
        """Channels a timestep."""
        return self.train[0].size(2)

    @property
    def steps(self) -> int:
        """The longest sequence."""
        return self.train[0].size(0)


def need(package: str, what: str) -> Path:
    """The folder of an installed ``package``, found without importing it.

    Raises:
        ImportError: it is not installed; the message says which extra brings it.
    """
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        distribution = {"sklearn": "scikit-learn"}.get(package, package)
        raise ImportError(f"{what} needs {distribution}: pip install 'seqgrad[data]'")
    return Path(next(iter(found.submodule_search_locations)))


@cache
def digits(order: Order = "row") -> Labelled:
    """Handwritten digits of 8 x 8 pixels, 1797 of them, read as sequences: 1347 to train, 450 to test.

    ``row``: 8 timesteps of 8 pixels. ``pixel``: 64 timesteps of one pixel, left to right, top to bottom. ``permuted``:
    the same 64 pixels in one fixed random order, the same for every image, which takes neighbours apart. Pixels lie
    in 0..1. The split and the order are drawn from a fixed seed and never change.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", as ``sklearn.datasets.load_digits``
    ships it; reading pixel by pixel and permuted follows Le, Jaitly and Hinton 2015, "A Simple Way to Initialize
    Recurrent Networks of Rectified Linear Units".

    Raises:
        ImportError: scikit-learn is not installed. ValueError: no such order.

    Example:
        >>> data = digits("pixel")
        >>> data.train[0].shape, data.classes
        (torch.Size([64, 1347, 1]), 10)
    """
    one_of("order", order, ORDERS)
    need("sklearn", "digits()")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.tensor(bunch.data, dtype=torch.float32) / 16
    y = torch.tensor(bunch.target, dtype=torch.int64)
    dice = torch.Generator().manual_seed(0)
    shuffled, places = torch.randperm(len(x), generator=dice), torch.randperm(64, generator=dice)
    x, y = x[shuffled], y[shuffled]
    if order == "permuted":
        x = x[:, places]
    x = (x.view(-1, 8, 8) if order == "row" else x.unsqueeze(2)).transpose(0, 1).contiguous()
    lengths, cut = torch.full((len(y),), x.size(0)), 1347
    train, test = (x[:, :cut], y[:cut], lengths[:cut]), (x[:, cut:], y[cut:], lengths[cut:])
    return Labelled(train, test, 10, "scikit-learn load_digits")


@cache
def japanese_vowels() -> Labelled:
    """Nine speakers say a vowel pair: 12 linear prediction coefficients a timestep, 7 to 29 timesteps, who is it?

    640 utterances, split as published: 270 to train, 370 to test. The file lies inside sktime's wheel and is read from
    there without importing sktime, which would take seconds.

    Source: Kudo, Toyama and Shimbo 1999, "Multidimensional curve classification using passing-through regions".

    Raises:
        ImportError: sktime is not installed. RuntimeError: this sktime does not hold the file.

    Example:
        >>> data = japanese_vowels()
        >>> data.train[0].shape, int(data.train[2].min()), int(data.test[2].max()), data.classes
        (torch.Size([26, 270, 12]), 7, 29, 9)
    """
    folder = need("sktime", "japanese_vowels()") / "datasets" / "data" / "JapaneseVowels"
    parts = [_read_ts(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST")]
    return Labelled(parts[0], parts[1], 9, "sktime JapaneseVowels")


def _read_ts(path: Path) -> tuple[Tensor, Tensor, Tensor]:
    """A ``.ts`` file of complete series: a sample a line, its channels parted by ``:``, its class last."""
    if not path.is_file():
        raise RuntimeError(
            f"the installed {path.parents[3].name} does not hold {path.name}; pip install -U 'seqgrad[data]'"
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    samples = [line for line in lines if line and line[0] not in "#@"]
    series, labels = [], []
    for line in samples:
        *channels, label = line.split(":")
        series.append(torch.tensor([[float(v) for v in channel.split(",")] for channel in channels]).t())
        labels.append(int(label) - 1)
    lengths = torch.tensor([len(one) for one in series])
    return torch.nn.utils.rnn.pad_sequence(series), torch.tensor(labels), lengths
