"""The bill of materials names the native kernel's crates, each with its checksum, and no address."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_crate_is_named_with_its_checksum(tmp_path: Path) -> None:
    bom = tmp_path / "sbom.cdx.json"
    bom.write_text('{"bomFormat": "CycloneDX", "components": [{"name": "msgspec", "type": "library"}]}')
    subprocess.run([sys.executable, ROOT / "kernel/sbom", bom], check=True)
    first, *crates = json.loads(bom.read_text())["components"]
    assert first["name"] == "msgspec"
    lock = (ROOT / "kernel/Cargo.lock.in").read_text()
    assert len(crates) == lock.count("checksum = ") > 10
    assert {"pyo3", "sha2", "sm3"} <= {crate["name"] for crate in crates}
    for crate in crates:
        assert f'version = "{crate["version"]}"\nchecksum = "{crate["hashes"][0]["content"]}"' in lock
    assert "://" not in bom.read_text()
