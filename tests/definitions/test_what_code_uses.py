"""What code uses of its own package counts, however it comes by it, and nothing else does: seen by what a store calls stale."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import motion
from tests.definitions.test_fingerprints import Line

TRIGGER = """
import motion

@motion.trigger(on="line.text", sets="line.upper", name="upper")
def upper(text):
    return {made}
"""

COMPONENT = """
import motion

class Upper(motion.Component):
    def setup(self):
        return 1

    @motion.infer(on="line.text", sets="line.upper")
    def upper(self, state, text):
        return {made}
"""

LATE = """
import motion

@motion.trigger(on="line.text", sets="line.upper", name="upper")
def upper(text):
    {import_}
    return {made}
"""


def trigger(made: str, above: str = "") -> str:
    return above + TRIGGER.format(made=made)


def component(made: str, below: str, above: str = "") -> str:
    return above + COMPONENT.format(made=made) + below


def late(import_: str, made: str) -> str:
    return LATE.format(import_=import_, made=made)


def stale_after(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> int:
    """Return how many of two rows are stale once the files of their trigger's package are others."""
    options: dict[str, Any] = {"schemas": {"line": Line}, "url": f"sqlite:///{folder / 'store'}"}
    code = imported(monkeypatch, folder / "before", before)
    with motion.create_store("code", triggers=[code], **options) as store:
        store.set_many("line", [{"text": "a"}, {"text": "b"}]).wait(timeout=60)
    code = imported(monkeypatch, folder / "after", after)
    with motion.create_store("code", triggers=[code], **options) as store:
        (status,) = store.status().triggers.values()
        return status.stale


def stale_by(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[dict[str, str], str, str]
) -> int:
    """Return the same once a text in files is another."""
    files, old, new = change
    changed = {name: text.replace(old, new) for name, text in files.items()}
    assert changed != files
    return stale_after(folder, monkeypatch, files, changed)


def imported(monkeypatch: pytest.MonkeyPatch, folder: Path, files: Mapping[str, str]) -> Any:
    """Return the trigger or component of a package of these files, made in a folder and imported from there."""
    package = folder / "code_shop"
    package.mkdir(parents=True)
    for name, text in ({"__init__.py": ""} | dict(files)).items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    for module in [each for each in sys.modules if each.startswith("code_")]:
        monkeypatch.delitem(sys.modules, module)
    rules = importlib.import_module("code_shop.rules")
    return rules.Upper() if hasattr(rules, "Upper") else rules.upper


HELP = "def helped(text):\n    return text + 'a'\n"

