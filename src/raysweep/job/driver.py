"""What a submitted job runs: `python -m raysweep.job.driver RUN`; looks whether raysweep can run here, and becomes it.

It loads nothing but the standard library before it knows that the rest is there.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from raysweep.job.packages import lacking_packages

SWEEP_FILE = "sweep.yaml"
STARTED = "JobStarted"  # the lines of this module among the events: who runs, for `raysweep status` and `stop --now`
EXIT_RAY = 5


def main(run_id: str) -> None:
    """Run the sweep of this folder as `raysweep run` does, its events on stderr, its result among them."""
    _say(STARTED, {"run_id": run_id, "pid": os.getpid(), "host": socket.gethostname()})
    lacking = lacking_packages()
    if lacking:
        _say("SweepFailed", {"kind": "RayUnavailable", "message": _words(lacking), "exit_code": EXIT_RAY})
        sys.exit(EXIT_RAY)
    # With --json what libraries print goes to stderr; the result itself is among the events already.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    arguments = ["run", SWEEP_FILE, "--run", run_id, "--events", "jsonl", "--json"]
    os.execv(sys.executable, [sys.executable, "-m", "raysweep", *arguments])  # noqa: S606 - no shell is wanted


def _words(lacking: list[str]) -> str:
    return (
        f"the cluster cannot run raysweep, by {sys.executable} on {socket.gethostname()}: {'; '.join(lacking)}. Give "
        "its nodes an image (or an environment) that holds what raysweep needs, or let Ray install it for this job: "
        "raysweep submit --install index"
    )


def _say(kind: str, plain: dict[str, object]) -> None:
    sys.stderr.write(json.dumps({"event": kind, **plain}) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv[1])
