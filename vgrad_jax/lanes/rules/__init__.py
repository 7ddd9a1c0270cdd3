"""The records of all primitives, each beside its code; importing this package registers them."""

from vgrad_jax.lanes.rules import elementwise, indexing, library, products, reductions, views

__all__ = ["elementwise", "indexing", "library", "products", "reductions", "views"]
