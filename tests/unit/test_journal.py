from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from raysweep.errors import NotFound, RaysweepError, StorageFailed
from raysweep.storage.journal import Journal, read_journal


def test_gives_back_what_was_appended_across_openings(tmp_path: Path) -> None:
    path = tmp_path / "new" / "trials.jsonl"
    with Journal(path) as journal:
        journal.append({"trial": 1, "score": 0.5, "name": "Größe\n"})
        journal.append({"trial": 2})
        assert len(read_journal(path)) == 2
    with Journal(path) as journal:
        journal.append({"trial": 3})

    assert read_journal(path) == [{"trial": 1, "score": 0.5, "name": "Größe\n"}, {"trial": 2}, {"trial": 3}]
    assert path.read_bytes().splitlines()[1] == b'{"trial":2}'


def test_each_record_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    settle = os.fsync
    journal = Journal(tmp_path / "journal")
    monkeypatch.setattr(os, "fsync", lambda fd: (settle(fd), sizes.append((tmp_path / "journal").stat().st_size)))
    journal.append({"a": 1})
    journal.close()

    assert sizes == [8]


@pytest.mark.parametrize("torn", [b'{"trial":', b'{"trial":2}', b"\x00\x00\x00", b"\xff\xc3"])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"trial":1}\n' + torn)

    assert read_journal(path) == [{"trial": 1}]
    with Journal(path) as journal:
        journal.append({"trial": 3})
    assert read_journal(path) == [{"trial": 1}, {"trial": 3}]


@pytest.mark.parametrize("damaged", [b"{oops}", b"", b"[1]", b"\xff", b"\x00\x00"])
def test_any_other_damage_is_named_with_its_line(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"trial":1}\n' + damaged + b'\n{"trial":3}\n')

    with pytest.raises(RaysweepError, match=r"journal, line 2: this is no record"):
        read_journal(path)


def test_no_file_is_not_an_empty_journal(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no journal"):
        read_journal(tmp_path / "journal")


def test_an_empty_journal_holds_nothing(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").close()

    assert read_journal(tmp_path / "journal") == []


def test_a_record_that_a_full_disk_cut_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    write = os.write
    room = [20]

    def write_until_full(descriptor: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(room[0], len(data))
        room[0] -= taken
        return write(descriptor, bytes(data[:taken]))

    with Journal(path) as journal:
        monkeypatch.setattr(os, "write", write_until_full)
        journal.append({"trial": 1})
        with pytest.raises(StorageFailed, match=r"journal.*No space left.*free space"):
            journal.append({"trial": 2})
        room[0] = 1000
        journal.append({"trial": 3})

    assert read_journal(path) == [{"trial": 1}, {"trial": 3}]


def test_refuses_what_json_cannot_hold(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal, pytest.raises(ValueError, match="JSON"):
        journal.append({"score": float("nan")})

    assert read_journal(tmp_path / "journal") == []


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.close()
    journal.close()

    with pytest.raises(StorageFailed, match="is closed"):
        journal.append({})


def test_a_place_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot be used"):
        Journal(tmp_path)
