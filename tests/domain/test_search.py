"""Search: words as they are compared, queries as people type them, matches as HTML (T7)."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.domain import search
from taskflow.domain.errors import InvalidContent
from taskflow.domain.search import QUERY_WORDS_MAX, WORD_MAX_CHARS, Highlighter, Term, parse

LONG = "Call the plumber about the tap in the kitchen. " * 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Buy MILK", ["buy", "milk"]),
        ("Café, Cafe\u0301", ["cafe", "cafe"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("İstanbul ISTANBUL \u0131stanbul istanbul", ["istanbul"] * 4),
        ("Łódź Ærø Þór", ["lodz", "aero", "thor"]),
        ("Ёлка ёлка елка", ["елка"] * 3),
        ("ΣΊΣΥΦΟΣ Σίσυφος", ["σισυφοσ"] * 2),
        ("שָׁלוֹם שלום", ["שלום"] * 2),
        ("مُحَمَّد محمد", ["محمد"] * 2),
        ("हिन्दी किताब", ["हिन्दी", "किताब"]),
        ("買牛乳", ["買", "牛", "乳"]),
        ("牛乳とmilk", ["牛", "乳", "と", "milk"]),
        ("か\u3099 が", ["か", "か"]),
        ("\uff26\uff35\uff2c\uff2c \uff57idth \uff11\uff12", ["full", "width", "12"]),
        ("ﬁle m²", ["file", "m2"]),
        ("e-mail don't", ["e", "mail", "don", "t"]),
        ("foo_bar a.b@c.de", ["foo", "bar", "a", "b", "c", "de"]),
        ("2026-03-01 9:00", ["2026", "03", "01", "9", "00"]),
        ("🛒 shop 👍🏽!", ["🛒", "shop", "👍"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zero", "width"]),
        ("a b", ["a", "b"]),
        ("!?&|:*'\"\\ ()<>", []),
        ("x" * 300, ["x" * WORD_MAX_CHARS]),
        ("", []),
    ],
)
def test_a_text_is_compared_by_its_words(text: str, words: list[str]) -> None:
    assert search.words_of(text) == words


def test_korean_is_the_same_in_both_forms_and_a_syllable_begins_the_next() -> None:
    composed, decomposed = search.words_of("한국어"), search.words_of("\u1112\u1161\u11ab국어")

    assert composed == decomposed
    assert composed[0].startswith(search.words_of("하")[0])


def _begins(*words: str) -> Term:
    return Term(words, is_prefix=True)


def _exactly(*words: str) -> Term:
    return Term(words, is_prefix=False)


@pytest.mark.parametrize(
    ("text", "terms", "excluded"),
    [
        ("buy milk", [_begins("buy"), _begins("milk")], []),
        ("milk Milk MILK", [_begins("milk")], []),
        ('"buy milk"', [_exactly("buy", "milk")], []),
        ('"buy milk', [_begins("buy", "milk")], []),
        ("“buy milk” „tea“", [_exactly("buy", "milk"), _exactly("tea")], []),
        ('a"b c"d', [_begins("a"), _exactly("b", "c"), _begins("d")], []),
        ("milk -oat", [_begins("milk")], [_exactly("oat")]),
        ('milk -"oat milk"', [_begins("milk")], [_exactly("oat", "milk")]),
        ("-oat", [], [_exactly("oat")]),
        ("--oat", [], [_exactly("oat")]),
        ("- oat", [_begins("oat")], []),
        ("e-mail", [_begins("e", "mail")], []),
        ("牛乳", [_begins("牛", "乳")], []),
        ("a.b@example.com", [_begins("a", "b", "example", "com")], []),
        ("#home", [_begins("home")], []),
        *((signs, [], []) for signs in ('"', '""', "-", '-"', "&|!", ":*", "()", "\\", "'", "%_")),
    ],
)
def test_a_query_is_read_as_people_type_it(
    text: str, terms: list[Term], excluded: list[Term]
) -> None:
    query = parse(text)

    assert list(query.terms) == terms
    assert list(query.excluded) == excluded


def test_a_query_has_boundedly_many_words() -> None:
    words = [f"w{number}" for number in range(QUERY_WORDS_MAX)]
    assert len(parse(" ".join(words)).terms) == QUERY_WORDS_MAX

    with pytest.raises(InvalidContent) as refused:
        parse(" ".join([*words, "-more"]))

    assert [error.pointer for error in refused.value.errors] == ["/q"]


def _highlighted(query: str, title: str, description: str | None = None) -> search.Highlights:
    return Highlighter(parse(query)).of(title, description)


@pytest.mark.parametrize(
    ("query", "title", "marked"),
    [
        ("milk", "Buy Milk", "Buy <mark>Milk</mark>"),
        ("mil", "Milk and milkshake", "<mark>Milk</mark> and <mark>milkshake</mark>"),
        ('"milk"', "Milk and milkshake", "<mark>Milk</mark> and milkshake"),
        ("cafe", "Cafe\u0301s, café", "<mark>Cafe\u0301s</mark>, <mark>café</mark>"),
        ("strasse", "In der Straße 5", "In der <mark>Straße</mark> 5"),
        ("istanbul", "İSTANBUL", "<mark>İSTANBUL</mark>"),
        ('"buy milk"', "Buy milk, buy, milk", "<mark>Buy milk</mark>, <mark>buy, milk</mark>"),
        ("e-mail", "E-Mails by mail", "<mark>E-Mails</mark> by mail"),
        ("牛乳", "買牛乳を", "買<mark>牛乳</mark>を"),
        ("🛒", "🛒 shop", "<mark>🛒</mark> shop"),
        ("b a", "a b c", "<mark>a</mark> <mark>b</mark> c"),
        ("2", "½ m²", "<mark>½</mark> m²"),
        ("milk -oat", "milk, oat", "<mark>milk</mark>, oat"),
    ],
)
def test_what_matches_in_a_title_is_marked(query: str, title: str, marked: str) -> None:
    assert _highlighted(query, title) == {"title": marked}


def test_all_but_the_marks_is_escaped() -> None:
    found = _highlighted(
        "mark script", "<mark>x</mark><script>\"&'", "</mark><script>alert(1)</script>"
    )

    assert found == {
        "title": (
            "&lt;<mark>mark</mark>&gt;x&lt;/<mark>mark</mark>&gt;&lt;<mark>script</mark>&gt;"
            "&quot;&amp;&#x27;"
        ),
        "description": (
            "&lt;/<mark>mark</mark>&gt;&lt;<mark>script</mark>&gt;alert(1)"
            "&lt;/<mark>script</mark>&gt;"
        ),
    }


def test_a_field_without_a_match_is_left_out() -> None:
    assert _highlighted("milk", "Tea", "Green") == {}
    assert _highlighted("-tea", "Milk", "Green") == {}
    assert _highlighted("milk", "Tea", "Green, with milk") == {
        "description": "Green, with <mark>milk</mark>"
    }


@pytest.mark.parametrize("before", [LONG, LONG.replace("a", "ä"), "茶" * 900, ""])
@pytest.mark.parametrize("after", [LONG, "茶" * 900, ""])
def test_a_long_description_is_cut_to_the_words_around_the_first_match(
    before: str, after: str
) -> None:
    found = _highlighted("milk", "Tea", f"{before} & milk & {after} milk")

    snippet = found.get("description", "")
    assert "&amp; <mark>milk</mark> &amp;" in snippet
    text = html.unescape(re.sub("</?mark>", "", snippet))
    assert len(text) <= search.SNIPPET_MAX_CHARS + len("…  …")
    assert text.startswith("… ") == bool(before)
    assert text.endswith(" …") == bool(after)
    assert text.removeprefix("… ").removesuffix(" …") in f"{before} & milk & {after} milk"


@given(st.text(max_size=300), st.text(max_size=40))
def test_highlights_without_their_marks_are_the_text_itself(text: str, query: str) -> None:
    try:
        highlighter = Highlighter(parse(query))
    except InvalidContent:
        return
    found = highlighter.of(text, text)

    if "title" in found:
        marked = found["title"]
        assert html.unescape(re.sub("</?mark>", "", marked)) == text
        assert re.sub("</?mark>", "", marked) == html.escape(text)
        assert "<mark></mark>" not in marked
    assert ("title" in found) == ("description" in found)


@given(st.text(max_size=60), st.data())
def test_a_part_of_a_text_that_ends_with_a_word_is_found_in_it(
    text: str, data: st.DataObject
) -> None:
    words = text.split()
    if not words:
        return
    word = data.draw(st.sampled_from(words))

    query = parse(word.lstrip("-").replace('"', " "))

    if query.terms and len(query.terms) == 1:
        assert "title" in Highlighter(query).of(text, None)
