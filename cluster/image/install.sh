#!/usr/bin/env bash
# Install raysweep's wheel and what it needs below a prefix, with the XGBoost for a CPU (24 MB) or for GPUs (500 MB).
#
#   bash install.sh cpu|gpu WHEEL PREFIX [REQUIREMENT...]      more requirements: raysweep's extras' packages, your families
set -euo pipefail
kind=${1:?cpu or gpu} wheel=${2:?the wheel} prefix=${3:?where to}
shift 3

# Both packages are imported as `xgboost`, and pip would put one over the other: so one takes the other's place here.
requirements=$(python - "$kind" "$wheel" << 'PY'
import sys, zipfile
from email.parser import Parser

kind, wheel = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    needed = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")
for line in needed:
    if "extra ==" in line:
        continue
    print(line.replace("xgboost", "xgboost-cpu", 1) if kind == "cpu" and line.startswith("xgboost") else line)
PY
)
mapfile -t lines <<< "$requirements"
python -m pip install --no-cache-dir --ignore-installed --quiet --prefix "$prefix" "${lines[@]}" "$@"
python -m pip install --no-cache-dir --ignore-installed --quiet --prefix "$prefix" --no-deps "$wheel"
