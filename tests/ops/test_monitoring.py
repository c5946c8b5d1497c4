"""An alert on a figure that nobody exposes never fires: every name is looked up in what the processes really say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import REGISTRY
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

import activities.metrics  # noqa: F401 - registers the workers' figures
from api.metrics import Metrics
from contracts.settings import Settings
from dev.servers.ports import free_port
from dev.servers.temporal import NAMESPACE, Temporal
from worker.metrics import runtime_with_metrics

OPS = Path(__file__).parents[2] / "ops"
OF_OTHERS = {"up", "kube_job_status_failed", "kube_cronjob_status_last_successful_time"}
"""Prometheus's own, and those of kube-state-metrics."""


def expressions() -> list[str]:
    rules = yaml.safe_load((OPS / "prometheus/alerts.yml").read_text())
    dashboard = json.loads((OPS / "grafana/dashboards/echoshotx.json").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    found += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    for scaled in yaml.safe_load_all((OPS / "kubernetes/keda.yaml").read_text()):
        triggers = scaled["spec"]["triggers"]
        found += [trigger["metadata"]["query"] for trigger in triggers if trigger["type"] == "prometheus"]
    return found


def names_in(expression: str) -> set[str]:
    """Metric names: words that are neither a function, a label, a keyword nor text."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\b(by|on|without|ignoring)\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    words = re.findall(r"\b([a-z_]\w*)\b(?!\s*\()", bare)
    return set(words) - {"and", "or", "unless", "by", "on", "bool"}


def exposed() -> set[str]:
    names: set[str] = set()
    for registry in (REGISTRY, Metrics().registry):
        for family in registry.collect():
            suffixes = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}.get(
                family.type, ("",)
            )
            names |= {family.name + suffix for suffix in suffixes}
    return names


@activity.defn
async def idle() -> None: ...


@pytest.fixture
async def of_the_sdk(temporal: Temporal, queue_prefix: str) -> set[str]:
    """Names at the metrics endpoint of a real worker."""
    port = free_port()
    runtime = runtime_with_metrics(Settings(metrics_port=port))
    client = await Client.connect(temporal.address, namespace=NAMESPACE, runtime=runtime)
    async with (
        Worker(client, task_queue=queue_prefix, activities=[idle]),
        httpx.AsyncClient(trust_env=False) as http,
    ):
        text = ""
        while "temporal_num_pollers{" not in text:  # it polls some moments after it was started
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).raise_for_status().text
    return set(re.findall(r"^(\w+)[ {]", text, re.MULTILINE))


async def test_alerts_and_dashboard_ask_only_for_figures_that_exist(of_the_sdk: set[str]) -> None:
    asked: set[str] = set().union(*map(names_in, expressions()))
    assert len(asked) > 15
    assert asked - exposed() - OF_OTHERS - of_the_sdk == set()


def test_every_figure_of_ours_is_on_the_dashboard_or_in_an_alert() -> None:
    asked: set[str] = set().union(*map(names_in, expressions()))
    ours = {re.sub("_(bucket|count|sum)$", "", name) for name in exposed() if name.startswith("echoshot_")}
    assert {name for name in ours if not any(one.startswith(name) for one in asked)} == set()


def test_the_names_that_prometheus_scrapes_are_services_of_compose() -> None:
    config: dict[str, Any] = yaml.safe_load((OPS / "prometheus/prometheus.yml").read_text())
    services = yaml.safe_load((OPS.parent / "docker-compose.yml").read_text())["services"]
    hosts = {
        target.split(":")[0]
        for job in config["scrape_configs"]
        for group in job.get("static_configs", ())
        for target in group["targets"]
    } | {
        name
        for job in config["scrape_configs"]
        for dns in job.get("dns_sd_configs", ())
        for name in dns["names"]
    }
    assert hosts <= set(services)
