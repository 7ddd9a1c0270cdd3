"""Trace of an arm's function: its program, and everything that its results declare, found without running it.

Arm ─► train(key) traced ─► leaves of the pytree ─► own variables ─┐
                       └──► converged, diverged ──► outcome, time ─┴─► Traced
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from vgrad_jax.errors import InputError, unknown_name
from vgrad_jax.gradients.recording import Record
from vgrad_jax.jaxprs import ClosedJaxpr
from vgrad_jax.results.axes import PER_RECORD
from vgrad_jax.results.functions import (
    FINISHED,
    FunctionLayout,
    FunctionRun,
    OwnVariable,
    Time,
    is_of_record,
    numbered,
    record_labels,
    record_variables,
    unit_of,
)
from vgrad_jax.results.schema import VARIABLES
from vgrad_jax.sweeps.arm import Arm
from vgrad_jax.training.convergence import Outcome

__all__ = ["Traced", "trace_arm"]

ALONE = "result"
"""Name of a result that is a bare array."""

FUNCTION = "a function of the results"
"""Description of convergence that is a function."""


class Traced(NamedTuple):
    """Program of an arm's function, and the layout of its results."""

    closed: ClosedJaxpr
    """From a key to the leaves of a `FunctionRun`."""
    structure: Any
    """Structure of the `FunctionRun`."""
    layout: FunctionLayout
    result_bytes: int
    """Bytes of a run's results."""


def trace_arm(name: str, arm: Arm) -> Traced:
    """Trace an arm's function twice, and return its program.

    Args:
        name: name of the arm, for messages.
        arm: the arm.

    Raises:
        InputError: the function raises, has effects, or returns nothing or things that are no arrays. Also:
            `converged`, `dims` or `coords` do not fit its results.
    """
    tracer = _Tracer(name, arm)
    closed, shape = jax.make_jaxpr(tracer.run, return_shape=True)(jax.random.key(0))
    if any("Debug" not in type(effect).__name__ for effect in closed.effects):
        raise InputError(
            f"arm {name!r}: train has effects beside its result ({', '.join(map(str, closed.effects))}), as of an "
            "io_callback; return what is to be kept"
        )
    leaves, structure = jax.tree.flatten(shape)
    assert tracer.layout is not None
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    return Traced(closed, structure, tracer.layout, size)


