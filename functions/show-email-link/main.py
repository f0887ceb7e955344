"""GET /email/confirm/{link_token}, refuse/…, unsubscribe/…: ask who follows a link in a mail."""

from flask import Request

from taskflow.domain.errors import LinkIsInvalid
from taskflow.serving import Network, PageShown, http_function
from taskflow.serving.email_links import (
    CONFIRMATION_PATH,
    REFUSAL_PATH,
    confirmed_by,
    refused_by,
    unsubscribed_by,
)


# Programs that look through mails follow their links, so it changes nothing: its button does.
@http_function(
    "GET /email/confirm/{link_token}",
    "GET /email/refuse/{link_token}",
    "GET /email/unsubscribe/{link_token}",
    public=True,
    raises=[LinkIsInvalid],
    scale="seldom",
)
def show_email_link(link_token: str, request: Request, network: Network) -> PageShown:
    if request.path.startswith(CONFIRMATION_PATH):
        confirmed_by(link_token, network)
        return PageShown(
            "Confirm this address",
            "Somebody who uses TaskFlow asked that their reminders be sent to the address at which"
            " you got this link. If it was not you, close this page.",
            button="Send my reminders here",
        )
    if request.path.startswith(REFUSAL_PATH):
        refused_by(link_token, network)
        return PageShown(
            "Never be asked again",
            "Nobody will be able to have TaskFlow ask the address at which you got this link, you"
            " neither.",
            button="This was not me, never ask again",
        )
    unsubscribed_by(link_token, network)
    return PageShown(
        "Unsubscribe",
        "Nothing more will be sent from TaskFlow to the address at which you got this link.",
        button="Send no more",
    )
