"""Thresholds of the rules, all in one place.

They were chosen on labelled sets of models; docs/verdicts.md says which, and how the verdicts do. Sizes are in decades
(log10), so that a threshold on a ratio holds whatever the scale of the loss.
"""

__all__ = [
    "ABOVE",
    "AMPLIFIES",
    "DROP",
    "DROP_WITHOUT_TIME",
    "FADED_RANGE",
    "FADED_SIZE",
    "FALLING",
    "FAR_ABOVE",
    "FAR_BELOW",
    "FAR_LEFT",
    "FAR_LOSS",
    "FAR_OFF",
    "FAR_SENSITIVITY",
    "FAR_SQUARE",
    "FEWEST_LAYERS",
    "FEWEST_RECORDS",
    "FEW_UPDATES",
    "GROWN_WEIGHTS",
    "GROWTH",
    "HALF_WAY",
    "HARDLY",
    "HUGE_OUTPUTS",
    "INSENSITIVE",
    "LARGE_OUTPUTS",
    "LARGE_UPDATE",
    "LEARNED",
    "MANY_RECORDS",
    "MANY_ROWS",
    "MANY_TIMES",
    "MOSTLY_SATURATED",
    "MOST_CORRELATED",
    "MOST_FLAT",
    "MOST_SENSITIVE",
    "MOVED",
    "MUCH_LEFT",
    "NEAR_CHANCE",
    "NEVER_MOVED",
    "NEVER_REACHED",
    "NOISY",
    "OFFSET",
    "ONE_SIDED",
    "ONE_SIGN",
    "RANK_ONE",
    "REMEMBERED",
    "REPLACED",
    "SATURATED",
    "SATURATED_LATER",
    "SHARE_OF_ZEROS",
    "SHORT_DTYPE",
    "SHRUNK",
    "SHRUNK_A_BIT",
    "SHRUNK_TOGETHER",
    "SHRUNK_WEIGHTS",
    "SIGNIFICANT",
    "SMALLEST_OF_HALF",
    "SMALL_UPDATE",
    "SPIKE",
    "STALLED",
    "TINY_UPDATE",
    "TOO_SENSITIVE",
    "UNDERFLOWN",
    "UNDERFLOWN_LAYERS",
    "UNDERFLOWN_WITH_ZEROS",
    "UPHILL",
    "WITHOUT_EFFECT",
    "USUAL_CHANCE",
    "WORSE",
]

