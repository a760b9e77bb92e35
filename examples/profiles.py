"""Profiles: what each user's messages say about them, kept up to date, and used to answer that user's questions.

It works with any endpoint that speaks OpenAI's protocol:

    OPENAI_BASE_URL=https://api.openai.com/v1 OPENAI_API_KEY=... OPENAI_MODEL=gpt-4o-mini python examples/profiles.py

`pip install "motion-ml[client]"` brings httpx along.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import httpx

import motion


@dataclass
class User:
    id: str
    profile: str


@dataclass
class Message:
    id: int
    ts: int
    user: Annotated[str, motion.Ref("user", delete=True)]  # goes with the user
    text: str


@dataclass
class Question:
    id: int
    ts: int
    user: Annotated[str, motion.Ref("user", delete=True)]
    text: str
    answer: str


def complete(task: str, text: str) -> str:
    """Ask the model, and return what it says."""
    response = httpx.post(
        f"{os.environ.get('OPENAI_BASE_URL', 'https://api.openai.com/v1')}/chat/completions",
        headers={"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}"},
        json={
            "model": os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
            "temperature": 0,
            "messages": [{"role": "system", "content": task}, {"role": "user", "content": text}],
        },
        timeout=60,
    )
    response.raise_for_status()
    return str(response.json()["choices"][0]["message"]["content"])


@motion.fold(on="message.text", by="message.user", sets="user.profile", retries=3, concurrency=8)
def remember(profile: str | None, text: str) -> str:
    """A message costs one call. One that is edited, or comes late, has those after it folded again."""
    return complete(
        "Rewrite the profile of a user so that it takes in what their message says. Facts only, at most 100 words.",
        f"Profile: {profile or 'nothing is known'}\nMessage: {text}",
    )


@motion.trigger(on="question.text", sets="question.answer", retries=3, concurrency=8)
def answer(
    text: str,
    profile: Annotated[str | None, motion.Lookup("user.profile", by="user", follow=False)],
) -> str:
    """An answer is of what was known when it was asked for, and does not change with the profile."""
    return complete(f"Answer for a user of whom this is known: {profile or 'nothing'}", text)


def open_chat(url: str | None = None) -> motion.Store:
    return motion.create_store(
        "profiles",
        schemas={"user": User, "message": Message, "question": Question},
        triggers=[remember, answer],
        url=url,
    )


if __name__ == "__main__":
    with open_chat() as store:
        for text in ("I am Ann and I live in Rome.", "I do not eat meat."):
            store.set("message", user="ann", text=text)
        store.wait(timeout=120)
        change = store.set("question", user="ann", text="Where could I have dinner?")
        print(change.wait("answer", timeout=120).rows()[0].answer)
        print(store.forget("user", "ann"))
