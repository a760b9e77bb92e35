"""Access: roles, and the tokens that stand for them, kept as hashes.

A token is 32 random bytes, so one SHA-256 of it is as hard to turn back as any slow hash would be.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

import msgspec

from motion.definitions.values.decoders import from_json
from motion.errors import InvalidArgument, StoreUnavailable, shortened


class Role(IntEnum):
    """What a client may do; each may do all that those before it may.

    READ sees rows, searches and follows changes; WRITE sets and deletes rows and tries failed ones again; ADMIN steers
    models and backfills, and sees tracebacks, paths, system tables and keys named like secrets.
    """

    READ = 1
    WRITE = 2
    ADMIN = 3


def role_of(name: str) -> Role:
    """Return the role of a name such as "read"."""
    try:
        return Role[name.upper()]
    except (KeyError, AttributeError) as exc:
        known = ", ".join(each.name.lower() for each in Role)
        raise InvalidArgument("role", shortened(name), f"one of {known}") from exc


@dataclass(frozen=True)
class Token:
    """A token as it is kept: what it may do, and the hash by which it is known again."""

    name: str
    role: str
    sha256: str


def new_token(name: str, role: Role) -> tuple[str, Token]:
    """Return a new token's text, which is kept nowhere, and what is kept of it.

    Raises:
        InvalidArgument: its name cannot be shown in a line.
    """
    if not (name and name.isprintable()):
        raise InvalidArgument("name", shortened(name), "printable characters")
    text = f"motion_{secrets.token_urlsafe(32)}"
    return text, Token(name, role.name.lower(), _digest(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """The tokens that a server takes. With none, whoever reaches it may do everything."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens)

    def found(self, text: str) -> Token | None:
        """Return the token that a text is, None where it is none. Takes equally long for each text."""
        digest = _digest(text)
        matching = [each for each in self._tokens if hmac.compare_digest(each.sha256, digest)]
        return matching[0] if matching else None

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Return the tokens kept in a file, none where it is not there.

        Raises:
            StoreUnavailable: it cannot be read; it is never taken for an empty one.
        """
        try:
            kept = path.read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError as exc:
            raise StoreUnavailable(str(path), f"its tokens cannot be read: {exc}") from exc
        try:
            found = from_json(kept, list[Token])
        except msgspec.MsgspecError as exc:
            raise StoreUnavailable(str(path), f"it is no list of tokens: {exc}") from exc
        for each in found:
            role_of(each.role)
        return cls(found)

    def write(self, path: Path) -> None:
        """Keep them in a file that only its owner reads; whole, or as it was before."""
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as exc:
            raise StoreUnavailable(str(path), f"its tokens cannot be written: {exc}") from exc
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode([asdict(t) for t in self._tokens])))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def with_token(self, token: Token) -> Tokens:
        """Return these and another one, which takes the place of the one with its name."""
        return Tokens([*(each for each in self._tokens if each.name != token.name), token])

    def without(self, name: str) -> Tokens:
        """Return these but for the one with a name."""
        known = [each.name for each in self._tokens]
        if name not in known:
            raise InvalidArgument("token", shortened(name), f"one of {', '.join(known) or 'none'}")
        return Tokens(each for each in self._tokens if each.name != name)
