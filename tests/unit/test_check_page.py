"""Everything that the final check found reaches people: every number with its part, nothing as markup, no NaN drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from check_builders import GAP, NAN, make_full_check, make_full_regression_check, without_numbers
from raysweep.records.final_check import FinalCheck, Outcome
from raysweep.records.model_facts import Bin, Calibration, LearningCurve, Promotion, SeedSpread, Slice
from raysweep.report.calibration_drawings import draw_calibration, draw_threshold
from raysweep.report.check_drawings import draw_gap, draw_learning_curve, draw_seeds, draw_slices
from raysweep.report.check_page import check_section
from raysweep.report.check_wording import fits_line, gap_lines, is_weak, opening_line, production_line, slice_line
from raysweep.report.drawings import draw_scores
from raysweep.report.html_report import html_report
from raysweep.report.markup import text
from raysweep.report.model_card import model_card, plain
from raysweep.report.notebook import verdict_html
from raysweep.report.wording import interval_name, level_text, score_line
from record_builders import HOSTILE, make_final_check, make_view

CHECKS = {
    "full": make_full_check(),
    "regression": make_full_regression_check(),
    "lost": without_numbers(make_full_check()),
    "lost regression": without_numbers(make_full_regression_check()),
    "old": make_final_check(),
}
EVERY = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
BOTH = pytest.mark.parametrize("build", [html_report, model_card])
SHOWN_EVERYWHERE = (
    *("roc_auc 0.8107 [0.7921, 0.8288] on validation", "2,000 rows; 97.5 % bootstrap interval, groups resampled"),
    *("dummy 0.5 on validation, gain 0.3107 [0.2921, 0.3288]", "default 0.8011 on validation"),
    *("0.4513 [0.4322, 0.4718]", "0.1471 [0.1398, 0.1546]"),
    *("0.8231 on testing, 0.8104 on validation, 0.013 worse", "standard error 0.0071"),
    *("0.8912 on training, 0.068 worse (standard error 0.0052) on testing", "the best of 37 candidates", "0.0043"),
    *("random_forest", "0.8042 [0.7851, 0.8229]", "not measured"),
    *("0.0371 over 15 bins", "0.76 [0.69, 0.83]", "-0.12 [-0.24, 0.01]"),
    *("region = north", "0.688", "1.34 x", "< 0.001", "410", "age > 41.5 and plan in {basic, plus}", "1.27 x", "0.018"),
    *("a probability of 0.34", "best f1 on testing rows (0.62)", "0.6077 on validation, where 0.5 has 0.5712"),
    *("precision 53.9 %", "recall 69.8 %", "predict_proba"),
    *("extreme values", "✗ failed", "gives NaN for 1e300", "! slow", "48.2 ms", "0.0213 ms", "4.5 MiB"),
    *("3 seeds: standard deviation 0.0026 on validation", "0.8081", "0.8133", "0.8207", "0.8249"),
    *("production: inconclusive: the gain", "s3://models/flights/42: 0.7998 on validation", "[-0.0021, 0.0236]"),
    *("use 2 of these validation rows", "widened to 97.5 %", "flights-20260101-101112-aaaaaa"),
    *("0.0393 of roc_auc on validation is missing to the goal 0.85", "too few rows", "bring twice as many rows"),
    *("0.801 with 3,000 training rows", "0.013 roc_auc", "12,000 rows more", "about 6 minutes more of search"),
    *("No column tells the part", "the one on training+testing rows", "on training rows alone"),
)


class Page(HTMLParser):
    """The text, the tags, and the drawings with the numbers of their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.drawings: list[dict[str, str | None]] = []
        self.places: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag == "svg":
            self.drawings.append(dict(attrs))
        elif tag in {"line", "circle", "polyline", "text"}:
            self.places.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def circles(self, style: str) -> list[tuple[float, float]]:
        return [
            (float(place["cx"] or ""), float(place["cy"] or ""))
            for tag, place in self.places
            if tag == "circle" and place["class"] == style
        ]


