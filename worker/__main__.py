"""`python -m worker core|transfer|gpu|providers`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os

from contracts.settings import settings
from worker.roles import ROLES
from worker.secrecy import hide_from_children
from worker.serve import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("role", choices=sorted(ROLES))
    role = ROLES[parser.parse_args().role]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It logs addresses, and the gateway's holds a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    hide_from_children()
    asyncio.run(serve(role, settings()))
    # All is closed and handed back. Tearing the interpreter down beside the SDK's own threads has aborted it
    # ("PyGILState_Release"), and an orchestrator would take that for a crash.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
