"""Benchmarks, which pytest runs; README.md says how."""

SIZES = ("smallest", "short", "full")
"""Sizes of the grid, the smallest first."""
