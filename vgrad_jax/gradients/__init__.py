"""Sizes of gradients, layer by layer."""
