"""Sweeps: many seeds of many arms are trained in chunks and written into labelled results."""
