"""The Slurm script, on a real Slurm of three nodes on this machine: killed, carried on, asked to finish, verified.

    python tests/proofs/slurm.py [--nodes 3]

Needs root, and Debian's slurmctld, slurmd, slurm-client and munge; says so and exits 0 where they are not there.
Exits 1 where something is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import pyarrow.parquet as pq
import yaml

from builders import clean_table
from raysweep.config import S3Config
from raysweep.storage.open_store import open_store
from raysweep.storage.run_journal import read_run_journal
from slurm_nodes import Slurm, missing, slurm

SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm" / "sweep.sbatch"
RUN = "nightly"
ROWS = 4_000
CPUS = 2
WAIT_SECONDS = 420
SWEEP = {
    "version": 1,
    "name": "nightly",
    "data": {"source": "table.parquet", "target": "target"},
    "search": {
        "space": {
            "version": 1,
            "families": {
                "random_forest": {"params": {"min_samples_leaf": {"int": [1, 400]}}, "effort": {"rounds": 400}}
            },
        },
        "trials": 3_000,
        "stop": {"seconds": 1_200},
    },
}


def main() -> int:
    """Run it; 1 where something is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    lacking = missing()
    if lacking:
        print(f"not tried: this machine lacks {lacking}")
        return 0
    with TemporaryDirectory(prefix="rs-") as folder:
        problems = list(_prove(Path(folder), options.nodes))
    print(f"problems: {problems or 'none'}")
    return 1 if problems else 0


def _prove(folder: Path, nodes: int):
    work = folder / "work"
    work.mkdir()
    clean_table(ROWS, 5).to_parquet(work / "table.parquet")
    (work / "sweep.yaml").write_text(yaml.safe_dump(SWEEP | {"export": {"to": str(work / "runs")}}))
    virtual = folder / "venv" / "bin"
    virtual.mkdir(parents=True)
    (virtual / "activate").write_text(f"export PATH={Path(sys.executable).parent}:$PATH\n")
    os.environ |= {"RAYSWEEP_VENV": str(virtual.parent), "RAYSWEEP_HOME": str(folder / "home")}
    with slurm(folder, nodes, CPUS) as cluster:
        first = _submit(cluster, work)
        _wait(lambda: _ended(work) >= nodes * CPUS, cluster, first, "its first trials")
        print(f"the first job has ended {_ended(work)} trials, and is killed")
        yield from _private_token(work)
        cluster.run("scancel", first)
        _wait(lambda: _state(cluster, first) == "", cluster, first, "to be gone")
        before = _ended(work)

        second = _submit(cluster, work)
        _wait(lambda: _ended(work) >= before + nodes * CPUS, cluster, second, "to go on")
        print(f"the second job has gone on to {_ended(work)} trials, and is asked to finish")
        cluster.run("scancel", "--batch", "--signal=INT", second)
        _wait(lambda: _state(cluster, second) == "", cluster, second, "to finish")
        yield from _problems_of_the_run(cluster, work, second, before)


def _problems_of_the_run(cluster: Slurm, work: Path, job: str, before: int):
    code = _exit_code(cluster, job)
    print(f"the second job has ended with {code}")
    if code != "0:0":
        yield f"exit code {code}: {_log(work, job)}"
    verified = subprocess.run(
        [Path(sys.executable).parent / "raysweep", "verify", work / "runs" / RUN],
        capture_output=True,
        text=True,
        check=False,
    )
    print(verified.stdout.strip().splitlines()[:1])
    if verified.returncode:
        yield f"verify: {verified.stderr}"
        return
    events = [one["event"] for one in _journal(work)]
    if events.count("resumed") != 1:
        yield f"resumed {events.count('resumed')} times"
    again = [one["candidate"] for one in _journal(work) if one["event"] == "ended"]
    if len(again) != len(set(again)) or len(again) < before:
        yield "a trial that was finished was run again, or lost"
    nodes = set(pq.read_table(work / "runs" / RUN / "trials.parquet", columns=["node"])["node"].to_pylist()) - {
        None,
        "",
    }
    print(f"{len(again)} trials on {sorted(nodes)}")
    if nodes != set(cluster.nodes):
        yield f"trials ran on {sorted(nodes)} alone"
    if list(work.glob(".raysweep-*")):
        yield "the folder of the token is still there"


def _private_token(work: Path):
    (private,) = work.glob(".raysweep-*")
    modes = {private.stat().st_mode & 0o777, (private / "token").stat().st_mode & 0o777}
    if modes != {0o700, 0o600}:
        yield f"the token can be read by others: {[oct(mode) for mode in modes]}"
    token = (private / "token").read_text()
    if any(token in path.read_text(errors="replace") for path in work.glob("*.log")):
        yield "the token is in the job's log"


def _submit(cluster: Slurm, work: Path) -> str:
    sizes = [f"--nodes={len(cluster.nodes)}", "--time=30"]
    job = cluster.run("sbatch", "--parsable", *sizes, SCRIPT, "sweep.yaml", RUN, cwd=work).strip()
    print(f"job {job}")
    return job


def _ended(work: Path) -> int:
    return sum(one["event"] == "ended" for one in _journal(work))


def _journal(work: Path) -> list[dict]:
    store = open_store(str(work / "runs"), S3Config()).child(RUN)
    return list(read_run_journal(store)) if (work / "runs" / RUN).is_dir() else []


def _state(cluster: Slurm, job: str) -> str:
    """Empty once it is over."""
    state = cluster.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()
    return "" if state in {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT"} else state


def _exit_code(cluster: Slurm, job: str) -> str:
    words = cluster.run("scontrol", "show", "job", job).split()
    return next(word.partition("=")[2] for word in words if word.startswith("ExitCode="))


def _log(work: Path, job: str) -> str:
    return (work / f"raysweep-{job}.log").read_text(errors="replace")[-3_000:]


def _wait(holds: Callable[[], bool], cluster: Slurm, job: str, what: str) -> None:
    begun = time.monotonic()
    while not holds():
        over = what not in {"to be gone", "to finish"} and _state(cluster, job) == ""
        if over or time.monotonic() - begun > WAIT_SECONDS:
            log = next(iter((cluster.folder / "work").glob(f"raysweep-{job}.log")), None)
            text = "" if log is None else log.read_text(errors="replace")[-4_000:]
            raise RuntimeError(f"job {job}: waited for it {what}\n{text}\n{json.dumps(_state(cluster, job))}")
        time.sleep(1)
    print(f"waited {time.monotonic() - begun:.0f} s for it {what}")


if __name__ == "__main__":
    sys.exit(main())
