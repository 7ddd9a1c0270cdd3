"""NPZ files that are damaged, or that say what is not so: one kind of error, and no memory is taken for them."""

import io
import json
import zipfile

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from tests.diagnosis.made_records import FALLING, FLAT, record
from vgrad_jax import archives
from vgrad_jax.archives import read_arrays
from vgrad_jax.memory import require_memory

MADE = record(FLAT, loss=FALLING)


def header(shape, descr="<f8"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_arrays_are_numpys(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "c": np.array("text"),
        "d": np.zeros((0, 3)),
        "e": np.array([True, False]),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        for name, array in read_arrays(tmp_path / "a.npz", "arrays").items():
            np.testing.assert_array_equal(array, arrays[name])
            assert array.dtype == arrays[name].dtype
            assert array.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((10**12,)), "shape .1000000000000.* which are 8000000000000 bytes"),
        (header((2, 3)) + bytes(47), "and the file has 47"),
        (header((2,)) + bytes(17), "and the file has 17"),
        (header((-2,)), "shape .-2"),
        (header((1,), "|O") + bytes(8), "must hold numbers or texts; it holds object"),
        (header((1,), [("a", "<f8")]) + bytes(8), "must hold numbers or texts"),
        (header((1,) * 40) + bytes(8), "damaged"),
        (b"\x93NUMPY\x09\x00" + bytes(80), "unknown version"),
        (b"", "ValueError"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"[" * 65535, "Error"),
    ],
)
def test_a_member_that_says_what_is_not_so_is_refused(tmp_path, content, message):
    path = archive(tmp_path / "a.npz", x=content, y=header((2,)) + bytes(16))
    with pytest.raises(vg.InputError, match=f"holds no arrays: .*{message}"):
        read_arrays(path, "arrays")
    assert list(read_arrays(path, "arrays", ["y"])) == ["y"]


def test_a_wrong_byte_and_a_second_member_of_a_name_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(100.0))
    sound = (tmp_path / "a.npz").read_bytes()
    start = sound.index(np.arange(3.0).tobytes())
    (tmp_path / "a.npz").write_bytes(sound[: start + 9] + b"\x55" + sound[start + 10 :])
    with pytest.raises(vg.InputError, match="Bad CRC-32"):
        read_arrays(tmp_path / "a.npz", "arrays")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("x.npy", header((1,)) + bytes(8))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("x.npy", header((1,)) + bytes(8))
    with pytest.raises(vg.InputError, match="more than once"):
        read_arrays(tmp_path / "b.npz", "arrays")


def test_memory_is_refused_before_it_is_taken(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archives, "require_memory", lambda purpose, needed, advice: asked.append(needed))
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10**6))
    read_arrays(tmp_path / "a.npz", "arrays")
    assert 16e6 < asked[0] < 17e6
    with pytest.raises(vg.InputError, match=r"a data set would need about 9e\+05 TiB of memory, and .* are free; take"):
        require_memory("a data set", 10**18, "take fewer rows")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "record.npz"
    MADE.save(path)
    return read_arrays(path, "record")


def changed_labels(saved, **labels):
    return {**saved, "labels": np.asarray(json.dumps({**json.loads(str(saved["labels"])), **labels}))}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": np.zeros(())}, "its step must be whole numbers"),
        ({"step": np.arange(3)}, "the shape .3"),
        ({"loss": np.zeros((2, 2))}, "its loss must be floating-point numbers"),
        ({"log10_rms": np.zeros((1, 1))}, "its log10_rms must be"),
        ({"zero_fraction": 2.0}, "zero_fraction holds .* beyond 0 to 1"),
        ({"step": -5}, "step holds .* beyond -1"),
        ({"loss": np.array("text")}, "its loss must be"),
        ({"log10_max": None}, "it lacks the array 'log10_max'"),
        ({"unknown": np.zeros(2)}, "no record has the array 'unknown'"),
        ({"labels": np.asarray("[" * 10**5)}, "labels is not JSON: it is nested too deeply"),
        ({"labels": np.asarray(["{}"])}, "its format is None"),
        ({"labels": None}, "its format is None"),
    ],
)
def test_arrays_that_are_no_records_are_refused(saved, tmp_path, changes, message):
    arrays = {**saved}
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = np.full_like(saved[name], value) if isinstance(value, float | int) else value
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(vg.InputError, match=f"holds no record that Record.save wrote: .*{message}"):
        vg.Record.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"paths": ["a"]}, "its layers|layers"),
        ({"paths": [{"a": 1}]}, "its paths must be a list of str"),
        ({"counts": ["1"]}, "its counts must be a list of int"),
        ({"name": ["x"]}, "its labels are"),
        ({"format": ["x"]}, "its format is"),
        ({"further": 1}, "its labels are"),
    ],
)
def test_labels_that_are_no_records_are_refused(saved, tmp_path, labels, message):
    np.savez(tmp_path / "a.npz", **changed_labels(saved, **labels))
    with pytest.raises(vg.InputError, match=message):
        vg.Record.load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **changed_labels(saved))
    assert vg.Record.load(tmp_path / "a.npz").paths == MADE.paths


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (
            lambda: vg.load_data(vg.Data("moons", samples=10**9)),
            "1000000000 samples of moons would need about 139.7",
        ),
        (lambda: vg.init_mlp(jax.random.key(0), vg.MLP(hidden=(10**6, 10**6)), 2), "less than 2.31 elements"),
        (
            lambda: vg.init_mlp(jax.random.key(0), vg.MLP(hidden=(40_000,) * 99), 2),
            "a network of 1.57e.11 weights",
        ),
    ],
)
def test_absurd_sizes_are_refused(ask, words):
    with pytest.raises(vg.InputError, match=words):
        ask()
