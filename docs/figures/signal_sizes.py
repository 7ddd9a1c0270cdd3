"""Variance of a preactivation by layer, for three variances of the weights."""

import matplotlib.pyplot as plt
import numpy as np

import vgrad_jax as vg

figure, axes = plt.subplots(figsize=(6, 3))
for variance, colour in ((0.5, "#0072B2"), (1.0, "#009E73"), (2.0, "#D55E00")):
    maps = vg.theory.layer_maps("tanh", variance, 0.0, depth=20)
    axes.semilogy(np.arange(20), maps.variance, "o-", ms=3, color=colour, label=f"weight_variance = {variance:g}")
axes.set(xlabel="layer", ylabel="variance of a preactivation", title="tanh, no biases")
axes.set_xticks(range(0, 20, 4))
axes.legend(frameon=False)
figure.tight_layout()
