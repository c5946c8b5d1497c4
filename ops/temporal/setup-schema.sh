#!/bin/sh
# Brings Temporal's two PostgreSQL databases to the schema of this image's version. Safe to repeat.
# The environment gives SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD, as temporal-sql-tool names them.
# The databases exist already (ops/postgres/init.sh): their owner need not be allowed to create any.
set -eu

SCHEMA=${TEMPORAL_SCHEMA_DIR:-/etc/temporal/schema}/postgresql/v12

update() {
  export SQL_DATABASE="$1"
  temporal-sql-tool setup-schema --version 0.0
  temporal-sql-tool update-schema --schema-dir "$SCHEMA/$2/versioned"
}

update temporal temporal
update temporal_visibility visibility
