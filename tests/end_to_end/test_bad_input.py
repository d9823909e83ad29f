"""Whatever is wrong is said once, with its place and the way out; nothing half-written stays."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from builders import clean_table
from sweep_builders import RANDOM_ONE_SLOT, quick_space, run_quietly, sweep_keys

ROWS = 120


@dataclass(frozen=True)
class Case:
    """A bad request.

    Attributes:
        name: of the case.
        code: the exit code.
        says: texts that the message must hold.
        keys: merged into the sweep, section by section.
        data: writes the data and gives the address; a good table where it is None.
    """

    name: str
    code: int
    says: tuple[str, ...]
    keys: dict[str, Any] = field(default_factory=dict)
    data: Callable[[Path], Path] | None = None


def good_csv(folder: Path) -> Path:
    return write_csv(folder, clean_table(ROWS, 0))


def write_csv(folder: Path, frame: pd.DataFrame) -> Path:
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    return path


def with_target(values: Callable[[int], Any], rows: int = ROWS) -> Callable[[Path], Path]:
    return lambda folder: write_csv(folder, clean_table(rows, 0).assign(target=values(rows)))


def no_file(folder: Path) -> Path:
    good_csv(folder)
    return folder / "tabel.csv"


def empty_file(folder: Path) -> Path:
    path = folder / "empty.csv"
    path.write_bytes(b"")
    return path


def header_only(folder: Path) -> Path:
    return write_csv(folder, clean_table(ROWS, 0).head(0))


def truncated_parquet(folder: Path) -> Path:
    path = folder / "cut.parquet"
    clean_table(ROWS, 0).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def no_parquet(folder: Path) -> Path:
    path = folder / "text.parquet"
    path.write_text("this is text\n")
    return path


def ragged_csv(folder: Path) -> Path:
    path = good_csv(folder)
    lines = path.read_text().splitlines()
    lines[40] += ",one,too,many"
    path.write_text("\n".join(lines) + "\n")
    return path


def cut_gzip(folder: Path) -> Path:
    path = folder / "table.csv.gz"
    path.write_bytes(gzip.compress(good_csv(folder).read_bytes())[:-40])
    (folder / "table.csv").unlink()
    return path


def different_columns(folder: Path) -> Path:
    parts = folder / "parts"
    parts.mkdir()
    frame = clean_table(ROWS, 0)
    frame.to_parquet(parts / "first.parquet")
    frame.rename(columns={"age": "years"}).to_parquet(parts / "second.parquet")
    return parts


def broken_json_line(folder: Path) -> Path:
    path = folder / "table.jsonl"
    lines = clean_table(ROWS, 0).to_json(orient="records", lines=True, date_format="iso").splitlines()
    lines[30] = lines[30][:20]
    path.write_text("\n".join(lines) + "\n")
    return path


def column_twice(folder: Path) -> Path:
    path = good_csv(folder)
    header, _, rest = path.read_text().partition("\n")
    path.write_text(f"{header.replace('visits', 'age')}\n{rest}")
    return path


def column_without_name(folder: Path) -> Path:
    path = good_csv(folder)
    header, _, rest = path.read_text().partition("\n")
    path.write_text(f"{header.replace('visits', '')}\n{rest}")
    return path


def space_of(**params: Any) -> dict[str, Any]:
    return {"search": {"space": {"version": 1, "families": {"xgboost": {"params": params}}}}}


REQUESTS = [
    Case("unknown key", 2, ("search.trails", "did you mean", "trials"), {"search": {"trails": 20}}),
    Case("wrong type", 2, ("search.trials",), {"search": {"trials": "many"}}),
    Case(
        "several at once",
        2,
        ("search.trails", "search.seed", "exprot", "split.parts"),
        {
            "search": {"trails": 1, "seed": "x"},
            "exprot": {},
            "split": {"parts": {"training": 0.9, "testing": 0.9, "validation": 0.1}},
        },
    ),
    Case(
        "unknown family",
        2,
        ("xgbost", "did you mean", "xgboost"),
        {"search": {"space": {"version": 1, "families": {"xgbost": {}}}}},
    ),
    Case("unknown parameter", 2, ("max_dept", "did you mean", "max_depth"), space_of(max_dept={"int": [1, 3]})),
    Case("reversed bounds", 2, ("max_depth", "reversed", "[3, 12]"), space_of(max_depth={"int": [12, 3]})),
    Case("log of 0", 2, ("learning_rate", "above 0"), space_of(learning_rate={"float": [0, 0.4], "log": True})),
    Case(
        "several in the space",
        2,
        ("max_depth", "learning_rate", "max_bin"),
        space_of(max_depth={"int": [9, 3]}, learning_rate={"float": [0, 1], "log": True}, max_bin={"itn": [1, 2]}),
    ),
    Case("unknown space", 2, ("atuo", "did you mean", "auto"), {"search": {"space": "atuo"}}),
    Case("unknown metric", 2, ("roc_acu", "did you mean", "roc_auc"), {"search": {"metric": "roc_acu"}}),
    Case("metric of another task", 2, ("rmse", "binary", "roc_auc"), {"search": {"metric": "rmse"}}),
    Case(
        "unknown feature",
        2,
        ("features.include", "aeg", "did you mean", "age"),
        {"data": {"features": {"include": ["aeg", "amount"]}}},
    ),
    Case("key column absent", 2, ("split.key", "idd"), {"split": {"key": ["idd"]}}),
    Case("weight column absent", 2, ("weight", "wieght"), {"data": {"weight": "wieght"}}),
    Case("no target named", 2, ("data.target",), {"data": {"target": None}}),
    Case("no such file", 2, ("tabel.csv",), data=no_file),
    Case("export into a file", 6, ("export.to",), {"export": {"to": "a-file/below"}}),
    Case("export to nowhere", 2, ("ftp://",), {"export": {"to": "ftp://host/runs"}}),
]
TOO_MANY_CPUS = Case("more CPUs than there are", 5, ("search.trial.cpus", "999"), {"search": {"trial": {"cpus": 999}}})
UNREADABLE = [
    Case("empty file", 3, ("empty.csv", "empty"), data=empty_file),
    Case("truncated parquet", 3, ("cut.parquet",), data=truncated_parquet),
    Case("no parquet at all", 3, ("text.parquet",), data=no_parquet),
    Case("ragged lines", 3, ("table.csv", "41"), data=ragged_csv),
    Case("truncated gzip", 3, ("table.csv.gz",), data=cut_gzip),
    Case("broken JSON line", 3, ("table.jsonl",), data=broken_json_line),
    Case("different columns", 3, ("second.parquet", "years"), data=different_columns),
    Case("a column twice", 3, ("age",), data=column_twice),
    Case("a column without a name", 3, ("name",), data=column_without_name),
]
UNSUITABLE = [
    Case("header only", 3, ("rows",), data=header_only),
    Case("absent target", 3, ("targte", "target"), {"data": {"target": "targte"}}),
    Case("constant target", 3, ("target",), data=with_target(lambda rows: np.ones(rows, int))),
    Case("target all null", 3, ("target",), data=with_target(lambda _: None)),
    Case("ten rows", 3, ("10 rows",), data=lambda folder: write_csv(folder, clean_table(10, 0))),
]


def file_of(case: Case, folder: Path) -> Path:
    keys = sweep_keys("runs", source=(case.data or good_csv)(folder), search={"trials": 2})
    for section, values in case.keys.items():
        keys[section] = {**keys.get(section, {}), **values}
    (folder / "a-file").write_text("in the way")
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(keys, allow_unicode=True))
    return path


def published(folder: Path) -> list[Path]:
    """Run folders, each of which must be a whole bundle."""
    runs = folder / "runs"
    found = [entry for entry in runs.iterdir() if not entry.name.startswith(".")] if runs.is_dir() else []
    assert all((entry / "manifest.json").is_file() for entry in found)
    return found


def check_message(case: Case, out: str, err: str) -> None:
    assert "Traceback" not in out + err
    assert err.count("raysweep: ") == 1
    message = err.partition("raysweep: ")[2]
    assert "unexpected" not in message
    assert [text for text in case.says if text.lower() not in message.lower()] == [], message


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", [*REQUESTS, *UNREADABLE], ids=names)
def test_it_is_refused_before_anything_is_published(case: Case, folder: Path, ray_session: None, command):
    ran = command("run", file_of(case, folder))
    check_message(case, ran.out, ran.err)
    assert ran.code == case.code
    assert published(folder) == []


def test_too_few_cpus_leave_nothing(folder: Path, ray_session: None, command):
    ran = command("run", file_of(TOO_MANY_CPUS, folder))
    check_message(TOO_MANY_CPUS, ran.out, ran.err)
    assert ran.code == TOO_MANY_CPUS.code
    assert published(folder) == []


@pytest.mark.parametrize("case", UNSUITABLE, ids=names)
def test_unsuitable_data_publish_their_findings_and_no_model(case: Case, folder: Path, ray_session: None, command):
    ran = command("run", file_of(case, folder))
    check_message(case, ran.out, ran.err)
    assert ran.code == case.code
    (bundle,) = published(folder)
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["outcome"] == "data unsuitable"
    assert manifest["model"] is None
    assert not (bundle / "model").exists()
    assert command("verify", bundle).code == 0
    shown = command("show", bundle)
    assert shown.code == 0
    for proposal in json.loads((bundle / "data" / "findings.json").read_text())["proposals"]:
        assert proposal["line"] in shown.out


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.yaml", None, "none.yaml"),
        ("broken.yaml", "version: 1\ndata: [", "broken.yaml"),
        ("list.yaml", "- 1\n- 2\n", "list.yaml"),
        ("empty.yaml", "", "empty.yaml"),
        ("bytes.yaml", b"\xff\xfe\x00", "bytes.yaml"),
        ("future.yaml", "version: 7\ndata: {source: a.csv, target: b}\n", "version"),
    ],
)
def test_an_unreadable_sweep_file_is_named(name, content, says, folder: Path, command):
    if content is not None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = command("run", name)
    check_message(Case(name, 2, (says,)), ran.out, ran.err)
    assert ran.code == 2


def test_a_wrong_set_is_named(folder: Path, command):
    ran = command("run", file_of(Case("good", 0, ()), folder), "--set", "search.trails=3", "--set", "split.seed=x")
    check_message(Case("", 2, ("search.trails", "split.seed")), ran.out, ran.err)
    assert ran.code == 2


def test_debug_shows_the_traceback(folder: Path, command):
    ran = command("run", "none.yaml", "--debug")
    assert "Traceback" in ran.err
    assert ran.code == 2


def test_json_holds_the_error(folder: Path, ray_session: None, command):
    ran = command("run", file_of(UNREADABLE[1], folder), "--json")
    assert json.loads(ran.out)["error"]["exit_code"] == ran.code == 3


@pytest.mark.parametrize("case", [REQUESTS[2], UNREADABLE[1]], ids=names)
def test_a_process_says_the_same(case: Case, folder: Path):
    done = subprocess.run(
        [sys.executable, "-m", "raysweep", "run", file_of(case, folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "RAYSWEEP_HOME": str(folder / "home")},
    )
    check_message(case, done.stdout, done.stderr)
    assert done.returncode == case.code
    assert published(folder) == []
    assert list(folder.glob("home/runs/*")) == []


def test_hard_names_and_values_sweep_and_are_escaped(folder: Path, ray_session: None):
    script, long = "<script>alert('x')</script>", "n" * 3_000
    frame = clean_table(400, 1).rename(columns={"amount": "größe (東京)", "age": script, "visits": long})
    frame = frame.assign(**{"a,b\"c'": frame["balance"].rank()})
    keys = sweep_keys(
        folder / "runs",
        search={**RANDOM_ONE_SLOT, "trials": 2, "space": quick_space(["xgboost", "logistic_regression"])},
    )
    done = run_quietly(keys, frame)
    bundle = Path(done.bundle_url)
    report = (bundle / "report.html").read_text(encoding="utf-8")
    assert script not in report
    assert script not in (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "größe (東京)" in report
    assert {trial.state.value for trial in done.search.trials} == {"complete"}


def test_infinities_are_a_finding_and_no_obstacle(folder: Path, ray_session: None):
    frame = clean_table(400, 1)
    frame.loc[:1, "balance"] = np.inf
    frame.loc[2:3, "balance"] = -np.inf
    keys = sweep_keys(
        folder / "runs",
        search={**RANDOM_ONE_SLOT, "trials": 2, "space": quick_space(["xgboost", "logistic_regression"])},
    )
    done = run_quietly(keys, frame)
    assert {trial.state.value for trial in done.search.trials} == {"complete"}
    assert done.examined.profile.column("balance").infinite == 4


def test_a_class_with_one_row_is_no_crash(folder: Path, ray_session: None, command):
    frame = clean_table(300, 2, "multiclass")
    frame.loc[0, "target"] = "once"
    path = write_csv(folder, frame)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep_keys(
        "runs", source=path, search={**RANDOM_ONE_SLOT, "trials": 1, "space": quick_space(["xgboost"])}
    )))  # fmt: skip
    ran = command("run", "sweep.yaml")
    assert ran.code == 3
    check_message(Case("", 3, ("target.rare_class", "'once' (1 row")), ran.out, ran.err)
    assert len(published(folder)) == 1
