"""`raysweep promote`: let candidate or production be a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from raysweep.cli.options import AsJson, Bundle, Debug, PublicKey, S3Endpoint, s3_settings
from raysweep.cli.outcome import Answer, carry_out
from raysweep.cli.tables import output

if TYPE_CHECKING:
    from raysweep.bundle.aliases import Promotion

Alias = Annotated[str, typer.Option("--alias", metavar="ALIAS", help="candidate or production.")]
Force = Annotated[bool, typer.Option("--force", help="Also where the verdict does not allow use; wants --reason.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded with the move.")]


def promote(  # noqa: PLR0913, PLR0917 - one option a thing that may be asked for
    bundle: Bundle,
    alias: Alias,
    force: Force = False,
    reason: Reason = None,
    key: PublicKey = None,
    s3_endpoint: S3Endpoint = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """Let candidate or production be this bundle, if its verdict allows that.

    The bundle is verified first. The alias is kept beside the bundles, with every move; wherever a bundle is named,
    RUNS@ALIAS names the one that it is. Of two that move an alias at the same time one wins, and the other exits
    with 6. A bundle that is not as it was published, or may not be used, exits with 8.

    \b
    Examples:
      raysweep promote runs/flights-late-20260101-120000-abc123 --alias production
      raysweep show runs@production
    """
    return carry_out(
        lambda: _promote(bundle, alias, reason, key, s3_endpoint, force=force), as_json=as_json, debug=debug
    )


def _promote(
    bundle: str, alias: str, reason: str | None, key: str | None, s3_endpoint: str | None, *, force: bool
) -> Answer:
    from raysweep import api

    done = api.promote(bundle, alias, force=force, reason=reason, key=key, s3=s3_settings(s3_endpoint))
    return Answer(done.to_document(), lambda: _show(done))


def _show(done: Promotion) -> None:
    if not done.is_new:
        words = f"{done.address} is {done.bundle} already"
    else:
        was = "" if done.before is None else f"; it was {done.before.run_id}"
        forced = f", forced: {done.now.reason}" if done.now.forced else ""
        words = f"{done.address} is {done.bundle} ({done.now.verdict}{forced}){was}"
    output().print(Text(f"✓ {words}", "green"), soft_wrap=True)
