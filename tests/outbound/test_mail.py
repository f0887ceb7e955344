"""Mails: read back by the standard library's parser, field by field, whatever a title holds."""

import re
import string
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError, PydanticKnownError

from taskflow.config import InvalidSetting
from taskflow.domain.accounts import canonical_email
from taskflow.domain.notices import Notice
from taskflow.outbound import mail
from taskflow.outbound.mail import SUBJECT_MAX_CHARS
from tests.support.data.notices import ID, NOW, READER, TASK_ID, a_mail, a_notice
from tests.support.data.notices import an_operators_notice as an_operators
from tests.support.settings import changed_settings

OTHER_ID = UUID("019ad3f0-8c00-7000-8000-0000000000ab")
NEVER_SENT = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)

HOSTILE = st.lists(
    st.sampled_from(
        [
            "\r\nBcc: eve@example.com",
            "\r\n\r\n<p>",
            "=?utf-8?q?hello=0D=0ABcc:_eve=40example.com?=",
            "=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?=",
            "=?",
            "?=",
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "</title></style>",
            "{{ 7 * 7 }}",
            "{% raw %}",
            "\u202egpj.exe",
            "\u2067\u200f\u061c",
            "\u2028\u2029\x85\x0b\x0c\x1c",
            "\x00\x07\x1b[31m",
            "e" + "\u0301" * 40,
            "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿🇩🇪👍🏽",
            "لا تنسَ",
            "牛乳を買う",
            "x" * 90,
            "\n.\n",
            "\n--",
            " ",
        ]
    )
    | st.text(st.characters(codec="utf-8"), max_size=20),
    min_size=1,
    max_size=12,
).map("".join)


