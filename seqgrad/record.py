"""record: one backward seen through. The block, the GradientRecord it fills, and how both are addressed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from torch import Tensor, nn

from seqgrad import _record_file, _record_io, _record_text, _recorder
from seqgrad._recorder import Log, Recorder, make_tap
from seqgrad._series import NonFinite, Series, join_cells

if TYPE_CHECKING:
    import pandas

    from seqgrad.display import GradientFlowDisplay

__all__ = ["GradientRecord", "LayerRecord", "NonFinite", "Series", "make_tap", "record"]


def record(model: nn.Module) -> RecordBlock:
    """Record the gradient norm at every timestep of every seqgrad layer of ``model``, for the length of a block.

    Forward and backward both run inside the block. Outside it nothing is recorded and nothing is paid: a forward after
    the block leaves no trace, and a backward after it adds nothing, even of a forward inside. Recording reads nothing
    from the device, so it does not wait for it. Blocks may be nested (each gets its own record), entered again (a fresh
    record each time) and left by an exception (what was recorded by then stays readable). A block belongs to its
    thread or async task; layers that other threads run meanwhile are not recorded. What activation checkpointing
    recomputes in the backward is recorded once, as part of that backward.

    Under ``torch.compile`` all of this holds as it does in eager code, whole graphs (``fullgraph=True``) included: a
    compiled model has one more graph, for recorded steps, which serves every later block. A block around the model or
    around its compiled wrapper gives the same names. Programs of ``torch.export`` are not recorded.

    ``loss.backward()`` is what gets recorded. ``torch.autograd.grad(loss, inputs)`` and ``backward(inputs=...)`` ask
    for chosen gradients only and leave the record empty, and so do the transforms of ``torch.func``. A layer without
    any parameter or input that needs a gradient is recorded all the same: inside the block its output requires grad.
    Complex layers have no norms: they run as torch's own operations, and the record says so where it is asked for one.

    Args:
        model: any module; its torch.nn layers stay invisible until ``seqgrad.convert_(model)`` has swapped them.

    Returns:
        A context manager; ``as`` gives the :class:`GradientRecord`.

    Raises:
        TypeError: ``model`` is not a module.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.GRU(4, 8)
        >>> with sg.record(rnn) as rec:
        ...     out, h = rnn(torch.randn(20, 3, 4))
        ...     out[-1].sum().backward()
        >>> rec["l0"].grad_h.shape
        torch.Size([20, 3])
    """
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise TypeError(f"model must be a torch.nn.Module, got {kind}; pass the model, not its parameters")
    return RecordBlock(model)


class RecordBlock:
    """What :func:`record` returns; each ``with`` opens a fresh :class:`GradientRecord`."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._open: list[Recorder] = []

    def __enter__(self) -> GradientRecord:
        recorder = Recorder(self._model)
        _recorder.start(recorder)
        self._open.append(recorder)
        return GradientRecord(recorder.log)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _recorder.stop(self._open.pop())


class RecordKeyError(KeyError):
    """KeyError whose message prints as written, not as a quoted string."""

    def __str__(self) -> str:
        return str(self.args[0])