def unescaped(document: str) -> str:
    return document.replace("\\", "").replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'")


@BOTH
@pytest.mark.parametrize("said", SHOWN_EVERYWHERE)
def test_report_and_card_show_what_was_found(build: Callable[..., str], said: str) -> None:
    assert said in unescaped(build(make_view(final_check=make_full_check())))


@pytest.mark.parametrize(
    "said", ["Brier score", "1,000 resamples", "5ea1" * 16, "runs/.raysweep/ledger/5ea1.json", "0.8366", "weight 0.81"]
)
def test_the_report_shows_the_rest(said: str) -> None:
    assert said in html_report(make_view(final_check=make_full_check()))


@pytest.mark.parametrize(
    "said",
    [
        *("rmse 12.31 [11.82, 12.86] on validation", "95 % bootstrap interval, rows resampled", "0.84 [0.82, 0.86]"),
        *("5.1 % of the target's standard deviation, over 10 bins", "1.02 [0.99, 1.05]", "less is better", "14.9"),
        "the first use of these validation rows",
    ],
)
def test_a_regression_is_shown_too(said: str) -> None:
    assert said in unescaped(html_report(make_view(final_check=make_full_regression_check())))


def test_what_was_not_looked_at_has_no_heading() -> None:
    page, card = str(check_section(make_final_check())), model_card(make_view())

    for heading in ("Calibration", "Slices", "Threshold", "Behaviour", "Why not", "Finalists", "production"):
        assert heading not in page
        assert f"## {heading}" not in card
    assert "Threshold" not in str(check_section(make_full_regression_check()))


@EVERY
def test_every_drawing_says_what_it_shows_and_has_only_numbers_for_places(check: FinalCheck) -> None:
    page = Page(html_report(make_view(final_check=check)) + verdict_html(check))

    assert all(drawing["aria-label"] for drawing in page.drawings)
    assert all(drawing["role"] == "img" for drawing in page.drawings)
    for tag, place in page.places:
        for name in {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r"} & set(place):
            assert re.fullmatch(r"-?\d+(\.\d+)?", place[name] or ""), (tag, place)
        if tag == "polyline":
            assert re.fullmatch(r"(-?[\d.]+,-?[\d.]+ ?)+", place["points"] or "")
    assert "nan" not in " ".join(page.words).lower().replace("gives nan for 1e300", "")


def test_all_kinds_of_drawings_are_there() -> None:
    labels = [str(one["aria-label"]) for one in Page(str(check_section(make_full_check()))).drawings]

    for part in ("97.5 % bootstrap interval", "training, testing and validation rows", "3 seeds", "reliability"):
        assert any(part in label for label in labels), part
    assert any("f1 on testing rows over the threshold; chosen 0.34" in label for label in labels)
    assert any("expected 0.8366 with twice as many" in label for label in labels)
    assert any("slice by slice" in label for label in labels)
    assert any("bias" in str(one["aria-label"]) for one in Page(check_section(make_full_regression_check())).drawings)


def hostile_check(name: str) -> FinalCheck:
    check = make_full_check()
    assert check.opened is not None
    assert check.production is not None
    assert check.why_not is not None
    assert check.behaviour is not None
    assert check.threshold is not None
    return replace(
        check,
        gates=tuple(replace(one, name=name, reason=name) for one in check.gates),
        comparisons=tuple(replace(one, against=f"{name}{place}") for place, one in enumerate(check.comparisons)),
        slices=tuple(replace(one, name=name, column=one.column and name) for one in check.slices),
        finalists=tuple(replace(one, family=name) for one in check.finalists),
        opened=replace(check.opened, earlier=(name,), ledger=name, digest=name),
        production=replace(check.production, bundle=name, reason=name),
        behaviour=replace(
            check.behaviour, probes=tuple(replace(one, name=name, said=name) for one in check.behaviour.probes)
        ),
        threshold=replace(check.threshold, criterion=name),
        why_not=replace(
            check.why_not,
            shortfall=name,
            looked_at=(name, name),
            causes=tuple(replace(one, evidence=name, advice=name, price=name) for one in check.why_not.causes),
        ),
    )


@pytest.mark.parametrize("build", [check_section, verdict_html])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_of_the_check_becomes_markup(build: Callable[[FinalCheck], str], name: str) -> None:
    usual, found = Page(build(make_full_check())), Page(build(hostile_check(name)))

    assert found.names == usual.names
    assert found.attributes == usual.attributes
    assert text(name) in build(hostile_check(name))


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_of_the_check_becomes_markdown(name: str) -> None:
    card = model_card(make_view(final_check=hostile_check(name)))
    usual = model_card(make_view(final_check=make_full_check()))

    assert "<" not in card
    assert plain(name) in card
    assert card.count("\n") == usual.count("\n")
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        line for line in usual.splitlines() if line.startswith("#")
    ]


