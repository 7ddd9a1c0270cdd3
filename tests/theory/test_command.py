"""The command `vgrad theory`, and the figures that it writes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.report.figures.theory import phase_diagram
from vgrad_jax.theory.comparison import mean_field_of, trainable_depth

RUNNER = CliRunner()


def test_a_network_that_every_theory_covers(tmp_path):
    network = ["--activation", "relu", "--kernel-init", "fan_in_normal(2)", "--depth", "2", "--width", "24"]
    done = RUNNER.invoke(app, ["theory", *network, "--seeds", "48", "--out", str(tmp_path / "t"), "--json"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert {path.name for path in (tmp_path / "t").iterdir()} == {
        "profile.png",
        "phase_diagram.png",
        "law_over_seeds.png",
        "jacobian_spectrum.png",
        "theory.json",
    }
    difference = np.subtract(shown["predicted_log10_rms"], shown["measured_log10_rms"])
    assert np.abs(difference).max() < 0.2
    assert shown["mean_field"]["phase"] == "critical"
    assert shown["mean_field"]["xi_grad"] == "inf"
    assert shown["law_over_seeds"]["p_value"] > 0.001
    jacobian = shown["jacobian"]
    assert jacobian["measured_mean_square"] == pytest.approx(jacobian["predicted_mean_square"], rel=0.3)
    assert jacobian["predicted_share_zero"] == 0.5
    assert any("agrees with" in sentence for sentence in shown["sentences"])


def test_an_arm_and_where_theory_does_not_apply(tmp_path):
    done = RUNNER.invoke(app, ["theory", "--arm", "tanh_uniform", "--seeds", "16", "--out", str(tmp_path / "t")])
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert "does not apply because the weights have a mean, 0.5" in text
    assert "5 (output)" in text
    assert "Jacobian: does not apply because the weights have a mean, 0.5" in text
    assert not (tmp_path / "t" / "jacobian_spectrum.png").exists()
    assert not (tmp_path / "t" / "phase_diagram.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --arm"),
        (["--arm", "tanh_he", "--activation", "tanh"], "either --arm"),
        (["--activation", "tahn"], "did you mean 'tanh'"),
        (["--activation", "gelu", "--kernel-init", "critical"], "no edge of chaos"),
        (["--activation", "tanh", "--seeds", "1"], "--seeds must be a whole number, 2 or larger"),
        (["--activation", "tanh", "--kernel-init", "he_unifrom"], "did you mean 'he_uniform'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = RUNNER.invoke(app, ["theory", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_help_has_an_example():
    assert "Example: vgrad theory" in RUNNER.invoke(app, ["theory", "--help"]).stdout


def test_the_phase_diagrams_line_is_the_edge_of_chaos():
    axes = phase_diagram("tanh").axes[0]
    line = next(part for part in axes.collections if part.get_linewidths()[0] == 1.5)
    for bias in (0.05, 0.2, 0.4):
        points = np.concatenate([path.vertices for path in line.get_paths()])
        weight = points[np.abs(points[:, 1] - bias).argmin(), 0]
        assert weight == pytest.approx(vg.critical_weight_variance("tanh", bias), abs=0.04)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"hidden": (5, 6)}, "hidden layers differ"),
        ({"hidden": (5,)}, "fewer than two"),
        ({"norm": "layer"}, "normalised"),
        ({"bias_init": "constant(1)"}, "the biases have a mean, 1"),
    ],
)
def test_where_no_fixed_point_applies_it_says_why(network, reason):
    numbers = mean_field_of(vg.MLP(**network))
    assert numbers.found is None
    assert reason in numbers.why_not


def test_trainable_depth_is_six_depth_scales():
    numbers = mean_field_of(
        vg.MLP(hidden=(50,) * 3, kernel_init="fan_in_normal(1.5)", bias_init="normal(0.2236067977)")
    )
    assert trainable_depth(numbers.found) == pytest.approx(6 * 15.790994, rel=1e-5)
    assert trainable_depth(vg.mean_field("relu", 2.0, 0.0)) == float("inf")
