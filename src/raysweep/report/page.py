"""The frame of a page that stands alone: one style, no scripts, nothing from the network."""

from __future__ import annotations

from typing import Final

from raysweep.report.markup import Html, tag

STYLE: Final = Html("""
:root{--ink:#1f2933;--soft:#637381;--line:#e4e7eb;--blue:#2b6cb0;--green:#2f855a;--amber:#b7791f;--red:#c53030}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink)}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
header p{color:var(--soft);margin:.2rem 0 1.2rem}
.verdict{border-left:6px solid var(--soft);background:#f7f9fb;padding:.8rem 1.2rem;border-radius:4px}
.verdict b{font-size:1.3rem}.verdict.adequate{border-color:var(--green)}
.verdict.warned{border-color:var(--amber)}.verdict.refused{border-color:var(--red)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
td,dd,li,h1{overflow-wrap:break-word}th{color:var(--soft);font-weight:600;white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem}dt{color:var(--soft)}dd{margin:0}
.passed{color:var(--green)}.warning{color:var(--amber)}.inconclusive{color:var(--amber)}
.failed,.error{color:var(--red)}.skipped,.information{color:var(--soft)}
svg{max-width:100%;height:auto;font:13px system-ui,sans-serif;fill:var(--ink)}
svg .interval{stroke:var(--blue);stroke-width:4;opacity:.35;stroke-linecap:round}
svg .model{fill:var(--blue)}svg .other{fill:#9aa5b1}svg .axis{stroke:var(--line)}
svg .steps{fill:none;stroke:var(--blue);stroke-width:2}
pre{background:#f7f9fb;padding:.8rem 1rem;border-radius:4px;overflow-x:auto}code{font-size:.9rem}
""")


def page(title: str, style: Html, header: Html, *sections: object) -> str:
    """A whole HTML document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, tag("body", header, *sections), lang="en") + "\n"


def section(title: str, *content: object) -> Html:
    """A part of the page under a heading."""
    return tag("section", tag("h2", title), *content)


def rest(count: int, what: str, place: str) -> Html:
    """Where the others are that are not shown; nothing where none is left."""
    return tag("p", f"… and {count:,} more {what}, in {place}") if count > 0 else Html()
