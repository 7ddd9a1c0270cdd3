"""Files of records."""

import functools
import json
import tempfile
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import vgrad_jax as vg
from tests.fuzzing.values import PLAIN, WrongError, mutated


@functools.cache
def made_record():
    optimizer = vg.record(every=1, history=6, around=optax.sgd(0.1))
    params = {"first": jnp.ones((3, 3)), "second": jnp.ones((3, 2))}
    state = optimizer.init(params)
    for step in range(6):
        gradient = jax.tree.map(lambda leaf, step=step: leaf * 0.5**step, params)
        _, state = optimizer.update(gradient, state, params, value=jnp.asarray(1.0 / (1 + step)))
    return jax.tree.map(np.asarray, vg.get_record(state))


@functools.cache
def saved_record():
    """The bytes of a record's file."""
    with tempfile.TemporaryDirectory() as folder:
        made_record().save(Path(folder) / "record.npz")
        return (Path(folder) / "record.npz").read_bytes()


def records(random, folder):
    """Records that were saved, changed byte by byte or array by array."""
    path = folder / "record.npz"
    path.write_bytes(saved_record())
    whole = random.random() < 0.5
    if whole:
        path.write_bytes(mutated(random, path.read_bytes()))
    else:
        with np.load(path) as file:
            arrays = dict(file)
        for _ in range(random.randint(0, 2)):
            name = random.choice(sorted(arrays))
            if name == "labels":
                labels = json.loads(str(arrays["labels"]))
                labels[random.choice(sorted(labels))] = random.choice([v for v in PLAIN if not isinstance(v, float)])
                arrays["labels"] = np.asarray(json.dumps(labels))
                continue
            shape = tuple(random.choice((0, 1, 2, 6, 7)) for _ in range(random.randrange(4)))
            same = random.random() < 0.4
            value = random.choice((0, 1, -1, 7, np.nan, np.inf, -np.inf, True, "text"))
            changed = np.full(arrays[name].shape if same else shape, value)
            keeps = same and random.random() < 0.5 and not isinstance(value, str)
            arrays[name] = changed.astype(arrays[name].dtype) if keeps else changed
        if random.random() < 0.2:
            del arrays[random.choice(sorted(arrays))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.savez(path, **arrays)
    record = vg.Record.load(path)
    if whole:
        for name, value in vars(made_record()).items():
            if isinstance(value, np.ndarray) and value.tobytes() != getattr(record, name).tobytes():
                raise WrongError(f"{name} is {getattr(record, name)}, and {value} was saved")
    verdict = vg.diagnose(record)
    repr(record), str(verdict), verdict.to_dict()
