"""What the sandbox lets through is out of its sight: it must be nothing that could make two replays differ."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import workflows
from workflows.sandbox import WORDS

FOLDER = Path(workflows.__path__[0])
PURE = {
    "__future__", "collections.abc", "contracts", "dataclasses", "json", "temporalio", "typing", "workflows",
}  # fmt: skip


@pytest.mark.parametrize("name", WORDS)
def test_a_module_that_passes_through_the_sandbox_imports_nothing_that_has_a_clock_or_chance(
    name: str,
) -> None:
    found: set[str] = set()
    for node in ast.walk(ast.parse((FOLDER / f"{name.removeprefix('workflows.')}.py").read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "datetime":
            assert [alias.name for alias in node.names] == ["timedelta"]
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    assert {name for name in found if name not in PURE and name.split(".")[0] not in PURE} == set()


@pytest.mark.parametrize("name", WORDS)
def test_a_module_that_passes_through_the_sandbox_depends_on_no_workflow(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name.removeprefix('workflows.')}.py").read_text())
    ours = {
        f"workflows.{alias.name}" if node.module == "workflows" else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workflows")
        for alias in node.names
    }
    assert ours <= set(WORDS)
