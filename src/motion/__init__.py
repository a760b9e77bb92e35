"""Motion: ML pipelines on a store and triggers. See `create_store`.

What declares a pipeline is imported at once, what runs it with the first name of it that is used: a program that only declares, asks
a store elsewhere (`connect`), or prints its `--help` does without the engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from motion.definitions.components import Component, infer
from motion.definitions.fits import always, fit, if_better, manual
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Index, Ref, Vector
from motion.definitions.tables.schema import KeyOptions as Key
from motion.definitions.tables.windows import Window
from motion.definitions.tasks import DeadLetter
from motion.definitions.triggers.declarations import trigger
from motion.definitions.triggers.delays import after
from motion.definitions.triggers.events import deleted
from motion.definitions.triggers.folding import fold
from motion.definitions.triggers.options import Resources
from motion.definitions.triggers.schedules import Schedule, cron, every
from motion.definitions.triggers.specs import Failed
from motion.definitions.versions import Label, Progress, StateVersion
from motion.errors import (
    BadRows,
    CallTimeout,
    CascadeTooDeep,
    DimensionMismatch,
    FolderNotEmpty,
    InvalidArgument,
    InvalidValue,
    MissingPackage,
    MotionError,
    NotAllowed,
    NotFound,
    NotOnPostgres,
    QueueFull,
    ReadOnlyView,
    RowChanged,
    SchemaError,
    SchemaMismatch,
    SearchError,
    SqlError,
    SqlTimeout,
    StateError,
    StoreClosed,
    StoreDeleted,
    StoreForked,
    StoreNameTaken,
    StoreOutOfReach,
    StoreUnavailable,
    TaskFailed,
    TriggerCycle,
    TriggerError,
    UnknownKey,
    UnknownTable,
    Unreachable,
    UnreadableValue,
    WaitTimeout,
)

if TYPE_CHECKING:
    from motion.history import Run
    from motion.persistence.tasks.growing_texts import Part
    from motion.remote import connect
    from motion.runtime import create_store
    from motion.search.answer import Hit
    from motion.states.process import progress
    from motion.store.backfill import Plan
    from motion.store.changes.change import Change, RejectedRow
    from motion.store.changes.recent import ChangeTrace, Recent
    from motion.store.forget import Forgotten
    from motion.store.model import Model
    from motion.store.reports.explain import Effect, Explanation, FollowedRow
    from motion.store.reports.held_rows import HeldRow, HeldRows
    from motion.store.reports.model_status import FitStatus, ModelStatus
    from motion.store.reports.pipeline import Edge, Pipeline, RowCount
    from motion.store.reports.status import Status
    from motion.store.store import Store
    from motion.views.view import View

__all__ = [
    "BadRows",
    "CallTimeout",
    "CascadeTooDeep",
    "Change",
    "ChangeTrace",
    "Component",
    "DeadLetter",
    "DimensionMismatch",
    "Edge",
    "Effect",
    "Explanation",
    "Failed",
    "FitStatus",
    "FolderNotEmpty",
    "FollowedRow",
    "Forgotten",
    "HeldRow",
    "HeldRows",
    "Hit",
    "Index",
    "InvalidArgument",
    "InvalidValue",
    "Key",
    "Label",
    "Lookup",
    "MissingPackage",
    "Model",
    "ModelStatus",
    "MotionError",
    "NotAllowed",
    "NotFound",
    "NotOnPostgres",
    "Part",
    "Pipeline",
    "Plan",
    "Progress",
    "QueueFull",
    "ReadOnlyView",
    "Recent",
    "Ref",
    "RejectedRow",
    "Resources",
    "RowChanged",
    "RowCount",
    "Run",
    "Schedule",
    "SchemaError",
    "SchemaMismatch",
    "SearchError",
    "SqlError",
    "SqlTimeout",
    "StateError",
    "StateVersion",
    "Status",
    "Store",
    "StoreClosed",
    "StoreDeleted",
    "StoreForked",
    "StoreNameTaken",
    "StoreOutOfReach",
    "StoreUnavailable",
    "TaskFailed",
    "TriggerCycle",
    "TriggerError",
    "UnknownKey",
    "UnknownTable",
    "Unreachable",
    "UnreadableValue",
    "Vector",
    "View",
    "WaitTimeout",
    "Window",
    "after",
    "always",
    "connect",
    "create_store",
    "cron",
    "deleted",
    "every",
    "fit",
    "fold",
    "if_better",
    "infer",
    "manual",
    "progress",
    "trigger",
]

__version__ = "0.1.0"

_USED_LATER = {
    "motion.history": "Run",
    "motion.persistence.tasks.growing_texts": "Part",
    "motion.remote": "connect",
    "motion.runtime": "create_store",
    "motion.search.answer": "Hit",
    "motion.states.process": "progress",
    "motion.store.backfill": "Plan",
    "motion.store.changes.change": "Change RejectedRow",
    "motion.store.changes.recent": "ChangeTrace Recent",
    "motion.store.forget": "Forgotten",
    "motion.store.model": "Model",
    "motion.store.reports.explain": "Effect Explanation FollowedRow",
    "motion.store.reports.held_rows": "HeldRow HeldRows",
    "motion.store.reports.model_status": "FitStatus ModelStatus",
    "motion.store.reports.pipeline": "Edge Pipeline RowCount",
    "motion.store.reports.status": "Status",
    "motion.store.store": "Store",
    "motion.views.view": "View",
}


if not TYPE_CHECKING:  # it would take any name for one of ours

    def __getattr__(name: str) -> Any:
        for module, names in _USED_LATER.items():
            if name in names.split():
                globals()[name] = found = getattr(import_module(module), name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
