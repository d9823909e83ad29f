"""What is sent to a cluster: the sweep, its rules and raysweep's own code, the same bytes each time, and no data."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysweep.config import SweepConfig, load_config
from raysweep.errors import NotFound, RequestInvalid
from raysweep.history import check_changes, differences
from raysweep.job.local_data import absolute, check_addresses, uploaded
from raysweep.job.packages import is_older, lacking_packages
from raysweep.job.packing import SCHEMA_FILE, Install, Package, pack
from raysweep.job.wheel import own_wheel
from raysweep.space import shipped_spaces


def sweep(**sections: Any) -> SweepConfig:
    data = {"source": "s3://bucket/table.csv", "target": "late", **sections.pop("data", {})}
    return load_config({"version": 1, "data": data, "export": {"to": "s3://bucket/runs"}, **sections})


def files_of(package: Package) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_code_and_the_spaces_and_says_what_it_holds() -> None:
    wheel = own_wheel()

    assert wheel.name.endswith("-py3-none-any.whl")
    assert "raysweep/job/driver.py" in wheel.files
    assert {f"raysweep/search_spaces/{name}.yaml" for name in shipped_spaces()} <= wheel.files.keys()
    assert not [name for name in wheel.files if "__pycache__" in name or name.endswith(".pyc") or ".git" in name]
    record = next(content for name, content in wheel.files.items() if name.endswith("/RECORD")).decode()
    listed = {line.split(",")[0]: line.split(",")[1] for line in record.splitlines()}
    assert listed.keys() == wheel.files.keys()
    for name, content in wheel.files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert listed[name] in {f"sha256={digest}", ""}, name


def test_an_unpacked_wheel_is_the_raysweep_that_runs_there(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(own_wheel().content())) as archive:
        archive.extractall(tmp_path)
    program = (
        "import raysweep, importlib.metadata as m; from raysweep.space import shipped_spaces; "
        "print(raysweep.__file__, m.distribution('raysweep')._path, len(shipped_spaces()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd="/", env={"PYTHONPATH": str(tmp_path)}, capture_output=True, check=True
    )
    package, description, spaces = done.stdout.decode().split()
    assert package.startswith(str(tmp_path))
    assert description.startswith(str(tmp_path))
    assert int(spaces) == len(shipped_spaces())


def test_the_same_sweep_is_the_same_package() -> None:
    one, other = (pack(sweep(), "nightly", Install.CODE) for _ in range(2))

    assert one.content == other.content
    assert one.name == other.name
    assert one.digest != pack(sweep(split={"seed": 1}), "nightly", Install.CODE).digest


def test_the_sweep_comes_out_as_it_went_in_but_for_its_cluster(tmp_path: Path) -> None:
    space = {
        "version": 1,
        "families": {"xgboost": {"params": {"max_depth": {"int": [2, 9]}}}, "logistic_regression": {}},
    }
    config = sweep(search={"space": space}, cluster={"address": "auto"})
    (tmp_path / "sweep.yaml").write_bytes(files_of(pack(config, "nightly", Install.NONE))["sweep.yaml"])

    there = load_config(tmp_path / "sweep.yaml")

    assert there == sweep(search={"space": space})
    assert list(there.model_dump()["search"]["space"]["families"]) == list(space["families"])  # the order counts


def test_the_rules_of_a_user_go_along(tmp_path: Path) -> None:
    rules = tmp_path / "mine.yaml"
    rules.write_text("columns: {}\n")
    config = sweep(checks={"schema": str(rules)})
    package = pack(config, "nightly", Install.NONE)

    assert files_of(package)[SCHEMA_FILE] == rules.read_bytes()
    assert yaml.safe_load(files_of(package)["sweep.yaml"])["checks"]["schema"] == SCHEMA_FILE
    rules.write_text("columns: {a: {}}\n")
    assert pack(config, "nightly", Install.NONE).digest != package.digest
    rules.unlink()
    with pytest.raises(NotFound, match=r"checks\.schema"):
        pack(config, "nightly", Install.NONE)


def test_the_rules_may_lie_in_another_folder_each_time_but_not_be_gone(tmp_path: Path) -> None:
    here, there = (sweep(checks={"schema": f"/{folder}/schema.yaml"}) for folder in ("one", "two"))

    assert differences(here, there) == []
    assert differences(here, sweep()) == ["checks.schema"]
    check_changes(here, there)
    for one, other in ((here, sweep()), (sweep(), here)):
        with pytest.raises(RequestInvalid, match=r"checks\.schema"):
            check_changes(one, other)


def test_no_credential_and_no_token_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "not-for-the-dashboard-0123456789"  # noqa: S105 - made up
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "RAY_AUTH_TOKEN", "HTTPS_PROXY"):
        monkeypatch.setenv(name, secret)
    package = pack(
        sweep(export={"to": "s3://bucket/runs", "sign": "/keys/on-the-cluster.pem"}), "nightly", Install.CODE
    )

    said = json.dumps([package.runtime_env("gcs://x.zip"), package.metadata(1), package.entrypoint()])
    assert secret not in said
    assert not [name for name, content in files_of(package).items() if secret.encode() in content]
    assert not [name for name in files_of(package) if name.endswith(".pem")]


def test_a_job_can_be_stopped_by_a_signal_that_it_understands() -> None:
    package = pack(sweep(), "nightly", Install.INDEX)
    environment = package.runtime_env("gcs://x.zip")

    assert environment["env_vars"]["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    assert int(environment["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) >= 3600
    assert environment["uv"][0].startswith("raysweep==")
    assert "raysweep/__init__.py" not in files_of(package)
    assert package.metadata(2)["job_name"] == "sweep"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"data": {"source": "table.csv"}}, r"data\.source: /\S+/table\.csv is on this machine.*--upload-data"),
        ({"data": {"source": ["s3://b/a.csv", "/data/b.csv"]}}, r"/data/b\.csv is on this machine"),
        ({"export": {"to": "runs/"}}, r"export\.to: runs/ would be lost with the node.*s3://bucket/prefix"),
        ({"confirm": {"production": "runs@production"}}, r"confirm\.production: runs@production is on this machine"),
        ({"export": {"sign": "key.pem"}}, r"export\.sign: /\S+/key\.pem is on this machine, and a key is never sent"),
        ({"export": {"s3": {"ca_bundle": "/etc/ca.pem"}}}, r"export\.s3\.ca_bundle: /etc/ca\.pem .*AWS_CA_BUNDLE"),
        ({"data": {"s3": {"ca_bundle": "/etc/ca.pem"}}}, r"data\.s3\.ca_bundle: /etc/ca\.pem .*AWS_CA_BUNDLE"),
        ({"data": {"source": "memory:"}}, r"memory: is a table in this process"),
    ],
)
def test_what_only_this_machine_has_is_refused_by_its_name(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestInvalid, match=words):
        check_addresses(sweep(**sections), shared=False, upload=False)


def test_every_such_path_is_named_at_once() -> None:
    with pytest.raises(RequestInvalid) as refused:
        check_addresses(sweep(data={"source": ["a.csv", "b.csv"]}, export={"to": "runs"}), shared=False, upload=False)

    assert len(refused.value.problems) == 3


def test_paths_may_be_shared_and_data_uploaded_but_a_table_in_memory_is_neither() -> None:
    local = sweep(data={"source": "table.csv"}, export={"to": "runs"})
    check_addresses(local, shared=True, upload=False)
    check_addresses(sweep(data={"source": "table.csv"}), shared=False, upload=True)
    assert Path(absolute(local).export.to).is_absolute()
    with pytest.raises(RequestInvalid, match="memory:"):
        check_addresses(sweep(data={"source": "memory:"}), shared=True, upload=True)
    with pytest.raises(RequestInvalid, match=r"export\.to"):
        check_addresses(local, shared=False, upload=True)


def test_data_are_put_once_by_their_content(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"x,late\n1,{name}\n")
    config = sweep(data={"source": str(tmp_path / "*.csv")}, export={"to": str(store)})
    said: list[str] = []
    first = uploaded(config, said.append)
    modified = {path: path.stat().st_mtime_ns for path in store.rglob("*.csv")}

    assert uploaded(config, said.append) == first
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.csv")} == modified
    assert first.data.sources == tuple(sorted(map(str, modified)))
    for path in modified:
        assert path.parent.name == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.parents[1] == store / ".raysweep" / "data"
    assert ["already" in one for one in said] == [False, False, True, True]
    (tmp_path / "a.csv").write_text("x,late\n2,other\n")
    assert uploaded(config, said.append).data.sources != first.data.sources


def test_files_that_would_become_one_are_refused(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.csv").write_text("x,late\n1,0\n")
    config = sweep(data={"source": [str(tmp_path / "x"), str(tmp_path / "y")]}, export={"to": str(tmp_path / "store")})

    with pytest.raises(RequestInvalid, match=r"same name and content .*part\.csv"):
        uploaded(config, print)
    assert not (tmp_path / "store").exists(), "nothing is put of what is refused"


def test_what_is_missing_or_too_old_is_named() -> None:
    wanted = ["pytest>=1", "numpy>=999.1", "nowhere>=2 ; python_version > '3'", "xgboost>=1", "x>=1; extra == 'onnx'"]

    assert lacking_packages(wanted)[0].startswith("numpy is ")
    assert lacking_packages(wanted)[0].endswith("and has to be 999.1 or newer")
    assert lacking_packages(wanted)[1:] == ["nowhere is missing (2 or newer)"]
    assert lacking_packages() == []
    assert is_older("2.9.3", "2.60")
    assert not is_older("2.60.0", "2.60")
    assert not is_older("3.0.0rc1", "2.60")


def test_a_cluster_that_lacks_packages_says_so_before_anything_else(tmp_path: Path) -> None:
    files = dict(own_wheel().files)
    metadata = next(name for name in files if name.endswith("/METADATA"))
    files[metadata] = files[metadata].replace(b"Requires-Dist: numpy>=", b"Requires-Dist: numpy>=999.")
    for name, content in files.items():
        if name.endswith("/METADATA") or name.startswith(("raysweep/__init__", "raysweep/job/")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "raysweep.job.driver", "run", "nightly"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 5
    started, failed = map(json.loads, done.stderr.splitlines())
    assert started["run_id"] == "nightly"
    assert failed["exit_code"] == 5
    assert "numpy is " in failed["message"]
    assert "--install index" in failed["message"]