class GradientRecord:
    """The gradient norms of one or more backwards, addressed as the parameters are.

    ``rec["encoder.rnn"].l0`` is the :class:`Series` of layer 0 of the module ``encoder.rnn``, ``.l0_reverse`` its
    reverse direction, ``rec[""].l0`` layer 0 where the model itself is the layer. ``rec["encoder.rnn.l0"]`` is the same
    series by its key; iterating gives the keys, in order of first use. A shared module answers to each of its names.

    **Several passes.** Each backward appends one series for each call of a layer that it reaches: a second backward
    through a retained graph, gradient accumulation, a module called several times. The addresses above, and every
    figure, give the *last* pass: the latest backward, and in it the latest call. ``rec.all("encoder.rnn.l0")`` is the
    list of all of them, oldest first; ``series.backward`` and ``series.call`` tell them apart. Only
    ``first_nonfinite`` looks through all passes, lest an early NaN stay hidden.

    **Cells** in a user's loop (series ``cell``) are joined to one ``[T, N]`` series per backward, step t being the
    t-th call that the backward reached; ``grad_carry`` is None there.

    **Ranks.** Under torch.distributed each process records its own part of the batch, and ``rank`` says which one this
    is. Nothing is exchanged: DistributedDataParallel averages the gradients of the weights, the norms here are those of
    this process's own loss. ``Series.norm`` over all ranks is the root of the sum of their squares.

    **Figures** are dicts keyed by series (``"encoder.rnn.l0"``), taken from grad_h; see the methods of
    :class:`Series` for their exact definitions and for other quantities. A record pickles and holds no module.

    Example:
        >>> import torch, seqgrad as sg
        >>> rnn = sg.RNN(4, 8)
        >>> with sg.record(rnn) as rec:
        ...     rnn(torch.randn(20, 3, 4))[0][-1].sum().backward()
        >>> rec.decay["l0"] < 1
        True
    """

    def __init__(self, log: Log | None = None) -> None:
        self._log = Log() if log is None else log
        self._joined: dict[str, tuple[int, list[Series]]] = {}  # key -> (passes when built, what all() gives)

    # -- addressing ----------------------------------------------------------------------------------------------------
    def keys(self) -> list[str]:
        """Names of all series with at least one pass, ``layer.series``, in order of first use."""
        seen = {p.key for p in self._log.passes}
        return [key for key in self._log.keys if key in seen]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __bool__(self) -> bool:
        return bool(self._log.passes)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (self._resolve(name) in self.keys() or name in self._layer_names())

    def items(self) -> list[tuple[str, Series]]:
        """Pairs of key and last series."""
        return [(key, self._last(key)) for key in self.keys()]

    def values(self) -> list[Series]:
        """The last series of every key."""
        return [self._last(key) for key in self.keys()]

    @property
    def layers(self) -> list[str]:
        """Names of the recorded layers, ``""`` for the model itself."""
        return list(dict.fromkeys(self._log.keys[key][0] for key in self.keys()))

    @property
    def rank(self) -> int | None:
        """Number of the process that recorded, under torch.distributed; None where that was not in use."""
        return self._log.rank

    @property
    def backwards(self) -> int:
        """How many backwards reached a recorded layer."""
        return len({p.backward for p in self._log.passes})

    def all(self, key: str) -> list[Series]:
        """Every pass of the series ``key`` (``"encoder.rnn.l0"``), oldest first: by backward, then by call.

        Raises:
            KeyError: no such series; the message lists what there is.
        """
        name = self._resolve(key)
        if name not in self.keys():
            raise self._missing(key)
        found = [p for p in list(self._log.passes) if p.key == name]
        built = self._joined.get(name)
        if built is None or built[0] != len(found):
            passes = join_cells(found) if found[0].name == "cell" else found
            built = len(found), sorted(passes, key=lambda p: (p.backward, p.call))
            self._joined[name] = built
        return list(built[1])

    def _last(self, key: str) -> Series:
        return self.all(key)[-1]

    def __getitem__(self, name: str) -> Any:
        """A :class:`LayerRecord` for a layer's name, a :class:`Series` for a series' key."""
        if not isinstance(name, str):
            raise TypeError(f"a record is addressed by name, such as rec['encoder.rnn'], got {type(name).__name__}")
        if self._log.aliases.get(name, name) in self.layers:
            return LayerRecord(self, self._log.aliases.get(name, name))
        if self._resolve(name) in self.keys():
            return self._last(name)
        raise self._missing(name)

    def _layer_names(self) -> list[str]:
        layers = self.layers
        return layers + [alias for alias, name in self._log.aliases.items() if name in layers]

    def _resolve(self, key: str) -> str:
        """The key under the first name of a shared module."""
        layer, dot, series = key.rpartition(".")
        return f"{self._log.aliases[layer]}.{series}" if dot and layer in self._log.aliases else key

    def _missing(self, name: str) -> RecordKeyError:
        return RecordKeyError(
            f"no gradients are recorded for {name!r}. {_record_text.explain_absence(self._log, name)}"
        )

    # -- figures -------------------------------------------------------------------------------------------------------
    @property
    def ratio(self) -> dict[str, float]:
        """Norm at the end of backprop over the norm at its start; see :meth:`Series.ratio`."""
        return {key: series.ratio() for key, series in self.items()}

    @property
    def decay(self) -> dict[str, float]:
        """Factor per step back; see :meth:`Series.decay`."""
        return {key: series.decay() for key, series in self.items()}

    @property
    def half_life(self) -> dict[str, float]:
        """Steps until the norm halves; see :meth:`Series.half_life`."""
        return {key: series.half_life() for key, series in self.items()}

    @property
    def transmission(self) -> dict[str, float]:
        """Share of the gradient that survives one step back; see :meth:`Series.transmission`."""
        return {key: series.transmission() for key, series in self.items()}

    def horizon(self, eps: float = 1e-3) -> dict[str, float]:
        """Steps back over which the norm stays >= ``eps`` x its start; see :meth:`Series.horizon`."""
        return {key: series.horizon(eps) for key, series in self.items()}

    @property
    def contribution(self) -> dict[str, Tensor]:
        """``[T]`` share of each timestep in the gradient of the weights; see :meth:`Series.contribution`."""
        return {key: series.contribution() for key, series in self.items()}

    def below_eps(self, eps: float | None = None) -> dict[str, float]:
        """Timesteps whose share in the gradient of the weights is below ``eps``; see :meth:`Series.below_eps`."""
        return {key: series.below_eps(eps) for key, series in self.items()}

    @property
    def clip_hits(self) -> dict[str, int]:
        """Sum of :attr:`Series.clip_hits` over timesteps and samples of the last pass; layers without it left out."""
        found = {key: series.clip_hits for key, series in self.items()}
        return {key: int(hits.sum()) for key, hits in found.items() if hits is not None}

    @property
    def first_nonfinite(self) -> dict[str, NonFinite | None]:
        """Where the first NaN or Inf was born, None if there is none; the oldest pass that has one.

        See :meth:`Series.first_nonfinite`.
        """
        passes = {key: (s.first_nonfinite() for s in self.all(key)) for key in self.keys()}
        return {key: next((hit for hit in hits if hit is not None), None) for key, hits in passes.items()}

    # -- out -----------------------------------------------------------------------------------------------------------
    def summary(self) -> str:
        """A table as text: one line per series, then what is wrong and where."""
        return _record_text.summary(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python numbers: per series its facts, norms over the batch by timestep, and figures (nan, inf kept).

        ``rank`` comes first, if the record has one.
        """
        return _record_io.to_dict(self)

    def to_pandas(self) -> pandas.DataFrame:
        """Long form: one row per pass, timestep and sample, steps beyond a sample's length left out.

        Columns: series, layer, cell, reverse, backward, call, t, lag, n, grad_h, grad_carry, grad_c, clip_hits; before
        them rank, if the record has one.

        Raises:
            ImportError: pandas is missing; ``pip install 'seqgrad[pandas]'``.
        """
        return _record_io.to_pandas(self)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows of :meth:`to_pandas` to ``path``; needs no pandas. What a series lacks stays empty."""
        _record_io.to_csv(self, path)

    def save(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        """Write all passes to one ``.npz`` file, bit for bit; :meth:`load` reads it back.

        The file appears whole or not at all: a failed or killed save leaves what was there before. The name is taken
        as given, no suffix is added.
        """
        _record_file.save(_record_io.passes(self), self._log, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | BinaryIO) -> GradientRecord:
        """Read what :meth:`save` wrote, onto the CPU.

        Safe on files of unknown origin: nothing is unpickled, and nothing is allocated beyond the size of the file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not a saved record, is damaged, or comes from a newer seqgrad.

        Example:
            >>> import io, torch, seqgrad as sg
            >>> rnn = sg.RNN(4, 8)
            >>> with sg.record(rnn) as rec:
            ...     rnn(torch.randn(20, 3, 4))[0][-1].sum().backward()
            >>> file = io.BytesIO()  # or a path
            >>> rec.save(file)
            >>> torch.equal(sg.GradientRecord.load(file)["l0"].grad_h, rec["l0"].grad_h)
            True
        """
        return cls(_record_file.load(path))

    def plot(self, ax: Any = None, **options: Any) -> GradientFlowDisplay:
        """Gradient norm against the timestep, log y; a :class:`~seqgrad.display.GradientFlowDisplay`.

        Raises:
            ImportError: matplotlib is missing; ``pip install 'seqgrad[plot]'``.
        """
        from seqgrad.display import GradientFlowDisplay

        return GradientFlowDisplay.from_record(self, ax=ax, **options)

    def __repr__(self) -> str:
        return _record_text.short(self, self._log)

    def _repr_html_(self) -> str:
        return _record_text.html(self, self._log)

    def __getstate__(self) -> dict[str, Any]:
        return {"_log": self._log, "_joined": {}}


class LayerRecord:
    """The series of one layer as attributes: ``l0``, ``l0_reverse``, ``l1`` ...; each is the last pass."""

    def __init__(self, record: GradientRecord, layer: str) -> None:
        self._record = record
        self._layer = layer

    @property
    def series(self) -> list[str]:
        """Names of this layer's series."""
        pairs = (self._record._log.keys[key] for key in self._record)
        return [name for layer, name in pairs if layer == self._layer]

    def __getattr__(self, name: str) -> Series:
        if name.startswith("_"):  # copy and pickle probe for dunders before __init__ has run
            raise AttributeError(name)
        if name not in self.series:
            reason = _record_text.explain_absence(self._record._log, f"{self._layer}.{name}" if self._layer else name)
            raise AttributeError(f"layer {self._layer!r} has no series {name!r}. {reason}")
        return self[name]

    def __getitem__(self, name: str) -> Series:
        return self._record._last(f"{self._layer}.{name}" if self._layer else name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.series)

    def __len__(self) -> int:
        return len(self.series)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.series]

    def __repr__(self) -> str:
        lines = "".join(f"\n  {self[name]!r}" for name in self.series)
        return f"<LayerRecord {self._layer!r}:{lines}>"
