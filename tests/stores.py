"""A store whose blocks nobody trained: writing it costs no compilation, and every value of it is known."""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np

from vgrad_jax.results import store as store_module
from vgrad_jax.results.axes import schema_of
from vgrad_jax.results.checksums import METADATA, Checksums, Digest, encoded
from vgrad_jax.results.description import describe
from vgrad_jax.results.environment import versions
from vgrad_jax.results.files import Folder
from vgrad_jax.results.functions import FUNCTIONS, FunctionLayout, OwnVariable, Time
from vgrad_jax.results.schema import Layout
from vgrad_jax.results.store import Store

ARMS = ("first", "second")
BLOCK = 4
LENGTH = 3

LAYOUT = FunctionLayout(
    variables={"size": OwnVariable(("step",), (LENGTH,), "float32", "size at a step", "1")},
    coordinates={"step": None},
    criterion="size < 0.5",
    time=Time("step", LENGTH),
)
"""Results of an arm: a curve, and the variables that every arm has."""


def schema(num_seeds):
    return schema_of({arm: Layout((), 0, function=LAYOUT) for arm in ARMS}, num_seeds)


def study():
    return describe({arm: {"factors": {}} for arm in ARMS}, dict.fromkeys(ARMS, "0"), 0)


def attributes():
    return {
        "study": json.dumps(study()),
        "versions": json.dumps(versions()),
        "engines": json.dumps(dict.fromkeys(ARMS, "plain")),
        "layers": json.dumps(dict.fromkeys(ARMS, 0)),
        "chunk": 2,
        FUNCTIONS: json.dumps({arm: LAYOUT.to_plain() for arm in ARMS}),
    }


def runs(arm, start, stop):
    """Return the results of runs: all that a training would have given, and different for every run."""
    seeds = np.arange(start, stop)
    rng = [np.random.default_rng([arm, seed]) for seed in seeds]
    size = np.asarray([own.random(LENGTH) for own in rng], np.float32).reshape(-1, LENGTH)
    converged = size[:, -1] < 0.5
    return {
        "size": size,
        "outcome": np.where(converged, "converged", "not_converged"),
        "converged": converged,
        "epochs_to_converge": np.where(converged, LENGTH, np.nan).astype(np.float32),
    }


def fill(target, num_seeds, *, together=2):
    """Write every missing run, a part of a block at a time; return the numbers of the runs that were missing."""
    written = []
    for block in range(0, num_seeds, BLOCK):
        for arm in range(len(ARMS)):
            for start in range(block, min(block + BLOCK, num_seeds), together):
                stop = min(start + together, block + BLOCK, num_seeds)
                if not target.completed(start, stop)[arm].all():
                    target.write(arm, start, stop, runs(arm, start, stop))
                    written.append((arm, start, stop))
    return written


def sweep(path, num_seeds, **options):
    """Make a store, or go on with it, as a sweep does; return what `fill` returns."""
    path = Path(path)
    if path.exists():
        target = Store.resume(path, study(), num_seeds)
    else:
        target = Store.create(path, schema(num_seeds), attributes(), BLOCK)
    return fill(target, num_seeds, **options)


def without_versions():
    """Leave the versions out, for processes that must not start a device of JAX's."""
    store_module.check_versions = lambda *arguments: None
    held = json.dumps({"jax": "any"})
    globals()["versions"] = lambda: json.loads(held)


def equal(results, expected):
    """Return whether two sets of results are equal in every value, label, type and attribute."""
    return results.identical(expected) and pickle.dumps(results.attrs) == pickle.dumps(expected.attrs)


def quietly(function, *arguments, **options):
    """Call a function without its warnings about damaged blocks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*arguments, **options)


def sign(path):
    """Write the checksums of a store's metadata anew, after a test has changed it on purpose."""
    known = Checksums(Folder(path)).metadata()
    (path / METADATA).write_bytes(encoded({key: (Digest.of((path / key).read_bytes()),) for key in known}))
