"""Password files, one per principal, and Grafana's.

They are made where they are missing, and readable by whoever may enter their folder.
"""

import secrets
from pathlib import Path

from gateway.adapters.access import Role

_BYTES = 24
ADMIN = "admin"
"""The password of the broker's own admin; of no role."""
GRAFANA = "grafana"
"""The password of Grafana's admin; of no principal."""


def make_passwords(folder: Path) -> list[Path]:
    """Make the files that are missing: ``admin``, each role's, and ``grafana``. Returns those that were
    made.

    The folder is closed to others; the files are not, so that a container's user can read the one that it is
    given.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = []
    for name in (ADMIN, *Role, GRAFANA):
        path = folder / name
        if not path.exists():
            # No newline: Kafka takes the file as it is.
            path.write_text(secrets.token_urlsafe(_BYTES), encoding="ascii")
            path.chmod(0o644)
            made.append(path)
    return made
