"""Lists with cursors, newest first, and the expansion of ids into objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from dev.standins.store import JsonObject
from dev.standins.stripe.account import Account, public
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Int, Params, Part, Text


class Range(Part):
    gt: Int | None = None
    gte: Int | None = None
    lt: Int | None = None
    lte: Int | None = None

    def holds(self, at_s: int) -> bool:
        return (
            (self.gt is None or at_s > self.gt)
            and (self.gte is None or at_s >= self.gte)
            and (self.lt is None or at_s < self.lt)
            and (self.lte is None or at_s <= self.lte)
        )


class ListParams(Params):
    limit: Annotated[Int, Field(ge=1, le=100)] = 10
    starting_after: Text | None = None
    ending_before: Text | None = None


class CreatedListParams(ListParams):
    created: Range | Int | None = None


def page(
    account: Account,
    kind: str,
    params: ListParams,
    links: Mapping[str, str | None],
    keep: Callable[[JsonObject], bool] = lambda _: True,
) -> JsonObject:
    """One page of the objects of `kind` that carry `links` (None: any) and that `keep` keeps."""
    wanted = {name: value for name, value in links.items() if value is not None}
    for param in ("starting_after", "ending_before"):
        if cursor := getattr(params, param):
            account.get(kind, cursor, param=param)
    if params.starting_after and params.ending_before:
        raise invalid("You cannot use both `starting_after` and `ending_before`.", param="ending_before")
    backwards = params.ending_before is not None
    if backwards:
        found = account.store.oldest(kind, wanted, after=params.ending_before)
    else:
        found = account.store.newest(kind, wanted, after=params.starting_after)
    created = getattr(params, "created", None)
    if isinstance(created, int):
        created = Range(gte=created, lte=created)
    if created is not None:
        found = (body for body in found if created.holds(body["created"]))
    rows = list(islice(filter(keep, found), params.limit + 1))
    data = rows[: params.limit]
    return {
        "object": "list",
        "data": data[::-1] if backwards else data,
        "has_more": len(rows) > params.limit,
        "url": "",
    }


def rendered(account: Account, body: JsonObject, expand: list[str]) -> JsonObject:
    """`body` as the API shows it. Raises `ApiError` when there is nothing to expand at a path."""
    shown = _shown(body)
    for path in expand:
        _expand(account, shown, path.split("."), path)
    return shown


def _shown(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _shown(value) for key, value in public(node).items()}
    return [_shown(item) for item in node] if isinstance(node, list) else node


def _expand(account: Account, node: JsonObject, names: list[str], path: str) -> None:
    name, rest = names[0], names[1:]
    if name not in node:
        raise invalid(f"This property cannot be expanded ({path}).", param="expand")
    value = node[name]
    if isinstance(value, str):
        target = account.store.find(value)
        if target is None:
            raise invalid(f"This property cannot be expanded ({path}).", param="expand")
        node[name] = value = _shown(target)
    if rest:
        for child in value if isinstance(value, list) else [value] if value is not None else []:
            _expand(account, child, rest, path)
