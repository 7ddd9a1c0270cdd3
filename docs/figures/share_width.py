"""Wilson's interval of a share against the number of seeds."""

import matplotlib.pyplot as plt

from vgrad_jax.statistics import share

counts = [5, 10, 20, 50, 100, 200, 500, 1000]
figure, axes = plt.subplots(figsize=(6, 3))
for value, colour in ((0.5, "#0072B2"), (0.9, "#D55E00")):
    estimates = [share(round(value * count), count) for count in counts]
    axes.fill_between(counts, [e.low for e in estimates], [e.high for e in estimates], color=colour, alpha=0.25)
    axes.plot(counts, [value] * len(counts), color=colour, label=f"{value:.0%} of runs converge")
axes.set(xscale="log", xlabel="seeds", ylabel="95 % interval of the share", ylim=(0, 1))
axes.set_xticks(counts, [str(count) for count in counts])
axes.legend(loc="lower right", frameon=False)
figure.tight_layout()
