"""Thresholds of the rules.

They were chosen on one half of a labelled set of models and are measured on the other; docs/verdicts.md has both.
Sizes are in decades (log10), so that a threshold on a ratio holds whatever the scale of the loss.
"""

DROP = 2.5
"""Decades over the depth from which the gradient counts as attenuated."""
DROP_WITHOUT_TIME = DROP + 0.5
"""The same where the loss over time is not known, and for a gradient that grows towards the input."""
INSENSITIVE = -3.0
"""log10 of the sensitivity below which the loss does not depend on the layers on the input side.

Also log10 of a layer's gradient over the largest, below which the layer takes part in an attenuation."""
GROWTH = 1.5
"""Decades that preactivations may grow by; Gaussian ReLU layers with variance 2 / fan-in keep their size on average."""
STALLED = 0.03
"""Share of the loss that it must lose over the late four fifths of the records; below it nothing is learned."""
LEARNED = 0.02
"""Share of the first loss below which nothing is left to learn."""
HARDLY = 0.9
"""Share of the first loss above which the loss has hardly fallen."""
WORSE = 1.5
"""Multiple of the first loss above which training has done harm."""
SMALL_UPDATE = -3.3
"""log10 of update over weights; a usual aim is about -3 (Karpathy 2022, "makemore" part 3)."""
LARGE_UPDATE = -1.0
"""log10 of update over weights from which a single step changes a good part of the weights."""
REPLACED = 2.0
"""log10 of update over weights at which the first step leaves nothing of the weights."""
SATURATED = 0.5
"""Share of saturated outputs."""

SHRUNK = 2.0
"""Decades by which every layer's gradient shrinks where nothing is left to learn and the loss is not known."""
SHRUNK_TOGETHER = 2.0
"""Decades between the layers that shrank least and most, below which all layers shrank alike."""
FEWEST_RECORDS = 5
"""Number of records from which a course over time is judged."""

SHORT_DTYPE = -30.0
"""log10 of a dtype's smallest normal number above which a gradient may underflow: float16, not bfloat16 or float32."""
UNDERFLOWN = 0.5
"""Decades above the dtype's smallest number, up to which a layer's largest element has underflown."""
UNDERFLOWN_WITH_ZEROS = 1.5
"""The same for a layer of which more elements than `SHARE_OF_ZEROS` are zero."""
SHARE_OF_ZEROS = 0.1
UNDERFLOWN_LAYERS = 0.5
"""Share of the layers that must have underflown."""

FADED_SIZE = -25.0
"""log10 RMS of the smallest gradient, below which zeros may be the end of a steady decay."""
FADED_RANGE = 10.0
"""Decades between the smallest and the largest gradient of a steady decay."""
FEWEST_LAYERS = 3
"""Number of layers with a gradient from which a decay or a line is seen."""
