"""config/serving.txt: the packages that `load_model` and `predict` need for one model, each pinned to what made it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from raysweep.prepare_rules import Rule, ToDate
from raysweep.records.trial import FittedModel
from raysweep.training.own_export import estimator_source
from raysweep.training.pipeline import pipeline_of

SERVING_FILE: Final = "serving.txt"
_ALWAYS: Final = ("numpy", "pyarrow", "pydantic", "PyYAML", "scikit-learn", "skops", "threadpoolctl")
_XGBOOST: Final = "xgboost"
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?[^;]*(?:;(.*))?")
_OPTIONAL: Final = re.compile(r"\bextra\s*==")
_ELSEWHERE: Final = re.compile(r"""(?:sys_platform|platform_system)\s*==\s*['"](?!linux|Linux)""")
_HEAD: Final = """\
# What raysweep.load_model and predict need for this model, and nothing else: Ray, boto3 and pandas are not among it.
#   pip install --no-deps raysweep=={version} -r serving.txt
# (A bundle on S3 needs boto3 too; a pandas DataFrame needs pandas.)
"""


def serving_lines(shipped: FittedModel, rules: tuple[Rule, ...]) -> str:
    """The file.

    Args:
        shipped: the fit.
        rules: of its preparation.
    """
    pipeline = pipeline_of(shipped)
    source = estimator_source(pipeline)
    roots = [*_ALWAYS]
    if any(isinstance(rule, ToDate) for rule in rules):
        roots.append("pandas")  # reads the dates
    if source is not None and source.package:
        roots.append(source.package.partition(" ")[0])
    pinned = dict(_pinned(roots))
    lines = [f"{name}=={found}" for name, found in sorted(pinned.items(), key=lambda pair: pair[0].lower())]
    if pipeline.family == _XGBOOST:
        lines += _xgboost()
    return _HEAD.format(version=version("raysweep")) + "".join(f"{line}\n" for line in lines)


def requirement_lines(serving: str, raysweep: str) -> tuple[str, ...]:
    """The same for tools that install what each package wants, which raysweep's own needs are then part of."""
    pinned = [line for line in serving.splitlines() if not line.startswith(("#", "xgboost"))]
    return (f"raysweep=={raysweep}", *pinned)


def _xgboost() -> list[str]:
    """The same library without its GPU part, where its makers build it: 19 MB in place of 697."""
    found = _version("xgboost") or _version("xgboost-cpu")
    small = "sys_platform == 'linux' or sys_platform == 'win32'"
    return [f"xgboost-cpu=={found}; {small}", f"xgboost=={found}; sys_platform == 'darwin'"]


def _pinned(roots: list[str]) -> list[tuple[str, str]]:
    """Name and version of these packages, and of all that they want and this environment has."""
    found: dict[str, tuple[str, str]] = {}
    left = list(roots)
    while left:
        name = left.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        installed = _version(name)
        if key in found or installed is None or key in {"raysweep", _XGBOOST}:
            continue
        found[key] = (name, installed)
        left += [wanted for wanted in map(_wanted, requires(name) or ()) if wanted]
    return list(found.values())


def _wanted(requirement: str) -> str | None:
    """The package that a line of metadata asks for here: neither for an extra nor for another system."""
    matched = _REQUIREMENT.fullmatch(requirement)
    if matched is None:
        return None
    condition = matched[2] or ""
    return None if _OPTIONAL.search(condition) or _ELSEWHERE.search(condition) else matched[1]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
