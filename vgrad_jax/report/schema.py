"""Schema of a sweep's summary as JSON, for programs that read it.

The format's number rises when an entry is renamed, removed or changes its meaning. New entries do not raise it. Entries
of a question that a sweep does not raise are missing or null.
"""

from typing import Any

from vgrad_jax.diagnosis import DIAGNOSIS_SCHEMA

__all__ = ["FORMAT", "SUMMARY_SCHEMA"]

FORMAT = "vgrad_jax summary 1"
"""Name and number of the format, in the entry "format"."""

_NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_TEXT: dict[str, Any] = {"type": "string"}
_ESTIMATE: dict[str, Any] = {"$ref": "#/$defs/estimate"}
_EFFECT: dict[str, Any] = {"$ref": "#/$defs/effect"}


def _described(schema: dict[str, Any], meaning: str) -> dict[str, Any]:
    return {**schema, "description": meaning}


def _object(meaning: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = {**required, **(optional or {})}
    return {"type": "object", "description": meaning, "properties": properties, "required": list(required)}


def _list(items: dict[str, Any], meaning: str) -> dict[str, Any]:
    return {"type": "array", "description": meaning, "items": items}


_DEFINITIONS: dict[str, Any] = {
    "estimate": _object(
        "Number with its 95 % interval.",
        {
            "value": _described(_NUMBER, "Estimate."),
            "low": _described(_NUMBER, "Lower bound."),
            "high": _described(_NUMBER, "Upper bound."),
            "n": _described(_COUNT, "Number of runs behind it."),
        },
    ),
    "effect": _object(
        "Effect of a change.",
        {"share": _described(_ESTIMATE, "Change of the share of runs that converge, from -1 to 1.")},
        {"restricted_mean": _described(_ESTIMATE, "Change of the mean time to converge, in the arms' unit of time.")},
    ),
}

_ARM = _object(
    "Arm of the sweep.",
    {
        "arm": _described(_TEXT, "Name."),
        "n": _described(_COUNT, "Number of finished runs."),
        "diverged": _described(_ESTIMATE, "Share of runs with a loss that was not finite."),
        "initial_gradient_log10_rms": _list(_NUMBER, "log10 RMS of each layer's gradient before training, the median."),
        "final_gradient_log10_rms": _list(_NUMBER, "The same after training."),
    },
    {
        "converged": _described(_ESTIMATE, "Share of runs that converge."),
        "median_epochs": _described(_ESTIMATE, "Median time to converge; inf where fewer than half converge."),
        "restricted_mean_epochs": _described(
            _ESTIMATE, "Mean time to converge; a run that never converges counts with the whole budget."
        ),
        "test_accuracy": {
            "type": "object",
            "description": "Accuracy on the test rows after training.",
            "additionalProperties": _ESTIMATE,
        },
        "dead": _described(_ESTIMATE, "Share of runs that fail with a gradient of exactly zero in the first layer."),
        "stuck": _described(_ESTIMATE, "Share of runs that fail and still have a gradient."),
    },
)
_COMPARISON = _object(
    "Two arms, a and b.",
    {
        "share_difference": _described(_ESTIMATE, "Share of a that converges, minus that of b."),
        "restricted_mean_difference": _described(_ESTIMATE, "Mean time of a minus that of b."),
        "probability_a_faster": _described(_NUMBER, "Chance that a run of a is faster than a run of b."),
        "logrank_p": _described(_NUMBER, "p-value of the log-rank test of equal curves."),
        "budget": _described(_NUMBER, "Time within which they are compared."),
    },
)
_PAIR = _object(
    "Pair of arms.",
    {
        "a": _described(_TEXT, "Name of the first arm."),
        "b": _described(_TEXT, "Name of the second arm."),
        "comparison": _COMPARISON,
        "logrank_p_adjusted": _described(_NUMBER, "p-value, adjusted for the number of pairs."),
    },
)
_DESIGN = _object(
    "Four arms that cross two changes.",
    {
        "first": _described(_TEXT, "Name of the first factor."),
        "second": _described(_TEXT, "Name of the second factor."),
        "start": _described(_TEXT, "Arm without a change."),
        "first_only": _described(_TEXT, "Arm with the first change."),
        "second_only": _described(_TEXT, "Arm with the second change."),
        "both": _described(_TEXT, "Arm with both changes."),
        "first_alone": _EFFECT,
        "second_alone": _EFFECT,
        "together": _EFFECT,
        "first_main": _EFFECT,
        "second_main": _EFFECT,
        "interaction": _EFFECT,
        "cause": _described(_TEXT, "Word for what is to blame."),
        "conclusion": _described(_TEXT, "The same as a sentence."),
    },
)
_PREDICTOR = _object(
    "Measurement before training, against failure.",
    {
        "scope": _described(_TEXT, "Name of the arm, or the word for all arms together."),
        "measurement": _described(_TEXT, "Name of the measurement."),
        "area": {"anyOf": [_ESTIMATE, {"type": "null"}], "description": "Area under the ROC curve; null if unknown."},
        "q_value": _described(_NUMBER, "p-value, adjusted for all measurements."),
        "converged": _described(_COUNT, "Number of runs that converge."),
        "failed": _described(_COUNT, "Number of runs that do not."),
    },
)

SUMMARY_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": FORMAT,
    "$defs": _DEFINITIONS,
    **_object(
        "Summary of a sweep, from tables/summary.json, vgrad report --json or vgrad sweep --json.",
        {
            "format": {"const": FORMAT},
            "answer": _described(_TEXT, "Headline, with its numbers."),
            "sentences": _list(_TEXT, "Sentences under the headline."),
            "remarks": _list(_TEXT, "Runs or arms that stand out."),
            "arms": _list(_ARM, "Arms in the order of the sweep."),
        },
        {
            "folder": _described(_TEXT, "Folder of the page; of a command only."),
            "pairs": _list(_PAIR, "All pairs of arms that count time in the same unit."),
            "designs": _list(_DESIGN, "All sets of four arms that cross two changes."),
            "crossed": {"anyOf": [_DESIGN, {"type": "null"}], "description": "Design of the article's two changes."},
            "predictors": _list(_PREDICTOR, "Measurements before training, best first."),
            "verdicts": {
                "type": "object",
                "description": "Arm to its verdict.",
                "additionalProperties": {
                    name: value for name, value in DIAGNOSIS_SCHEMA.items() if name not in ("$schema", "title")
                },
            },
        },
    ),
}
"""JSON schema of a sweep's summary, draft 2020-12."""
