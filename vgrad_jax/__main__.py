"""`python -m vgrad_jax` is `vgrad`."""

from vgrad_jax.cli import main

if __name__ == "__main__":
    main()
