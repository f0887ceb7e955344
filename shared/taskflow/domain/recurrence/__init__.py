"""Recurrence (RFC 5545): rules, the days they give, and the instants of a series in its zone.

It knows nothing of what recurs.
"""

from taskflow.domain.recurrence.expansion import Skip, expansion_of, first_selected
from taskflow.domain.recurrence.lead_time import AHEAD_MAX, Recurrence
from taskflow.domain.recurrence.previews import Fate, Previewed, preview
from taskflow.domain.recurrence.recurrence_set import (
    MISSED_AFTER,
    count_from,
    due_occurrences,
    in_new_zone,
    local_time,
    next_after_completion,
    next_occurrence,
    occurrences,
    start_at,
)
from taskflow.domain.recurrence.rule import RULE_MAX_CHARS, RuleText, parse_rule
from taskflow.domain.recurrence.series import Missed, Mode, Series

__all__ = [
    "AHEAD_MAX",
    "MISSED_AFTER",
    "RULE_MAX_CHARS",
    "Fate",
    "Missed",
    "Mode",
    "Previewed",
    "Recurrence",
    "RuleText",
    "Series",
    "Skip",
    "count_from",
    "due_occurrences",
    "expansion_of",
    "first_selected",
    "in_new_zone",
    "local_time",
    "next_after_completion",
    "next_occurrence",
    "occurrences",
    "parse_rule",
    "preview",
    "start_at",
]
