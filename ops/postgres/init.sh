#!/bin/sh
# Run once by the postgres image, when its data folder is empty: one role and one owner per program.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" \
  --set echoshot_password="$ECHOSHOT_DB_PASSWORD" --set temporal_password="$TEMPORAL_DB_PASSWORD" \
  --set grafana_password="$GRAFANA_DB_PASSWORD" <<'SQL'
CREATE ROLE echoshot LOGIN PASSWORD :'echoshot_password';
CREATE DATABASE echoshot OWNER echoshot;
-- Sees the views of the schema `analytics` alone (docs/finance.md); the migrations grant them to the group.
CREATE ROLE echoshot_analyst NOLOGIN;
CREATE ROLE grafana LOGIN PASSWORD :'grafana_password' IN ROLE echoshot_analyst;
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL
