"""The keys of an outside issuer: fetched seldom, kept, rotated; nobody waits without need (S2)."""

import json
import socket
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from prometheus_client import REGISTRY

from taskflow import clock
from taskflow.serving import jwks
from taskflow.serving.jwks import (
    ANSWER_MAX_BYTES,
    FETCH_EVERY_S,
    FETCH_TIMEOUT_S,
    REFRESH_AFTER_S,
    STALE_AFTER_S,
    IssuerKeys,
    IssuerUnavailable,
)
from tests.support.network.issuer import (
    ALGORITHMS,
    Issuer,
    SigningKey,
    a_key,
    an_issuer,
    until_asked,
)
from tests.support.polling import eventually

Later = Callable[[float], None]


@pytest.fixture
def issuer() -> Generator[Issuer]:
    with an_issuer() as running:
        yield running


@pytest.fixture
def keys(issuer: Issuer) -> IssuerKeys:
    return IssuerKeys(issuer.url)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Return a function that lets so many seconds pass."""
    real_s, passed_s = clock.monotonic_s, 0.0

    def let_pass(seconds: float) -> None:
        nonlocal passed_s
        passed_s += seconds

    monkeypatch.setattr(clock, "monotonic_s", lambda: real_s() + passed_s)
    return let_pass


def _is_found(keys: IssuerKeys, key: SigningKey) -> bool:
    return keys.find(key.key_id, key.algorithm) is not None


def _expect_found(keys: IssuerKeys, key: SigningKey) -> None:
    assert _is_found(keys, key)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_published_key_is_found_by_its_name_and_algorithm(algorithm: str) -> None:
    with an_issuer(algorithm) as issuer:
        keys = IssuerKeys(issuer.url)
        [published] = issuer.keys

        found = keys.find(published.key_id, algorithm)

        assert found is not None
        token = issuer.token("somebody")
        assert jwt.decode(token, found, audience="taskflow")["sub"] == "somebody"
        assert keys.find(published.key_id, "HS256") is None


def test_a_token_without_a_key_id_is_checked_by_the_only_key(issuer: Issuer) -> None:
    keys = IssuerKeys(issuer.url)
    alone = keys.find(None, "ES256")
    issuer.keys.append(a_key())
    several = IssuerKeys(issuer.url)

    assert alone is not None
    assert several.find(None, "ES256") is None


def test_keys_are_fetched_once_for_many_tokens(issuer: Issuer, keys: IssuerKeys) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(_is_found, keys, issuer.keys[0]) for _ in range(200)]

    assert all(each.result() for each in found)
    assert issuer.asked == 1


def test_keys_are_fetched_again_when_they_are_old_while_they_go_on_being_used(
    issuer: Issuer, keys: IssuerKeys, later: Later
) -> None:
    _expect_found(keys, issuer.keys[0])
    later(REFRESH_AFTER_S)
    issuer.holds.clear()

    # The issuer does not answer, and nobody waits for it.
    for _ in range(20):
        _expect_found(keys, issuer.keys[0])

    until_asked(issuer, 2)
    issuer.holds.set()


def test_a_new_key_is_asked_for_when_its_first_token_comes(
    issuer: Issuer, keys: IssuerKeys, later: Later
) -> None:
    _expect_found(keys, issuer.keys[0])
    rotated = a_key()
    issuer.keys.insert(0, rotated)
    later(FETCH_EVERY_S)

    assert _is_found(keys, rotated)
    assert _is_found(keys, issuer.keys[1])


def test_a_key_that_is_withdrawn_is_found_no_more_once_the_keys_are_fetched_again(
    issuer: Issuer, keys: IssuerKeys, later: Later
) -> None:
    withdrawn = issuer.keys[0]
    _expect_found(keys, withdrawn)
    issuer.keys[:] = [a_key()]
    later(REFRESH_AFTER_S)
    _expect_found(keys, withdrawn)

    eventually(lambda: _expect_found(keys, issuer.keys[0]))

    assert not _is_found(keys, withdrawn)


def test_a_key_that_was_withdrawn_while_nobody_asked_is_not_used_once_more(
    issuer: Issuer, keys: IssuerKeys, later: Later
) -> None:
    withdrawn = issuer.keys[0]
    _expect_found(keys, withdrawn)
    issuer.keys[:] = [a_key()]
    later(STALE_AFTER_S)

    assert not _is_found(keys, withdrawn)
    assert _is_found(keys, issuer.keys[0])


def test_a_stale_key_is_used_where_the_issuer_is_away_and_nobody_waits_for_long(
    issuer: Issuer, keys: IssuerKeys, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    _expect_found(keys, issuer.keys[0])
    failed = _fetches("failed")
    issuer.holds.clear()
    later(STALE_AFTER_S)
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 0.5)
    _expect_found(keys, issuer.keys[0])
    eventually(lambda: _expect_fetches("failed", failed + 1))

    # Once it is known to be away, a fetch that takes its time holds up nobody.
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 60.0)
    later(FETCH_EVERY_S)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(_is_found, keys, issuer.keys[0]).result(timeout=10)

    assert found
    until_asked(issuer, 3)
    issuer.holds.set()


def _expect_fetches(outcome: str, count: float) -> None:
    assert _fetches(outcome) == count


def test_a_flood_of_unknown_keys_asks_the_issuer_once_in_ten_seconds_and_holds_nobody(
    issuer: Issuer, keys: IssuerKeys, later: Later
) -> None:
    _expect_found(keys, issuer.keys[0])

    with ThreadPoolExecutor(16) as pool:
        for period in range(1, 4):
            later(FETCH_EVERY_S)
            guesses = [pool.submit(keys.find, str(uuid4()), "ES256") for _ in range(300)]
            known = [pool.submit(_is_found, keys, issuer.keys[0]) for _ in range(100)]

            assert {guess.result() for guess in guesses} == {None}
            assert all(each.result() for each in known)
            assert issuer.asked == 1 + period


def test_of_an_issuer_that_is_away_known_keys_go_on_and_unknown_keys_are_a_503(
    issuer: Issuer, keys: IssuerKeys, later: Later
) -> None:
    _expect_found(keys, issuer.keys[0])
    issuer.status, issuer.body = 500, b"no"

    for _ in range(3):
        later(REFRESH_AFTER_S)
        _expect_found(keys, issuer.keys[0])
        with pytest.raises(IssuerUnavailable):
            keys.find("another", "ES256")


def test_fetches_are_counted_by_how_they_ended(
    issuer: Issuer, keys: IssuerKeys, later: Later
) -> None:
    before = [_fetches(outcome) for outcome in ("done", "failed")]
    _expect_found(keys, issuer.keys[0])
    issuer.status = 500
    later(FETCH_EVERY_S)

    with pytest.raises(IssuerUnavailable):
        keys.find("another", "ES256")

    assert [_fetches(outcome) for outcome in ("done", "failed")] == [one + 1 for one in before]


def _fetches(outcome: str) -> float:
    labels = {"outcome": outcome}
    return REGISTRY.get_sample_value("taskflow_issuer_key_fetches_total", labels) or 0.0


def test_an_issuer_that_was_away_from_the_start_is_asked_again(later: Later) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        keys = IssuerKeys(f"http://127.0.0.1:{held.getsockname()[1]}/jwks")
        with pytest.raises(IssuerUnavailable):
            keys.find("any", "ES256")
    with an_issuer() as issuer:
        keys = IssuerKeys(issuer.url)
        issuer.status = 503
        with pytest.raises(IssuerUnavailable):
            keys.find("any", "ES256")
        issuer.status = 200
        # Not at once: who asks meanwhile is refused without a request.
        with pytest.raises(IssuerUnavailable):
            keys.find("any", "ES256")
        asked = issuer.asked

        later(FETCH_EVERY_S)

        assert _is_found(keys, issuer.keys[0])
        assert (asked, issuer.asked) == (1, 2)


def test_an_issuer_that_does_not_answer_is_waited_for_by_those_without_a_key_alone(
    issuer: Issuer, keys: IssuerKeys, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 1.0)
    _expect_found(keys, issuer.keys[0])
    later(FETCH_EVERY_S)
    issuer.holds.clear()
    refused = threading.Event()

    def guess() -> None:
        with pytest.raises(IssuerUnavailable):
            keys.find("unknown", "ES256")
        refused.set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(guess)
        until_asked(issuer, 2)

        _expect_found(keys, issuer.keys[0])
        was_refused = refused.is_set()
        waiting.result(timeout=10)

    assert not was_refused
    issuer.holds.set()


def test_a_request_waits_no_longer_than_is_documented() -> None:
    assert FETCH_TIMEOUT_S < FETCH_EVERY_S


def _answers(issuer: Issuer) -> dict[str, bytes]:
    published = issuer.keys[0].jwk
    return {
        "nothing": b"",
        "no JSON": b"<html>",
        "another encoding": "{}".encode("utf-16"),
        "a list": b"[]",
        "no keys": b'{"keys": []}',
        "keys that are no list": b'{"keys": {"a": 1}}',
        "keys that are no objects": b'{"keys": [1, null, "x", []]}',
        "deep": b"[" * 100_000,
        "too long": json.dumps({"keys": [published], "x": "x" * ANSWER_MAX_BYTES}).encode(),
    }


@pytest.mark.parametrize(
    "case",
    [
        "nothing",
        "no JSON",
        "another encoding",
        "a list",
        "no keys",
        "keys that are no list",
        "keys that are no objects",
        "deep",
        "too long",
    ],
)
def test_an_answer_that_is_no_set_of_keys_changes_nothing(
    issuer: Issuer, keys: IssuerKeys, later: Later, case: str
) -> None:
    _expect_found(keys, issuer.keys[0])
    issuer.body = _answers(issuer)[case]
    later(FETCH_EVERY_S)

    with pytest.raises(IssuerUnavailable):
        keys.find("another", "ES256")

    assert _is_found(keys, issuer.keys[0])


def test_a_redirect_is_not_followed(issuer: Issuer) -> None:
    with an_issuer() as elsewhere:
        issuer.status, issuer.headers = 302, {"Location": elsewhere.url}

        with pytest.raises(IssuerUnavailable):
            IssuerKeys(issuer.url).find(elsewhere.keys[0].key_id, "ES256")

        assert elsewhere.asked == 0


def _unusable() -> dict[str, dict[str, Any]]:
    given = {name: value for name, value in a_key().jwk.items() if name != "kid"}
    too_few_bits = 1024
    small = jwt.get_algorithm_by_name("RS256").to_jwk(
        rsa.generate_private_key(public_exponent=65_537, key_size=too_few_bits).public_key(),
        as_dict=True,
    )
    secret: dict[str, Any] = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}
    return {
        "for encryption": {**given, "use": "enc"},
        "for signing alone": {**given, "key_ops": ["sign"]},
        "key_ops that are no list": {**given, "key_ops": "verify"},
        "a name that is no text": {**given, "kid": ["x"]},
        "a secret": {**secret, "alg": "HS256"},
        "a secret without algorithm": secret,
        "a secret for RS256": {**secret, "alg": "RS256"},
        "none": {**given, "alg": "none"},
        "an algorithm that is no text": {**given, "alg": ["ES256"]},
        "another algorithm": {**given, "alg": "ES384"},
        "another kind of key": {**given, "alg": "RS256"},
        "a private key": {**given, "d": "x"},
        "half a point": {name: value for name, value in given.items() if name != "y"},
        "a point beside the curve": {**given, "x": given["y"], "y": given["x"]},
        "a short RSA key": {**small, "alg": "RS256"},
        "an RSA key without exponent": {"kty": "RSA", "n": small["n"]},
        "an unknown kind": {"kty": "PQC"},
        "a kind that is no text": {"kty": {}},
        "another curve": {"kty": "OKP", "crv": "X25519", "x": "x" * 43},
    }


def test_what_cannot_check_a_signature_is_passed_over_and_the_rest_is_used(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    unusable = _unusable()
    issuer.more_keys = [{"kid": name, **listed} for name, listed in unusable.items()]

    assert _is_found(keys, issuer.keys[0])
    for key in unusable:
        for algorithm in (*ALGORITHMS, "HS256", "none"):
            assert keys.find(key, algorithm) is None, key
