"""What Alembic runs: the revisions, on the connection that serving.migrations opened."""

from serving.migrations import run

run("catalog_schema")
