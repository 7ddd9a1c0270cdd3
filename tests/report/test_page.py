"""The page, as a file and in a browser."""

import html
import re
import shutil

import numpy as np
import pytest

from tests.made import EPOCHS, made_results
from vgrad_jax.report import Report, write_report

CELLS = ("tanh_uniform", "relu_he", "tanh_he", "relu_uniform")
SEEDS = 12
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def results():
    times = {arm: np.where(np.arange(SEEDS) < k, 40.0, np.nan) for arm, k in zip(CELLS, (0, 9, 12, 1), strict=True)}
    return made_results(times)


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "new" / "folder"
    write_report(results, folder)
    return folder


@pytest.fixture
def no_figures(monkeypatch):
    """Draw no figure where a test reads the words or the chart: `folder` has them all."""
    monkeypatch.setattr(Report, "charts", lambda report: iter(()))


def test_the_page_stands_alone(folder, results):
    page = (folder / "index.html").read_text()
    assert len(page) < 5_000_000
    written = {path.name for path in (folder / "tables").iterdir()}
    assert written >= {
        "arms.csv",
        "pairs.csv",
        "effects.csv",
        "geometry.csv",
        "predictors.csv",
        "arms.tex",
        "summary.json",
    }
    linked = re.findall(r"""(?:src|href)=["']((?!data:|#)[^"']*)""", page)
    assert set(linked) == {f"tables/{name}" for name in written}
    report = Report(results)
    numbers = report.numbers()
    for text in (*report.lines, *numbers["predictor_sentences"], *numbers["article_sentences"]):
        assert text.replace("'", "&#39;").replace("<", "&lt;") in page
    command = re.search(r"<pre>(vgrad sweep[^<]*)</pre>", page).group(1)
    assert f"--seeds {SEEDS} --epochs {EPOCHS}" in command
    assert all(f"--arm {arm}" in command for arm in CELLS)
    figures = len(list((folder / "figures").iterdir()))
    assert page.count("<figure") == page.count("alt=") == figures >= 11
    captions = list(map(html.unescape, re.findall("<figcaption>(.*?)</figcaption>", page)))
    alts = list(map(html.unescape, re.findall('alt="(.*?)"', page)))
    assert len({*alts, *captions}) == 2 * figures
    assert all(re.match(r"[\w, ]+: ", alt) for alt in alts)


def test_an_unfinished_study_says_so(results, no_figures, tmp_path):
    partial = results.copy(deep=True)
    partial["completed"][:, 4:] = False
    write_report(partial, tmp_path)
    assert "32 of 48 runs are still missing" in (tmp_path / "index.html").read_text()


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("no Chromium here")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def opened(browser, folder, **options):
    page = browser.new_context(offline=True, **options).new_page()
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((folder / "index.html").as_uri())
    return page, problems


def test_in_a_browser_the_chart_answers_the_controls(browser, folder):
    page, problems = opened(browser, folder)
    assert page.locator("#explorer").is_visible()
    readout = page.locator("#readout")
    assert f"Epoch {EPOCHS}, gradient of layer 0. tanh_uniform (solid, n = {SEEDS}): median -" in readout.inner_text()
    page.select_option("#arm", label="tanh_he")
    page.select_option("#series", label="train accuracy")
    page.select_option("#other", label="nothing")
    assert "tanh_he (solid" in readout.inner_text()
    assert "relu_he" not in readout.inner_text()
    assert "median 0.8" in readout.inner_text()
    page.focus("#chart")
    page.keyboard.press("Home")
    assert readout.inner_text().startswith("Epoch 0,")
    page.keyboard.press("ArrowRight")
    assert not readout.inner_text().startswith("Epoch 0,")
    page.hover("#chart", position={"x": 300, "y": 60})
    pointed = int(re.match(r"Epoch (\d+)", readout.inner_text()).group(1))
    assert 0 < pointed < EPOCHS
    drawn = page.locator("#chart path.median0").get_attribute("d")
    assert drawn.startswith("M")
    assert "NaN" not in drawn
    assert problems == []


def test_a_gradient_of_zero_is_said_not_drawn(browser, results, no_figures, tmp_path):
    made = results.copy(deep=True)
    made["gradient_log10_rms"].loc[{"arm": "tanh_uniform", "layer": 0}] = -np.inf
    write_report(made, tmp_path)
    page, problems = opened(browser, tmp_path)
    assert "tanh_uniform (solid, n = 12): median exactly zero" in page.locator("#readout").inner_text()
    assert page.locator("#chart path.median0").get_attribute("d") == ""
    assert problems == []


def test_a_band_with_seeds_at_zero_goes_down_to_the_floor(browser, results, no_figures, tmp_path):
    made = results.copy(deep=True)
    made["gradient_log10_rms"].loc[{"arm": "tanh_uniform", "layer": 0, "seed": [0, 1, 2]}] = -np.inf
    write_report(made, tmp_path)
    page, problems = opened(browser, tmp_path)
    assert "central 80 % exactly zero to" in page.locator("#readout").inner_text()
    box = "element => [element.getBBox().y, element.getBBox().y + element.getBBox().height]"
    _, lower_end = page.locator("#chart path.band0").evaluate(box)
    lowest_line = max(float(line.get_attribute("y1")) for line in page.locator("#chart line.grid").all())
    assert lower_end == pytest.approx(lowest_line, abs=0.2)
    assert problems == []


def test_without_javascript_everything_but_the_chart_is_there(browser, folder, results):
    page, _ = opened(browser, folder, java_script_enabled=False)
    assert not page.locator("#explorer").is_visible()
    assert page.locator(".answer").inner_text() == Report(results).answer
    figures = len(list((folder / "figures").iterdir()))
    assert page.locator("figure img").count() == figures
    assert all(page.locator("figure img").nth(k).evaluate("i => i.naturalWidth > 0") for k in range(figures))
    assert page.locator("table").count() >= 3


def test_tables_sort_by_a_click_and_links_lead_to_headings(browser, folder):
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    column = "[...document.querySelector('.scroll tbody').rows].map(row => row.cells[{}].textContent.trim())"
    names = page.evaluate(column.format(0))
    button = page.locator(".scroll thead").first.locator("button").nth(2)  # The share that converges.
    for order, descending in (("ascending", False), ("descending", True)):
        button.click()
        shares = [float(text.split("%")[0]) for text in page.evaluate(column.format(2))]
        assert shares == sorted(shares, reverse=descending)
        assert page.locator(".scroll thead th").nth(2).get_attribute("aria-sort") == order
    page.locator(".scroll thead").first.locator("button").first.click()
    assert page.evaluate(column.format(0)) == sorted(names)
    anchors = page.evaluate("[...document.querySelectorAll('nav a')].map(link => link.getAttribute('href').slice(1))")
    assert len(anchors) > 5
    assert page.evaluate("anchors => anchors.every(anchor => document.getElementById(anchor))", anchors)
    page.close()


def test_on_paper_nothing_is_folded(browser, folder):
    for javascript in (False, True):
        page, _ = opened(browser, folder, java_script_enabled=javascript)
        last = page.locator("details pre").last
        assert not last.is_visible()
        page.emulate_media(media="print")
        assert last.is_visible()
        assert last.bounding_box()["height"] > 50
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser, folder, scheme):
    page, problems = opened(browser, folder, viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert problems == []


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(browser, folder):
    page, _ = opened(browser, folder)
    for name in ("arm", "beside it", "what"):
        assert page.get_by_label(name, exact=True).count() == 1
    page.locator("#arm").focus()
    reached = []
    for _ in range(4):
        reached.append(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    assert reached == ["arm", "other", "series", "chart"]
