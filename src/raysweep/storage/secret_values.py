"""The secrets of this process: of its environment and of AWS, which nothing that is stored may hold."""

from __future__ import annotations

import configparser
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote

from raysweep.errors import NotFound, StorageFailed

_SECRET_NAMES: Final = ("SECRET", "TOKEN", "PASSWORD", "ACCESS_KEY", "API_KEY")
_MIN_SECRET_LENGTH: Final = 12
_MIN_PASSWORD_LENGTH: Final = 8  # of an address: there is no doubt that it is one
_MIN_TOKEN_LENGTH: Final = 20  # in the place of a user: names are shorter
_CHUNK_BYTES: Final = 4 * 1024 * 1024
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
        if any(mark in name.upper() for mark in _SECRET_NAMES)
        and len(value) >= _MIN_SECRET_LENGTH
        and not os.path.exists(value)  # noqa: PTH110 - MY_TOKEN_FOLDER names a place; Path.exists fails on a long token
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
        yield from ((path, name) for name, secret in secrets.items() if secret in value)


def secret_in_file(path: Path, secrets: Mapping[str, str]) -> str | None:
    """The name of a secret that stands in the file; None for none. Only a few MiB of it are held at a time.

    Raises:
        NotFound, StorageFailed: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return secret_in(iter(lambda: stream.read(_CHUNK_BYTES), b""), secrets)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except OSError as error:
        raise StorageFailed(f"{path} cannot be read: {error.strerror}") from error


def secret_in(chunks: Iterable[bytes], secrets: Mapping[str, str]) -> str | None:
    """The name of a secret that stands in these bytes, also across their borders; None for none."""
    encoded = {name: value.encode() for name, value in secrets.items() if value}
    overlap = max(map(len, encoded.values()), default=1) - 1
    before = b""
    for chunk in chunks:
        window = before + chunk
        for name, value in encoded.items():
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
    for name, secret in sorted(secrets.items(), key=lambda one: -len(one[1])):  # one may be a part of another
        text = text.replace(secret, f"<{name}>")
    return text


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
