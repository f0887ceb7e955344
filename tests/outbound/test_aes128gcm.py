"""The encryption of what browsers are pushed, against the example of RFC 8291."""

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from taskflow.outbound import aes128gcm
from taskflow.outbound.aes128gcm import CONTENT_MAX_BYTES
from tests.support.network.browser import Browser, decoded, encoded, point_of

# RFC 8291, 5 and appendix A.
CONTENT = b"When I grow up, I want to be a watermelon"
BROWSER_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
BROWSER_POINT = (
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
)
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SENDER_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
ENCRYPTED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6"
    "TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy"
    "4a-fN"
)


def _key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decoded(text)), ec.SECP256R1())


def _encrypted(content: bytes) -> bytes:
    return aes128gcm.encrypted(
        content,
        to=decoded(BROWSER_POINT),
        auth=decoded(AUTH),
        key=_key(SENDER_KEY),
        salt=decoded(SALT),
    )


def test_the_example_of_the_standard_is_encrypted_as_it_says() -> None:
    assert encoded(_encrypted(CONTENT)) == ENCRYPTED


def test_the_browser_of_the_tests_reads_the_example_of_the_standard() -> None:
    assert Browser(_key(BROWSER_KEY), decoded(AUTH)).decrypt(decoded(ENCRYPTED)) == CONTENT


@pytest.mark.parametrize("length", [0, 1, CONTENT_MAX_BYTES])
def test_the_browser_reads_what_is_encrypted_for_it_and_no_other_does(length: int) -> None:
    body = _encrypted(b"x" * length)

    assert len(body) <= 4096
    assert Browser(_key(BROWSER_KEY), decoded(AUTH)).decrypt(body) == b"x" * length
    with pytest.raises(InvalidTag):
        Browser().decrypt(body)
    with pytest.raises(InvalidTag):
        Browser(_key(BROWSER_KEY)).decrypt(body)


def test_what_is_no_point_of_the_curve_is_told() -> None:
    point = decoded(BROWSER_POINT)

    assert aes128gcm.is_point(point)
    assert aes128gcm.is_point(point_of(_key(SENDER_KEY)))
    for wrong in (b"", point[:-1], point[:-1] + b"\0", b"\4" + b"\0" * 64, b"\2" + point[1:33]):
        assert not aes128gcm.is_point(wrong)
