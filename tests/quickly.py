"""Reports in a quarter of their time."""

from contextlib import contextmanager

import pytest

from vgrad_jax.report import templates, verdict
from vgrad_jax.statistics import geometry


@contextmanager
def reports():
    """Measure few seeds for a report, and leave its figures undrawn: laying out their texts takes most of its time."""

    def svg_of(figure, name):
        width, height = figure.get_size_inches() * 72
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"/>'.encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "svg_of", svg_of)
        patch.setattr(geometry, "MOST_SEEDS", 4)
        patch.setattr(verdict, "MOST_SEEDS", 4)
        yield
