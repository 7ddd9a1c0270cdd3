"""What a store says of itself is checked before anything is read; other programs read it too."""

import json
import pickle
import warnings

import numpy as np
import pytest
import xarray

import vgrad_jax as vg
from tests.stores import sign, sweep
from vgrad_jax.results import verify_results
from vgrad_jax.results.files import Folder
from vgrad_jax.results.reading import read_once
from vgrad_jax.results.stored import StoredArray

SEEDS = 6


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("expected") / "r.zarr"
    sweep(path, SEEDS)
    return vg.open_results(path).load()


@pytest.fixture
def path(tmp_path):
    sweep(tmp_path / "r.zarr", SEEDS)
    return tmp_path / "r.zarr"


def test_netcdf_gives_the_same_back(path, tmp_path, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vg.open_results(path).to_netcdf(tmp_path / "r.nc", engine="scipy")
        with xarray.open_dataset(tmp_path / "r.nc", engine="scipy") as back:
            assert back.load().equals(expected)
            assert back.attrs == expected.attrs
            assert {name: values.attrs for name, values in back.items()} == {n: v.attrs for n, v in expected.items()}
            assert back["converged"].dtype == bool


def test_xarray_alone_reads_a_store(path, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = xarray.open_zarr(path, chunks=None).load()
    assert other[list(expected)].equals(expected)
    assert other.attrs.items() >= expected.attrs.items()


def test_xarray_alone_notices_changed_bytes(path):
    (file,) = (path / "size" / "c" / "0" / "0").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(RuntimeError, match=r"[Zz]std"):
        xarray.open_zarr(path, chunks=None).load()


def test_a_report_reads_each_variable_once(path, expected, monkeypatch):
    read, values_of = [], StoredArray._values

    def counted(array, key):
        read.append(array.array.basename)
        return values_of(array, key)

    monkeypatch.setattr(StoredArray, "_values", counted)
    results = vg.open_results(path)
    held = read_once(results)
    assert held.isel(arm=0).load().equals(expected.isel(arm=0))
    assert held.isel(arm=-1).load().equals(expected.isel(arm=-1))
    assert sorted(read) == sorted(set(read))
    read.clear()
    assert results.isel(arm=0).load().equals(expected.isel(arm=0))
    assert read  # The user's own results are not in memory.


def test_a_damaged_variable_is_refused_where_it_is_used(path):
    results = vg.open_results(path)
    (file,) = (path / "size" / "c" / "0" / "0").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    held = read_once(results)
    assert held["converged"].values.shape
    with pytest.raises(vg.InputError, match="damaged results"):
        held["size"].load()


def test_values_that_are_not_read_yet_can_be_sent_and_chosen(path, expected):
    results = pickle.loads(pickle.dumps(vg.open_results(path)))
    few = results["size"].isel(arm=1, seed=[5, 0, 3], step=slice(None, None, 2))
    np.testing.assert_array_equal(few.values, expected["size"].values[1][[5, 0, 3]][:, ::2])


def changed(path, name, change):
    """Change a file of JSON, and write the checksums anew, so that the values themselves are met."""
    document = json.loads((path / name).read_text())
    change(document)
    (path / name).write_text(json.dumps(document))
    sign(path)


def inner(document, name, **values):
    """Change JSON within an attribute."""
    held = json.loads(document["attributes"][name])
    document["attributes"][name] = json.dumps({**held, **values})


WRONG = {
    "another type": ("size/zarr.json", lambda d: d.update(data_type="float64")),
    "an unknown type": ("size/zarr.json", lambda d: d.update(data_type="r24")),
    "a shape that nothing fills": ("size/zarr.json", lambda d: d.update(shape=[2, 6, 10**12])),
    "a huge axis": ("step/zarr.json", lambda d: d.update(shape=[10**12])),
    "an axis that others lack": ("size/zarr.json", lambda d: d.update(dimension_names=["arm", "seed", "x"])),
    "a huge chunk": ("size/zarr.json", lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[1, 4, 2**31])),
    "another chunk": ("size/zarr.json", lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[1, 2, 3])),
    "an unknown codec": ("size/zarr.json", lambda d: d.update(codecs=[{"name": "rot13"}])),
    "a codec with a wrong value": ("size/zarr.json", lambda d: d["codecs"][0].update(configuration={"endian": 3})),
    "no codecs": ("outcome/zarr.json", lambda d: d.update(codecs=None)),
    "a group in place of an array": ("seed/zarr.json", lambda d: d.update(node_type="group")),
    "an older format": ("zarr.json", lambda d: d.update(zarr_format=2)),
    "no study": ("zarr.json", lambda d: d["attributes"].pop("study")),
    "a study that is no JSON": ("zarr.json", lambda d: d["attributes"].update(study="[" * 100_000)),
    "a seed that is a word": ("zarr.json", lambda d: inner(d, "study", seed="one")),
    "other arms": ("zarr.json", lambda d: inner(d, "engines", third="plain")),
    "a block of no seeds": ("zarr.json", lambda d: d["attributes"].update(block=0)),
    "a precision that is a word": ("zarr.json", lambda d: d["attributes"].update(precision="fine")),
    "variables elsewhere": ("zarr.json", lambda d: d["attributes"].update(variables='["../x", "completed"]')),
    "attributes that are a list": ("zarr.json", lambda d: d.update(attributes=[])),
}


@pytest.mark.parametrize("kind", WRONG)
def test_metadata_that_cannot_be_right_are_refused_by_name(path, kind):
    name, change = WRONG[kind]
    changed(path, name, change)
    for use in (lambda own: vg.open_results(own).load(), verify_results, lambda own: sweep(own, SEEDS)):
        with pytest.raises(vg.InputError, match="damaged results in ") as refusal:
            use(path)
        assert {"an axis that others lack": "x/zarr.json"}.get(kind, name) in str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"3", b'{"zarr_format": 3}'])
@pytest.mark.parametrize("name", ["zarr.json", "size/zarr.json", "seed/zarr.json"])
def test_metadata_that_are_no_metadata_are_refused_by_name(path, name, content):
    (path / name).write_bytes(content)
    with pytest.raises(vg.InputError, match=rf"damaged results in .*: the file {name}"):
        vg.open_results(path)


@pytest.mark.parametrize("key", ["a\0b/zarr.json", "\ud800/zarr.json"])
def test_a_name_that_no_file_has_is_absent(tmp_path, key):
    files = Folder(tmp_path)
    assert files.size(key) is None
    assert files.read(key) is None
