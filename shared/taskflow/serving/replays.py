"""How administrators are shown a replay, and what differs."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.identifiers import IdText
from taskflow.domain.replay import Target
from taskflow.domain.times import TimeText, rfc3339
from taskflow.serving.answers import Accepted
from taskflow.storage.replay_store import (
    DIFFERENCES_MAX,
    Difference,
    DifferenceKind,
    Phase,
    RequestedReplay,
)

PATH = "/api/admin/replay"

STALLED_AFTER = timedelta(minutes=5)
"""Longer than it takes until another takes on what a killed one has left: the next tick, and the
time that it is held for."""


class ReplaySummary(TypedDict):
    """A replay, and how far it has come."""

    id: Annotated[IdText, Field(description="The replay's id.")]
    to: Annotated[Target, Field(description="Where it leads.")]
    user_id: Annotated[str | None, Field(description="Whose events; null for those of all users.")]
    from_seq: Annotated[int, Field(description="From this place in each user's stream on.")]
    events_per_s: Annotated[int, Field(description="To the topic: how many in a second at most.")]
    requested_by: Annotated[
        str, Field(description="The user id of who asked; empty where it was the command.")
    ]
    state: Annotated[
        Literal["waiting", "running", "stalled", "done", "cancelled"],
        Field(
            description="`waiting` for its turn; `stalled` where it has not come further for"
            f" {STALLED_AFTER // timedelta(minutes=1)} minutes: nobody advances it, or what it"
            " needs is away."
        ),
    ]
    phase: Annotated[
        Phase,
        Field(
            description="What it goes through: the events, and into shadow tables then the tasks"
            " that it has rebuilt and the live ones, to compare them."
        ),
    ]
    created_at: Annotated[TimeText, Field(description="When it was asked for.")]
    advanced_at: Annotated[
        TimeText | None, Field(description="When it came further last, or began; null before.")
    ]
    ended_at: Annotated[TimeText | None, Field(description="When it was done, or cancelled.")]
    events_total: Annotated[int, Field(description="How many events there were when it was asked.")]
    events_done: Annotated[int, Field(description="How many it has gone through.")]
    events_newer: Annotated[
        int, Field(description="How many it refused, for newer code has written them.")
    ]
    equal: Annotated[
        bool | None,
        Field(description="Whether the events gave the live tasks; null until that is known."),
    ]
    tasks_same: Annotated[int, Field(description="How many tasks are the same.")]
    tasks_differing: Annotated[int, Field(description="How many differ in some field.")]
    tasks_only_live: Annotated[int, Field(description="How many live tasks have no event.")]
    tasks_only_rebuilt: Annotated[int, Field(description="How many events' tasks are not live.")]


class DifferenceRepresentation(TypedDict):
    """A task that is not what its events say."""

    task_id: Annotated[IdText, Field(description="The task's id.")]
    user_id: Annotated[str, Field(description="Whose task it is.")]
    kind: Annotated[
        DifferenceKind,
        Field(description="`differs`, or it is there on one side alone."),
    ]
    fields: Annotated[
        list[str], Field(description="The fields that differ; `deleted_at` is whether it is there.")
    ]


class ReplayRepresentation(ReplaySummary):
    """A replay with the tasks that differ."""

    differences: Annotated[
        list[DifferenceRepresentation],
        Field(
            max_length=DIFFERENCES_MAX,
            description=f"The tasks that differ, by id; {DIFFERENCES_MAX:,} at the most.",
        ),
    ]


class ReplayAccepted(Accepted[ReplaySummary]):
    """A replay that begins when its turn comes, and where its progress is shown."""

    HEADERS = ("Location",)

    def __init__(self, replay: RequestedReplay, *, now: datetime) -> None:
        """Show the replay and its path."""
        super().__init__(summary(replay, now=now))
        self.headers["Location"] = f"{PATH}/{replay.id}"


def represent(
    replay: RequestedReplay, differences: list[Difference], *, now: datetime
) -> ReplayRepresentation:
    """Return a replay with the tasks that differ, as of `now`."""
    return {
        **summary(replay, now=now),
        "differences": [
            {
                "task_id": str(each.task_id),
                "user_id": each.user_id,
                "kind": each.kind,
                "fields": [*each.fields],
            }
            for each in differences
        ],
    }


def summary(replay: RequestedReplay, *, now: datetime) -> ReplaySummary:
    """Return a replay without the tasks that differ, as of `now`."""
    return {
        "id": str(replay.id),
        "to": replay.target,
        "user_id": replay.user_id,
        "from_seq": replay.from_seq,
        "events_per_s": replay.events_per_s,
        "requested_by": replay.requested_by,
        "state": _state(replay, now),
        "phase": replay.phase,
        "created_at": rfc3339(replay.created_at),
        "advanced_at": _time(replay.advanced_at),
        "ended_at": _time(replay.ended_at),
        "events_total": replay.events_total,
        "events_done": replay.events_done,
        "events_newer": replay.events_newer,
        "equal": replay.is_equal,
        "tasks_same": replay.tasks_same,
        "tasks_differing": replay.tasks_differing,
        "tasks_only_live": replay.tasks_only_live,
        "tasks_only_rebuilt": replay.tasks_only_rebuilt,
    }


def _state(
    replay: RequestedReplay, now: datetime
) -> Literal["waiting", "running", "stalled", "done", "cancelled"]:
    if replay.state != "running":
        return replay.state
    if replay.advanced_at is None:
        return "waiting"
    return "stalled" if now - replay.advanced_at > STALLED_AFTER else "running"


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