CHANGES: dict[str, tuple[dict[str, str], str, str]] = {
    "a method that a method calls": (
        {"rules.py": component("self.first(text)", """
    def first(self, text):
        return self.second(text)

    def second(self, text):
        return text + 'a'
""")}, "'a'", "'b'"),
    "what it overrides and calls": (
        {"rules.py": component("self.ended(text)", """
    def ended(self, text):
        return super().ended(text)
""", above="""
class Ending:
    def ended(self, text):
        return text + 'a'
""").replace("Upper(motion", "Upper(Ending, motion")}, "'a'", "'b'"),
    "what a class inherits": (
        {"rules.py": trigger("Child().ended(text)", """
class Base:
    def ended(self, text):
        return text + 'a'

class Child(Base):
    pass
""")}, "'a'", "'b'"),
    "the class of an object": (
        {"rules.py": trigger("ENDING.ended(text)", """
class Ending:
    def ended(self, text):
        return text + 'a'

ENDING = Ending()
""")}, "'a'", "'b'"),
    "the class of an object that its component holds": (
        {"rules.py": component("self.ending.ended(text)", """
    def __init__(self):
        self.ending = Ending()
""", above="""
class Ending:
    def ended(self, text):
        return text + 'a'
""")}, "'a'", "'b'"),
    "an object's method": (
        {"rules.py": trigger("ended(text)", """
class Ending:
    def ended(self, text):
        return text + 'a'

ended = Ending().ended
""")}, "'a'", "'b'"),
    "a function in a dict": (
        {"rules.py": trigger("ENDED['x'](text)", HELP + "ENDED = {'x': helped}\n")}, "'a'", "'b'"),
    "a function in a set": (
        {"rules.py": trigger("[each(text) for each in ENDED][0]", HELP + "ENDED = {helped}\n")}, "'a'", "'b'"),
    "a property that is kept": (
        {"rules.py": trigger("text + Ending().mark", """
import functools

class Ending:
    @functools.cached_property
    def mark(self):
        return 'a'
""")}, "'a'", "'b'"),
    "what a function chooses from by type": (
        {"rules.py": trigger("ended(text)", """
import functools

@functools.singledispatch
def ended(text):
    raise TypeError

@ended.register
def of_text(text: str):
    return text + 'a'
""")}, "'a'", "'b'"),
    "what wraps it": (
        {"rules.py": trigger("text", """
import functools

def ended(function):
    @functools.wraps(function)
    def wrapper(text):
        return function(text) + 'a'
    return wrapper
""").replace("def upper", "@ended\ndef upper")}, "'a'", "'b'"),
    "it itself, wrapped by another package": (
        {"rules.py": trigger("text + 'a'", """
import contextlib

class Locked(contextlib.ContextDecorator, contextlib.nullcontext):
    pass
""").replace("def upper", "@Locked()\ndef upper")}, "'a'", "'b'"),
    "a pattern": (
        {"rules.py": trigger("PATTERN.sub('', text)", "import re\n\nPATTERN = re.compile('a')\n")}, "'a'", "'b'"),
    "the value of an enum's member": (
        {"rules.py": trigger("text + Mark.END.value", """
from enum import Enum

class Mark(Enum):
    END = 'a'
""")}, "'a'", "'b'"),
    "the value of a member that it holds": (
        {"rules.py": trigger("text + END.value", """
from enum import Enum

class Mark(Enum):
    END = 'a'

END = Mark.END
""")}, "'a'", "'b'"),
    "the default of a dataclass": (
        {"rules.py": trigger("text + Mark().end", """
from dataclasses import dataclass

@dataclass
class Mark:
    end: str = 'a'
""")}, "'a'", "'b'"),
    "the default of a model of Pydantic's": (
        {"rules.py": trigger("text + Mark().end", """
import pydantic

class Mark(pydantic.BaseModel):
    end: str = 'a'
""")}, "'a'", "'b'"),
    "the default of a named tuple": (
        {"rules.py": trigger("text + Mark().end", """
from typing import NamedTuple

class Mark(NamedTuple):
    end: str = 'a'
""")}, "'a'", "'b'"),
    "another package's function of the same name": (
        {"rules.py": trigger("text + str(mean([1, 2]))", "from statistics import fmean as mean\n")},
        "fmean as mean", "mean"),
    "a module below a package": (
        {"rules.py": trigger("code_shop.words.helped(text)", "import code_shop.words\n"), "words.py": HELP}, "'a'", "'b'"),
    "a helper that it imports when it is called": (
        {"rules.py": late("from code_shop.words import helped", "helped(text)"), "words.py": HELP}, "'a'", "'b'"),
    "one that it imports by a relative name": (
        {"rules.py": late("from .words import helped as ended", "ended(text)"), "words.py": HELP}, "'a'", "'b'"),
    "one of a module that it imports then": (
        {"rules.py": late("from . import words", "words.helped(text)"), "words.py": HELP}, "'a'", "'b'"),
    "one of a module that it imports then by its whole name": (
        {"rules.py": late("import code_shop.deep.words", "code_shop.deep.words.helped(text)"),
         "deep/__init__.py": "", "deep/words.py": HELP}, "'a'", "'b'"),
    "what such a helper uses": (
        {"rules.py": late("from .words import helped", "helped(text)"),
         "words.py": "from . import marks\n\ndef helped(text):\n    return text + marks.END\n", "marks.py": "END = 'a'\n"},
        "'a'", "'b'"),
    "what such a helper imports when it is called": (
        {"rules.py": late("from .words import helped", "helped(text)"),
         "words.py": "def helped(text):\n    from .marks import END\n    return text + END\n", "marks.py": "END = 'a'\n"},
        "'a'", "'b'"),
    "what a second helper uses of a module that a first one uses": (
        {
            "rules.py": late("from .words import first, second", "first(text) + second(text)"),
            "words.py": "from . import marks\n\ndef first(text):\n    return text + marks.ONE\n\n"
            "def second(text):\n    return marks.TWO\n",
            "marks.py": "ONE = 'c'\nTWO = 'a'\n",
        },
        "'a'",
        "'b'",
    ),
    "a module of a package without a file of its own": (
        {
            "rules.py": late("from code_shop.bare import words", "words.helped(text)"),
            "bare/words.py": HELP,
        },
        "'a'",
        "'b'",
    ),
    "what a package hands on": (
        {"rules.py": late("from code_shop.deep import helped", "helped(text)"),
         "deep/__init__.py": "from .words import *\n", "deep/words.py": HELP}, "'a'", "'b'"),
    "plain data that it imports": (
        {"rules.py": late("from .words import ENDS", "text + ENDS[0]"), "words.py": "ENDS = tuple(['a'])\n"}, "'a'", "'b'"),
    "a class that it imports": (
        {"rules.py": late("from .words import Child", "Child().ended(text)"), "words.py": """
try:
    class Base:
        def ended(self, text):
            return text + 'a'
finally:
    pass

class Child(Base):
    pass
"""}, "'a'", "'b'"),
    "what a helper of the module's imports when it is called": (
        {"rules.py": trigger("first(text)", "def first(text):\n    from .words import helped\n    return helped(text)\n"),
         "words.py": HELP}, "'a'", "'b'"),
    "when it runs, in a lambda": (
        {"rules.py": trigger("text").replace('name="upper"', "\n    name='upper', when=lambda row: row.id > 0,\n")},
        "row.id > 0", "row.id > -1"),
    "a method behind a decorator of its own": (
        {"rules.py": component("self.first(text)", """
    @named
    def first(self, text):
        return self.second(text)

    def second(self, text):
        return text + 'a'
""", above="""
import functools

def named(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper
""")}, "'a'", "'b'"),
    "a method that another package decorates": (
        {"rules.py": trigger("Ending().ended(text)", """
import contextlib

class Ending:
    @contextlib.contextmanager
    def _opened(self):
        yield 'a'

    def ended(self, text):
        with self._opened() as end:
            return text + end
""")}, "'a'", "'b'"),
    "what Python calls of an object": (
        {"rules.py": component("self(text) + self[0] + self.mark", """
    def __call__(self, text):
        return text + self.given

    def __getitem__(self, place):
        return ''

    def __getattr__(self, name):
        return {'mark': '', 'given': 'a'}[name]
""")}, "'a'", "'b'"),
    "what a setter does": (
        {"rules.py": component("self.kept(text)", """
    @property
    def mark(self):
        return 1

    @mark.setter
    def mark(self, value):
        self.__dict__['last'] = value + 'a'

    def kept(self, text):
        self.mark = text
        return self.__dict__.pop('last')
""")}, "'a'", "'b'"),
    "a method that a helper calls": (
        {"rules.py": component("helped(self, text)", """
    def hook(self, text):
        return text + 'a'
""", above="def helped(component, text):\n    return component.hook(text)\n")}, "'a'", "'b'"),
    "a module in a list": (
        {"rules.py": trigger("[each.helped(text) for each in ALL][0]", "from . import words\n\nALL = [words]\n"),
         "words.py": HELP}, "'a'", "'b'"),
    "the order of a dict": (
        {"rules.py": trigger("text.join(ENDS)", "ENDS = {'a': 1, 'b': 1}\n")},
        "{'a': 1, 'b': 1}", "{'b': 1, 'a': 1}"),
    "a method of a member that it holds": (
        {"rules.py": trigger("END.of(text)", """
from enum import Enum

class Mark(Enum):
    END = 1

    def of(self, text):
        return text + 'a'

END = Mark.END
""")}, "'a'", "'b'"),
    "a method of an enum behind a cache": (
        {"rules.py": trigger("Mark.END.of(text)", """
import functools
from enum import Enum

class Mark(Enum):
    END = 1

    @functools.cache
    def of(self, text):
        return text + 'a'
""")}, "'a'", "'b'"),
    "what a dict makes of what it has not": (
        {"rules.py": trigger("text + ENDS.default_factory()", "from collections import defaultdict\n\nENDS = defaultdict(lambda: 'a')\n")},
        "'a'", "'b'"),
    "a method that is chosen by type": (
        {"rules.py": trigger("Ending().ended(text)", """
import functools

class Ending:
    @functools.singledispatchmethod
    def ended(self, text):
        return text + 'a'
""")}, "'a'", "'b'"),
    "a method of plain data": (
        {"rules.py": trigger("ENDED([text, ''])", "ENDED = 'a'.join\n")}, "'a'", "'b'"),
    "a decorator of a function inside": (
        {"rules.py": trigger("outer(text)", """
def named(end):
    return lambda function: lambda text: function(text) + end

def outer(text):
    @named('a')
    def inner(text):
        return text
    return inner(text)
""")}, "'a'", "'b'"),
    "a metaclass of its own": (
        {"rules.py": trigger("Ending(text)", """
class Calling(type):
    def __call__(cls, text):
        return text + 'a'

class Ending(metaclass=Calling):
    pass
""")}, "'a'", "'b'"),
    "what a class inherits from another package": (
        {"rules.py": trigger("text + caught()", """
class Wrong(ValueError):
    pass

def caught():
    try:
        raise Wrong
    except LookupError:
        return 'a'
    except Exception:
        return 'b'
""")}, "Wrong(ValueError)", "Wrong(KeyError)"),
    "whether a dataclass compares": (
        {"rules.py": trigger("text + str(Mark() == Mark())", """
from dataclasses import dataclass

@dataclass(eq=True)
class Mark:
    end: str = 'a'
""")}, "eq=True", "eq=False"),
    "a member with a name of Python's kind": (
        {"rules.py": trigger("text + Mark.__mark__", "class Mark:\n    __mark__ = 'a'\n")}, "'a'", "'b'"),
    "the default of a nested model, by name": (
        {"rules.py": trigger("text + Outer(inner={}).inner.end", """
import pydantic

END = 'a'

class Inner(pydantic.BaseModel):
    end: str = END

class Outer(pydantic.BaseModel):
    inner: Inner
""")}, "'a'", "'b'"),
    "a lambda of two lines": (
        {"rules.py": "import motion\n\nupper = motion.trigger(on='line.text', sets='line.upper', name='upper')(\n"
                     "    lambda text: text\n    + 'a'\n)\n"}, "'a'", "'b'"),
    "which of two lambdas in a line it is": (
        {"rules.py": trigger("ENDED(text)", "ONE = True\nENDED = (lambda text: text) if ONE else (lambda text: text + 'a')\n")},
        "ONE = True", "ONE = False"),
    "what it imports, beside a text that begins its lines": (
        {"rules.py": component("self.ended(text)", """
    def ended(self, text):
        from .words import helped
        return helped(text) + '''
x'''
"""), "words.py": HELP}, "'a'", "'b'"),
    "a property of the row that it waits for": (
        {"rules.py": trigger("text").replace('name="upper"', "name='upper', when=lambda row: WAITS(row)").replace(
            "import motion", "import motion\n\nWAITS = lambda row: row.id > 0\n")}, "row.id > 0", "row.id > -1"),
    "the class of its component's state": (
        {"rules.py": component("state.of(text)", """
    def save(self, state):
        return {}

    def load(self, saved):
        return Model()
""", above="""
class Model:
    def of(self, text):
        return text + 'a'
""").replace("return 1", "return Model()")}, "'a'", "'b'"),
    "what it imports, if the package imports that as well": (
        {"__init__.py": "from . import words\n", "rules.py": late("from . import words", "words.helped(text)"),
         "words.py": HELP}, "'a'", "'b'"),
    "what a helper that it imports is made by": (
        {"rules.py": late("from .words import ended, chosen", "ended(text) + chosen('c')"), "words.py": """
import functools

def add(text, end):
    return text + end

ended = functools.partial(add, end='a')
chosen = lambda text: text.replace('c', 'a')
"""}, "'a'", "'b'"),
    "what fills what it imports": (
        {"rules.py": late("from .words import ENDS", "text + ENDS[0]"), "words.py": """
ENDS = []
ENDS.append('a')
"""}, "'a'", "'b'"),
    "how a helper that it imports is decorated": (
        {"rules.py": late("from .words import helped", "helped(text)"), "words.py": """
def named(end):
    return lambda function: lambda text: function(text) + end

@named('a')
def helped(text):
    return text
"""}, "'a'", "'b'"),
    "what stands for another package's where it imports": (
        {"rules.py": late("from .words import mean", "text + str(mean([1, 2]))"),
         "words.py": "from statistics import fmean as mean\n"}, "fmean as mean", "mean"),
    "a module beside its own": (
        {"rules.py": trigger("helped(text)", "from code_words import helped\n"), "../code_words.py": HELP}, "'a'", "'b'"),
    "a module beside its own that it imports when it is called": (
        {"rules.py": late("from code_words import helped", "helped(text)"), "../code_words.py": HELP}, "'a'", "'b'"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_it_leaves_what_was_made_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert stale_by(tmp_path, monkeypatch, CHANGES[what]) == 2


MANY = "def helped(text):\n    return text\n\ndef other(text):\n    return 'a'\n"

SAME: dict[str, tuple[dict[str, str], str, str]] = {
    "a function that is called as a member is": (
        {"rules.py": trigger("text.strip()", "def strip():\n    return 'a'\n")}, "'a'", "'b'"),
    "a name that the function binds itself": (
        {"rules.py": late("import json", "json.dumps(text)")}, "import motion", "import json\nimport motion"),
    "another function of a module that it imports from": (
        {"rules.py": late("from .words import helped", "helped(text)"), "words.py": MANY}, "'a'", "'b'"),
    "another function of a module that it imports": (
        {"rules.py": late("from . import words", "words.helped(text)"), "words.py": MANY}, "'a'", "'b'"),
    "what the store that it imports is opened with": (
        {"rules.py": late("from .app import store", "str(store or '') + text"), "app.py": MANY + """
def create_store(functions):
    return None

store = create_store([other])
"""}, "'a'", "'b'"),
    "how a lambda is declared": (
        {"rules.py": "import motion\n\nupper = motion.trigger(on='line.text', sets='line.upper', name='upper', retries=3)(lambda text: text)\n"},
        "retries=3", "retries=4"),
    "another method of its component": (
        {"rules.py": component("text", "\n    def fitted(self):\n        return 'a'\n")}, "'a'", "'b'"),
    "comments and docstrings of what it imports": (
        {"rules.py": late("from .words import helped", "helped(text)"),
         "words.py": 'def helped(text):\n    """Say a."""\n    return text  # a\n'}, "a.\"\"\"", "b.\"\"\""),
    "the docstring and comments of a model of Pydantic's": (
        {"rules.py": trigger("text + Mark().end", """
import pydantic

class Mark(pydantic.BaseModel):
    'What ends.'

    end: str = 'a'  # what ends
""")}, "hat ends", "hat is at the end"),
    "a comment beside a text that begins its lines": (
        {"rules.py": component("self.ended(text)", """
    def ended(self, text):
        return text + '''
x'''  # ended
""")}, "# ended", "# at its end"),
    "a method that is called as one of a text is": (
        {"rules.py": component("text.strip()", "\n    def strip(self):\n        return 'a'\n")}, "'a'", "'b'"),
    "the fields of a class that it names for its rows": (
        {"rules.py": """
from dataclasses import dataclass

@dataclass
class Other:
    ended: str = 'a'
""" + trigger("text").replace("(text):", "(text, row: Other):")}, "'a'", "'b'"),
    "what an object of its package has kept": (
        {"rules.py": trigger("KEPT.of(text)", """
class Kept:
    def __init__(self, known):
        self.known = known

    def of(self, text):
        return self.known.setdefault(text, text)

KEPT = Kept({'a': 'a'})
""")}, "{'a': 'a'}", "{}"),
}  # fmt: skip


@pytest.mark.parametrize("what", SAME)
def test_a_change_of_what_it_does_not_use_leaves_nothing_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert stale_by(tmp_path, monkeypatch, SAME[what]) == 0


def test_a_class_is_the_same_after_objects_of_it_went_to_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = "class Ending:\n    __mark__ = 'a'\n\n    def ended(self, text):\n        return text + self.__mark__\n"
    rules = trigger("__import__('copy').copy(Ending()).ended(text)", above)
    code = imported(monkeypatch, tmp_path, {"rules.py": rules})
    options: dict[str, Any] = {"schemas": {"line": Line}, "url": f"sqlite:///{tmp_path / 'store'}"}
    for _ in range(2):  # to copy one, or to pickle it, puts a member into its class
        with motion.create_store("code", triggers=[code], **options) as store:
            assert store.status().triggers["upper"].stale == 0
            store.set("line", text="a").wait(timeout=60)


@pytest.mark.parametrize("how", ["from . import words", "import code_shop.words as words"])
def test_what_is_imported_late_counts_the_same_before_and_after_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    rules = "import code_shop\n" + late(
        how, "str(code_shop.__name__ or '')[:0] + words.helped(text)"
    )
    code = imported(monkeypatch, tmp_path, {"rules.py": rules, "words.py": HELP})
    options: dict[str, Any] = {"schemas": {"line": Line}, "url": f"sqlite:///{tmp_path / 'store'}"}
    for is_imported in (False, True):  # its first call imports it
        assert ("code_shop.words" in sys.modules) is is_imported
        with motion.create_store("code", triggers=[code], **options) as store:
            assert store.status().triggers["upper"].stale == 0
            store.set("line", text="a").wait(timeout=60)


ODD = {
    "a long number": "A = 1 << 20_000\n",
    "deep data": "A = [[]]\nfor _ in range(1_000):\n    A = [A]\n",
    "data that is shared": "A = [0]\nfor _ in range(100):\n    A = [A, A]\n",
    "a long sum": f"A = {' + '.join(['1'] * 900)}\n",
    "a long chain": "".join(f"def f{i}():\n    return f{i + 1}()\n" for i in range(1_000))
    + "def f1000():\n    return 1\nA = f0\n",
    "a proxy": "class Odd:\n    @property\n    def __class__(self):\n        raise RuntimeError('odd')\nA = Odd()\n",
    "a dict that raises": "class Odd(dict):\n    def items(self):\n        raise RuntimeError('odd')\nA = Odd(a=1)\n",
    "a metaclass that raises": "class Meta(type):\n    def __getattr__(cls, name):\n        raise KeyError(name)\nclass A(metaclass=Meta):\n    pass\n",
    "a function that wraps itself": "def A():\n    pass\nA.__wrapped__ = A\n",
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_odd_code_and_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    files = {"rules.py": trigger("text if A is not None else ''", ODD[what])}
    assert stale_after(tmp_path, monkeypatch, files, files) == 0


SEEDED = """
import functools
import motion

def first(text):
    return text

def second(text):
    return text

SETS = [
    {first, second}, {("a", first), ("b", second)}, {functools.partial(first), functools.partial(second)},
    {lambda text: text, lambda text: text + "a"}, frozenset({"a", "b", "c"}),
]

class One:
    def used(self):
        return 1

class Two:
    def used(self):
        return 2

class Three:
    def used(self):
        return 3

class Upper(motion.Component):
    def setup(self):
        return One(), Two(), Three(), str(SETS)

    def ended(self, text):
        return text in {"a", "b", "c"} or '''
x'''

    @motion.infer(on="line.text", sets="line.upper")
    def upper(self, state, text):
        return self.ended(text)

if __name__ == "__main__":
    from motion.definitions.functions.fingerprints import fingerprint_of

    print(fingerprint_of(Upper().setup, None, ""), fingerprint_of(Upper().upper, None, ""))
"""


def test_a_fingerprint_does_not_depend_on_the_order_of_sets(tmp_path: Path) -> None:
    (tmp_path / "code_seeded.py").write_text(SEEDED)

    def told(seed: int) -> bytes:
        given = os.environ | {"PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "code_seeded.py"]
        return subprocess.check_output(command, cwd=tmp_path, env=given, timeout=60)

    assert len(set(map(told, range(6)))) == 1


RUN = """
import sys
from dataclasses import dataclass

import motion
from code_shop.words import helped

@dataclass
class Line:
    id: int
    text: str
    upper: str

@motion.trigger(on="line.text", sets="line.upper")
def upper(text):
    return helped(text)

def stale():
    with motion.create_store("code", schemas={"line": Line}, triggers=[upper], url="sqlite:///" + STORE) as store:
        store.set("line", text="a").wait(timeout=60)
        return store.status().triggers["upper"].stale

if __name__ == "__main__":
    print(stale())
"""


def test_what_python_runs_by_the_name_of_its_module_is_the_same_code_as_when_it_is_imported(
    tmp_path: Path,
) -> None:
    files = {"rules.py": f"STORE = {str(tmp_path / 'store')!r}\n{RUN}", "words.py": HELP}
    (tmp_path / "code_shop").mkdir()
    for name, text in files.items():
        (tmp_path / "code_shop" / name).write_text(text)

    def stale(*how: str) -> str:
        command = [sys.executable, *how]
        return subprocess.check_output(command, cwd=tmp_path, text=True, timeout=60).strip()

    by_import = ("-c", "import code_shop.rules; print(code_shop.rules.stale())")
    assert [stale("-m", "code_shop.rules"), stale(*by_import)] == ["0", "0"]
    (tmp_path / "code_shop" / "words.py").write_text(HELP.replace("'a'", "'b'"))
    assert stale("-m", "code_shop.rules") == "2"


ALL = """
import functools
import re
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import motion

PATTERN = re.compile("a+", re.IGNORECASE)

class Mark(Enum):
    END = "."

    def twice(self):
        return self.value * 2

class Pair(NamedTuple):
    first: str
    second: int = 2

@dataclass(frozen=True)
class Options:
    mark: Mark = Mark.END
    words: tuple[str, ...] = ("a", "b")

class Base:
    def ended(self, text):
        return f"{text!r:>10}{Mark.END.twice()}"

class Ending(Base):
    @functools.cached_property
    def options(self):
        return Options()

    @property
    def pair(self):
        return Pair("a")

def named(function):
    @functools.wraps(function)
    def wrapper(text, *more, **others):
        return [function(each, *more, **others) for each in text if each]
    return wrapper

@named
def helped(text: str, /, times: int = 2, *, suffix: str = "x") -> str:
    match text:
        case "a" | "b":
            return text * times
        case _:
            return (lambda end: text + end)(suffix)

ENDING, HELPED = Ending(), {"helped": helped, "len": len}

class Upper(motion.Component):
    def setup(self):
        from .words import found
        return str([self.all(), found("a"), PATTERN.sub("", "a"), HELPED["helped"]("ab"), ENDING.ended("a")])

    def all(self):
        return [ENDING.options, ENDING.pair, super().load("a")]

    @motion.infer(on="line.text", sets="line.upper")
    def upper(self, state, text):
        return state
"""


def test_a_fingerprint_is_what_it_was_and_the_same_on_each_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails the computation has changed, so all that is kept in stores would count as stale: decision 110."""
    words = "ENDS = frozenset({'a'})\n\ndef found(text):\n    return text in ENDS\n"
    code = imported(monkeypatch, tmp_path, {"rules.py": ALL, "words.py": words})
    with motion.create_store(
        "code", schemas={"line": Line}, triggers=[code], url=":memory:"
    ) as store:
        store.set("line", text="a").wait(timeout=60)
        (version,) = store.model("Upper").versions()
        assert version.fingerprint == "604107f6fe7169f9"
