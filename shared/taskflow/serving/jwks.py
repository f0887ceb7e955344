"""The public keys of an outside issuer: its JWK Set (RFC 7517), fetched, kept and looked up.

Who has a known key does not wait for the issuer, unless it was fetched long ago. One that is not
known is asked for by the process, not by each request: so tokens with made-up keys cost the issuer
one request every FETCH_EVERY_S.
"""

import http.client
import json
import logging
import threading
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.error import HTTPError

from taskflow import clock, config, metrics
from taskflow.process import resource
from taskflow.serving.problems import UNAVAILABLE, Problem

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""What an outside issuer may sign with. None of them takes a public key for a secret."""

FETCH_EVERY_S = 10.0
"""The time from the start of one fetch to the next, whoever asks and however the last one ended."""

FETCH_TIMEOUT_S = 3.0
"""How long a fetch may take, and so how long a request waits that has no known key."""

REFRESH_AFTER_S = 300.0
"""The age at which keys are fetched again, while they go on being used."""

STALE_AFTER_S = 600.0
"""The age, of a process that nobody has asked for long, at which a key is not used any more before
the issuer was asked whether it still is one."""

ANSWER_MAX_BYTES = 256 * 1024
KEYS_MAX = 100
"""What is read of an issuer's answer. Most have two or three keys, of a kilobyte or two each."""

_Keys = Mapping[tuple[str | None, str], "PyJWK"]

_log = logging.getLogger(__name__)


class IssuerUnavailable(Problem):
    """The issuer does not say whether a key is its own; nobody else can."""

    def __init__(self) -> None:
        """Ask for another try, after the next fetch."""
        super().__init__(
            UNAVAILABLE,
            "The issuer of the token can't be asked for its keys; try again shortly.",
            headers={"Retry-After": f"{FETCH_EVERY_S:.0f}"},
        )


class _NoKeys(Exception):
    """The answer of the issuer holds no keys that can be used."""


class IssuerKeys:
    """The keys of one issuer, as far as this process has fetched them; any thread may ask."""

    def __init__(self, url: str) -> None:
        """Know of none; the first look-up fetches them."""
        self._url = url
        self._lock = threading.Lock()
        self._keys: _Keys = {}
        self._fetched_at_s: float | None = None
        self._begun_at_s: float | None = None
        # Whether the last fetch that ended has brought nothing.
        self._is_failing = False
        self._done = threading.Event()
        self._done.set()

    def find(self, key_id: str | None, algorithm: str) -> "PyJWK | None":
        """Return the key of this `kid` for this algorithm, or None where the issuer has none.

        Without a `kid`, the only key for the algorithm, if there is just one. Waits up to
        FETCH_TIMEOUT_S for one that is not known, or stale. Raises IssuerUnavailable where the
        issuer did not answer, and the key is not known.
        """
        found = self._known(key_id, algorithm)
        if found is not None:
            if self._is_older_than(REFRESH_AFTER_S):
                is_stale = self._is_older_than(STALE_AFTER_S)
                fetching = self._fetch_unless_just_done()
                if is_stale and not self._is_failing:
                    fetching.wait(FETCH_TIMEOUT_S)
                    return self._known(key_id, algorithm)
            return found
        has_ended = self._fetch_unless_just_done().wait(FETCH_TIMEOUT_S)
        found = self._known(key_id, algorithm)
        if found is None and (self._is_failing or not has_ended):
            raise IssuerUnavailable
        return found

    def _known(self, key_id: str | None, algorithm: str) -> "PyJWK | None":
        if key_id is not None:
            return self._keys.get((key_id, algorithm))
        of_algorithm = [key for (_, its), key in self._keys.items() if its == algorithm]
        return of_algorithm[0] if len(of_algorithm) == 1 else None

    def _is_older_than(self, age_s: float) -> bool:
        fetched_at_s = self._fetched_at_s
        return fetched_at_s is None or clock.monotonic_s() >= fetched_at_s + age_s

    def _fetch_unless_just_done(self) -> threading.Event:
        """Begin a fetch, if none has begun within FETCH_EVERY_S; return what is set at its end."""
        with self._lock:
            now_s = clock.monotonic_s()
            if self._begun_at_s is not None and now_s < self._begun_at_s + FETCH_EVERY_S:
                return self._done
            # One that takes longer than that is given up: its answer still counts, if it comes.
            self._begun_at_s = now_s
            self._done = done = threading.Event()
        threading.Thread(target=self._fetch, args=(done,), name="jwks", daemon=True).start()
        return done

    def _fetch(self, done: threading.Event) -> None:
        is_failing = True
        try:
            self._keys = _keys_in(_answer_of(self._url))
        except (OSError, http.client.HTTPException, ValueError, RecursionError, _NoKeys) as error:
            # The words of an error may hold what the issuer answered.
            _log.warning("the keys of the issuer can't be fetched: %s", type(error).__name__)
        else:
            self._fetched_at_s, is_failing = clock.monotonic_s(), False
            if self._is_failing:
                _log.info("the keys of the issuer are fetched again")
        finally:
            self._is_failing = is_failing
            metrics.KEY_FETCHES.labels("failed" if is_failing else "done").inc()
            done.set()


