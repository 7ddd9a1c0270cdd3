"""In which order, and how many turns at a time, numbers are computed."""

from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.parts import number_by_number, turns_together


def chain(length, kind="float"):
    """Nodes of a loop of 37 turns, each computed from the one before."""
    x = Node("leaf", (), (37,), kind, True, {})
    nodes = [Node("add", (x, x), (37,), kind, True, {})]
    for _ in range(length - 1):
        nodes.append(Node("mul", (nodes[-1], x), (37,), kind, True, {}))
    for node in (x, *nodes):
        node.axes, node.loop = [0], 0
    return nodes


def test_turns_whose_numbers_wait_for_each_other_are_computed_side_by_side():
    nodes = chain(20)
    assert [turns_together(nodes, turns) for turns in (37, 36, 25, 2, 1)] == [4, 4, 5, 2, 1]
    side_by_side = [node for group in zip(chain(5), chain(5), chain(5), chain(5), strict=True) for node in group]
    assert turns_together(side_by_side, 36) == 1
    assert turns_together([], 36) == 1
    assert turns_together(chain(20, "uint"), 36) == 9  # Whole numbers: about twice as many.


def test_what_does_not_loop_is_computed_number_by_number():
    """An update's operations on one shape are one group, after the norm that all of them need."""

    def node(operation, shape, *inputs):
        return Node(operation, inputs, shape, "float", True, {"axes": (0,)} if operation == "reduce_sum" else {})

    w, b = node("leaf", (5,)), node("leaf", (3,))
    squares, others = node("square", (5,), w), node("square", (3,), b)
    norm = node("add", (), node("reduce_sum", (), squares), node("reduce_sum", (), others))
    early = node("mul", (5,), w, norm.inputs[0])  # Before the norm, of the shape of what needs it.
    scaled, next_b = node("div", (5,), w, norm), node("div", (3,), b, norm)
    next_w = node("sub", (5,), w, scaled)
    order = [squares, others, *norm.inputs, early, norm, scaled, next_b, next_w]
    groups = number_by_number(order)
    assert [scaled, next_w] in groups
    assert [next_b] in groups
    place = {one.number: index for index, group in enumerate(groups) for one in group}
    assert len(place) == len(order)
    for one in order:
        for before in one.inputs:
            if before.inputs:
                assert place[before.number] < place[one.number] or before.shape == one.shape
