"""Cabinet of remedies: each with its change, what it speaks for, what it cannot cure, and its source.

A new remedy is a row of `CABINET`.
"""

from vgrad_jax.prescription.changes import (
    with_activation,
    with_batch_norm,
    with_branches,
    with_fields,
    with_initialiser,
    with_layer_norm,
    with_output,
    with_rate,
    without_single_unit,
)
from vgrad_jax.prescription.remedy import Remedy
from vgrad_jax.prescription.training_remedies import OF_TRAINING

__all__ = ["CABINET", "NOT_IN_CABINET", "Remedy"]


_FLOW = ("vanishing", "exploding", "saturated", "collinear", "dead")
_START = "A start cannot mend a learning rate, a loss that does not fit, or an activation without slope."
_SLOPE = "An activation cannot mend weights whose variance grows or shrinks from layer to layer."


def _initialiser(name: str, source: str) -> Remedy:
    return Remedy(
        f"kernel_init={name}",
        "initialisation",
        f"draw the kernels with {name} and start the biases at zero",
        with_initialiser(name, mlp__bias_init="zeros"),
        _FLOW,
        ("initialisation",),
        _START,
        2,
        source,
    )


def _other_activation(name: str, source: str, kernel_init: str | None = None) -> Remedy:
    also = f"+{kernel_init}" if kernel_init else ""
    return Remedy(
        f"activation={name}{also}",
        "activation",
        f"take {name} as the activation of all hidden layers{also.replace('+', ', with ')}",
        with_activation(name, kernel_init),
        ("vanishing", "dead", "saturated"),
        ("hidden_activation",),
        _SLOPE,
        4 if kernel_init else 3,
        source,
    )


def _learning_rate(factor: float) -> Remedy:
    return Remedy(
        f"learning_rate x {factor:g}",
        "learning_rate",
        f"multiply the learning rate by {factor:g}",
        with_rate(factor),
        ("learning_rate_small", "too_few_steps", "chance_level") if factor > 1 else ("learning_rate_large", "dead"),
        ("learning_rate", "epochs_too_few") if factor > 1 else ("learning_rate",),
        "A learning rate cannot mend a ratio between layers.",
        1,
        "Bengio 2012, arXiv:1206.5533, section 3.1.1",
    )


