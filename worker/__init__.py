"""Processes that host workflows and activities: task queues, slots, shutdown, metrics."""
