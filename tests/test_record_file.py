"""Saved records: bit for bit, whole or not at all, and no file, however crafted, gets further than a clear error."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import struct
import threading
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqgrad as sg
from seqgrad._record_file import VERSION
from seqgrad._recorder import Log
from seqgrad.record import GradientRecord, Series


def record_of(*passes: Series, **log) -> GradientRecord:
    return GradientRecord(Log(passes=list(passes), keys={p.key: (p.layer, p.name) for p in passes}, **log))


def series(data, *, lengths=None, name="l0", quantities=("grad_h",)) -> Series:
    lengths = None if lengths is None else torch.tensor(lengths, dtype=torch.int64)
    return Series("enc", name, "gru", False, quantities, data, lengths)


def through(record: GradientRecord) -> GradientRecord:
    file = io.BytesIO()
    record.save(file)
    file.seek(0)
    return GradientRecord.load(file)


def members(record: GradientRecord) -> dict[str, bytes]:
    file = io.BytesIO()
    record.save(file)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, record: GradientRecord, *, compression=zipfile.ZIP_STORED, keys=None, **change: bytes | None):
    """The saved record with some members changed (None: dropped), and keys of its header."""
    parts = members(record)
    if keys is not None:
        old = json.loads(parts["header.npy"].split(b"\n", 1)[1])
        parts["header.npy"] = npy(np.frombuffer(json.dumps(old | keys).encode(), dtype=np.uint8))
    parts |= {f"{name}.npy": body for name, body in change.items() if body is not None}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, body in parts.items():
            if name.removesuffix(".npy") not in [k for k, v in change.items() if v is None]:
                archive.writestr(name, body)
    return path


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_claiming(shape: str, body: bytes = b"", dtype: str = "<f4") -> bytes:
    """A npy file whose header says what it likes."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


ONE = record_of(series(torch.ones(1, 3, 2), lengths=[3, 1]))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6), st.booleans())
def test_every_bit_pattern_survives(bits: list[int], double: bool):
    raw = np.array(bits, dtype=np.uint32).tobytes() * (2 if double else 1)
    values = torch.from_numpy(np.frombuffer(raw, dtype=np.float64 if double else np.float32).copy()).reshape(1, 3, 2)
    again = through(record_of(series(values)))["enc.l0"].data
    assert again.dtype == values.dtype and again.numpy().tobytes() == values.numpy().tobytes()


def test_payloads_and_signs_of_nan_denormals_and_zeros_survive():
    patterns = [0x7FC00001, 0xFFC12345, 0x7F800001, 0x7F800000, 0xFF800000, 0x00000001, 0x80000001, 0x80000000]
    values = torch.from_numpy(np.array(patterns, dtype=np.uint32).view(np.float32).copy()).reshape(1, 4, 2)
    again = through(record_of(series(values)))["enc.l0"].data
    assert again.numpy().view(np.uint32).flatten().tolist() == patterns


def test_odd_layouts_and_empty_batches_survive():
    wide = torch.randn(2, 5, 6)
    strided = series(wide.transpose(1, 2)[:, ::2, 1:4], quantities=("grad_h", "grad_carry"))
    empty = series(torch.zeros(1, 4, 0), lengths=[], name="l1")
    again = through(record_of(strided, empty))
    assert torch.equal(again["enc.l0"].data, strided.data)
    assert again["enc.l1"].data.shape == (1, 4, 0) and again["enc.l1"].lengths.shape == (0,)


def test_what_was_not_recorded_is_remembered_too():
    model = torch.nn.Sequential(torch.nn.GRU(3, 2), sg.GRU(2, 2))
    with sg.record(model) as rec, torch.no_grad():
        model[1](torch.zeros(2, 1, 2))
    again = through(rec)
    assert repr(again) == repr(rec) and "'1' ran only under torch.no_grad()" in repr(again)


