"""The order in which elements are computed, and how many iterations are interleaved."""

import dataclasses
import math

import pytest

from vgrad_jax.lanes.dimensions import Dimensions, analyse
from vgrad_jax.lanes.graph import Node
from vgrad_jax.lanes.latency import element_groups, interleaved
from vgrad_jax.lanes.machine import THREADS
from vgrad_jax.lanes.schedule import Loop, Sink, Straight, make_schedule

ROWS = 600
"""Enough for a loop."""
MACHINE = THREADS._replace(
    platform="cpu", team=1, has_exp2=False, width=8, sums=3, sums_beside=2, products_beside=False, long=100.0
)


def node(operation, shape, *inputs, kind="float", **parameters):
    return Node(operation, inputs, shape, kind, True, parameters)


def chain(length, kind="float", x=None):
    """Nodes of a loop, each computed from the one before."""
    x = x or node("leaf", (ROWS,), kind=kind)
    nodes = [node("add", (ROWS,), x, x, kind=kind)]
    for _ in range(length - 1):
        nodes.append(node("mul", (ROWS,), nodes[-1], x, kind=kind))
    return nodes


def test_iterations_of_a_chain_are_interleaved():
    nodes = chain(20)
    dimensions = analyse([nodes[-1]])
    assert [interleaved(dimensions, nodes, n) for n in (37, 36, 25, 2, 1)] == [4, 4, 5, 2, 1]
    x = node("leaf", (ROWS,))
    four = [chain(5, x=x) for _ in range(4)]
    side_by_side = [node for group in zip(*four, strict=True) for node in group]
    assert interleaved(analyse([nodes[-1] for nodes in four]), side_by_side, 36) == 1
    assert interleaved(dimensions, [], 36) == 1
    integers = chain(20, "uint")
    assert interleaved(analyse([integers[-1]]), integers, 36) > 4  # Integers have more units.


def test_straight_code_is_computed_element_by_element():
    """An update's operations on one shape are one group, after the norm that all of them need."""
    w, b = node("leaf", (5,)), node("leaf", (3,))
    squares, others = node("square", (5,), w), node("square", (3,), b)
    norm = node("add", (), *(node("reduce_sum", (), one, axes=(0,)) for one in (squares, others)))
    early = node("mul", (5,), w, norm.inputs[0])  # Before the norm, of the shape of what needs it.
    scaled, next_b = node("div", (5,), w, norm), node("div", (3,), b, norm)
    next_w = node("sub", (5,), w, scaled)
    order = [squares, others, *norm.inputs, early, norm, scaled, next_b, next_w]
    groups = element_groups(order)
    assert [scaled, next_w] in groups
    assert [next_b] in groups
    group_of = {node.number: index for index, group in enumerate(groups) for node in group}
    assert len(group_of) == len(order)
    for later in order:
        for before in later.inputs:
            if before.inputs:
                assert group_of[before.number] < group_of[later.number] or before.shape == later.shape


def layer(units=2):
    """Rows through a layer: its output, a sum over rows, and a product over rows."""
    x, w = node("leaf", (ROWS, 3)), node("leaf", (3, units))
    numbers = (((1,), (0,)), ((), ()))
    h = node("tanh", (ROWS, units), node("dot_general", (ROWS, units), x, w, dimension_numbers=numbers))
    total = node("reduce_sum", (units,), h, axes=(0,))
    gradient = node("dot_general", (3, units), x, h, dimension_numbers=(((0,), (0,)), ((), ())))
    return h, total, gradient


def loops(schedule):
    return [step for step in schedule.steps if isinstance(step, Loop)]


def test_a_sum_is_fused_and_a_product_goes_over_memory():
    h, total, gradient = layer()
    schedule = make_schedule([Sink(total, False), Sink(gradient, False)], MACHINE)
    first, *rest = loops(schedule)
    assert first.iterations == ROWS
    assert [n for n, _ in first.totals] == [total] * 2
    assert [store.node for store in first.materialised] == [h]
    # Six totals, three registers of sums.
    assert [[n for n, _ in loop.totals] for loop in rest] == [[gradient] * 3] * 2
    assert {store.node for store in schedule.last} == {total, gradient}


def test_a_machine_with_room_fuses_products():
    _, total, gradient = layer()
    schedule = make_schedule([Sink(total, False), Sink(gradient, False)], THREADS)
    (loop,) = loops(schedule)
    assert {n for n, _ in loop.totals} == {total, gradient}
    assert loop.materialised == ()


def test_a_wanted_array_serves_as_memory_only_if_it_may():
    h, total, _ = layer()
    after = node("mul", h.shape, h, node("broadcast_in_dim", h.shape, total, broadcast_dimensions=(1,)))
    for readable, sink in ((True, 0), (False, None)):
        schedule = make_schedule([Sink(h, readable), Sink(after, True)], MACHINE)
        (store,) = loops(schedule)[0].materialised
        assert (store.node, store.sink) == (h, sink)


def test_a_long_loop_is_split_and_a_chain_is_not():
    x = node("leaf", (ROWS,))
    side = [chain(30, x=x) for _ in range(6)]
    sinks = [Sink(nodes[-1], True) for nodes in side]
    assert len(loops(make_schedule(sinks, MACHINE._replace(long=math.inf)))) == 1
    assert len(loops(make_schedule(sinks, MACHINE._replace(long=20.0)))) > 1
    assert len(loops(make_schedule(sinks[:1], MACHINE._replace(long=20.0)))) == 1


def test_a_schedule_is_frozen():
    h, *_ = layer()
    schedule = make_schedule([Sink(h, True)], MACHINE)
    assert all(isinstance(step, Loop | Straight) for step in schedule.steps)
    for value, name in ((schedule, "steps"), (schedule.dimensions, "loops"), (h, "shape")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, ())
    assert isinstance(schedule.dimensions, Dimensions)
