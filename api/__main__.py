"""`python -m api`: serve. `python -m api openapi`: write docs/openapi.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from api import logs
from api.app import create_app
from api.server import Server
from contracts.settings import settings

OPENAPI_PATH = Path(__file__).parent.parent / "docs" / "openapi.json"


def openapi_text() -> str:
    """Settings do not enter the document, so it is the same on every machine."""
    return json.dumps(create_app(settings()).openapi(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve", "openapi"], default="serve")
    if parser.parse_args().command == "openapi":
        OPENAPI_PATH.parent.mkdir(parents=True, exist_ok=True)
        OPENAPI_PATH.write_text(openapi_text(), encoding="utf-8")
    else:
        logs.configure()
        Server(create_app(settings()), settings().api_host, settings().api_port).run()


if __name__ == "__main__":
    main()
