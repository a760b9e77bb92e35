"""Tracebacks: how an exception becomes text that can be kept and read. The only place where one does.

Users' code may raise anything: an error whose message cannot be written as UTF-8, is as long as a book, or raises when it
is asked for. Whatever it is, its row is told with the text that it has, and nothing else fails for it.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from motion.background import interrupts

OWN_CODE = str(Path(__file__).parents[1])

LONGEST = 20_000
"""Characters of a text that is kept: its beginning and its end are, and what is between them is left out. There may be
a text for each of a million rows."""

LONGEST_REASON = 2_000


def text_of(error: object) -> str:
    """Return the traceback of an exception, from the user's code on; of anything else, what it says."""
    if not isinstance(error, BaseException):
        return _readable(_said(error), LONGEST) or "no reason was given"
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OWN_CODE):
        trace = trace.tb_next
    try:
        if trace is None and error.__traceback__ is not None:
            # A result that does not fit: there is no line of the user's to show.
            lines = traceback.format_exception_only(error)
        else:
            lines = traceback.format_exception(type(error), error, trace)
        return _readable("".join(lines), LONGEST)
    except BaseException as exc:  # noqa: BLE001 - parts of an error are the user's: their types, messages, notes, causes
        _let_interrupts_pass(exc)
        return reason_of(error)


def reason_of(error: BaseException) -> str:
    """Return what an exception says, without its traceback: its type and its message."""
    return _readable(f"{_name_of(error)}: {_said(error)}", LONGEST_REASON)


BEGIN = "Traceback (most recent call last):"


def headline(text: str) -> str:
    """Return the line of a traceback that says what was raised: the first of its message, where that has several."""
    lines = text.splitlines()
    last = max((i for i, line in enumerate(lines) if line.endswith(BEGIN)), default=-1)
    begin = lines[last] if last >= 0 else ""
    framed = len(begin) - len(begin.lstrip(" |+"))  # those of a group of errors stand in a frame
    own = (line[framed:] for line in lines[last + 1 :])
    return next((line for line in own if line.strip() and not line.startswith(" ")), "no message")


def kind_in(line: str) -> str:
    """Return the class of an error whose headline this is, and nothing of its message."""
    kind = line.partition(":")[0]
    return kind if all(part.isidentifier() for part in kind.split(".")) else "an error"


def _said(given: object) -> str:
    try:
        return str.__str__(str(given))  # a class of the user's may be derived from it
    except BaseException as exc:  # noqa: BLE001 - it is the user's, of whatever class
        _let_interrupts_pass(exc)
        return f"<its text cannot be had: {_name_of(exc)}>"


def _name_of(error: BaseException) -> str:
    """Return the name of an error's class, whatever its metaclass makes of that."""
    return str(vars(type)["__name__"].__get__(type(error)))


def _let_interrupts_pass(error: BaseException) -> None:
    """Raise what came from a signal while a text was made, not from that."""
    is_interrupt = isinstance(error, KeyboardInterrupt) and interrupts.may_come()
    if is_interrupt or interrupts.is_of_handler(error):
        raise error


def _readable(text: str, longest: int) -> str:
    """Return a text without what no database and no terminal takes, and not longer than that."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    if len(text) <= longest:
        return text
    half = longest // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[{left_out} characters are left out here]\n{text[-half:]}"