class _Tracer:
    """Function of a key that JAX traces; it notes the layout of the results on the way."""

    def __init__(self, name: str, arm: Arm) -> None:
        self.name, self.arm = name, arm
        self.dims: dict[str, Any] = dict(arm.dims or {})
        self.coords: dict[str, Any] = dict(arm.coords or {})
        # A training of `make_train` names its dimensions itself.
        self.dims_of: Callable[[str, int], tuple[str, ...]] = getattr(arm.train, "dims_of", numbered)
        self.texts = [dict(texts or {}) for texts in (arm.descriptions, arm.units)]
        self.layout: FunctionLayout | None = None

    def run(self, key: jax.Array) -> FunctionRun:
        """Return the results of the run of a key."""
        arm = self.arm
        returned = self._called("train", arm.train, key)
        if returned is None:
            raise InputError(f"arm {self.name!r}: train returned nothing; return a dictionary of arrays")
        values, variables, labels = self._variables(returned)
        self._check_names(variables)
        layout = FunctionLayout(variables, self._coordinates(variables), labels)
        reached, description = self._reached(returned, values)
        time, when = (None, None) if reached is None else self._time(reached, values, layout)
        outcome, hit = self._outcome(returned, values, reached)
        self.layout = layout._replace(criterion=description, time=time)
        return FunctionRun(values, outcome, None if when is None else jnp.where(hit, when, jnp.nan))

    def _called(self, role: str, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call a function of the user's; an exception in it becomes an `InputError`."""
        try:
            return function(argument)
        except InputError as error:
            raise InputError(f"arm {self.name!r}: {error}") from error
        except Exception as error:
            raise InputError(
                f"arm {self.name!r}: {role} raised {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            ) from error

    def _variables(self, returned: PyTree) -> tuple[dict[str, jax.Array], dict[str, OwnVariable], Any]:
        """Return the results by name, their declarations, and the labels of a record among them."""
        values: dict[str, jax.Array] = {}
        variables: dict[str, OwnVariable] = {}
        labels = None

        def put(name: str, value: Any, dims: tuple[str, ...], description: str, units: str) -> None:
            if name in values:
                raise InputError(f"arm {self.name!r}: two results have the name {name!r}")
            values[name] = array = _stored(value)
            variables[name] = OwnVariable(dims, array.shape, array.dtype.name, description, units)

        for path, leaf in jax.tree_util.tree_leaves_with_path(returned, is_leaf=_is_whole):
            name = _name_of(path)
            if isinstance(leaf, Record):
                self._check_record(name, leaf, labels is not None)
                labels = record_labels(leaf)
                for own, dims, description, units, array in record_variables(leaf):
                    put(own, array, dims, description, units)
            else:
                if is_of_record(name):
                    raise InputError(
                        f"arm {self.name!r}: the name {name!r} is that of a recorder's numbers; rename this result, or "
                        "return a vg.Record"
                    )
                value = self._array(name, leaf)
                dims = self._dims(name, value)
                put(name, value, dims, *(texts.get(name, "") for texts in self.texts))
        if not values:
            raise InputError(f"arm {self.name!r}: train returned no arrays but {returned!r}")
        return values, variables, labels

    def _check_record(self, name: str, record: Record, has_record: bool) -> None:
        if has_record:
            raise InputError(f"arm {self.name!r}: train returns several records; return one, here at {name!r}")
        if record.step.ndim != 1:
            raise InputError(
                f"arm {self.name!r}: the record {name!r} has batch axes of the sizes {record.step.shape[:-1]}; train "
                "returns the record of one run"
            )

    def _array(self, name: str, leaf: Any) -> jax.Array:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            raise InputError(
                f"arm {self.name!r}: the result {name!r} is no array but {type(leaf).__name__}; return arrays, numbers "
                "or a vg.Record"
            )
        value = jnp.asarray(leaf)
        if not value.size:
            raise InputError(f"arm {self.name!r}: the result {name!r} has no values; its shape is {value.shape}")
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            raise InputError(f"arm {self.name!r}: the result {name!r} is a key; return jax.random.key_data of it")
        return value

    def _dims(self, name: str, value: jax.Array) -> tuple[str, ...]:
        named = self.dims.get(name)
        if named is not None and len(named) != value.ndim:
            raise InputError(
                f"arm {self.name!r}: dims names {len(named)} dimensions of {name!r}, which has the shape {value.shape}"
            )
        return named or self.dims_of(name, value.ndim)

    def _check_names(self, variables: dict[str, OwnVariable]) -> None:
        """Refuse names that do not fit, and dimensions of two lengths."""
        own = {name for name in variables if not is_of_record(name)} - {*PER_RECORD}
        reserved = sorted(own & {*VARIABLES, "arm", "seed", "record", "layer", "epoch", "parameter"})
        if reserved:
            raise InputError(f"arm {self.name!r}: {reserved[0]!r} is a name of the sweep's own; rename this result")
        for option in ("dims", "units", "descriptions"):
            for name in getattr(self.arm, option):
                if name not in variables:
                    raise InputError(f"arm {self.name!r}: {option}: {unknown_name('result', name, variables)}")
        lengths: dict[str, tuple[str, int]] = {}
        for name, variable in variables.items():
            for dim, size in zip(variable.dims, variable.shape, strict=True):
                first, length = lengths.setdefault(dim, (name, size))
                if length != size:
                    raise InputError(
                        f"arm {self.name!r}: the dimension {dim!r} has {length} values in {first!r} and {size} in "
                        f"{name!r}; give them dimensions of different names"
                    )

    def _coordinates(self, variables: dict[str, OwnVariable]) -> dict[str, tuple[float | int, ...] | None]:
        lengths = {d: size for own in variables.values() for d, size in zip(own.dims, own.shape, strict=True)}
        for dimension, values in self.coords.items():
            if dimension not in lengths:
                raise InputError(f"arm {self.name!r}: coords: {unknown_name('dimension', dimension, lengths)}")
            if len(values) != lengths[dimension]:
                raise InputError(
                    f"arm {self.name!r}: coords has {len(values)} values of the dimension {dimension!r}, whose length "
                    f"is {lengths[dimension]}"
                )
        own = {**getattr(self.arm.train, "coords", {}), **self.coords}
        return {dim: own.get(dim) for dim in lengths if dim not in ("record", "layer")}

    def _reached(self, returned: PyTree, values: dict[str, jax.Array]) -> tuple[jax.Array | None, str | None]:
        """Return where the run has converged, as one boolean or a curve, and a description of it."""
        arm = self.arm
        if arm.converged is None:
            return None, None
        criterion = arm.criterion
        if criterion is not None:
            if criterion.curve not in values:
                raise InputError(f"arm {self.name!r}: converged: {unknown_name('result', criterion.curve, values)}")
            reached, words = criterion.reached(values[criterion.curve]), str(arm.converged).strip()
        else:
            assert callable(arm.converged)
            reached, words = self._called("converged", arm.converged, returned), FUNCTION
        if not _is_boolean(reached):
            raise InputError(
                f"arm {self.name!r}: converged must give booleans, such as r['accuracy'] >= 0.9; it gave {reached!r}"
            )
        reached = jnp.asarray(reached)
        if reached.ndim > 1 or not reached.size:
            raise InputError(
                f"arm {self.name!r}: converged must give one boolean or a curve of them; its shape is {reached.shape}"
            )
        return reached, words

    def _time(
        self, reached: jax.Array, values: dict[str, jax.Array], layout: FunctionLayout
    ) -> tuple[Time | None, jax.Array | None]:
        """Return how time is counted, and the time of the first True."""
        if reached.ndim == 0:
            return None, None
        criterion = self.arm.criterion
        curves = [name for name, value in values.items() if value.shape == reached.shape]
        curves = [criterion.curve] if criterion is not None else curves
        counted = {layout.variables[name].dims for name in curves}
        if len(counted) > 1:
            raise InputError(
                f"arm {self.name!r}: converged gives a curve, and results of its length have the dimensions "
                f"{', '.join(sorted(dims[0] for dims in counted))}; say which counts the time, as in "
                "converged='accuracy >= 0.9'"
            )
        dimension = layout.variables[curves[0]].dims[0] if curves else "value"
        axis = layout.values_of(dimension) if curves and dimension != "record" else np.arange(1, len(reached) + 1)
        unit = "value" if dimension == "record" else unit_of(dimension)
        return Time(unit, float(axis[-1])), jnp.asarray(axis, jnp.float32)[jnp.argmax(reached)]

    def _outcome(
        self, returned: PyTree, values: dict[str, jax.Array], reached: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """Return the outcome as a number, and whether the run converged."""
        if self.arm.diverged is None:
            diverged = jnp.asarray(False)
            for name, value in values.items():
                if jnp.issubdtype(value.dtype, jnp.inexact) and not is_of_record(name):
                    diverged |= jnp.any(jnp.isnan(value)) | jnp.any(jnp.real(value) == jnp.inf)
        else:
            diverged = self._called("diverged", self.arm.diverged, returned)
            if not _is_boolean(diverged) or np.ndim(diverged):
                raise InputError(f"arm {self.name!r}: diverged must give one boolean; it gave {diverged!r}")
        hit = jnp.asarray(False) if reached is None else jnp.any(reached) & ~diverged
        ended = FINISHED if reached is None else jnp.where(hit, Outcome.CONVERGED, Outcome.NOT_CONVERGED)
        return jnp.where(diverged, Outcome.DIVERGED, ended).astype(jnp.int8), hit


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or getattr(value, "dtype", None) == np.dtype(bool)


def _is_whole(node: Any) -> bool:
    """Return whether a node is a result of its own: a record, or an empty place that is no array."""
    return isinstance(node, Record)


def _name_of(path: tuple[Any, ...]) -> str:
    name = "_".join(_words(path))
    return f"{ALONE}_{name}" if name[:1].isdigit() else name or ALONE


def _words(path: tuple[Any, ...]) -> Iterator[str]:
    """Yield the parts of a leaf's path: keys, indices and names of fields."""
    for entry in path:
        word = next((getattr(entry, field) for field in ("key", "name", "idx") if hasattr(entry, field)), entry)
        yield re.sub(r"\W+", "_", str(word)) or "_"


def _stored(value: Any) -> jax.Array:
    """Return an array in a type that results can hold: half precision becomes float32."""
    array = jnp.asarray(value)
    return array.astype(jnp.float32) if array.dtype in (jnp.bfloat16, jnp.float16) else array
