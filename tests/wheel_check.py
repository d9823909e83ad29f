"""Runs in the environment that a wheel was installed into: a sweep from the command line, verified and loaded again."""

import csv
import json
import random
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

ROWS = 600


def write_table(path):
    generator = random.Random(0)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["size", "colour", "broken"])
        for _ in range(ROWS):
            size, colour = generator.gauss(0, 1), generator.choice(["red", "green", ""])
            writer.writerow([round(size, 4), colour, size + (colour == "red") + generator.gauss(0, 1) > 0.5])


def raysweep(*arguments):
    command = [str(Path(sys.executable).with_name("raysweep")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stderr, end="")
    if done.returncode not in {0, 7}:
        raise SystemExit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def main():
    import raysweep as installed

    if Path(installed.__file__).is_relative_to(Path(__file__).parents[1]):
        raise SystemExit("this is the checkout, not the wheel")
    if not any("search_spaces" in str(path) for path in files("raysweep") or ()):
        raise SystemExit("the wheel lacks the search spaces")
    write_table(Path("table.csv"))
    Path("sweep.yaml").write_text("version: 1\ndata: {source: table.csv, target: broken}\nsearch: {trials: 8}\n")
    result = json.loads(raysweep("run", "sweep.yaml", "--json"))
    raysweep("verify", result["bundle_url"])
    model = installed.load_model(result["bundle_url"])
    print(f"the wheel works: {model}")


if __name__ == "__main__":
    main()
