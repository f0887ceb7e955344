"""Lists in pages, followed as a client follows them."""

from tests.support.functions.client import Api, content


def next_link(header: str) -> str:
    """Return where a Link header says that the next page is."""
    target, _, relation = header.partition("; ")
    assert relation == 'rel="next"'
    return target.removeprefix("<").removesuffix(">")


def pages_of(api: Api, path: str) -> list[list[str]]:
    """Follow the Link headers from the first page to the last; return the ids of each."""
    found: list[list[str]] = []
    following: str | None = path
    while following is not None:
        answer = api.get(following)
        assert answer.status_code == 200, answer.text
        body = content(answer)
        assert set(body) == {"items", "next_cursor"}
        found.append([item["id"] for item in body["items"]])
        link = answer.headers.get("Link")
        assert (link is None) == (body["next_cursor"] is None)
        following = next_link(link) if link else None
        if link:
            assert f"cursor={body['next_cursor']}" in link
    return found
