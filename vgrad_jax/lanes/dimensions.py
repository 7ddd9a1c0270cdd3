"""Which axes of which nodes are one dimension, and which of the dimensions are looped over."""

from collections.abc import Sequence

from vgrad_jax.lanes.graph import ELEMENTWISE, FEW, REDUCTIONS, SHAPES, Node, NotNativeError

__all__ = ["TURN", "Dimensions", "Index", "has_loop", "leaves"]

Index = tuple[int, ...]
TURN = -1
"""In an index: the turn of the loop."""

MOST_UNROLLED = 40_000
"""Numbers that one turn of all loops may compute: about the size of the code, and the time to compile it."""


class Dimensions:
    """Which axes of which nodes are one dimension, and which dimensions are looped over.

    Args:
        results: what is wanted; nothing else is looked at.
    """

    def __init__(self, results: Sequence[Node]) -> None:
        self.nodes = _ancestors(results)
        self._parents: list[int] = []
        self._fixed: set[int] = set()
        """Axes along which parts are taken or put together: without a loop."""
        self.sizes: list[int] = []
        for node in self.nodes:
            node.axes = [self._new(size) for size in node.shape]
            self._relate(node)
        for node in self.nodes:
            node.axes = [self._find(axis) for axis in node.axes]
        self._choose_loops()
        self._find_stages()

    def _new(self, size: int) -> int:
        self._parents.append(len(self._parents))
        self.sizes.append(size)
        return self._parents[-1]

    def _find(self, axis: int) -> int:
        while self._parents[axis] != axis:
            axis = self._parents[axis]
        return axis

    def _unite(self, a: int, b: int) -> None:
        if self.sizes[a] == self.sizes[b] > 1:
            self._parents[self._find(a)] = self._find(b)

    def _relate(self, node: Node) -> None:
        name, parameters = node.operation, node.parameters
        if not node.inputs:
            return
        first, axes = node.inputs[0].axes, node.axes
        pairs: list[tuple[int, int]] = []
        if name in ELEMENTWISE:
            pairs = [pair for one in node.inputs for pair in zip(one.axes, axes, strict=False)]
        elif name == "broadcast_in_dim":
            pairs = [(a, axes[place]) for a, place in zip(first, parameters["broadcast_dimensions"], strict=True)]
        elif name == "transpose":
            pairs = [(first[place], a) for place, a in zip(parameters["permutation"], axes, strict=True)]
        elif name in ("reshape", "squeeze"):
            longer = [[a for a in some if self.sizes[a] > 1] for some in (first, axes)]
            if [self.sizes[a] for a in longer[0]] == [self.sizes[a] for a in longer[1]]:
                pairs = list(zip(*longer, strict=True))
            else:
                self._fixed.update((*first, *axes))
        elif name in REDUCTIONS:
            pairs = list(zip([first[axis] for axis in node.kept], axes, strict=True))
            if name == "argmax":
                self._fixed.update(set(first) - {first[axis] for axis in node.kept})
        elif name == "dot_general":
            (left, right), _ = parameters["dimension_numbers"]
            second = node.inputs[1].axes
            free = [a for place, a in enumerate(first) if place not in left]
            free += [a for place, a in enumerate(second) if place not in right]
            pairs = [*zip(free, axes, strict=True), (first[left[0]], second[right[0]])]
        elif name == "gather":
            pairs = [(node.inputs[1].axes[0], axes[0])]
            self._fixed.update(axes[1:])
        elif name == "concatenate":
            places = [place for place in range(len(axes)) if place != parameters["dimension"]]
            self._fixed.update(one.axes[parameters["dimension"]] for one in (node, *node.inputs))
            pairs = [(one.axes[place], axes[place]) for one in node.inputs for place in places]
        elif name == "slice":
            pairs = list(zip(first, axes, strict=True))
            self._fixed.update(a for a, b in pairs if self.sizes[a] != self.sizes[b])
        elif name == "stack":
            self._fixed.update(axes)
        for a, b in pairs:
            self._unite(a, b)

    def _choose_loops(self) -> None:
        """Dimensions are looped over that save the most code; no node has two of them."""
        works = [(node, _work(node)) for node in self.nodes if node.inputs]
        fixed = {self._find(axis) for axis in self._fixed}
        fixed |= {axis for node in self.nodes for axis in node.axes if node.axes.count(axis) > 1}
        candidates = {d for _, (dimensions, _) in works for d in dimensions if self.sizes[d] > 1} - fixed
        while candidates:
            saved = {
                d: sum(numbers - numbers / self.sizes[d] for _, (dimensions, numbers) in works if d in dimensions)
                for d in candidates
            }
            best = max(saved, key=lambda d: (saved[d], d))
            total = sum(numbers for _, (_, numbers) in works)
            if total <= FEW or saved[best] < total / 4:
                break
            for index, (node, (dimensions, numbers)) in enumerate(works):
                if best in dimensions:
                    node.loop = best
                    works[index] = (node, (dimensions, numbers / self.sizes[best]))
                    candidates -= dimensions
            for node in self.nodes:
                if best in node.axes:
                    candidates -= set(node.axes)
        if sum(numbers for _, (_, numbers) in works) > MOST_UNROLLED:
            raise NotNativeError("so many numbers that the code would be long")
        loops = {node.loop for node in self.nodes} - {None}
        for node in self.nodes:
            inside = [axis for axis in node.axes if axis in loops]
            if len(inside) > 1:
                raise NotNativeError("a loop within a loop")
            if not node.inputs:
                node.loop = inside[0] if inside else None

    def _find_stages(self) -> None:
        for node in self.nodes:
            node.stage = max((one.stage + leaves(one, node) for one in node.inputs), default=0)


def has_loop(node: Node) -> bool:
    """Whether a node's numbers differ from turn to turn of its loop."""
    return node.loop is not None and node.loop in node.axes


def leaves(one: Node, node: Node) -> bool:
    """Whether `node` needs all turns of a loop that its input `one` is computed in."""
    if node.operation == "gather" and one is node.inputs[0]:
        return False  # A table in memory, whatever else loops over its rows.
    return has_loop(one) and one.loop not in node.axes


def _work(node: Node) -> tuple[set[int], float]:
    """The dimensions that are gone through to compute a node, and how many numbers that takes."""
    weight = 0.1 if node.operation in (*SHAPES, "copy", "copy_p", "stop_gradient") else 1.0
    if node.operation in REDUCTIONS:
        return set(node.inputs[0].axes), weight * node.inputs[0].size
    if node.operation == "dot_general":
        (left, _), _ = node.parameters["dimension_numbers"]
        one = node.inputs[0]
        return {*node.axes, one.axes[left[0]]}, weight * node.size * one.shape[left[0]]
    return set(node.axes), weight * node.size


def _ancestors(results: Sequence[Node]) -> list[Node]:
    found: dict[int, Node] = {}
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if node.number not in found:
            found[node.number] = node
            waiting.extend(node.inputs)
    return [found[number] for number in sorted(found)]
