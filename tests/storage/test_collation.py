"""The order of titles: the keys of ICU's root collation, the same for ever (T3)."""

import hashlib
import json
import lzma
from importlib import resources
from itertools import pairwise
from unicodedata import normalize

import pytest

from taskflow.domain.tasks import TITLE_MAX_CHARS
from taskflow.storage.collation import KEY_MAX_BYTES, sort_key

# Each as Intl.Collator("und") of ICU 78 sorts it.
ORDERS = {
    "Latin": ["Äpfel", "apple", "éclair", "Łódź", "Lodzz", "Zebra", "zoo"],
    "accents before case": ["a", "A", "á", "Á", "ä", "Ä", "aa", "ab"],
    "accents from left to right": ["cote", "coté", "côte", "côté"],
    "signs, digits, letters": [" a", "-a", "(a", "#a", "1", "10", "9", "a"],
    "words": ["a b", "a c", "ab", "a\u00e9b"],
    "letters of their own": ["n", "ŋ", "o", "ø", "oz", "ʒ", "þ"],
    "letters in one": ["ad", "æ", "af", "ss", "ß", "st"],
    "Cyrillic": ["ёлка", "ель", "ива", "йод", "кот", "Кот", "яма"],
    "Ukrainian": ["ґава", "двір", "єнот", "жук", "ива", "їжак", "йод"],
    "Greek": ["άλφα", "βήτα", "λόγος", "ωμέγα"],
    "Thai": ["กา", "เก", "ขา", "เข"],
    "Japanese": ["か", "カ", "が", "ガ", "き"],
    "Hangul": ["가", "각", "나", "힣"],
    "scripts": ["🐘", "1", "b", "β", "д", "ბ", "ב", "ب", "क", "ก", "가", "あ", "一"],
}


@pytest.mark.parametrize("script", ORDERS)
def test_titles_sort_as_a_reader_expects(script: str) -> None:
    right = ORDERS[script]

    assert sorted(sorted(right), key=sort_key) == right
    assert all(sort_key(one) < sort_key(next_) for one, next_ in pairwise(right))


@pytest.mark.parametrize("title", ["Äpfel", "Łódź", "각하", "ệ", "й", "\u1e69", "Å"])
def test_all_forms_of_a_title_have_one_key(title: str) -> None:
    assert len({sort_key(normalize(form, title)) for form in ("NFC", "NFD")}) == 1
    assert sort_key("q\u0307\u0323") == sort_key("q\u0323\u0307")


@pytest.mark.parametrize("character", ["a", "é", "漢", "🐘", "\U0003fffd", "\ue000"])
def test_the_longest_titles_are_told_apart_by_their_last_letter(character: str) -> None:
    title = character * (TITLE_MAX_CHARS - 1)

    assert sort_key(f"{title}A") < sort_key(f"{title}b")


@pytest.mark.parametrize("title", ["", "\u200d", "\ufdfa" * TITLE_MAX_CHARS, "\u0301" * 9])
def test_every_title_has_a_key_that_an_index_can_hold(title: str) -> None:
    assert 0 < len(sort_key(title)) <= KEY_MAX_BYTES


def test_keys_that_are_stored_stay_as_they_are() -> None:
    packed = resources.files("taskflow.storage").joinpath("ducet-13.0.0.json.xz").read_bytes()
    table = json.loads(lzma.decompress(packed))
    texts = [*table["characters"], *table["contractions"], *map(chr, range(0xAC00, 0xD7A4, 7))]
    texts += [chr(number) for number in range(0x3400, 0x31350, 97) if not 0xD800 <= number < 0xE000]

    digest = hashlib.sha256(b"".join(map(sort_key, texts))).hexdigest()

    assert digest == "e8b9c6b62817d3d3e3d796a3d5a8d6597b5159282c602e78b68b8a67ce0771d3", (
        "new weights need a migration that gives all titles new keys"
    )
