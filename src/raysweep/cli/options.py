"""The options that several commands share, each described once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from raysweep.config import S3Config
from raysweep.documents import parse_document

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value of the sweep by its path. May be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Bundle = Annotated[
    str,
    typer.Argument(
        metavar="BUNDLE", help="A folder, an s3:// address, the id of a run under runs/, or an alias: runs@production."
    ),
]
PublicKey = Annotated[
    str | None,
    typer.Option("--key", metavar="FILE", help="The public key that the manifest must be signed by (Ed25519)."),
]
SweepFile = Annotated[str, typer.Argument(metavar="SWEEP", help="Path of a sweep file (YAML or JSON).")]


class EventFormat(StrEnum):
    """How `--events` writes events."""

    JSONL = "jsonl"


Events = Annotated[
    EventFormat | None,
    typer.Option(help="Write every event as it happens to stderr, in place of the progress display."),
]
S3Endpoint = Annotated[
    str | None,
    typer.Option(
        "--s3-endpoint", metavar="URL", help="The S3-compatible server of an s3:// address, if it is not AWS."
    ),
]

SubmittedRunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a submitted run.")]
RunAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="Ray's dashboard, such as http://head:8265. Default: where RUN was submitted from this machine, else "
        "RAY_API_SERVER_ADDRESS, else RAY_ADDRESS where it is http(s).",
    ),
]


def s3_settings(endpoint: str | None) -> S3Config | None:
    """The settings for an `s3://` address on the command line; credentials come from the AWS chain."""
    if endpoint is None:
        return None
    return parse_document(S3Config, {"endpoint_url": endpoint, "addressing_style": "path"}, place="--s3-endpoint")
