"""What the equation of a scan says of its arguments."""

from jax.extend.core import JaxprEqn

__all__ = ["scan_sizes"]


def scan_sizes(equation: JaxprEqn) -> tuple[int, int]:
    """How many of a scan's arguments are constants, and how many, after those, are carried from turn to turn.

    JAX has said it with a tree of the arguments since 0.11, and with two numbers before.
    """
    parameters = equation.params
    if "num_consts" in parameters:
        return parameters["num_consts"], parameters["num_carry"]
    consts, carry, _ = parameters["ft_in"].update(equation.invars).unpack()
    return len(list(consts)), len(list(carry))
