"""The checkout that a sweep was started in is recorded without anybody's credentials."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from raysweep.stages.export import code_state as code_states
from raysweep.stages.export.code_state import code_state, without_credentials

SECRET = "hunter2-hunter2"  # noqa: S105 - made up


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://ann:pw@host/x.git", "https://host/x.git"),
        ("https://token@host/x.git?auth=1#f", "https://host/x.git"),
        ("https://a:b@c@host:8443/x", "https://host:8443/x"),
        ("https://me:pl@nt/1@host/x.git", "https://host/x.git"),
        ("ssh://git@host/x.git", "ssh://host/x.git"),
        ("git@host:org/x.git", "git@host:org/x.git"),
        ("ann:pw@host:org/x.git", "host:org/x.git"),
        ("/srv/git/x.git", "/srv/git/x.git"),
        ("", ""),
    ],
)
def test_addresses_lose_user_and_password(url, plain):
    assert without_credentials(url) == plain


def git(folder, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_changed_checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "remote", "add", "origin", f"https://ann:{SECRET}@host/x.git")
    clean = code_state(tmp_path)
    assert (clean.record.dirty, clean.diff, clean.record.diff_sha256) == (False, b"", None)
    assert clean.record.repository == "https://host/x.git"
    (tmp_path / "a.py").write_text(f'x = "postgres://ann:{SECRET}@db/x"\n')
    changed = code_state(tmp_path)
    assert changed.record.dirty
    assert changed.record.commit == clean.record.commit
    assert b"postgres://db/x" in changed.diff
    assert SECRET.encode() not in changed.diff
    assert changed.record.diff_sha256 == hashlib.sha256(changed.diff).hexdigest()
    assert changed.record.diff_bytes == len(changed.diff)


def test_a_file_that_git_does_not_know_makes_it_dirty(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "new.py").write_text("y = 1\n")
    state = code_state(tmp_path)
    assert state.record.dirty
    assert state.diff == b""


@pytest.mark.parametrize("says", ["sleep 9", "exit 1"])
def test_a_git_that_does_not_answer_is_not_taken_for_a_clean_checkout(tmp_path, monkeypatch, says):
    (tmp_path / "git").write_text(f"#!/bin/sh\ncase $1 in rev-parse) echo abc;; config) ;; *) {says};; esac\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(code_states, "_PATIENCE_SECONDS", 0.3)
    record = code_state(tmp_path).record
    assert (record.commit, record.dirty, record.diff_is_whole) == ("abc", None, False)


def test_a_large_change_is_cut_off_and_says_so(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "a.txt").write_text("0123456789\n" * 200_000)
    state = code_state(tmp_path)
    assert len(state.diff) == state.record.diff_bytes == 1024 * 1024
    assert not state.record.diff_is_whole


def test_outside_of_a_checkout(tmp_path):
    assert code_state(tmp_path).record.commit is None
