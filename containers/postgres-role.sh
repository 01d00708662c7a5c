#!/bin/sh
# Run once by the Postgres image, when its volume is new: the role that Furrow uses, which owns one database and is no superuser.
set -eu
export FURROW_PASSWORD_FILE="${FURROW_PASSWORD_FILE:-/run/secrets/postgres_password}"
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat "$FURROW_PASSWORD_FILE"`
CREATE ROLE furrow LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
CREATE DATABASE furrow OWNER furrow;
REVOKE ALL ON DATABASE furrow FROM PUBLIC;
SQL
