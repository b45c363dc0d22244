"""The Catalog's tables, the same on SQLite and PostgreSQL.

A bucket has a number beside its uid, since the number stands in a million index entries. An image
has no id column: its id is a function of bucket and key, and ``id_hash`` holds the id's first 64
bits. An index over the whole id would cost a third of an import's speed, being in random order.
"""

import sqlalchemy as sa

from serving.database import Key, UtcTime

metadata = sa.MetaData()
_LIVE = sa.text("delete_time IS NULL")
_RUNNING = sa.text("state = 'RUNNING'")
_ENDED = sa.text("state <> 'RUNNING'")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column(
        "no",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("uid", Key, nullable=False, unique=True),
    sa.Column("project", Key, nullable=False),
    sa.Column("bucket_id", Key, nullable=False),
    sa.Column("binding", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("probe_policy", sa.Text, nullable=False),
    _text("display_name"),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("create_time", UtcTime, nullable=False),
    sa.Column("update_time", UtcTime, nullable=False),
    sa.Column("delete_time", UtcTime),
    sa.Column("health_state", sa.Text, nullable=False, server_default="UNSPECIFIED"),
    _text("health_reason"),
    sa.Column("health_time", UtcTime),
    _count("images"),
    _count("excluded"),
    _count("available"),
    _count("unavailable"),
    _count("unsignable"),
    _count("probed"),
    # A name is free again as soon as its bucket is unmounted, while the images are still there.
    sa.Index(
        "buckets_name",
        "project",
        "bucket_id",
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    ),
    sqlite_autoincrement=True,  # a number is never given out again
)

images = sa.Table(
    "images",
    metadata,
    # No foreign key: it would be looked up for each of a million rows, and purging goes in chunks.
    sa.Column("bucket_no", sa.BigInteger, nullable=False),
    sa.Column("key", Key, nullable=False),
    sa.Column("id_hash", sa.BigInteger, nullable=False, index=True),
    sa.Column("excluded", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("source_state", sa.Text, nullable=False),
    _count("size"),
    _text("etag"),
    _text("version"),
    _count("version_epoch"),
    sa.Column("last_modified", UtcTime),
    sa.Column("check_time", UtcTime),
    sa.Column("info_state", sa.Text, nullable=False),
    _text("info_reason"),
    _text("media_type"),
    sa.Column("width", sa.Integer, nullable=False, server_default="0"),
    sa.Column("height", sa.Integer, nullable=False, server_default="0"),
    sa.Column("orientation", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("create_time", UtcTime, nullable=False),
    sa.Column("update_time", UtcTime, nullable=False),
    sa.PrimaryKeyConstraint("bucket_no", "key"),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("project", Key, nullable=False),
    sa.Column("operation_id", Key, nullable=False),
    sa.Column("bucket_uid", Key, nullable=False),
    sa.Column("bucket_name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("source", sa.Text, nullable=False),
    _text("prefix"),
    _text("on_behalf_of"),
    _count("listed"),
    _count("created"),
    _count("existing"),
    _count("excluded"),
    _count("unsignable"),
    _count("probed"),
    _count("failed"),
    _count("probe_total"),
    sa.Column("fault", sa.Text),  # JSON
    sa.Column("create_time", UtcTime, nullable=False),
    sa.Column("update_time", UtcTime, nullable=False),
    sa.Column("end_time", UtcTime),
    sa.PrimaryKeyConstraint("project", "operation_id"),
    sa.Index(
        "operations_unfinished",
        "project",
        "bucket_uid",
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    ),
    sa.Index("operations_ended", "end_time", sqlite_where=_ENDED, postgresql_where=_ENDED),
)

# The keys of an explicit import, a thousand to a row, in the order of their bytes.
operation_keys = sa.Table(
    "operation_keys",
    metadata,
    sa.Column("project", Key, nullable=False),
    sa.Column("operation_id", Key, nullable=False),
    sa.Column("last_key", Key, nullable=False),
    sa.Column("keys", sa.Text, nullable=False),  # JSON
    sa.PrimaryKeyConstraint("project", "operation_id", "last_key"),
)

operation_failures = sa.Table(
    "operation_failures",
    metadata,
    sa.Column(
        "no",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("project", Key, nullable=False),
    sa.Column("operation_id", Key, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    _text("image_id"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("http_status", sa.Integer, nullable=False, server_default="0"),
    _text("provider_code"),
    sa.Column("time", UtcTime, nullable=False),
    sa.Index("operation_failures_page", "project", "operation_id", "no"),
    sqlite_autoincrement=True,
)

# Idempotency: hashes alone, so that neither a caller nor a request can be read from a row.
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("scope", sa.LargeBinary, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("operation_id", sa.Text, nullable=False),
    sa.Column("expire_time", UtcTime, nullable=False, index=True),
)
