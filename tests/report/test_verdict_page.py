"""The page of a verdict on one record."""

import json
import re
from html import unescape

import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import vgrad_jax as vg
from vgrad_jax.cli import app
from vgrad_jax.report.files import OWN_PAGE, write_page
from vgrad_jax.report.verdict_page import write_verdict

STEPS = 40


def record_of(layers, loss=None, seeds=1, broken=-1):
    """Make a record whose layers have these log10 sizes at every step, with updates."""
    sizes = np.broadcast_to(np.asarray(layers, np.float32), (seeds, STEPS, len(layers))).copy()
    course = np.linspace(1.0, 0.2, STEPS) if loss is None else np.asarray(loss, float)
    return vg.Record(
        paths=tuple(f"layer_{index}" for index in range(len(layers))),
        step=np.broadcast_to(10 * np.arange(STEPS), (seeds, STEPS)),
        log10_rms=sizes,
        log10_max=sizes,
        zero_fraction=np.isneginf(sizes).astype(np.float32),
        nonfinite_fraction=np.zeros_like(sizes),
        loss=np.broadcast_to(course, (seeds, STEPS)),
        params_log10_rms=np.zeros_like(sizes) + 1e-3 * np.arange(STEPS)[:, None],
        updates_log10_rms=np.full_like(sizes, -3.0),
        mean_log10_rms=sizes[:, 0],
        std_log10_rms=np.zeros_like(sizes[:, 0]),
        counts=(16,) * len(layers),
        has_matrix=(True,) * len(layers),
        dtypes=("float32",) * len(layers),
        first_broken_step=np.full(seeds, broken),
    )


@pytest.mark.parametrize(
    "record",
    [
        record_of([-3.0, -2.5, -2.0, -1.5]),
        record_of([-9.0, -7.0, -5.0, -3.0], loss=np.ones(STEPS), seeds=3),
        record_of([-np.inf, -np.inf, -3.0], loss=np.ones(STEPS)),
        record_of([-2.0], loss=np.full(STEPS, np.nan)),
        record_of([-2.0, -2.0], broken=7),
    ],
    ids=["healthy", "vanishing, three seeds", "dead", "one layer without a loss", "broken once"],
)
def test_the_page_says_what_the_verdict_says_and_stands_alone(record, tmp_path):
    diagnosis = vg.diagnose(record)
    write_verdict(record, diagnosis, tmp_path / "new" / "page.html", baseline=0.9)
    page = (tmp_path / "new" / "page.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    text = unescape(page)
    assert f"<strong>{diagnosis.status}</strong>" in page
    assert OWN_PAGE in page.encode()
    for finding in diagnosis.findings:
        assert finding.sentence in text
        assert finding.advice in text
    for layer in diagnosis.layers:
        assert f'<th scope="row">{layer.path}</th><td>{layer.status}</td>' in page
    shown = json.loads(unescape(re.search("<pre>(.*?)</pre>", page, re.DOTALL).group(1)))
    assert shown == diagnosis.to_dict()
    assert page.count("<figure") == page.count('class="wide" role="img" aria-label=') >= 2


def test_names_are_escaped_and_drawn(tmp_path):
    gradient = {"<b>$x^{": {"kernel": jnp.ones((3, 3))}, "b & c": {"kernel": jnp.ones((3, 3))}}
    optimizer = vg.record(1, 8, "my <i>$\\frac$")
    state = optimizer.init(gradient)
    for _ in range(3):
        _, state = optimizer.update(gradient, state, value=1.0)
    record = vg.get_record(state)
    write_verdict(record, vg.diagnose(record), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<b>$x" not in page
    assert "&lt;b&gt;$x^{" in page


def test_only_an_own_page_is_replaced(tmp_path):
    path = tmp_path / "page.html"
    for content in (b"1", b"2"):
        write_page(path, OWN_PAGE + content)
    assert path.read_bytes() == OWN_PAGE + b"2"
    foreign = tmp_path / "mine.html"
    foreign.write_text("mine")
    with pytest.raises(vg.InputError, match="is not a page of vgrad_jax"):
        write_page(foreign, OWN_PAGE)
    link = tmp_path / "link.html"
    link.symlink_to(path)
    with pytest.raises(vg.InputError, match="symbolic link"):
        write_page(link, OWN_PAGE)
    with pytest.raises(vg.InputError, match="cannot write the page"):
        write_page(foreign / "page.html", OWN_PAGE)
    assert foreign.read_text() == "mine"


def test_the_command_writes_the_page_and_takes_chance(tmp_path):
    file, page = tmp_path / "record.npz", tmp_path / "page.html"
    record_of([-2.5, -2.0, -2.0], loss=0.69 + 1.3 * np.exp(-np.arange(STEPS))).save(file)
    result = CliRunner().invoke(app, ["diagnose", str(file), "--baseline", "0.693", "--out", str(page)])
    assert result.exit_code == 0, result.output
    assert "<strong>chance_level</strong>" in page.read_text()
    assert result.output.startswith("chance_level")
    assert str(page) in result.output


def test_the_command_without_a_record_says_what_is_missing():
    result = CliRunner().invoke(app, ["diagnose"])
    assert result.exit_code == 2
    assert "no record was named" in result.output
