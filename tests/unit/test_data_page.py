"""The page about the data: it stands alone, holds for any name, value and shape, and shows no validation row."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from builders import clean_table
from data_view_builders import view_of
from raysweep.records.table import ColumnKind, ColumnProfile, Finding, Proposal, Severity
from raysweep.report.correlation import correlations
from raysweep.report.data_page import MAX_CARDS, data_page
from raysweep.report.feature_bins import bins_of, histogram_of, value_text
from raysweep.report.target_bins import class_shares, spots_of, target_of
from record_builders import HOSTILE

STRANGE = (*HOSTILE, "line\nbreak", "rtl\u202emark\u200f", "x" * 10_000, "'single' & \"double\"", " ", "\x00nul")


class Page(HTMLParser):
    """Collects the elements and attributes of a page, its texts, and how many elements are open at its end."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open += [] if tag in {"meta", "br"} else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def page_of(frame: pd.DataFrame, target: str | None = "target") -> Page:
    page = Page(data_page(view_of(frame, target)))
    assert not page.open
    return page


def test_the_page_stands_alone() -> None:
    document = data_page(view_of(clean_table(300, 1)))

    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(Page(document).names)
    assert "http" not in document
    assert "url(" not in document
    assert "@import" not in document


@cache
def usual_page() -> Page:
    return Page(data_page(view_of(clean_table(300, 1))))


@pytest.mark.parametrize("strange", STRANGE)
def test_no_name_and_no_value_becomes_markup(strange: str) -> None:
    plain = clean_table(300, 1)
    frame = plain.rename(columns={"city": f"{strange}1", "amount": f"{strange}2"}).assign(
        plan=plain["plan"].replace("pro", strange), target=plain["target"].map({0: "no", 1: strange})
    )
    view = view_of(frame)
    finding = Finding("col.odd", Severity.WAIVED, strange, strange, f"{strange}1", 3, 0.1, None, None, (strange,))
    check = replace(
        view.check,
        findings=(*view.check.findings, replace(finding, places=(strange,), waived=strange)),
        proposals=(Proposal(strange, strange),),
        unused_waivers=(strange,),
    )
    document = data_page(replace(view, name=strange, check=check))
    usual, found = usual_page(), Page(document)

    assert set(found.names) <= {*usual.names, "pre", "code", "h3"}
    assert found.attributes <= usual.attributes
    assert not found.open
    assert "\u202e" not in document
    assert "\x00" not in document
    assert len(document) < 400_000


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("binary", "share of target = 1"),
        ("multiclass", "share of each target"),
        ("regression", "mean and quartiles of target"),
    ],
)
def test_every_feature_is_held_against_the_target(task: str, said: str) -> None:
    frame = clean_table(400, 1, task)

    assert page_of(frame).texts.count(said) == len(frame.columns) - 1


def test_without_a_target_nothing_is_held_against_it() -> None:
    page = page_of(clean_table(300, 1), None)

    assert "share of" not in page.text
    assert page.names.count("article") == 9


def test_a_target_that_is_not_there_leaves_a_page() -> None:
    assert "unsuitable" in page_of(clean_table(300, 1), "targte").text


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_table_with_hardly_a_row_has_a_page(rows: int, task: str) -> None:
    assert page_of(clean_table(50, 1, task).head(rows)).names.count("article") == 9


def test_columns_without_anything_to_draw_say_so() -> None:
    frame = clean_table(200, 1).assign(
        nothing=pd.Series([None] * 200, dtype=object),
        nan=np.nan,
        lists=[[1, 2]] * 200,
        endless=np.inf,
        each=[f"id {row:04}" for row in range(200)],
        one=1.5,
    )
    text = page_of(frame).text

    assert "There is no value." in text
    assert "Nested values are not drawn." in text
    assert "Hardly any value occurs twice." in text


def test_numbers_at_the_ends_of_float64_are_no_reason_to_fail() -> None:
    huge = np.linspace(-1, 1, 300) * 1.7e308
    frame = clean_table(300, 1, "regression").assign(
        huge=huge, tiny=np.linspace(0, 5e-324 * 300, 300), target=huge[::-1], late=pd.Timestamp("2262-01-01")
    )
    with np.errstate(all="ignore"):  # of the checks
        view = view_of(frame)

    assert Page(data_page(view)).names.count("article") == 12


def test_a_wide_table_has_a_bounded_page_and_its_findings_first() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{number}": rng.normal(size=300) for number in range(150)})
    frame["x149"] = 1.0
    document = data_page(view_of(frame.assign(target=rng.integers(0, 2, 300))))
    page = Page(document)

    assert page.names.count("article") == MAX_CARDS
    assert 'id="c149"' in document  # x149 is constant
    assert 'id="c150"' in document  # the target
    assert 'id="c100"' not in document
    assert "91 more columns are in the table above" in page.text
    assert "the 40 most correlated of 150 columns of numbers" in page.text
    assert len(document) < 700_000


def test_no_validation_row_is_shown() -> None:
    frame = clean_table(400, 1).assign(origin=["shown"] * 200 + ["sealed"] * 200)
    frame["amount"] = np.where(frame["origin"] == "sealed", 9e6 + np.arange(400), frame["amount"])
    view = view_of(frame, usable=lambda sample: [one == "shown" for one in sample["origin"].to_pylist()])
    cards = data_page(view).partition("Column by column")[2]
    amount = cards[cards.index("amount") :].partition("</article>")[0].partition("</p>")[2]

    assert "Drawn from 200 of 400 rows" in cards
    assert "9,000" not in amount
    assert "sealed: 50 %" in cards  # that it exists is in the profile; what its targets are is not shown
    assert cards.count("sealed:") == 1


