"""TaskFlow: an event-driven, multi-user task system built as serverless functions."""
