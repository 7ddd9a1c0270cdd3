"""A look at one point of the parameters: the sites of the forward pass by layer, and losses that are no scalar."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.gradients.look import Look, look_at

KINDS = ("product", "tanh", "product", "relu", "tanh", "product")
LAYERS = (0, 0, 2, 2, -1, -1)


def made_look(values):
    """A look of which only the forward pass is there; a dataclass that is frozen is filled behind its back."""
    look = object.__new__(Look)
    parts = {
        "stats": SimpleNamespace(paths=(("a",), ("b",), ("c",))),
        "forward": SimpleNamespace(off_fraction=values, kinds=KINDS),
        "forward_layers": LAYERS,
    }
    for name, part in parts.items():
        object.__setattr__(look, name, part)
    return look


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("kinds", [("product",), ("tanh", "relu"), ("tanh", "relu", "product"), ("logistic",)])
def test_a_layer_has_the_largest_of_its_sites(batch, kinds):
    values = np.random.default_rng(0).random((*batch, len(KINDS)))
    found = made_look(values).by_layer("off_fraction", kinds)
    assert found.shape == (*batch, 3)
    for layer in range(3):
        sites = [
            n for n, (owner, kind) in enumerate(zip(LAYERS, KINDS, strict=True)) if owner == layer and kind in kinds
        ]
        expected = values[..., sites].max(axis=-1) if sites else np.full(batch, np.nan)
        np.testing.assert_array_equal(found[..., layer], expected)


def test_a_loss_that_is_no_scalar_is_refused():
    params = {"a": {"kernel": jnp.ones((2, 2))}}
    with pytest.raises(vg.InputError, match=r"must give a scalar, .* it gave \(3, 2\)"):
        look_at(lambda params, x: x @ params["a"]["kernel"], params, jnp.ones((3, 2)))


def test_a_site_before_every_layer_belongs_to_none():
    params = {"a": {"kernel": jnp.full((2, 2), 0.5)}, "b": {"kernel": jnp.full((2, 2), 0.25)}}

    def loss(params, x):
        h = jnp.tanh(jnp.tanh(x) @ params["a"]["kernel"])
        return jnp.sum(h @ params["b"]["kernel"])

    look = look_at(loss, params, jnp.ones((3, 2)))
    sites = list(zip(look.forward.kinds, look.forward_layers, strict=True))
    assert sites == [("tanh", -1), ("product", 0), ("tanh", 0), ("product", 1)]
    np.testing.assert_allclose(look.loss, 3 * 2 * 2 * np.tanh(np.tanh(1.0)) * 0.25, rtol=1e-6)
