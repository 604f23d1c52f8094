"""Backup and restore: both databases at one moment, and the files without which they are of no use.

A backup is a folder: `manifest.json` (written last: without it a folder is no backup), `cixml/` and `dagster/` (the
directory format of pg_dump), `keys.json`, `models/` (the models file and its tokenizers), and `secrets.json` where the
state folder made them.
"""
