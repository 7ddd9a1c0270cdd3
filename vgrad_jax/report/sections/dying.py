"""Dying ReLU: networks that are born dead, and those that die, beside the exact law."""

from collections.abc import Sequence
from functools import partial

from vgrad_jax.report.figures.dying import dead_networks
from vgrad_jax.report.section import Chart, Column, table_section
from vgrad_jax.report.study import MOSTLY
from vgrad_jax.report.words import percent
from vgrad_jax.statistics.dying import Dying
from vgrad_jax.wording import counted

__all__ = ["SECTION"]

COLUMNS = (
    Column("arm"),
    Column("depth", "hidden layers"),
    Column("width", "units of the narrowest hidden layer"),
    Column("born dead", "share of networks without a gradient in the first layer at initialisation, on all rows"),
    Column("died", "share of networks that had one then, and have none after training"),
    Column("dead on one row", "share of initial networks that are dead on the first training row"),
    Column("exact law", "probability of that: 1 - prod(1 - 2^-n) over the widths n"),
    Column("distance", "standard errors from the law to the share that is dead on one row"),
)


def _answer(rows: Sequence[Dying]) -> str | None:
    if not any(own.born_dead.value + own.died.value >= MOSTLY for own in rows):
        return None
    born, died = (max(rows, key=lambda own: getattr(own, field).value) for field in ("born_dead", "died"))
    return (
        f"Up to {percent(born.born_dead)} of the networks are born dead, without a gradient on any row "
        f"({born.arm}), and up to {percent(died.died)} die in training ({died.arm})."
    )


def _sentences(rows: Sequence[Dying]) -> list[str]:
    # Arms that differ in their training alone start from the same networks.
    drawn = [*{(own.law, own.dead_on_one): own for own in rows}.values()]
    near, within = (sum(abs(own.distance) <= most for own in drawn) for most in (1, 2))
    furthest = max(drawn, key=lambda own: abs(own.distance))
    sentences = [
        f"The share of networks that are dead on one row is within one standard error of the exact law in {near} of "
        f"{counted(len(drawn), 'architecture')}, and within two in {within}. The furthest is "
        f"{abs(furthest.distance):.1f} standard errors away ({furthest.arm}: {percent(furthest.dead_on_one)}, where "
        f"the law says {furthest.law:.1%})."
    ]
    born = max(rows, key=lambda own: own.born_dead.value)
    if born.born_dead.value:
        sentences.append(
            f"Fewer are dead on all rows than on one, so that the law is a bound: {born.law:.1%} for {born.arm}, of "
            f"which {percent(born.born_dead)} are born dead."
        )
    return sentences


def _cells(own: Dying) -> list[str]:
    sizes = [str(own.depth), str(own.width)]
    shares = [percent(share) for share in (own.born_dead, own.died, own.dead_on_one)]
    return [own.arm, *sizes, *shares, f"{own.law:.1%}", f"{own.distance:+.1f}"]


def _chart(rows: Sequence[Dying]) -> Chart:
    return Chart(
        "dead_networks",
        "Intervals: shares of networks that are dead on one row, on all rows, and after training, a line for each arm",
        "Networks without any gradient in the first layer. The black line is the exact law for one row, which bounds "
        "the share that is born dead on all rows. What died in training was alive at the start.",
        partial(dead_networks, rows),
    )


SECTION = table_section(
    "dying",
    lambda study: study.dying,
    heading="Born dead, or died",
    table=("Table of dead networks", COLUMNS),
    cells=_cells,
    chart=_chart,
    answer=_answer,
    sentences=_sentences,
)
