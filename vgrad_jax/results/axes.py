"""Axes of a sweep's results: its coordinates and variables, put together from the layouts of all arms.

    layouts of the arms ──► schema_of ──► coordinates, variables, shapes ──► memory or a store

A function's dimension `epoch` is the dimension `record` beside `Experiment`s, whose records have the label `epoch`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from vgrad_jax.errors import InputError
from vgrad_jax.results.functions import GRADIENT, RATIO, FunctionLayout, OwnVariable, numbered
from vgrad_jax.results.schema import PARTS, VARIABLES, Layout, Variable

__all__ = ["PER_RECORD", "RESERVED", "Coordinate", "Schema", "named_alike", "result_dims", "schema_of"]

PER_RECORD = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
"""Variables of `Experiment`s that a function may have too, as curves."""

RESERVED = ("arm", "seed", "record", "layer", "parameter", "parameters_epoch", "gradients_epoch")
"""Dimensions that a function cannot declare."""

NO_EPOCH = -1
"""Label of a record that an arm does not have, or does not count in epochs."""

Coordinate = tuple[str | tuple[str, ...], np.ndarray]
"""Dimension or dimensions of a coordinate, and its values."""


class Schema(NamedTuple):
    """Coordinates and variables of a sweep's results."""

    coordinates: dict[str, Coordinate]
    variables: dict[str, Variable]
    """Variable name to variable; `completed` is the last one, because it is written last."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Variable name to shape."""
        sizes = {name: len(values) for name, (dims, values) in self.coordinates.items() if dims == name}
        return {name: tuple(sizes[dim] for dim in variable.dims) for name, variable in self.variables.items()}


def schema_of(layouts: Mapping[str, Layout], num_seeds: int) -> Schema:
    """Return the coordinates and variables of a sweep.

    Args:
        layouts: arm name to the axes of its results.
        num_seeds: seeds of each arm.

    Raises:
        InputError: two arms declare the same variable or dimension differently.
    """
    functions = {name: layout.function for name, layout in layouts.items() if layout.function is not None}
    recorded = {name: layout for name, layout in layouts.items() if layout.function is None}
    coordinates: dict[str, Coordinate] = {
        "arm": ("arm", np.asarray(list(layouts))),
        "seed": ("seed", np.arange(num_seeds)),
    }
    records = _records(recorded, functions)
    if records:
        coordinates["record"] = ("record", np.arange(records))
    if recorded:
        coordinates["epoch"] = _epochs(layouts, records)
    layers = max(layout.num_layers for layout in layouts.values())
    if layers:
        coordinates["layer"] = ("layer", np.arange(layers))
    coordinates |= _of_parameters(recorded.values())
    coordinates |= _own_coordinates(functions, mixed=bool(recorded))
    own = _own_variables(functions, mixed=bool(recorded))
    clash = sorted(set(own) & set(coordinates))
    if clash:
        raise InputError(f"{clash[0]!r} is the name of a variable and of a dimension; give one of them another name")
    known = {name: variable for name, variable in VARIABLES.items() if set(variable.dims) <= set(coordinates)}
    if not recorded:
        known = _known_of_functions(functions.values())
    completed = known.pop("completed")
    for name in (GRADIENT, RATIO):
        if name in own and name in known:
            known[name] = _described_for_both(known[name], own.pop(name))
    return Schema(coordinates, {**known, **{n: v for n, v in own.items() if n not in known}, "completed": completed})


def result_dims(name: str, own: OwnVariable, *, mixed: bool) -> tuple[str, ...]:
    """Return the dimensions that a function's variable has in the results, without `arm` and `seed`.

    Args:
        name: name of the variable.
        own: the variable.
        mixed: True in a sweep with `Experiment`s.
    """
    if mixed and name in PER_RECORD and len(own.dims) == 1:
        return ("record",)
    return tuple("record" if mixed and dim == "epoch" else dim for dim in own.dims)


def named_alike(layouts: Mapping[str, Layout]) -> dict[str, Layout]:
    """Return the layouts with names for numbered dimensions that another arm names in the same variable.

    A bare function beside an `Arm` thus shares its dimensions. An arm in which a name would have two lengths keeps its
    numbered dimensions.
    """
    functions = {arm: layout.function for arm, layout in layouts.items() if layout.function is not None}
    named: dict[str, tuple[str, ...]] = {}
    for function in functions.values():
        for name, own in function.variables.items():
            if own.dims and own.dims != numbered(name, len(own.dims)):
                named.setdefault(name, own.dims)
    renamed = {arm: _with_names(function, named) for arm, function in functions.items()}
    return {arm: layout._replace(function=renamed.get(arm)) for arm, layout in layouts.items()}


def _with_names(function: FunctionLayout, named: Mapping[str, tuple[str, ...]]) -> FunctionLayout:
    variables = {
        name: own._replace(dims=named[name]) if name in named and own.dims == numbered(name, len(named[name])) else own
        for name, own in function.variables.items()
    }
    lengths = {(dim, size) for own in variables.values() for dim, size in zip(own.dims, own.shape, strict=True)}
    if len(lengths) > len({dim for dim, _ in lengths}):
        return function
    return function._replace(
        variables=variables,
        coordinates={dim: function.coordinates.get(dim) for dim, _ in lengths if dim not in RESERVED},
    )


def _records(recorded: Mapping[str, Layout], functions: Mapping[str, FunctionLayout]) -> int:
    """Return the length of the dimension `record`."""
    lengths = [len(layout.epochs) for layout in recorded.values()]
    for layout in functions.values():
        for name, own in layout.variables.items():
            dims = result_dims(name, own, mixed=bool(recorded))
            lengths += [size for dim, size in zip(dims, own.shape, strict=True) if dim == "record"]
    return max(lengths, default=0)


