"""The secrets of this process: of its environment and of AWS, which nothing that is stored may hold."""

from __future__ import annotations

import configparser
import html
import json
import os
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, TypeVar
from urllib.parse import quote, unquote

from raysweep.errors import NotFound, StorageFailed

_SECRET_NAMES: Final = (
    *("SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CONNECTION_STRING"),
    *("ACCESS_KEY", "ACCOUNT_KEY", "API_KEY", "APIKEY", "ENCRYPTION_KEY", "PRIVATE_KEY", "SIGNING_KEY"),
)
_SECRET_STEPS: Final = frozenset({"PASS", "PAT", "PWD"})  # as in DB_PASS; neither PATH nor COMPASS is meant, nor PWD
_MIN_SECRET_LENGTH: Final = 12
_MIN_PASSWORD_LENGTH: Final = 8  # of an address: there is no doubt that it is one
_MIN_TOKEN_LENGTH: Final = 20  # in the place of a user: names are shorter
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_MAX_UNPACKED_BYTES: Final = 1024**3
_FILES: Final = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
}
_KEYS_IN_FILES: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")

# `user:password@`, or a token or a user alone. A password may hold / and @, as people write them and some libraries
# take them: it ends at the last @ before a space, a quote or the next address.
_NEXT_ADDRESS: Final = r"[,;|&][a-zA-Z][a-zA-Z0-9+.-]{0,20}://"
_USER_INFO: Final = re.compile(
    rf"""(?<=://)(?:[^/:\s'"`]{{0,512}}:(?:(?!{_NEXT_ADDRESS})[^\s'"`]){{0,2048}}|[^/\s'"`]{{0,2048}})@"""
)
_USER_INFO_BYTES: Final = re.compile(_USER_INFO.pattern.encode())

Source = Callable[[], Mapping[str, str | None]]
TextT = TypeVar("TextT", str, bytes)
_sources: deque[Source] = deque(maxlen=32)  # a process that opens stores for long keeps the newest


def add_source(source: Source) -> None:
    """Let `source` be asked for secrets that stand neither in the environment nor in a file of AWS."""
    _sources.append(source)


def process_secrets() -> dict[str, str]:
    """All secrets that this process knows of, by the names of where they come from."""
    found = {**_secrets_in_files(os.environ), **known_secrets(os.environ)}
    for source in _sources:
        with suppress(Exception):  # credentials that cannot be renewed cannot be used either
            named = source().items()
            found |= {name: value for name, value in named if value and value not in found.values()}
    return found


