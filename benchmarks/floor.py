"""Compile the C kernel of `floor.c` for one network, and call it with the library's parameters and row orders."""

import ctypes
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.nets.mlp import Layer, Params
from vgrad_jax.training.run import epoch_order, initial_params

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC", "-shared", "-pthread", "-std=gnu11", "-Wall")
"""Flags of the C compiler."""


class Floor(NamedTuple):
    """Arguments of the kernel for a batch of seeds; the number of seeds is a multiple of the kernel's lanes."""

    library: ctypes.CDLL
    params: np.ndarray
    """Initial parameters, `(group, parameter, lane)`."""
    orders: np.ndarray
    """Row numbers, `(group, order, row, lane)`."""
    experiment: vg.Experiment


def compiler() -> str | None:
    """Return the C compiler's path; None if the machine has no compiler."""
    return shutil.which("gcc") or shutil.which("cc")


def build(features: int = 2, width: int = 5, hidden: int = 5, batch: int = 32) -> ctypes.CDLL:
    """Compile the kernel; the test is skipped if the machine has no C compiler."""
    path = compiler()
    if path is None:
        pytest.skip("the floor needs a C compiler, gcc or cc; none was found")
    return _build(path, (Path(__file__).parent / "floor.c").read_text(), features, width, hidden, batch)


@lru_cache(maxsize=8)
def _build(compiler: str, source: str, features: int, width: int, hidden: int, batch: int) -> ctypes.CDLL:
    sizes = {"FEATURES": features, "WIDTH": width, "HIDDEN": hidden, "BATCH": batch}
    with tempfile.TemporaryDirectory() as folder:
        code, library = Path(folder, "floor.c"), Path(folder, "floor.so")
        code.write_text(source)
        command = [compiler, *FLAGS, *(f"-D{name}={value}" for name, value in sizes.items())]
        subprocess.run([*command, str(code), "-o", str(library)], check=True)
        loaded = ctypes.CDLL(str(library))
    loaded.peak_multiply_adds.restype = ctypes.c_double
    return loaded


def compiler_version() -> str | None:
    """Return the first line of the compiler's description of itself."""
    path = compiler()
    if path is None:
        return None
    return subprocess.run([path, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]


def prepare(experiment: vg.Experiment, keys: jax.Array, orders: int) -> Floor:
    """Draw and shuffle the seeds of these keys as `vgrad_jax.train` does.

    Args:
        experiment: a tanh network with hidden layers of one width and one logit, trained by SGD with momentum.
        keys: the key of each seed.
        orders: number of epochs whose row orders are drawn; a longer training repeats them in turn.
    """
    dataset = vg.load_data(experiment.data)
    rows, features = dataset.train_x.shape
    widths = set(experiment.mlp.hidden)
    assert experiment.mlp.activation == "tanh"
    assert len(widths) == 1
    assert rows < 2**16
    params = jax.vmap(lambda key: initial_params(experiment, key, dataset))(keys)

    def all_orders(key: jax.Array) -> jax.Array:
        order_key = jax.random.fold_in(key, 1)
        return jax.vmap(lambda epoch: epoch_order(order_key, epoch, rows))(jnp.arange(1, orders + 1))

    order = np.asarray(jax.jit(jax.vmap(all_orders))(keys), np.uint16)
    library = build(features, *widths, len(experiment.mlp.hidden), experiment.training.batch_size)
    lanes = library.lanes()
    assert len(keys) % lanes == 0
    order = np.moveaxis(order.reshape(-1, lanes, orders, rows), 1, -1)
    return Floor(library, _packed(params, lanes), np.ascontiguousarray(order), experiment)


def _packed(params: Params, lanes: int) -> np.ndarray:
    leaves = [np.asarray(leaf, np.float32) for layer in params for leaf in layer]
    flat = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    return _aligned(np.swapaxes(flat.reshape(-1, lanes, flat.shape[1]), 1, 2))


def _unpacked(packed: np.ndarray, experiment: vg.Experiment) -> Params:
    flat = np.swapaxes(packed, 1, 2).reshape(-1, packed.shape[1])
    features = vg.load_data(experiment.data).train_x.shape[1]
    widths = experiment.mlp.widths(features)
    layers, start = [], 0
    for fan_in, fan_out in itertools.pairwise(widths):
        middle, stop = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
        layers.append(Layer(flat[:, start:middle].reshape(-1, fan_in, fan_out), flat[:, middle:stop]))
        start = stop
    return tuple(layers)


def _aligned(array: np.ndarray) -> np.ndarray:
    """Copy an array to an address that is a multiple of 64 bytes, as vectors in memory need."""
    buffer = np.empty(array.nbytes + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    copy = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Trained(NamedTuple):
    """Results of the kernel, with a leading seed axis."""

    params: Params
    gradients: Params
    """Gradient over all training rows after the last epoch; zero unless every epoch is recorded."""
    test_accuracy: np.ndarray
    """Accuracy on the test rows after the last epoch; zero unless every epoch is recorded."""


def train(floor: Floor, epochs: int, threads: int, *, record_every_epoch: bool = False) -> Trained:
    """Train all seeds.

    Args:
        floor: arguments from `prepare`.
        epochs: passes over the training rows.
        threads: number of cores to use.
        record_every_epoch: compute the gradient of all training rows and the accuracy on all test rows after each
            epoch, which is the arithmetic of the library's records.
    """
    experiment, library = floor.experiment, floor.library
    dataset = vg.load_data(experiment.data)
    params, momenta, gradients = _aligned(floor.params), *(_aligned(np.zeros_like(floor.params)) for _ in range(2))
    correct = _aligned(np.zeros_like(floor.params[:, 0]))
    fields = (dataset.train_x, dataset.train_y, dataset.test_x, dataset.test_y)
    data = [np.ascontiguousarray(array, np.float32) for array in fields]
    groups, orders, rows, _ = floor.orders.shape
    rates = (experiment.optimizer.learning_rate, experiment.optimizer.momentum)
    arrays: list[Any] = [
        ctypes.c_void_p(array.ctypes.data) for array in (*data, floor.orders, params, momenta, gradients, correct)
    ]
    sizes = (threads, groups, rows, epochs, orders, int(record_every_epoch), len(dataset.test_x))
    library.train(*sizes, *map(ctypes.c_float, rates), *arrays)
    return Trained(
        _unpacked(params, experiment), _unpacked(gradients, experiment), correct.reshape(-1) / len(dataset.test_x)
    )


def tanh(values: np.ndarray) -> np.ndarray:
    """Compute the kernel's tanh; the number of values is a multiple of the lanes."""
    copy, library = _aligned(np.asarray(values, np.float32)), build()
    library.tanh_values(len(copy) // library.lanes(), ctypes.c_void_p(copy.ctypes.data))
    return copy


@lru_cache(maxsize=4)
def peak_gflops(threads: int | None = None, seconds: float = 0.3) -> float:
    """Measure the peak of the cores in single-precision multiply-adds, as 1e9 operations a second (two a multiply-add).

    Args:
        threads: number of cores to use; None is all.
        seconds: approximate length of each of three trials; the fastest counts.
    """
    library, result = build(), ctypes.c_float()
    threads = threads or cores()

    def timed(iterations: int) -> float:
        start = time.perf_counter()
        done = library.peak_multiply_adds(threads, ctypes.c_long(iterations), ctypes.c_float(0.5), ctypes.byref(result))
        return 2 * done / (time.perf_counter() - start)

    iterations = 10**6
    iterations = max(1, int(timed(iterations) * seconds / (2 * threads * 16 * library.lanes())))
    return max(timed(iterations) for _ in range(3)) / 1e9


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
