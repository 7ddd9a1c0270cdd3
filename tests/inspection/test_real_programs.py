"""The inspection on real faulty programs and their fixed twins."""

import sys
from pathlib import Path

import jax
import pytest

from vgrad_jax.inspection import inspect_loss

sys.path.insert(0, str(Path(__file__).parents[1] / "verdicts"))
from real_faults import programs

NAMED = {
    "so34311586": "softmax_of_one",
    "so33969059": "softmax_of_one",
    "so38648195": "targets_outside_range",
    "so48251943": "targets_outside_range",
    "so48221692": "targets_outside_range",
    "so50079585": "targets_not_probabilities",
    "so42800203": "softmax_of_one",
    "fl_M2": "log_of_unbounded",
    "fl_C3": "kernel_constant",
    "fl_R1": "constant_term_outweighs",
    "at_blob_improper": "log_of_unbounded",
}
"""Certain concern of each faulty program that has one."""


def certain(program):
    inspection = inspect_loss(program.checked_loss, program.init(jax.random.key(0)), program.batch())
    return [concern.code for concern in inspection.concerns if concern.certain]


def named(program):
    return [NAMED[program.id]] if program.kind == "buggy" and program.id in NAMED else []


@pytest.mark.parametrize("name", ["so48251943", "so42800203", "so51930566", "so31556268"])
def test_some_programs(name):
    for program in programs():
        if program.id == name:
            assert certain(program) == named(program)


@pytest.mark.slow
@pytest.mark.parametrize("program", programs(), ids=lambda program: f"{program.id}-{program.kind}")
def test_certain_concerns_are_of_faulty_programs_alone(program):
    assert certain(program) == named(program)
