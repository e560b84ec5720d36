"""``gateway trace``: one event's whole story, put together from the topics."""
