"""Pictures of each kind of mail, as Chromium shows it: light and dark, wide and on a phone.

.venv/bin/python -m tests.support.outbound.pictures FOLDER
"""

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage
from itertools import product
from pathlib import Path
from typing import Literal
from uuid import UUID

from taskflow import config
from taskflow.config import Settings
from taskflow.outbound import mail
from tests.support.browser.chromium import a_chromium
from tests.support.data.notices import ID, NOW, READER, a_notice, an_operators_notice
from tests.support.settings import changed_settings

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDTHS = {"desktop": 1024, "phone": 320}
"""In CSS pixels; the width of a phone is the least that WCAG has a page fit into (1.4.10)."""

HEIGHT = 640

_LONG = (
    "Renew the passports, ask the consulate which photographs they take, and book the flights"
    " before the fares rise again, for which the dates have to be settled with everybody at"
    " https://example.org/holidays/2027/summer/with-a-very-long-path-that-has-no-space-anywhere"
    "?and=a-query"
)[:255]
_HEBREW = "לקנות חלב, לחם ו-2 ק״ג תפוחים (Rewe)"  # noqa: RUF001 - Hebrew
_ARABIC = "لا تنسَ موعد الطبيب يوم الاثنين"


def mails() -> Mapping[str, EmailMessage]:
    """Write a mail of each kind, and those whose content is hardest to show."""
    overdue = a_notice(
        title="Send in the tax return",
        remind_at=NOW - timedelta(days=2),
        due_date=NOW - timedelta(hours=26),
    )
    long = a_notice(
        id=UUID(int=2),
        title=_LONG,
        message="Bring:\nboth old passports\n" + "x" * 200,
        due_date=NOW + timedelta(days=3),
    )
    hebrew = a_notice(id=UUID(int=3), title=_HEBREW, message=_ARABIC, due_date=NOW)
    operators = an_operators_notice(
        "Tonight from 22:00 to 23:00 UTC TaskFlow is read-only.\n\nReminders come all the same.",
        id=UUID(int=4),
    )
    confirm = f"https://app.example/email/confirm/{'a-token' * 20}"
    refuse = confirm.replace("confirm", "refuse")
    of_one = {
        "reminder": a_notice(
            message="The one with the blue lid", due_date=NOW + timedelta(hours=1)
        ),
        "overdue": overdue,
        "long": long,
        "right-to-left": hebrew,
        "operator": operators,
    }
    return {
        "confirmation": mail.to_confirm(READER.address, confirm, refuse, name=ID, now=NOW),
        **{name: mail.of_notices([notice], READER, now=NOW) for name, notice in of_one.items()},
        "digest": mail.of_notices(list(of_one.values()), READER, now=NOW),
    }


def html_of(message: EmailMessage) -> str:
    """Return the page that a mail brings."""
    part = message.get_body(["html"])
    assert part is not None
    return part.get_content()


@contextmanager
def sending_mail() -> Generator[None]:
    """Have mails written, from TaskFlow."""
    with changed_settings(
        public_url="https://app.example",
        smtp_host="mail.example",
        smtp_from="TaskFlow <tasks@app.example>",
    ):
        yield


def take(folder: Path) -> None:
    """Write a picture of each mail, in each scheme and width, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with sending_mail(), a_chromium() as browser:
        page = browser.new_page()
        for name, message in mails().items():
            page.set_content(html_of(message))
            for scheme, (window, width) in product(SCHEMES, WIDTHS.items()):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": HEIGHT})
                path = folder / f"{name}-{scheme}-{window}.png"
                page.screenshot(path=path, full_page=True)
                print(path)


if __name__ == "__main__":
    config.settings.set(Settings(environment="test"))
    take(Path(sys.argv[1]))
