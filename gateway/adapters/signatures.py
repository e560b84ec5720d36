"""Verifies events' signatures: SM2 with SM3 (GB/T 32918) by Tongsuo, Ed25519 (RFC 8032) by
pyca/cryptography.

Which library, and why: Tongsuo verifies 3,200 SM2 signatures a second on one core, twice the next; it is an
OpenSSL of its own that knows SM2's user ID, and it lets go of the interpreter while it computes, so that
threads use all cores.
"""

import asyncio
import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_validator

from gateway.adapters import extras
from gateway.adapters.cores import usable_cores
from gateway.adapters.settings import Settings
from gateway.adapters.strict_yaml import NotYamlError, read_yaml
from gateway.contract.headers import Headers
from gateway.contract.signing import Signed, read_signed
from gateway.core.mistakes import words_of
from gateway.core.province import Province
from gateway.core.signature import SignatureStatus
from gateway.errors import ConfigurationError

Policy = Literal["off", "optional", "required"]
HALF = 32
"""Bytes of r, and of s."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class Record(Protocol):
    """What is read of a Kafka record; ``timestamp`` in milliseconds, set by the broker."""

    @property
    def timestamp(self) -> int: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Headers: ...  # noqa: D102


class _GatewayKey(BaseModel):
    """A public key of the gateway's own, and from when until when a record may have been written that it
    signed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    algorithm: Literal["sm2", "ed25519"]
    public_key: str
    valid_from: AwareDatetime
    valid_until: AwareDatetime

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.valid_until <= self.valid_from:
            raise ValueError("valid_until must be later than valid_from")
        _LOADERS[self.algorithm](self.public_key.encode())
        return self

    def trusted(self) -> "TrustedKey":
        """Return the key, ready for use."""
        return TrustedKey(
            _milliseconds(self.valid_from), _milliseconds(self.valid_until), _LOADERS[self.algorithm](self.public_key.encode())
        )  # fmt: skip


class _Key(_GatewayKey):
    """A province's public key, and from when until when an event may be received that it signed."""

    province: Province


class Keys(BaseModel):
    """The file of public keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: list[_Key] = []
    gateway_keys: list[_GatewayKey] = []

    def of_provinces(self, path: Path) -> dict[tuple[Province, str], "TrustedKey"]:
        """Return the keys by province and id. Raises ConfigurationError, naming ``path``, if one stands
        there twice."""
        _require_distinct(path, [f"{key.id} of {key.province}" for key in self.keys])
        return {(key.province, key.id): key.trusted() for key in self.keys}

    def of_gateway(self, path: Path) -> dict[str, "TrustedKey"]:
        """Return the gateway's keys by id. Raises ConfigurationError, as above."""
        _require_distinct(path, [f"{key.id} of the gateway" for key in self.gateway_keys])
        return {key.id: key.trusted() for key in self.gateway_keys}


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key as it is used: ``verify`` takes a signature and a message. Times in milliseconds since the
    epoch."""

    valid_from: int
    valid_until: int
    verify: Callable[[bytes, bytes], bool]

    def holds_at(self, moment: int) -> bool:
        """Tell whether ``moment`` (milliseconds since the epoch) lies in the key's period."""
        return self.valid_from <= moment < self.valid_until


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Who must sign, and with which keys."""

    policies: Mapping[Province, Policy]
    keys: Mapping[tuple[Province, str], TrustedKey]

    def is_off(self, province: Province) -> bool:
        """Tell whether nobody looks at the signatures of this province's events."""
        return self.policies[province] == "off"

    def status(self, province: Province, received_at: int, raw: bytes, headers: Headers = ()) -> SignatureStatus:
        """Return the status of the signature of a record of this province's topic.

        Keys are those in force when the record was received (milliseconds since the epoch). Deterministic;
        never raises.
        """
        if self.is_off(province):
            return SignatureStatus.UNASKED
        signed = read_signed(raw, headers)
        if signed is None:
            return SignatureStatus.MISSING if self.policies[province] == "required" else SignatureStatus.UNASKED
        return self._verify(province, received_at, signed)

    def status_on(self, province: Province, record: Record) -> SignatureStatus:
        """Return the status of the signature of a record of this province's topic."""
        return self.status(province, record.timestamp, record.value or b"", record.headers)

    async def statuses(self, province: Province, records: Sequence[Record]) -> list[SignatureStatus]:
        """Return the status of each record's signature, in order; on all cores, off the event loop."""
        if self.is_off(province):
            return [SignatureStatus.UNASKED] * len(records)
        return await on_all_cores(lambda record: self.status_on(province, record), records)

    def _verify(self, province: Province, received_at: int, signed: Signed) -> SignatureStatus:
        key = self.keys.get((province, signed.key_id)) if signed.key_id else None
        if key is None or not key.holds_at(received_at):
            return SignatureStatus.KEY_UNKNOWN
        if isinstance(signed.signature, SignatureStatus):
            return signed.signature
        return SignatureStatus.VALID if key.verify(signed.signature, signed.message) else SignatureStatus.INVALID


