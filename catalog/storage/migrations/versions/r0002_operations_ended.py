"""An index for finding the operations that ended longest ago.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "operations_ended",
        "operations",
        ["end_time"],
        unique=False,
        sqlite_where=sa.text("state <> 'RUNNING'"),
        postgresql_where=sa.text("state <> 'RUNNING'"),
    )
