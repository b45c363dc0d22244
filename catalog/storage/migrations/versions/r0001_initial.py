"""The first tables: buckets, images, operations and request ids.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What catalog/storage/tables.py says in its own words; a revision never changes with it. Times are
# microseconds since 1970.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _buckets()
    _images()
    _operations()
    _operation_rows()
    _requests()


def _buckets() -> None:
    op.create_table(
        "buckets",
        sa.Column("no", SERIAL, autoincrement=True, nullable=False),
        sa.Column("uid", KEY, nullable=False),
        sa.Column("project", KEY, nullable=False),
        sa.Column("bucket_id", KEY, nullable=False),
        sa.Column("binding", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("probe_policy", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), server_default="", nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("delete_time", sa.BigInteger(), nullable=True),
        sa.Column("health_state", sa.Text(), server_default="UNSPECIFIED", nullable=False),
        sa.Column("health_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("health_time", sa.BigInteger(), nullable=True),
        sa.Column("images", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("excluded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("available", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unavailable", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unsignable", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("probed", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sa.UniqueConstraint("uid"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "buckets_name",
        "buckets",
        ["project", "bucket_id"],
        unique=True,
        sqlite_where=sa.text("delete_time IS NULL"),
        postgresql_where=sa.text("delete_time IS NULL"),
    )


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("bucket_no", sa.BigInteger(), nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("id_hash", sa.BigInteger(), nullable=False),
        sa.Column("excluded", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("source_state", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("etag", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("version_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_modified", sa.BigInteger(), nullable=True),
        sa.Column("check_time", sa.BigInteger(), nullable=True),
        sa.Column("info_state", sa.Text(), nullable=False),
        sa.Column("info_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("media_type", sa.Text(), server_default="", nullable=False),
        sa.Column("width", sa.Integer(), server_default="0", nullable=False),
        sa.Column("height", sa.Integer(), server_default="0", nullable=False),
        sa.Column("orientation", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket_no", "key"),
    )
    op.create_index("ix_images_id_hash", "images", ["id_hash"], unique=False)


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("project", KEY, nullable=False),
        sa.Column("operation_id", KEY, nullable=False),
        sa.Column("bucket_uid", KEY, nullable=False),
        sa.Column("bucket_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), server_default="", nullable=False),
        sa.Column("on_behalf_of", sa.Text(), server_default="", nullable=False),
        sa.Column("listed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("existing", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("excluded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unsignable", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("probed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("probe_total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "operation_id"),
    )
    op.create_index(
        "operations_unfinished",
        "operations",
        ["project", "bucket_uid"],
        unique=False,
        sqlite_where=sa.text("state = 'RUNNING'"),
        postgresql_where=sa.text("state = 'RUNNING'"),
    )


def _operation_rows() -> None:
    op.create_table(
        "operation_keys",
        sa.Column("project", KEY, nullable=False),
        sa.Column("operation_id", KEY, nullable=False),
        sa.Column("last_key", KEY, nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "operation_id", "last_key"),
    )
    op.create_table(
        "operation_failures",
        sa.Column("no", SERIAL, autoincrement=True, nullable=False),
        sa.Column("project", KEY, nullable=False),
        sa.Column("operation_id", KEY, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("image_id", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("provider_code", sa.Text(), server_default="", nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "operation_failures_page",
        "operation_failures",
        ["project", "operation_id", "no"],
        unique=False,
    )


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.create_index("ix_requests_expire_time", "requests", ["expire_time"], unique=False)


def downgrade() -> None:
    for table in (
        "requests",
        "operation_failures",
        "operation_keys",
        "operations",
        "images",
        "buckets",
    ):
        op.drop_table(table)