@pytest.mark.parametrize(
    ("level", "resampled", "said"),
    [
        (0.95, "rows", "95 % bootstrap interval, rows resampled"),
        (0.975, "groups", "97.5 % bootstrap interval, groups resampled"),
        (1 - 0.05 / 3, "rows", "98.33 % bootstrap interval, rows resampled"),
    ],
)
def test_an_interval_says_its_level_and_what_was_resampled(level: float, resampled: str, said: str) -> None:
    check = make_full_check(level=level, resampled=resampled)

    assert interval_name(check) == said
    for shown in (score_line(check), html_report(make_view(final_check=check)), verdict_html(check)):
        assert said in shown
        assert level_text(level) == "95 %" or "95 % bootstrap" not in shown


def test_which_fit_was_checked_and_which_ships() -> None:
    assert "the one on training+testing rows" in fits_line(make_full_check())
    assert "the gap, the seeds and the choice of a threshold are of the fit" in fits_line(make_full_check())
    assert "the gap and the seeds are of the fit" in fits_line(make_full_regression_check())
    assert "the gap is of the fit with the same params on training rows alone" in fits_line(make_final_check())
    assert "both of it" in fits_line(make_full_check(fitted_on="training"))


def test_the_gates_that_failed_come_first() -> None:
    page = str(check_section(make_full_check()))
    places = [page.index(f">{mark}<") for mark in ("✗ failed", "? inconclusive", "! warning", "✓ passed")]

    assert places == sorted(places)


@pytest.mark.parametrize(
    ("promotion", "said"),
    [
        (Promotion.PROMOTE, "production: promote this model: why"),
        (Promotion.KEEP, "production: keep the model in production: why"),
        (Promotion.INCONCLUSIVE, "production: inconclusive: why"),
    ],
)
def test_what_is_said_of_the_model_in_production(promotion: Promotion, said: str) -> None:
    production = make_full_check().production
    assert production is not None

    assert production_line(replace(production, promotion=promotion, reason="why")).startswith(said)
    assert production_line(replace(production, promotion=promotion, reason="why", score=None)) == said


def test_why_to_promote_is_told_once() -> None:
    check = make_full_check()
    production = check.production
    assert production is not None
    gates = (replace(check.gates[0], reason=f"gain 0.1 on validation: {production.reason}"),)

    assert production.reason not in production_line(production, gates)
    assert production.reason in production_line(production)
    unfit = replace(production, reason=f"{production.reason}, but it is not adequate")
    assert "but it is not adequate" in production_line(unfit, gates)
    for build in (model_card, html_report):
        assert unescaped(build(make_view(final_check=replace(check, gates=gates)))).count(production.reason) == 1


