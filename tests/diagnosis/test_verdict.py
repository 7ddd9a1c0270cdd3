"""Verdicts: what they rest on, and what must not change them; how often they are right is measured elsewhere."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import FALLING, FLAT, KNOWN, LAYERS, RECORDS, SOLVED, STEEP, STUCK, record
from scipy import stats as scipy_stats
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.diagnosis import STATUSES
from vgrad_jax.diagnosis.profiles import straight_line


@pytest.mark.parametrize("status", KNOWN)
def test_every_status(status):
    diagnosis = vg.diagnose(KNOWN[status])
    assert diagnosis.status == status, str(diagnosis)
    if status not in ("healthy", "unclear"):
        finding = diagnosis.findings[0]
        assert finding.status == status
        assert finding.sentence.endswith(".")
        assert len(finding.advice) > 40
        assert finding.layer is None or finding.layer in KNOWN[status].paths
    assert {layer.status for layer in diagnosis.layers} <= set(STATUSES)


def test_an_attenuated_network_that_learns_is_healthy():
    assert vg.diagnose(record(STEEP, loss=FALLING)).status == "healthy"


def test_small_and_solved_is_told_from_small_and_vanished():
    tiny = record(FLAT - 7, loss=STUCK)
    assert vg.diagnose(tiny).status == "vanishing"
    assert vg.diagnose(record(FLAT, decay=7, loss=SOLVED)).status == "solved"
    # Without the loss: all layers shrink alike.
    assert vg.diagnose(record(FLAT, decay=7)).status == "solved"


SICK = sorted(set(KNOWN) - {"underflow"})  # Which is about the absolute size.


@settings(max_examples=40)
@given(st.sampled_from(SICK), st.floats(-12, 12))
def test_a_factor_of_the_loss_changes_no_verdict(status, decades):
    made = KNOWN[status]
    scaled = dataclasses.replace(
        made, log10_rms=made.log10_rms + decades, log10_max=made.log10_max + decades, loss=made.loss * 10**decades
    )
    before, after = vg.diagnose(made), vg.diagnose(scaled)
    assert before.status == after.status
    assert [layer.status for layer in before.layers] == [layer.status for layer in after.layers]
    assert [f.code for f in before.findings] == [f.code for f in after.findings]


@given(st.sampled_from(sorted(KNOWN)), st.permutations([f"name_{n}" for n in range(LAYERS)]))
def test_other_names_change_no_verdict(status, names):
    made = KNOWN[status]
    before, after = vg.diagnose(made), vg.diagnose(dataclasses.replace(made, paths=tuple(names)))
    assert before.status == after.status
    assert [layer.status for layer in before.layers] == [layer.status for layer in after.layers]


@settings(max_examples=30)
@given(st.permutations(range(9)))
def test_the_order_of_seeds_changes_nothing(order):
    shifts = np.linspace(-1, 1, 9)
    seeds = [record((STEEP if n % 3 else FLAT) + shifts[n], loss=STUCK) for n in range(9)]
    stack = lambda records: jax.tree.map(lambda *arrays: np.stack(arrays), *records)  # noqa: E731
    before, after = vg.diagnose(stack(seeds)), vg.diagnose(stack([seeds[n] for n in order]))
    assert before.to_dict() == after.to_dict()
    assert before.seeds == {"vanishing": 6, "chance_level": 3}


def test_a_fault_in_one_seed_is_not_the_verdict_on_all():
    seeds = jax.tree.map(lambda *arrays: np.stack(arrays), *[KNOWN["healthy"]] * 4, KNOWN["non_finite"])
    diagnosis = vg.diagnose(seeds)
    assert diagnosis.status == "healthy"
    assert diagnosis.seeds == {"healthy": 4, "non_finite": 1}


def test_the_attenuation_is_scipys_line():
    profile = STEEP + np.random.default_rng(0).normal(size=LAYERS) * 0.3
    line = scipy_stats.linregress(np.arange(LAYERS), profile)
    half = scipy_stats.t.ppf(0.975, LAYERS - 2) * line.stderr
    np.testing.assert_allclose(straight_line(profile), [line.slope, line.slope - half, line.slope + half])
    assert vg.diagnose(record(profile, loss=STUCK)).attenuation == pytest.approx(straight_line(profile))


def test_a_rule_of_ones_own():
    def slow(evidence):
        return [vg.Finding("too_slow", "slow", None, 1.0, 0.0, "It is slow.", "Wait.")]

    diagnosis = vg.diagnose(KNOWN["vanishing"], rules={**vg.RULES, "slow": vg.Rule(slow, "my stopwatch")})
    assert diagnosis.status == "slow"
    assert [finding.code for finding in diagnosis.findings] == ["too_slow", "gradient_shrinks", "no_better_than_start"]
    assert all(rule.source for rule in vg.RULES.values())


def test_dictionary_is_json_and_text_tells_what_to_do():
    for made in KNOWN.values():
        diagnosis = vg.diagnose(made)
        assert json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))["status"] == diagnosis.status
        assert str(diagnosis).startswith(diagnosis.status)
    assert "he_normal" in str(vg.diagnose(KNOWN["vanishing"]))


def test_a_check_of_many_seeds_or_of_another_model():
    def loss(params, x):
        for kernel in params.values():
            x = np.tanh(1) * jax.numpy.tanh(x @ kernel + 9)
        return x.mean()

    def init(names):
        return lambda key: {name: jax.random.normal(key, (10, 10)) for name in names}

    x = jax.numpy.ones((4, 10))
    check = vg.check_init(loss, init([f"layer_{n}" for n in range(LAYERS)]), x, num_seeds=3)
    assert vg.diagnose(KNOWN["vanishing"], check=check).status == "saturated"
    with pytest.raises(vg.InputError, match="the check knows no layer 'layer_1'"):
        vg.diagnose(KNOWN["vanishing"], check=vg.check_init(loss, init(["layer_0"]), x))


@pytest.mark.parametrize(
    ("loss", "kept", "status"), [(STUCK, 1, "unclear"), (STUCK, 2, "unclear"), (FALLING, 20, "healthy")]
)
def test_the_end_of_a_training_alone_is_not_called_healthy(loss, kept, status):
    """A recorder without a history keeps the latest record; its gradients can look well at any loss."""
    made = record(FLAT, loss=loss)
    by_step = [
        field.name for field in dataclasses.fields(made) if np.shape(getattr(made, field.name))[:1] == (RECORDS,)
    ]
    verdict = vg.diagnose(
        dataclasses.replace(made, **{name: getattr(made, name)[RECORDS - kept :] for name in by_step})
    )
    assert verdict.status == status
    assert any("record(every" in finding.advice for finding in verdict.findings) == (status == "unclear")


def test_nothing_recorded_yet():
    made = KNOWN["healthy"]
    by_step = [
        field.name for field in dataclasses.fields(made) if np.shape(getattr(made, field.name))[:1] == (RECORDS,)
    ]
    empty = dataclasses.replace(made, **{name: getattr(made, name)[:0] for name in by_step})
    with pytest.raises(vg.InputError, match="nothing was recorded yet"):
        vg.diagnose(empty)


def test_the_command_in_other_peoples_ci(tmp_path, monkeypatch):
    """Start a process for the exit code that stops a job; the other arguments need none."""
    monkeypatch.chdir(tmp_path)
    KNOWN["vanishing"].save(tmp_path / "record.npz")
    command = [sys.executable, "-m", "vgrad_jax", "diagnose", "record.npz"]
    done = subprocess.run(
        [*command, "--fail-on", "vanishing", "--fail-on", "dead"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("vanishing")
    assert "layer_5" in done.stdout
    fine = CliRunner().invoke(app, ["diagnose", "record.npz", "--fail-on", "dead", "--json"])
    assert fine.exit_code == 0, fine.stderr
    assert json.loads(fine.stdout)["findings"][0]["code"] == "gradient_shrinks"
    for arguments, message in (
        (("nothing.npz",), "no file 'nothing.npz'"),
        (("record.npz", "--fail-on", "vanish"), "did you mean 'vanishing'?"),
    ):
        wrong = CliRunner().invoke(app, ["diagnose", *arguments])
        assert wrong.exit_code == 2
        assert message in wrong.stderr


def with_frozen(made):
    """Add a layer between others that has no gradient and never changes."""
    frozen = {
        "log10_rms": -np.inf,
        "log10_max": -np.inf,
        "zero_fraction": 1.0,
        "nonfinite_fraction": 0.0,
        "params_log10_rms": -0.5,
        "updates_log10_rms": -np.inf,
        "mean_log10_rms": -np.inf,
        "std_log10_rms": 0.0,
    }
    arrays = {name: np.insert(getattr(made, name), 2, number, -1) for name, number in frozen.items()}
    return dataclasses.replace(
        made,
        paths=(*made.paths[:2], "frozen", *made.paths[2:]),
        counts=(*made.counts, 100),
        has_matrix=(*made.has_matrix, True),
        dtypes=(*made.dtypes, "float32"),
        **arrays,
    )


@pytest.mark.parametrize("status", KNOWN)
def test_a_frozen_layer_changes_no_verdict(status):
    assert vg.diagnose(with_frozen(KNOWN[status])).status == status


@pytest.mark.parametrize("active", [0, 1, 2, LAYERS - 1])
def test_layers_without_a_gradient_are_dead_where_nothing_is_learned(active):
    profile = np.where(np.arange(LAYERS) < LAYERS - active, -np.inf, -2.0)
    still = {"params_log10_rms": np.full((RECORDS, LAYERS), -0.5)}
    assert vg.diagnose(record(profile, loss=STUCK, **still)).status == "dead"


def test_a_first_layer_may_be_frozen_where_the_others_learn():
    profile = np.where(np.arange(LAYERS) < 1, -np.inf, -2.0)
    still = {"params_log10_rms": np.full((RECORDS, LAYERS), -0.5)}
    assert vg.diagnose(record(profile, loss=np.linspace(1.0, 0.3, RECORDS), **still)).status == "healthy"


def test_a_loss_that_may_be_negative_and_rose_is_unclear():
    """The loss of a policy's gradient may rise while it learns, and when the reward is made small."""
    rises = np.linspace(-0.04, 0.05, RECORDS)
    assert vg.diagnose(record(FLAT, loss=rises, decay=1)).status == "unclear"
    assert vg.diagnose(record(FLAT, loss=-rises, decay=0.3)).status == "healthy"
