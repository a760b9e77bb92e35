"""Lets programs that tests start keep their stores where the tests' own are: python imports this by itself."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

NAME = "motion.runtime"


class _Finder:
    """Finds the module that names back ends, and has it name another one."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_change(module: Any) -> None:
            execute(module)
            server = os.environ["MOTION_TEST_SERVER"]
            module.backend_at = standing_in(server, module.backend_at)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


if "MOTION_TEST_SERVER" in os.environ:
    from places import standing_in  # type: ignore[import-not-found]  # beside this file; later the path is another

    sys.meta_path.insert(0, _Finder())
