"""Builds the smallest environment that serves a model, from a wheel, and predicts golden rows there, exactly.

    python tests/serving_check.py dist/raysweep-*.whl

The models are those of every family on every task, fitted here; the environment gets the wheel without what it depends
on, and what config/serving.txt names. `make test-wheel` runs this.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fitted_models import fitted_pipeline, task_and_rows
from raysweep.config import TaskKind
from raysweep.records.manifest import Artifact, Manifest, ModelRecord, read_manifest_bytes
from raysweep.records.trial import Candidate, FittedModel, Trial, TrialState
from raysweep.stages.export.golden import write_golden
from raysweep.stages.export.publish import list_artifacts
from raysweep.stages.export.serving import serving_lines
from raysweep.stages.export.signature import make_signature
from raysweep.training.families import families
from raysweep.training.trusted import TRUSTED_TYPES

TESTS = Path(__file__).parent
HEAVY = ("ray", "boto3", "pandas", "typer", "optuna", "onnx", "mlflow")


def write_bundle(folder: Path, name: str, kind: TaskKind, like: Manifest) -> None:
    """A bundle with the parts that loading a model looks at."""
    pipeline, (task, block) = fitted_pipeline(name, kind), task_and_rows(kind)
    (folder / "model").mkdir(parents=True)
    pipeline.save(folder / "model")
    write_golden(folder / "golden.parquet", pipeline, task.inputs, block.features)
    artifacts: tuple[Artifact, ...] = list_artifacts(folder)
    files = tuple(one.path for one in artifacts if one.path.startswith("model/"))
    model = ModelRecord(
        family=name, params={}, seed=1, fitted_on="training", fitted_rows=block.rows, rounds=30, trial=0,
        files=files, trusted_types=TRUSTED_TYPES,
    )  # fmt: skip
    signature = make_signature(task, block.features)
    manifest = like.model_copy(update={"artifacts": artifacts, "model": model, "signature": signature})
    content = manifest.to_bytes()
    (folder / "manifest.json").write_bytes(content)
    sums = [(one.sha256, one.path) for one in artifacts] + [(hashlib.sha256(content).hexdigest(), "manifest.json")]
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {path}\n" for digest, path in sums))


def run(*command: object) -> str:
    """What a command prints; an end of this program where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def megabytes(folder: Path) -> float:
    """The weight of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main(wheel: Path) -> None:
    """Build, install, predict."""
    warnings.simplefilter("ignore")
    like = read_manifest_bytes((TESTS / "compat/v1/bundle/manifest.json").read_bytes())
    with tempfile.TemporaryDirectory(prefix="raysweep-serving-") as work:
        folder = Path(work)
        pairs = [(name, kind) for name, one in families().items() for kind in TaskKind if kind in one.tasks]
        for name, kind in pairs:
            write_bundle(folder / f"bundles/{name}-{kind.value}", name, kind, like)
        trial = Trial(Candidate(0, "xgboost", {}, "0", "default", 1), TrialState.COMPLETE)
        shipped = FittedModel(trial, fitted_pipeline("xgboost", TaskKind.BINARY), "training", 240, 0.0)
        (folder / "serving.txt").write_text(serving_lines(shipped, ()))
        run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
        python = folder / "venv/bin/python"
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps")
        run(*pip, wheel, "-r", folder / "serving.txt")
        said = run(python, TESTS / "serving_process.py", folder / "bundles", *HEAVY)
        places = list((folder / "venv/lib").glob("python*/site-packages"))
        without = sum(megabytes(path) for path in places[0].glob("xgboost*"))
        whole = megabytes(places[0])
        print(f"{said}{whole:,.0f} MB installed; {whole - without:,.0f} MB without xgboost")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
