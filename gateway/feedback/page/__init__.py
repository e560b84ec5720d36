"""The operators' page: what flows, what is refused and why, cases, the list, effectiveness, one event's
trace."""
