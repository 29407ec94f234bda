"""A job's log goes into its row."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("log", sa.Text(), nullable=True))
    op.drop_index("ix_job_logs_job", table_name="job_logs")
    op.drop_table("job_logs")


def downgrade() -> None:
    op.create_table(
        "job_logs",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("job_id", sa.String(length=128), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_job_logs")),
    )
    op.create_index("ix_job_logs_job", "job_logs", ["job_id", "n"], unique=False)
    with op.batch_alter_table("jobs") as batch:
        batch.drop_column("log")
