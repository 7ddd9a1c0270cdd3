"""The table of statuses: what it holds decides the verdict, the layers and the advice."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from made_records import FLAT, LAYERS, RECORDS, STUCK, record

import vgrad_jax as vg
from vgrad_jax.diagnosis.statuses import FAULTLESS, PRIORITY, STATUSES, TABLE, Spread, rank, spread_of, status_of


def finds(*codes, layer=None):
    """Return a table of one rule that finds these codes, or statuses of a user's own."""

    def find(evidence):
        known = {code: status_of(code) for code in codes if any(code in row.advice for row in TABLE.values())}
        return [vg.Finding(code, known.get(code, (code, ""))[0], layer, 1.0, 0.0, "Found.", "Wait.") for code in codes]

    return {"these": vg.Rule(find, "made up")}


CODE = {status: next(iter(TABLE[status].advice)) for status in PRIORITY}


def test_every_status_has_a_rule_and_every_code_one_status():
    assert set(vg.RULES) == {*PRIORITY, "notes"}
    assert sorted(STATUSES) == sorted(TABLE)
    codes = [code for row in TABLE.values() for code in row.advice]
    assert len(codes) == len(set(codes)) >= len(PRIORITY)
    assert all(row.meaning.endswith(".") for row in TABLE.values())


CAUSES = [
    ("ill_posed", "non_finite"),  # What is asked for explains what comes of it.
    ("non_finite", "exploding"),  # Infinite numbers explain every other number.
    ("exploding", "learning_rate_large"),
    ("learning_rate_large", "underflow"),
    ("underflow", "solved"),
    ("solved", "collinear"),
    ("collinear", "dead"),
    ("dead", "saturated"),
    ("saturated", "vanishing"),
    ("vanishing", "learning_rate_small"),
    ("learning_rate_small", "ill_scaled"),
    ("ill_scaled", "too_few_steps"),
    ("too_few_steps", "chance_level"),
    ("chance_level", "unclear"),
    ("unclear", "healthy"),
]


@pytest.mark.parametrize(("cause", "consequence"), CAUSES[:-2])
def test_a_cause_is_the_verdict_before_its_consequence(cause, consequence):
    diagnosis = vg.diagnose(record(FLAT, loss=STUCK), rules=finds(CODE[consequence], CODE[cause]))
    assert diagnosis.status == cause
    assert [finding.status for finding in diagnosis.findings] == [cause, consequence]


def test_the_order_of_the_table():
    assert all(rank(cause) < rank(consequence) for cause, consequence in CAUSES)
    assert ("healthy", *PRIORITY, "unclear") == STATUSES


def test_statuses_of_ones_own_go_first_and_in_the_order_of_the_alphabet():
    diagnosis = vg.diagnose(record(FLAT, loss=STUCK), rules=finds("zigzag", CODE["non_finite"], "slow"))
    assert diagnosis.status == "slow"
    assert rank("slow") < min(map(rank, STATUSES)) == 0


@pytest.mark.parametrize(("first", "second"), [("vanishing", "solved"), ("unclear", "healthy"), ("dead", "unclear")])
def test_of_two_statuses_with_as_many_seeds_the_worse_one_is_the_verdict(first, second):
    worse = min((first, second), key=[*PRIORITY, "unclear", "healthy"].index)

    def find(evidence):
        status = first if evidence.first_profile[0] < -2 else second
        if status in ("healthy", "unclear"):
            return []
        return [vg.Finding(CODE[status], status, None, 1.0, 0.0, "Found.", "Wait.")]

    losses = {"healthy": np.linspace(0.7, 0.3, RECORDS)}
    seeds = [record(FLAT + shift, loss=losses.get(s, STUCK)) for shift, s in ((-0.5, first), (0.5, second))]
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *seeds)
    diagnosis = vg.diagnose(stacked, rules={"these": vg.Rule(find, "made up")})
    assert diagnosis.seeds == {first: 1, second: 1}
    assert diagnosis.status == worse


def test_statuses_of_ones_own_with_as_many_seeds_are_in_the_order_of_the_alphabet():
    def find(evidence):
        status = "zigzag" if evidence.first_profile[0] < -2 else "slow"
        return [vg.Finding("found", status, None, 1.0, 0.0, "Found.", "Wait.")]

    seeds = [record(FLAT + shift, loss=STUCK) for shift in (-0.5, 0.5)]
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *seeds)
    diagnosis = vg.diagnose(stacked, rules={"these": vg.Rule(find, "made up")})
    assert list(diagnosis.seeds) == ["slow", "zigzag"]
    assert diagnosis.status == "slow"


@pytest.mark.parametrize("status", ["healthy", "unclear"])
def test_a_fault_goes_before_a_finding_of_ones_own_that_names_none(status):
    def find(evidence):
        own = vg.Finding("fine", status, None, 1.0, 0.0, "Fine.", "Wait.")
        return [own, vg.Finding("found", "vanishing", None, 1.0, 0.0, "Found.", "Wait.")]

    assert vg.diagnose(record(FLAT, loss=STUCK), rules={"these": vg.Rule(find, "made up")}).status == "vanishing"


