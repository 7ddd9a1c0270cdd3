"""Left-overs: a remedy's network has what the remedy says, whatever the sick network had set."""

import dataclasses

import jax
import numpy as np
import pytest

import vgrad_jax as vg
from vgrad_jax.nets.laws import kernel_law
from vgrad_jax.optimizers import make_optimizer
from vgrad_jax.prescription.cabinet import CABINET
from vgrad_jax.prescription.candidates import pairs, single_changes
from vgrad_jax.prescription.changes import changed
from vgrad_jax.prescription.page import described

FULL = vg.Experiment(
    mlp=vg.MLP(
        hidden=(16, 16, 16),
        activation=("sigmoid", "tanh", "relu"),
        kernel_init="uniform(0, 1)",
        bias_init="constant(2)",
        output_init="constant(3)",
        norm="batch",
        residual=1.0,
        branch_init="normal(4)",
        data_init="lsuv",
    ),
    data=vg.Data("wine"),
    optimizer=vg.Optimizer(
        "sgd", 0.25, momentum=0.5, nesterov=True, clip_norm=3.0, schedule="exponential(0.5)", warmup=0.5
    ),
    training=vg.Training(loss="softmax_cross_entropy", batch_size=32),
)
"""Network with every field set."""

DECAYED = changed(FULL, {"optimizer.name": "adamw", "optimizer.momentum": 0.0, "optimizer.nesterov": False})
DECAYED = changed(DECAYED, {"optimizer.weight_decay": 0.5, "mlp.norm": "layer", "mlp.residual": 0.5})

BARE = vg.Experiment(
    mlp=vg.MLP(hidden=(16, 16, 16), kernel_init="uniform(0, 1)", branch_init="normal(4)", data_init="lsuv"),
    data=vg.Data("wine", scale="none"),
    optimizer=vg.Optimizer("sgd"),
    training=vg.Training(loss="softmax_cross_entropy", batch_size=32),
)
"""Network whose branches' initialiser has no branch."""

BASES = {"full": FULL, "decayed": DECAYED, "bare": BARE}

REFUSED = {
    "full": {"momentum=0.9", "clip_norm=1", "weight_decay / 100", "output_init=normal(0.01)", "residual=1"},
    "decayed": {"momentum=0.9", "clip_norm=1", "output_init=normal(0.01)"},
    "bare": {"weight_decay / 100", "output_init=normal(0.01)"},
}
"""Remedies that a base refuses, beside those below."""
SCHEDULES = {"warmup=0.1", "schedule=cosine", "schedule=cosine+warmup=0.1", "schedule=exponential(0.01)"}


def applied(base):
    """The remedies that apply to a base, with their networks; and the names of those that do not."""
    networks, refused = {}, set()
    for remedy in CABINET:
        try:
            networks[remedy.name] = remedy.change(BASES[base])
        except vg.InputError:
            refused.add(remedy.name)
    return networks, refused


@pytest.mark.parametrize("base", BASES)
def test_a_remedy_is_refused_where_something_contradicts_it(base):
    _, refused = applied(base)
    more = set() if base == "bare" else SCHEDULES
    assert refused - REFUSED[base] - more == {"no single unit before the output"}
    assert refused > REFUSED[base] | more


def expected(name, base, after):
    """What a remedy says, read off its name: path of a field to its value; other fields stay."""
    kept = dict.fromkeys(("output_init", "branch_init", "data_init"))
    wanted = {}
    for part in name.split("+"):
        field, _, value = part.partition("=")
        if field == "kernel_init":
            wanted |= {"kernel_init": value, "bias_init": "zeros", **kept}
        elif field == "activation":
            wanted |= {"activation": value}
        elif field == "data_init":
            wanted |= {"kernel_init": "orthogonal", "bias_init": "zeros", **kept, "data_init": value}
        elif field in ("output_init", "bias_init", "norm"):
            wanted |= {field: value}
        elif field == "residual":
            wanted |= {
                "residual": {"1": 1.0, "learned": 0.0}.get(value, 0.7071),
                "learned_residual": value == "learned",
            }
            wanted |= {} if base.mlp.residual is not None else {"branch_init": None}
        elif field == "zeros":
            wanted |= {"branch_init": "zeros"}
        elif field in ("he_normal", "he_uniform", "lecun_normal"):
            wanted |= {"kernel_init": field, **kept}
    if not wanted:
        assert after.mlp == base.mlp
    return dataclasses.replace(base.mlp, **wanted)


@pytest.mark.parametrize("base", BASES)
def test_a_remedys_network_has_what_its_name_says_and_all_else_of_the_sick_one(base):
    networks, _ = applied(base)
    assert len(networks) > 25
    for name, after in networks.items():
        assert after.mlp == expected(name, BASES[base], after), name
        described(after)
        if after.mlp != BASES[base].mlp:
            assert dataclasses.replace(after, mlp=BASES[base].mlp) == BASES[base], name


def test_every_kernel_is_drawn_as_the_remedy_says():
    """The elements' deviation against the law, or for LSUV that of the products."""
    networks, _ = applied("full")
    dataset = vg.load_data(FULL.data)
    for name in ("kernel_init=he_normal", "activation=relu+he_normal"):
        mlp = networks[name].mlp
        params = vg.init_mlp(jax.random.key(0), mlp, dataset.train_x.shape[1], 3)
        for layer in params:
            law = kernel_law("he_normal", *layer.kernel.shape)
            tolerance = 5 * (law.variance / (2 * layer.kernel.size)) ** 0.5
            assert np.std(layer.kernel) == pytest.approx(law.variance**0.5, abs=tolerance), name
        assert name.startswith("activation") or not any(np.any(layer.bias) for layer in params)


