"""Studies from files and settings: the arms that they ask for, and the line of each mistake."""

import itertools
import json

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax import studies
from vgrad_jax.cli import app
from vgrad_jax.studies.grid import crossed

pytestmark = pytest.mark.usefixtures("quick_reports")


@pytest.fixture
def write(tmp_path):
    def write(text, name="study.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_grid_crosses_its_values(write):
    text = """
title = "mine"
seeds = 7
study_seed = 3
[base]
mlp.hidden = [8]
[grid]
mlp.activation = ["tanh", "relu"]
"optimizer.learning_rate" = [0.01, 0.1]
training.epochs = [4]
"""
    study = studies.read_study(write(text))
    assert (study.title, study.seeds, study.study_seed) == ("mine", 7, 3)
    expected = list(itertools.product(["tanh", "relu"], [0.01, 0.1]))
    assert [(a.mlp.activation, a.optimizer.learning_rate) for a in study.arms.values()] == expected
    assert list(study.arms)[1] == "tanh, learning_rate 0.1"
    assert all(arm.mlp.hidden == (8,) and arm.training.epochs == 4 for arm in study.arms.values())


def test_arms_override_the_base_and_settings_override_both(write):
    path = write("[base]\ntraining.epochs = 2\n[arms.short]\n[arms.long]\ntraining.epochs = 9\n")
    arms = studies.read_study(path).arms
    assert {name: arm.training.epochs for name, arm in arms.items()} == {"short": 2, "long": 9}
    settings = dict([studies.parsed_setting("training.epochs=5"), studies.parsed_setting("mlp.activation=tanh,gelu")])
    arms = studies.read_study(path, settings).arms
    assert list(arms) == ["short: tanh", "short: gelu", "long: tanh", "long: gelu"]
    assert {arm.training.epochs for arm in arms.values()} == {5}


def test_a_ready_made_study_can_stand_beside(write):
    arms = studies.read_study(write('include = "article"\n[arms.mine]\nmlp.activation = "gelu"\n')).arms
    assert arms == {"mine": arms["mine"], **vg.presets.article()}
    with pytest.raises(vg.InputError, match="has the name of another arm"):
        studies.read_study(write('include = "article"\n[arms.relu_he]\n'))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[base]\n\nmlp.hiden = [3]", "line 3: unknown field of mlp 'hiden'; did you mean 'hidden'"),
        ('[base.mlp]\nhidden = [3]\nactivation = "tanj"', "line 3: .*did you mean 'tanh'"),
        ('[arms.a]\n[arms.a.optimizer]\nname = "adma"', "line 3: .*did you mean 'adam'"),
        ('[grid]\nmlp.activation = "tanh"', "line 2: mlp.activation needs a list"),
        ('[grid]\nmlp.activation = ["tanh", "tanh"]', "line 2: .*twice"),
        ("[arms.a]\nmlp.hidden = [4]\ntraining.epochs = 0", "line 3: epochs must be"),
        # The same field stands rightly in another table.
        ('[arms.a]\nmlp.activation = "relu"\n[arms.b]\nmlp.activation = "tanj"', "line 4: .*did you mean 'tanh'"),
        ('[base]\nmlp.activation = "relu"\n[grid]\n"mlp.activation" = ["tanj"]', "line 4: .*did you mean 'tanh'"),
        ('[arms."a.b".mlp]\nhidden = [3]\nactivation = "tanj"', "line 3: .*did you mean 'tanh'"),
        ("[base]\nmlp = { hidden = [3], norm = 'lyer' }", "line 2: .*did you mean 'layer'"),
        ("incl = 3", "line 1: .*did you mean 'include'"),
        ('include = "artikle"', "line 1: .*did you mean 'article'"),
        ("[base]\nmlp = 3", "line 2: mlp must be a table"),
        ('[base]\nactivation = "relu"', "line 2: .*did you mean 'mlp.activation'"),
        ('[base]\n"mlp.activation" = {function = "sys:exit"}', "line 2: .*'sys:exit'"),
        ("[base]\ndata.x = [[1]]", "line 2: unknown field of data 'x'"),
        ('[base]\ndata.path = "nowhere.csv"', "no file .*nowhere.csv"),
        ("[base]\ntraining.batch_size = 600", "a batch of 600 needs as many training rows"),
        ("[arms.a]\nmlp.hidden = [4]\n[grid]\nmlp.hidden = [[4], [8]]", "set in .arms.a. and in .grid."),
        ('[grid]\nmlp.activation = ["relu", {function = "jax.nn:relu"}]', "two arms of the grid have the name 'relu'"),
        ("x = [", "is not TOML"),
        ("", "a study needs arms"),
        ("seeds = 0\n[arms.a]", "seeds must be a whole number"),
        ("[grid]\noptimizer.learning_rate = " + repr([i / 2000 for i in range(1, 1002)]), "1001 arms, more than"),
    ],
)
def test_a_mistake_is_named_with_its_line(write, text, message):
    with pytest.raises(vg.InputError, match=message):
        studies.read_study(write(text))


