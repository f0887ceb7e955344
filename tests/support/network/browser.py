"""A browser that is subscribed to Web Push: its keys, and what it makes of what it is pushed.

Written after RFC 8188, 8291 and 8292, with nothing of what is tested.
"""

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from taskflow.domain.text import JsonObject
from tests.support.network.endpoint import Request


def encoded(raw: bytes) -> str:
    """Write base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Read base64url without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a public key as a browser hands it out."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass
class Browser:
    """A browser with keys of its own, by default new ones."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def subscription(self, endpoint: str) -> JsonObject:
        """Return what it gives a page to send on."""
        keys = {"p256dh": encoded(point_of(self.key)), "auth": encoded(self.auth)}
        return {"endpoint": endpoint, "expirationTime": None, "keys": keys}

    def decrypt(self, body: bytes) -> bytes:
        """Read what it is pushed, as RFC 8291, 3.4 spells it out."""
        salt, record_bytes, id_bytes = body[:16], int.from_bytes(body[16:20]), body[20]
        sender, record = body[21 : 21 + id_bytes], body[21 + id_bytes :]
        assert 17 <= len(record) <= record_bytes
        shared = self.key.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        )
        info = b"WebPush: info\0" + point_of(self.key) + sender + b"\1"
        secret = _hmac(_hmac(self.auth, shared), info)
        of_content = _hmac(salt, secret)
        key = _hmac(of_content, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = _hmac(of_content, b"Content-Encoding: nonce\0\1")[:12]
        padded = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert padded[-1:] == b"\2"
        return padded[:-1]

    def read(self, request: Request) -> Any:  # noqa: ANN401 - what JSON may hold
        """Return the JSON that it is pushed."""
        assert request.headers["content-encoding"] == "aes128gcm"
        return json.loads(self.decrypt(request.body))


def token_of(request: Request, *, signed_by: str) -> JsonObject:
    """Return the claims of who sends, once they are verified by a public key, in base64url."""
    scheme, _, rest = request.headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert (scheme, parts["k"]) == ("vapid", signed_by)
    signed, _, signature = parts["t"].rpartition(".")
    header, claims = (json.loads(decoded(part)) for part in signed.split("."))
    assert header == {"typ": "JWT", "alg": "ES256"}
    raw = decoded(signature)
    both = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(signed_by))
    key.verify(both, signed.encode(), ec.ECDSA(hashes.SHA256()))
    return claims


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, hashlib.sha256)
