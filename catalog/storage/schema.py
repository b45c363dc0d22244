"""Where the migrations are, and whether they have run."""

from pathlib import Path

from serving.migrations import is_current, run_migrations

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "catalog_schema"


async def migrate(database_url: str) -> None:
    """Brings the Catalog's own tables to the newest revision; DBOS's are the jobs' business."""
    await run_migrations(database_url, MIGRATIONS)


async def is_migrated(database_url: str) -> bool:
    return await is_current(database_url, MIGRATIONS, VERSION_TABLE)
