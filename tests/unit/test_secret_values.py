"""No secret of the environment reaches the journal or a bundle."""

from __future__ import annotations

import html
import json
import re
import zipfile
from urllib.parse import quote, quote_plus

import markupsafe
import pytest

import raysweep
from raysweep.config import TaskKind, load_config
from raysweep.errors import NotFound, RequestInvalid
from raysweep.storage import secret_values
from raysweep.storage.secret_values import (
    add_source,
    described,
    find_secrets,
    known_secrets,
    masked,
    process_secrets,
    secret_in,
    secret_in_file,
    without_user_info,
)
from raysweep.training import families as registry
from raysweep.training.family import Family

SECRET = "hunter2-hunter2"  # noqa: S105 - made up
SECRETS = {"SERVICE_PASSWORD": SECRET}


def test_what_looks_like_a_secret(tmp_path):
    environment = {"SERVICE_PASSWORD": SECRET, "my_api_key": SECRET, "HOME": SECRET, "A_TOKEN": "short"}
    assert known_secrets({**environment, "TOKEN_FOLDER": str(tmp_path)}) == {**SECRETS, "my_api_key": SECRET}


@pytest.mark.parametrize(
    "name",
    [
        "RAYSWEEP_SIGN_PASSPHRASE",
        "MYSQL_PASSWD",
        "DB_PASS",
        "GH_PAT",
        "PAT_OF_CI",
        "DB_PWD",
        "SSH_PRIVATE_KEY",
        "CREDENTIALS",
    ],
)
def test_names_that_mean_a_secret(name):
    assert known_secrets({name: SECRET}) == {name: SECRET}


@pytest.mark.parametrize("name", ["PATH", "OLDPWD", "PWD", "COMPASS_HOME", "PASSENGERS", "MY_PATTERN", "KEY_COLUMN"])
def test_names_that_mean_no_secret(name):
    assert known_secrets({name: SECRET}) == {}


def test_a_path_is_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a-key-of-mine.pem").touch()
    assert known_secrets({"SSH_PRIVATE_KEY": "~/a-key-of-mine.pem", "A_CREDENTIAL": str(tmp_path)}) == {}


ODD = "p\"w\\d &<x>'12345/ß\n"
ESCAPED = {
    "json": lambda text: json.dumps({"a": text}),
    "json with letters": lambda text: json.dumps({"a": text}, ensure_ascii=False),
    "html": html.escape,
    "html of jinja": lambda text: str(markupsafe.escape(text)),
    "html without quotes": lambda text: html.escape(text, quote=False),
    "address": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "address in small letters": lambda text: re.sub("%..", lambda one: one.group().lower(), quote(text)),
}


@pytest.mark.parametrize("escape", ESCAPED.values(), ids=ESCAPED.keys())
def test_a_secret_is_found_as_others_escape_it(escape):
    text = f"before {escape(ODD)} after"
    assert secret_in([text.encode()], {"A": ODD}) == "A"
    assert list(find_secrets({"a": text}, {"A": ODD})) == [("a", "A")]
    assert "12345" not in masked(text, {"A": ODD})


def test_a_secret_in_a_packed_member_is_found(tmp_path, monkeypatch):
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("first", b"x" * 100)
        packed.writestr("schema.json", json.dumps({"a": [SECRET] * 20}))
    assert SECRET.encode() not in path.read_bytes()
    assert secret_in_file(path, SECRETS) == "SERVICE_PASSWORD"
    assert secret_in_file(path, {"A": f"{SECRET}!"}) is None
    monkeypatch.setattr(secret_values, "_MAX_UNPACKED_BYTES", 50)
    assert secret_in_file(path, SECRETS) is None, "what it unpacks is bounded"
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + b"\0" * 20 + whole[80:])
    monkeypatch.undo()
    assert secret_in_file(path, {"A": f"{SECRET}!"}) is None, "a damaged archive is no reason to stop"


def test_secrets_are_found_by_their_path():
    value = {"a": [{"b": f"key={SECRET}"}, 1, None], "c": "nothing", SECRET: 2.0}
    assert list(find_secrets(value, SECRETS)) == [("a[0].b", "SERVICE_PASSWORD"), ("", "SERVICE_PASSWORD")]


def test_the_name_stands_in_the_place_of_the_value():
    assert masked(f"401 for {SECRET}!", SECRETS) == "401 for <SERVICE_PASSWORD>!"
    longer = {"A_TOKEN": SECRET, "B_TOKEN": f"{SECRET}-and-more"}
    assert masked(f"{SECRET}-and-more", longer) == "<B_TOKEN>", "nothing is left of one that holds another"