DROP = 2.5
"""Decades over the depth from which the gradient counts as attenuated."""
DROP_WITHOUT_TIME = DROP + 0.5
"""Decades over the depth where the loss over time is not known, or where the gradient grows towards the input."""
INSENSITIVE = -3.0
"""log10 of the sensitivity below which the loss does not depend on the layers on the input side.

Also log10 of a layer's gradient over the largest, below which the layer takes part in an attenuation."""
WITHOUT_EFFECT = -6.0
"""log10 of the sensitivity of every layer below which weights have no effect: ten roundings of a loss of 32 bits."""
MOST_SENSITIVE = 1.0
"""log10 of the largest sensitivity up to which no layer's gradient counts as exploding."""
GROWTH = 1.5
"""Decades that preactivations may grow by; Gaussian ReLU layers with variance 2 / fan-in keep their size on average."""
STALLED = 0.03
"""Share of itself that the loss must lose over the late four fifths of the records; below it the loss has stalled."""
LEARNED = 0.02
"""Share of the first loss below which nothing is left to learn."""
HARDLY = 0.9
"""Share of the reference (the smaller of first loss and chance) above which nothing was learned."""
WORSE = 0.5
"""Rise of the loss over its start, in units of the start, above which training has done harm."""
SPIKE = 1.5
"""Largest loss over the first from which a spike is said, or speaks for steps that are too large."""
SIGNIFICANT = 3.0
"""Standard errors by which a loss must have changed to count as changed."""
OFFSET = 1e-6
"""Share of the loss that its whole fall may be, where the loss has a large constant in it."""
FEW_UPDATES = 150.0
"""Number of updates below which a loss that is still falling speaks for too few of them."""
MUCH_LEFT = 0.4
"""Share of the reference above which an unusual output or loss may be what keeps the training from more."""
ONE_SIDED = 1.28
"""Standard deviations of a normal distribution that nine tenths of it are below."""
ONE_SIGN = 0.3
"""Mean of a kernel over its root mean square from which its sign is to blame for collinear units."""
MANY_ROWS = 1000
"""Number of rows from which their chance is that of all data, to three percent of a deviation."""
NEAR_CHANCE = 0.75
"""Share of chance above which the noise of the batch that chance was computed of counts."""
HALF_WAY = 0.6
"""Share of the reference above which a short training has not come far."""
FALLING = 0.3
"""Late fall from which a short training with `MUCH_LEFT` was ended too soon."""
FAR_ABOVE = 5.0
"""Multiple of chance above which a loss that still falls speaks for steps that are too small."""
FAR_OFF = 100.0
"""Multiple of chance above which a first loss is of outputs far too large: ten times, for a squared error."""
FAR_LOSS = 1e4
"""Loss above which its targets may be far larger than the outputs."""
FAR_SQUARE = -2.0
"""log10 of the squared gradient over the loss above which the gradient of a huge loss does not vanish."""
FAR_SENSITIVITY = -1.0
"""log10 of the largest sensitivity below which no layer, at its size, can bring outputs to the targets.

Twice the ratio of outputs to targets, for a squared error: outputs are a twentieth of the targets at most."""
FAR_LEFT = 0.1
"""Share of the start above which the loss of far targets may be that of their mean: variance over mean square."""
HUGE_OUTPUTS = 1.0
"""log10 of a sensitivity above which a loss that stays beyond `FAR_LOSS` is of outputs far larger than the targets.

It is at least log10 of 2 there, as the loss grows with the square of a layer's size. A sum of many squares has as much:
hence the margin."""
LARGE_OUTPUTS = 0.3
"""The same where the loss has fallen below `FAR_BELOW` of its start: that of a square, without a margin."""
FAR_BELOW = 1e-3
"""Share of the start below which no sum of many squares falls, as long as it is above `USUAL_CHANCE`."""
AMPLIFIES = 0.5
"""log10 of a square kernel's gain, its root mean square times the root of its fan-in, above which signals grow in it.

That of he_normal is 0.15."""
USUAL_CHANCE = 0.6
"""Loss that the best constant seldom comes below: log 2 for two even classes, 1 for standardised targets.

It counts where a loss has fallen from beyond `FAR_LOSS` alone."""
MOST_FLAT = 0.5
"""Share of the start above which a fall in which all weights shrank may be one from a bad start to chance."""
MOVED = 1e-3
"""Decades by which every layer's weights must have shrunk to say that the loss fell from a bad start.

To learn, outputs must follow the inputs more than at first; to fall to chance they only have to get smaller."""
GROWN_WEIGHTS = 0.1
"""Decades by which weights have grown from which outputs are larger than at first, whatever the bad start was."""
SHRUNK_A_BIT = 0.2
"""Decades by which a gradient has shrunk from which a fit is better than at first, beyond the batches' noise."""
TOO_SENSITIVE = 2.5
"""log10 of a sensitivity above which a change of the weights by a 300th changes the loss by all of itself."""
SATURATED_LATER = 1.3
"""Decades by which every layer's gradient shrank under a flat loss, from which outputs or units have saturated.

The gradient of a loss that does not fall has no other reason to shrink; steps alone move it by a few tenths."""
SMALLEST_OF_HALF = 6.1e-5
"""Smallest normal number of float16: a smaller loss whose gradient is exactly zero has underflown."""
NOISY = 0.15
"""Standard deviation of the loss of one step over the loss, above which examples differ more than at chance."""
ABOVE = 1.5
"""Multiple of chance up to which a late loss counts as that of a constant; a larger one is another fault."""
TINY_UPDATE = -5.0
"""log10 of update over weights below which steps are too small whatever the noise of the loss says."""
UPHILL = 0.3
"""Cosine of update and gradient above which the update goes uphill."""
MOST_CORRELATED = 0.995
"""Mean absolute correlation of the last hidden layer's units from which they count as collinear."""
RANK_ONE = 0.03
"""Second over first centred singular value of the last hidden layer below which it counts as rank one."""
SMALL_UPDATE = -3.3
"""log10 of update over weights; a usual aim is about -3 (Karpathy 2022, "makemore" part 3)."""
LARGE_UPDATE = -1.0
"""log10 of update over weights from which a single step changes a good part of the weights."""
REPLACED = 2.0
"""log10 of update over weights at which the first step leaves nothing of the weights."""
SATURATED = 0.5
"""Share of saturated outputs in a layer from which the gradient counts as lost in them."""

MOSTLY_SATURATED = 0.9
"""Share of saturated outputs, in the median layer, from which a failed training is put down to them."""
NEVER_REACHED = 6.0
"""Decades between the gradient of one layer and that of all others, above which the others have none that counts."""
NEVER_MOVED = -6.0
"""log10 of update over weights up to which a layer has not moved in any number of steps."""
MANY_TIMES = 5.0
"""Late loss over its start in magnitude, below zero, from which a loss that keeps falling has no floor."""
REMEMBERED = 3.0
"""Decades by which a gradient has shrunk from which an optimiser's memory of the first ones stops the updates."""
SHRUNK_WEIGHTS = -1.0
"""Decades by which most layers' weights have changed, below which they decay faster than they learn."""

SHRUNK = 2.0
"""Decades by which every layer's gradient shrinks where nothing is left to learn and the loss is not known."""
SHRUNK_TOGETHER = 2.0
"""Decades between the layers that shrank least and most, below which all layers shrank alike."""
FEWEST_RECORDS = 5
"""Number of records from which a course over time is judged."""

MANY_RECORDS = 10
"""Number of records from which a fall in their first tenth is told from a steady one."""

SHORT_DTYPE = -30.0
"""log10 of a dtype's smallest normal number above which a gradient may underflow: float16, not bfloat16 or float32."""
UNDERFLOWN = 0.5
"""Decades above the dtype's smallest number, up to which a layer's largest element has underflown."""
UNDERFLOWN_WITH_ZEROS = 1.5
"""Decades above the smallest number for a layer of which a share of `SHARE_OF_ZEROS` is zero."""
SHARE_OF_ZEROS = 0.1
"""Share of a layer's elements that are zero, above which more of them may have underflown."""
UNDERFLOWN_LAYERS = 0.5
"""Share of the layers that must have underflown."""

FADED_SIZE = -25.0
"""log10 RMS of the smallest gradient, below which zeros may be the end of a steady decay."""
FADED_RANGE = 10.0
"""Decades between the smallest and the largest gradient of a steady decay."""
FEWEST_LAYERS = 3
"""Number of layers with a gradient from which a decay or a line is seen."""