def known_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of variables that look as if they held a secret, and passwords in addresses, by their names."""
    found = {
        name: value
        for name, value in environment.items()
        if _is_secret_by_name(name) and len(value) >= _MIN_SECRET_LENGTH and not _is_path(value)
    }
    for name, value in environment.items():
        for number, password in enumerate(sorted(_passwords(value))):
            found[f"the password in {name}" + (f" ({number + 1})" if number else "")] = password
    return found


def described(name: str) -> str:
    """What a secret of that name is, in an error."""
    return name if " " in name else f"the value of the environment variable {name}"


def find_secrets(value: object, secrets: Mapping[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    """Where in a JSON value secrets stand: the path, and the name of the variable."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from find_secrets(str(key), secrets, path)
            yield from find_secrets(one, secrets, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from find_secrets(one, secrets, f"{path}[{number}]")
    elif isinstance(value, str):
        yield from ((path, name) for name, secret in secrets.items() if any(one in value for one in _forms(secret)))


def secret_in_file(path: Path, secrets: Mapping[str, str]) -> str | None:
    """The name of a secret that stands in the file; None for none. Only a few MiB of it are held at a time.

    The members of a zip file are unpacked for that, up to 1 GiB; no other compression is looked through.

    Raises:
        NotFound, StorageFailed: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            found = secret_in(iter(lambda: stream.read(_CHUNK_BYTES), b""), secrets)
        return found or _secret_in_members(path, secrets)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except OSError as error:
        raise StorageFailed(f"{path} cannot be read: {error.strerror}") from error


def secret_in(chunks: Iterable[bytes], secrets: Mapping[str, str]) -> str | None:
    """The name of a secret that stands in these bytes, also across their borders; None for none.

    It is looked for as it is, and as JSON, HTML and addresses escape it.
    """
    encoded = [(name, form.encode(errors="surrogateescape")) for name, one in secrets.items() for form in _forms(one)]
    overlap = max((len(value) for _, value in encoded), default=1) - 1
    before = b""
    for chunk in chunks:
        window = before + chunk
        for name, value in encoded:
            if value in window:
                return name
        before = window[len(window) - min(overlap, len(window)) :]
    return None


def without_user_info(text: TextT) -> TextT:
    """The text with the user names and passwords taken out of the addresses in it."""
    if isinstance(text, bytes):
        return _USER_INFO_BYTES.sub(b"", text)
    return _USER_INFO.sub("", text)


def masked(text: str, secrets: Mapping[str, str]) -> str:
    """The text with the name of its variable in the place of each secret."""
    forms = [(form, name) for name, secret in secrets.items() for form in _forms(secret)]
    for form, name in sorted(forms, key=lambda one: -len(one[0])):  # one may be a part of another
        text = text.replace(form, f"<{name}>")
    return text


def _is_secret_by_name(name: str) -> bool:
    steps = name.upper().split("_")
    return any(mark in name.upper() for mark in _SECRET_NAMES) or (
        len(steps) > 1 and not _SECRET_STEPS.isdisjoint(steps)
    )


def _is_path(value: str) -> bool:
    """Whether it names a place, as MY_TOKEN_FOLDER does; Path.exists fails on a long token."""
    return os.path.exists(os.path.expanduser(value))  # noqa: PTH110, PTH111


def _forms(secret: str) -> set[str]:
    """How a secret may be written: as it is, and escaped in JSON, in HTML (two ways) and in addresses."""
    if not secret:
        return set()
    text = html.escape(secret, quote=False)
    escaped = [quote(secret, safe="", errors="replace"), quote(secret, errors="replace")]
    escaped.append(escaped[0].replace("%20", "+"))
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        text,
        html.escape(secret),
        text.replace('"', "&#34;").replace("'", "&#39;"),
        *escaped,
        *(re.sub("%..", lambda found: found.group().lower(), one) for one in escaped),
    }


def _secret_in_members(path: Path, secrets: Mapping[str, str]) -> str | None:
    """The name of a secret in a packed member of a zip file; those that are not packed are seen without unpacking."""
    if not zipfile.is_zipfile(path):
        return None
    left = _MAX_UNPACKED_BYTES
    with (
        suppress(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
        zipfile.ZipFile(path) as it,
    ):
        for member in it.infolist():
            if member.compress_type != zipfile.ZIP_STORED and left > 0:
                with it.open(member) as stream:
                    if (name := secret_in(_pieces(stream, left), secrets)) is not None:
                        return name
                    left -= stream.tell()
    return None


def _pieces(stream: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    """What can be read of it, up to so many bytes: the sizes that a zip file says may be wrong."""
    while most_bytes > 0 and (piece := stream.read(min(_CHUNK_BYTES, most_bytes))):
        most_bytes -= len(piece)
        yield piece


def _passwords(value: str) -> set[str]:
    """The passwords of the addresses in a value, as they are written and as they are meant; a long user is a token."""
    found: set[str] = set()
    for match in _USER_INFO.finditer(value):
        user, _, password = match.group().removesuffix("@").partition(":")
        found |= {one for one in (password, unquote(password)) if len(one) >= _MIN_PASSWORD_LENGTH}
        if len(user) >= _MIN_TOKEN_LENGTH and "@" not in unquote(user):
            found |= {user, unquote(user)}
    return found


def _secrets_in_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The keys of every profile in the files of AWS: any of them may sign a request."""
    found: dict[str, str] = {}
    for variable, usual in _FILES.items():
        path = environment.get(variable) or usual
        parser = configparser.RawConfigParser(strict=False)
        with suppress(OSError, ValueError, configparser.Error):
            parser.read_string(Path(path).expanduser().read_text(encoding="utf-8"))
        for section in parser.sections():
            for key in _KEYS_IN_FILES:
                value = parser.get(section, key, fallback="")
                if len(value) >= _MIN_SECRET_LENGTH:
                    found[f"{key} of the profile {section} in {path}"] = value
    return found
