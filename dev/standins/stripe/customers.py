"""Customers, and the sessions that let an app show a customer's saved cards."""

from __future__ import annotations

from typing import Literal

from dev.standins.store import JsonObject, new_id, now_s
from dev.standins.stripe.account import Account
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Bool, Clearable, Int, Metadata, Params, Part, Text
from dev.standins.stripe.lists import CreatedListParams, page

SESSION_TTL_S = 1800


class CustomerParams(Params, Metadata):
    name: Clearable = None
    email: Clearable = None
    phone: Clearable = None
    description: Clearable = None


class ListCustomers(CreatedListParams):
    email: Text | None = None


class Features(Part):
    payment_method_redisplay: Literal["enabled", "disabled"] | None = None
    payment_method_save: Literal["enabled", "disabled"] | None = None
    payment_method_save_usage: Literal["off_session", "on_session"] | None = None
    payment_method_save_allow_redisplay_override: Literal["always", "limited", "unspecified"] | None = None
    payment_method_remove: Literal["enabled", "disabled"] | None = None
    payment_method_redisplay_limit: Int | None = None
    payment_method_allow_redisplay_filters: list[Literal["always", "limited", "unspecified"]] | None = None


class Component(Part):
    enabled: Bool
    features: Features | None = None


class Components(Part):
    payment_element: Component | None = None
    mobile_payment_element: Component | None = None
    customer_sheet: Component | None = None


class CreateSession(Params):
    customer: Text
    components: Components


def create(account: Account, params: CustomerParams) -> JsonObject:
    customer = {
        "id": new_id("cus"),
        "object": "customer",
        "created": now_s(),
        "description": params.description,
        "email": params.email,
        "livemode": False,
        "metadata": params.merged({}),
        "name": params.name,
        "phone": params.phone,
    }
    account.store.add("customer", customer, {"email": params.email})
    account.emit("customer.created", customer)
    return customer


def retrieve(account: Account, customer_id: str, _: Params) -> JsonObject:
    return account.get("customer", customer_id)


def update(account: Account, customer_id: str, params: CustomerParams) -> JsonObject:
    customer = account.get("customer", customer_id)
    given = params.model_dump(include=params.model_fields_set - {"metadata", "expand"})
    customer |= given | {"metadata": params.merged(customer["metadata"])}
    account.emit("customer.updated", account.store.save(customer))
    return customer


def list_customers(account: Account, params: ListCustomers) -> JsonObject:
    return page(account, "customer", params, {"email": params.email})


def create_session(account: Account, params: CreateSession) -> JsonObject:
    account.get("customer", params.customer, param="customer")
    components = params.components.model_dump()
    if not any(component and component["enabled"] for component in components.values()):
        raise invalid("At least one component must be enabled.", param="components")
    return {
        "object": "customer_session",
        "client_secret": f"{new_id('cuss')}_secret_{new_id('s')}",
        "components": {
            name: {
                "enabled": bool(component and component["enabled"]),
                "features": component and component["features"],
            }
            for name, component in components.items()
        },
        "created": now_s(),
        "customer": params.customer,
        "expires_at": now_s() + SESSION_TTL_S,
        "livemode": False,
    }
