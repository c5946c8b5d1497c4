"""`python -m dev.no_floats`: refuses floating-point numbers where money is written, computed or stored.

Part of `make lint`. A credit or a won that has once been a float may be off by one, in sums that must agree exactly.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
MONEY = ("contracts", "db", "providers/payments", "activities/payments.py", "workflows/token_purchase.py")
MEASURES = {
    "contracts/signing.py": "names them in order to refuse them",
    "contracts/kinds/clip.py": "seconds and places in a picture",
    "contracts/kinds/enhance.py": "frame rates and seconds",
    "contracts/kinds/music.py": "seconds, tempo and shares",
    "contracts/kinds/sections.py": "seconds and shares",
    "contracts/ranges.py": "seconds",
    "db/engine.py": "seconds of back-off",
    "providers/payments/breaker.py": "seconds of a clock",
    "providers/payments/stripe.py": "seconds of time-outs",
    "db/metrics.py": "Prometheus' own samples",
    "db/progress.py": "seconds left of a job",
}
"""Where floats are no money, and what they are instead."""


def floats(source: str) -> Iterator[tuple[int, str]]:
    """Line and reason of each literal, annotation, conversion or true division that is or makes a float."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, f"the literal {node.value}"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "the type `float`"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            right = node.right if isinstance(node, ast.BinOp) else node.value
            if not _joins_paths(right):
                yield node.lineno, "a true division (`//` stays whole)"


def _joins_paths(right: ast.expr) -> bool:
    return isinstance(right, ast.JoinedStr) or (
        isinstance(right, ast.Constant) and isinstance(right.value, str)
    )


def check(repository: Path) -> list[str]:
    """One line for each float found."""
    found: list[str] = []
    for place in MONEY:
        path = repository / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path] * path.exists():
            name = file.relative_to(repository).as_posix()
            if name not in MEASURES:
                found += [f"{name}:{line}: {reason}" for line, reason in floats(file.read_text())]
    return found


def main() -> int:
    found = check(REPOSITORY)
    if found:
        print("Money is counted in whole numbers:", *found, sep="\n  ", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
