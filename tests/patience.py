"""How long a test waits for what has to come."""

PATIENCE_S = 300.0
"""A wait ends as soon as that has come, so that only a test that fails takes this long. A busy machine takes
ten times what an idle one does: a wait must outlast the worst of it, or the test says more of the machine
than of the gateway."""
