"""What the Dockerfile installs, without Docker: by its own script, into a folder of its own, which is then looked at.

    python tests/proofs/image.py [--kind cpu|gpu]

Needs a package index. Exits 1 where something is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "cluster" / "image" / "install.sh"
TRY = """
import importlib.metadata, json, xgboost
names = {one.metadata["Name"] for one in importlib.metadata.distributions()}
cuda = bool(xgboost.build_info().get("USE_CUDA"))
print(json.dumps([xgboost.__version__, cuda, sorted(name for name in names if name.startswith(("xgboost", "nvidia")))]))
"""
EXPECTED = {"cpu": (False, ["xgboost-cpu"]), "gpu": (True, ["nvidia-nccl-cu12", "xgboost"])}


def main() -> int:
    """Run it; 1 where something is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=sorted(EXPECTED), default="cpu")
    kind = parser.parse_args().kind
    with TemporaryDirectory() as folder:
        problems = prove(Path(folder), kind)
    print(f"problems: {problems or 'none'}")
    return 1 if problems else 0


def prove(folder: Path, kind: str) -> list[str]:
    """Install as the build stage does, and look at what is there."""
    python = folder / "python" / "bin" / "python"
    run([sys.executable, "-m", "venv", python.parents[1]])
    run([python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "wheel", ROOT])
    (wheel,) = (folder / "wheel").glob("*.whl")
    installed = folder / "installed"
    run(["bash", INSTALL, kind, wheel, installed], PATH=f"{python.parent}:{os.environ['PATH']}")
    (packages,) = installed.glob("lib/python3*/site-packages")
    env = {"PYTHONPATH": str(packages), "PATH": f"{installed / 'bin'}:{os.environ['PATH']}"}
    version, cuda, names = json.loads(run([python, "-c", TRY], **env))
    print(f"{kind}: XGBoost {version}, CUDA {cuda}, {names}; {size_mb(installed):,.0f} MB")
    problems = [] if (cuda, names) == EXPECTED[kind] else [f"XGBoost: CUDA {cuda}, {names}"]
    for command in (["raysweep", "--version"], ["ray", "--version"], ["raysweep", "spaces"]):
        print(run(command, **env).splitlines()[0])
    return problems


def size_mb(folder: Path) -> float:
    """All files together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def run(command: list[str | Path], **env: str) -> str:
    """What a command prints; RuntimeError where it fails."""
    settings = os.environ | env
    settings.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    if "PYTHONPATH" not in env:
        settings.pop("PYTHONPATH", None)
    done = subprocess.run(list(map(str, command)), env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2_000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
