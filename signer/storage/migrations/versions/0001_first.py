"""The first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _state()
    _credentials()
    _bindings()
    _revisions()
    _beside()


def _authenticated() -> list[sa.Column[object]]:
    return [
        sa.Column("generation", sa.BigInteger, nullable=False, index=True),
        sa.Column("mac_key_id", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
    ]


def _state() -> None:
    op.create_table(
        "state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deployment", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("mac_key_id", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "integrity_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("kek_ref", sa.Text, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("project", _KEY, nullable=False),
        sa.Column("credential_id", _KEY, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("principal_hint", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("expire_time", sa.BigInteger),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("header", sa.LargeBinary),
        sa.Column("kek_ref", sa.Text),
        sa.Column("wrapped_key", sa.LargeBinary),
        sa.Column("nonce", sa.LargeBinary),
        sa.Column("ciphertext", sa.LargeBinary),
        *_authenticated(),
        sa.UniqueConstraint("project", "credential_id", name="credentials_name"),
    )


def _bindings() -> None:
    op.create_table(
        "bindings",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("project", _KEY, nullable=False),
        sa.Column("binding_id", _KEY, nullable=False),
        sa.Column("class", sa.Text, nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("max_url_lifetime", sa.Integer, nullable=False),
        sa.Column("stable_window", sa.Integer, nullable=False),
        sa.Column("active", sa.Integer, nullable=False),
        sa.Column("holders", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("delete_time", sa.BigInteger),
        *_authenticated(),
    )
    op.create_index(
        "bindings_name",
        "bindings",
        ["project", "binding_id"],
        unique=True,
        sqlite_where=sa.text("delete_time IS NULL"),
        postgresql_where=sa.text("delete_time IS NULL"),
    )


def _revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("binding_uid", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("credential_uid", sa.Text, nullable=False, index=True),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("location_epoch", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("committers", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("supersede_time", sa.BigInteger),
        sa.Column("drain_time", sa.BigInteger),
        *_authenticated(),
    )


def _beside() -> None:
    op.create_table(
        "requests",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "audit_chains",
        sa.Column("writer", sa.Text, primary_key=True),
        sa.Column("mac_key_id", sa.Text, nullable=False),
        sa.Column("start_mac", sa.LargeBinary, nullable=False),
        sa.Column("start_time", sa.BigInteger, nullable=False),
    )
