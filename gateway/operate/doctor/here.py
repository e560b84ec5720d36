"""What can be checked without a broker: configuration, secrets, the recognition list."""

import datetime
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from gateway.adapters.access import Role
from gateway.adapters.list_files import load_recognition
from gateway.adapters.own_signatures import load_record_check, load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.tracing import require_tracing
from gateway.core.recognition.editions import edition_at
from gateway.core.words import count_of
from gateway.errors import ConfigurationError, RecognitionListError
from gateway.operate.doctor.result import CheckResult, Installation, fine, notice, problem

_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_SOON = datetime.timedelta(days=30)
_CONTAINER_SECRETS = Path("/run/secrets")
"""Where Docker and Compose put a container's secrets: whoever is in there is the service itself."""


async def check_configuration(installation: Installation) -> list[CheckResult]:
    """Report the settings, which are valid (or they would not be here); try what depends on other files."""
    settings, findings = installation.settings, []
    names = sorted(name for name in os.environ if name.startswith("GATEWAY_") and name != "GATEWAY_CONFIG")
    beside = f", and the environment: {', '.join(names)}" if names else ""
    findings.append(fine("settings", f"{settings.file}{beside}"))
    try:
        load_key_ring(settings)
        load_record_check(settings)
        signer = load_record_signer(settings)
        own = f"signs as {signer.key_id}" if signer else "signs nothing"
        policy = f"sichuan {settings.signatures.sichuan}, chongqing {settings.signatures.chongqing}; the gateway {own}"
        findings.append(fine("signatures", policy))
    except ConfigurationError as error:
        findings.append(problem("signatures", str(error), "correct signatures.… (docs/signing.md)", error.exit_code))
    if settings.tracing.enabled:
        try:
            require_tracing()
            findings.append(fine("tracing", f"spans go to {settings.tracing.endpoint or 'where OTEL_… variables say'}"))
        except ConfigurationError as error:
            findings.append(problem("tracing", str(error), "install the extra `otel`", error.exit_code))
    return findings


async def check_secrets(installation: Installation) -> list[CheckResult]:
    """Check that every file of secrets that the settings name is there, holds something, and is not
    everybody's to read."""
    settings = installation.settings
    findings = [_secret(name, path) for name, path in _secret_files(settings)]
    if settings.kafka.ca_file is not None:
        findings.append(_certificate(settings.beside_file(settings.kafka.ca_file)))
    return findings or [fine("files", "the settings name no secret")]


def _secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    if password_file := settings.kafka.password_file:
        yield "kafka.password_file", settings.beside_file(password_file)
    if settings.web.operator_token_file:
        yield "web.operator_token_file", settings.beside_file(settings.web.operator_token_file)
    if settings.signatures.own_key:
        yield "signatures.own_key", settings.beside_file(settings.signatures.own_key)
    if folder := settings.access.passwords_dir:
        for role in Role:
            yield f"access.passwords_dir: {role}", settings.beside_file(folder) / role.value


def _secret(name: str, path: Path) -> CheckResult:
    try:
        is_empty = not path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        return problem(
            name,
            f"{path} cannot be read ({why})",
            "create it: `gateway secrets FOLDER` makes passwords, docs/signing.md keys",
        )
    if is_empty:
        return problem(name, f"{path} is empty", "write the secret into it, and nothing else")
    if _is_open_to_all(path.resolve()):
        return problem(
            name, f"{path} can be read by everybody on this machine", f"chmod o-r {path}, or close its folder"
        )
    return fine(name, f"{path} is readable, and not by everybody")


def _is_open_to_all(path: Path) -> bool:
    """Tell whether others may read the file and pass through all of its folders."""
    if _CONTAINER_SECRETS in path.parents:
        return False
    passable = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
    return passable and bool(path.stat().st_mode & stat.S_IROTH)


def _certificate(path: Path) -> CheckResult:
    name = "kafka.ca_file"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what an odd certificate is warned of is its authority's business
            ends = min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a PEM certificate"
        return problem(name, f"{path} cannot be read ({why})", "point it at the PEM file of the broker's authority")
    if ends - datetime.datetime.now(datetime.UTC) < _SOON:
        return problem(
            name, f"{path} is valid until {ends:%Y-%m-%d} only", "put its successor's certificate into the file"
        )
    return fine(name, f"{path} is valid until {ends:%Y-%m-%d}")


async def check_list(installation: Installation) -> list[CheckResult]:
    """Check that the recognition list can be loaded and has rows in force today; count its unresolved
    cells."""
    folder = installation.settings.recognition_dir
    try:
        recognition = load_recognition(folder)
    except RecognitionListError as error:
        advice = "correct the file; `gateway list validate` checks it again"
        return [problem("files", each, advice, error.exit_code) for each in error.problems]
    today = datetime.datetime.now(_CHINA).date().isoformat()
    edition = edition_at(recognition.editions, today)
    if edition is None or not edition.rows:
        return [problem("in force", f"{folder}: no row is in force today", "see effective_from and effective_until")]
    findings = [fine("files", f"{folder}: {count_of(len(edition.rows), 'row')} in force since {edition.since}")]
    unresolved = {listed.ref: listed.row.unresolved() for listed in edition.rows if listed.row.unresolved()}
    if unresolved:
        number = sum(len(cells) for cells in unresolved.values())
        rows = ", ".join(str(row) for row in sorted(unresolved))
        findings.append(
            notice(
                "unresolved cells", f"{number} 待确认 in rows {rows}: events that need one are LIST_ROW_UNRESOLVED",
                "resolve them by an amendment once the departments have answered; `gateway list show` names them",
            )
        )  # fmt: skip
    else:
        findings.append(fine("unresolved cells", "none"))
    return findings
