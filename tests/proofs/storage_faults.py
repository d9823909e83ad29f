"""Runs sweeps whose S3 server fails in every way, is silent for a minute, is old, or whose driver is killed over it.

    python tests/proofs/storage_faults.py [--seed 0] [--share 0.3] [--only NAME]

A proxy stands before a real server (SeaweedFS). Each sweep has to end with a complete bundle, or with exit code 6 and
everything kept, and then `raysweep resume` has to publish it without a trial, a fit or the data. Somebody lists the
bucket all the while: at no moment may a manifest stand over a file that is missing or of another size. Exits 1 where
something of that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import raysweep
from builders import clean_table
from bundle_watch import BundleWatch
from raysweep.config import S3Config
from s3_proxy import Behaviour, Fault, Proxy, ceph_16, rclone, run_proxy, swift
from s3_server import S3Server, run_s3_server
from sweep_builders import RANDOM_ONE_SLOT, quick_space, sweep_keys

ENDED = {0, 7}
STORAGE_FAILED = 6
SILENT_SECONDS = 60.0
BUCKET = "proofs"


@dataclass(frozen=True)
class Scenario:
    """What happens to one sweep.

    Attributes:
        behaviour: of the server from the beginning.
        at_publishing: what is done when the first file of the bundle is on its way.
        https: whether the proxy speaks it.
        ends: the exit codes that are right.
    """

    name: str
    behaviour: Callable[[], Behaviour] = Behaviour
    at_publishing: Callable[[Proxy, subprocess.Popen[str]], None] | None = None
    https: bool = False
    ends: frozenset[int] = field(default_factory=lambda: frozenset(ENDED))


def fall_silent(proxy: Proxy, _: subprocess.Popen[str]) -> None:
    proxy.behaviour.silent = True
    time.sleep(SILENT_SECONDS)
    proxy.behaviour.silent = False


def kill(proxy: Proxy, driver: subprocess.Popen[str]) -> None:
    proxy.behaviour.silent = True
    driver.kill()
    driver.wait()
    proxy.behaviour.silent = False


def go_away(proxy: Proxy, _: subprocess.Popen[str]) -> None:
    proxy.behaviour.faults, proxy.behaviour.share = (Fault.RESET,), 1.0


def scenarios(seed: int, share: float) -> list[Scenario]:
    def failing(*faults: Fault) -> Callable[[], Behaviour]:
        return lambda: Behaviour(faults=faults, share=share, random=random.Random(seed))

    either = frozenset({*ENDED, STORAGE_FAILED})
    return [
        *(Scenario(f"{share:.0%} of: {fault}", failing(fault), ends=either) for fault in Fault),
        Scenario(f"{share:.0%} of everything", failing(*Fault), ends=either),
        Scenario(f"{share:.0%} of everything, https", failing(*Fault), https=True, ends=either),
        Scenario("a minute of silence", at_publishing=fall_silent),
        Scenario("away for good", at_publishing=go_away, ends=frozenset({STORAGE_FAILED})),
        Scenario("kill -9 while it publishes", at_publishing=kill, ends=frozenset({-9})),
        Scenario("like Ceph 16, https", ceph_16, https=True),
        Scenario("like Swift, https", swift, https=True),
        Scenario("like rclone, https", rclone, https=True),
    ]


def wait_for_publishing(proxy: Proxy, driver: subprocess.Popen[str]) -> None:
    """Until a file of the bundle that is no journal is put."""
    while driver.poll() is None:
        puts = [path for method, path in list(proxy.requests) if method == "PUT"]
        if any("/runs/run-" in path and "/journal/" not in path and "/.raysweep/" not in path for path in puts):
            return
        time.sleep(0.002)


def run(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "raysweep", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def carry_out(scenario: Scenario, number: int, server: S3Server, folder: Path) -> list[str]:
    """What went wrong; nothing where all went well."""
    folder.mkdir()
    clean_table(450, 11).to_csv(folder / "table.csv", index=False)
    search = {**RANDOM_ONE_SLOT, "trials": 4, "space": quick_space(["xgboost"])}
    run_id, problems = f"run-{number}", []
    begun = time.monotonic()
    watch = BundleWatch(server, BUCKET, f"runs/{run_id}/")
    with run_proxy(server, scenario.behaviour(), https=scenario.https) as proxy, watch:
        s3 = {"endpoint_url": proxy.url, "ca_bundle": str(server.tls.ca)}
        keys = sweep_keys(f"s3://{BUCKET}/runs", source="table.csv", search=search, export={"s3": s3})
        (folder / "sweep.yaml").write_text(yaml.safe_dump(keys))
        driver = run("run", "sweep.yaml", "--run", run_id, folder=folder)
        if scenario.at_publishing is not None:
            at_publishing = scenario.at_publishing

            def interfere() -> None:
                wait_for_publishing(proxy, driver)
                at_publishing(proxy, driver)

            threading.Thread(target=interfere, daemon=True).start()
        _, said = driver.communicate()
        if driver.returncode not in scenario.ends:
            problems.append(f"exit code {driver.returncode}: {said[-2000:]}")
        ended = [driver.returncode]
        if driver.returncode not in ENDED:
            proxy.behaviour.faults = ()
            (folder / "table.csv").unlink()
            again = run("resume", run_id, "--json", folder=folder)
            out, said = again.communicate()
            ended.append(again.returncode)
            if again.returncode not in ENDED or not json.loads(out)["bundle_url"].endswith(run_id):
                problems.append(f"resume ended with {again.returncode}: {said[-2000:]}")
            if "nothing is computed again" not in said:
                problems.append(f"resume has computed something: {said[-2000:]}")
        requests, happened = len(proxy.requests), len(proxy.happened)
    watch_end = BundleWatch(server, BUCKET, f"runs/{run_id}/")
    watch_end.look()
    if watch_end.seen != 1:
        problems.append("there is no manifest in the end")
    settings = S3Config(endpoint_url=server.endpoint_url)
    problems += [
        *watch.problems,
        *watch_end.problems,
        *raysweep.verify(f"s3://{BUCKET}/runs/{run_id}", s3=settings).problems,
    ]
    print(
        f"{scenario.name:50} exit {', then '.join(map(str, ended)):10} {requests:5} requests, {happened:4} failed, "
        f"{watch.looks:4} looks, {time.monotonic() - begun:4.0f} s: {'; '.join(problems) or 'well'}",
        flush=True,
    )
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory() as folder, run_s3_server(Path(folder) / "server") as server:
        os.environ |= {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "RAYSWEEP_HOME": f"{folder}/home",
        }
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        client.close()
        for number, scenario in enumerate(scenarios(asked.seed, asked.share)):
            if asked.only in scenario.name:
                problems += carry_out(scenario, number, server, Path(folder) / str(number))
        left = list((Path(folder) / "home/runs").iterdir())
    if left:
        problems.append(f"left on this machine: {left}")
        print(problems[-1])
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
