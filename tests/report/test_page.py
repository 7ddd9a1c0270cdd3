"""The page, as a file and in a browser."""

import html
import re
import shutil

import numpy as np
import pytest

from tests.made import EPOCHS, made_results
from vgrad_jax.report import Report, write_report
from vgrad_jax.report.figures.svg import svg_of, within_page

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
    assert page.count("<figure") == page.count('class="wide" role="img" aria-label=') == figures >= 11
    captions = list(map(html.unescape, re.findall("<figcaption>(.*?)</figcaption>", page)))
    alts = list(map(html.unescape, re.findall('class="wide" role="img" aria-label="(.*?)"', page)))
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


def test_the_chart_shows_a_single_run_a_log_scale_and_a_zoom(browser, folder, results):
    page, problems = opened(browser, folder)
    readout = page.locator("#readout")
    page.select_option("#arm", label="tanh_he")
    page.select_option("#other", label="nothing")
    page.select_option("#series", label="train accuracy")
    page.select_option("#seed", label="seed 3: converged")
    last = float(results["train_accuracy"].sel(arm="tanh_he").isel(seed=3, record=-1))
    assert f"run of seed 3 (dotted) {last:.3f}" in readout.inner_text()
    assert page.locator("#chart path.run0").get_attribute("d").startswith("M")
    heights = "[...document.querySelectorAll('#chart line.grid')].map(line => Number(line.getAttribute('y1')))"
    marks = "[...document.querySelectorAll('#chart text[text-anchor=end]')].map(mark => Number(mark.textContent))"
    values = page.evaluate(marks)
    assert len(values) > 2
    np.testing.assert_allclose(np.diff(values), np.diff(values)[0], rtol=1e-6)
    page.check("#log")
    assert page.evaluate(marks) == [0.1, 1]
    assert len(page.evaluate(heights)) == 2
    page.select_option("#series", label="gradient of layer 0")
    assert page.locator("#log").is_disabled()  # A logarithm of logarithms below zero.
    box = page.locator("#chart").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 100)
    page.mouse.up()
    ends = "[...document.querySelectorAll('#chart text[text-anchor=middle]')].map(mark => Number(mark.textContent))"
    shown = [mark for mark in page.evaluate(ends) if mark == mark]
    assert EPOCHS * 0.2 < min(shown) < max(shown) < EPOCHS * 0.7
    page.click("#whole")
    assert EPOCHS in page.evaluate(ends)
    assert problems == []


def test_on_a_phone_the_letters_of_the_chart_are_as_large(browser, folder):
    page, _ = opened(browser, folder, viewport={"width": 390, "height": 800})
    chart = "document.getElementById('chart')"
    assert page.evaluate(f"{chart}.viewBox.baseVal.width / {chart}.clientWidth") == pytest.approx(1, abs=0.02)


def test_the_page_has_a_title_the_data_and_a_date(results, no_figures, tmp_path):
    write_report(results, tmp_path, title="Which <b>one</b>?")
    page = (tmp_path / "index.html").read_text()
    assert "<h1>Which &lt;b&gt;one&lt;/b&gt;?</h1>" in page
    facts = re.search(r'<h1>.*?</h1>\s*<p class="quiet">(.*?)</p>', page, re.DOTALL).group(1)
    assert re.fullmatch(rf"4 networks, {SEEDS} seeds each · data: circles · \d+ [A-Z][a-z]+ 20\d\d", facts)
    write_report(results, tmp_path)  # The title is kept beside the page.
    assert "<h1>Which &lt;b&gt;one&lt;/b&gt;?</h1>" in (tmp_path / "index.html").read_text()


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
    assert page.locator("figure svg.wide:visible").count() == page.locator("figure svg.wide").count() == figures
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


def test_figures_are_drawn_for_the_width_and_in_the_colours_of_the_page(browser, folder):
    seen = {}
    for width, kind, other in ((1100, "wide", "narrow"), (390, "narrow", "wide")):
        for scheme in ("light", "dark"):
            page, problems = opened(browser, folder, viewport={"width": width, "height": 800}, color_scheme=scheme)
            assert page.locator(f"figure svg.{kind}:visible").count() == 11
            assert page.locator(f"figure svg.{other}:visible").count() == 0
            texts = page.locator(f"figure svg.{kind} text")
            style = texts.first.evaluate("one => getComputedStyle(one).fill")
            seen[kind, scheme] = style, page.evaluate("getComputedStyle(document.body).color")
            scales = page.evaluate(
                f"[...document.querySelectorAll('figure svg.{kind}')].map(one => "
                "one.getBoundingClientRect().width / one.viewBox.baseVal.width * 0.75)"
            )
            # Letters are as large as they were drawn, to a tenth.
            assert min(scales) > 0.9
            assert problems == []
    for fill, text in seen.values():
        assert fill == text
    assert seen["wide", "light"] != seen["wide", "dark"]


def test_names_in_a_figure_are_unique_and_cannot_leave_it(folder):
    page = (folder / "index.html").read_text()
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]*)\)", page)) | set(re.findall(r'<use[^>]*href="#([^"]*)"', page))
    assert used <= set(ids)
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0.5, 0.5, '</svg><script>alert("1")</script>')
    drawing = within_page(svg_of(figure, "bad"), 'a "quoted" <alt>', "wide").svg
    assert "<script" not in drawing
    assert 'aria-label="a &quot;quoted&quot; &lt;alt&gt;"' in drawing
    assert svg_of(figure, "bad") == svg_of(figure, "bad")


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(browser, folder):
    page, _ = opened(browser, folder)
    for name in ("arm", "beside it", "what", "a single run", "log scale"):
        assert page.get_by_label(name, exact=True).count() == 1
    page.locator("#arm").focus()
    reached = []
    for _ in range(5):  # A scale of logarithms has no logarithm: its box is off.
        reached.append(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    assert reached == ["arm", "other", "series", "seed", "chart"]
