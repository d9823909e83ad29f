"""`python -m raysweep.job.look_there`: what a job sees of a cluster for `raysweep doctor`, one line of JSON each."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from raysweep.config import load_config
from raysweep.diagnosis import Diagnosis, diagnose
from raysweep.job.driver import SWEEP_FILE

SEEN: Final = "Diagnosed"
OVER: Final = "Looked"


def main() -> None:
    """Look at everything that the sweep of this folder needs, or, without one, at the cluster alone."""
    config = load_config(SWEEP_FILE) if Path(SWEEP_FILE).exists() else None
    diagnose(config, _tell)
    _say({"event": OVER})


def _tell(row: Diagnosis) -> None:
    _say({"event": SEEN, **asdict(row)})


def _say(line: dict[str, object]) -> None:
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