CABINET: tuple[Remedy, ...] = (
    *(_learning_rate(factor) for factor in (10.0, 0.1, 100.0, 0.01)),
    _initialiser("he_normal", "He et al. 2015, arXiv:1502.01852"),
    Remedy(
        "kernel_init=rai",
        "initialisation",
        "draw the kernels with the biases by RAI, which makes one number of each unit positive",
        with_initialiser("rai", mlp__bias_init="zeros"),
        ("dead",),
        ("initialisation",),
        "It makes fewer ReLU networks born dead, and cannot keep one alive whose learning rate is too large. Its "
        "preactivations grow or shrink with depth as those of other starts do.",
        2,
        "Lu, Shin, Su and Karniadakis 2019, arXiv:1903.06733",
    ),
    _initialiser("lecun_normal", "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp"),
    _initialiser("orthogonal", "Saxe, McClelland and Ganguli 2013, arXiv:1312.6120"),
    _initialiser("critical", "Schoenholz et al. 2016, arXiv:1611.01232"),
    _initialiser("glorot_normal", "Glorot and Bengio 2010, AISTATS"),
    Remedy(
        "data_init=lsuv",
        "initialisation",
        "draw orthogonal kernels, scale each to a variance of 1 on the training rows, and start the biases at zero",
        with_initialiser("orthogonal", "lsuv", mlp__bias_init="zeros"),
        _FLOW,
        ("initialisation", "input_scaling"),
        "It scales a layer as a whole: units that are multiples of each other stay so.",
        2,
        "Mishkin and Matas 2015 (LSUV), arXiv:1511.06422",
    ),
    Remedy(
        "output_init=normal(0.01)",
        "output",
        "start the output layer near zero",
        with_output("normal(0.01)"),
        ("learning_rate_large", "ill_scaled"),
        (),
        "It changes the first loss alone, and no ratio between hidden layers.",
        1,
        "Zhang, Dauphin and Ma 2019 (Fixup), arXiv:1901.09321",
    ),
    Remedy(
        "output_init=zeros",
        "output",
        "start the output layer at zero",
        with_output("zeros"),
        ("learning_rate_large", "ill_scaled"),
        (),
        "The first logits are zero whatever the hidden layers do, and no ratio between hidden layers changes.",
        1,
        "Zhang, Dauphin and Ma 2019 (Fixup), arXiv:1901.09321",
    ),
    Remedy(
        "bias_init=zeros",
        "biases",
        "start the biases at zero",
        with_fields(mlp__bias_init="zeros"),
        ("dead", "saturated"),
        (),
        "It cannot mend kernels of a wrong size.",
        1,
        "He et al. 2015, arXiv:1502.01852",
    ),
    _other_activation("relu", "Glorot, Bordes and Bengio 2011, AISTATS", "he_normal"),
    _other_activation("tanh", "LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp"),
    _other_activation("leaky_relu", "Maas, Hannun and Ng 2013, ICML workshop"),
    _other_activation("gelu", "Hendrycks and Gimpel 2016, arXiv:1606.08415"),
    _other_activation("elu", "Clevert, Unterthiner and Hochreiter 2015, arXiv:1511.07289"),
    _other_activation("selu", "Klambauer et al. 2017, arXiv:1706.02515", "lecun_normal"),
    _other_activation("silu", "Elfwing, Uchibe and Doya 2017, arXiv:1702.03118"),
    _other_activation("mish", "Misra 2019, arXiv:1908.08681"),
    _other_activation("soft_sign", "Glorot and Bengio 2010, AISTATS"),
    _other_activation("relu", "Glorot, Bordes and Bengio 2011, AISTATS"),
    _other_activation("prelu", "He et al. 2015, arXiv:1502.01852"),
    _other_activation("sine", "Sitzmann et al. 2020, arXiv:2006.09661", "he_uniform"),
    _other_activation("celu", "Barron 2017, arXiv:1704.07483"),
    _other_activation("softplus", "Dugas et al. 2000, NeurIPS 13"),
    _other_activation("squareplus", "Barron 2021, arXiv:2112.11687"),
    _other_activation("relu6", "Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10"),
    _other_activation("hard_tanh", "Collobert 2004, Large scale machine learning"),
    _other_activation("hard_silu", "Howard et al. 2019, arXiv:1905.02244"),
    Remedy(
        "norm=layer",
        "norm",
        "add layer norm to the hidden layers",
        with_layer_norm,
        ("vanishing", "exploding", "saturated", "ill_scaled"),
        ("initialisation", "input_scaling"),
        "It keeps collinear units collinear, and cannot mend a learning rate far from right.",
        4,
        "Ba, Kiros and Hinton 2016, arXiv:1607.06450",
    ),
    Remedy(
        "norm=batch",
        "norm",
        "add batch norm to the hidden layers",
        with_batch_norm,
        _FLOW,
        ("initialisation", "input_scaling"),
        "Gradients grow with depth behind it (Yang et al. 2019, arXiv:1902.08129): no cure for very deep networks.",
        4,
        "Ioffe and Szegedy 2015, arXiv:1502.03167",
    ),
    Remedy(
        "residual=1/sqrt(depth)",
        "residual",
        "add residual branches with the factor 1/sqrt(number of branches)",
        with_branches(scaled=True),
        ("vanishing", "exploding", "collinear"),
        ("initialisation", "hidden_activation"),
        "It cannot mend a layer whose width differs from its neighbours', or a learning rate.",
        4,
        "Hayou et al. 2021, arXiv:2010.12859",
        "change the factor of the residual branches to 1/sqrt(number of branches)",
    ),
    Remedy(
        "residual=1+zeros",
        "residual",
        "add residual branches that start at zero",
        with_branches(branch_init="zeros"),
        ("vanishing", "exploding", "collinear"),
        ("initialisation", "hidden_activation"),
        "At the start all branches are the identity, so that the first layer alone must pass the signal on.",
        4,
        "Zhang, Dauphin and Ma 2019 (Fixup), arXiv:1901.09321",
        "start the kernels of the residual branches at zero, with the factor 1",
    ),
    Remedy(
        "residual=1",
        "residual",
        "add residual branches",
        with_branches(),
        ("vanishing",),
        ("initialisation", "hidden_activation"),
        "Preactivations grow with every branch, so it cannot mend what explodes.",
        4,
        "He et al. 2016, arXiv:1603.05027",
        "change the factor of the residual branches to 1",
    ),
    Remedy(
        "residual=learned",
        "residual",
        "add residual branches whose factors are learned and start at zero",
        with_branches(learned=True),
        ("vanishing", "exploding", "collinear"),
        ("initialisation", "hidden_activation"),
        "At the start the first layer alone must pass the signal on, and no kernel of a branch has a gradient.",
        4,
        "Bachlechner et al. 2020 (ReZero), arXiv:2003.04887",
        "change the factor of the residual branches to a learned one that starts at zero",
    ),
    Remedy(
        "no single unit before the output",
        "head",
        "remove the last hidden layer of one unit",
        without_single_unit,
        ("ill_posed", "vanishing", "collinear", "dead"),
        ("output_activation", "layer_missing"),
        "It cannot mend the layers before it.",
        2,
        "Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.2",
    ),
    *OF_TRAINING,
)
"""Remedies, in the order in which those of equal rank are tried."""

NOT_IN_CABINET: dict[str, str] = {
    "loss scaling": "a factor of the loss is a learning rate under SGD, and nothing under Adam; it matters for "
    "products of half precision, and an Experiment computes in one precision",
    "dropout": "an Experiment has none; alpha-dropout of SELU included",
    "sigmoid, hard_sigmoid and sparse_sigmoid": "their slopes are a half at most: they are what is to be mended",
    "log_sigmoid and sparse_plus": "softplus stands for them: log_sigmoid is its mirror image, and sparse_plus is "
    "close to it",
}
"""Remedies of the literature that an `Experiment` cannot express, each with the reason."""
