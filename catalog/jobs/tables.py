"""Tables beside DBOS's: who works, whose turn it is, and how often a job was begun in vain."""

import sqlalchemy as sa

metadata = sa.MetaData()

workers = sa.Table(
    "job_workers",
    metadata,
    sa.Column("worker_id", sa.Text, primary_key=True),
    # By the database's clock, in seconds since 1970: workers' clocks may differ.
    sa.Column("beat_at", sa.Double, nullable=False),
    sa.Column("claimed_by", sa.Text, nullable=False, server_default=""),
    sa.Column("claimed_at", sa.Double, nullable=False, server_default=sa.text("0")),
)

attempts = sa.Table(
    "job_attempts",
    metadata,
    sa.Column("workflow_id", sa.Text, primary_key=True),
    sa.Column("attempts", sa.Integer, nullable=False),
)

# The import of each bucket that has a workflow; those of the same bucket that wait have none.
turns = sa.Table(
    "job_turns",
    metadata,
    sa.Column("bucket_uid", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("operation_id", sa.Text, nullable=False),
    sa.Index("job_turns_operation", "project", "operation_id"),
)


def database_now(dialect: sa.engine.Dialect) -> sa.ColumnElement[float]:
    """Seconds since 1970 as the database tells the time."""
    if dialect.name == "sqlite":
        return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)
    return sa.literal_column("extract(epoch from clock_timestamp())", sa.Double)
