"""`raysweep check`: the sweep file and its space, nothing else."""

from __future__ import annotations

import typer

from raysweep.cli.options import AsJson, Debug, Sets, SweepFile
from raysweep.cli.outcome import Answer, carry_out
from raysweep.config import SweepConfig, load_config


def check(sweep: SweepFile, overrides: Sets = None, as_json: AsJson = False, debug: Debug = False) -> int:
    """Check a sweep file and its search space, and look at nothing else.

    Every problem is named at once, each with its path. Neither data nor Ray are touched.

    \b
    Example:
      raysweep check sweep.yaml --set search.trials=20
    """
    return carry_out(lambda: _check(sweep, overrides or []), as_json=as_json, debug=debug)


def _check(sweep: str, overrides: list[str]) -> Answer:
    config = load_config(sweep, overrides=overrides)
    from raysweep.request_check import check_asked

    check_asked(config)

    def show() -> None:
        space = config.search.space if isinstance(config.search.space, str) else "of its own"
        typer.echo(f"{sweep}: nothing wrong")
        typer.echo(f"  learns {config.data.target} from {', '.join(config.data.sources)}")
        typer.echo(f"  search space {space}; {_limits(config)}; export to {config.export.to}")

    return Answer({"ok": True, "sweep": config.model_dump(mode="json", by_alias=True)}, show)


def _limits(config: SweepConfig) -> str:
    seconds = config.search.stop.seconds
    trials = f"at most {config.search.trials:,} trials"
    return trials if seconds is None else f"{trials} or {seconds:g} s"
