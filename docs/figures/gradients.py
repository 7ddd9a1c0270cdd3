"""Predicted gradient by layer, for three initialisations."""

import matplotlib.pyplot as plt

import vgrad_jax as vg

data = vg.load_data(vg.Data("moons", samples=100))
figure, axes = plt.subplots(figsize=(6, 3.2))
for init, colour in (("pytorch", "#0072B2"), ("critical", "#009E73"), ("fan_in_normal(3)", "#D55E00")):
    bias_init = "pytorch" if init == "pytorch" else "zeros"
    mlp = vg.MLP(hidden=(64,) * 12, activation="tanh", kernel_init=init, bias_init=bias_init)
    prediction = vg.theory.predict(mlp, data.train_x, data.train_y)
    if prediction.log10_rms is not None:
        axes.plot(prediction.log10_rms, "o-", ms=3, color=colour, label=init)
axes.set(xlabel="layer (0 is the input side)", ylabel="gradient, log10 RMS", title="twelve tanh layers of 64 units")
axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
figure.tight_layout()
