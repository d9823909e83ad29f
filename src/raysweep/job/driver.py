"""What a submitted job runs: looks whether raysweep can run here, and becomes it.

    python -m raysweep.job.driver run RUN     the sweep of this folder
    python -m raysweep.job.driver look        what would go wrong in it, or, without one, on this cluster

It loads nothing but the standard library before it knows that the rest is there.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from raysweep.job.packages import lacking_packages

SWEEP_FILE = "sweep.yaml"
RUN, LOOK = "run", "look"
STARTED = "JobStarted"  # the lines of this module among the events: who runs, for `raysweep status` and `stop --now`
EXIT_RAY = 5


def main(what: str, *names: str) -> None:
    """Become `raysweep run`, its events on stderr and its result among them, or what looks at the cluster."""
    _say(STARTED, {"run_id": names[0] if names else "", "pid": os.getpid(), "host": socket.gethostname()})
    lacking = lacking_packages()
    if lacking:
        _say("SweepFailed", {"kind": "RayUnavailable", "message": _words(lacking), "exit_code": EXIT_RAY})
        sys.exit(EXIT_RAY)
    if what == RUN:
        # With --json what libraries print goes to stderr; the result itself is among the events already.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        arguments = ["raysweep", "run", SWEEP_FILE, "--run", *names, "--events", "jsonl", "--json"]
    else:
        arguments = ["raysweep.job.look_there"]
    os.execv(sys.executable, [sys.executable, "-m", *arguments])  # noqa: S606 - no shell is wanted


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
    main(*sys.argv[1:])