def test_passwords_in_addresses_are_secrets_as_they_are_written_and_as_they_are_meant():
    found = known_secrets({"HTTPS_PROXY": "http://me:pass%40word%2B1@proxy:3128", "HTTP_PROXY": "http://proxy:3128"})
    assert set(found.values()) == {"pass%40word%2B1", "pass@word+1"}
    assert all(name.startswith("the password in HTTPS_PROXY") for name in found)
    assert described("the password in HTTPS_PROXY") == "the password in HTTPS_PROXY"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("at http://a:b@c@host:1/x", "at http://host:1/x"),
        ("at http://host/x@y and http://host:1/x", "at http://host/x@y and http://host:1/x"),
        ("postgres://u:Plant/abc@123@db/x", "postgres://db/x"),
        ("redis://:Plant/abc@db", "redis://db"),
        ("https://ghp_abc@git.example/x.git", "https://git.example/x.git"),
        ('"s3://u:p@h/a" me@home', '"s3://h/a" me@home'),
        ("http://u:pw1@a,https://v:pw2@b; http://w:pw3@c", "http://a,https://b; http://c"),
    ],
)
def test_users_and_passwords_are_taken_out_of_addresses(text, plain):
    assert without_user_info(text) == plain
    assert without_user_info(text.encode()) == plain.encode()


def test_every_address_of_a_value_is_looked_at():
    found = known_secrets({"A": "a http://u:pw345678@h http://u:second999@h,db://u:Plant/ab@123@x"})
    assert set(found.values()) == {"pw345678", "second999", "Plant/ab@123"}
    user = "ghp_0123456789abcdef0123"
    assert set(known_secrets({"A": f"https://{user}@h", "B": "ssh://git@h me@home"}).values()) == {user}


def test_keys_of_every_profile_of_aws_are_secrets(tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = AKIAEXAMPLE1234\naws_secret_access_key = {SECRET}-1\n"
        f"[other]\naws_secret_access_key = {SECRET}%2\naws_session_token = {SECRET}-3\n"
    )
    (tmp_path / "config").write_text("this is no file of settings")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    found = {name: value for name, value in process_secrets().items() if "of the profile" in name}
    assert set(found.values()) == {"AKIAEXAMPLE1234", f"{SECRET}-1", f"{SECRET}%2", f"{SECRET}-3"}
    assert any(name.startswith("aws_session_token of the profile other in") for name in found)


def test_what_requests_are_signed_with_is_a_secret_also_once_it_is_renewed(monkeypatch):
    monkeypatch.setattr(secret_values, "_sources", [])
    tokens = iter([f"{SECRET}-first", f"{SECRET}-second"])
    add_source(lambda: {"the session token of the AWS credentials": next(tokens)})
    add_source(lambda: 1 / 0)
    for turn in ("first", "second"):
        assert process_secrets()["the session token of the AWS credentials"] == f"{SECRET}-{turn}"


@pytest.mark.parametrize("size", [1, 2, 7, 14, 15, 100])
def test_a_secret_across_the_borders_of_pieces_is_found(size):
    content = b"x" * 20 + SECRET.encode() + b"y" * 20
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    assert secret_in(pieces, SECRETS) == "SERVICE_PASSWORD"
    assert secret_in(pieces, {"A": f"{SECRET}!"}) is None
    assert secret_in([], SECRETS) is None
    assert secret_in(pieces, {}) is None


def test_a_large_file_is_looked_through_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(secret_values, "_CHUNK_BYTES", 10)
    (tmp_path / "large").write_bytes(b"x" * 25 + SECRET.encode())
    assert secret_in_file(tmp_path / "large", SECRETS) == "SERVICE_PASSWORD"
    with pytest.raises(NotFound, match="no file"):
        secret_in_file(tmp_path / "none", SECRETS)


def fixed(params):
    family = {"params": {"max_depth": {"int": [1, 3]}}, "fixed": params}
    return {"space": {"version": 1, "families": {"xgboost": family}}}


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"search": fixed({"tree_method": SECRET})}, "search.space.families.xgboost.fixed.tree_method"),
        (
            {"checks": {"accept": [{"check": "rows.duplicates", "max": 0.1, "reason": SECRET}]}},
            r"checks.accept\[0\].reason",
        ),
    ],
)
def test_a_sweep_that_holds_a_secret_is_refused_before_anything_is_written(tmp_path, monkeypatch, section, path):
    monkeypatch.setenv("SERVICE_PASSWORD", SECRET)
    monkeypatch.setenv("RAYSWEEP_HOME", str(tmp_path / "home"))
    keys = {"version": 1, "data": {"source": "memory:", "target": "late"}, "export": {"to": str(tmp_path / "runs")}}
    with pytest.raises(RequestInvalid, match=rf"{path} holds the value of .* SERVICE_PASSWORD") as refused:
        raysweep.run_sweep(load_config({**keys, **section}), data=object())
    assert SECRET not in str(refused.value)
    assert len(refused.value.problems) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_default_of_a_family_that_is_a_secret_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    registry.register(Family("asks", frozenset({TaskKind.BINARY}), {"api_key": SECRET}, "nowhere:Nothing"))
    monkeypatch.setenv("SERVICE_PASSWORD", SECRET)
    keys = {"version": 1, "data": {"source": "memory:", "target": "late"}, "export": {"to": str(tmp_path / "runs")}}
    space = {"version": 1, "families": {"asks": {"params": {}}}}
    with pytest.raises(RequestInvalid, match=r"defaults.asks.api_key holds the value of .* SERVICE_PASSWORD"):
        raysweep.run_sweep(load_config({**keys, "search": {"space": space}}), data=object())
