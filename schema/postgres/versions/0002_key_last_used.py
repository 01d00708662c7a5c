"""When each API key was last used: a key that nobody uses can be revoked without asking around."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column; NULL means never, or not since it exists."""
    op.get_bind().exec_driver_sql("ALTER TABLE api_keys ADD COLUMN IF NOT EXISTS last_used_at timestamptz")
