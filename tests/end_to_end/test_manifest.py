"""What a bundle says of itself: everything that a stranger needs, and no secret."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

import raysweep
from raysweep.records.manifest import read_manifest_bytes
from raysweep.schemas import read_schema
from sweep_builders import bundle_files, read_document, run_quietly, sweep_keys

pytestmark = pytest.mark.usefixtures("ray_session")

# Made up, and planted wherever a sweep could pick them up.
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTED0000000001",
    "AWS_SECRET_ACCESS_KEY": "plantedSecretKey/0000000000000000000002",
    "AWS_SESSION_TOKEN": "plantedSessionToken000000000000000003==",
    "SERVICE_PASSWORD": "planted-password-4",
    "HTTPS_PROXY": "http://ann:planted-proxy-password-5@127.0.0.1:9",
}
IN_ADDRESSES = ("planted-git-password-6", "planted-database-password-7", "planted-proxy-password-5")
PARTICULAR = "only Mrs Planted-Example-8 lives here"


def customers(rows: int = 700) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"age": rng.integers(18, 80, rows).astype(float), "plan": rng.choice(["a", "b", "c"], rows)})
    frame["seen"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")
    frame.loc[rng.random(rows) < 0.1, "age"] = np.nan
    frame["target"] = np.where(frame["age"].fillna(40) + 30 * (frame["plan"] == "a") > 60, "yes", "no")
    frame["city"] = [f"city {number % 30}" for number in range(rows)]
    frame.loc[frame.index[:2], "city"] = (PARTICULAR, PARTICULAR.upper())  # two spellings: `col.variants` shows both
    return frame


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A changed checkout with a key in it, into which everything is written."""
    folder = tmp_path_factory.mktemp("checkout")
    git(folder, "init", "-q")
    (folder / "train.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    git(folder, "remote", "add", "origin", f"https://ann:{IN_ADDRESSES[0]}@git.example/x.git")
    (folder / "train.py").write_text(f'url = "postgres://ann:{IN_ADDRESSES[1]}@db/x"\n')
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    (folder.parent / "key.pem").write_bytes(private)
    public = key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    (folder.parent / "public.pem").write_bytes(public)
    return folder


@pytest.fixture(scope="module")
def bundle(place: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        keys = sweep_keys(
            place / "runs",
            data={"prepare": [{"rule": "clip", "columns": ["age"], "high": 75}]},
            search={"space": {"version": 1, "families": {"logistic_regression": {}, "k_neighbors": {}}}, "trials": 1},
            export={"rows": "none", "sign": str(place.parent / "key.pem"), "top": 1},
        )
        return Path(run_quietly(keys, customers(), run_id="signed").bundle_url)


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> dict:
    return read_document(bundle, "manifest.json")


def test_it_verifies_with_its_key(bundle, place):
    found = raysweep.verify(bundle, key=place.parent / "public.pem")
    assert found.problems == ()
    assert found.notes == ()


def test_it_is_written_in_one_form_that_the_schema_describes(bundle, manifest):
    content = (bundle / "manifest.json").read_bytes()
    jsonschema.validate(manifest, read_schema("manifest-2"))
    assert read_manifest_bytes(content).to_bytes() == content


def test_it_names_every_file_but_the_sums_the_signature_and_itself(bundle, manifest):
    unlisted = {"manifest.json", "manifest.sig", "SHA256SUMS"}
    files = {name: content for name, content in bundle_files(bundle).items() if name not in unlisted}
    said = {one["path"]: (one["sha256"], one["size_bytes"]) for one in manifest["artifacts"]}
    assert said == {name: (hashlib.sha256(one).hexdigest(), len(one)) for name, one in files.items()}
    assert all(one["media_type"] != "application/octet-stream" for one in manifest["artifacts"])


def test_its_signature_says_what_the_model_has_seen(manifest):
    inputs = {one["name"]: one for one in manifest["signature"]["inputs"]}
    assert inputs["age"]["nullable"]
    assert not inputs["plan"]["nullable"]
    assert inputs["plan"]["categories"] == ["a", "b", "c"]
    frame = customers()
    assert frame["age"].min() <= inputs["age"]["low"] < inputs["age"]["high"] <= frame["age"].max()
    assert inputs["seen"]["low"] >= "2024-01-01"
    assert [one["name"] for one in manifest["signature"]["outputs"]] == ["prediction", "probability"]
    assert manifest["signature"]["outputs"][1]["classes"] == ["no", "yes"]


def test_it_says_where_the_model_comes_from(manifest, place):
    assert [one["name"] for one in manifest["data"]["schema_columns"]] == list(customers().columns)
    assert manifest["search"]["budget"]["trials"] == 1
    assert manifest["search"]["space"]["families"].keys() == {"logistic_regression"}
    assert manifest["model"]["params_digest"]
    gates = {one["name"]: one["outcome"] for one in manifest["final_check"]["gates"]}
    assert gates["seal"] == "passed"
    code = manifest["code"]
    assert (code["repository"], code["dirty"]) == ("https://git.example/x.git", True)
    assert code["commit"] == git(place, "rev-parse", "HEAD")
    assert code["diff_sha256"] == hashlib.sha256((place / "runs/signed/code/diff.patch").read_bytes()).hexdigest()
    assert manifest["environment"]["packages"]["scikit-learn"]
    assert manifest["environment"]["memory_bytes"] > 2**30


def test_the_lock_pins_what_is_installed(bundle):
    lines = (bundle / "config/requirements.lock").read_text().splitlines()
    assert lines[0].startswith("# Python 3.")
    assert any(line.startswith("xgboost==") for line in lines)
    assert not any(line.startswith("raysweep @ file:") for line in lines)


@pytest.mark.parametrize("name", ["data-checks", "final-check"])
def test_the_test_results_are_what_in_toto_reads(bundle, manifest, name):
    document = read_document(bundle, f"attestations/{name}.json")
    statement = json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    assert document["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    result = json_format.ParseDict(document["predicate"], test_result_pb2.TestResult())
    assert result.result in {"PASSED", "WARNED"}
    assert result.passed_tests
    assert not result.failed_tests
    hashes = {one["path"]: one["sha256"] for one in manifest["artifacts"]}
    assert result.configuration[0].digest["sha256"] == hashes["config/sweep.yaml"]
    if name == "final-check":
        assert {one["name"]: one["digest"]["sha256"] for one in document["subject"]} == {
            path: hashes[path] for path in manifest["model"]["files"]
        }
        assert "seal" in result.passed_tests
    else:
        assert document["subject"][0]["digest"]["raysweepRows"] == manifest["data"]["row_digest"]
        assert "col.variants" in result.warned_tests


def test_nothing_that_was_written_holds_a_secret(bundle, place, raysweep_home):
    secrets = [value for name, value in SECRETS.items() if name != "HTTPS_PROXY"]
    secrets += [*IN_ADDRESSES, (place.parent / "key.pem").read_text().splitlines()[1]]
    import ray

    logs = Path(ray.worker._global_node.get_session_dir_path()) / "logs"
    written = [path for folder in (place / "runs", raysweep_home, logs) for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 30
    held = {(path, secret) for path in written for secret in secrets if secret.encode() in path.read_bytes()}
    assert held == set()


def test_without_rows_no_value_of_a_single_row_is_an_example(bundle):
    findings = read_document(bundle, "data/findings.json")["findings"]
    assert any(one["check"] == "col.variants" for one in findings)
    assert all(one["examples"] == [] for one in findings)


def test_without_rows_no_row_of_the_table_is_in_the_golden_file_nor_in_a_model(bundle, manifest):
    golden = pq.read_table(bundle / "golden.parquet")["features"].to_pylist()
    assert len(golden) > 50
    rows = {tuple(map(str, row)) for row in customers().drop(columns="target").itertuples(index=False)}
    assert not {tuple(str(value) for value in row.values()) for row in golden} & rows
    assert manifest["search"]["space"]["families"].keys() == {"logistic_regression"}


def test_without_rows_a_search_of_neighbours_alone_is_refused():
    keys = sweep_keys(
        "runs", export={"rows": "none"}, search={"space": {"version": 1, "families": {"k_neighbors": {}}}}
    )
    with pytest.raises(raysweep.RequestInvalid, match="a model of k_neighbors holds rows"):
        raysweep.run_sweep(keys, data=customers())


def test_a_key_that_cannot_sign_is_refused_before_anything_is_computed(place, tmp_path):
    keys = sweep_keys(tmp_path / "runs", export={"sign": str(place.parent / "public.pem")})
    with pytest.raises(raysweep.RequestInvalid, match=r"public\.pem holds no private key"):
        raysweep.run_sweep(keys, data=customers())
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("*/journal"))
