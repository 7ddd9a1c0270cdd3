"""Share of ReLU networks that are dead, by depth and width."""

import matplotlib.pyplot as plt
import numpy as np

from vgrad_jax.theory import probability_dead

figure, axes = plt.subplots(figsize=(6, 3))
depths = np.arange(1, 31)
for width, colour in ((3, "#D55E00"), (5, "#E69F00"), (8, "#0072B2"), (16, "#009E73")):
    axes.plot(
        depths, [probability_dead((width,) * int(depth)) for depth in depths], color=colour, label=f"{width} units"
    )
axes.set(xlabel="hidden layers", ylabel="share of networks", title="ReLU networks that are dead for a given input")
axes.legend(title="width", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
figure.tight_layout()
