"""From a query to outfit ideas by a language model elsewhere: any endpoint that speaks the OpenAI protocol.

Its answer is read while it comes, so that an idea is given as soon as its last word is there.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fashion_search.ideas import checked, first_distinct, with_the_item_first

if TYPE_CHECKING:
    from fashion_search.taste import Taste

_BULLET = re.compile(r"^\s*(?:[-*•–—]+|\(?\d{1,2}[.):]|idea\s+\d{1,2}\s*[:.)-])\s*", re.IGNORECASE)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_BETWEEN = re.compile(r"[\s,]*")
_MAX_IDEA_WORDS = 14  # an item is a phrase; longer lines are the model talking about its answer

STREAMED = "text/event-stream"


class IdeasUnavailable(RuntimeError):
    """An endpoint gave no ideas: it was not reached, refused, or answered something that holds none."""

    def __init__(self, url: str, model: str, reason: str) -> None:
        super().__init__(url, model, reason)
        self.url, self.model, self.reason = url, model, reason

    def __str__(self) -> str:
        return (
            f"no outfit ideas from model {self.model!r} at {self.url}: {self.reason}. "
            "Check --llm-url and the model's name, or leave --llm-url out to use the embedded model."
        )


class EndpointIdeas:
    """Ideas from any endpoint that speaks the OpenAI chat protocol. Safe to share between threads.

    Args:
        url: the endpoint's base, such as `http://localhost:11434/v1`.
        model: the model's name there.
        api_key: sent as bearer token; servers on one's own machine mostly take any.
        timeout_s: how long it may say nothing.
        max_retries: how often the client tries again by itself when the endpoint is busy or unreachable.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "none",
        timeout_s: float = 60.0,
        max_retries: int = 1,
    ) -> None:
        try:
            import openai
        except ImportError as exc:
            raise IdeasUnavailable(
                url, model, "the 'openai' package is missing; run 'pip install openai'"
            ) from exc
        self._url, self._model = url, model
        self._client = openai.OpenAI(
            base_url=url, api_key=api_key, timeout=timeout_s, max_retries=max_retries
        )
        # The client lies in a cycle with its own parts: left to the collector, a socket may be finalized before the client closes it.
        weakref.finalize(self, self._client.close)

    def suggest(self, query: str, n: int = 5) -> list[str]:
        """Return at most `n` distinct ideas in the model's order.

        Raises:
            IdeasUnavailable: the endpoint was not reached, refused, or its answer holds no idea.
            ValueError: the query is empty, or `n` is less than 1.
        """
        return list(self.stream(query, n))

    def stream(self, query: str, n: int = 5, taste: Taste | None = None) -> Iterator[str]:
        """Give the ideas of `suggest`, by what somebody likes and what not, each as soon as the model has said it."""
        query = checked(query, n)
        prompt = (
            f"Request of a customer of a fashion shop: {query}\n{_told_of(taste)}"
            f"List {n} different items to wear, most important first. Each is one item as a shop's search box would "
            "take it: colour, material, kind of item, and 'for women' or 'for men' where it matters. If the request "
            f"names a product, the first item is that product. Answer with a JSON list of {n} strings only."
        )
        return first_distinct(with_the_item_first(query, self._ideas(prompt)), n)

    def _ideas(self, prompt: str) -> Iterator[str]:
        said: list[str] = []
        is_empty = True
        for idea in ideas_as_they_come(_kept(self._ask(prompt), said)):
            is_empty = False
            yield idea
        if is_empty:
            answer = "".join(said)[:200]
            raise self._unavailable(f"its answer holds no list of items: {answer!r}")

    def _ask(self, prompt: str) -> Iterator[str]:
        """Give what the model says, as it says it; of a server that cannot tell in parts, all at once."""
        import httpx
        import openai

        try:
            with self._client.chat.completions.create(
                model=self._model, messages=[{"role": "user", "content": prompt}], temperature=0.0,
                stream=True,
            ) as answer:  # fmt: skip
                if STREAMED in answer.response.headers.get("content-type", ""):
                    yield from filter(None, (_content_of(chunk, "delta") for chunk in answer))
                else:
                    yield self._whole(answer.response.read())
        except (openai.OpenAIError, httpx.HTTPError, ValueError) as exc:
            # ValueError: what is to be JSON is none
            cause = f" ({exc.__cause__})" if exc.__cause__ is not None else ""
            raise self._unavailable(f"{exc}{cause}") from exc

    def _whole(self, body: bytes) -> str:
        # A server that is no LLM may answer 200 with anything.
        content = _content_of(json.loads(body), "message")
        if content is None:
            answer = body.decode(errors="replace")[:200]
            raise self._unavailable(f"its answer is no chat completion: {answer!r}")
        return content

    def _unavailable(self, reason: str) -> IdeasUnavailable:
        return IdeasUnavailable(self._url, self._model, reason)


