"""Records computed from blocks of rows are those of all rows at once."""

import dataclasses

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.training.records import measure
from vgrad_jax.training.run import initial_params


@pytest.mark.parametrize("norm", [None, "layer", "batch"])
@pytest.mark.parametrize("rows_at_once", [1, 7, 32, 10_000])
def test_records_do_not_depend_on_the_blocks(norm, rows_at_once):
    arm = vg.presets.article(epochs=1)["relu_he"]
    mlp = dataclasses.replace(arm.mlp, norm=norm)
    dataset = vg.load_data(arm.data)
    params = initial_params(dataclasses.replace(arm, mlp=mlp), jax.random.key(0), dataset)
    reference, gradient = measure(params, params, dataset, mlp, arm.training.loss)
    record, blocked = measure(params, params, dataset, mlp, arm.training.loss, rows_at_once)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), (record, blocked), (reference, gradient)
    )
