from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from raysweep.config import S3Config
from raysweep.errors import RequestInvalid, StorageFailed
from raysweep.storage import local
from raysweep.storage.local import LocalStore, write_whole
from raysweep.storage.open_store import open_store, split_s3_address
from raysweep.storage.store import TransientStorageFailure


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def fail_with(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    with pytest.raises(ZeroDivisionError), write_whole(tmp_path / "file") as file:  # noqa: PT012
        file.write(b"half of the new")
        raise ZeroDivisionError

    assert (tmp_path / "file").read_bytes() == b"old"
    assert files_below(tmp_path) == ["file"]


@pytest.mark.parametrize("method", ["put", "put_if_absent"])
def test_a_full_disk_is_named_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))

    with pytest.raises(StorageFailed, match=r"store/deep/key: the disk is full; free some space"):
        getattr(LocalStore(tmp_path / "store"), method)("deep/key", b"content")

    assert files_below(tmp_path) == []


def test_what_may_pass_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail_with(errno.ESTALE))

    with pytest.raises(TransientStorageFailure):
        LocalStore(tmp_path).put("key", b"content")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"")

    with pytest.raises(StorageFailed, match=r"runs/\.raysweep/ledger/probe-\w+: a part of this path is a file"):
        LocalStore(tmp_path / "runs").check_writable()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(Path, "mkdir", fail_with(number))

    with pytest.raises(StorageFailed, match=r"(read-only|permission denied).*name another folder"):
        LocalStore(tmp_path / "runs").check_writable()


def test_a_folder_stands_where_a_file_goes(tmp_path: Path) -> None:
    (tmp_path / "key" / "below").mkdir(parents=True)

    with pytest.raises(StorageFailed, match="there is a folder where a file has to be"):
        LocalStore(tmp_path).put("key", b"content")
    assert files_below(tmp_path) == []


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    root = tmp_path / "store"
    root.mkdir()
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "file").symlink_to(tmp_path / "outside" / "secret")
    (root / "circle").symlink_to(root / "circle")
    store = LocalStore(root)

    for key in ("folder/secret", "file"):
        for call in (store.get, store.delete, store.exists, lambda key: store.put(key, b"changed")):
            with pytest.raises(StorageFailed, match="leads out of"):
                call(key)
    with pytest.raises(StorageFailed, match="leads out of"):
        store.child("folder").get("secret")
    with pytest.raises(StorageFailed, match="leads out of"):
        store.list("folder/")
    assert store.list() == []
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"


def test_links_inside_and_to_the_root_are_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = LocalStore(tmp_path / "link")
    store.put("a", b"1")
    (tmp_path / "real" / "b").symlink_to(tmp_path / "real" / "a")

    assert store.get("b") == b"1"
    assert [one.key for one in store.list()] == ["a", "b"]


def test_put_if_absent_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "hardlink_to", fail_with(errno.EOPNOTSUPP))
    store = LocalStore(tmp_path)

    assert store.put_if_absent("key", b"first") is True
    assert store.put_if_absent("key", b"second") is False
    assert local._replace_if_absent(tmp_path / "key", tmp_path / "key") is False
    assert store.get("key") == b"first"
    assert files_below(tmp_path) == ["key"]


def test_put_if_absent_without_links_never_shows_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is killed while it writes the manifest must not leave half of one, which counts as published."""
    monkeypatch.setattr(Path, "hardlink_to", fail_with(errno.EOPNOTSUPP))
    replace, seen = Path.replace, []

    def look_first(temporary: Path, path: Path) -> Path:
        seen.append((temporary.read_bytes(), path.read_bytes()))
        return replace(temporary, path)

    monkeypatch.setattr(Path, "replace", look_first)
    assert LocalStore(tmp_path).put_if_absent("manifest.json", b"whole")
    assert seen == [(b"whole", b"")]
    assert (tmp_path / "manifest.json").read_bytes() == b"whole"
    assert files_below(tmp_path) == ["manifest.json"]


def test_put_if_absent_loses_to_a_writer_who_comes_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"first")
    monkeypatch.setattr(os.path, "lexists", lambda _: False)

    assert LocalStore(tmp_path).put_if_absent("key", b"second") is False
    assert files_below(tmp_path) == ["key"]


def test_unfinished_files_of_a_killed_process_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / f"{local.TEMPORARY_PREFIX}1").write_bytes(b"half")

    assert LocalStore(tmp_path).list() == []


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    LocalStore(tmp_path).put("key", b"")
    (tmp_path / "plain").touch()

    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_relative_folder_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert open_store("runs/", S3Config()).address("a/b") == str(tmp_path / "runs" / "a" / "b")
    assert open_store("~/runs", S3Config()).address() == str(tmp_path / "home" / "runs")


@pytest.mark.parametrize("address", ["", "  ", "gs://bucket/prefix", "file:///tmp", "s3://", "s3:///key", "s3://a b/c"])
def test_an_address_that_is_no_place(address: str) -> None:
    with pytest.raises(RequestInvalid, match=r"s3://bucket/prefix"):
        open_store(address, S3Config())


def test_an_address_with_credentials_is_not_repeated() -> None:
    with pytest.raises(RequestInvalid, match="credentials") as caught:
        open_store("s3://key:hush@bucket/prefix", S3Config())

    assert "hush" not in str(caught.value)


def test_s3_addresses_are_split() -> None:
    assert split_s3_address("s3://bucket") == ("bucket", "")
    assert split_s3_address("s3://bucket/") == ("bucket", "")
    assert split_s3_address("s3://bucket/a/b/") == ("bucket", "a/b")
