"""The gateway's own signature on what it writes, where the settings name a key; and the audit's question
whether it is there.

The same two attributes, over the same bytes, as a platform's on its events (``gateway.contract.signing``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters import extras
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import HALF, Policy, Record, TrustedKey, on_all_cores, read_keys
from gateway.contract.signing import read_signed, record_message, with_signature
from gateway.core.signature import SignatureStatus
from gateway.errors import ConfigurationError

_PROBE = b"is this the public key of that private key?"
_NEITHER = "not the unencrypted PEM of a private key for SM2 or Ed25519"


@dataclass(frozen=True, slots=True)
class RecordSigner:
    """Signs records with one private key, known by ``key_id``. Ed25519 signatures are deterministic, SM2's
    are not."""

    key_id: str
    make: Callable[[bytes], bytes]

    def sign(self, value: bytes) -> bytes:
        """Return ``value``, a record of ours, with its signature."""
        return with_signature(value, self.make(record_message(value)), self.key_id)

    def sign_detached(self, value: bytes, message: bytes) -> bytes:
        """Return ``value``, a JSON object that is not a record, with the signature of ``message``."""
        return with_signature(value, self.make(message), self.key_id)

    async def sign_all(self, values: Sequence[bytes]) -> list[bytes]:
        """Sign ``values``, in order; on all cores, off the event loop."""
        return await on_all_cores(self.sign, values)


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """Says of a record of ours whether it bears the gateway's signature, as ``policy`` asks for it."""

    policy: Policy
    keys: dict[str, TrustedKey]

    def problem(self, record: Record) -> str | None:
        """Say what is wrong with the signature of ``record``, or None. Its broker time says which keys are
        valid."""
        if self.policy == "off":
            return None
        signed = read_signed(record.value or b"")
        if signed is None:
            return "the record bears no signature" if self.policy == "required" else None
        key = self.keys.get(signed.key_id) if signed.key_id else None
        if key is None or not key.holds_at(record.timestamp):
            return "the record is signed with a key that is not the gateway's, or was not at that time"
        if not isinstance(signed.signature, SignatureStatus) and key.verify(signed.signature, signed.message):
            return None
        return "the signature is not that of this record"


NO_CHECK = RecordCheck("off", {})


def load_record_check(settings: Settings) -> RecordCheck:
    """Load the settings' check of the gateway's own records. Raises ConfigurationError naming file, key and
    mistake."""
    signatures = settings.signatures
    if signatures.gateway == "off":
        return NO_CHECK
    if signatures.keys is None:
        raise ConfigurationError(
            f"{settings.file}: signatures.keys: name the file that holds the gateway's public keys"
        )
    path = settings.beside_file(signatures.keys)
    keys = read_keys(path).of_gateway(path)
    if not keys:
        raise ConfigurationError(
            f"{path}: gateway_keys: signatures.gateway asks for the gateway's key, and there is none"
        )
    return RecordCheck(signatures.gateway, keys)


def load_record_signer(settings: Settings) -> RecordSigner | None:
    """Load the signer of the settings; None if they name no key. Raises ConfigurationError naming file and
    mistake."""
    signatures = settings.signatures
    if signatures.own_key is None:
        return None
    if signatures.own_key_id is None:
        raise ConfigurationError(
            f"{settings.file}: signatures.own_key_id: say by which id readers know signatures.own_key"
        )
    path = settings.beside_file(signatures.own_key)
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"signatures.own_key: {path} cannot be read ({error.strerror})") from None
    make = _load_ed25519(pem)
    if make is None:
        extras.require("sm2", f"signatures.own_key: {path} is not the PEM of an Ed25519 private key; one of SM2")
        make = _load_sm2(pem)
    if make is None:
        raise ConfigurationError(f"signatures.own_key: {path} is {_NEITHER}")
    if signatures.keys is not None:
        _require_pair(settings.beside_file(signatures.keys), signatures.own_key_id, path, make)
    return RecordSigner(signatures.own_key_id, make)


def _require_pair(keys: Path, key_id: str, path: Path, make: Callable[[bytes], bytes]) -> None:
    """Check that the published public key matches, or readers would refuse all new records."""
    trusted = read_keys(keys).of_gateway(keys).get(key_id)
    if trusted is not None and not trusted.verify(make(_PROBE), _PROBE):
        raise ConfigurationError(f"signatures.own_key: {path} is not the private key of {key_id} in {keys}")


def _load_ed25519(pem: bytes) -> Callable[[bytes], bytes] | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 — slow to import, and seldom needed
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key.sign if isinstance(key, Ed25519PrivateKey) else None


def _load_sm2(pem: bytes) -> Callable[[bytes], bytes] | None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature  # noqa: PLC0415
    from tongsuopy.crypto import exceptions, hashes, serialization  # noqa: PLC0415
    from tongsuopy.crypto.asymciphers import ec  # noqa: PLC0415

    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, exceptions.UnsupportedAlgorithm):
        return None
    if not isinstance(getattr(key, "curve", None), ec.SM2):
        return None
    algorithm = ec.ECDSA(hashes.SM3())  # with SM2's key this is SM2's own scheme, with the default user ID

    def make(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, algorithm))
        return r.to_bytes(HALF, "big") + s.to_bytes(HALF, "big")

    return make
