"""Motion: ML pipelines on a store and triggers. See `create_store`."""

from motion.change import Change as Change
from motion.change import RejectedRow as RejectedRow
from motion.components import Component as Component
from motion.components import StateVersion as StateVersion
from motion.components import always as always
from motion.components import fit as fit
from motion.components import if_better as if_better
from motion.components import infer as infer
from motion.components import manual as manual
from motion.database import Hit as Hit
from motion.errors import BadRows as BadRows
from motion.errors import DimensionMismatch as DimensionMismatch
from motion.errors import InvalidValue as InvalidValue
from motion.errors import MotionError as MotionError
from motion.errors import SchemaError as SchemaError
from motion.errors import SchemaMismatch as SchemaMismatch
from motion.errors import SearchError as SearchError
from motion.errors import SqlError as SqlError
from motion.errors import StateError as StateError
from motion.errors import StoreClosed as StoreClosed
from motion.errors import StoreUnavailable as StoreUnavailable
from motion.errors import TaskFailed as TaskFailed
from motion.errors import TriggerCycle as TriggerCycle
from motion.errors import TriggerError as TriggerError
from motion.errors import UnknownKey as UnknownKey
from motion.errors import UnknownTable as UnknownTable
from motion.errors import WaitTimeout as WaitTimeout
from motion.runtime import create_store as create_store
from motion.schema import Index as Index
from motion.schema import KeyOptions as Key
from motion.schema import Vector as Vector
from motion.store import Model as Model
from motion.store import Status as Status
from motion.store import Store as Store
from motion.tasks import DeadLetter as DeadLetter
from motion.triggers import Failed as Failed
from motion.triggers import trigger as trigger
from motion.view import View as View

__version__ = "0.1.0"
