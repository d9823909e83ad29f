"""Whatever is changed in a bundle, `verify` names it; what is not trusted is not loaded."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import raysweep
from builders import clean_table
from raysweep.errors import BundleRefused, NotFound
from sealing import reseal
from sweep_builders import RANDOM_ONE_SLOT, bundle_files, quick_space, run_quietly, sweep_keys


@pytest.fixture(scope="module")
def good(ray_session: None, tmp_path_factory: pytest.TempPathFactory, plain_folder: Path) -> Path:
    """A bundle whose model is a skops file."""
    keys = sweep_keys(
        tmp_path_factory.mktemp("runs"),
        search={**RANDOM_ONE_SLOT, "trials": 3, "space": quick_space(["logistic_regression"])},
        split={"folds": 1},
        export={"top": 2},
    )
    return Path(run_quietly(keys, clean_table(450, 4)).bundle_url)


@pytest.fixture
def bundle(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "bundle")


def named(bundle: Path) -> set[str]:
    found = raysweep.verify(bundle)
    assert not found.ok
    return {row.path for row in found.rows if not row.ok}


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x20
    path.write_bytes(content)


def test_a_good_bundle_verifies(good: Path):
    assert raysweep.verify(good).ok
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=good, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_journal_is_not_looked_at(bundle: Path):
    (bundle / "journal/000001.jsonl").write_text("torn")
    (bundle / "journal/more").write_text("")
    assert raysweep.verify(bundle).ok


def test_one_byte_of_any_file_is_named(good: Path, bundle: Path):
    for number, (name, content) in enumerate(bundle_files(good).items()):
        position = (0, len(content) // 2, len(content) - 1)[number % 3]
        flip(bundle / name, position)
        assert name in named(bundle), (name, position)
        (bundle / name).write_bytes(content)
    assert raysweep.verify(bundle).ok


@pytest.mark.parametrize("change", ["delete", "truncate", "grow", "empty"])
def test_a_file_that_is_gone_or_of_another_size_is_named(change: str, good: Path, bundle: Path):
    for name, content in bundle_files(good).items():
        path = bundle / name
        if change == "delete":
            path.unlink()
        else:
            path.write_bytes({"truncate": content[:-1], "grow": content + b" ", "empty": b""}[change])
        if name == "manifest.json" and change == "delete":
            with pytest.raises(NotFound, match=r"manifest\.json"):
                raysweep.verify(bundle)
        else:
            assert name in named(bundle), name
        path.write_bytes(content)
    assert raysweep.verify(bundle).ok


@pytest.mark.parametrize("name", ["extra.txt", "model/more.ubj", "best/03/params.json", ".hidden", "data/x.json"])
def test_an_added_file_is_named(name: str, bundle: Path):
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_text("{}")
    assert named(bundle) == {name}


def test_two_files_that_changed_places_are_named(bundle: Path):
    first, second = bundle / "best/01/params.json", bundle / "best/02/params.json"
    (bundle / "x").write_bytes(first.read_bytes())
    second.replace(first)
    (bundle / "x").replace(second)
    assert named(bundle) == {"best/01/params.json", "best/02/params.json"}


def test_an_edited_manifest_is_named(bundle: Path):
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["final_check"]["score"] = 0.999
    path.write_text(json.dumps(manifest))
    assert named(bundle) == {"manifest.json"}


def test_a_manifest_that_forgets_a_file_is_named(bundle: Path):
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["artifacts"] = [one for one in manifest["artifacts"] if one["path"] != "report.html"]
    path.write_text(json.dumps(manifest))
    assert named(bundle) >= {"manifest.json", "report.html"}


@pytest.mark.parametrize("artifact", ["../outside", "/etc/hostname", "model/../../outside"])
def test_a_path_out_of_the_bundle_is_refused(artifact: str, bundle: Path):
    (bundle.parent / "outside").write_text("")
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["artifacts"][0]["path"] = artifact
    path.write_text(json.dumps(manifest))
    assert named(bundle) >= {artifact}


def test_a_digest_edited_in_the_sums_is_named(bundle: Path):
    path = bundle / "SHA256SUMS"
    lines = path.read_text().splitlines()
    lines[0] = "0" * 64 + lines[0][64:]
    path.write_text("\n".join(lines) + "\n")
    assert named(bundle) == {"SHA256SUMS"}


def test_sums_without_a_line_are_named(bundle: Path):
    path = bundle / "SHA256SUMS"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert named(bundle) == {"SHA256SUMS"}


def test_a_folder_without_a_manifest_is_no_bundle(bundle: Path):
    (bundle / "manifest.json").unlink()
    for look in (raysweep.verify, raysweep.load_model):
        with pytest.raises(NotFound, match=r"manifest\.json"):
            look(bundle)


def test_a_changed_model_is_not_loaded(bundle: Path):
    flip(bundle / "model/estimator.skops", 100)
    with pytest.raises(BundleRefused, match=r"estimator\.skops"):
        raysweep.load_model(bundle)


@pytest.mark.parametrize("name", ["model/estimator.skops", "model/preprocess.skops"])
def test_an_untrusted_type_is_refused_and_not_run(name: str, bundle: Path):
    mark = bundle.parent / "was-run"
    schema = {
        "__class__": "system",
        "__module__": "posix",
        "__loader__": "FunctionNode",
        "__id__": 1,
        "content": "posix.system",
        "protocol": 2,
        "_skops_version": "0.14.0",
    }
    reduced = {
        "__class__": "partial",
        "__module__": "functools",
        "__loader__": "ReduceNode",
        "__id__": 2,
        "content": schema,
        "reduce": {"args": [f"touch {mark}"]},
        "protocol": 2,
        "_skops_version": "0.14.0",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("schema.json", json.dumps(reduced))
    (bundle / name).write_bytes(content.getvalue())
    reseal(bundle)
    with pytest.raises(BundleRefused):
        raysweep.load_model(bundle)
    found = raysweep.verify(bundle)
    assert not found.ok
    assert not mark.exists()


def test_a_trusted_file_with_a_stranger_inside_is_refused(bundle: Path):
    from collections import Counter
    from fractions import Fraction

    import skops.io

    skops.io.dump({"harmless": Counter("abc"), "unknown": Fraction(1, 3)}, bundle / "model/estimator.skops")
    reseal(bundle)
    with pytest.raises(BundleRefused, match=r"does not trust: .*Fraction"):
        raysweep.load_model(bundle)
    assert not raysweep.verify(bundle).ok


def test_a_pickle_in_place_of_a_model_is_refused(bundle: Path):
    import pickle

    (bundle / "model/estimator.skops").write_bytes(pickle.dumps({"a": 1}))
    reseal(bundle)
    with pytest.raises(BundleRefused, match=r"estimator\.skops"):
        raysweep.load_model(bundle)


@pytest.mark.parametrize("link", ["model/estimator.skops", "model"])
def test_a_link_in_place_of_model_files_is_refused(link: str, bundle: Path):
    """Wherever it leads: what it leads to may change after it was looked at."""
    for place in (bundle / "elsewhere", bundle.parent / "elsewhere"):
        original = bundle / link
        original.rename(place)
        original.symlink_to(place)
        with pytest.raises(BundleRefused, match="is a symbolic link: a bundle holds none"):
            raysweep.load_model(bundle)
        original.unlink()
        place.rename(original)
    assert raysweep.load_model(bundle)


def test_a_preparation_of_a_gibibyte_is_refused_unread(bundle: Path):
    path = bundle / "model/prepare.json"
    with path.open("wb") as stream:
        stream.truncate(1024**3)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["model"]["files"].append("model/prepare.json")
    described = {**manifest["artifacts"][0], "path": "model/prepare.json", "size_bytes": 1024**3}
    manifest["artifacts"].append(described)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleRefused, match="is 1,073,741,824 bytes large; raysweep reads up to 67,108,864"):
        raysweep.load_model(bundle)


def test_a_file_that_is_larger_than_it_may_be_is_not_read(bundle: Path):
    with (bundle / "model/estimator.skops").open("ab") as stream:
        stream.truncate(1024**3)
    with pytest.raises(BundleRefused, match=r"is 1,073,741,824 bytes large, the manifest says .*: it was changed"):
        raysweep.load_model(bundle)


def test_a_loader_that_an_mlflow_folder_names_is_not_imported(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    mark = bundle.parent / "was-imported"
    (bundle.parent / "evil_loader.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(bundle.parent)
    (bundle / "mlflow").mkdir()
    (bundle / "mlflow/MLmodel").write_text("flavors:\n  python_function:\n    loader_module: evil_loader\n")
    assert named(bundle) == {"mlflow/MLmodel"}
    assert raysweep.load_model(bundle)
    assert not mark.exists()


def test_another_model_of_the_same_shape_is_found_by_its_predictions(bundle: Path):
    shutil.copy(bundle / "best/02/model/estimator.skops", bundle / "model/estimator.skops")
    reseal(bundle)
    assert any("golden.parquet" in path for path in named(bundle))


def test_the_command_line_refuses_with_8(bundle: Path, command):
    flip(bundle / "report.html", 50)
    ran = command("verify", bundle)
    assert ran.code == 8
    assert "report.html" in ran.out + ran.err
    document = json.loads(command("verify", bundle, "--json").out)
    assert document["ok"] is False
    assert any("report.html" in problem for problem in document["problems"])
