"""The sections of a report, in the order of the page.

A new section is a file in this folder with a `SECTION`, and its name in `NAMES`.
"""

from importlib import import_module
from typing import Any

from vgrad_jax.report.section import Section

__all__ = ["ANSWERS", "NAMES", "SECTIONS"]

NAMES = (
    "depth",
    "factors",
    "ranking",
    "arms",
    "own_results",
    "phases",
    "dying",
    "seed_law",
    "survival",
    "crossed",
    "accuracy",
    "gradients",
    "final_accuracy",
    "weights",
    "geometry",
    "verdicts",
    "predictors",
    "pairs",
    "article",
    "precision",
    "early_stops",
)
"""Modules of this folder; sentences, figures and headings appear in this order."""

ANSWERS = ("dying", "crossed", "depth", "factors", "pairs", "own_results")
"""Sections that may have the headline; the first that has an answer gives it."""

SECTIONS: tuple[Section[Any], ...] = tuple(import_module(f"{__name__}.{name}").SECTION for name in NAMES)
