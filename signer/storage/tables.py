"""The Signer's tables. No column holds a secret in the clear, and none holds a URL.

``credentials``, ``bindings`` and ``revisions`` carry a code (``mac``) over all their other columns,
and the generation of the change that wrote them last; ``state`` is the one row that all changes go
through. Rows are never deleted by a change: a deleted binding and a destroyed credential stay as
records, so that a difference between two generations is always a set of rows that changed.
"""

import sqlalchemy as sa

from serving.database import Key

metadata = sa.MetaData()


def _authenticated() -> list[sa.Column[object]]:
    return [
        sa.Column("generation", sa.BigInteger, nullable=False, index=True),
        sa.Column("mac_key_id", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
    ]


state = sa.Table(
    "state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("mac_key_id", sa.Text, nullable=False),
    sa.Column("mac", sa.LargeBinary, nullable=False),
)

integrity_keys = sa.Table(
    "integrity_keys",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("kek_ref", sa.Text, nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("uid", sa.Text, primary_key=True),
    sa.Column("project", Key, nullable=False),
    sa.Column("credential_id", Key, nullable=False),
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

bindings = sa.Table(
    "bindings",
    metadata,
    sa.Column("uid", sa.Text, primary_key=True),
    sa.Column("project", Key, nullable=False),
    sa.Column("binding_id", Key, nullable=False),
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
sa.Index(
    "bindings_name",
    bindings.c.project,
    bindings.c.binding_id,
    unique=True,
    sqlite_where=bindings.c.delete_time.is_(None),
    postgresql_where=bindings.c.delete_time.is_(None),
)

revisions = sa.Table(
    "revisions",
    metadata,
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

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False, index=True),
)

audit_chains = sa.Table(
    "audit_chains",
    metadata,
    sa.Column("writer", sa.Text, primary_key=True),
    sa.Column("mac_key_id", sa.Text, nullable=False),
    sa.Column("start_mac", sa.LargeBinary, nullable=False),
    sa.Column("start_time", sa.BigInteger, nullable=False),
)
