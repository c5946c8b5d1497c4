"""What a deployment is told must be true of the program: names, versions, roles and limits, none written by memory."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.api.enums.v1 import IndexedValueType

from contracts.queues import Queue
from contracts.timing import WORKER_GRACE
from dev.config_table import settings
from dev.servers.temporal import SEARCH_ATTRIBUTES
from dev.toolchain.gobuild import GoTool

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN_SERVICES = {name: one for name, one in SERVICES.items() if one["image"].startswith("echoshotx:")}
KUBERNETES: list[dict[str, Any]] = [
    document
    for file in sorted((ROOT / "ops/kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]
SETTINGS = {variable for variable, _, _ in settings()}


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in KUBERNETES if document["kind"] == kind]


@pytest.mark.parametrize(
    "file", [p for p in sorted((ROOT / "ops").rglob("*")) if p.suffix in (".yml", ".yaml", ".json")], ids=str
)
def test_every_file_of_ops_parses(file: Path) -> None:
    text = file.read_text()
    documents = [json.loads(text)] if file.suffix == ".json" else list(yaml.safe_load_all(text))
    assert documents
    assert all(isinstance(document, dict) for document in documents)


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_compose_sets_only_variables_that_the_program_reads(name: str) -> None:
    assert set(OWN_SERVICES[name]["environment"]) <= SETTINGS


def test_kubernetes_sets_only_variables_that_the_program_reads() -> None:
    for config in of_kind("ConfigMap"):
        assert set(config["data"]) <= SETTINGS
    for secret in of_kind("Secret"):
        assert set(secret["stringData"]) <= SETTINGS


def test_every_image_is_pinned_to_a_version() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"image: (\S+)", "\n".join(p.read_text() for p in (ROOT / "ops").rglob("*.yaml")))
    images += re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    unpinned = [image for image in images if not re.search(r":v?\d+\.\d+", image)]
    assert unpinned == []


def test_the_servers_are_of_the_versions_that_the_suite_runs() -> None:
    server = GoTool("server", "temporal", "go.temporal.io/server/cmd/server").version
    ui = GoTool("ui", "temporal", "github.com/temporalio/ui-server/v2/cmd/server").version
    s3 = GoTool("s3", "s3", "github.com/versity/versitygw/cmd/versitygw").version
    assert SERVICES["temporal"]["image"] == f"temporalio/server:{server}"
    assert SERVICES["temporal-schema"]["image"] == f"temporalio/admin-tools:{server}"
    assert SERVICES["temporal-namespace"]["image"] == f"temporalio/admin-tools:{server}"
    assert SERVICES["temporal-ui"]["image"] == f"temporalio/ui:{ui}"
    assert SERVICES["s3"]["image"] == f"versity/versitygw:v{s3}"


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_queue_has_a_worker_in_compose_and_one_that_scales_in_kubernetes() -> None:
    in_compose = {
        service["command"][-1] for service in OWN_SERVICES.values() if "worker" in service["command"]
    }
    deployed = {
        one["metadata"]["labels"]["role"]: one["metadata"]["name"]
        for one in of_kind("Deployment")
        if "role" in one["metadata"]["labels"]
    }
    scaled = {
        one["spec"]["triggers"][0]["metadata"]["taskQueue"]: one["spec"]["scaleTargetRef"]["name"]
        for one in of_kind("ScaledObject")
    }
    assert in_compose == {str(queue) for queue in Queue}
    assert deployed == scaled == {str(queue): f"echoshot-worker-{queue}" for queue in Queue}


def test_workers_get_more_time_to_stop_than_they_take() -> None:
    workers = [one for name, one in OWN_SERVICES.items() if name.startswith("worker-")]
    assert all(int(one["stop_grace_period"].removesuffix("s")) > WORKER_GRACE.seconds for one in workers)
    pods = [one["spec"]["template"]["spec"] for one in of_kind("Deployment")]
    assert all(pod["terminationGracePeriodSeconds"] > WORKER_GRACE.seconds for pod in pods)


def test_no_container_of_ours_runs_as_root_or_writes_outside_its_volumes() -> None:
    assert re.search(r"^USER 10001", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert all(one["read_only"] and one["cap_drop"] == ["ALL"] for one in OWN_SERVICES.values())
    for one in of_kind("Deployment"):
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in pod["containers"])


def test_the_namespace_job_creates_the_search_attributes_that_workflows_set() -> None:
    script = (ROOT / "ops/temporal/create-namespace.sh").read_text()
    created = dict(re.findall(r"--name (\w+) --type (\w+)", script))
    wanted = {
        name: IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").capitalize()
        for name, kind in SEARCH_ATTRIBUTES.items()
    }
    assert created == wanted


def test_the_example_environment_names_what_compose_reads_and_holds_no_secret() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert read | {"COMPOSE_PROFILES"} == set(example)
    assert [name for name, value in example.items() if re.search("PASSWORD|SECRET", name) and value] == []


def test_the_web_ui_of_kubernetes_is_set_up_as_that_of_compose() -> None:
    """Address and namespace are the chart's own business, secrets and hosts the operator's."""
    web = yaml.safe_load((ROOT / "ops/temporal/web-values.yaml").read_text())["web"]
    in_compose: dict[str, str] = SERVICES["temporal-ui"]["environment"]
    in_kubernetes = {one["name"]: one.get("value") for one in web["additionalEnv"]}
    assert set(in_compose) - {"TEMPORAL_ADDRESS", "TEMPORAL_DEFAULT_NAMESPACE"} == set(in_kubernetes)
    fixed = {name: value for name, value in in_compose.items() if "$" not in value and name in in_kubernetes}
    assert fixed == {name: in_kubernetes[name] for name in fixed}
    assert SERVICES["temporal-ui"]["image"] == f"temporalio/ui:{web['image']['tag']}"


def test_api_and_workers_have_the_same_encryption_keys() -> None:
    for name, service in OWN_SERVICES.items():
        assert {"ECHOSHOT_CODEC_KEYS", "ECHOSHOT_CODEC_KEY_ID"} <= set(service["environment"]), name
    [secret] = [one for one in of_kind("Secret") if one["metadata"]["name"] == "echoshot"]
    assert secret["stringData"]["ECHOSHOT_CODEC_KEY_ID"] in json.loads(
        secret["stringData"]["ECHOSHOT_CODEC_KEYS"]
    )


def test_the_image_holds_every_room_that_runs_in_production() -> None:
    copied = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    rooms = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    assert copied == rooms - {"bench", "cli", "dev", "tests"}
