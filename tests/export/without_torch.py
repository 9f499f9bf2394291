"""Runs ``ranklet`` as on a machine without torch: nothing finds it, or what needs it."""

import importlib.machinery
import sys
from collections.abc import Sequence

BLOCKED = frozenset({"optimum", "torch", "transformers"})


class WithoutTorch(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in BLOCKED:
            return None
        return super().find_spec(fullname, path, target)  # type: ignore[arg-type]  # any module


if __name__ == "__main__":
    sys.meta_path[:] = [
        WithoutTorch if finder is importlib.machinery.PathFinder else finder
        for finder in sys.meta_path
    ]
    from ranklet.cli import main

    sys.exit(main())
