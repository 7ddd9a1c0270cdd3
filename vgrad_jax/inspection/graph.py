"""The jaxpr of a loss as one flat list of steps between numbered values, of which any part can be carried out.

    leaves of the parameters   0, 1, ...      made of parameters
    leaves of the batch        ...            made of data
    constants, results of steps               as what they are made of

Calls are opened, so that a model's layers and the loss stand in one list. A scan, a cond and a while stay one step. An
array that the loss was closed over is data; a number is a constant.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import PyTree

from vgrad_jax.compiling import compiled_quickly
from vgrad_jax.jaxprs import JaxprEqn, called, carry_out, evaluate, is_library_function, trace

__all__ = ["Graph", "Step", "graph_of"]


@dataclass(frozen=True)
class Step:
    """An equation between numbered values."""

    number: int
    """Position among all steps."""
    equation: JaxprEqn
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the primitive."""
        return str(self.equation.primitive.name)


@dataclass
class Graph:
    """A loss as steps between values.

    Calls with derivatives of their own are opened too: a gradient through `replay` may be another at a kink.
    """

    number_of_leaves: int
    shapes: list[tuple[int, ...]]
    """Shape of each value."""
    dtypes: list[Any]
    of_params: list[bool]
    """True for a value that depends on the parameters."""
    of_data: list[bool]
    """True for a value that depends on the batch, or on an array that the loss was closed over."""
    result: int = -1
    """The loss."""
    steps: list[Step] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    maker: dict[int, Step] = field(default_factory=dict)
    """Step that makes a value; none for leaves and constants."""
    has_own_derivatives: bool = False
    """True where a function of the user's brings its own derivative, which the steps do not show."""
    compiled: dict[Hashable, Callable[..., Any]] = field(default_factory=dict)
    """Compiled functions of the graph, called again by an inspection of other numbers with the same program."""

    def is_mixed(self, value: int) -> bool:
        """Return whether a value depends on both parameters and data."""
        return self.of_params[value] and self.of_data[value]

    def is_weight(self, value: int) -> bool:
        """Return whether a value depends on the parameters alone."""
        return self.of_params[value] and not self.of_data[value]

    def is_data(self, value: int) -> bool:
        """Return whether a value depends on the data alone."""
        return self.of_data[value] and not self.of_params[value]

    def is_constant(self, value: int) -> bool:
        """Return whether a value depends on neither."""
        return not self.of_params[value] and not self.of_data[value]

    def needed(self, wanted: Iterable[int], known: Collection[int] = ()) -> list[Step]:
        """Return the steps that lead from known values to wanted ones, in their order."""
        steps: dict[int, Step] = {}
        missing = list(wanted)
        while missing:
            value = missing.pop()
            step = None if value in known else self.maker.get(value)
            if step is not None and step.number not in steps:
                steps[step.number] = step
                missing += step.inputs
        return [steps[number] for number in sorted(steps)]

    def replay(self, known: Mapping[int, Any], wanted: Sequence[int]) -> list[Any]:
        """Compute values from known ones; values in between may be known too, and are then not computed."""
        values = {**self.constants, **known}
        for step in self.needed(wanted, known):
            results = carry_out(step.equation, [values[value] for value in step.inputs])
            values.update(
                {value: known.get(value, result) for value, result in zip(step.outputs, results, strict=True)}
            )
        return [values[value] for value in wanted]

    def compile_once(
        self,
        key: Hashable,
        function: Callable[..., Any],
        compiler: Callable[..., Callable[..., Any]] = compiled_quickly,
    ) -> Callable[..., Any]:
        """Return the compiled function of a key.

        Args:
            key: equal for the same function.
            function: of the graph alone; numbers are its arguments, because it is kept as long as the graph.
            compiler: compiles it.
        """
        if key not in self.compiled:
            self.compiled[key] = compiler(function)
        return self.compiled[key]

    def values(self, known: Mapping[int, Any], wanted: Sequence[int]) -> list[Any]:
        """Compute values from known ones, as `replay` does, by a compiled program."""
        names = tuple(wanted)
        program = self.compile_once(("values", names), lambda known: self.replay(known, names))
        return list(program(dict(known)))

    def sources(self, values: Iterable[int]) -> set[int]:
        """Return the leaves of the batch, and the arrays that the loss was closed over, that values are made of."""
        made_of = set(values)
        for step in self.needed(made_of):
            made_of.update(step.inputs)
        return {value for value in made_of if self.is_data(value) and value not in self.maker}

    def readers(self) -> dict[int, list[Step]]:
        """Return the steps that read each value, among those that lead to the loss."""
        readers: dict[int, list[Step]] = {}
        for step in self.needed([self.result]):
            for value in set(step.inputs):
                readers.setdefault(value, []).append(step)
        return readers


def graph_of(function: Callable[..., Any], leaves: Sequence[Any], batch: PyTree) -> Graph:
    """Trace `function(leaves, batch)`, a scalar.

    >>> graph = graph_of(lambda leaves, x: (x @ leaves[0]).sum(), [np.ones((3, 2), "f")], np.ones((4, 3), "f"))
    >>> [step.name for step in graph.steps], [graph.is_mixed(value) for value in range(4)]
    (['dot_general', 'reduce_sum'], [False, False, True, True])
    """
    closed = trace(function, list(leaves), batch)
    graph = Graph(len(leaves), [], [], [], [])
    for number, variable in enumerate(closed.jaxpr.invars):
        _add(graph, variable.aval, number < len(leaves), number >= len(leaves))

    def constant(array: Any) -> int:
        value = _add(graph, array, False, np.ndim(array) > 0)
        graph.constants[value] = array
        return value

    def rule(equation: JaxprEqn, inputs: list[int]) -> list[int]:
        inner = called(equation)
        if inner is not None:
            if equation.primitive.name.startswith("custom_") and not is_library_function(inner):
                graph.has_own_derivatives = True
            return evaluate(inner, inputs, rule, constant)
        made_of = (any(graph.of_params[value] for value in inputs), any(graph.of_data[value] for value in inputs))
        outputs = [_add(graph, variable.aval, *made_of) for variable in equation.outvars]
        step = Step(len(graph.steps), equation, tuple(inputs), tuple(outputs))
        graph.steps.append(step)
        graph.maker.update(dict.fromkeys(outputs, step))
        return outputs

    (graph.result,) = evaluate(closed, list(range(len(closed.jaxpr.invars))), rule, constant)
    return graph


def _add(graph: Graph, array: Any, of_params: bool, of_data: bool) -> int:
    graph.shapes.append(tuple(np.shape(array)))
    graph.dtypes.append(getattr(array, "dtype", None))
    graph.of_params.append(of_params)
    graph.of_data.append(of_data)
    return len(graph.shapes) - 1