@resource()
def issuer_keys() -> IssuerKeys:
    """Return the keys of the outside issuer. Raises InvalidSetting."""
    url = config.settings().jwks_url
    if url is None:
        message = "JWKS_URL: is needed to check tokens"
        raise config.InvalidSetting(message)
    return IssuerKeys(url)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes an answer that leads elsewhere for none: keys come from the address that is set."""

    def http_error_302(
        self, req: object, fp: object, code: object, msg: object, headers: object
    ) -> None:
        """Follow nowhere; urllib then raises HTTPError."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _answer_of(url: str) -> bytes:
    """Return what is at an address. Raises OSError, HTTPException; ValueError over the bound."""
    headers = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "taskflow"}
    # The settings allow http and https alone.
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - as said
    give_up_at_s = clock.monotonic_s() + FETCH_TIMEOUT_S
    read = bytearray()
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=FETCH_TIMEOUT_S) as answer:
            while some := answer.read1(ANSWER_MAX_BYTES):
                read += some
                if len(read) > ANSWER_MAX_BYTES:
                    raise ValueError(len(read))
                if clock.monotonic_s() > give_up_at_s:
                    raise TimeoutError
    except HTTPError as error:
        error.close()
        raise
    return bytes(read)


def _keys_in(answer: bytes) -> _Keys:
    """Return the keys of a JWK Set that sign tokens. Raises ValueError, RecursionError, _NoKeys."""
    content: object = json.loads(answer)
    listed = cast("dict[str, Any]", content).get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise _NoKeys
    keys = [key for each in cast("list[object]", listed)[:KEYS_MAX] if (key := _key_in(each))]
    if not keys:
        raise _NoKeys
    # Of two with one name the first, as with a set that is searched.
    return {(key.key_id, key.algorithm_name): key for key in reversed(keys)}


def _key_in(listed: object) -> "PyJWK | None":
    """Return a key that signs tokens by one of ALGORITHMS; None of what is anything else."""
    from jwt import PyJWK, PyJWTError

    if not isinstance(listed, dict):
        return None
    given = cast("dict[str, Any]", listed)
    operations = given.get("key_ops", ["verify"])
    if (
        given.get("use", "sig") != "sig"
        or not (isinstance(operations, list) and "verify" in operations)
        or not isinstance(given.get("kid"), str | None)
        or given.get("alg") not in (None, *ALGORITHMS)
        # A private key that is published is nobody's any more.
        or "d" in given
    ):
        return None
    try:
        key = PyJWK(given)
        is_long_enough = key.Algorithm.check_key_length(key.key) is None
    except (PyJWTError, ValueError, TypeError, LookupError):
        return None
    return key if is_long_enough and key.algorithm_name in ALGORITHMS else None
