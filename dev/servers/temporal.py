"""The real Temporal server with its Web UI, from whichever programs `dev.toolchain.find` found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from dev.servers.ports import port_for
from dev.servers.process import Server
from dev.servers.temporal_ui import WebUi
from dev.toolchain.find import TemporalBuild, TemporalCli

NAMESPACE = "default"
_RETENTION = Duration(seconds=7 * 24 * 3600)

SEARCH_ATTRIBUTES = {
    "JobKind": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "JobStatus": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "UserId": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "NeedsAttention": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "CreditsHeld": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "PurchaseStatus": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
}

_DYNAMIC_CONFIG: dict[str, bool | int] = {
    "matching.useNewMatcher": True,
    "matching.enableFairness": True,  # one user's many jobs must not starve the others
    "frontend.WorkflowTimeSkippingEnabled": True,  # tests run week-long timers in seconds
    "system.forceSearchAttributesCacheRefreshOnRead": True,  # attributes work as soon as they are added
}


class Temporal(Server):
    """Server and Web UI as one unit: `kill` and `restart` mean the server, the UI only follows a stop."""

    name = "temporal"

    def __init__(
        self,
        data_dir: Path,
        log_dir: Path,
        programs: TemporalCli | TemporalBuild,
        issuer_url: str = "",
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """With `issuer_url` the Web UI wants people to sign in there; that issuer must run before the start.
        `limits` are set beside the usual dynamic configuration."""
        super().__init__(log_dir)
        self._data = data_dir / "temporal"
        self._programs = programs
        self._dynamic = _DYNAMIC_CONFIG | dict(limits or {})
        self._server_ports = {name: port_for(f"temporal-{name}", data_dir) for name in _SERVICES}
        self._membership_ports = {name: port_for(f"temporal-{name}-gossip", data_dir) for name in _SERVICES}
        self._http_port = port_for("temporal-http", data_dir)
        self._ui_port = port_for("temporal-ui", data_dir)
        self._ui = (
            WebUi(
                self._data / "ui",
                log_dir,
                programs.ui,
                port=self._ui_port,
                temporal_address=self.address,
                namespace=NAMESPACE,
                issuer_url=issuer_url,
            )
            if isinstance(programs, TemporalBuild)
            else None
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server_ports['frontend']}"

    @property
    def decodes(self) -> bool:
        """Whether people can read encrypted payloads in the Web UI; that of `start-dev` knows no sign-in."""
        return self._ui is not None and self._ui.signs_in

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self._ui_port}"

    async def prepare(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        if isinstance(self._programs, TemporalBuild):
            # JSON is YAML; the server reads it as such.
            (self._data / "config.yaml").write_text(json.dumps(self._config(), indent=1))
            dynamic = {key: [{"value": value}] for key, value in self._dynamic.items()}
            (self._data / "dynamic.yaml").write_text(json.dumps(dynamic, indent=1))

    def command(self) -> list[str]:
        if isinstance(self._programs, TemporalBuild):
            config = str(self._data / "config.yaml")
            return [str(self._programs.server), "--config-file", config, "--allow-no-auth", "start"]
        dynamic = [
            part
            for key, value in self._dynamic.items()
            for part in ("--dynamic-config-value", f"{key}={json.dumps(value)}")
        ]
        return [
            *(str(self._programs.path), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"),
            *("--port", str(self._server_ports["frontend"]), "--http-port", str(self._http_port)),
            *("--ui-port", str(self._ui_port), "--db-filename", str(self._data / "temporal.db")),
            *dynamic,
        ]

    async def probe(self) -> None:
        client = await Client.connect(self.address)
        await client.service_client.check_health()

    async def settle(self) -> None:
        await prepare_namespace(self.address, NAMESPACE)
        await self._keep_closed_workflows()
        if self._ui is not None and not self._ui.running:
            await self._ui.start()

    async def stop(self) -> None:
        await super().stop()
        if self._ui is not None:
            await self._ui.stop()

    async def restart(self) -> None:
        await super().stop()
        await self.start()

    async def _keep_closed_workflows(self) -> None:
        # `start-dev` registers the namespace itself, with a retention of one day
        client = await Client.connect(self.address)
        retention = NamespaceConfig(workflow_execution_retention_ttl=_RETENTION)
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(namespace=NAMESPACE, config=retention)
        )

    def _config(self) -> dict[str, object]:
        store = {
            "sql": {
                "pluginName": "sqlite",
                "databaseName": str(self._data / "temporal.db"),
                "connectAddr": "localhost",
                "connectProtocol": "tcp",
                # synchronous 1 (NORMAL): with a write-ahead log safe against killed processes
                "connectAttributes": {
                    "mode": "rwc", "setup": "true", "cache": "private", "journal_mode": "wal", "synchronous": "1",
                },
                "maxConns": 1,
                "maxIdleConns": 1,
            }
        }  # fmt: skip
        return {
            "log": {"stdout": True, "level": "warn"},
            "persistence": {
                "defaultStore": "sqlite",
                "visibilityStore": "sqlite",
                "numHistoryShards": 1,
                "datastores": {"sqlite": store},
            },
            "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": "127.0.0.1"}},
            "services": {name: {"rpc": self._rpc(name)} for name in _SERVICES},
            "clusterMetadata": {
                "enableGlobalNamespace": False,
                "failoverVersionIncrement": 10,
                "masterClusterName": "active",
                "currentClusterName": "active",
                "clusterInformation": {
                    "active": {
                        "enabled": True,
                        "initialFailoverVersion": 1,
                        "rpcName": "frontend",
                        "rpcAddress": self.address,
                    }
                },
            },
            "dcRedirectionPolicy": {"policy": "noop"},
            "dynamicConfigClient": {"filepath": str(self._data / "dynamic.yaml"), "pollInterval": "60s"},
        }

    def _rpc(self, service: str) -> dict[str, object]:
        rpc: dict[str, object] = {
            "grpcPort": self._server_ports[service],
            "membershipPort": self._membership_ports[service],
            "bindOnLocalHost": True,
        }
        return rpc | ({"httpPort": self._http_port} if service == "frontend" else {})


_SERVICES = ("frontend", "history", "matching", "worker")


async def prepare_namespace(address: str, namespace: str) -> None:
    """Register the namespace and the search attributes where they are missing; return once both can be used."""
    client = await Client.connect(address, namespace=namespace)
    try:
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(
                namespace=namespace,
                workflow_execution_retention_period=_RETENTION,
            )
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    async with asyncio.timeout(60):
        await _until_usable(client, namespace)


async def _until_usable(client: Client, namespace: str) -> None:
    # Each service of the server learns of a new namespace when it refreshes its cache, some seconds later.
    count = CountWorkflowExecutionsRequest(namespace=namespace, query="CreditsHeld = 0")
    while True:
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=namespace, search_attributes=SEARCH_ATTRIBUTES)
            )
        except RPCError as error:
            if error.status not in (
                RPCStatusCode.ALREADY_EXISTS,
                RPCStatusCode.NOT_FOUND,
                RPCStatusCode.UNAVAILABLE,
            ):
                raise
        try:
            await client.workflow_service.count_workflow_executions(count)
        except RPCError:
            await asyncio.sleep(0.1)
        else:
            return
