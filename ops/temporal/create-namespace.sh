#!/bin/sh
# Creates the namespace and the search attributes that support filters by. Safe to repeat.
# The environment gives TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, as the `temporal` command names them.
set -eu

until temporal operator cluster health; do
  sleep 2
done

temporal operator namespace describe >/dev/null 2>&1 ||
  temporal operator namespace create --retention "${NAMESPACE_RETENTION:-720h}" --namespace "$TEMPORAL_NAMESPACE"

# Each service of the server learns of a new namespace some seconds after it was made.
attempts=0
until temporal operator search-attribute create \
  --name JobKind --type Keyword \
  --name JobStatus --type Keyword \
  --name UserId --type Keyword \
  --name NeedsAttention --type Bool \
  --name CreditsHeld --type Int \
  --name PurchaseStatus --type Keyword; do
  attempts=$((attempts + 1))
  [ "$attempts" -lt 30 ] || exit 1
  sleep 2
done
