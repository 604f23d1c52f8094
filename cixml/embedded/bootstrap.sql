-- Run by psql as the superuser at each start: the owner of everything, its database, the extension.
-- Passwords come from the environment, so that no command line shows them.
\set ON_ERROR_STOP on
\getenv owner_password CIXML_BOOTSTRAP_OWNER_PASSWORD
SELECT 'CREATE ROLE cixml_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cixml_owner') \gexec
ALTER ROLE cixml_owner LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD :'owner_password';
-- The age of the oldest transaction is a metric, whosesoever it is.
GRANT pg_read_all_stats TO cixml_owner;
SELECT 'CREATE DATABASE cixml OWNER cixml_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'cixml') \gexec
\connect cixml
-- Not trusted in this build: only a superuser may create it.
CREATE EXTENSION IF NOT EXISTS vector;
ALTER EXTENSION vector UPDATE;
