"""A bundle is published whole or not at all, and without secrets."""

import hashlib
from pathlib import Path

import pytest

from raysweep.config import S3Config
from raysweep.errors import RaysweepError, RunTakenOver, StorageFailed
from raysweep.records.manifest import read_manifest_bytes
from raysweep.stages.export.publish import Claim, is_whole, list_artifacts, publish, refuse_secrets, seal
from raysweep.storage.open_store import open_store
from raysweep.storage.secret_values import known_secrets


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "outgoing"
    (folder / "data").mkdir(parents=True)
    for name in ("data/profile.json", "report.html", "SHA256SUMS", "manifest.json"):
        (folder / name).write_text(name)
    return folder


class Recording:
    """A store that notes the order of what it is given."""

    def __init__(self, inner):
        self.inner, self.order = inner, []

    def put(self, key, source):
        self.order.append(key)
        self.inner.put(key, source)

    def put_if_absent(self, key, source):
        self.order.append(key)
        return self.inner.put_if_absent(key, source)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_the_manifest_comes_last(bundle, tmp_path):
    store = Recording(open_store(str(tmp_path / "runs"), S3Config()))
    publish(bundle, store)
    assert store.order == ["data/profile.json", "report.html", "SHA256SUMS", "manifest.json"]


def test_a_published_run_is_left_as_it_is(bundle, tmp_path):
    store = Recording(open_store(str(tmp_path / "runs"), S3Config()))
    publish(bundle, store)
    store.order.clear()
    with pytest.raises(RunTakenOver, match=r"is there already.*raysweep verify"):
        publish(bundle, store)
    assert store.order == []


class Interrupted(Recording):
    """A store in which something happens right before a key is put for the first time."""

    def __init__(self, inner, key, happens):
        super().__init__(inner)
        self.key, self.happens = key, happens

    def put_if_absent(self, key, source):
        if key == self.key and key not in self.order:
            self.happens()
        return super().put_if_absent(key, source)


def other_bundle(folder):
    folder.mkdir()
    for name in ("best.json", "report.html", "SHA256SUMS", "manifest.json"):
        (folder / name).write_text(f"the other's {name}")
    return folder


@pytest.mark.parametrize("key", ["data/profile.json", "report.html", "SHA256SUMS", "manifest.json"])
def test_a_slow_driver_that_was_taken_over_changes_nothing_of_a_bundle(bundle, tmp_path, key):
    store, owners = open_store(str(tmp_path / "runs"), S3Config()), ["slow"]

    def check_ours():
        if owners[-1] != "slow":
            raise RunTakenOver("taken over")

    def be_overtaken():
        owners.append("other")
        publish(other_bundle(tmp_path / "other"), store)

    with pytest.raises(RunTakenOver):
        publish(bundle, Interrupted(store, key, be_overtaken), Claim(check_ours))
    for path in (tmp_path / "other").iterdir():
        assert store.get(path.name) == path.read_bytes()


@pytest.mark.parametrize("key", ["report.html", "SHA256SUMS", "manifest.json"])
def test_what_a_driver_before_had_under_way_is_replaced(bundle, tmp_path, key):
    store = open_store(str(tmp_path / "runs"), S3Config())
    publish(bundle, Interrupted(store, key, lambda: store.put(key, b"late")))
    for path in (path for path in bundle.rglob("*") if path.is_file()):
        assert store.get(path.relative_to(bundle).as_posix()) == path.read_bytes()


def test_what_a_driver_has_put_that_died_meanwhile_is_no_part_of_the_bundle(bundle, tmp_path):
    store, announced = open_store(str(tmp_path / "runs"), S3Config()), []

    def die():
        raise KeyboardInterrupt

    killed = Claim(announce=announced.extend)
    with pytest.raises(KeyboardInterrupt):
        publish(other_bundle(tmp_path / "other"), Interrupted(store, "report.html", die), killed)
    store.put("notes.txt", b"the user's own")
    assert store.exists("best.json")
    publish(bundle, store, Claim(leftovers=announced))
    found = sorted(one.key for one in store.list())
    assert found == ["SHA256SUMS", "data/profile.json", "manifest.json", "notes.txt", "report.html"]