class Page(HTMLParser):
    """What a browser sees: the elements, with their attributes, and the text of the body."""

    def __init__(self, message: EmailMessage) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._is_head = True
        self.feed(_part(message, "html"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_head = self._is_head and tag != "body"
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += "" if self._is_head else data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _read(message: EmailMessage) -> EmailMessage:
    """Read a mail as a mailer does, from what is sent."""
    sent = mail.raw(message)
    assert all(len(line) <= 998 for line in sent.split(b"\r\n"))
    assert b"\n" not in sent.replace(b"\r\n", b"")
    return message_from_bytes(sent, _class=EmailMessage, policy=SMTP)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")


def _told(*notices: Notice, zone: str = READER.zone, now: datetime = NOW) -> EmailMessage:
    return _read(mail.of_notices(notices, replace(READER, zone=zone), now=now))


def test_a_reminder_is_told_in_text_and_in_html() -> None:
    due = NOW + timedelta(hours=2)

    told = _told(a_notice(message="Oat milk,\nnot soy", due_date=due))

    assert _part(told, "plain") == (
        "Buy milk\n\nOat milk,\nnot soy\n"
        "Due: Mon, 30 Nov 2026, 20:30 (Europe/Berlin, CET, UTC+01:00)\n"
        f"Open this task: https://app.example/tasks/{TASK_ID}\n\n"
        "-- \n"
        "TaskFlow sends its reminders to this address because you asked for it.\n"
        "Send no more to this address: https://app.example/email/unsubscribe/a-token\n"
    )
    page = Page(told)
    assert [link["href"] for link in page.of("a")] == [
        f"https://app.example/tasks/{TASK_ID}",
        READER.unsubscribe_url,
    ]
    assert '<p dir="auto">Oat milk,<br>not soy</p>' in _part(told, "html")
    assert "Due: Mon, 30 Nov 2026, 20:30 (Europe/Berlin, CET, UTC+01:00)" in page.text


def test_the_headers_of_a_reminder_are_these_alone() -> None:
    told = _told(a_notice())

    assert {name: told[name] for name in set(told.keys()) if name != "Content-Type"} == {
        "From": "TaskFlow <tasks@app.example>",
        "To": "ada@example.com",
        "Subject": "Reminder: Buy milk",
        "Date": "Mon, 30 Nov 2026 17:30:00 +0000",
        "Message-ID": f"<{ID}@app.example>",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "List-Unsubscribe": f"<{READER.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert told.get_content_type() == "multipart/alternative"


def test_a_long_link_to_unsubscribe_is_written_as_it_is() -> None:
    reader = replace(READER, unsubscribe_url=f"https://app.example/{'a-b_c.' * 30}")

    sent = mail.of_notices([a_notice()], reader, now=NOW).as_bytes()

    # Mailers do not decode it, as they do text.
    assert f"List-Unsubscribe: <{reader.unsubscribe_url}>\r\n".encode() in sent


def test_a_mailer_is_told_to_follow_no_link_that_anybody_could_read() -> None:
    reader = replace(READER, unsubscribe_url="http://127.0.0.1:8080/email/unsubscribe/x")

    told = mail.of_notices([a_notice()], reader, now=NOW)

    assert told["List-Unsubscribe"] == f"<{reader.unsubscribe_url}>"
    assert told["List-Unsubscribe-Post"] is None


def test_an_operators_message_is_told_without_a_task() -> None:
    told = _told(an_operators("Tonight from 22:00\nthere is maintenance."))

    assert told["Subject"] == "Message: Tonight from 22:00 there is maintenance."
    assert _part(told, "plain").startswith(
        "A message from the operator\n\nTonight from 22:00\nthere is maintenance.\n\n-- \n"
    )
    assert len(Page(told).of("a")) == 1


def test_a_digest_tells_of_each_in_one_mail() -> None:
    other_task = UUID(int=1)

    told = _told(
        a_notice(),
        a_notice(id=OTHER_ID, title="Call home", task_id=other_task),
        an_operators("Good news", id=UUID(int=7)),
    )

    subject = "2 reminders and 1 message: Buy milk, Call home, A message from the operator"
    assert told["Subject"] == subject
    page = Page(told)
    assert [len(page.of(tag)) for tag in ("h1", "h2")] == [1, 3]
    # Each link says where it leads, for those who hear links alone.
    assert [link["href"] for link in page.of("a")] == [
        f"https://app.example/tasks/{TASK_ID}",
        f"https://app.example/tasks/{other_task}",
        READER.unsubscribe_url,
    ]
    text = _part(told, "plain")
    assert "\n* Buy milk\n" in text
    assert f"\n* Call home\n\nOpen this task: https://app.example/tasks/{other_task}\n" in text
    assert "\n* A message from the operator\n\nGood news\n" in text


def test_the_name_of_a_mail_is_that_of_its_notices() -> None:
    one, other = a_notice(), a_notice(id=OTHER_ID)
    names = [
        _told(*notices, now=now)["Message-ID"]
        for now in (NOW, NOW + timedelta(hours=1))
        for notices in ([one], [other], [one, other], [other, one])
    ]

    assert names[:4] == names[4:]
    assert names[2] == names[3]
    assert len(set(names)) == 3


def test_the_mail_that_asks_for_a_confirmation_is_no_list_and_tells_nothing_else() -> None:
    url = "https://app.example/email/confirm/a-token"
    refuse_url = "https://app.example/email/refuse/a-token"

    asked = _read(mail.to_confirm("ada@example.com", url, refuse_url, name=ID, now=NOW))

    assert asked["Subject"] == "Confirm this address for reminders from TaskFlow"
    assert asked["Message-ID"] == f"<{ID}@app.example>"
    assert asked["Auto-Submitted"] == "auto-generated"
    assert not [name for name in set(asked.keys()) if name.startswith("List-")]
    assert f"\n{url}\n" in _part(asked, "plain")
    assert f"\n{refuse_url}\n" in _part(asked, "plain")
    assert [link["href"] for link in Page(asked).of("a")] == [url, refuse_url]
    assert "within three days" in _part(asked, "plain")


@pytest.mark.parametrize("notices", [[a_notice()], [a_notice(), an_operators("x")]], ids=len)
def test_a_page_is_right_in_the_dark_and_for_a_screen_reader_and_asks_nobody(
    notices: Sequence[Notice],
) -> None:
    message = _told(*notices)

    page = Page(message)
    html = _part(message, "html")

    assert page.of("html") == [{"lang": "en"}]
    meta = {each.get("name"): each.get("content") for each in page.of("meta")}
    assert meta["color-scheme"] == meta["supported-color-schemes"] == "light dark"
    assert "@media (prefers-color-scheme: dark)" in html
    # No table is read out, and nothing is fetched.
    assert {name for name, _ in page.elements} <= {
        *("html", "head", "meta", "title", "style", "body"),
        *("div", "h1", "h2", "p", "br", "a"),
    }
    assert not re.search(r"url\(|@import|src=|https?://(?!app\.example/)", html)


@pytest.mark.parametrize(
    ("at", "zone", "time", "names"),
    [
        ("2026-11-30T17:30Z", "Europe/Berlin", "Mon, 30 Nov 2026, 18:30", ", CET, UTC+01:00"),
        ("2026-07-01T17:30Z", "Europe/Berlin", "Wed, 1 Jul 2026, 19:30", ", CEST, UTC+02:00"),
        # The hour that comes twice.
        ("2026-10-25T00:30Z", "Europe/Berlin", "Sun, 25 Oct 2026, 02:30", ", CEST, UTC+02:00"),
        ("2026-10-25T01:30Z", "Europe/Berlin", "Sun, 25 Oct 2026, 02:30", ", CET, UTC+01:00"),
        ("2026-11-30T17:30Z", "America/New_York", "Mon, 30 Nov 2026, 12:30", ", EST, UTC-05:00"),
        # Where nobody has an abbreviation.
        ("2026-11-30T20:30Z", "Asia/Kathmandu", "Tue, 1 Dec 2026, 02:15", ", UTC+05:45"),
        ("2026-11-30T17:30Z", "UTC", "Mon, 30 Nov 2026, 17:30", ""),
        ("1700-01-01T12:00Z", "Europe/Berlin", "Fri, 1 Jan 1700, 12:53", ", LMT, UTC+00:53"),
    ],
)
def test_a_time_is_told_in_its_readers_zone_with_the_zones_names(
    at: str, zone: str, time: str, names: str
) -> None:
    told = _told(a_notice(due_date=datetime.fromisoformat(at)), zone=zone)

    assert f"ue: {time} ({zone}{names})\n" in _part(told, "plain")


@pytest.mark.parametrize(
    ("at", "zone", "time"),
    [
        ("9999-12-31T23:30Z", "Asia/Tokyo", "Fri, 31 Dec 9999, 23:30 (UTC)"),
        ("0001-01-01T00:30Z", "America/New_York", "Mon, 1 Jan 1, 00:30 (UTC)"),
    ],
)
def test_a_time_that_is_none_in_its_readers_zone_is_told_in_utc(
    at: str, zone: str, time: str
) -> None:
    told = _told(a_notice(due_date=datetime.fromisoformat(at)), zone=zone)

    assert f"ue: {time}\n" in _part(told, "plain")


@pytest.mark.parametrize(
    ("late", "words"),
    [
        (timedelta(minutes=4, seconds=59), None),
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(minutes=119), "1 hour"),
        (timedelta(hours=47), "1 day"),
        (timedelta(days=1200), "1,200 days"),
    ],
)
def test_a_reminder_that_comes_late_says_so(late: timedelta, words: str | None) -> None:
    text = _part(_told(a_notice(), zone="UTC", now=NOW + late), "plain")

    meant = f"Meant for: Mon, 30 Nov 2026, 17:30 (UTC), {words} ago\n"
    assert (meant in text) == (words is not None)
    assert ("Meant for" in text) == (words is not None)


def test_what_was_due_before_is_told_as_past() -> None:
    just_now = _part(_told(a_notice(due_date=NOW)), "plain")
    before = _part(_told(a_notice(due_date=NOW - timedelta(minutes=5))), "plain")

    assert "\nDue: Mon, 30 Nov" in just_now
    assert "\nWas due: Mon, 30 Nov" in before


@given(title=HOSTILE, message=HOSTILE)
@example(title="\u202e", message="\u200f")
@example(title="=?utf-8?q?hello=0D=0ABcc:_eve=40example.com?=", message="x")
@example(title="Milk\r\nBcc: eve@example.com\r\n\r\n<p>", message="</p><script>")
def test_whatever_a_title_holds_it_is_shown_as_text_and_adds_nothing(
    title: str, message: str
) -> None:
    usual = _told(a_notice(message="x"))

    told = _told(a_notice(title=title, message=message))

    assert told.keys() == usual.keys()
    for name in set(told.keys()) - {"Subject", "Content-Type"}:
        assert told[name] == usual[name]
    text, page = _part(told, "plain"), Page(told)
    shown = text.splitlines()[0]
    assert shown == page.text.strip().splitlines()[0]
    assert told["Subject"] == f"Reminder: {mail.cut(shown)}"
    for each in (told["Subject"], text, page.text):
        assert not NEVER_SENT.search(each)
    assert [part.get_content_type() for part in told.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    breaks = [("br", dict[str, str | None]())] * len(page.of("br"))
    usual_elements = Page(usual).elements
    assert sorted(page.elements, key=repr) in (
        sorted([*usual_elements, *breaks], key=repr),
        # Of a message that shows nothing there is no paragraph.
        sorted([each for each in usual_elements if each != ("p", {"dir": "auto"})], key=repr),
    )


@given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=2, max_size=4))
def test_whatever_titles_hold_each_is_one_of_a_digest(contents: Sequence[tuple[str, str]]) -> None:
    told = _told(*(a_notice(title=title, message=message) for title, message in contents))

    assert len(Page(told).of("h2")) == len(contents)
    assert len(Page(told).of("a")) == len(contents) + 1
    assert told["Subject"].startswith(f"{len(contents)} reminders: ")


@given(HOSTILE)
def test_a_subject_is_cut_to_its_length(title: str) -> None:
    cut = mail.cut(title)

    assert len(cut) <= SUBJECT_MAX_CHARS
    assert cut == title or (title.startswith(cut[:-1]) and cut[-1] == "…")
    assert len(cut) > SUBJECT_MAX_CHARS // 2 or cut == title


@pytest.mark.parametrize(
    ("letters", "rest", "kept"),
    [
        (100, "", 100),
        (101, "", 99),
        (60, " and a word of forty and some more letters", 94),
        (60, f" {'y' * 60}", 60),
        (99, " y", 99),
        # Each of these is one character to who reads it.
        (98, "e\u0301y", 98),
        (98, "👍🏽y", 98),
        (94, "👩‍👩‍👧‍👦yy", 94),
        (98, "❤️yyy", 98),
        (96, "🇩🇪🇫🇷y", 98),
        (97, "🇩🇪🇫🇷y", 99),
        (94, "🏴󠁧󠁢󠁥󠁮󠁧󠁿y", 94),
        # One that is longer than half a subject is cut all the same.
        (0, "e" + 150 * "\u0301", 99),
    ],
)
def test_a_cut_parts_no_words_and_nothing_that_is_shown_as_one_character(
    letters: int, rest: str, kept: int
) -> None:
    title = "x" * letters + rest

    assert mail.cut(title) == title[:kept] + "…" * (kept < len(title))


@pytest.mark.parametrize(
    ("address", "sent_to", "is_international"),
    [
        ("ada@example.com", "ada@example.com", False),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", False),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example", True),
        ("o'neil+x/y={z}@example.com", "o'neil+x/y={z}@example.com", False),
        (f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}", None, False),
    ],
)
def test_a_mail_is_for_its_address_with_the_domain_as_the_dns_has_it(
    address: str,
    sent_to: str | None,
    is_international: bool,  # noqa: FBT001 - a case
) -> None:
    message = a_mail(address)

    assert mail.recipient(message) == (sent_to or address)
    assert mail.is_international(message) == is_international
    assert f"To: {sent_to or address}\r\n".encode() in mail.raw(message)


@given(
    st.tuples(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
        | st.text(string.printable, min_size=1, max_size=20),
        st.sampled_from(["example.com", "bücher.example", "foo_bar", "..", "xn--a", "-", "日本"]),
    ).map("@".join)
)
@example("a..b@example.com")
@example(".@example.com")
@example("=?utf-8?q?a?=@example.com")
def test_every_address_of_an_account_can_be_written_to_and_no_other_with_it(address: str) -> None:
    try:
        spelled = canonical_email(address)
    except (PydanticCustomError, PydanticKnownError):
        assume(False)  # noqa: FBT003 - as hypothesis has it
        return

    message = a_mail(spelled)

    read = message_from_bytes(mail.raw(message), _class=EmailMessage, policy=SMTP)
    assert read.keys() == a_mail().keys()
    assert len(message["To"].addresses) == 1


def test_nothing_is_written_where_nobody_sends() -> None:
    with (
        changed_settings(smtp_host=None, smtp_from=None),
        pytest.raises(InvalidSetting, match="SMTP_HOST: is needed"),
    ):
        a_mail()


def test_the_date_is_of_the_given_clock() -> None:
    told = mail.of_notices([a_notice()], READER, now=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))

    assert told["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
