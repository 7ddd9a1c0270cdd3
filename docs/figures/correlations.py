"""Correlation of two inputs by layer, in the three phases."""

import matplotlib.pyplot as plt
import numpy as np

import vgrad_jax as vg

figure, axes = plt.subplots(figsize=(6, 3))
edge = vg.critical_weight_variance("tanh", bias_variance=0.05)
for variance, colour in ((1.2, "#0072B2"), (edge, "#009E73"), (3.0, "#D55E00")):
    field = vg.mean_field("tanh", variance, 0.05)
    maps = vg.theory.layer_maps("tanh", variance, 0.05, depth=20, correlation=0.6)
    axes.plot(np.arange(20), maps.correlation, "o-", ms=3, color=colour, label=f"{variance:.2f}: {field.phase}")
axes.set(xlabel="layer", ylabel="correlation of two inputs", title="tanh, bias_variance = 0.05")
axes.set_xticks(range(0, 20, 4))
axes.legend(title="weight_variance", frameon=False)
figure.tight_layout()
