"""Quick add: a line of text read as a task (T10, T2, R1, N1, A14)."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from unicodedata import normalize
from zoneinfo import ZoneInfo

import pytest
from dateutil import parser
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from taskflow.domain import creation, quick_add, tasks
from taskflow.domain.creation import Created
from taskflow.domain.errors import InvalidContent
from taskflow.domain.quick_add import TEXT_MAX_CHARS, QuickAdd, QuickAddPreview
from taskflow.domain.reminders import REMINDERS_MAX
from taskflow.domain.tasks import TAG_MAX_CHARS, TAGS_MAX, TITLE_MAX_CHARS
from tests.support.data.quick_add_vectors import VECTORS, Vector, local_time
from tests.support.interpreter import STEPS_OF_10_MS, steps_of

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
ZONE = "Europe/Berlin"
PUNCTUATION = re.compile("[,;:.!?]+")

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=str)


def _made(
    text: str, *, default_text: str = "", zone: str = ZONE, now: datetime = NOW
) -> tuple[Created, QuickAddPreview]:
    understood = quick_add.read(text, default_text=default_text, user_zone=zone, now=now)
    made = creation.create(understood.draft, user_id="somebody", user_zone=zone, now=now)
    return made, quick_add.represent_preview(text, understood, made)


def _refused(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidContent) as refused:
        quick_add.read(text, user_zone=ZONE, now=NOW)
    return [(error.pointer, error.detail) for error in refused.value.errors]


def _slice(text: str, start: int, end: int) -> str:
    """Cut a text as JavaScript does."""
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


# What is understood


def test_there_are_vectors_of_all_that_is_understood_and_of_much_that_is_not() -> None:
    kinds = {kind for vector in VECTORS for kind, *_ in vector.parts}

    assert len(VECTORS) >= 150
    assert kinds == set(quick_add.PartKind)
    assert sum(not vector.parts for vector in VECTORS) >= 30


@each_vector
def test_a_line_makes_the_task_of_its_vector(vector: Vector) -> None:
    if vector.refused is not None:
        with pytest.raises(InvalidContent):
            _made(vector.text, zone=vector.zone, now=vector.now)
        return

    made, preview = _made(vector.text, zone=vector.zone, now=vector.now)

    assert _without_defaults(made, preview, vector.zone) == vector.task
    found = [(part["kind"], part["text"], part["start"], part["end"]) for part in preview["parts"]]
    assert found == vector.parts


def _without_defaults(made: Created, preview: QuickAddPreview, zone: str) -> dict[str, Any]:
    shown, recurrence = preview["task"], made.task.recurrence
    series = recurrence and recurrence.series
    fields: dict[str, Any] = {
        "title": shown["title"],
        "due": local_time(shown["due_date"], zone),
        "rule": shown["recurrence_rule"],
        "start": series and series.start.isoformat(timespec="minutes"),
        "mode": series.mode if series and series.mode != "schedule" else None,
        "priority": shown["priority"] if shown["priority"] != "medium" else None,
        "tags": shown["tags"],
        "reminders": [
            one["before_due"] or local_time(one["remind_at"], zone) for one in shown["reminders"]
        ],
    }
    return {name: value for name, value in fields.items() if value}


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if "BY" in each.task.get("rule", "")], ids=str
)
def test_a_series_begins_on_a_day_that_its_rule_selects(vector: Vector) -> None:
    start = datetime.fromisoformat(vector.task["start"])
    rule = vector.task["rule"]
    if match := re.search("BYMONTHDAY=(29|30|31)$", rule):
        # A month that lacks the day gives its last one (R4).
        rule = rule.replace(match[0], f"BYMONTHDAY={','.join(map(str, range(28, 32)))};BYSETPOS=-1")

    assert rrulestr(rule, dtstart=start)[0] == start


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if each.about == "dates: absolute"], ids=str
)
def test_an_absolute_date_is_the_one_that_dateutil_reads(vector: Vector) -> None:
    [date] = [text for kind, text, *_ in vector.parts if kind == "date"]
    due = datetime.fromisoformat(vector.task["due"])
    without_the_year = datetime(due.year, vector.now.month, vector.now.day)  # noqa: DTZ001 - local

    read = parser.parse(re.sub("on the|by the", "", date), default=without_the_year, dayfirst=True)

    assert read.date() == due.date() or date in {"on the 15th", "by the 30th"}
    assert read.day == due.day


def test_a_series_that_begins_when_clocks_change_keeps_its_time_of_day() -> None:
    before_the_gap = datetime(2027, 3, 27, 12, tzinfo=UTC)

    made, _ = _made("Wake up every day 2:30", now=before_the_gap)

    assert made.task.due_date == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert made.task.next_occurrence is not None
    local = made.task.next_occurrence.astimezone(ZoneInfo(ZONE))
    assert local.isoformat() == "2027-03-29T02:30:00+02:00"


def test_a_reminder_whose_time_is_past_fires_at_once() -> None:
    made, preview = _made("Call Bob today 18:00 remind me at 9:00")

    assert [one["fires_immediately"] for one in preview["task"]["reminders"]] == [True]
    assert len(made.notifications) == 1


def test_a_tag_is_in_nfc_and_its_part_as_it_was_typed() -> None:
    typed = "#cafe\u0301"

    made, preview = _made(f"Paint {typed}")

    assert made.task.tags == (normalize("NFC", "cafe\u0301"),)
    assert [part["text"] for part in preview["parts"]] == [typed]


# What is refused


@pytest.mark.parametrize("text", ["", " ", "\t\n", "x\0y", "x" * (TEXT_MAX_CHARS + 1), "\ud800"])
def test_a_text_that_is_blank_too_long_or_not_to_be_stored_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        QuickAdd.model_validate({"text": text})

    assert {error["loc"] for error in refused.value.errors()} == {("text",)}


@pytest.mark.parametrize("text", ["tomorrow", "#home, !high; every day.", "tomorrow! 9:00?"])
def test_a_text_that_leaves_no_title_is_refused(text: str) -> None:
    [(pointer, detail)] = _refused(text)

    assert pointer == "/text"
    assert detail.startswith("leaves no title")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("x" * (TITLE_MAX_CHARS + 1) + " tomorrow", "makes a title of more than 255 characters"),
        ("x #" + "t" * (TAG_MAX_CHARS + 1), "makes a tag of more than 64 characters"),
        (" ".join(f"#t{n}" for n in range(TAGS_MAX + 1)) + " x", "makes more than 50 tags"),
        (
            "x 1 Jan " + "remind 1d before" + "remind 1d before".join([" "] * (REMINDERS_MAX + 1)),
            "makes more than 50 reminders",
        ),
        ("x 31 Dec 9998 every 24 Dec", "beginning too late"),
    ],
)
def test_a_text_that_makes_no_task_that_may_be_is_refused_and_says_why(
    text: str, detail: str
) -> None:
    assert len(text) <= TEXT_MAX_CHARS

    [(pointer, said)] = _refused(text)

    assert pointer == "/text"
    assert re.search(detail, said)


# What holds for every text

WORDS = [
    *("every", "on", "the", "of", "month", "next", "this", "in", "at", "by", "due", "starting"),
    *("remind", "me", "before", "until", "for", "times", "3", "10", "two", "an", "days", "hour"),
    *("1h30m", "2w", "monday", "Tue", "sat", "weekday", "week", "year", "last", "first", "15th"),
    *("31st", "24", "Dec", "may", "5", "29", "feb", "2026-12-24", "24.12.2027", "2027", "9998"),
    *("9:00", "25:61", "9am", "p.m.", "noon", "midnight", "tonight", "evening", "today", "end"),
    *("tomorrow", "day", "after", "every!", "other", "daily", "!high", "!!1", "!", "#home", "#1"),
    *('#"deep', 'work"', '"', "“", "”", "\\", "\\tomorrow", "\\#x", ",", "and", "x", "Bob", "😀"),
    *("e\u0301", "\u200b", "\u2003", "\x85", "\u212a", "\u0130", "1" * 50, "999", "months"),
]
TYPED = st.lists(
    st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    max_size=40,
).flatmap(
    lambda words: st.lists(
        st.sampled_from([" ", " ", " ", ", ", "\n", "", "! ", ". "]),
        min_size=len(words),
        max_size=len(words),
    ).map(lambda spaces: "".join(map("".join, zip(words, spaces, strict=True)))[:TEXT_MAX_CHARS])
)
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as hypothesis takes them
ZONES = st.sampled_from(
    ["UTC", ZONE, "America/New_York", "Pacific/Apia", "Pacific/Kiritimati", "Australia/Lord_Howe"]
)


@pytest.mark.parametrize(
    ("text", "default_text", "due", "tags", "default_kinds"),
    [
        ("Buy milk", "2026-12-04", "2026-12-04T23:59:00+01:00", [], ["date"]),
        ("Buy milk tomorrow", "2026-12-04", "2026-12-01T23:59:00+01:00", [], []),
        ("Buy milk 9:00", "2026-12-04", "2026-12-01T09:00:00+01:00", [], []),
        ("Buy milk every month", "2026-12-04", "2026-12-30T09:00:00+01:00", [], []),
        # What leads to a date leads to none that is not said.
        ("Wait until", "2026-12-04", "2026-12-04T23:59:00+01:00", [], ["date"]),
        ("Ring\\", "2026-12-04 9:00", "2026-12-04T09:00:00+01:00", [], ["date", "time"]),
        ("Paint #home", "#work", None, ["home"], []),
        ("Paint", '#“deep "work"” !high', None, ['deep "work"'], ["priority", "tag"]),
        ("Paint today", "friday #work", "2026-11-30T23:59:00+01:00", ["work"], ["tag"]),
        ("Paint", "", None, [], []),
    ],
)
def test_what_a_text_says_nothing_of_is_as_the_default_text_says(
    text: str, default_text: str, due: str | None, tags: list[str], default_kinds: list[str]
) -> None:
    made, preview = _made(text, default_text=default_text)

    assert made.task.due_date == (None if due is None else datetime.fromisoformat(due))
    assert list(made.task.tags) == tags
    assert preview["default_kinds"] == default_kinds
    assert preview["parts"] == _made(text)[1]["parts"]
    assert made.task.title == _made(text)[0].task.title


def test_a_default_text_with_a_title_is_refused() -> None:
    with pytest.raises(InvalidContent) as refused:
        _made("Buy milk", default_text="today at home")

    [error] = refused.value.errors
    assert error.pointer == "/default_text"


@settings(max_examples=300)
@given(text=TYPED, now=MOMENTS, zone=ZONES)
def test_every_text_is_a_task_or_refused_and_its_parts_and_title_are_all_of_it(
    text: str, now: datetime, zone: str
) -> None:
    try:
        made, preview = _made(text, zone=zone, now=now)
    except InvalidContent as invalid:
        refused = invalid
    else:
        refused = None
        _assert_all_of_it_is_shown(text, made, preview)

    assert refused is None or {error.pointer for error in refused.errors} == {"/text"}


def _assert_all_of_it_is_shown(text: str, made: Created, preview: QuickAddPreview) -> None:

    parts = preview["parts"]
    title, left, at = made.task.title, "", 0
    for part in parts:
        assert part["text"] == _slice(text, part["start"], part["end"])
        assert part["text"] == part["text"].strip() != ""
        assert at <= part["start"] < part["end"]
        left += _slice(text, at, part["start"])
        at = part["end"]
        after = _slice(text, at, 10**6)
        if part["kind"] != "escape" and (mark := PUNCTUATION.match(after)):
            # What separated the part from the rest may go with it.
            is_kept = {"!", "?"} & set(mark[0]) and left.strip()
            left += mark[0] if is_kept else ""
            at += len(mark[0])
    left += _slice(text, at, 10**6)
    assert "".join(left.split()) == "".join(title.split())
    assert title == " ".join(title.split())
    assert preview["task"]["title"] == title


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_what_is_quoted_stays_in_the_title_as_it_is(quoted: str) -> None:
    quoted = quoted.replace('"', "'")

    made, preview = _made(f'x "a {quoted} b" x tomorrow')

    assert made.task.title == " ".join(f'x "a {quoted} b" x'.split())
    assert [part["kind"] for part in preview["parts"]] == ["date"]


@pytest.mark.parametrize(
    "vector",
    [
        v
        for v in VECTORS
        if len(v.parts) == 1 and v.parts[0][0] != "escape" and v.about != "several"
    ],
    ids=str,
)
def test_a_backslash_keeps_a_whole_phrase_in_the_title(vector: Vector) -> None:
    [(_, phrase, *_)] = vector.parts
    at = vector.text.index(phrase)
    text = f"{vector.text[:at]}\\{vector.text[at:]}"

    made, preview = _made(text, zone=vector.zone, now=vector.now)

    assert made.task.title == " ".join(vector.text.split())
    assert [(part["kind"], part["text"]) for part in preview["parts"]] == [("escape", "\\")]
    assert {**tasks.represent(made.task), "title": ""} == {
        **tasks.represent(_made("x", zone=vector.zone, now=vector.now)[0].task),
        "title": "",
        "id": str(made.task.id),
    }


ADVERSE = [
    *('"' * 1000, '"a ' * 333, "“a " * 333, '#"' * 500, "!" * 1000, f"a{'!' * 998}a", "." * 1000),
    *(" a." * 333, "\\ " * 500, "\\a " * 333, "#a " * 333, "\u0300" * 1000, "1" * 1000),
    *("every " * 166, "every mon " * 100, f"every{' mon' * 248}", "mon " * 250, "fri, " * 200),
    *(",".join(["mon"] * 250), f"every {','.join(['mon'] * 240)}", "the day after " * 70),
    *("in 1 " * 200, "in 1h " * 166, "1h " * 333, "29 feb " * 142, "fri 29 feb " * 90),
    *("on 31st " * 125, "remind me at 9:00 " * 55, "remind tomorrow " * 62, "until 29 feb " * 76),
    *("every 29 feb " * 76, "remind 1d before " * 50 + "x tomorrow", "every 999 years x"),
    *("tonight at 12 " * 71, "starting on the 29 feb " * 43, "every 1st and " * 71),
]


@pytest.mark.parametrize("text", ADVERSE, ids=range(len(ADVERSE)))
def test_a_text_made_to_take_long_is_read_within_a_bounded_time(text: str) -> None:
    assert len(text) <= TEXT_MAX_CHARS

    def read() -> None:
        with suppress(InvalidContent):
            _made(text)

    read()
    assert steps_of(read) <= STEPS_OF_10_MS


def test_the_time_to_read_a_text_grows_with_its_length() -> None:
    phrases = "fri 29 feb #a every mon \\mon "

    def read(times: int) -> None:
        with suppress(InvalidContent):
            quick_add.read(f"x {phrases * times} 1 mar", user_zone=ZONE, now=NOW)

    read(1)
    once, ten_times = (steps_of(lambda n=n: read(n)) for n in (3, 30))

    assert ten_times <= 11 * once
