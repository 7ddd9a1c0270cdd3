"""A section reaches every form of a report, is computed once, and knows no other; packages export what they define."""

import csv
import importlib
import io
import json
import pkgutil
import types

import numpy as np
import pytest

import vgrad_jax.report
import vgrad_jax.statistics
from tests.made import made_results
from vgrad_jax.diagnosis import diagnose
from vgrad_jax.gradients import gradient_stats
from vgrad_jax.report import SECTIONS, Block, Report, Section, live, theory, write_report
from vgrad_jax.report.explorer import explorer_data
from vgrad_jax.report.exports import table_files
from vgrad_jax.report.schema import FORMAT
from vgrad_jax.report.sections import ANSWERS, NAMES
from vgrad_jax.statistics import Estimate
from vgrad_jax.theory.comparison import Comparison, MeanFieldOf
from vgrad_jax.theory.jacobians import JacobianSpectrum
from vgrad_jax.theory.prediction import Prediction
from vgrad_jax.theory.seed_law import SeedLaw

EPOCHS = 20


@pytest.fixture(scope="module")
def results():
    return made_results({"tanh_he": np.full(4, 9.0)}, epochs=EPOCHS)


def test_sections_have_the_names_of_their_modules_and_a_form_each():
    assert [section.name for section in SECTIONS] == list(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    assert set(ANSWERS) == {section.name for section in SECTIONS if section.answer is not None}
    for section in SECTIONS:
        forms = (section.sentences, section.remarks, section.block, section.charts, section.numbers)
        assert any(form is not None for form in forms), section.name


def test_a_section_reaches_every_form_and_is_computed_once(results):
    computed = []

    def compute(study):
        computed.append(study)
        return Estimate(0.5, -np.inf, np.nan, 4)

    section = Section(
        "own",
        compute,
        sentences=lambda value: [f"A sentence of {value.n}."],
        remarks=lambda value: ["A remark."],
        block=lambda value: Block("Heading", items=["An item."]),
        tables=lambda value: {"own": [{"arm": "a", "share": value}], "empty": []},
        texts=lambda value: {"own.txt": "text"},
        numbers=lambda value: {"own": value},
    )
    report = Report(results, (section,))
    assert not computed
    assert report.lines == ["", "A sentence of 4.", "An item.", "A remark."]
    assert report.numbers() == {
        "format": FORMAT,
        "answer": "",
        "sentences": ["A sentence of 4."],
        "remarks": ["A remark."],
        "own": {"value": 0.5, "low": "-inf", "high": "nan", "n": 4},
    }
    files = table_files(report)
    assert set(files) == {"own.csv", "own.txt", "summary.json"}
    (row,) = csv.DictReader(io.StringIO(files["own.csv"].decode(), newline=""))
    assert row == {"arm": "a", "share": "0.5", "share_low": "-inf", "share_high": "nan", "share_n": "4"}
    assert [block.heading for block in report.blocks] == ["Heading"]
    assert len(computed) == 1


@pytest.mark.parametrize(
    ("form", "first", "second", "kind"),
    [
        ("tables", {"own": [1]}, {"own": []}, "table"),
        ("texts", {"own": "a"}, {"own": "b"}, "file"),
        ("numbers", {"own": 1}, {"own": 1}, "entry"),
        ("numbers", {"more": 1}, {"answer": 1}, "entry"),
    ],
)
def test_two_sections_with_the_same_name_for_a_result_are_an_error(results, form, first, second, kind):
    made = (first, second)
    sections = [Section(str(n), lambda study, n=n: n, **{form: made.__getitem__}) for n in range(2)]
    read = {"tables": lambda report: report.tables, "texts": lambda report: report.texts, "numbers": Report.numbers}
    with pytest.raises(vgrad_jax.InputError, match=f"every {kind} of a report has a name of its own"):
        read[form](Report(results, sections))


def test_two_sections_with_the_same_name_and_two_files_with_the_same_name_are_an_error(results):
    table = Section("a", lambda study: 0, tables=lambda value: {"own": [{"x": 1}]})
    text = Section("b", lambda study: 0, texts=lambda value: {"own.csv": "x"})
    with pytest.raises(vgrad_jax.InputError, match=r"two have the name 'own\.csv'"):
        table_files(Report(results, (table, text)))
    with pytest.raises(vgrad_jax.InputError, match="every section of a report has a name of its own"):
        Report(results, (table, table))


def test_two_figures_with_the_same_name_are_an_error(results, monkeypatch, tmp_path):
    charts = list(Report(results).charts("arms"))[:1] * 2
    monkeypatch.setattr(Report, "charts", lambda report: iter(charts))
    with pytest.raises(vgrad_jax.InputError, match="every figure of a report has a name of its own"):
        write_report(results, tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_items_after_the_remarks_are_the_last_lines(results):
    blocks = [Block("", items=["first"]), Block("", items=["last"], after_remarks=True)]
    sections = [Section(str(index), lambda study: 0, block=lambda _, b=block: b) for index, block in enumerate(blocks)]
    remark = Section("remark", lambda study: 0, remarks=lambda value: ["remark"])
    assert Report(results, (*sections, remark)).lines == ["", "first", "remark", "last"]


def test_a_question_that_does_not_arise_has_no_form(results):
    section = Section("none", lambda study: None, sentences=lambda value: ["never"], numbers=lambda value: {"a": 1})
    assert Report(results, (section,)).numbers() == {"format": FORMAT, "answer": "", "sentences": [], "remarks": []}


def test_sentences_do_not_wait_for_figures(results, monkeypatch):
    monkeypatch.setattr("vgrad_jax.report.study.predictions", lambda results: pytest.fail("a figure was computed"))
    assert Report(results, [section for section in SECTIONS if section.name != "predictors"]).lines


@pytest.mark.parametrize("package", [vgrad_jax.statistics, vgrad_jax.report, vgrad_jax.report.figures])
def test_a_module_never_has_the_name_of_an_exported_function(package):
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    assert len(names) > 5
    for name in names:
        importlib.import_module(f"{package.__name__}.{name}")
        assert isinstance(getattr(package, name), types.ModuleType), name


def test_packages_export_what_users_call():
    assert all(callable(getattr(vgrad_jax.statistics, name)) for name in ("predictors", "crossed", "outcomes", "share"))
    assert all(callable(getattr(vgrad_jax.report, name)) for name in ("write_report", "Report", "predictor_sentences"))


def test_minus_infinity_is_the_same_text_everywhere(results):
    made = results.copy(deep=True)
    made["gradient_log10_rms"].loc[{"layer": 0}] = -np.inf
    sizes = np.full((2, 1), -np.inf)
    none = "does not apply"
    comparison = Comparison(
        sizes,
        Prediction(sizes[0], "", ()),
        MeanFieldOf(None, np.nan, np.nan, none),
        SeedLaw(None, None, np.nan, none),
        JacobianSpectrum(None, None, none),
    )
    run = live.LiveRun()
    run.epoch = [0]
    record = dict.fromkeys(("train_accuracy", "test_accuracy", "train_loss", "test_loss"), -np.inf)
    run.records = [types.SimpleNamespace(**record, gradient_log10_rms=np.array([-np.inf, -1.0]))]
    run.__class__ = type("Ended", (live.LiveRun,), {"outcome": "diverged"})
    told = {
        "report": Report(made).numbers()["arms"][0]["initial_gradient_log10_rms"][0],
        "explorer": explorer_data(made)["arms"][0]["series"][0]["values"][0][0],
        "theory": theory.as_dict(comparison)["measured_log10_rms"][0],
        "live": live.as_dict(run)["gradient_log10_rms"][0][0],
        "diagnosis": diagnose(gradient_stats([np.zeros((2, 2)), np.ones((2, 2))])).to_dict()["layers"][0]["log10_rms"],
    }
    assert told == dict.fromkeys(told, "-inf")
    assert json.loads(json.dumps(told, allow_nan=False)) == told