def test_the_journal_is_no_artifact(bundle):
    (bundle / "journal").mkdir()
    (bundle / "journal/000001.jsonl").write_text("{}")
    assert "journal/000001.jsonl" not in [artifact.path for artifact in list_artifacts(bundle)]


def refused(folder, environment):
    refuse_secrets(folder, known_secrets(environment))


def test_a_secret_is_refused_by_its_name_alone(bundle):
    (bundle / "report.html").write_text("password is hunter2-hunter2")
    with pytest.raises(RaysweepError, match="variable MY_PASSWORD stands in report") as error:
        refused(bundle, {"MY_PASSWORD": "hunter2-hunter2"})
    assert "hunter2" not in str(error.value)


def test_a_variable_that_names_a_place_is_no_secret(bundle):
    (bundle / "report.html").write_text(str(bundle))
    refused(bundle, {"MY_TOKEN_FOLDER": str(bundle)})


def test_a_secret_of_the_manifest_alone_leaves_none(tmp_path, monkeypatch):
    """As an address of a repository, or a name, may hold one: the manifest is sealed after all files were looked at."""
    content = (Path(__file__).parents[1] / "compat/v1/bundle/manifest.json").read_bytes()
    manifest = read_manifest_bytes(content).model_copy(update={"name": "hunter2-hunter2"})
    monkeypatch.setenv("MY_PASSWORD", "hunter2-hunter2")
    with pytest.raises(RaysweepError, match=r"MY_PASSWORD stands in manifest\.json") as error:
        seal(manifest, tmp_path)
    assert "hunter2" not in str(error.value)
    assert not (tmp_path / "manifest.json").exists()
    monkeypatch.delenv("MY_PASSWORD")
    seal(manifest, tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == manifest.to_bytes()


def test_a_long_token_is_no_place(bundle):
    """Longer than a name can be in any file system, as tokens of clusters are."""
    token = "eyJhbGciOiJSUzI1NiIs" * 40
    refused(bundle, {"CLUSTER_TOKEN": token})
    (bundle / "report.html").write_text(token)
    with pytest.raises(RaysweepError, match="CLUSTER_TOKEN stands in report"):
        refused(bundle, {"CLUSTER_TOKEN": token})


def test_a_bundle_is_whole_with_exactly_the_files_of_its_sums(bundle):
    (bundle / "SHA256SUMS").unlink()
    sums = [(path.relative_to(bundle).as_posix(), path.read_bytes()) for path in bundle.rglob("*") if path.is_file()]
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sums]
    (bundle / "SHA256SUMS").write_text("".join(lines))
    assert is_whole(bundle)
    (bundle / "manifest.json").write_text("torn")
    assert not is_whole(bundle)
    (bundle / "manifest.json").write_text("manifest.json")
    (bundle / "more.txt").write_text("")
    assert not is_whole(bundle)
    (bundle / "more.txt").unlink()
    (bundle / "report.html").unlink()
    assert not is_whole(bundle)


class Forgetting(Recording):
    """A place that says that it has put a file, but has lost it, or a part of it."""

    def __init__(self, inner, key, content):
        super().__init__(inner)
        self.key, self.content = key, content

    def put_if_absent(self, key, source):
        super().put_if_absent(key, source)
        if key == self.key:
            self.inner.delete(key)
            if self.content is not None:
                self.inner.put(key, self.content)
        return True


@pytest.mark.parametrize(("content", "what"), [(None, "is not there"), (b"half", "is 4 bytes large")])
def test_no_manifest_is_put_over_a_file_that_was_lost(bundle, tmp_path, content, what):
    store = open_store(str(tmp_path / "runs"), S3Config())
    with pytest.raises(StorageFailed, match=rf"report.html was put with 11 bytes, but {what}"):
        publish(bundle, Forgetting(store, "report.html", content))
    assert not store.exists("manifest.json")
