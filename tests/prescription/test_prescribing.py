"""Prescriptions for tiny networks: sick, fine, refused, interrupted, and functions with knobs."""

import dataclasses
import json

import jax
import optax
import pytest

import vgrad_jax as vg
from vgrad_jax.prescription import prescribing
from vgrad_jax.prescription.cabinet import CABINET, NOT_IN_CABINET
from vgrad_jax.prescription.candidates import pairs, single_changes
from vgrad_jax.prescription.changes import changed
from vgrad_jax.training.settings import structure_of

SLOW = vg.Experiment(
    mlp=vg.MLP(hidden=(4,), activation="tanh", kernel_init="glorot_normal"),
    data=vg.Data("moons", samples=40),
    optimizer=vg.Optimizer("sgd", learning_rate=1e-4),
    training=vg.Training(epochs=20, batch_size=8, threshold=0.75),
)
"""A network whose learning rate is far too small."""


def test_a_learning_rate_is_mended_and_the_runs_are_those_of_a_sweep(few):
    few("learning_rate x 100", "learning_rate x 0.1", "kernel_init=he_normal")
    slow = dataclasses.replace(SLOW, optimizer=vg.Optimizer("sgd", learning_rate=1e-3))
    found = vg.prescribe(slow, seeds=24, progress=False)
    assert found.helps
    assert not found.was_fine
    assert found.smallest.name == found.best.name == "learning_rate x 100"
    assert found.smallest.experiment.optimizer.learning_rate == pytest.approx(0.1)
    fates = {one.name: one.fate for one in found.tried}
    assert fates["learning_rate x 0.1"].startswith("dropped after")
    swept = vg.sweep({"mended": found.smallest.experiment}, 24, engine="plain", chunk=8, progress=False)
    assert found.smallest.share.value == pytest.approx(float(swept.converged.mean()))
    assert found.smallest.share.n == 24
    assert "The smallest change that works: multiply the learning rate by 100" in str(found)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["smallest"] == "learning_rate x 100"
    assert vg.Experiment.from_dict(plain["tried"][0]["experiment"]) == found.tried[0].experiment


def test_a_healthy_network_is_told_so(few):
    few("learning_rate x 10")
    fine = changed(SLOW, {"optimizer.learning_rate": 0.1})
    found = vg.prescribe(fine, seeds=8, progress=False)
    assert found.was_fine
    assert found.helps
    assert found.tried == ()
    assert str(found).startswith("Nothing to mend")


def test_pairs_are_tried_where_no_single_change_helps(few):
    few("learning_rate x 0.01", "output_init=normal(0.01)")
    found = vg.prescribe(SLOW, seeds=8, progress=False)
    assert not found.helps
    assert [one.size for one in found.tried].count(2) == 1
    assert "Nothing works among 3 changes" in str(found)


def test_a_loss_that_does_not_fit_is_found_before_training(few):
    few("loss that fits", "learning_rate x 10")
    wrong = changed(SLOW, {"optimizer.learning_rate": 0.1, "training.loss": "squared_error"})
    found = vg.prescribe(wrong, seeds=16, progress=False)
    assert "cannot be trained as it is" in str(found)
    assert found.smallest.name == "loss that fits"
    assert [one.name for one in found.left_out] == ["learning_rate x 10"]


def test_runs_that_end_below_the_threshold_are_no_cure(few, monkeypatch):
    few("learning_rate x 100")
    slow = changed(SLOW, {"optimizer.learning_rate": 1e-3})
    monkeypatch.setattr(prescribing, "KEPT", -0.5)  # An accuracy of 1.25 is asked at the end.
    found = vg.prescribe(slow, seeds=24, progress=False)
    assert not found.helps
    assert found.tried[0].fate == "runs converge, but lose it again before the end"