def _kept(parts: Iterable[str], said: list[str]) -> Iterator[str]:
    for part in parts:
        said.append(part)
        yield part


def _content_of(answer: Any, name: str) -> str | None:
    """Return the text of an answer's first choice; None where there is none, whatever the server sent."""

    def member(of: Any, key: str) -> Any:
        return of.get(key) if isinstance(of, dict) else getattr(of, key, None)

    choices = member(answer, "choices")
    content = (
        member(member(choices[0], name), "content")
        if isinstance(choices, list) and choices
        else None
    )
    return content if isinstance(content, str) else None


def ideas_as_they_come(parts: Iterable[str]) -> Iterator[str]:
    """Give the items that a language model's answer lists, each when it is complete."""
    text, given = "", list[str]()
    for part in parts:
        text += part
        done = _so_far(text)
        yield from done[len(given) :]
        given += done[len(given) :]
    yield from (idea for idea in ideas_in(text) if idea not in given)


def _so_far(text: str) -> list[str]:
    """Return the items of the part of an answer that is there. Of lines, only those that say themselves that they list one:
    a model may still be talking."""
    for start in (match.end() for match in re.finditer(r"\[", text)):
        items = [name for name in map(_name_of, _complete_values(text, start)) if name]
        if items:
            return [idea for item in items for idea in _items_of([item])]
    lines = text.splitlines()
    whole = lines if text.endswith("\n") else lines[:-1]
    return _items_of(line for line in whole if _BULLET.match(line))


def _complete_values(text: str, at: int) -> Iterator[object]:
    """Give the values of a JSON list that begins there, as far as it goes."""
    decoder = json.JSONDecoder()
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        yield value


def ideas_in(answer: str) -> list[str]:
    """Return the items that a language model's answer lists, as JSON or as lines with bullets or numbers.

    What is too long for an item, and headings, are left out.
    """
    listed = _json_list(answer)
    return _items_of(answer.splitlines() if listed is None else listed)


def _items_of(lines: Iterable[str]) -> list[str]:
    ideas = (
        _BULLET.sub("", line).strip().strip("\"'`*_,;").strip()
        for line in _FENCE.sub("", "\n".join(lines)).splitlines()
    )
    return [idea for idea in ideas if _is_item(idea)]


def _json_list(answer: str) -> list[str] | None:
    """Return the strings of the first JSON list in a text, or None where there is none."""
    for start in (match.start() for match in re.finditer(r"\[", answer)):
        try:
            found, _ = json.JSONDecoder().raw_decode(answer[start:])
        except json.JSONDecodeError:
            continue
        items = [_name_of(item) for item in found]
        if any(items):
            return [item for item in items if item]
    return None


def _name_of(item: object) -> str:
    """Return a listed item's words; models often answer `{"item": "red dress"}` for one."""
    if isinstance(item, str):
        return " ".join(item.split())
    if isinstance(item, dict):
        return next(
            (" ".join(value.split()) for value in item.values() if isinstance(value, str)), ""
        )
    return ""


def _is_item(line: str) -> bool:
    has_words = bool(re.search(r"[^\W\d_]{2}", line))
    is_talk = line.endswith((":", "?", "!")) or line.startswith(("{", "}", "<", "["))
    return has_words and not is_talk and len(line.split()) <= _MAX_IDEA_WORDS


def _told_of(taste: Taste | None) -> str:
    """Return what a model is told of a customer: a line, or nothing."""
    likes, avoids = (taste.likes(), taste.avoids()) if taste else ([], [])
    told = [f"likes {', '.join(likes)}"] if likes else []
    told += [f"does not like {', '.join(avoids)}"] if avoids else []
    return f"By what they said before, the customer {' and '.join(told)}.\n" if told else ""
