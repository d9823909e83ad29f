"""What a submitted job runs: looks whether raysweep can run here, and becomes it.

    python -m raysweep.job.driver run RUN                        the sweep of this folder
    python -m raysweep.job.driver resume RUN FROM [--set ...]    a run that starts from what a published one has tried
    python -m raysweep.job.driver look                           what would go wrong in the sweep, or on this cluster

It loads nothing but the standard library before it knows that the rest is there.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from raysweep.job.packages import lacking_packages

SWEEP_FILE = "sweep.yaml"
RUN, RESUME, LOOK = "run", "resume", "look"
STARTED = "JobStarted"  # the lines of this module among the events: who runs, for `raysweep status` and `stop --now`
EXIT_RAY = 5


def main(what: str, *names: str) -> None:
    """Become `raysweep run` or `resume`, its events on stderr and its result among them, or what looks around."""
    run_id, *more = names or ("",)
    _say(STARTED, {"run_id": run_id, "pid": os.getpid(), "host": socket.gethostname()})
    lacking = lacking_packages()
    if lacking:
        _say("SweepFailed", {"kind": "RayUnavailable", "message": _words(lacking), "exit_code": EXIT_RAY})
        sys.exit(EXIT_RAY)
    if what == LOOK:
        arguments = ["raysweep.job.look_there"]
    else:
        # With --json what libraries print goes to stderr; the result itself is among the events already.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        named = [SWEEP_FILE] if what == RUN else more
        arguments = ["raysweep", what, *named, "--run", run_id, "--events", "jsonl", "--json"]
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
