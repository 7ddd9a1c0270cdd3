"""Versions that the results record, also where a package is not installed."""

import importlib.metadata
import json

import vgrad_jax as vg
from vgrad_jax.results import environment


def test_a_plain_sweep_needs_no_llvmlite(monkeypatch):
    def without_llvmlite(package):
        if package == "llvmlite":
            raise importlib.metadata.PackageNotFoundError(package)
        return importlib.metadata.version(package)

    monkeypatch.setattr(environment, "version", without_llvmlite)
    arm = vg.Experiment(
        mlp=vg.MLP(hidden=(2,)),
        data=vg.Data("moons", samples=16),
        training=vg.Training(epochs=1, batch_size=4),
    )
    results = vg.sweep({"a": arm}, 2, engine="plain", progress=False)
    assert results["completed"].values.all()
    recorded = json.loads(results.attrs["versions"])
    assert recorded["llvmlite"] == "not installed"
    assert recorded["jax"] == importlib.metadata.version("jax")
