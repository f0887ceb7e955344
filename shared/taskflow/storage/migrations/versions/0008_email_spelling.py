"""Emails in their one spelling, except where another account has it already."""

from alembic import op
from sqlalchemy import text

from taskflow.domain.accounts import canonical_email

revision = "0008_email_spelling"
down_revision = "0007_event_sizes"

# The code that still runs finds an account by the old spelling no more; the new code by both.
PHASE = "before-deploy"

SPELLED_OTHERWISE = "SELECT id, email FROM users WHERE email ~ '[^!-~]' OR email ~ '[@.]xn--'"
RESPELL = """
UPDATE users SET email = :email
WHERE id = :id AND NOT EXISTS (SELECT FROM users AS other WHERE other.email = :email)
"""


def upgrade() -> None:
    """Respell them."""
    connection = op.get_bind()
    for user_id, email in connection.execute(text(SPELLED_OTHERWISE)).all():
        try:
            spelled = canonical_email(email)
        except ValueError:
            continue
        if spelled != email:
            connection.execute(text(RESPELL), {"id": user_id, "email": spelled})
