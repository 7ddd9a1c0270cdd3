import copy
import json

import jax.numpy as jnp
import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.diagnosis import DIAGNOSIS_SCHEMA, RULES, Rule

VALIDATOR = Draft202012Validator(DIAGNOSIS_SCHEMA)


def stats_of(*sizes):
    return vg.gradient_stats([jnp.full((4, 4), size) for size in sizes])


@pytest.mark.parametrize(
    "sizes",
    [(1e-2, 1e-2), (1e-9, 1e-7, 1e-5, 1e-3), (0.0, 1e-3, 1e-3), (np.nan, 1.0), (np.inf, 1.0, 1.0), (0.0, 0.0)],
)
def test_every_verdict_is_of_the_schema(sizes):
    values = json.loads(json.dumps(vg.diagnose(stats_of(*sizes)).to_dict(), allow_nan=False))
    VALIDATOR.validate(values)


def test_a_rule_of_the_users_own_is_of_the_schema():
    def find(_):
        return [vg.Finding("mine_code", "mine", None, 1.0, 0.5, "A sentence.", "Some advice.")]

    values = vg.diagnose(stats_of(1.0, 1.0), rules={**RULES, "mine": Rule(find, "me")}).to_dict()
    assert values["status"] == "mine"
    VALIDATOR.validate(json.loads(json.dumps(values)))


def test_the_schema_is_one_and_refuses_what_is_not_a_verdict():
    Draft202012Validator.check_schema(DIAGNOSIS_SCHEMA)
    good = json.loads(json.dumps(vg.diagnose(stats_of(1e-9, 1e-5, 1e-1)).to_dict()))
    assert good["findings"]
    for entry in good:
        bad = {name: value for name, value in good.items() if name != entry}
        with pytest.raises(ValidationError):
            VALIDATOR.validate(bad)
    changes = [
        ("format", "vgrad_jax diagnosis 2"),
        ("share", [1.5, 0, 1]),
        ("seeds", {"vanishing": "one"}),
        ("attenuation", [0.1]),
        ("layers", [{}]),
    ]
    for entry, value in changes:
        with pytest.raises(ValidationError):
            VALIDATOR.validate({**copy.deepcopy(good), entry: value})
    wrong_cause = copy.deepcopy(good)
    wrong_cause["findings"][0]["causes"] = ["the weather"]
    with pytest.raises(ValidationError):
        VALIDATOR.validate(wrong_cause)


def test_no_entry_lacks_its_meaning():
    def described(schema):
        for name, entry in schema.get("properties", {}).items():
            assert "description" in entry or "const" in entry, name
            described(entry)
            described(entry.get("items", {}))

    described(DIAGNOSIS_SCHEMA)
    assert set(DIAGNOSIS_SCHEMA["properties"]) == set(vg.diagnose(stats_of(1.0, 1.0)).to_dict())


def test_the_command_prints_the_schema():
    result = CliRunner().invoke(app, ["diagnose", "--schema"])
    assert json.loads(result.output) == DIAGNOSIS_SCHEMA
