"""Errors about input that cannot be used, with messages that say what to do."""

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = ["InputError", "unknown_name"]


class InputError(ValueError):
    """Error about input that cannot be used.

    The message says what was expected, what came, and what to do. The command line prints the message in a single line
    and exits with 2.
    """


FOREIGN = {
    # Initialisers of PyTorch, Keras and TensorFlow.
    "xavier": ("glorot_uniform", "glorot_normal"),
    "xavieruniform": ("glorot_uniform",),
    "xaviernormal": ("glorot_normal",),
    "kaiming": ("he_normal", "he_uniform"),
    "kaiminguniform": ("he_uniform",),
    "kaimingnormal": ("he_normal",),
    "glorot": ("glorot_uniform", "glorot_normal"),
    "he": ("he_normal", "he_uniform"),
    "lecun": ("lecun_normal", "lecun_uniform"),
    "variancescaling": ("fan_in_normal", "fan_avg_uniform"),
    "randomnormal": ("normal",),
    "randomuniform": ("uniform",),
    "truncnormal": ("truncated_normal",),
    "ones": ("constant",),
    "eye": ("orthogonal",),
    # Activations of PyTorch, Keras and TensorFlow.
    "linear": ("identity",),
    "none": ("identity",),
    "logistic": ("sigmoid",),
    "lrelu": ("leaky_relu",),
    "logsigmoid": ("log_sigmoid",),
    "hardswish": ("hard_swish",),
    # Losses of PyTorch and Keras.
    "bceloss": ("binary_cross_entropy",),
    "bcewithlogitsloss": ("binary_cross_entropy",),
    "bce": ("binary_cross_entropy",),
    "binarycrossentropy": ("binary_cross_entropy",),
    "crossentropyloss": ("softmax_cross_entropy",),
    "crossentropy": ("softmax_cross_entropy",),
    "nllloss": ("softmax_cross_entropy",),
    "categoricalcrossentropy": ("softmax_cross_entropy",),
    "sparsecategoricalcrossentropy": ("softmax_cross_entropy",),
    # Norms.
    "batchnorm": ("batch",),
    "batchnorm1d": ("batch",),
    "batchnormalization": ("batch",),
    "layernorm": ("layer",),
    "layernormalization": ("layer",),
    # Arguments of PyTorch, Keras and scikit-learn.
    "lr": ("learning_rate",),
    "learningrateinit": ("learning_rate",),
    "eta": ("learning_rate",),
    "alpha": ("learning_rate", "weight_decay"),
    "decay": ("weight_decay",),
    "l2": ("weight_decay",),
    "clipnorm": ("clip_norm",),
    "maxnorm": ("clip_norm",),
    "gradclip": ("clip_norm",),
    "numepochs": ("epochs",),
    "nepochs": ("epochs",),
    "maxiter": ("epochs",),
    "maxepochs": ("epochs",),
    "bs": ("batch_size",),
    "batch": ("batch_size",),
    "criterion": ("loss",),
    "hiddensizes": ("hidden",),
    "hiddenlayersizes": ("hidden",),
    "hiddendims": ("hidden",),
    "layers": ("hidden",),
    "widths": ("hidden",),
    "units": ("hidden",),
    "nonlinearity": ("activation",),
    "kernelinitializer": ("kernel_init",),
    "weightinit": ("kernel_init",),
    "biasinitializer": ("bias_init",),
    "normalization": ("norm",),
    "optim": ("optimizer",),
    "model": ("mlp",),
}
"""Names of other libraries, in small letters without underscores, and our names for the same thing."""


def unknown_name(kind: str, name: Any, valid: Iterable[str]) -> InputError:
    """Return the error for a name that is not in a table, with the nearest valid names.

    A name of PyTorch, Keras or scikit-learn is answered with ours.

    Args:
        kind: word for the things that the table names, such as "activation".
        name: the unknown name.
        valid: names in the table.

    >>> print(unknown_name("activation", "tanhh", ["relu", "tanh"]))
    unknown activation 'tanhh'; did you mean 'tanh'? Valid: relu, tanh
    >>> print(unknown_name("initializer", "nn.init.xavier_uniform_", ["glorot_uniform", "he_uniform"]))
    unknown initializer 'nn.init.xavier_uniform_'; did you mean 'glorot_uniform'? Valid: glorot_uniform, he_uniform
    """
    names = sorted(valid)
    plain = _plain(name)
    near = [ours for ours in names if _plain(ours) == plain]
    near = near or [ours for ours in FOREIGN.get(plain, ()) if ours in names]
    near = near or difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else "."
    return InputError(f"unknown {kind} {name!r}{hint} Valid: {', '.join(names)}")


def _plain(name: Any) -> str:
    """Return a name in small letters, without the module in front of it and without underscores and brackets."""
    return str(name).partition("(")[0].rpartition(".")[2].replace("_", "").replace("-", "").lower()
