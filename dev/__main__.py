"""`python -m dev`: set up, run, stop and show the platform on this machine.

Each command imports what it needs, so that a set-up that is already done costs no time.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from dev.failures import DevFailure

DATA_DIR = Path("build/stack")


def main() -> int:
    options = _parser().parse_args()
    try:
        return options.run(options)
    except DevFailure as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev", description="The platform on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        if name != "setup":
            command.add_argument(
                "--data", type=Path, default=DATA_DIR, help=f"data folder (default {DATA_DIR})"
            )
        return command

    add("setup", _setup, "find, download or build the server programs (cached)")
    add("up", _up, "run the whole platform until Ctrl-C")
    add("stop", _stop, "stop the platform that runs on the data folder")
    token = add("token", _token, "print an access token of the running platform")
    token.add_argument("username")
    token.add_argument("--roles", default="", help="comma-separated: user, support, finance, admin, worker")
    show = add("demo", _demo, "send one real clip through the whole platform")
    show.add_argument("--video", type=Path, help="your own clip instead of the one that comes along")
    return parser


def _setup(_: argparse.Namespace) -> int:
    from dev.toolchain import find

    async def find_all() -> None:
        await find.temporal()
        await find.versitygw()
        await find.stripe_mock()

    asyncio.run(find_all())
    return 0


def _up(options: argparse.Namespace) -> int:
    asyncio.run(_run_until_interrupted(options.data))
    return 0


async def _run_until_interrupted(data_dir: Path) -> None:
    from dev.platform import running_platform

    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    print("Starting / 시작하는 중 ...", flush=True)
    async with running_platform(data_dir) as platform:
        given = platform.environment
        print(
            f"""
  API and its docs   {platform.api.url}/docs
  Temporal Web UI    {given.get("ECHOSHOT_TEMPORAL_UI_URL", "")}  (any name, any role / 아무 이름으로 로그인)
  S3                 {given.get("ECHOSHOT_S3_ENDPOINT", "")}
  Token issuer       {given.get("ECHOSHOT_OIDC_ISSUER", "")}
  Stripe, PortOne    {given.get("ECHOSHOT_STRIPE__API_BASE", "")} {given.get("ECHOSHOT_PORTONE__API_BASE", "")}
  Logs               {data_dir / "logs"}
  Environment        source {data_dir / "environment.sh"}
  A token            .venv/bin/python -m dev token alice --roles admin

  Ctrl-C stops everything / Ctrl-C로 모두 멈춥니다
""",
            flush=True,
        )
        await stop.wait()
        print("Stopping / 멈추는 중 ...", flush=True)


def _stop(options: argparse.Namespace) -> int:
    from dev.platform import stop_platform

    print("Stopped." if stop_platform(options.data) else "Nothing runs there.")
    return 0


def _token(options: argparse.Namespace) -> int:
    import httpx

    from dev.platform import running_environment

    environment = running_environment(options.data)
    if environment is None:
        print(f"No platform runs on {options.data}: start it with `make up`.", file=sys.stderr)
        return 1
    form = {"username": options.username, "roles": options.roles}
    answer = httpx.post(f"{environment['ECHOSHOT_OIDC_ISSUER']}/token", data=form, trust_env=False)
    print(answer.raise_for_status().json()["access_token"])
    return 0


def _demo(options: argparse.Namespace) -> int:
    from dev.demo import demo

    return asyncio.run(demo(options.data, options.video))


if __name__ == "__main__":
    sys.exit(main())
