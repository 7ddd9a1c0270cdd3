"""Names of other libraries are answered with ours."""

import copy
import pickle

import pytest

import vgrad_jax as vg
from vgrad_jax.errors import FOREIGN, unknown_name
from vgrad_jax.losses import LOSSES
from vgrad_jax.nets.activations import ACTIVATIONS
from vgrad_jax.nets.initializers import INITIALIZERS
from vgrad_jax.nets.mlp import NORMS


@pytest.mark.parametrize(
    ("make", "suggestion"),
    [
        (lambda: vg.MLP(activation="ReLU"), "'relu'"),
        (lambda: vg.MLP(activation="torch.nn.LeakyReLU(0.1)"), "'leaky_relu'"),
        (lambda: vg.MLP(activation="nn.SiLU"), "'silu'"),
        (lambda: vg.MLP(kernel_init="xavier_uniform"), "'glorot_uniform'"),
        (lambda: vg.MLP(kernel_init="nn.init.kaiming_normal_"), "'he_normal'"),
        (lambda: vg.MLP(kernel_init="GlorotNormal"), "'glorot_normal'"),
        (lambda: vg.MLP(kernel_init="RandomUniform"), "'uniform'"),
        (lambda: vg.MLP(norm="LayerNorm"), "'layer'"),
        (lambda: vg.MLP(hidden_sizes=(4, 4)), "'hidden'"),
        (lambda: vg.MLP(nonlinearity="tanh"), "'activation'"),
        (lambda: vg.Optimizer("optim.Adam"), "'adam'"),
        (lambda: vg.Optimizer("sgd", lr=0.1), "'learning_rate'"),
        (lambda: vg.Optimizer.from_dict({"lr": 0.1}), "'learning_rate'"),
        (lambda: vg.Training(loss="BCEWithLogitsLoss"), "'binary_cross_entropy'"),
        (lambda: vg.Training(num_epochs=3), "'epochs'"),
    ],
)
def test_a_name_of_another_library_gets_ours(make, suggestion):
    with pytest.raises(vg.InputError, match=f"did you mean {suggestion}\\?"):
        make()


def test_every_answer_is_a_name_that_a_description_takes():
    fields = [cls.__dataclass_fields__ for cls in (vg.MLP, vg.Optimizer, vg.Training, vg.Experiment)]
    valid = {*ACTIVATIONS, *INITIALIZERS, *LOSSES, *NORMS, *(name for own in fields for name in own)}
    assert {ours for names in FOREIGN.values() for ours in names} <= valid
    assert all(name == name.lower() and "_" not in name for name in FOREIGN)


def test_an_answer_is_given_only_where_it_is_valid():
    assert "did you mean" not in str(unknown_name("activation", "xavier_uniform", ["relu", "tanh"]))


def test_descriptions_are_copied_and_pickled():
    experiment = vg.Experiment()
    assert pickle.loads(pickle.dumps(experiment)) == copy.deepcopy(experiment) == experiment
