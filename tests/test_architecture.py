"""The layout is the architecture: this holds the code to the table of levels, by reading its imports.

Each rule is a function from a source tree to the sentences that say what breaks it, so the rules
themselves are tested on small trees made for the purpose.
"""

import ast
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

Rule = Callable[[Path], Iterable[str]]  # a source tree in, what breaks the rule out

# A name stands for a module below motion, or for all that is in a folder there; the longest that fits counts. Imports point
# down, or sideways on one floor where no circle comes of it. docs/architecture.md tells what each room owns.
LEVELS: Mapping[str, int] = {
    room: level
    for level, rooms in enumerate(
        (
            "errors words clock faults history notebook config",
            "background tracing definitions.values definitions.functions",
            "definitions.tables",
            "definitions.triggers",
            "definitions",
            "backends executors vectors",
            "persistence",  # what all of its folders use: layouts, numbers, the graph as it is stored
            "persistence.tasks",
            "persistence.states",
            "persistence.rows",
            "persistence.inputs",
            "persistence.changes persistence.search",
            "persistence.recompute",
            "persistence.ddl persistence.catalog persistence.database persistence.migration persistence.conversion persistence.copying",
            "search",
            "views",
            "states",
            "engine",
            "store.changes store.reports",
            "store",
            "runtime",
            "testing remote server.access",
            "server.api",
            "server cli",
            "__init__ __main__",
        )
    )
    for room in rooms.split()
}
INTERFACES = {"backends", "executors", "vectors"}  # of one level, and yet never import one another
CONCRETE = {"backends", "executors"}  # only the composition root names what is in them, beside base
SHARED = {
    "answers",
    "base",
    "requests",
    "wakeups",
    "__init__",
}  # in these folders, for every implementation
SQL_OWNERS = {"persistence", "backends"}
MAX_LINES = 700

SQL = re.compile(
    r"\s*(?:(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|PRAGMA)\s+(?:[^\s/]|$)|BEGIN\b)"
)
OWN_SPELLING = re.compile(  # of SQLite alone, where there is one that PostgreSQL takes too
    r"INSERT OR |REPLACE INTO|ON CONFLICT DO UPDATE| IS (?:NOT )?\?|IN \(\)"
    r"|(?<!TEXT)(?<!INTEGER)(?<!REAL)(?<!BLOB)(?<!until)(?<!IS)(?<=\S) NOT NULL"
)
TIME_READS = re.compile(
    r"time\.(?:time|monotonic|perf_counter)(?:_ns)?|time\.sleep"
    r"|(?:datetime\.)?(?:datetime|date)\.(?:now|utcnow|today)"
)
ENVIRONMENT = re.compile(r"os\.(?:environ|environb|getenv|getenvb|putenv)")


@dataclass(frozen=True)
class Module:
    """One source file: `name` is dotted below `motion`, a package's own file ends in `__init__`."""

    name: str
    path: Path

    @property
    def unit(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    def at(self, node: ast.expr | ast.stmt) -> str:
        return f"motion/{self.name.replace('.', '/')}.py:{node.lineno}"


@dataclass(frozen=True)
class Import:
    """One module below `motion` imports another; both by name."""

    source: str
    target: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.source} imports {self.target}"

    @property
    def rooms(self) -> tuple[str, str]:
        return room_of(self.source), room_of(self.target)


def room_of(name: str) -> str:
    """Return the room of LEVELS that a module is in, or where it would be one of its own."""
    parts = name.split(".")
    rooms = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((room for room in rooms if room in LEVELS), parts[0])


def modules(root: Path) -> dict[str, Module]:
    package = root / "src" / "motion"
    paths = sorted(package.rglob("*.py"))
    names = (".".join(path.relative_to(package).with_suffix("").parts) for path in paths)
    return {name: Module(name, path) for name, path in zip(names, paths, strict=True)}


