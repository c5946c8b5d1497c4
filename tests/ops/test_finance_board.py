"""The finance board asks only what an analyst's login may see, and every question of it has an answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

OPS = Path(__file__).parents[2] / "ops"
BOARD = json.loads((OPS / "grafana/dashboards/finance.json").read_text())
QUERIES = {panel["title"]: panel["targets"][0]["rawSql"] for panel in BOARD["panels"]}


@pytest.mark.parametrize("title", QUERIES)
def test_a_panel_is_answered_to_an_analyst(database_url: str, title: str) -> None:
    # Grafana's macro, as it writes it.
    query = re.sub(
        r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '30 days' AND now()", QUERIES[title]
    )
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        connection.execute("SET ROLE echoshot_analyst")
        connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize(
    "table", ["users", "transfers", "purchases", "webhook_inbox", "staff_log", "customers"]
)
def test_an_analyst_sees_no_table_itself(database_url: str, table: str) -> None:
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        connection.execute("SET ROLE echoshot_analyst")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT * FROM {table}".encode())


def test_the_board_reads_the_source_that_is_provisioned() -> None:
    provisioned = (OPS / "grafana/provisioning/datasources/books.yaml").read_text()
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {"books"}
    assert "uid: books" in provisioned
