"""Checked boundary of a store: its JSON becomes values whose types and shapes are known, or the store is refused.

    zarr.json ─► attributes, arrays ─► types ─► dimensions fit together ─► Metadata

Zarr and xarray see only what has passed here. A store that claims more than its files hold is refused before memory is
taken for it.
"""

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vgrad_jax.data import DataSummary
from vgrad_jax.results.checksums import parsed
from vgrad_jax.results.files import Files, UnreadableError
from vgrad_jax.results.functions import FUNCTIONS
from vgrad_jax.results.schema import VARIABLES

__all__ = ["DATA", "LISTED", "ROOT", "ArrayMetadata", "Metadata", "metadata_key", "read_metadata"]

DATA = "data"
"""Name of the attribute of results that holds the facts about each arm's data, as JSON."""

LISTED = "variables"
"""Name of the attribute of a store that lists its variables."""

ROOT = "zarr.json"
"""Key of the file with the attributes of the store."""

CODECS = {"bytes", "vlen-utf8", "zstd", "crc32c", "sharding_indexed", "gzip", "blosc", "transpose"}
"""Names of the codecs that a store may use: those of Zarr itself."""

TYPES = {
    *("bool", "string", "float16", "float32", "float64", "complex64", "complex128"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
"""Data types that a variable or coordinate may have."""

COORDINATES = ("arm", "seed", "record", "layer", "parameter", "parameters_epoch", "gradients_epoch", "epoch")
"""Coordinates of `Experiment`s."""

MOST_FILE_BYTES = 2**32
"""Largest size of the values in a file of a variable, in bytes."""

LARGEST = 2**31
"""Largest length of an axis."""


class ArrayMetadata(NamedTuple):
    """Shape and type of an array, as its file says."""

    shape: tuple[int, ...]
    file_shape: tuple[int, ...]
    """Shape of the values in a file."""
    dims: tuple[str, ...]
    dtype: str
    """Zarr's name of the data type."""

    @property
    def files(self) -> int:
        """Number of files that hold the array."""
        return math.prod(-(-size // step) for size, step in zip(self.shape, self.file_shape, strict=True))


class Metadata(NamedTuple):
    """Attributes and arrays of a store."""

    attributes: Mapping[str, Any]
    arrays: Mapping[str, ArrayMetadata]
    """Name of each coordinate and variable to its shape and type."""
    variables: tuple[str, ...]
    """Names of the variables, the marks of completed runs last."""

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates."""
        return tuple(name for name in self.arrays if name not in self.variables)


def metadata_key(name: str) -> str:
    """Return the key of the file that describes an array."""
    return f"{name}/zarr.json"


def read_metadata(files: Files) -> Metadata:
    """Read and check what a store says of itself.

    Raises:
        UnreadableError: a file is missing, is no JSON, has a value of another type, or does not fit the others.
    """
    root = _document(files, ROOT, "group")
    with _naming(ROOT):
        attributes = _attributes(root)
        present = [name for name in COORDINATES if files.size(metadata_key(name)) is not None]
        listed = attributes.get(LISTED)
        names = (
            [name for name in VARIABLES if files.size(metadata_key(name)) is not None]
            if listed is None
            else [str(name) for name in json.loads(listed)]
        )
        _expect(names[-1:] == ["completed"] and len(set(names)) == len(names), "the list of variables")
        _expect(all(_is_name(name) for name in names), "the names of variables")
    arrays = {name: _array(files, name) for name in names}
    dims = dict.fromkeys(dim for name in names for dim in arrays[name].dims)
    coordinates = [*dims, *(name for name in present if name not in dims)]
    arrays = {**{name: _array(files, name) for name in coordinates}, **arrays}
    metadata = Metadata(attributes, arrays, tuple(names))
    _check_shapes(metadata, files)
    return metadata


def _document(files: Files, key: str, kind: str) -> dict[str, Any]:
    raw = files.read(key)
    if raw is None:
        raise UnreadableError(f"the file {key} is missing")
    document = parsed(raw, key)
    with _naming(key):
        _expect(isinstance(document, dict), "the document")
        _expect(document.get("zarr_format") == 3 and document.get("node_type") == kind, f"the {kind} of Zarr 3")
        _expect(isinstance(document.get("attributes", {}), dict), "the attributes")
    return {**document, "attributes": document.get("attributes", {})}


@contextlib.contextmanager
def _naming(key: str) -> Iterator[None]:
    """Turn every failure to read a value into a sentence that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        words = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise UnreadableError(f"the file {key} is damaged ({words})") from None


def _expect(is_right: object, subject: str) -> None:
    if not is_right:
        raise ValueError(f"{subject} cannot be used")


def _is_name(name: object) -> bool:
    """Return whether a name may be the folder of an array."""
    return isinstance(name, str) and re.fullmatch(r"[^/\\\0]+", name) is not None and name not in (".", "..")


def _count(value: object, subject: str, *, minimum: int = 1) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    _expect(is_whole and minimum <= int(str(value)) <= LARGEST, subject)
    return int(str(value))


def _attributes(root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a store after a check of every type that the rest of the package relies on."""
    attributes = dict(root["attributes"])
    arms = _study(attributes)
    _texts(json.loads(attributes["versions"]), "the versions")
    engines = json.loads(attributes["engines"])
    _texts(engines, "the engines")
    _expect(engines.keys() == arms, "the engines' arms")
    for name in ("chunk", "block"):
        _count(attributes[name], name)
    precision = attributes.get("precision")
    _expect(precision is None or (isinstance(precision, float) and 0 < precision < 0.5), "the precision")
    if "layers" in attributes:
        layers = json.loads(attributes["layers"])
        _expect(layers.keys() == arms, "the layers' arms")
        for value in layers.values():
            _count(value, "a number of layers", minimum=0)
    if DATA in attributes:
        for facts in json.loads(attributes[DATA]).values():
            _facts(facts)
    if FUNCTIONS in attributes:
        _functions(json.loads(attributes[FUNCTIONS]), arms)
    _expect(isinstance(attributes.get("title", ""), str), "the title")
    return attributes


def _study(attributes: Mapping[str, Any]) -> set[str]:
    """Check the description of the study; return the names of its arms."""
    study = json.loads(attributes["study"])
    _count(study["seed"], "the study's seed", minimum=0)
    _expect(study["arms"] and all(isinstance(arm, dict) for arm in study["arms"].values()), "the study's arms")
    _texts(study["data"], "the study's data")
    _expect(study["data"].keys() == study["arms"].keys(), "the study's data")
    return set(study["arms"])


def _texts(values: Any, subject: str) -> None:
    _expect(isinstance(values, dict) and all(isinstance(text, str) for text in values.values()), subject)


def _functions(functions: Any, arms: set[str]) -> None:
    _expect(isinstance(functions, dict) and functions.keys() <= arms, "the functions' arms")
    for plain in functions.values():
        _expect(isinstance(plain, dict) and isinstance(plain["variables"], dict), "a function's variables")
        for own in plain["variables"].values():
            _expect(isinstance(own["dims"], list) and all(map(_is_name, own["dims"])), "a variable's dimensions")
            _expect(isinstance(own["shape"], list) and len(own["dims"]) == len(own["shape"]), "a variable's shape")
            for size in own["shape"]:
                _count(size, "a variable's shape", minimum=0)
            _texts({name: own[name] for name in ("dtype", "description", "units")}, "a variable's description")
            _expect(own["dtype"] in TYPES - {"string"}, "a variable's type")
        for values in plain["coordinates"].values():
            _expect(values is None or all(map(_is_number, values)), "a dimension's values")
        _expect(plain["criterion"] is None or isinstance(plain["criterion"], str), "a function's criterion")
        _expect(plain["record"] is None or isinstance(plain["record"], dict), "a function's record")
        time = plain["time"]
        _expect(time is None or (_is_name(time["unit"]) and _is_number(time["budget"])), "a function's time")


def _facts(facts: Any) -> None:
    """Check the facts about an arm's data."""
    own = DataSummary(**facts)
    for name in ("train_rows", "test_rows", "dropped_rows", "filled_values"):
        _count(getattr(own, name), name, minimum=0)
    lists: list[Any] = [own.features, own.classes or [], *own.levels.values()]
    for names in lists:
        _expect(isinstance(names, list) and all(isinstance(name, str) for name in names), "the names of the data")
    _texts({"target": own.target, "scale": own.scale}, "the words about the data")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _array(files: Files, name: str) -> ArrayMetadata:
    """Return the shape and type of an array after a check of everything that Zarr reads of it."""
    if files.size(metadata_key(name)) is None:
        raise UnreadableError(f"the file {metadata_key(name)} is missing")
    document = _document(files, metadata_key(name), "array")
    with _naming(metadata_key(name)):
        shape = tuple(_count(size, "the shape", minimum=0) for size in document["shape"])
        grid = document["chunk_grid"]
        _expect(grid["name"] == "regular", "the grid of chunks")
        file_shape = tuple(_count(size, "the shape of a chunk") for size in grid["configuration"]["chunk_shape"])
        dims = tuple(document["dimension_names"])
        _expect(len(dims) == len(shape) == len(file_shape) and all(map(_is_name, dims)), "the dimensions")
        _expect(document["data_type"] in TYPES, "the data type")
        fill = document["fill_value"]
        _expect(isinstance(fill, str | bool | list) or abs(fill) < LARGEST, "the fill value")
        _expect(document["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}, "the keys")
        _check_codecs(document["codecs"])
        _expect(not document.get("storage_transformers"), "the transformers")
        for attribute in ("description", "units"):
            _expect(isinstance(document["attributes"].get(attribute, ""), str), attribute)
    return ArrayMetadata(shape, file_shape, dims, document["data_type"])


def _check_codecs(codecs: Any) -> None:
    _expect(isinstance(codecs, list) and codecs, "the codecs")
    for codec in codecs:
        _expect(codec["name"] in CODECS, f"the codec {codec['name']!r}")
        configuration = codec.get("configuration", {})
        for nested in ("codecs", "index_codecs"):
            if nested in configuration:
                _check_codecs(configuration[nested])
        for size in configuration.get("chunk_shape", ()):
            _count(size, "the shape of a piece")


def _check_shapes(metadata: Metadata, files: Files) -> None:
    """Refuse arrays that do not fit together, or that claim more than there are files for."""
    arrays, block = metadata.arrays, metadata.attributes["block"]
    functions = json.loads(metadata.attributes.get(FUNCTIONS, "{}"))
    for name in metadata.coordinates:
        with _naming(metadata_key(name)):
            own = arrays[name]
            held = sum(key.startswith(f"{name}/c/") for key in files.sizes(f"{name}/c"))
            # A growth that was killed leaves fewer files of `seed`; its values then are zeros.
            _expect(own.files <= max(held, 1) or (name == "seed" and own.files <= 2**16), "the shape")
            _expect(name == "epoch" or own.dims == (name,), "the dimensions")
            _expect(own.dtype == "string" if name in ("arm", "parameter") else own.dtype != "string", "the data type")
    with _naming(metadata_key("arm")):
        _expect(arrays["arm"].shape == (len(json.loads(metadata.attributes["study"])["arms"]),), "the shape")
    for name in metadata.variables:
        with _naming(metadata_key(name)):
            own = arrays[name]
            _expect(own.dims[:2] == ("arm", "seed") and own.file_shape[:2] == (1, block), "the dimensions")
            _expect(math.prod(own.file_shape) * 4 <= MOST_FILE_BYTES, "the shape of a chunk")
            _expect(_fits(own, arrays), "the shape")
            _expect(own.dtype in _types(name, functions), "the data type")
    if "epoch" in arrays:
        with _naming(metadata_key("epoch")):
            _expect(arrays["epoch"].dims in (("record",), ("arm", "record"), ("epoch",)), "the dimensions")
            _expect(arrays["epoch"].dims == ("epoch",) or _fits(arrays["epoch"], arrays), "the shape")


def _types(name: str, functions: Mapping[str, Any]) -> set[str]:
    """Return Zarr's names of the data types that a variable may have."""
    declared = [plain["variables"][name]["dtype"] for plain in functions.values() if name in plain["variables"]]
    own = {np.result_type(*declared).name} if declared else set()
    known = {{"str": "string"}.get(kind := VARIABLES[name].dtype, kind)} if name in VARIABLES else set()
    return own | known


def _fits(own: ArrayMetadata, arrays: Mapping[str, ArrayMetadata]) -> bool:
    """Return whether the axes have the lengths of their coordinates; an interrupted growth differs along `seed`."""
    lengths = {dim: arrays[dim].shape[0] for dim in own.dims if dim in arrays}
    return all(dim == "seed" or lengths.get(dim) == size for dim, size in zip(own.dims, own.shape, strict=True))