def test_findings_stand_on_top_with_all_that_is_known_of_them() -> None:
    view = view_of(clean_table(300, 1))
    finding = Finding(
        *("col.missing", Severity.WAIVED, "balance has gaps", "fill them", "balance", 30, 0.1),
        examples=("a", "b"),
        places=("t.csv row 3",),
        waived="sensors fail (up to 0.2, until 2027-03-31)",
    )
    text = Page(data_page(replace(view, check=replace(view.check, findings=(finding,))))).text

    assert text.index("balance has gaps") < text.index("Column by column")
    for said in ("fill them", "30 rows · 10 %", "a, b", "t.csv row 3", "sensors fail (up to 0.2, until 2027-03-31)"):
        assert said in text


def test_bins_hold_every_row_and_missing_ones_apart() -> None:
    view = view_of(pd.DataFrame({"x": [*range(95), *[None] * 5], "y": ["a"] * 60 + ["b"] * 40}), None)
    column = view.profile.sample.column("x").combine_chunks()
    bins = bins_of(column, view.profile.column("x"))
    assert bins is not None

    assert bins.labels[0] == "0 to 8"
    assert bins.labels[-1] == "missing"
    assert bins.counts.sum() == 100
    assert bins.counts[-1] == 5


def test_the_target_in_bins_is_what_pandas_says() -> None:
    frame = clean_table(500, 1).assign(few=np.arange(500) % 4)
    view = view_of(frame)
    assert view.aim is not None
    sample = view.profile.sample
    bins = bins_of(sample.column("few").combine_chunks(), view.profile.column("few"))
    target = target_of(view.aim, sample.column("target"), "target")
    assert bins is not None
    assert target is not None

    spots = [spot for spot in spots_of(bins, target) if spot is not None]
    assert [spot.value for spot in spots] == pytest.approx(frame.groupby("few")["target"].mean().to_list())
    assert all(0 <= spot.low < spot.value < spot.high <= 1 for spot in spots)


def test_class_shares_add_up_and_rare_classes_are_put_together() -> None:
    frame = pd.DataFrame({"x": np.arange(400) % 5, "target": [f"k{row % 12:02}" for row in range(400)]})
    view = view_of(frame)
    assert view.aim is not None
    target = target_of(view.aim, view.profile.sample.column("target"), "target")
    bins = bins_of(view.profile.sample.column("x").combine_chunks(), view.profile.column("x"))
    assert bins is not None
    assert target is not None

    assert len(target.labels) == 7
    assert target.labels[-1] == "other classes"
    assert class_shares(bins, target).sum(axis=1) == pytest.approx(1.0)


def test_a_far_tail_does_not_flatten_the_histogram() -> None:
    histogram = histogram_of(np.append(np.linspace(0, 1, 10_000), 1e9))
    assert histogram is not None

    assert histogram.edges[-1] <= 1
    assert histogram.counts.sum() + histogram.outside == 10_001
    assert histogram_of(np.array([np.nan])) is None
    assert histogram_of(np.array([2.0, 2.0])) is None


def test_whole_numbers_get_bins_of_whole_width() -> None:
    histogram = histogram_of(np.repeat(np.arange(1.0, 32.0), 3), whole=True)
    assert histogram is not None

    assert histogram.edges.tolist() == [*range(1, 32, 2), 32]
    assert histogram.counts.tolist() == [6] * 15 + [3]


def test_very_uneven_numbers_are_drawn_on_a_logarithmic_scale() -> None:
    uneven = np.exp(np.linspace(-9, 9, 1_000))
    histogram = histogram_of(uneven)
    assert histogram is not None

    assert histogram.logarithmic
    assert histogram.counts.max() < 50
    assert "The scale is logarithmic." in page_of(pd.DataFrame({"x": uneven}), None).text


def test_texts_that_never_come_back_are_not_held_against_the_target() -> None:
    frame = clean_table(300, 1).assign(name=[f"a person called {row}" for row in range(300)])

    assert page_of(frame).texts.count("share of target = 1") == 8
    assert "a person called" not in data_page(view_of(frame)).partition("Column by column")[2]


def test_rank_correlation_is_that_of_pandas_with_gaps() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    frame = pd.DataFrame({"x": x, "y": np.exp(x) + rng.normal(size=300), "z": rng.integers(0, 3, 300).astype(float)})
    found = correlations(list(frame.columns), [frame[name].to_numpy() for name in frame])
    assert found is not None
    assert found.matrix == pytest.approx(frame.rank().corr().to_numpy())

    gaps = frame.mask(rng.random(frame.shape) < 0.2)
    found = correlations(list(gaps.columns), [gaps[name].to_numpy() for name in gaps])
    assert found is not None
    assert found.matrix == pytest.approx(gaps.rank().corr().to_numpy(), abs=0.02)


def test_dates_are_shown_as_dates() -> None:
    day = 86_400_000_000.0

    assert value_text(day, ColumnKind.DATETIME) == "1970-01-02"
    assert value_text(day + 1e6, ColumnKind.DATETIME) == "1970-01-02 00:00:01"


def test_a_column_that_the_sample_lacks_has_no_card() -> None:
    view = view_of(clean_table(100, 1))
    extra = ColumnProfile("lost", ColumnKind.NUMBER, "int64", 100, 0)
    columns = (*view.profile.columns, extra)

    assert Page(data_page(replace(view, profile=replace(view.profile, columns=columns)))).names.count("article") == 9