def _epochs(layouts: Mapping[str, Layout], records: int) -> Coordinate:
    """Return the epochs of the records: of all arms together, or of each arm where arms differ."""
    rows = {layout.epochs if layout.function is None else _epochs_of(layout.function) for layout in layouts.values()}
    rows.discard(())
    shared = next(iter(rows))
    if len(rows) == 1 and len(shared) == records:
        return "record", np.asarray(shared)
    epochs = np.full((len(layouts), records), NO_EPOCH)
    for row, layout in zip(epochs, layouts.values(), strict=True):
        own = layout.epochs if layout.function is None else _epochs_of(layout.function)
        row[: len(own)] = own
    return ("arm", "record"), epochs


def _epochs_of(layout: FunctionLayout) -> tuple[int, ...]:
    """Return the epochs of a function's curves along its dimension `epoch`; empty where they are no whole numbers."""
    values = layout.values_of("epoch") if layout.length("epoch") else np.empty(0)
    return tuple(values.astype(int).tolist()) if (values == np.rint(values)).all() else ()


def _of_parameters(layouts: Collection[Layout]) -> dict[str, Coordinate]:
    coordinates: dict[str, Coordinate] = {}
    for name in ("parameters", "gradients"):
        epochs = sorted({epoch for layout in layouts for epoch in getattr(layout, f"{name}_at")})
        if epochs:
            coordinates[f"{name}_epoch"] = (f"{name}_epoch", np.asarray(epochs))
    names = sorted({name for layout in layouts for name in layout.parameters}, key=_natural)
    return {**coordinates, "parameter": ("parameter", np.asarray(names))} if coordinates else {}


def _own_coordinates(functions: Mapping[str, FunctionLayout], *, mixed: bool) -> dict[str, Coordinate]:
    """Return the coordinates of the functions' own dimensions; the longest arm's numbers hold for all arms."""
    longest: dict[str, tuple[str, np.ndarray]] = {}
    for arm, layout in functions.items():
        for dimension in _own_dimensions(layout, mixed=mixed):
            values = layout.values_of(dimension)
            first, held = longest.get(dimension, (arm, values))
            common = min(len(held), len(values))
            if not np.array_equal(held[:common], values[:common]):
                raise InputError(
                    f"the dimension {dimension!r} has other values in {first!r} than in {arm!r}; give it another name "
                    "in one of them (dims=)"
                )
            longest[dimension] = (first, held) if len(held) >= len(values) else (arm, values)
    return {dimension: (dimension, values) for dimension, (_, values) in longest.items()}


def _own_dimensions(layout: FunctionLayout, *, mixed: bool) -> Iterator[str]:
    seen = {dim for name, own in layout.variables.items() for dim in result_dims(name, own, mixed=mixed)}
    yield from sorted(seen - set(RESERVED))


def _own_variables(functions: Mapping[str, FunctionLayout], *, mixed: bool) -> dict[str, Variable]:
    variables: dict[str, tuple[str, Variable]] = {}
    for arm, layout in functions.items():
        for name, own in layout.variables.items():
            if mixed and name in PER_RECORD and len(own.dims) != 1:
                raise InputError(
                    f"{name!r} is a curve of the Experiments in this sweep, and arm {arm!r} returns it with the shape "
                    f"{own.shape}; return a curve, or give it another name"
                )
            dims = ("arm", "seed", *result_dims(name, own, mixed=mixed))
            new = Variable(dims, own.dtype, own.fill, own.description, own.units)
            first, held = variables.get(name, (arm, new))
            variables[name] = first, _common(name, first, held, arm, new)
    return {name: variable for name, (_, variable) in variables.items()}


def _common(name: str, first: str, held: Variable, arm: str, new: Variable) -> Variable:
    """Return the variable that holds the values of two arms."""
    if held.dims != new.dims:
        raise InputError(
            f"the variable {name!r} has the dimensions {held.dims[2:]} in {first!r} and {new.dims[2:]} in {arm!r}; "
            "name its dimensions alike (dims=), or give it another name in one of them"
        )
    kinds = [np.dtype(variable.dtype) for variable in (held, new)]
    if kinds[0].kind != kinds[1].kind:
        raise InputError(
            f"the variable {name!r} is {held.dtype} in {first!r} and {new.dtype} in {arm!r}; return one kind of number"
        )
    return held._replace(
        dtype=np.result_type(*kinds).name,
        description=held.description or new.description,
        units=held.units or new.units,
    )


def _known_of_functions(functions: Collection[FunctionLayout]) -> dict[str, Variable]:
    """Return the known variables of a sweep of functions alone."""
    names = ["outcome", "converged", "completed"]
    if any(layout.time is not None for layout in functions):
        names.insert(2, "epochs_to_converge")
    known = {name: VARIABLES[name] for name in names}
    if "epochs_to_converge" in known:
        known["epochs_to_converge"] = known["epochs_to_converge"]._replace(
            description="time until the run converged, counted as its arm counts; NaN where it never did",
            units="",
        )
    return known


def _described_for_both(known: Variable, own: Variable) -> Variable:
    return known._replace(description=f"{known.description}; of an arm that is a function: {own.description}")


def _natural(name: str) -> tuple[int, int, list[int]]:
    """Return a key that sorts names of parameters by layer, then in the order of its parts, and numbers as numbers."""
    layer, kind, *indices = name.split("/")
    return int(layer), PARTS.index(kind), [int(index) for index in indices]