def test_one_score_has_the_same_digits_everywhere() -> None:
    calibration = make_full_check().calibration
    assert calibration is not None
    gap = replace(GAP, testing=0.63341234, validation=0.68183149, training=0.91114321)
    seeds = SeedSpread((0.63341234, 0.6), (0.68183149, 0.7))
    check = make_full_check(gap=gap, seeds=seeds, calibration=replace(calibration, log_loss=0.49120412))

    for build in (model_card, html_report):
        shown = unescaped(build(make_view(final_check=check)))
        assert {*re.findall(r"0\.(?:6334|6818|9111|4912)\d*", shown)} == {"0.6334", "0.6818", "0.9111", "0.4912"}


def test_the_opening_is_said() -> None:
    opened = make_full_check().opened
    assert opened is not None
    first = replace(opened, use=1, earlier=(), level=0.95)

    assert "widened to 97.5 %" in opening_line(opened)
    assert opening_line(first) == "the first use of these validation rows"
    assert "no new use: still the first use of" in opening_line(replace(first, is_repeat=True))
    page = str(check_section(make_full_check()))
    assert page.count(opening_line(opened)) == 2, "a second use is said up front too"
    assert str(check_section(make_full_check(opened=first))).count(opening_line(first)) == 1


SLICE = Slice("a", "a", 100, 0.8, 0.5, 0.9, 1.0, 0.7)


@pytest.mark.parametrize(
    ("changes", "metric", "weak"),
    [
        ({}, "roc_auc", False),
        ({"loss_ratio": 1.3, "p_value": 0.01}, "roc_auc", True),
        ({"loss_ratio": 1.19, "p_value": 0.001}, "roc_auc", False),
        ({"loss_ratio": 1.3, "p_value": 0.2}, "roc_auc", False),
        ({"score": 0.49, "floor": None, "column": None}, "roc_auc", False),
        ({"loss_ratio": 1.3, "p_value": 0.01, "judged": False}, "roc_auc", False),
        ({"loss_ratio": 0.7, "p_value": 0.01}, "roc_auc", False),
        ({"floor": 0.81}, "roc_auc", True),
        ({"score": 0.49, "floor": None}, "roc_auc", True),
        ({"score": None}, "roc_auc", False),
        ({"score": None, "loss_ratio": NAN, "p_value": NAN}, "roc_auc", False),
        ({"score": 3.0, "dummy_score": 4.0, "floor": 3.5}, "rmse", False),
        ({"score": 3.6, "dummy_score": 4.0, "floor": 3.5}, "rmse", True),
    ],
)
def test_which_slices_are_weak(changes: dict[str, object], metric: str, *, weak: bool) -> None:
    one = replace(SLICE, **changes)  # type: ignore[arg-type]
    check = make_full_check(metric=metric, slices=(one,))

    assert is_weak(one, metric) == weak
    assert (len(Page(draw_slices((one,), check)).circles("bad")) == 1) == (weak and one.score is not None)
    assert ('class="weak"' in str(check_section(check))) == weak


def test_more_slices_than_fit_are_counted() -> None:
    page = str(check_section(make_full_check(slices=tuple(replace(SLICE, name=f"a = {n}") for n in range(33)))))

    assert "… and 3 more slices, in final_check.json" in page


def test_scores_stand_on_one_line_of_numbers() -> None:
    check = make_full_check()
    page = Page(draw_scores(check))
    ((model, _),) = page.circles("model")
    others = [x for x, _ in page.circles("other")]
    scores = [0.8042, 0.5, 0.8011, 0.7998]
    per_unit = (others[0] - others[1]) / (scores[0] - scores[1])

    assert [x - others[1] for x in others] == pytest.approx([per_unit * (one - 0.5) for one in scores], abs=0.2)
    assert model - others[1] == pytest.approx(per_unit * 0.3107, abs=0.2)
    bars = [place for tag, place in page.places if tag == "line" and str(place["class"]).startswith("interval")]
    width = float(bars[0]["x2"] or "") - float(bars[0]["x1"] or "")
    assert width == pytest.approx(per_unit * (0.8288 - 0.7921), abs=0.2)
    assert len(bars) == 2, "only finalists have intervals of their own"


