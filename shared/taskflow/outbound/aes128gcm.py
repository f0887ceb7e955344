"""Encrypting a message for one browser, so that its push service cannot read it (RFC 8291).

The library that does this, http-ece, comes as source alone, and an image takes wheels; `webpush`
also writes the headers, but without the port of an address, and with a subject of mail alone. What
is left to do here is to put `cryptography`'s parts together.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CONTENT_MAX_BYTES = 3993
"""What fits into the 4,096 bytes that every push service takes (RFC 8291, 4)."""

POINT_BYTES = 65
"""A point of P-256, uncompressed (X9.62)."""

SALT_BYTES = 16

_RECORD_BYTES = (4096).to_bytes(4)
_LAST_RECORD = b"\x02"
_KEY_BYTES, _NONCE_BYTES, _SECRET_BYTES = 16, 12, 32


def is_point(encoded: bytes) -> bool:
    """Say whether this is a point of P-256, uncompressed."""
    from cryptography.hazmat.primitives.asymmetric import ec

    if len(encoded) != POINT_BYTES:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)
    except ValueError:
        return False
    return True


def point_of(key: "EllipticCurvePrivateKey") -> bytes:
    """Return the point of P-256, uncompressed, that is the public key of a private one."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encrypted(
    content: bytes, *, to: bytes, auth: bytes, key: "EllipticCurvePrivateKey", salt: bytes
) -> bytes:
    """Return a message for a browser, by its public key and its secret, in one record.

    The private key and the salt are made for this message.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    def derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
        return HKDF(hashes.SHA256(), length, salt, info).derive(secret)

    own = point_of(key)
    browser = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), to)
    shared = key.exchange(ec.ECDH(), browser)
    secret = derived(shared, auth, b"WebPush: info\0" + to + own, _SECRET_BYTES)
    # From here on as in RFC 8188, 2.
    content_key = derived(secret, salt, b"Content-Encoding: aes128gcm\0", _KEY_BYTES)
    nonce = derived(secret, salt, b"Content-Encoding: nonce\0", _NONCE_BYTES)
    record = AESGCM(content_key).encrypt(nonce, content + _LAST_RECORD, None)
    return salt + _RECORD_BYTES + bytes([len(own)]) + own + record
