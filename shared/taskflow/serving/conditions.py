"""Conditional requests (RFC 9110, 13): a task's entity tag, If-Match and If-None-Match."""

from dataclasses import dataclass

from flask import Request
from werkzeug.datastructures import ETags
from werkzeug.http import quote_etag

from taskflow.domain.errors import VersionIsExcluded, VersionIsStale
from taskflow.domain.tasks import Task


def tag_of(task: Task) -> str:
    """Return the task's entity tag, which is its version."""
    return str(task.version)


def quoted_tag_of(task: Task) -> str:
    """Return the task's entity tag as the header ETag carries it."""
    return quote_etag(tag_of(task))


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a request on the version of the task that it changes (RFC 9110 13.1)."""

    if_match: ETags | None
    if_none_match: ETags

    @classmethod
    def of(cls, request: Request) -> "Conditions":
        """Read the conditions of a request."""
        return cls(
            request.if_match if "If-Match" in request.headers else None, request.if_none_match
        )

    def check(self, task: Task) -> None:
        """Refuse a change that its conditions rule out, in the order of RFC 9110, 13.2.2.

        Raises VersionIsStale, VersionIsExcluded.
        """
        if self.client_has(task):
            raise VersionIsExcluded

    def check_untagged(self) -> None:
        """Refuse a change of an existing resource without a tag, unless the conditions allow it.

        Raises VersionIsStale, VersionIsExcluded.
        """
        if self.if_match is not None and not self.if_match.star_tag:
            raise VersionIsStale
        if self.if_none_match.star_tag:
            raise VersionIsExcluded

    def client_has(self, task: Task) -> bool:
        """Say whether the client already holds this version. Raises VersionIsStale."""
        return self.client_has_tag(tag_of(task))

    def client_has_tag(self, tag: str) -> bool:
        """Say whether the client holds what has this entity tag. Raises VersionIsStale."""
        if self.if_match is not None and not self.if_match.contains(tag):
            raise VersionIsStale
        return self.if_none_match.contains_weak(tag)