def test_production_is_drawn_where_no_comparison_holds_it() -> None:
    check = make_full_check()
    without = replace(check, comparisons=check.comparisons[:2])

    assert len(Page(draw_scores(without)).circles("other")) == 4
    assert len(Page(draw_scores(replace(without, production=None))).circles("other")) == 3


@pytest.mark.parametrize(("check", "side"), [(make_full_check(), -1), (make_full_regression_check(), 1)])
def test_the_expected_optimism_stands_on_the_worse_side_of_testing(check: FinalCheck, side: int) -> None:
    drawing = draw_gap(check)
    assert drawing is not None
    page = Page(drawing)
    (guide,) = (float(place["x1"] or "") for tag, place in page.places if place.get("class") == "guide")
    training, testing, validation = (x for x, _ in page.circles("model"))

    assert (guide - testing) * side > 0
    assert (validation - testing) * side > 0
    assert (training - testing) * side < 0


def test_a_gap_that_was_not_measured_is_not_drawn() -> None:
    assert draw_gap(make_full_check(gap=None)) is None
    assert "not measured" in str(check_section(make_full_check(gap=None)))


def test_calibrated_bins_lie_on_the_diagonal() -> None:
    bins = tuple(Bin(100 + 300 * place, share, share) for place, share in enumerate((0.1, 0.35, 0.6, 0.95)))
    drawing = draw_calibration(Calibration(bins, 0.0, None, None, brier=0.1))
    assert drawing is not None
    page = Page(drawing)
    (line,) = (place for tag, place in page.places if tag == "line" and place["class"] == "guide")
    x1, y1, x2, y2 = (float(line[name] or "") for name in ("x1", "y1", "x2", "y2"))

    for x, y in page.circles("model"):
        assert y == pytest.approx(y1 + (y2 - y1) * (x - x1) / (x2 - x1), abs=0.2)
    radii = [float(place["r"] or "") for tag, place in page.places if tag == "circle"]
    assert radii == sorted(radii)
    assert radii[0] < radii[-1]


def test_a_model_that_predicts_too_low_has_its_bias_above_the_line() -> None:
    bins = (Bin(10, 1.0, 3.0, 0.5), Bin(10, 2.0, 1.0, 0.5))
    drawing = draw_calibration(Calibration(bins, 0.2, None, None))
    assert drawing is not None
    page = Page(drawing)
    (zero,) = (float(place["y1"] or "") for tag, place in page.places if place.get("class") == "guide")
    (_, low), (_, high) = page.circles("model")

    assert low < zero < high


def test_the_threshold_is_drawn_at_its_place() -> None:
    threshold = make_full_check().threshold
    assert threshold is not None
    drawing = draw_threshold(threshold)
    assert drawing is not None
    page = Page(drawing)
    (chosen,) = (float(place["x1"] or "") for _, place in page.places if place.get("class") == "chosen")
    (half,) = (float(place["x1"] or "") for _, place in page.places if place.get("class") == "guide")
    ((x, y),) = page.circles("model")
    (curve,) = (str(place["points"]).split() for tag, place in page.places if tag == "polyline")

    assert chosen == x
    assert chosen < half
    assert y == min(float(point.split(",")[1]) for point in curve), "the best of the curve is its top"
    assert draw_threshold(replace(threshold, curve=())) is None


def test_the_learning_curve_goes_on_to_twice_the_rows() -> None:
    curve = LearningCurve(((100, 0.6), (200, 0.7), (400, 0.75)), 0.78)
    drawing = draw_learning_curve(curve, "roc_auc")
    assert drawing is not None
    page = Page(drawing)
    places = [*page.circles("model"), *page.circles("hollow")]
    steps = [after[0] - before[0] for before, after in pairwise(places)]

    assert steps == pytest.approx([steps[0]] * 3, abs=0.2), "each doubling takes the same room"
    assert places[-1][1] < places[-2][1]
    assert Page(str(draw_learning_curve(replace(curve, doubled=None), "roc_auc"))).circles("hollow") == []
    assert draw_learning_curve(LearningCurve(curve.points[:1], 0.7), "roc_auc") is None