def test_no_file_names_a_callable_but_jaxs(write):
    (arm,) = studies.read_study(write('[arms.a]\nmlp.activation = {function = "jax.nn:gelu"}')).arms.values()
    assert arm.mlp.activation is jax.nn.gelu


def test_an_experiments_json_is_a_study(write):
    experiment = vg.Experiment(mlp=vg.MLP(hidden=(3,), residual=0.5), training=vg.Training(epochs=2))
    assert studies.read_study(write(experiment.to_json(), "mine.json")).arms == {"mine": experiment}
    with pytest.raises(vg.InputError, match="nested too deeply"):
        studies.read_study(write("[" * 100_000, "deep.json"))


def test_paths_are_relative_to_the_file(write, tmp_path):
    (tmp_path / "table.csv").write_text("a,kind\n" + "".join(f"{i}.5,{'xyz'[i % 3]}\n" for i in range(24)))
    (arm,) = studies.read_study(write('[arms.a]\ndata.path = "table.csv"')).arms.values()
    assert arm.data.path == str(tmp_path / "table.csv")
    # Three classes and twelve training rows decide the loss and the batch.
    assert (arm.training.loss, arm.training.batch_size) == ("softmax_cross_entropy", 12)
    (arm,) = studies.read_study(write('[arms.a]\ndata.path = "table.csv"\ntraining.batch_size = 4')).arms.values()
    assert arm.training.batch_size == 4


def test_two_classes_have_the_binary_loss(write):
    (arm,) = studies.read_study(write('[arms.a]\ndata.source = "breast_cancer"')).arms.values()
    assert arm.training.loss == "binary_cross_entropy"


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("mlp.activation=tanh,relu", "mlp.activation", ["tanh", "relu"]),
        ("mlp.kernel_init=uniform(0, 1),he_normal", "mlp.kernel_init", ["uniform(0, 1)", "he_normal"]),
        ("mlp.hidden=[8, 8],[16]", "mlp.hidden", [[8, 8], [16]]),
        ("optimizer.learning_rate = 1e-3, 0.1", "optimizer.learning_rate", [1e-3, 0.1]),
        ("data.header=true", "data.header", [True]),
    ],
)
def test_settings(text, path, values):
    assert studies.parsed_setting(text) == (path, values)


@pytest.mark.parametrize("text", ["mlp.activation", "mlp.activation=", "=3"])
def test_a_setting_without_a_field_or_a_value_is_refused(text):
    with pytest.raises(vg.InputError):
        crossed(dict([studies.parsed_setting(text)]))


def test_the_example_is_a_study(write):
    printed = CliRunner().invoke(app, ["study", "init"]).stdout
    study = studies.read_study(write(printed))
    assert len(study.arms) == 8
    assert all(arm.mlp.hidden == (16, 16) for arm in study.arms.values())


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "hidden": st.lists(st.integers(1, 9), max_size=4).map(tuple),
        "activation": st.sampled_from(["tanh", "relu", "leaky_relu(0.2)", jax.nn.gelu]),
        "kernel_init": st.sampled_from(["he_normal", "uniform(0, 1)"]),
        "norm": st.sampled_from([None, "layer"]),
    },
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), FIELDS, min_size=1, max_size=3))
def test_what_is_written_down_is_read_as_it_was(tmp_path_factory, networks):
    arms = {name: vg.Experiment(mlp=vg.MLP(**fields)) for name, fields in networks.items()}
    path = tmp_path_factory.mktemp("studies") / "study.toml"
    path.write_text(studies.study_text(arms, title="t", seeds=3, study_seed=1), encoding="utf-8")
    study = studies.read_study(path)
    assert (dict(study.arms), study.seeds, study.study_seed) == (arms, 3, 1)


def test_arms_are_listed(write):
    listed = CliRunner().invoke(app, ["arms"]).stdout
    assert "article: 7 arms" in listed
    assert "  relu_he\n" in listed
    path = write("[grid]\nmlp.activation = ['tanh', 'relu']")
    assert json.loads(CliRunner().invoke(app, ["arms", str(path), "--json"]).stdout) == {str(path): ["tanh", "relu"]}
