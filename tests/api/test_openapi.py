from __future__ import annotations

import json
from typing import Any

import pytest

from api.__main__ import OPENAPI_PATH, openapi_text

PUBLIC = {"/healthz", "/readyz", "/metrics", "/v1/pricing", "/v1/webhooks/stripe", "/v1/webhooks/portone"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:

    return json.loads(openapi_text())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_published_document_is_that_of_the_code() -> None:
    published = OPENAPI_PATH.read_text(encoding="utf-8")
    assert published == openapi_text(), "run `python -m api openapi` and commit docs/openapi.json"


def test_every_operation_says_what_it_does_and_who_may(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        assert operation["summary"], (method, path)
        assert operation["tags"], (method, path)
        assert bool(operation.get("security")) == (path not in PUBLIC), (method, path)
        if path not in PUBLIC:
            assert "401" in operation["responses"], (method, path)


def test_every_error_is_declared_as_a_problem_with_an_example(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")) and path != "/readyz":
                [(media_type, content)] = response["content"].items()
                assert media_type == "application/problem+json", (method, path, status)
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert content["examples"], (method, path, status)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            found = {node["$ref"]} if "$ref" in node else set()
            return found.union(*(references(value) for value in node.values()))
        if isinstance(node, list):
            return set().union(*(references(value) for value in node))
        return set()

    known = {
        f"#/components/{kind}/{name}" for kind, members in document["components"].items() for name in members
    }
    assert references(document) <= known
