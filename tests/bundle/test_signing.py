"""A signed manifest: only its own bytes, only by its own key; and OpenSSL agrees."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import raysweep
from raysweep.bundle.locate import open_run, read_manifest
from raysweep.bundle.signing import PASSPHRASE, is_signed_by, read_public_key, read_signer
from raysweep.errors import NotFound, RequestInvalid
from raysweep.stages.export.publish import list_artifacts, seal

OLD = Path(__file__).parents[1] / "compat/v1/bundle"


def write_private(path, key, *, form=forms.PrivateFormat.PKCS8, passphrase=None):
    lock = forms.NoEncryption() if passphrase is None else forms.BestAvailableEncryption(passphrase)
    path.write_bytes(key.private_bytes(forms.Encoding.PEM, form, lock))
    return path


def write_public(path, key, *, encoding=forms.Encoding.PEM, form=forms.PublicFormat.SubjectPublicKeyInfo):
    path.write_bytes(key.public_key().public_bytes(encoding, form))
    return path


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signed(tmp_path, key):
    """A bundle, signed by the key in key.pem; pub.pem is the public one."""
    bundle = shutil.copytree(OLD, tmp_path / "bundle")
    signer = read_signer(write_private(tmp_path / "key.pem", key))
    write_public(tmp_path / "pub.pem", key)
    manifest = read_manifest(open_run(bundle)).model_copy(update={"signing": signer.record})
    for name in ("manifest.json", "SHA256SUMS"):
        (bundle / name).unlink()
    seal(manifest.model_copy(update={"artifacts": list_artifacts(bundle)}), bundle, signer)
    return bundle


def named(bundle, **arguments):
    return {row.path for row in raysweep.verify(bundle, **arguments).rows if not row.ok}


def test_a_signed_bundle_verifies_with_its_key_and_without_one(signed, tmp_path):
    assert named(signed) == set()
    found = raysweep.verify(signed, key=tmp_path / "pub.pem")
    assert found.ok
    assert any(row.path == "manifest.sig" and "by the key sha256:" in row.said for row in found.rows)


def test_openssl_and_sha256sum_agree(signed, tmp_path):
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "pub.pem", "-rawin"]
    check += ["-in", signed / "manifest.json", "-sigfile", signed / "manifest.sig"]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    sums = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=signed, capture_output=True, check=False)
    assert sums.returncode == 0
    assert b"manifest.sig: OK" in sums.stdout


def test_another_key_is_named(signed, tmp_path):
    other = write_public(tmp_path / "other.pem", Ed25519PrivateKey.generate())
    assert named(signed, key=other) == {"manifest.sig"}
    assert "was made by another key" in raysweep.verify(signed, key=other).problems[0]


def test_an_unsigned_bundle_is_refused_where_a_key_is_given(signed, tmp_path):
    (problem,) = raysweep.verify(OLD, key=tmp_path / "pub.pem").problems
    assert "the manifest is not signed" in problem


@pytest.mark.parametrize("change", ["gone", "flipped", "short", "of the old manifest"])
def test_a_signature_that_does_not_fit_is_named(signed, change):
    path = signed / "manifest.sig"
    content = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        other = {"flipped": bytes([content[0] ^ 1]) + content[1:], "short": content[:-1]}
        path.write_bytes(other.get(change, bytes(64)))
    assert "manifest.sig" in named(signed)


def test_a_manifest_that_was_edited_and_summed_again_does_not_keep_its_signature(signed):
    manifest = read_manifest(open_run(signed))
    kept = (signed / "manifest.sig").read_bytes()
    seal(manifest.model_copy(update={"name": "another"}), signed)
    (signed / "manifest.sig").write_bytes(kept)
    assert named(signed) >= {"manifest.sig"}


def test_keys_of_openssh_and_with_a_passphrase_are_read(tmp_path, key, monkeypatch):
    plain = read_signer(write_private(tmp_path / "plain.pem", key)).record
    for form, name in ((forms.PrivateFormat.PKCS8, "pem"), (forms.PrivateFormat.OpenSSH, "ssh")):
        path = write_private(tmp_path / f"locked.{name}", key, form=form, passphrase=b"correct horse")
        monkeypatch.delenv(PASSPHRASE, raising=False)
        with pytest.raises(RequestInvalid, match=f"has a passphrase: set {PASSPHRASE}"):
            read_signer(path)
        monkeypatch.setenv(PASSPHRASE, "wrong")
        with pytest.raises(RequestInvalid, match=f"{PASSPHRASE} is wrong"):
            read_signer(path)
        monkeypatch.setenv(PASSPHRASE, "correct horse")
        assert read_signer(path).record == plain
    monkeypatch.setenv(PASSPHRASE, "not needed")
    assert read_signer(tmp_path / "plain.pem").record == plain
    line = write_public(tmp_path / "ssh.pub", key, encoding=forms.Encoding.OpenSSH, form=forms.PublicFormat.OpenSSH)
    assert read_public_key(line) == plain


def test_what_is_no_key_is_refused_without_being_quoted(tmp_path):
    (tmp_path / "secret").write_text("hunter2-hunter2")
    for read in (read_signer, read_public_key):
        with pytest.raises(RequestInvalid, match=r"holds no .* key that can be read") as refused:
            read(tmp_path / "secret")
        assert "hunter2" not in str(refused.value)
        with pytest.raises(NotFound, match="there is no key"):
            read(tmp_path / "nowhere")
    curve = generate_private_key(SECP256R1())
    with pytest.raises(RequestInvalid, match="not an Ed25519 private key"):
        read_signer(write_private(tmp_path / "ec.pem", curve))
    with pytest.raises(RequestInvalid, match="not an Ed25519 public key"):
        read_public_key(write_public(tmp_path / "ec.pub", curve))


def test_a_record_that_names_a_key_in_two_ways_is_not_believed(tmp_path, key):
    signer = read_signer(write_private(tmp_path / "key.pem", key))
    assert is_signed_by(signer.record, b"x", signer.sign(b"x"))
    other = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    for update in ({"public_key": other}, {"public_key_sha256": "0" * 64}, {"public_key": "no base64!"}):
        assert not is_signed_by(signer.record.model_copy(update=update), b"x", signer.sign(b"x"))
