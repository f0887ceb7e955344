"""Pages for people who follow a link in a mail: plain HTML, which loads and runs nothing."""

import base64
import hashlib
from html import escape
from typing import Final

from flask import Response

from taskflow.serving.answers import Answer
from taskflow.serving.problems import Problem

MEDIA_TYPE: Final = "text/html"

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; padding: 24px 16px; background: #f3f4f6; color: #1f2328;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
main { max-width: 560px; margin: 0 auto; padding: 24px; background: #ffffff;
  border: 1px solid #d1d9e0; border-radius: 12px; overflow-wrap: anywhere; }
h1 { margin: 0 0 12px; font-size: 22px; line-height: 1.3; }
p { margin: 0 0 12px; }
button { padding: 10px 18px; background: #0550ae; border: 0; border-radius: 8px; color: #ffffff;
  font: inherit; font-weight: 600; cursor: pointer; }
button:focus-visible { outline: 3px solid #1f2328; outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #e6edf3; }
  main { background: #161b22; border-color: #3d444d; }
  button { background: #79b8ff; color: #0d1117; }
  button:focus-visible { outline-color: #e6edf3; }
}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_BUTTON = """\
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">{label}</button>
</form>
"""
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>{heading} - TaskFlow</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
<p>{text}</p>
{button}</main>
</body>
</html>
"""


class PageShown(Answer[bytes]):
    """The page."""

    HEADERS = ("Cache-Control", "Content-Security-Policy")
    MEDIA_TYPES = (MEDIA_TYPE,)

    def __init__(self, heading: str, text: str, *, button: str | None = None) -> None:
        """Write a page of a heading and a sentence; its button sends POST to the same address."""
        super().__init__(
            _written(heading, text, button),
            self.STATUS,
            content_type=f"{MEDIA_TYPE}; charset=utf-8",
        )
        _protect(self)


def refusal_page(problem: Problem, refused: Response) -> Response:
    """Return the page that says to a person what the answer `refused` says to a program."""
    page = Response(
        _written("This did not work", problem.detail, None),
        refused.status_code,
        content_type=f"{MEDIA_TYPE}; charset=utf-8",
    )
    page.headers.update(problem.headers)
    _protect(page)
    return page


def _written(heading: str, text: str, button: str | None) -> str:
    return _PAGE.format(
        heading=escape(heading),
        text=escape(text),
        style=_STYLE,
        button="" if button is None else _BUTTON.format(label=escape(button)),
    )


def _protect(page: Response) -> None:
    # The address of the page is the secret that it goes by.
    page.headers["Cache-Control"] = "no-store"
    page.headers["Content-Security-Policy"] = _SECURITY_POLICY
