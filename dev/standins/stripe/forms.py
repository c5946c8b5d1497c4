"""Form bodies and query strings with brackets, as the official libraries write them, and their strict reading."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dev.standins.store import JsonObject
from dev.standins.stripe.errors import ApiError, invalid

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def _only_digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"-?\d+", value):
        raise ValueError("not an integer")
    return value


def _only_true_or_false(value: object) -> object:
    if value not in ("true", "false", True, False):
        raise ValueError("not a boolean")
    return value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


Int = Annotated[int, BeforeValidator(_only_digits)]
Bool = Annotated[bool, BeforeValidator(_only_true_or_false)]
Text = Annotated[str, Field(min_length=1, max_length=5000)]
Clearable = Annotated[str | None, BeforeValidator(_empty_is_none)]
"""An empty string takes the value away."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Params(Part):
    """Of any operation."""

    expand: list[Text] = []


class Metadata(Part):
    """Of operations that keep `metadata`; an empty value deletes the entry, an empty `metadata` all of them."""

    metadata: Annotated[
        dict[str, str], BeforeValidator(lambda value: {"": ""} if value == "" else value)
    ] = {}

    def merged(self, before: JsonObject) -> JsonObject:
        if self.metadata == {"": ""}:
            return {}
        after = {key: value for key, value in (before | self.metadata).items() if value != ""}
        for key, value in after.items():
            if len(key) > 40:
                raise invalid("Metadata keys have at most 40 characters", param=f"metadata[{key}]")
            if len(value) > 500:
                raise invalid("Metadata values have at most 500 characters", param=f"metadata[{key}]")
        if len(after) > 50:
            raise invalid("Metadata has at most 50 keys", param="metadata")
        return after


AnyParams = TypeVar("AnyParams", bound=Params)


def read_form(text: str) -> JsonObject:
    """Nested dicts; lists where the keys are indices or empty brackets."""
    tree: JsonObject = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        match = _KEY.match(key)
        if match is None:
            raise invalid(f"Invalid parameter name: {key}", code="parameter_unknown", param=key)
        node, path = tree, [match[1], *re.findall(r"\[([^\]]*)\]", match[2])]
        for name in path[:-1]:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                raise invalid(f"Parameter {key} is given twice in different forms", param=key)
        last = path[-1] or str(len(node))  # `expand[]=a&expand[]=b`
        if last in node:
            raise invalid(f"Parameter {key} is given twice", param=key)
        node[last] = value
    return _with_lists(tree)


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isdigit() for key in node):
        return [_with_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _with_lists(value) for key, value in node.items()}


def validated(model: type[AnyParams], form: JsonObject) -> AnyParams:
    try:
        return model.model_validate(form)
    except ValidationError as error:
        raise _refusal(error) from error


def _refusal(error: ValidationError) -> ApiError:
    # Unknown names first: a misspelt parameter explains the missing one.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    place = [str(part) for part in first["loc"]]
    param = place[0] + "".join(f"[{part}]" for part in place[1:])
    if first["type"] == "extra_forbidden":
        return invalid(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
    if first["type"] == "missing":
        return invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)
    if first["input"] == "":
        return invalid(
            f"You passed an empty string for '{param}'.", code="parameter_invalid_empty", param=param
        )
    if "integer" in first["msg"]:
        return invalid(f"Invalid integer: {first['input']}", code="parameter_invalid_integer", param=param)
    return invalid(f"Invalid {param}: {first['msg']}", param=param)
