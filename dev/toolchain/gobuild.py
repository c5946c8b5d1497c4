"""Builds a tool of one of the Go modules beside this file into the user's cache, once per version."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dev.failures import ToolMissing
from dev.toolchain.compiler import cache_dir, find_go, tell

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class GoTool:
    """`package` is built inside the Go module `module`, whose go.sum fixes every byte of source."""

    name: str
    module: str
    package: str
    """Import path; the part before its `cmd/` names the module whose version names the build."""

    @property
    def version(self) -> str:
        go_module = self.package.partition("/cmd/")[0]
        text = (_HERE / self.module / "go.mod").read_text()
        match = re.search(rf"^\s*(?:require )?{re.escape(go_module)} v(\S+)", text, re.MULTILINE)
        assert match is not None, f"{go_module} is not in {self.module}/go.mod"
        return match[1]

    @property
    def path(self) -> Path:
        """Where the program is once it was built."""
        return cache_dir() / f"{self.name}-{self.version}"


def build(tool: GoTool) -> Path:
    """The program's path, after building it if this version never was. Raises `ToolMissing`."""
    if tool.path.exists():
        return tool.path
    go = find_go()
    if go is None:
        raise ToolMissing(_advice(tool, "Go is neither installed nor could it be downloaded"))
    tell(
        f"Building {tool.name} {tool.version} from source (once, some minutes) / 소스에서 빌드 중 (처음 한 번) ..."
    )
    tool.path.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and renamed, so that a build that was cut off leaves nothing that looks finished.
    with tempfile.TemporaryDirectory(dir=tool.path.parent) as folder:
        made = Path(folder) / tool.name
        result = subprocess.run(
            [str(go), "build", "-o", str(made), tool.package],
            cwd=_HERE / tool.module,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise ToolMissing(_advice(tool, "\n".join(result.stderr.splitlines()[-8:])))
        made.replace(tool.path)
    return tool.path


def _advice(tool: GoTool, reason: str) -> str:
    return (
        f"{tool.name} is neither on this machine nor could it be made here: {reason}\n"
        "Connect to the internet, or install Go 1.26.8 or newer (https://go.dev/dl) with a reachable Go module proxy, "
        "or point TEMPORAL_ADDRESS and ECHOSHOT_S3_ENDPOINT at running servers.\n"
        f"{tool.name}을(를) 찾거나 만들 수 없습니다. 인터넷에 연결하거나, Go 1.26.8 이상을 설치하거나, "
        "TEMPORAL_ADDRESS와 ECHOSHOT_S3_ENDPOINT에 실행 중인 서버 주소를 지정하세요."
    )
