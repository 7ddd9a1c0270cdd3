"""The summary for other programs is of its schema, whatever the sweep; the schema refuses other things."""

import copy
import json

import jax
import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import CliRunner

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.cli import app
from vgrad_jax.report import SUMMARY_SCHEMA, Report

VALIDATOR = Draft202012Validator(SUMMARY_SCHEMA)
RUNS = 12


def summary_of(results):
    return json.loads(json.dumps(Report(results).numbers(), allow_nan=False))


def crossed_results():
    shares = {"tanh_uniform": 0.0, "relu_he": 0.75, "tanh_he": 1.0, "relu_uniform": 0.0}
    return made_results({arm: np.where(np.arange(RUNS) < part * RUNS, 40.0, np.nan) for arm, part in shares.items()})


@pytest.fixture(scope="module")
def good():
    return summary_of(crossed_results())


def test_a_summary_is_of_the_schema(good):
    VALIDATOR.validate(good)
    assert good["crossed"]["start"] == "tanh_uniform"
    assert {arm["arm"] for arm in good["arms"]} == set(good["verdicts"])


def test_arms_of_functions_are_of_the_schema():
    def end(key):
        return {"size": jax.random.uniform(key)}

    functions = {"judged": vg.Arm(end, converged="size >= 0.5"), "not_judged": end}
    VALIDATOR.validate(summary_of(vg.sweep(functions, 3, engine="plain", progress=False)))


def test_the_schema_refuses_what_is_not_a_summary(good):
    Draft202012Validator.check_schema(SUMMARY_SCHEMA)
    for entry in SUMMARY_SCHEMA["required"]:
        with pytest.raises(ValidationError):
            VALIDATOR.validate({name: value for name, value in good.items() if name != entry})
    spoiled = copy.deepcopy(good)
    spoiled["arms"][0]["converged"]["low"] = "unknown"
    for bad in (spoiled, {**good, "format": "vgrad_jax summary 2"}, {**good, "pairs": [{}]}):
        with pytest.raises(ValidationError):
            VALIDATOR.validate(bad)


def test_every_entry_has_its_meaning():
    def described(schema):
        for name, entry in schema.get("properties", {}).items():
            assert {"description", "const", "$ref"} & set(entry), name
            described(entry)
            described(entry.get("items", {}))

    described(SUMMARY_SCHEMA)
    for entry in SUMMARY_SCHEMA["$defs"].values():
        described(entry)


def test_the_command_prints_the_schema_of_a_sweeps_summary(tmp_path, quick_reports):
    def end(key):
        return {"size": jax.random.uniform(key)}

    printed = json.loads(CliRunner().invoke(app, ["report", "--schema"]).output)
    assert printed == SUMMARY_SCHEMA
    vg.sweep(
        {"a": vg.Arm(end, converged="size >= 0.5")}, 3, store=tmp_path / "results.zarr", engine="plain", progress=False
    )
    said = CliRunner().invoke(app, ["report", str(tmp_path), "--json"])
    assert said.exit_code == 0, said.output
    written = json.loads((tmp_path / "tables" / "summary.json").read_text())
    for summary in (written, json.loads(said.stdout)):
        Draft202012Validator(printed).validate(summary)
    assert len(written["arms"]) == 1


def test_a_report_of_nothing_is_refused():
    said = CliRunner().invoke(app, ["report"])
    assert (said.exit_code, "no folder was named" in said.output) == (2, True)
