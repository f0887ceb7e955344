"""The query of a list of tasks: what narrows it, and the orders that there are."""

from typing import Annotated, Literal

from pydantic import Field

from taskflow.domain import tasks
from taskflow.domain.tasks import Priority, Status
from taskflow.domain.text import Text
from taskflow.domain.times import Time
from taskflow.serving.pages import PageQuery
from taskflow.storage.search_words import Tsqueries
from taskflow.storage.task_lists import TaskFilter

TaskSort = Literal[
    "created_at",
    "due_date",
    "priority",
    "updated_at",
    "title",
    "-created_at",
    "-due_date",
    "-priority",
    "-updated_at",
    "-title",
]


class TaskFilterQuery(PageQuery):
    """How to narrow a list of tasks; `tag` may be repeated, and then all must be there."""

    status: Annotated[list[Status], Field(description="Of one of these.")] = []
    completed: Annotated[bool | None, Field(description="Completed, or not.")] = None
    priority: Annotated[list[Priority], Field(description="Of one of these.")] = []
    tag: Annotated[
        list[Text], Field(max_length=tasks.TAGS_MAX, description="With all of these tags.")
    ] = []
    due_before: Annotated[Time | None, Field(description="Due before this.")] = None
    due_after: Annotated[Time | None, Field(description="Due after this.")] = None
    recurring: Annotated[bool | None, Field(description="With a series, or without.")] = None

    def wanted(self, *, text: Tsqueries | None = None) -> TaskFilter:
        """Return which tasks are asked for, of those in which `text` finds something."""
        return TaskFilter(
            status=self.status,
            completed=self.completed,
            priority=self.priority,
            tags=self.tag,
            due_before=self.due_before,
            due_after=self.due_after,
            recurring=self.recurring,
            text=text,
        )