def test_ctrl_c_keeps_what_was_found(few, monkeypatch):
    few("learning_rate x 100", "learning_rate x 0.1")
    rounds = []

    def stop_at_the_third(*arguments):
        rounds.append(1)
        if len(rounds) == 3:
            raise KeyboardInterrupt
        return train_seeds(*arguments)

    from vgrad_jax.prescription import trials

    train_seeds = trials.train_seeds
    monkeypatch.setattr(trials, "train_seeds", stop_at_the_third)
    monkeypatch.setattr(trials, "local_platform", lambda: local_platform()._replace(cores=1))
    from vgrad_jax.sweeps.policy import local_platform

    with pytest.raises(vg.PrescriptionInterrupted) as caught:
        vg.prescribe(SLOW, seeds=8, progress=False)
    found = caught.value.prescription
    assert found.interrupted
    assert found.untouched.share.n == 8


def walk(key, *, drift=0.0, steps=3):
    noise = jax.random.normal(key, (10,))
    return {"distance": drift * steps + 0.1 * noise.mean()}


def test_knobs_of_a_function():
    shown = []
    found = vg.prescribe(
        walk,
        knobs={"drift": [0.0, 0.1, 1.0], "steps": [3, 4]},
        converged="distance >= 1",
        seeds=16,
        progress=lambda done, text: shown.append((done, text)),
    )
    assert found.verdict is None
    assert found.smallest.name == "drift=1.0"
    assert found.smallest.words.startswith("set drift to 1.0: 100% of 16 runs converge")
    assert {one.name for one in found.tried} == {"drift=0.1", "drift=1.0", "steps=4"}
    assert shown[-1][0] == 16 + 16 + 8 + 8


@pytest.mark.slow
def test_a_function_with_a_record_has_a_verdict():
    data = vg.load_data(vg.Data("moons", samples=24))

    def init(key):
        return [
            0.01 * jax.random.normal(k, s)
            for k, s in zip(jax.random.split(key, 3), [(2, 4), (4, 4), (4, 1)], strict=True)
        ]

    def logits(params, x):
        return (jax.numpy.tanh(x @ params[0]) @ params[1])[:, 0]

    def loss_fn(params, batch):
        return optax.sigmoid_binary_cross_entropy(logits(params, batch[0]), batch[1]).mean()

    def accuracy(params, rows):
        return {"accuracy": ((logits(params, rows[0]) > 0) == (rows[1] > 0)).mean()}

    def train(key, rate=1e-4):
        run = vg.make_train(init, loss_fn, optax.sgd(rate), data, epochs=4, batch_size=6, record=2, evaluate=accuracy)
        return run(key)

    found = vg.prescribe(train, knobs={"rate": [1e-3]}, converged="accuracy >= 0.99", seeds=4, progress=False)
    assert not found.helps
    assert found.verdict.seeds == {found.verdict.status: 4}
    assert found.verdict.status != "healthy"


