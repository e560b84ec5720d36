"""How a platform connects, out of the environment; the same names as in the Java example.

BOOTSTRAP_SERVERS, PROVINCE (sichuan | chongqing), PASSWORD_FILE; CA_FILE where the broker has TLS.
"""

import os
from pathlib import Path

PROVINCE = os.environ["PROVINCE"]


def connection() -> dict[str, str]:
    """What every client of this platform needs."""
    ca_file = os.environ.get("CA_FILE")
    options = {
        "bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"],
        "security.protocol": "SASL_SSL" if ca_file else "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": PROVINCE,
        "sasl.password": Path(os.environ["PASSWORD_FILE"]).read_text(encoding="utf-8").strip(),
    }
    return options | ({"ssl.ca.location": ca_file} if ca_file else {})
