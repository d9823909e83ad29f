"""What somebody may put into a bundle, with every sum made right again, is named or refused, and never obeyed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raysweep
from raysweep.cli.main import main
from raysweep.errors import BundleRefused, RequestInvalid
from raysweep.records.alias import MAX_MOVES
from sealing import reseal

OLD = Path(__file__).parents[1] / "compat/v1/bundle"


@pytest.fixture
def bundle(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(OLD, tmp_path / "runs/one")


def named(bundle: Path) -> dict[str, str]:
    return {row.path: row.problem for row in raysweep.verify(bundle).rows if not row.ok}


def grow(path: Path, size_bytes: int) -> None:
    """A file that is so large and takes no room."""
    with path.open("r+b") as file:
        file.truncate(size_bytes)


def command(capsys, *arguments: object) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([str(one) for one in arguments])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


def test_a_bundle_that_was_sealed_again_is_good_where_nothing_is_wrong(bundle):
    reseal(bundle)
    assert named(bundle) == {}


def test_a_manifest_of_a_gibibyte_is_not_read(bundle, capsys):
    grow(bundle / "manifest.json", 2**30)
    assert "1,073,741,824 bytes large: not a manifest" in named(bundle)["manifest.json"]
    for look in (raysweep.load_model, raysweep.show):
        with pytest.raises(BundleRefused, match="not a manifest"):
            look(bundle)
    assert command(capsys, "verify", bundle)[0] == 8


def test_sums_of_a_gibibyte_are_not_read(bundle):
    grow(bundle / "SHA256SUMS", 2**30)
    assert "no list of sums" in named(bundle)["SHA256SUMS"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ('{"schema_version": 1}'.encode("utf-16"), "utf-8"),
        (b'{"schema_version": true}', "schema_version"),
        (b'{"schema_version": 1.0}', "schema_version"),
        (b"[" * 100_000, "nested too deeply|Expecting"),
        (b"[]", "dict|object"),
        (b'{"schema_version": 2}', r"raysweep: is missing; and \d+ more"),
    ],
)
def test_a_manifest_that_is_none_is_refused_in_words_of_our_own(bundle, content, problem):
    (bundle / "manifest.json").write_bytes(content)
    with pytest.raises(BundleRefused, match=rf"manifest\.json cannot be read: .*({problem})") as refused:
        raysweep.load_model(bundle)
    assert "pydantic" not in str(refused.value)


@pytest.mark.parametrize("where", ["/etc/passwd", "/etc", "nowhere", "report.html"])
def test_an_added_link_is_named_wherever_it_leads(bundle, where):
    (bundle / "data/link").symlink_to(where)
    assert named(bundle) == {"data/link": "is a symbolic link: a bundle holds none"}


def test_a_file_behind_a_link_is_named_also_where_it_is_the_same(bundle):
    (bundle / "journal").mkdir()
    (bundle / "report.html").rename(bundle / "journal/report.html")
    (bundle / "report.html").symlink_to("journal/report.html")
    assert "symbolic link" in named(bundle)["report.html"]


def test_pipes_and_unfinished_files_are_named(bundle):
    os.mkfifo(bundle / "pipe")
    (bundle / "model/.raysweep-part-evil.py").write_text("")
    (bundle / "journal").mkdir()
    os.mkfifo(bundle / "journal/pipe")  # the journal is not looked at
    assert named(bundle).keys() == {"pipe", "model/.raysweep-part-evil.py"}


def test_a_signature_without_a_signed_manifest_is_a_stranger(bundle):
    (bundle / "manifest.sig").write_bytes(bytes(64))
    assert named(bundle) == {"manifest.sig": "is not in the manifest: it was added later"}


@pytest.mark.parametrize("change", ["gone", "no rows", "other columns", "no table"])
def test_golden_rows_that_prove_nothing_are_named(bundle, change, capsys):
    path = bundle / "golden.parquet"
    table = pq.read_table(path)
    if change == "gone":
        path.unlink()
    elif change == "no table":
        path.write_bytes(b"PAR1")
    else:
        other = table.slice(0, 0) if change == "no rows" else pa.table({"features": [1], "prediction": [[0.5, 0.5]]})
        pq.write_table(other, path)
    reseal(bundle)
    assert named(bundle).keys() == {"golden.parquet"}
    assert command(capsys, "verify", bundle)[0] == 8


@pytest.mark.parametrize("name", ["final_check.json", "data/findings.json"])
@pytest.mark.parametrize("content", ["{}", "{", "[]", '{"findings": [{}], "score": 1e999}', '{"proposals": ["x"]}'])
def test_show_refuses_documents_that_are_none(bundle, name, content, capsys):
    (bundle / name).write_text(content)
    reseal(bundle)
    code, said = command(capsys, "show", bundle)
    assert code == (0 if (name, content) == ("data/findings.json", "{}") else 8)
    assert code == 0 or name in said


def test_control_characters_are_shown_and_not_obeyed(bundle, capsys):
    (bundle / "x\x1b[31mEVIL\x1b]0;pwn\u202e.txt").write_text("")
    code, said = command(capsys, "verify", bundle)
    assert code == 8
    assert r"x\x1b[31mEVIL\x1b]0;pwn\u202e.txt" in said
    check = json.loads((bundle / "manifest.json").read_bytes())["final_check"]
    reseal(bundle, final_check=check | {"verdict": "inconclusive", "reasons": ["\x1b[2J all fine"]})
    for path in bundle.glob("x*"):
        path.unlink()
    code, said = command(capsys, "promote", bundle, "--alias", "candidate")
    assert code == 8
    assert "\x1b[2J" not in said
    assert r"\x1b[2J all fine" in said


def test_a_verdict_that_there_is_not_is_refused(bundle):
    check = json.loads((bundle / "manifest.json").read_bytes())["final_check"]
    reseal(bundle, final_check=check | {"verdict": "super"})
    with pytest.raises(BundleRefused) as refused:
        raysweep.promote(bundle, "production")
    assert "final_check.verdict" in str(refused.value.problems)


@pytest.mark.parametrize("part", ["classes", "inputs"])
def test_a_signature_that_is_not_the_models_is_refused(bundle, part):
    signature = json.loads((bundle / "manifest.json").read_bytes())["signature"]
    reseal(bundle, signature=signature | {part: signature[part][:1]})
    with pytest.raises(BundleRefused, match=r"signature (says|has 1 classes)"):
        raysweep.load_model(bundle)
    assert named(bundle).keys() == {"golden.parquet"}


@pytest.mark.parametrize("where", ["model/..", ".", "model/../"])
def test_a_bundle_is_promoted_beside_itself_whatever_it_is_called(bundle, monkeypatch, where):
    done = raysweep.promote(bundle / where, "candidate")
    assert (done.now.run_id, done.address) == ("one", f"{bundle.parent}@candidate")
    monkeypatch.chdir(bundle / "model")
    assert raysweep.promote("..", "candidate").now.run_id == "one"
    assert named(bundle) == {}


def test_no_alias_is_put_into_another_bundle(bundle):
    inner = shutil.copytree(OLD, bundle / "inner")
    with pytest.raises(RequestInvalid, match="aliases stand beside the folders of bundles"):
        raysweep.promote(inner, "candidate")


def test_a_reason_that_no_alias_could_hold_is_refused(bundle):
    with pytest.raises(RequestInvalid, match="--reason is 5,000 characters long; 1,000 are kept"):
        raysweep.promote(bundle, "candidate", reason="x" * 5_000)


ALIAS = "runs/.raysweep/aliases/candidate.json"


@pytest.mark.parametrize(
    "change", [{"run_id": "../w"}, {"run_id": ".."}, {"run_id": ""}, {"run_id": "a\x1bb"}, {"manifest_sha256": "x"}]
)
def test_an_alias_that_names_no_run_is_refused_with_the_way_out(bundle, change):
    raysweep.promote(bundle, "candidate")
    document = json.loads(Path(ALIAS).read_text())
    document["moves"][-1] |= change
    Path(ALIAS).write_text(json.dumps(document))
    with pytest.raises(BundleRefused, match=r"candidate\.json cannot be read: .*delete it and promote again"):
        raysweep.load_model("runs@candidate")


def test_the_document_of_another_alias_is_not_believed(bundle):
    raysweep.promote(bundle, "candidate")
    shutil.copy(ALIAS, "runs/.raysweep/aliases/production.json")
    with pytest.raises(BundleRefused, match="it is the document of candidate"):
        raysweep.load_model("runs@production")


def test_a_large_alias_is_not_read_and_a_long_history_is_shortened(bundle):
    raysweep.promote(bundle, "candidate")
    document = json.loads(Path(ALIAS).read_text())
    document["moves"] = [document["moves"][0] | {"run_id": f"old-{number}"} for number in range(MAX_MOVES)]
    Path(ALIAS).write_text(json.dumps(document))
    assert raysweep.promote(bundle, "candidate").before.run_id == f"old-{MAX_MOVES - 1}"
    kept = json.loads(Path(ALIAS).read_text())["moves"]
    assert (len(kept), kept[0]["run_id"], kept[-1]["run_id"]) == (MAX_MOVES, "old-1", "one")
    grow(Path(ALIAS), 2**30)
    with pytest.raises(BundleRefused, match="bytes large, and no alias: restore it from a copy, or delete it"):
        raysweep.load_model("runs@candidate")
