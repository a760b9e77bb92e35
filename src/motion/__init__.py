"""Motion: ML pipelines on a store and triggers. See `create_store`."""

from motion.change import Change, RejectedRow
from motion.components import (
    Component,
    Label,
    Progress,
    StateVersion,
    always,
    fit,
    if_better,
    infer,
    manual,
)
from motion.errors import (
    BadRows,
    DimensionMismatch,
    FolderNotEmpty,
    InvalidArgument,
    InvalidValue,
    MissingPackage,
    MotionError,
    QueueFull,
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
    StoreUnavailable,
    TaskFailed,
    TriggerCycle,
    TriggerError,
    UnknownKey,
    UnknownTable,
    UnreadableValue,
    WaitTimeout,
)
from motion.events import deleted
from motion.explanation import Effect, Explanation
from motion.growing import Part
from motion.jobs import progress
from motion.lookups import Lookup
from motion.model import Model
from motion.pipeline import Edge, Pipeline, RowCount
from motion.recompute import Plan
from motion.runtime import create_store
from motion.schedules import Schedule, cron, every
from motion.schema import Index, Vector
from motion.schema import KeyOptions as Key
from motion.search import Hit
from motion.status import Status
from motion.store import Store
from motion.tasks import DeadLetter
from motion.triggers import Failed, Resources, trigger
from motion.view import View
from motion.windows import Window

__all__ = [
    "BadRows",
    "Change",
    "Component",
    "DeadLetter",
    "DimensionMismatch",
    "Edge",
    "Effect",
    "Explanation",
    "Failed",
    "FolderNotEmpty",
    "Hit",
    "Index",
    "InvalidArgument",
    "InvalidValue",
    "Key",
    "Label",
    "Lookup",
    "MissingPackage",
    "Model",
    "MotionError",
    "Part",
    "Pipeline",
    "Plan",
    "Progress",
    "QueueFull",
    "RejectedRow",
    "Resources",
    "RowChanged",
    "RowCount",
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
    "StoreUnavailable",
    "TaskFailed",
    "TriggerCycle",
    "TriggerError",
    "UnknownKey",
    "UnknownTable",
    "UnreadableValue",
    "Vector",
    "View",
    "WaitTimeout",
    "Window",
    "always",
    "create_store",
    "cron",
    "deleted",
    "every",
    "fit",
    "if_better",
    "infer",
    "manual",
    "progress",
    "trigger",
]

__version__ = "0.1.0"
