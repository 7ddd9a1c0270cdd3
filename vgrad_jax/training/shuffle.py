"""A random order of rows without a sort.

`jax.random.permutation` sorts random keys, and a sort is neither elementwise nor the same work for every seed: for
thousands of small networks it costs more than their training. The swap-or-not shuffle (Hoang, Morris and Rogaway,
"An Enciphering Scheme Based on a Card Shuffle", CRYPTO 2012) asks of each place alone which row stands there.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from vgrad_jax.keys import PRNGKey

__all__ = ["shuffled"]

ROUNDS = 24
"""Eight are told from uniform by counting the permutations of a few rows; twice that is borderline for 500."""


def shuffled(key: PRNGKey, rows: int) -> Int[Array, " rows"]:
    """A random permutation of `rows` row numbers.

    A round draws a number k and pairs every place p with k - p modulo `rows`; each pair is exchanged or not by the
    toss of a coin. The coin is the highest bit of the pair's larger place times one random word plus another
    (Dietzfelbinger, "Universal hashing and k-wise independent random variables via integer arithmetic without
    primes", STACS 1996): two pairs of a round are tossed independently.

    Args:
        key: a PRNG key.
        rows: how many, at least one.

    Returns:
        Every number from 0 to `rows - 1` once.

    >>> sorted(shuffled(jax.random.key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    if rows == 1:
        return jnp.zeros(1, jnp.int32)  # XLA's CPU compiler fails on the remainder modulo one.
    draws, factors, terms = jax.random.bits(key, (3, ROUNDS), jnp.uint32)
    partners_of_zero = draws % jnp.uint32(rows)
    places = jnp.arange(rows, dtype=jnp.uint32)
    for index in range(ROUNDS):
        # Below zero it wraps around to a number that is larger than the one with the rows added.
        partner = partners_of_zero[index] - places
        partner = jnp.minimum(partner, partner + jnp.uint32(rows))
        coin = (factors[index] * jnp.maximum(places, partner) + terms[index]) >> 31
        places = jnp.where(coin == 1, partner, places)
    return places.astype(jnp.int32)
