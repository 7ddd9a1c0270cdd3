"""Predict a network's gradient profile at initialisation, from second moments over draws of the parameters.

The measured gradient is that of a mean loss, in which examples cancel. The prediction therefore follows a matrix over
pairs of rows through the layers, with the steps of `nonzero_mean` (`moments` forwards, `delta` backwards):

    rows ---> moments of layer 1 ---> ... ---> moments of layer L ---> logits
                  |  E h_i h_j                     |                     |
    squares <-- delta <---------- ... <-------- delta <----------- E delta_i delta_j

A kernel's squared gradient is the mean over pairs (i, j) of `E delta_i delta_j` times `E h_i . h_j`. A layer norm
divides by the deviations of both rows, and a residual branch adds the stream that skips it.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vgrad_jax.boundary import checked
from vgrad_jax.descriptions import MAX_SEED
from vgrad_jax.errors import InputError
from vgrad_jax.nets.activations import learned_slope
from vgrad_jax.nets.initializers import RAI
from vgrad_jax.nets.laws import Law, bias_law, kernel_law
from vgrad_jax.nets.mlp import MLP, NORM_EPSILON
from vgrad_jax.theory.gaussian import elementwise, nodes
from vgrad_jax.theory.nonzero_mean import (
    Activated,
    Moments,
    activate,
    backward,
    first_layer,
    forward,
    pair_average,
)

__all__ = ["Prediction", "predict"]

MOST_ROWS = 512
"""Default of the largest number of rows that a prediction takes."""
MOST_ROWS_TIMES_LAYERS = 4096
"""Largest number of rows times layers, so that a prediction takes a second or two."""
NARROW = 32
"""Width of a layer, in units, below which a remark gives the size of the theory's corrections."""


PREDICTED_LOSSES = ("binary_cross_entropy", "softmax_cross_entropy", "squared_error")
"""Losses whose derivative at the outputs `predict` knows."""


class Prediction(NamedTuple):
    """Prediction of theory for a network at initialisation."""

    log10_rms: Float[np.ndarray, " layer"] | None
    """log10 of the root mean square of the mean loss's gradient, input side first. The mean square is over draws and
    over a layer's kernel and bias. None if no theory applies."""
    why_not: str
    """Reason in words: "does not apply because ..."; empty if a theory applies."""
    remarks: tuple[str, ...]
    """Limits of the prediction, a sentence each."""

    @property
    def relative(self) -> Float[np.ndarray, " layer"] | None:
        """Profile relative to the output layer, which is zero; None if no theory applies."""
        return None if self.log10_rms is None else self.log10_rms - self.log10_rms[-1]


