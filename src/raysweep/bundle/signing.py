"""Ed25519 signatures of a manifest: made with a private key, checked with a public one. Wants `raysweep[sign]`."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from raysweep.errors import NotFound, RequestInvalid
from raysweep.records.manifest import SigningRecord

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PASSPHRASE: Final = "RAYSWEEP_SIGN_PASSPHRASE"  # noqa: S105 - the name of a variable
SIGNATURE_BYTES: Final = 64
_HOW_TO_MAKE: Final = "make one by `openssl genpkey -algorithm ed25519 -out key.pem`"
_HOW_TO_PUBLISH: Final = "`openssl pkey -in key.pem -pubout` writes the public one"
_MAX_KEY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that is ready to sign."""

    record: SigningRecord
    _key: Any = field(repr=False)

    def sign(self, content: bytes) -> bytes:
        """The 64 bytes of the signature."""
        return bytes(self._key.sign(content))


def read_signer(path: str | Path) -> Signer:
    """The private key in a file: PEM (PKCS 8) or OpenSSH's form. One with a passphrase wants it in the environment.

    Raises:
        NotFound: there is no such file.
        RequestInvalid: it holds no Ed25519 private key, its passphrase is wrong, or `raysweep[sign]` is not installed.
    """
    key = _load_private(Path(path).expanduser())
    return Signer(_record(key.public_key()), key)


def read_public_key(path: str | Path) -> SigningRecord:
    """The public key in a file: PEM, or a line `ssh-ed25519 ...`.

    Raises:
        NotFound: there is no such file.
        RequestInvalid: it holds no Ed25519 public key, or `raysweep[sign]` is not installed.
    """
    return _record(_load_public(Path(path).expanduser()))


def is_signed_by(record: SigningRecord, content: bytes, signature: bytes) -> bool:
    """Whether the signature is that of the content, by the key in the record.

    Raises:
        RequestInvalid: `raysweep[sign]` is not installed.
    """
    _require_library()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = base64.b64decode(record.public_key, validate=True)
        if _record(key := Ed25519PublicKey.from_public_bytes(raw)) != record:
            return False
        key.verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _record(key: Ed25519PublicKey) -> SigningRecord:
    from cryptography.hazmat.primitives import serialization

    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = base64.b64encode(key.public_bytes_raw()).decode("ascii")
    return SigningRecord(algorithm="ed25519", public_key=raw, public_key_sha256=hashlib.sha256(der).hexdigest())


def _load_private(path: Path) -> Ed25519PrivateKey:
    content = _read(path, _HOW_TO_MAKE)
    _require_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    is_openssh = b"OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = _unlock(load, content)
    except TypeError as error:
        raise RequestInvalid(f"the key {path} has a passphrase: set {PASSPHRASE}") from error
    except Exception as error:  # of many types; the library's own words may quote the file
        why = f", or {PASSPHRASE} is wrong" if PASSPHRASE in os.environ else ""
        raise RequestInvalid(f"{path} holds no private key that can be read{why}; {_HOW_TO_MAKE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RequestInvalid(f"{path} holds a {type(key).__name__}, not an Ed25519 private key; {_HOW_TO_MAKE}")
    return key


def _unlock(load: Callable[..., Any], content: bytes) -> Any:
    """The key; TypeError where it has a passphrase and none is set."""
    try:
        return load(content, password=None)
    except TypeError:
        passphrase = os.environ.get(PASSPHRASE)
        return load(content, password=None if passphrase is None else passphrase.encode())


def _load_public(path: Path) -> Ed25519PublicKey:
    content = _read(path, "it is the public key of whoever publishes the bundle: ask them for it")
    _require_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    is_openssh = content.lstrip().startswith(b"ssh-")
    load = serialization.load_ssh_public_key if is_openssh else serialization.load_pem_public_key
    try:
        key = load(content)
    except Exception as error:  # of many types
        raise RequestInvalid(f"{path} holds no public key that can be read; {_HOW_TO_PUBLISH}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise RequestInvalid(f"{path} holds a {type(key).__name__}, not an Ed25519 public key; {_HOW_TO_PUBLISH}")
    return key


def _read(path: Path, advice: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_KEY_BYTES)
    except FileNotFoundError as error:
        raise NotFound(f"there is no key {path}; {advice}") from error
    except OSError as error:
        raise RequestInvalid(f"the key {path} cannot be read: {error.strerror}") from error


def _require_library() -> None:
    try:
        import cryptography  # noqa: F401 - whether it is there
    except ImportError as error:
        raise RequestInvalid("signatures want the package cryptography: pip install 'raysweep[sign]'") from error