def test_knobs_that_help_in_pairs_alone():
    def both(key, a=0, b=0):
        return {"ok": 0 * jax.random.uniform(key) + a * b}

    found = vg.prescribe(vg.Arm(both, converged="ok > 0"), knobs={"a": [1], "b": [1]}, seeds=16, progress=False)
    assert found.smallest.name == "a=1 + b=1"
    assert found.smallest.size == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patient": walk}, "needs the knobs"),
        ({"patient": walk, "knobs": {"drift": "ab"}}, "needs a list of values"),
        ({"patient": walk, "knobs": {"drift": [1.0]}}, "when a run converges"),
        ({"patient": SLOW, "knobs": {"drift": [1.0]}}, "go with a function"),
        ({"patient": SLOW, "enough": 1.5}, "1 at the most"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    patient = arguments.pop("patient")
    with pytest.raises(vg.InputError, match=message):
        vg.prescribe(patient, progress=False, **arguments)


# The cabinet


DEEP = vg.Experiment(
    mlp=vg.MLP(hidden=(4, 4, 1), activation="sigmoid", kernel_init="normal(0.5)", bias_init="constant(1)"),
    data=vg.Data("wine"),
    optimizer=vg.Optimizer("sgd", learning_rate=0.01),
    training=vg.Training(loss="hinge", batch_size=32),
)


@pytest.mark.parametrize("remedy", CABINET, ids=lambda remedy: remedy.name)
def test_a_remedy_changes_its_own_part_alone(remedy):
    patient = DEEP
    if remedy.name == "weight_decay / 100":
        patient = changed(DEEP, {"optimizer.name": "adamw", "optimizer.weight_decay": 0.1})
    if remedy.name == "norm=layer":
        with pytest.raises(vg.InputError, match="one unit"):
            remedy.change(DEEP)
        patient = changed(DEEP, {"mlp.hidden": (4, 4)})
    if remedy.name == "scale=standard":
        patient = changed(DEEP, {"data.scale": "none"})
    after = remedy.change(patient)
    assert after != patient
    differing = {part for part in vg.Experiment.nested() if getattr(after, part) != getattr(patient, part)}
    assert len(differing) == 1
    assert remedy.sentence[0].islower()
    assert remedy.cannot.endswith(".")
    assert 1 <= remedy.size <= 4
    assert remedy.source


def test_statuses_and_causes_are_those_of_the_diagnosis():
    from vgrad_jax.diagnosis import STATUSES
    from vgrad_jax.diagnosis.status import CAUSES

    assert {status for remedy in CABINET for status in remedy.statuses} <= set(STATUSES)
    assert {cause for remedy in CABINET for cause in remedy.causes} <= set(CAUSES)
    assert len({remedy.name for remedy in CABINET}) == len(CABINET)
    assert NOT_IN_CABINET.keys().isdisjoint(remedy.name for remedy in CABINET)


def verdict(status, causes):
    finding = vg.Finding("code", status, None, 0.0, 0.0, "It is.", "Do it.", causes)
    return vg.Diagnosis(status, (finding,), (), (0.0, 0.0, 0.0), {status: 1})


@pytest.mark.parametrize(
    ("status", "cause", "kind"),
    [
        ("learning_rate_small", "learning_rate", "learning_rate"),
        ("vanishing", "hidden_activation", "activation"),
        ("collinear", "initialisation", "initialisation"),
        ("too_few_steps", "epochs_too_few", "learning_rate"),
    ],
)
def test_the_diagnosis_orders_the_candidates(status, cause, kind):
    chosen, left_out = single_changes(SLOW, verdict(status, (cause,)), 6)
    assert chosen[0].remedies[0].kind == kind
    assert len(chosen) == 6
    assert {one.name for one in (*chosen, *left_out)} == {remedy.name for remedy in CABINET}
    assert all(one.reason for one in left_out)


def test_a_learning_rate_is_changed_in_the_direction_of_the_verdict():
    chosen, _ = single_changes(SLOW, verdict("dead", ("initialisation", "learning_rate")), 12)
    names = [candidate.name for candidate in chosen if candidate.name.startswith("learning_rate")]
    assert names[:2] == ["learning_rate x 0.1", "learning_rate x 0.01"]


def test_candidates_beyond_the_diagnosis_need_no_new_program():
    chosen, _ = single_changes(SLOW, verdict("vanishing", ("hidden_activation",)), 8)
    unasked = [
        c
        for c in chosen
        if "hidden_activation" not in c.remedies[0].causes and "vanishing" not in c.remedies[0].statuses
    ]
    assert unasked
    assert any(structure_of(candidate.experiment) == structure_of(SLOW) for candidate in unasked)


def test_pairs_have_two_kinds_and_the_sum_of_the_sizes():
    chosen, _ = single_changes(SLOW, None, 10)
    combined = pairs(SLOW, chosen, 4)
    assert len(combined) == 4
    for pair in combined:
        first, second = pair.remedies
        assert first.kind != second.kind
        assert pair.size == first.size + second.size


def test_a_change_that_changes_nothing_is_left_out_with_its_reason():
    _, left_out = single_changes(SLOW, None, 3)
    reasons = {one.name: one.reason for one in left_out}
    assert reasons["activation=tanh"] == "it gives the same as the network as it is"
    assert "needs two hidden layers of equal width" in reasons["residual=1"]
    assert "prepared as in the article" in reasons["scale=standard"]
