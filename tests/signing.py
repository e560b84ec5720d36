"""Keys of a simulated platform, and events that it signed; keys of the gateway's own."""

import json
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tongsuopy.crypto import hashes, serialization
from tongsuopy.crypto.asymciphers import ec

from gateway.adapters.settings import Settings, load_settings
from gateway.contract.signing import signed_message
from gateway.core.province import Province
from gateway.operate.examples import display_event
from tests.tools import require_tool

SM2_KEY = ec.generate_private_key(ec.SM2())
EDWARDS_KEY = Ed25519PrivateKey.generate()


def sm2_pem(public: Any) -> str:
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def edwards_pem(public: Ed25519PublicKey) -> str:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sm2_sign(message: bytes) -> str:
    der = SM2_KEY.sign(message, ec.ECDSA(hashes.SM3()))
    numbers, rest = [], der[2:]
    for _ in range(2):
        length = rest[1]
        numbers.append(int.from_bytes(rest[2 : 2 + length], "big"))
        rest = rest[2 + length :]
    return b"".join(number.to_bytes(32, "big") for number in numbers).hex()


def edwards_sign(message: bytes) -> str:
    return EDWARDS_KEY.sign(message).hex()


KEYS = {
    "sichuan-1": ("sichuan", "sm2", sm2_pem(SM2_KEY.public_key()), "2026-01-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00"),
    "sichuan-2": (
        "sichuan", "ed25519", edwards_pem(EDWARDS_KEY.public_key()), "2026-11-01T00:00:00+08:00", "2028-01-01T00:00:00+08:00",
    ),
}  # fmt: skip
SIGNERS = {"sichuan-1": sm2_sign, "sichuan-2": edwards_sign}


def settings_with(folder: Path, sichuan: str, keys: list[dict[str, str]] | None = None) -> Settings:
    if keys is None:
        names = ("province", "algorithm", "public_key", "valid_from", "valid_until")
        keys = [{"id": key_id, **dict(zip(names, values, strict=True))} for key_id, values in KEYS.items()]
    (folder / "keys.yaml").write_text(json.dumps({"keys": keys}), encoding="utf-8")
    settings = load_settings()
    signatures = settings.signatures.model_copy(update={"sichuan": sichuan, "keys": folder / "keys.yaml"})
    return settings.model_copy(update={"signatures": signatures})


def event_signed_by(key_id: str, **changes: Any) -> bytes:
    """Sichuan's example event with these attributes, signed by one of KEYS."""
    event = display_event(Province.SICHUAN) | changes
    data = json.dumps(event.pop("data"), ensure_ascii=False).encode()
    signature = SIGNERS[key_id](signed_message(event["id"], event["source"], event["time"], data))
    context = json.dumps(event | {"signature": signature, "signaturekey": key_id}, ensure_ascii=False).encode()
    return context[:-1] + b', "data": ' + data + b"}"


ALGORITHMS = {"sm2": ("EC", "-pkeyopt", "ec_paramgen_curve:SM2"), "ed25519": ("ed25519",)}
"""What openssl calls them."""


def make_own_key(path: Path, algorithm: str) -> Path:
    require_tool("openssl")
    command = ["openssl", "genpkey", "-algorithm", *ALGORITHMS[algorithm], "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def settings_signing(settings: Settings, folder: Path, algorithm: str) -> Settings:
    """With a key for the gateway, made as docs/signing.md says, and the audit's question for its
    signatures."""
    private = make_own_key(folder / "own.pem", algorithm)
    public = subprocess.run(
        ["openssl", "pkey", "-in", str(private), "-pubout"], check=True, capture_output=True, text=True
    ).stdout
    period = {"valid_from": "2026-01-01T00:00:00+08:00", "valid_until": "2028-01-01T00:00:00+08:00"}
    keys = [{"id": "gateway-1", "algorithm": algorithm, "public_key": public, **period}]
    (folder / "keys.yaml").write_text(json.dumps({"gateway_keys": keys}), encoding="utf-8")
    changes = {"gateway": "required", "keys": folder / "keys.yaml", "own_key": private, "own_key_id": "gateway-1"}
    return settings.model_copy(update={"signatures": settings.signatures.model_copy(update=changes)})