@checked
def predict(mlp: Any, x: Any, y: Any, *, loss: str | None = None, most_rows: int = MOST_ROWS) -> Prediction:
    """Predict the gradient of the mean loss in each layer, at initialisation, over all draws of the parameters.

    The prediction follows second moments, layer by layer and for every pair of inputs. It includes the cancellation
    between examples, and weights that have a mean. It takes at most `most_rows` rows, and at most 4096 rows times
    layers. From more rows it takes a random choice.

    Args:
        mlp: the network, a `vg.MLP`. For a model of another kind the result has no profile and a reason: theory cannot
            read a function.
        x: examples, `(rows, features)`.
        y: targets of the examples, `(rows,)`: classes; or numbers, of which some are neither 0 nor 1.
        loss: name of the loss. "binary_cross_entropy" has one logit, "softmax_cross_entropy" small logits, one for each
            class, and "squared_error" one output. None chooses by y: two classes, more, or numbers. Other losses have
            no profile, and a reason.
        most_rows: largest number of rows to use; the time grows faster than this number.

    Returns:
        The `Prediction`.

    Raises:
        InputError: x and y do not fit each other.

    >>> from vgrad_jax.data import Data, load_data
    >>> data = load_data(Data())
    >>> mlp = MLP(hidden=(100,) * 3, activation="relu", kernel_init="he_normal")
    >>> predict(mlp, data.train_x, data.train_y).relative.shape
    (4,)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y)
    if x.ndim != 2 or y.shape != x.shape[:1] or len(x) < 1:
        raise InputError(f"x must be (rows, features) and y (rows,); got {x.shape} and {y.shape}")
    if not isinstance(mlp, MLP):
        kind = type(mlp).__name__
        reason = f"theory reads a vg.MLP, and this is a {kind}: describe a perceptron as a vg.MLP"
        return Prediction(None, f"does not apply because {reason}", ())
    if loss is None:
        loss = _loss_of(y)
    if loss not in PREDICTED_LOSSES:
        known = ", ".join(PREDICTED_LOSSES)
        return Prediction(None, f"does not apply because theory knows the losses {known}, and this is {loss}", ())
    out_features = int(y.max()) + 1 if loss == "softmax_cross_entropy" else 1
    widths = mlp.widths(x.shape[1], out_features)
    laws = _laws(mlp, widths)
    why_not = _why_not(mlp, widths, laws)
    if why_not:
        return Prediction(None, f"does not apply because {why_not}", ())
    rows = len(x)
    most = max(2, min(most_rows, MOST_ROWS_TIMES_LAYERS // mlp.num_layers))
    if rows > most:
        # A random choice, and not every k-th row: rows may be sorted, or may alternate.
        chosen = np.random.default_rng(rows % MAX_SEED).permutation(rows)[:most]
        x, y = x[chosen], y[chosen]
    profile = _profile(mlp, x, y, loss, rows, widths, [law for law in laws if law is not None])
    return Prediction(profile, "", _remarks(mlp, out_features))


def _laws(mlp: MLP, widths: tuple[int, ...]) -> list[tuple[Law, Law] | None]:
    """Return the laws of kernel and bias, for each layer; None for a layer with an unknown law."""
    laws: list[tuple[Law, Law] | None] = []
    for layer in range(mlp.num_layers):
        fan_in, fan_out = widths[layer : layer + 2]
        kernel = kernel_law(mlp.kernel_initializer(layer, fan_in), fan_in, fan_out)
        bias = bias_law(mlp.bias_init, fan_in)
        laws.append(None if kernel is None or bias is None else (kernel, bias))
    return laws


def _why_not(mlp: MLP, widths: tuple[int, ...], laws: list[tuple[Law, Law] | None]) -> str:
    """Return the reason why no theory applies; empty if a theory does."""
    if mlp.data_init is not None:
        return "the kernels depend on the data"
    if mlp.learned_residual or any(learned_slope(activation) is not None for activation in mlp.activations()):
        return "layers learn a slope or a branch factor, whose gradient counts in that of the layer"
    if mlp.norm == "batch":
        return "batch norm ties every example's gradient to the others'; its factor per layer is in `theory.factors`"
    if any(mlp.kernel_initializer(layer, fan_in) == RAI for layer, fan_in in enumerate(widths[:-1])):
        return "'rai' draws the weights and the bias of a unit together, and theory needs independent ones"
    if any(law is None for law in laws):
        return "an initialiser is a function, and the mean and variance of what it draws are not known"
    if mlp.residual is not None and any(law[0].mean for law in laws if law is not None):
        return "residual branches whose weights have a mean are not covered"
    return ""


def _remarks(mlp: MLP, out_features: int) -> tuple[str, ...]:
    remarks = ["the root mean square over seeds; a typical seed is below it, by more in deep and in narrow networks"]
    if mlp.hidden and min(mlp.hidden) < NARROW:
        remarks.append(
            f"the theory is for wide layers, and the narrowest layer here has {min(mlp.hidden)} units: corrections of "
            f"about depth / width = {len(mlp.hidden) / min(mlp.hidden):.2g} in the logarithm are left out"
        )
    if out_features > 1:
        remarks.append("the softmax is taken at logits of zero; large ones lift the whole profile")
    return tuple(remarks)


def _profile(
    mlp: MLP, x: np.ndarray, y: np.ndarray, loss: str, rows: int, widths: tuple[int, ...], laws: list[tuple[Law, Law]]
) -> np.ndarray:
    """Compute log10 of the root mean square gradient of each layer, `(layer,)`."""
    hidden = [elementwise(activation) for activation in mlp.activations()]
    # `reads[l]` is E h_i . h_j of the values that layer l reads.
    reads = [np.einsum("ik,jk->ij", x, x)]
    activated: list[Activated] = []
    divisors: list[np.ndarray] = []
    skips = [False, *(a == b for a, b in zip(mlp.hidden[1:], mlp.hidden[:-1], strict=True))]
    skips = [skip and mlp.residual is not None for skip in skips]
    moments: Moments | None = None
    for layer, function in enumerate(hidden):
        weight, bias = laws[layer]
        unbiased = Law(0.0, 0.0)
        branch = (
            forward(activated[-1], widths[layer], weight, unbiased if mlp.norm else bias)
            if activated
            else first_layer(x, weight, unbiased if mlp.norm else bias)
        )
        divisor = np.ones_like(branch.same)
        if mlp.norm == "layer":
            branch, divisor = _layer_norm(branch, bias)
        divisors.append(divisor)
        # A branch's weights are new and have no mean: it is uncorrelated with its stream, and their covariances add.
        if skips[layer] and moments is not None and mlp.residual is not None:
            factor = mlp.residual
            branch = Moments(
                moments.mean + factor * branch.mean,
                moments.same + factor**2 * branch.same,
                moments.cross + factor**2 * branch.cross,
            )
        moments = branch
        activated.append(activate(function, moments))
        reads.append(widths[layer + 1] * activated[-1].same)
    weight, bias = laws[-1]
    last = forward(activated[-1], widths[-2], weight, bias) if activated else first_layer(x, weight, bias)
    delta = _output_gradients(last, y, widths[-1], loss)
    squares = [_mean_over_pairs(delta[0] * (reads[-1] + 1), rows) * widths[-1]]
    stream: tuple[np.ndarray, np.ndarray] | None = None
    for layer in range(len(hidden) - 1, -1, -1):
        # `delta` is the gradient at the product h W, before norm and branch factor. `stream` is the gradient at the
        # preactivation, which a skip hands on unchanged.
        after = backward(delta, activated[layer], widths[layer + 2], laws[layer + 1][0])
        if stream is not None and skips[layer + 1]:
            after = (after[0] + stream[0], after[1] + stream[1])
        stream = after
        factor = mlp.residual**2 if skips[layer] and mlp.residual is not None else 1.0
        bias_part = factor * after[0]
        delta = (bias_part / divisors[layer], factor * after[1] / divisors[layer])
        # The bias is added after the norm: its gradient lacks the norm's divisor.
        squares.insert(0, _mean_over_pairs(delta[0] * reads[layer] + bias_part, rows) * widths[layer + 1])
    sizes = [(widths[layer] + 1) * widths[layer + 1] for layer in range(len(widths) - 1)]
    with np.errstate(divide="ignore"):
        return 0.5 * np.log10(np.maximum(squares, 0.0) / np.asarray(sizes, np.float64))


def _layer_norm(branch: Moments, bias: Law) -> tuple[Moments, np.ndarray]:
    """Centre and scale over the layer's units: the units' shared part cancels, and every input has variance one."""
    own = branch.same - branch.cross
    deviation = np.sqrt(np.diag(own) + NORM_EPSILON)
    same = own / np.outer(deviation, deviation) + bias.variance
    return Moments(np.full(len(own), bias.mean), same, np.zeros_like(same)), np.outer(deviation, deviation)


def _loss_of(y: np.ndarray) -> str:
    """Return the name of the loss that targets are for."""
    if np.issubdtype(y.dtype, np.floating) and not np.isin(y, (0, 1)).all():
        return "squared_error"
    return "binary_cross_entropy" if y.max() <= 1 else "softmax_cross_entropy"


def _output_gradients(last: Moments, y: np.ndarray, out_features: int, loss: str) -> tuple[np.ndarray, np.ndarray]:
    """Compute E delta delta at the logits, for one logit and for two different logits."""
    if loss == "softmax_cross_entropy":
        error = np.eye(out_features)[y.astype(int)] - 1 / out_features
        same = error @ error.T / out_features
        return same, (np.outer(error.sum(1), error.sum(1)) / out_features - same) / (out_features - 1)
    if loss == "squared_error":
        # The output is Gaussian, and the derivative of the squared error is twice the difference.
        error = last.mean - y
        same = 4 * (last.same + np.outer(error, error))
        return same, np.zeros_like(same)
    sigmoid = elementwise("sigmoid")
    deviation = np.sqrt(np.maximum(np.diag(last.same), 0.0))
    z, weights = nodes(sigmoid, last.mean, deviation)
    errors = sigmoid.at(last.mean[:, None] + deviation[:, None] * z).value - y[:, None]
    scale = np.where(deviation > 0, deviation, 1.0)
    correlation = np.clip(last.same / np.outer(scale, scale), -1, 1)
    np.fill_diagonal(correlation, 1.0)
    same = pair_average(errors, z, weights, correlation)
    return same, np.zeros_like(same)


def _mean_over_pairs(pairs: np.ndarray, rows: int) -> float:
    """Estimate the mean over all pairs of `rows` inputs from the pairs of a sample of them."""
    n = len(pairs)
    diagonal = float(np.trace(pairs)) / n
    if n == 1:
        return diagonal
    others = (float(np.sum(pairs)) - n * diagonal) / (n * (n - 1))
    return diagonal / rows + others * (1 - 1 / rows)