# Layer 0 is zero, layers 1 and 2 are more than three decades below the largest, layer 3 is just not.
PROFILE = np.array([-np.inf, -6.0, -5.1, -4.9, -2.0, -2.0])
EXPECTED = {
    Spread.ALL: ["own"] * 6,
    Spread.ACTIVE: ["dead", "own", "own", "own", "own", "own"],
    Spread.ATTENUATED: ["dead", "own", "own", "healthy", "own", "healthy"],
    Spread.ZERO: ["dead", "healthy", "healthy", "healthy", "healthy", "healthy"],
}


@pytest.mark.parametrize("status", PRIORITY)
def test_the_layers_that_take_a_status(status):
    rules = finds(CODE[status], layer="layer_4")
    layers = vg.diagnose(record(PROFILE, loss=STUCK), rules=rules).layers
    assert [layer.status for layer in layers] == [
        status if expected == "own" else expected for expected in EXPECTED[TABLE[status].spread]
    ]
    assert [layer.relative_log10 for layer in layers] == pytest.approx(PROFILE + 2)


def test_a_layer_that_is_not_finite_says_so_whatever_the_verdict():
    broken = np.where(np.arange(LAYERS) == 2, np.nan, FLAT)
    for code in (CODE["solved"], "slow"):
        layers = vg.diagnose(record(broken, loss=STUCK), rules=finds(code)).layers
        assert layers[2].status == "non_finite"
        assert layers[1].status != "non_finite"


def test_statuses_that_name_no_fault():
    assert set(FAULTLESS) == {"solved", "unclear", "healthy"}


SPREADS = {
    Spread.ALL: ("learning_rate_large", "learning_rate_small", "underflow", "solved", "unclear", "healthy"),
    Spread.ACTIVE: ("non_finite", "exploding", "of_my_own"),
    Spread.ATTENUATED: ("saturated", "vanishing"),
    Spread.ZERO: ("dead",),
}


def test_the_spread_of_each_status():
    for spread, statuses in SPREADS.items():
        assert {spread_of(status) for status in statuses} == {spread}


def test_half_of_the_seeds_do_not_make_a_layer_broken():
    sound, broken = record(FLAT, loss=STUCK), record(np.where(np.arange(LAYERS) == 2, np.nan, FLAT), loss=STUCK)
    for seeds, expected in (((sound, broken), "slow"), ((sound, broken, broken), "non_finite")):
        stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *seeds)
        assert vg.diagnose(stacked, rules=finds("slow")).layers[2].status == expected


def test_json_tells_a_layer_of_zeros_from_one_without_a_number():
    made = dataclasses.replace(record(PROFILE, loss=STUCK), updates_log10_rms=None)
    layers = vg.diagnose(made).to_dict()["layers"]
    assert layers[0]["log10_rms"] == "-inf"
    assert layers[0]["update_ratio_log10"] == "nan"
    assert layers[1]["log10_rms"] == -6.0


def test_the_text_of_a_verdict_counts_seeds_where_there_are_several_and_explains_what_is_unclear():
    falling = np.linspace(0.7, 0.3, RECORDS)
    assert str(vg.diagnose(record(FLAT, loss=falling))) == "healthy"
    assert str(vg.diagnose(record(FLAT, loss=falling, seeds=2))) == "healthy  (2 seeds: healthy 2; share 34% to 100%)"
    hardly = np.linspace(0.7, 0.65, RECORDS)
    assert str(vg.diagnose(record(FLAT, loss=hardly))) == f"unclear\n  {TABLE['unclear'].meaning}"


def test_the_attenuation_of_several_seeds_is_their_mean_with_students_interval():
    rng = np.random.default_rng(3)
    slopes = rng.normal(0.4, 0.1, size=7)
    sizes = -3 + slopes[:, None] * np.arange(5)
    stats = vg.gradient_stats([jnp.asarray(10.0 ** sizes[:, layer])[:, None, None] for layer in range(5)], batch_axes=1)
    value, low, high = vg.diagnose(stats).attenuation
    expected = scipy.stats.t.interval(0.95, 6, loc=slopes.mean(), scale=scipy.stats.sem(slopes))
    assert (value, low, high) == pytest.approx((slopes.mean(), *expected), abs=1e-4)
    few = vg.diagnose(jax.tree.map(lambda leaf: leaf[:1], stats)).attenuation
    assert few[0] == pytest.approx(slopes[0], abs=1e-4)


def test_the_closest_verdict_is_the_most_frequent_other():
    diagnosis = vg.diagnose(vg.gradient_stats([jnp.ones((2, 2))]))
    shares = {"healthy": 0.5, "unclear": 0.1, "chance_level": 0.4}
    assert dataclasses.replace(diagnosis, under_noise=shares).closest == "chance_level"
    assert dataclasses.replace(diagnosis, under_noise={"healthy": 1.0}).closest is None
