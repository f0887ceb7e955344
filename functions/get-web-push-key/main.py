"""GET /api/{user_id}/web-push-key: the key by which a browser is subscribed to pushes."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.errors import NoWebPush
from taskflow.outbound.web_push import public_key
from taskflow.serving import Ok, http_function


class WebPushKey(TypedDict):
    """The public key of who pushes to browsers (RFC 8292)."""

    public_key: Annotated[
        str, Field(description="As `applicationServerKey` is given it, in base64url.")
    ]


@http_function(
    "GET /api/{user_id}/web-push-key", permission="tasks:read", raises=[NoWebPush], scale="seldom"
)
def get_web_push_key() -> Ok[WebPushKey]:
    key = public_key()
    if key is None:
        raise NoWebPush
    return Ok({"public_key": key})
