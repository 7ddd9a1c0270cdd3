"""Entry point of `python -m vgrad_jax`, which is the same as `vgrad`."""

from vgrad_jax.cli import main

if __name__ == "__main__":
    main()
