"""The order in which server programs are looked for: on PATH, downloaded, built from source.

A server whose address is given (`TEMPORAL_ADDRESS`, `ECHOSHOT_S3_ENDPOINT`, ...) is not looked for at all: see
`dev.stack`.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dev.toolchain.compiler import cache_dir, tell
from dev.toolchain.gobuild import GoTool, build

_TEMPORAL_SERVER = GoTool("temporal-server", "temporal", "go.temporal.io/server/cmd/server")
_TEMPORAL_UI = GoTool("temporal-ui", "temporal", "github.com/temporalio/ui-server/v2/cmd/server")
_VERSITYGW = GoTool("versitygw", "s3", "github.com/versity/versitygw/cmd/versitygw")
_STRIPE_MOCK = GoTool("stripe-mock", "stripe", "github.com/stripe/stripe-mock")


@dataclass(frozen=True)
class TemporalCli:
    """The `temporal` command, whose `server start-dev` is server and Web UI in one process."""

    path: Path


@dataclass(frozen=True)
class TemporalBuild:
    """The official server and Web UI as two programs."""

    server: Path
    ui: Path


async def temporal() -> TemporalCli | TemporalBuild:
    """Raises `ToolMissing` when there is neither internet nor Go."""
    if on_path := shutil.which("temporal"):
        return TemporalCli(Path(on_path))
    if downloaded := _downloaded_cli():
        return TemporalCli(downloaded)
    if not (_TEMPORAL_SERVER.path.exists() and _TEMPORAL_UI.path.exists()):
        await _download_cli()
        if downloaded := _downloaded_cli():
            return TemporalCli(downloaded)
    return TemporalBuild(await asyncio.to_thread(build, _TEMPORAL_SERVER), await temporal_ui())


async def temporal_ui() -> Path:
    """The Web UI alone, which unlike that of `TemporalCli` knows sign-in. Raises `ToolMissing`."""
    return await asyncio.to_thread(build, _TEMPORAL_UI)


async def versitygw() -> Path:
    """Raises `ToolMissing` when it is neither on PATH nor can be built."""
    if on_path := shutil.which("versitygw"):
        return Path(on_path)
    return await asyncio.to_thread(build, _VERSITYGW)


async def stripe_mock() -> Path:
    """Only tests need it. Raises `ToolMissing` when it is neither on PATH nor can be built."""
    if on_path := shutil.which("stripe-mock"):
        return Path(on_path)
    return await asyncio.to_thread(build, _STRIPE_MOCK)


def _downloaded_cli() -> Path | None:
    return next(iter(sorted(_download_dir().glob("temporal-sdk-python-*"))), None)


def _download_dir() -> Path:
    return cache_dir() / "temporal-cli"


async def _download_cli() -> None:
    """Let the SDK download the CLI, by starting its development server once. Leaves nothing without internet."""
    from temporalio.testing import WorkflowEnvironment  # half a second that a finished set-up need not spend

    _download_dir().mkdir(parents=True, exist_ok=True)
    tell("Downloading Temporal / Temporal 내려받는 중 ...")
    try:
        environment = await WorkflowEnvironment.start_local(
            download_dest_dir=str(_download_dir()), dev_server_startup_timeout=timedelta(seconds=60)
        )
    except RuntimeError as error:
        tell(f"Not downloaded ({str(error).splitlines()[0][:200]})")
    else:
        await environment.shutdown()