NO_SIGNATURES = KeyRing(dict.fromkeys(Province, "off"), {})

_THREADS = usable_cores()
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="signatures")


async def on_all_cores(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do ``work`` on each of ``items``, in order, off the event loop; it must release the GIL while it
    computes."""

    def work_off(chunk: Sequence[Item]) -> list[Result]:
        return [work(each) for each in chunk]

    size = max(1, -(-len(items) // _THREADS))
    loop = asyncio.get_running_loop()
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    done = await asyncio.gather(*(loop.run_in_executor(_pool, work_off, chunk) for chunk in chunks))
    return [result for chunk in done for result in chunk]


def load_key_ring(settings: Settings) -> KeyRing:
    """Load the settings' policies and keys. Raises ConfigurationError naming file, key and mistake."""
    signatures = settings.signatures
    policies: dict[Province, Policy] = {
        Province.SICHUAN: signatures.sichuan,
        Province.CHONGQING: signatures.chongqing,
    }
    if all(policy == "off" for policy in policies.values()):
        return NO_SIGNATURES
    if signatures.keys is None:
        raise ConfigurationError(f"{settings.file}: signatures.keys: name the file of the provinces' public keys")
    path = settings.beside_file(signatures.keys)
    return KeyRing(policies, read_keys(path).of_provinces(path))


def read_keys(path: Path) -> Keys:
    """Read the public keys in ``path``. Raises ConfigurationError naming file, key and mistake."""
    try:
        return Keys.model_validate(read_yaml(path) or {})
    except NotYamlError as error:
        raise ConfigurationError(f"signatures.keys: {path} is {error}") from None
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [f"  {'.'.join(str(step) for step in each['loc'])}: {words_of(each)}" for each in problems]
        raise ConfigurationError(f"{path} is not valid:\n" + "\n".join(lines)) from None


def _require_distinct(path: Path, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigurationError(f"{path}: key {name} stands there twice")


def _milliseconds(moment: datetime.datetime) -> int:
    return round(moment.timestamp() * 1000)


def _load_sm2(pem: bytes) -> Callable[[bytes, bytes], bool]:
    extras.require("sm2", "an SM2 key (signatures.keys)")
    # Slow to import, and needed only where events are signed.
    from tongsuopy.crypto import exceptions, hashes, serialization  # noqa: PLC0415
    from tongsuopy.crypto.asymciphers import ec, utils  # noqa: PLC0415

    try:
        key: Any = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, exceptions.UnsupportedAlgorithm):
        key = None
    if not isinstance(getattr(key, "curve", None), ec.SM2):
        raise ValueError("public_key is not the PEM of an SM2 public key")  # noqa: TRY004 — as pydantic wants it
    algorithm = ec.ECDSA(hashes.SM3())  # with SM2's key this is SM2's own scheme, with the default user ID

    def verify(signature: bytes, message: bytes) -> bool:
        halves = (int.from_bytes(signature[:HALF], "big"), int.from_bytes(signature[HALF:], "big"))
        try:
            key.verify(utils.encode_dss_signature(*halves), message, algorithm)
        except exceptions.InvalidSignature:
            return False
        return True

    return verify


def _load_ed25519(pem: bytes) -> Callable[[bytes, bytes], bool]:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("public_key is not the PEM of an Ed25519 public key")  # noqa: TRY004 — as pydantic wants it
    found = key

    def verify(signature: bytes, message: bytes) -> bool:
        try:
            found.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return verify


_LOADERS: dict[str, Callable[[bytes], Callable[[bytes, bytes], bool]]] = {"sm2": _load_sm2, "ed25519": _load_ed25519}
