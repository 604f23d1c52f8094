-- Run by psql as the owner (CREATEDB, CREATEROLE), here or on a server the user named: Dagster's own login and database.
\set ON_ERROR_STOP on
\getenv dagster_password CIXML_BOOTSTRAP_DAGSTER_PASSWORD
SELECT 'CREATE ROLE cixml_dagster_login' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cixml_dagster_login') \gexec
ALTER ROLE cixml_dagster_login LOGIN PASSWORD :'dagster_password';
SELECT 'CREATE DATABASE cixml_dagster' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'cixml_dagster') \gexec
REVOKE CONNECT ON DATABASE cixml_dagster FROM PUBLIC;
GRANT CONNECT ON DATABASE cixml_dagster TO cixml_dagster_login;
\connect cixml_dagster
GRANT USAGE, CREATE ON SCHEMA public TO cixml_dagster_login;
