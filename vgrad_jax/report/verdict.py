"""A verdict, shown in the terminal."""

from typing import TYPE_CHECKING

from vgrad_jax.gradients.diagnose import Diagnosis

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["layer_table"]


def layer_table(diagnosis: Diagnosis) -> "Table":
    """Every layer's part in it, input side first."""
    from rich.table import Table

    table = Table(title="layers, input side first", title_justify="left")
    table.add_column("layer", no_wrap=True)
    headings = ("status", "gradient, log10 RMS", "to the largest", "zeros", "update / weights, log10")
    for heading in headings:
        table.add_column(heading, justify="right")
    for layer in diagnosis.layers:
        numbers = (layer.log10_rms, layer.relative_log10)
        table.add_row(
            layer.path,
            layer.status,
            *(f"{number:.1f}" for number in numbers),
            f"{layer.zero_fraction:.0%}",
            "-" if layer.update_ratio_log10 != layer.update_ratio_log10 else f"{layer.update_ratio_log10:.1f}",
        )
    return table
