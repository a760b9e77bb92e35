"""What tests of folds share: messages of users, folded into a profile of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import motion


@dataclass
class Message:
    id: int
    ts: int
    user: int
    text: str
    thread: str


@dataclass
class User:
    id: int
    name: str
    profile: str


SCHEMAS = {"message": Message, "user": User}


class Calls(list[str]):
    """What a fold was called with, taken away when it is read."""

    def taken(self) -> list[str]:
        found = list(self)
        self.clear()
        return found


def remembering(calls: Calls, **options: Any) -> Any:
    @motion.fold(on="message.text", by="message.user", sets="user.profile", **options)
    def remember(profile: str | None, text: str) -> str:
        calls.append(text)
        return (profile or "") + text

    return remember


def say(store: motion.Store, row: int, at: int, text: str | None, user: int = 1) -> None:
    store.set("message", id=row, ts=at, user=user, text=text)


def profiles(store: motion.Store) -> dict[int, str | None]:
    store.wait(timeout=60)
    assert not store.errors()
    return {row.id: row.profile for row in store.rows(User)}
