"""Schema of a verdict as JSON, for programs that read it.

The format's number rises when an entry is renamed, removed or changes its meaning. New entries do not raise it.
"""

from typing import Any

from vgrad_jax.diagnosis.statuses import CAUSES

__all__ = ["DIAGNOSIS_SCHEMA", "FORMAT"]

FORMAT = "vgrad_jax diagnosis 1"
"""Name and number of the format, in the entry "format"."""

_NUMBER = {"anyOf": [{"type": "number"}, {"enum": ["inf", "-inf", "nan"]}]}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def _object(meaning: str, **entries: Any) -> dict[str, Any]:
    return {"type": "object", "description": meaning, "properties": entries, "required": list(entries)}


def _list(items: Any, meaning: str, length: int | None = None) -> dict[str, Any]:
    bounds = {} if length is None else {"minItems": length, "maxItems": length}
    return {"type": "array", "description": meaning, "items": items, **bounds}


def _text(meaning: str) -> dict[str, Any]:
    return {"type": "string", "description": meaning}


def _number(meaning: str) -> dict[str, Any]:
    return {**_NUMBER, "description": meaning}


_FINDING = _object(
    "A fault, or a fact beside the verdict.",
    code=_text("Word for the finding."),
    status=_text("Verdict that it speaks for."),
    layer={"type": ["string", "null"], "description": "Layer that shows it most clearly; null for all layers."},
    value=_number("Number that was found."),
    threshold=_number("Number that it was held against."),
    sentence=_text("What was found, in words."),
    advice=_text("What to do."),
    causes=_list({"enum": sorted(CAUSES)}, "What is probably to blame, the likeliest first."),
)
_LAYER = _object(
    "Part of one layer in the verdict.",
    path=_text("Name of the layer."),
    status=_text("Its part in the verdict."),
    log10_rms=_number("log10 of the gradient's root mean square in the latest quarter of the records."),
    relative_log10=_number("log10 of the first gradient over that of the layer with the largest."),
    zero_fraction=_number("Share of elements that are exactly zero."),
    update_ratio_log10=_number("log10 of update over weights; nan where it was not recorded."),
)

DIAGNOSIS_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": FORMAT,
    **_object(
        "Verdict on a gradient, from Diagnosis.to_dict() or vgrad diagnose --json.",
        format={"const": FORMAT},
        status=_text("The verdict: a status of vgrad_jax.diagnosis.STATUSES, or of a rule of the user's own."),
        seeds={
            "type": "object",
            "description": "Number of seeds of each status, the most frequent first.",
            "additionalProperties": {"type": "integer", "minimum": 1},
        },
        share=_list(_SHARE, "Share of the seeds that have the verdict, with its 95 % interval: value, low, high.", 3),
        under_noise={
            "type": "object",
            "description": "Share of each verdict when the noise of the batches is drawn again; empty if unknown.",
            "additionalProperties": _SHARE,
        },
        closest={"type": ["string", "null"], "description": "Other verdict that the noise gives most often."},
        attenuation=_list(_NUMBER, "Decades a layer that the gradient shrinks by: value, low, high.", 3),
        findings=_list(_FINDING, "Findings for the verdict first."),
        layers=_list(_LAYER, "Layers with weights, input side first."),
    ),
}
"""JSON schema (draft 2020-12) of `Diagnosis.to_dict()`; a dictionary."""