def test_each_seed_has_a_dot_and_the_own_one_is_blue() -> None:
    seeds = make_full_check().seeds
    assert seeds is not None
    page = Page(draw_seeds(seeds, "roc_auc"))

    assert len(page.circles("model")) == 2
    assert len(page.circles("other")) == 4


def test_the_card_stays_short_and_keeps_its_verdict_on_top() -> None:
    card = model_card(make_view(final_check=make_full_check()))

    assert card.index("97.5 % bootstrap") < card.index("## Why not") < card.index("## Data")
    assert card.index(Outcome.FAILED.value) < card.index(Outcome.PASSED.value)
    assert len(card.splitlines()) < 160


def test_the_steps_of_the_gap_have_bars_of_two_standard_errors() -> None:
    drawing = draw_gap(make_full_check())
    assert drawing is not None
    page = Page(drawing)
    training, testing, _ = (x for x, _ in page.circles("model"))
    per_unit = (training - testing) / (0.8912 - 0.8231)
    bars = [place for tag, place in page.places if tag == "line" and place["class"] == "interval"]
    widths = [float(place["x2"] or "") - float(place["x1"] or "") for place in bars]

    assert widths == pytest.approx([4 * 0.0052 * per_unit, 4 * 0.0071 * per_unit], abs=0.3)


def test_a_bin_that_was_promised_more_lies_under_the_diagonal() -> None:
    bins = (Bin(100, 0.2, 0.2), Bin(100, 0.9, 0.6))
    drawing = draw_calibration(Calibration(bins, 0.1, None, None, brier=0.1))
    assert drawing is not None
    page = Page(drawing)
    (line,) = (place for tag, place in page.places if tag == "line" and place["class"] == "guide")
    x1, y1, x2, y2 = (float(line[name] or "") for name in ("x1", "y1", "x2", "y2"))
    (x, y) = page.circles("model")[1]

    assert y > y1 + (y2 - y1) * (x - x1) / (x2 - x1) + 20, "down is up in SVG"


def test_the_confusion_matrix_has_each_count_in_its_place() -> None:
    page = str(check_section(make_full_check()))
    cells = re.findall(r"<td>is (positive|negative)</td><td>([\d,]+)</td><td>([\d,]+)</td>", page)

    assert cells == [("positive", "301", "130"), ("negative", "257", "1312")]


def test_optimism_is_told_of_the_rows_that_candidates_were_compared_by() -> None:
    gap = (
        GAP
        if GAP.optimism is None
        else replace(GAP, optimism=replace(GAP.optimism, part="training+testing, cross-validated in 5 folds"))
    )
    check = make_full_check(gap=gap)

    assert (
        "too good on 5-fold CV by luck alone (by 2,000 of the rows that they were compared on)" in gap_lines(check)[-1]
    )
    assert "testing less optimism of 5-fold CV<" in str(draw_gap(check))
    assert "optimism of" not in str(draw_gap(make_full_check()))


def test_slices_with_too_few_rows_are_told_and_not_drawn() -> None:
    few = replace(SLICE, name="a = rare", rows=3, score=None, dummy_score=None, loss_ratio=1.0, judged=False)
    page = str(check_section(make_full_check(slices=(few, SLICE))))

    assert page.count("<td>too few rows</td>") == 1
    assert page.count("a = rare") == 1
    assert page.index(">a</bdi>") < page.index(">a = rare</bdi>")
    assert slice_line(few, "roc_auc") == "a = rare: too few rows (3 on validation, floor 0.7)"
    assert "a = rare" in str(check_section(make_full_check(slices=(few,))))