@pytest.mark.parametrize(("name", "rate"), [("adam", 0.001), ("adam(0.01)", 0.01), ("rmsprop", 0.001)])
def test_an_optimiser_is_that_of_the_remedy_alone(name, rate):
    """The first update of Adam is the learning rate, whatever the gradient; RMSProp multiplies it by sqrt(10)."""
    plain = changed(DECAYED, {"optimizer.clip_norm": None, "optimizer.schedule": "constant", "optimizer.warmup": 0.0})
    after = next(remedy for remedy in CABINET if remedy.name == name).change(plain)
    optimizer = make_optimizer(after.optimizer)
    weight = jax.numpy.asarray(7.0)
    update, _ = optimizer.update(jax.numpy.asarray(5.0), optimizer.init(weight), weight)
    assert float(update) == pytest.approx(-rate * (10**0.5 if name == "rmsprop" else 1), rel=1e-4)


def test_pairs_have_both_changes():
    chosen, _ = single_changes(FULL, None, 99, of_a_kind=99)
    by_name = {candidate.name: candidate for candidate in chosen}

    def pair(*names):
        return [candidate.experiment for candidate in pairs(FULL, [by_name[name] for name in names], 9)]

    (both,) = pair("output_init=zeros", "kernel_init=he_normal")
    assert (both.mlp.kernel_init, both.mlp.output_init, both.mlp.data_init) == ("he_normal", "zeros", None)
    (both,) = pair("learning_rate x 10", "adam")
    assert (both.optimizer.name, both.optimizer.learning_rate) == ("adam", 0.01)
    assert pair("activation=relu+he_normal", "kernel_init=orthogonal") == []
    assert pair("activation=relu+he_normal", "data_init=lsuv") == []
    assert len(pair("activation=tanh", "data_init=lsuv")) == 1


@pytest.mark.parametrize("own", ["he_normal", "orthogonal", "zeros"])
def test_no_pair_undoes_one_of_its_changes(own):
    """The network may have the initialiser of one of them already, so that this one changes the biases alone."""
    patient = changed(FULL, {"mlp.kernel_init": own, "mlp.data_init": None})
    chosen, _ = single_changes(patient, None, 99, of_a_kind=99)
    by_name = {candidate.name: candidate for candidate in chosen}

    def drawn(*names):
        return [found.experiment.mlp.kernel_init for found in pairs(patient, [by_name[name] for name in names], 9)]

    names = ["kernel_init=orthogonal", "activation=relu+he_normal"]
    assert drawn(*names) == drawn(*reversed(names)) == []
    assert drawn("kernel_init=he_normal", "activation=relu+he_normal") == ["he_normal"]
    assert drawn("kernel_init=orthogonal", "activation=tanh") == ["orthogonal"]


def test_branches_that_are_there_get_another_factor():
    """ReZero replaces kernels of zero: with a factor of zero they would have no gradient for ever."""
    fixup = changed(FULL, {"mlp.branch_init": "zeros", "mlp.data_init": None})
    rezero = changed(FULL, {"mlp.residual": 0.0, "mlp.learned_residual": True, "mlp.branch_init": None})
    there = "the network has such residual branches already"
    for base, refused in (
        (fixup, {"residual=1+zeros", "residual=1"}),
        (rezero, {"residual=learned"}),
        (FULL, {"residual=1"}),
    ):
        chosen, left_out = single_changes(base, None, 99, of_a_kind=99)
        assert {one.name for one in left_out if one.reason == there} == refused
        branches = {found.name: found for found in chosen if found.name.startswith("residual=")}
        assert len(branches) == 4 - len(refused)
        for found in branches.values():
            assert "of the residual branches" in found.sentence
            assert found.experiment.mlp.learned_residual == (found.name == "residual=learned")
            assert found.experiment.mlp.branch_init != "zeros" or not found.experiment.mlp.learned_residual
    chosen, _ = single_changes(changed(BARE, {"mlp.branch_init": None}), None, 99, of_a_kind=99)
    (added,) = (found for found in chosen if found.name == "residual=1")
    assert added.sentence == "add residual branches"


def test_a_page_says_what_a_framework_lacks(tmp_path):
    from vgrad_jax.prescription.page import write_prescription
    from vgrad_jax.prescription.prescription import Prescription, Tried
    from vgrad_jax.statistics.intervals import Estimate

    lacking = changed(
        FULL, {"optimizer.name": "rmsprop", "optimizer.schedule": "constant", "mlp.activation": "sparse_plus"}
    )
    row = Tried("one", "do it", Estimate(1.0, 0.8, 1.0, 8), 0.9, True, "works", 1, lacking)
    answer = Prescription(row, None, "", (row,), (), row, row, (), 0.75, False)
    write_prescription(answer, FULL, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "<pre># keras has no Nesterov" in page
    assert "has no name in torch; write it there by hand" in page
    assert "optax.rmsprop(" in page


def test_a_page_has_each_reason_once(tmp_path):
    from vgrad_jax.prescription.candidates import LeftOut
    from vgrad_jax.prescription.page import write_prescription
    from vgrad_jax.prescription.prescription import Prescription, Tried
    from vgrad_jax.statistics.intervals import Estimate

    untouched = Tried("untouched", "", Estimate(0.0, 0.0, 0.2, 8), 0.5, False, "untouched")
    left_out = (LeftOut("one", "it is so"), LeftOut("two", "it is not"), LeftOut("three", "it is so"))
    answer = Prescription(untouched, None, "", (), left_out, None, None, (), 0.75, False)
    write_prescription(answer, FULL, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "<li>one, three: it is so.</li>" in page
    assert "<li>two: it is not.</li>" in page
    assert "schedule exponential(0.5), warmup 0.5" in page
