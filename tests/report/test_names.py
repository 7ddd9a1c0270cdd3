"""Names of arms with signs that mean something in a figure, on a page, in a table or in a terminal."""

import csv
import dataclasses
import html
import json
import re

import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Text

import vgrad_jax as vg
from tests.made import made_results
from vgrad_jax.cli.report import show
from vgrad_jax.cli.shared import terminal
from vgrad_jax.report import write_report
from vgrad_jax.report.section import Block
from vgrad_jax.report.templates import rendered
from vgrad_jax.wording import literal, visible

NAMES = ("$x^{2$", "a$b$", r"\frac{1}{$0$}", "_hidden", "<b>bold</b>", "two\nlines", "fire \U0001f525", "x" * 300)
HIDDEN = ("rtl\u202eabc", "esc\x1b[31m", "nul\0", "half\ud800")
EPOCHS = 20


def made_up(networks):
    """Results of arms with the names in NAMES; their data is said to be gone, so that nothing is compiled."""
    base = vg.presets.article(epochs=EPOCHS)["relu_he"]
    arms = {name: dataclasses.replace(base, mlp=mlp) for name, mlp in zip(NAMES, networks, strict=False)}
    times = {name: np.where(np.arange(16) < 6 + index, 8.0, np.nan) for index, name in enumerate(arms)}
    results = made_results(times, arms=arms, epochs=EPOCHS)
    study = json.loads(results.attrs["study"])
    return results.assign_attrs(study=json.dumps({**study, "data": dict.fromkeys(arms, "gone")}))


CROSSED = [
    vg.MLP(hidden=(5,), activation=activation, kernel_init=kernel_init)
    for activation in ("tanh", "relu")
    for kernel_init in ("he_normal", "glorot_normal", "lecun_normal", "zeros")
]
DEPTHS = [vg.MLP(hidden=(5,) * depth, activation="relu") for depth in (1, 2, 3)]


@pytest.fixture(scope="module")
def texts():
    """The texts of all figures that are saved, but for the ticks of logarithmic axes, which are formulas."""
    texts = []
    save = Figure.savefig

    def savefig(figure, *arguments, **options):
        save(figure, *arguments, **options)
        ticks = {
            tick
            for axes in figure.axes
            for axis in (axes.xaxis, axes.yaxis)
            for tick in axis.get_ticklabels(which="both")
            if axis.get_scale() == "log" and tick.get_text().startswith(r"$\mathdefault")
        }
        texts.extend(text.get_text() for text in figure.findobj(Text) if text not in ticks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield texts


@pytest.fixture(scope="module")
def report(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    return write_report(made_up(CROSSED), folder), folder


def all_drawn(texts, names):
    shown = " ".join(texts).replace(r"\$", "$")
    return all((name[:20] if len(name) > 100 else name.replace("\n", " ")) in shown for name in names)


def test_figures_draw_every_name_as_it_is(report, texts, tmp_path):
    _, folder = report
    assert {"factors", "survival", "overview"} <= {path.stem for path in (folder / "figures").iterdir()}
    assert not [text for text in texts if is_math_text(text)]
    assert all_drawn(texts, NAMES)
    texts.clear()
    write_report(made_up(DEPTHS), tmp_path)
    assert (tmp_path / "figures" / "share_against_depth.svg").exists()
    assert not [text for text in texts if is_math_text(text)]
    assert all_drawn(texts, NAMES[:3])


def test_the_page_and_the_terminal_print_every_name_as_it_is(report, capsys):
    found, folder = report
    page = (folder / "index.html").read_text()
    assert "<b>bold" not in page
    cells = {html.unescape(cell) for cell in re.findall(r'<th scope="row">(.*?)</th>', page, re.DOTALL)}
    assert set(NAMES) <= cells
    show(found, folder, "title", as_json=False)
    shown = capsys.readouterr().out
    assert all(name in shown for name in NAMES if len(name) < 100 and "\n" not in name)


def test_tables_hold_every_name_as_it_is(report):
    _, folder = report
    with (folder / "tables" / "arms.csv").open(newline="") as file:
        assert [row["arm"] for row in csv.DictReader(file)] == list(NAMES)
    summary = json.loads((folder / "tables" / "summary.json").read_text())
    assert [arm["arm"] for arm in summary["arms"]] == list(NAMES)
    latex = (folder / "tables" / "arms.tex").read_text()
    assert r"{\$x\textasciicircum{}\{2\$}" in latex
    assert latex.count(r" \\") == 1 + len(NAMES) == latex.count("\n") - 5


def test_hidden_signs_are_escaped_wherever_people_read_them(capsys):
    shown = " ".join(map(visible, HIDDEN))
    assert shown == r"rtl\u202eabc esc\x1b[31m nul\x00 half\ud800"
    page = rendered(
        "verdict.html",
        title="",
        facts=[],
        question="",
        status=" ".join(HIDDEN),
        share="",
        meaning="",
        sureness=[],
        findings=[],
        figures=[],
        layers=Block(""),
        json="",
        version="",
    )
    assert html.escape(shown) in page
    page.encode()
    terminal(width=200).print(" ".join(HIDDEN))
    assert capsys.readouterr().out == f"{shown}\n"
    assert literal(HIDDEN[0]) == r"rtl\u202eabc"