def test_a_loaded_tensor_can_be_written_to_and_is_ones_own():
    loaded = through(ONE)["enc.l0"].data
    loaded.fill_(7)
    assert through(ONE)["enc.l0"].data.eq(1).all()


def test_two_threads_may_save_to_one_name(tmp_path):
    path = tmp_path / "x.npz"
    threads = [threading.Thread(target=lambda: [ONE.save(path) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert GradientRecord.load(path).keys() == ["enc.l0"]
    assert os.listdir(tmp_path) == ["x.npz"]


def test_a_save_that_is_killed_between_writing_and_renaming_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    ONE.save(path)
    before = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        record_of(series(torch.zeros(1, 9, 9))).save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.npz"]


def test_files_of_older_writers_without_the_later_names_are_read(tmp_path):
    parts = json.loads(members(ONE)["header.npy"].split(b"\n", 1)[1])
    del parts["untracked"], parts["unconverted"]
    body = npy(np.frombuffer(json.dumps(parts).encode(), dtype=np.uint8))
    assert GradientRecord.load(rewritten(tmp_path / "x", ONE, header=body)).keys() == ["enc.l0"]


FOREIGN = {
    "text": b"hello",
    "nothing": b"",
    "a pickle": pickle.dumps({"a": 1}),
    "a torch file": None,  # made in the test: torch.save writes a zip
    "an array": npy(np.zeros(3)),
    "json": b'{"format": "seqgrad.GradientRecord"}',
    "the head of a zip": b"PK\x03\x04" + b"\0" * 40,
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_files_are_called_foreign(tmp_path, what: str):
    path = tmp_path / "x.npz"
    if FOREIGN[what] is None:
        torch.save({"a": torch.ones(2)}, path)
    else:
        path.write_bytes(FOREIGN[what])
    with pytest.raises(
        ValueError, match=r"x\.npz is not a gradient record; load reads what GradientRecord\.save wrote"
    ):
        GradientRecord.load(path)


@pytest.mark.parametrize("version", [VERSION + 1, 99])
def test_a_newer_file_is_called_newer(tmp_path, version: int):
    path = rewritten(tmp_path / "x", ONE, keys={"version": version})
    with pytest.raises(
        ValueError, match=f"has format version {version}, this seqgrad reads up to version {VERSION}; upgrade"
    ):
        GradientRecord.load(path)


class Exploit:
    def __reduce__(self):
        return os.mkdir, ("pickle_was_run",)


DAMAGED = {
    "objects": ({"data_0": npy(np.array([Exploit()], dtype=object))}, r"data_0 holds object of shape \[1\]"),
    "a huge shape": ({"data_0": npy_claiming("(1, 1000000000, 1000000000)")}, "data_0 holds 0 bytes for shape"),
    "an overflowing shape": ({"data_0": npy_claiming(f"({2**62}, 4, 1)")}, "data_0 holds 0 bytes for shape"),
    "negative sides": ({"data_0": npy_claiming("(-1, -1, 1)", b"\0" * 4)}, "data_0 holds 4 bytes for shape"),
    "too few bytes": ({"data_0": npy_claiming("(1, 3, 2)", b"\0" * 20)}, "data_0 holds 20 bytes for shape"),
    "too many bytes": ({"data_0": npy_claiming("(1, 3, 2)", b"\0" * 28)}, "data_0 holds 28 bytes for shape"),
    "integers": ({"data_0": npy(np.zeros((1, 3, 2), dtype=np.int64))}, "data_0 holds int64"),
    "the other byte order": ({"data_0": npy(np.zeros((1, 3, 2), dtype=">f4"))}, "data_0 holds >f4"),
    "another rank": ({"data_0": npy(np.zeros((3, 2), dtype=np.float32))}, r"data_0 holds float32 of shape \[3, 2\]"),
    "code for a header": ({"data_0": npy_claiming("__import__('os').mkdir('x')")}, "data_0 cannot be read"),
    "an endless header": ({"data_0": npy_claiming("(" + "1," * 9000 + ")")}, "data_0 cannot be read"),
    "no array at all": ({"data_0": b"hello"}, "data_0 cannot be read"),
    "a missing array": ({"data_0": None}, "data_0 is missing"),
    "lengths beyond T": ({"lengths_0": npy(np.array([3, 4]))}, "lengths outside 0..3"),
    "negative lengths": ({"lengths_0": npy(np.array([-1, 3]))}, "lengths outside 0..3"),
    "lengths of others": ({"lengths_0": npy(np.array([1, 2, 3]))}, r"lengths must have shape \[2\]"),
    "no version": ({"keys": {"version": None}}, "its format version is None"),
    "version true": ({"keys": {"version": True}}, "its format version is True"),
    "version zero": ({"keys": {"version": 0}}, "its format version is 0"),
    "no list of passes": ({"keys": {"passes": 3}}, "TypeError"),
    "an empty pass": ({"keys": {"passes": [{}]}}, "KeyError: 'layer'"),
    "a wrong count of rows": ({"keys": {"passes": [{"quantities": ["grad_h", "grad_c"]}]}}, "KeyError"),
    "names of nobody": ({"keys": {"keys": {}}}, "series 'enc.l0' is not among its keys"),
    "names that are no pairs": ({"keys": {"keys": {"enc.l0": "e"}}}, "ValueError"),
    "aliases in a list": ({"keys": {"aliases": []}}, "AttributeError"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damage_and_malice_end_in_a_clear_error(tmp_path, monkeypatch, what: str):
    change, match = DAMAGED[what]
    monkeypatch.chdir(tmp_path)
    path = rewritten(tmp_path / "x.npz", ONE, **change)
    with pytest.raises(ValueError, match=rf"x\.npz is a damaged gradient record \(.*{match}.*\); save it again"):
        GradientRecord.load(path)
    assert os.listdir(tmp_path) == ["x.npz"]  # nothing of it was run


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    zeros = npy(np.zeros((1, 4000, 1000), dtype=np.float32))  # 16 MB in a file of 16 KB
    parts = members(ONE) | {"data_0.npy": zeros}
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in parts.items():
            bomb = name == "data_0.npy"
            archive.writestr(name, body, zipfile.ZIP_DEFLATED if bomb else zipfile.ZIP_STORED)
    assert path.stat().st_size < 50_000
    with pytest.raises(ValueError, match=r"damaged gradient record \(data_0 is compressed, which save never does\)"):
        GradientRecord.load(path)
    path = rewritten(path, ONE, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="not a gradient record"):  # the header too: none of ours
        GradientRecord.load(path)


def test_deeply_nested_json_is_not_followed(tmp_path):
    deep = npy(np.frombuffer(b"[" * 200_000, dtype=np.uint8))
    with pytest.raises(ValueError, match="not a gradient record"):
        GradientRecord.load(rewritten(tmp_path / "x", ONE, header=deep))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_torn_or_flipped_file_is_read_right_or_refused(data):
    file = io.BytesIO()
    ONE.save(file)
    whole = bytearray(file.getvalue())
    if data.draw(st.booleans(), "torn"):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = GradientRecord.load(io.BytesIO(bytes(whole)))
    except ValueError as error:
        assert "gradient record" in str(error)  # noqa: PT017 - an unharmed byte (a date, padding) is no error
    else:
        assert torch.equal(again["enc.l0"].data, ONE["enc.l0"].data)
        assert torch.equal(again["enc.l0"].lengths, ONE["enc.l0"].lengths)


def test_a_missing_file_and_numbers_that_are_no_numbers(tmp_path):
    with pytest.raises(FileNotFoundError):
        GradientRecord.load(tmp_path / "absent")
    again = through(record_of(series(torch.tensor([math.nan, math.inf, -math.inf]).reshape(1, 3, 1))))
    assert again.first_nonfinite["enc.l0"].t == 2