def imported_names(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Yield every absolute import at any depth as `a.b` for `import a.b` and `from a import b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def imports(root: Path) -> Iterator[Import]:
    known = modules(root)
    for source in known.values():
        for node, name in imported_names(source.tree):
            top, _, below = name.partition(".")
            if top == "motion":
                yield Import(source.name, resolve(below, known), source.at(node))


def resolve(name: str, known: Container[str]) -> str:
    """Find the module that `name` is, or is defined in."""
    while name:
        for candidate in (name, f"{name}.__init__"):
            if candidate in known:
                return candidate
        name = name.rpartition(".")[0]
    return "__init__"


def dotted(node: ast.AST) -> str:
    """Write the expression `a.b.c` as text; anything else is the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (value := dotted(node.value)):
        return f"{value}.{node.attr}"
    return ""


def mentioned_names(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Yield every dotted name that is imported or used."""
    yield from imported_names(tree)
    yield from ((node, dotted(node)) for node in ast.walk(tree) if isinstance(node, ast.expr))


def uses(module: Module, pattern: re.Pattern[str]) -> Iterator[str]:
    """Say where a name that matches `pattern` is imported or used."""
    for node, name in mentioned_names(module.tree):
        if pattern.fullmatch(name):
            yield f"{module.at(node)}: {name}"


def unknown_modules(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        if room_of(module.name) not in LEVELS:
            yield (
                f"motion.{module.name} has no level: give {module.unit!r} a place in LEVELS in "
                "tests/test_architecture.py, as low as its imports allow, or find it a home in a module there"
            )


def upward_imports(root: Path) -> Iterable[str]:
    for each in imports(root):
        source, target = each.rooms
        if source not in LEVELS or target not in LEVELS:
            continue  # unknown_modules says so
        if LEVELS[target] > LEVELS[source]:
            yield f"{each}: level {LEVELS[source]} must not know level {LEVELS[target]}"
        elif {source, target} <= INTERFACES and source != target:
            yield f"{each}: interfaces never import one another"


def concrete_imports(root: Path) -> Iterable[str]:
    for each in imports(root):
        folder, implementation, *_ = (*each.target.split("."), "base")
        if folder not in CONCRETE or implementation in SHARED:
            continue
        owner = implementation.partition("_")[0]  # sqlite_reading is a part of sqlite
        inside = re.fullmatch(rf"{folder}\.{owner}(_\w+)?", each.source) is not None
        if not inside and each.source != "runtime":
            yield f"{each}: only runtime names an implementation; take {folder}.base and be given one"


def import_cycles(root: Path) -> Iterable[str]:
    yield from cycles((each.source, each.target) for each in imports(root))


def room_cycles(root: Path) -> Iterable[str]:
    """Find rooms of one floor that need each other, also where no module does."""
    pairs = (each.rooms for each in imports(root))
    yield from cycles((source, target) for source, target in pairs if source != target)


def cycles(arrows: Iterable[tuple[str, str]]) -> Iterator[str]:
    below: dict[str, set[str]] = {}
    for source, target in arrows:
        below.setdefault(source, set()).add(target)
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield "a cycle: " + " -> ".join((*path[path.index(name) :], name))
        elif name not in done:
            for target in sorted(below.get(name, ())):
                yield from visit(target, (*path, name))
            done.add(name)

    for name in sorted(below):
        yield from visit(name, ())


def relative_imports(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield f"{module.at(node)}: write imports from the top, 'from motion.…', so they can be searched for"


def environment_reads(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        if module.unit != "config":
            for use in uses(module, ENVIRONMENT):
                yield f"{use}: only config reads the environment; take the value as an argument"


def time_reads(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        if module.unit != "clock":
            for use in uses(module, TIME_READS):
                yield f"{use}: time comes from motion.clock, so tests can turn it"


def sql_outside(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        if module.unit in SQL_OWNERS or module.name == "testing.contracts":
            continue  # a contract says in SQL what each back end does with it
        for node in ast.walk(module.tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(node, ast.Constant) and isinstance(text, str) and SQL.match(text):
                yield f"{module.at(node)}: SQL lives in persistence/ and backends/: {text.strip()[:40]!r}"


def own_spelling(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        if module.unit != "persistence" or module.name == "persistence.search.fulltext":
            continue  # full text belongs to each back end
        for node in ast.walk(module.tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(node, ast.Constant) and isinstance(text, str):
                for found in OWN_SPELLING.finditer(text):
                    yield f"{module.at(node)}: {found[0].strip()!r} is SQLite's own; docs/decisions/0031 has what both take"


def decoders_made(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        if module.name == "definitions.values.decoders":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                is_typed = any(each.arg == "type" for each in node.keywords)
                if node.func.attr == "Decoder" or (node.func.attr == "decode" and is_typed):
                    yield f"{module.at(node)}: two threads that make a decoder at once end the process; definitions.values.decoders makes them"


def long_files(root: Path) -> Iterable[str]:
    for module in modules(root).values():
        lines = module.path.read_text(encoding="utf-8").splitlines()
        count = sum(1 for line in lines if line.strip())
        if count > MAX_LINES:
            yield f"motion.{module.name} has {count} lines that are not blank, past {MAX_LINES}: is it two things?"


def private_names_in_examples(root: Path) -> Iterable[str]:
    public = public_names(root) | {"server"}
    served = {f"motion.server.{name}" for name in public_names(root, "server")}
    for path in sorted((root / "examples").rglob("*.py")):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node, name in mentioned_names(tree):
            top, _, rest = name.partition(".")
            is_inside = name.startswith("motion.server.") and name not in served
            if top == "motion" and rest and (rest.partition(".")[0] not in public or is_inside):
                where = f"{path.relative_to(root)}:{node.lineno}"
                yield f"{where}: {name} is not public; examples use what motion/__init__.py exports"


def public_names(root: Path, package: str = "") -> set[str]:
    """Read `__all__` of `motion`, or of a package in it, without importing it."""
    path = root / "src" / "motion" / package / "__init__.py"
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and dotted(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


RULES: tuple[Rule, ...] = (
    unknown_modules,
    upward_imports,
    concrete_imports,
    import_cycles,
    room_cycles,
    relative_imports,
    environment_reads,
    time_reads,
    sql_outside,
    own_spelling,
    decoders_made,
    long_files,
    private_names_in_examples,
)


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_the_code_keeps_to_the_layout(rule: Rule) -> None:
    problems = list(rule(ROOT))
    assert not problems, "\n" + "\n".join(problems)


def test_the_rules_have_a_tree_to_read() -> None:
    assert "__init__" in modules(ROOT)


BROKEN: tuple[tuple[Rule, dict[str, str], str], ...] = (
    (unknown_modules, {"src/motion/helpers.py": ""}, "give 'helpers' a place in LEVELS"),
    (unknown_modules, {"src/motion/utils/__init__.py": ""}, "give 'utils' a place in LEVELS"),
    (
        decoders_made,
        {"src/motion/definitions/tasks.py": "import msgspec\nmsgspec.json.decode(b'1', type=int)"},
        "definitions.values.decoders makes them",
    ),
    (
        upward_imports,
        {"src/motion/definitions/tables/schema.py": "from motion.store.store import Store"},
        "level 2 must not",
    ),
    (
        upward_imports,
        {
            "src/motion/persistence/tasks/queue.py": "from motion.persistence.rows.ids import Ids",
            "src/motion/persistence/rows/ids.py": "",
        },
        "level 7 must not know level 9",
    ),
    (upward_imports, {"src/motion/errors.py": "import motion"}, "must not know level 24"),
    (
        upward_imports,
        {"src/motion/engine/worker.py": "from motion import runtime"},
        "must not know level 20",
    ),
    (
        upward_imports,
        {"src/motion/engine/worker.py": "def run():\n    if x:\n        import motion.runtime"},
        "motion/engine/worker.py:3: engine.worker imports runtime",
    ),
    (
        upward_imports,
        {"src/motion/vectors/exact.py": "import motion.backends.base"},
        "interfaces never import one another",
    ),
    (
        concrete_imports,
        {"src/motion/persistence/rows/ids.py": "from motion.backends.sqlite import Sqlite"},
        "only runtime names an implementation",
    ),
    (
        concrete_imports,
        {"src/motion/backends/postgres.py": "from motion.backends import sqlite"},
        "only runtime names an implementation",
    ),
    (
        import_cycles,
        {
            "src/motion/store/store.py": "import motion.store.view",
            "src/motion/store/view.py": "from motion.store.change import Change",
            "src/motion/store/change.py": "def late():\n    from motion.store.store import Store",
        },
        "a cycle: store.store -> store.view -> store.change -> store.store",
    ),
    (
        room_cycles,
        {
            "src/motion/persistence/changes/a.py": "from motion.persistence.search.b import B",
            "src/motion/persistence/search/c.py": "from motion.persistence.changes.d import D",
            "src/motion/persistence/search/b.py": "",
            "src/motion/persistence/changes/d.py": "",
        },
        "a cycle: persistence.changes -> persistence.search -> persistence.changes",
    ),
    (
        relative_imports,
        {"src/motion/views/view.py": "from .store import Store"},
        "write imports from",
    ),
    (
        environment_reads,
        {"src/motion/engine/worker.py": "import os\nos.environ['A']"},
        "worker.py:2",
    ),
    (
        environment_reads,
        {"src/motion/engine/worker.py": "from os import getenv"},
        "only config reads",
    ),
    (
        time_reads,
        {"src/motion/engine/worker.py": "import time\ntime.sleep(1)"},
        "time.sleep: time comes",
    ),
    (time_reads, {"src/motion/engine/worker.py": "from time import monotonic"}, "time comes from"),
    (
        time_reads,
        {"src/motion/definitions/tasks.py": "import datetime as d\ndatetime.now()"},
        "time comes from",
    ),
    (sql_outside, {"src/motion/store/store.py": "q = f'SELECT {a} FROM b'"}, "SQL lives in"),
    (sql_outside, {"src/motion/engine/worker.py": "q = 'BEGIN IMMEDIATE'"}, "SQL lives in"),
    (
        own_spelling,
        {"src/motion/persistence/tasks/a.py": "q = 'SELECT a FROM b WHERE c IS ?'"},
        "SQLite's own",
    ),
    (
        own_spelling,
        {"src/motion/persistence/tasks/a.py": "q = 'SELECT a FROM b WHERE c NOT NULL'"},
        "SQLite's own",
    ),
    (long_files, {"src/motion/store/store.py": "x = 1\n" * 701}, "has 701 lines"),
    (
        private_names_in_examples,
        {"examples/a.py": "from motion.store.store import Store"},
        "not public",
    ),
    (private_names_in_examples, {"examples/a.py": "from motion import runtime"}, "not public"),
    (private_names_in_examples, {"examples/a.py": "import motion\nmotion.config.X"}, "not public"),
)


@pytest.mark.parametrize(
    ("rule", "files", "expected"), BROKEN, ids=[case[0].__name__ for case in BROKEN]
)
def test_a_rule_sees_what_breaks_it(
    rule: Rule, files: dict[str, str], expected: str, tmp_path: Path
) -> None:
    write_tree(tmp_path, files)
    assert expected in "\n".join(rule(tmp_path))


def test_a_tree_that_keeps_to_the_layout_passes_every_rule(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "src/motion/clock.py": "import time\ntime.sleep(1)",
            "src/motion/config.py": "import os\nos.environ['MOTION_URL']",
            "src/motion/definitions/tasks.py": "from motion import clock, errors",
            "src/motion/backends/sqlite.py": "from motion.backends.base import Backend\n'PRAGMA x'",
            "src/motion/persistence/rows/rows.py": "from motion.backends.base import Backend\n'SELECT 1'",
            "src/motion/store/store.py": "from motion.persistence.rows import rows\n'Select a table.'",
            "src/motion/runtime.py": "from motion.backends import sqlite\nimport motion.store.store",
            "src/motion/testing/stepper.py": "from motion.store import store\nmethod = 'DELETE'",
            "examples/hello.py": "import motion\nfrom motion import trigger\nmotion.trigger",
        },
    )
    assert [problem for rule in RULES for problem in rule(tmp_path)] == []


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    """Write `files` over a small tree that breaks no rule."""
    empty = dict.fromkeys(
        (
            "errors",
            "clock",
            "store/store",
            "views/view",
            "runtime",
            "config",
            "backends/base",
            "backends/sqlite",
        ),
        "",
    )
    tree = {f"src/motion/{name}.py": text for name, text in empty.items()}
    tree["src/motion/__init__.py"] = "from motion.store import store\n__all__ = ['trigger']"
    for name, text in {**tree, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
