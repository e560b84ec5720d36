"""The mapping file: how a platform's own record becomes an event, field by field (docs/provinces.md)."""

import hmac
import json
from collections.abc import Callable
from collections.abc import Mapping as AnyMapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from gateway.adapters.strict_yaml import NotYamlError, YamlFile, open_yaml
from gateway.contract.display_event.model import EVENT_TYPE, Certificate, Display, Holder
from gateway.contract.strict_json import NotJsonError, read
from gateway.core.mistakes import words_of
from gateway.core.province import Province
from gateway.core.times import is_date
from gateway.core.width import fold_width
from gateway.errors import ConfigurationError
from gateway.operate.publish.checking import LineProblem, NotMappedError
from gateway.operate.publish.dates import EPOCHS, in_words, is_last_day, is_no_end, problem_of, reader_of

_PARTS: dict[str, type[BaseModel]] = {"certificate": Certificate, "holder": Holder, "display": Display}
_ATTRIBUTES = {"id": True, "time": True, "traceparent": False, "tracestate": False}
_FIELDS = _ATTRIBUTES | {
    f"{part}.{name}": field.is_required()
    for part, model in _PARTS.items()
    for name, field in model.model_fields.items()
}
"""Every field that a rule can make, and whether an event must have it."""
_DATES = ("certificate.valid_from", "certificate.valid_until")
_END = "certificate.valid_until"
_OFFSET = r"^[+-](0[0-9]|1[0-4]):[0-5][0-9]$"
_SHORTEST_KEY = 16

Text = Annotated[str, StringConstraints(min_length=1)]


class Rule(BaseModel):
    """How one field is made: of the record's field ``from``, or always ``value``; each other key does one
    thing to it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, coerce_numbers_to_str=True)

    source: Text | None = Field(None, alias="from", description="The record's field; dots lead into objects.")
    value: Text | None = Field(None, description="The same for every event.")
    optional: bool = Field(False, description="Where the record has no such field, the event has none either.")
    values: dict[str, Text] | None = Field(None, description="What the record's own codes mean.")
    format: Text | None = Field(None, description="Of a time or date: strptime's, or epoch_s, epoch_ms.")
    zone: Annotated[str, StringConstraints(pattern=_OFFSET)] | None = Field(
        None, description="The time's offset, +08:00."
    )
    prefix: Text | None = Field(None, description="Put before what the record has.")
    mask: Literal[True] | None = Field(None, description="Keep the first character of a name, and ** for the rest.")
    hmac_sm3: Path | None = Field(
        None,
        description="File of a secret key, blanks and line ends around it left out: the identity number becomes a reference.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.source is None) == (self.value is None):
            raise ValueError("needs either `from`, a field of the record, or `value`, the same for all")
        if self.value is not None and len(self.model_fields_set) > 1:
            raise ValueError("`value` stands alone: there is nothing to be done to it")
        if self.format is None and self.zone is not None:
            raise ValueError("`zone` belongs to a `format`")
        return self


class MappingFile(BaseModel):
    """A mapping as it stands in its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    province: Province = Field(description="Whose events they are.")
    event: dict[str, Rule]


class Mapping:
    """Makes events of records; ``load_mapping`` reads one."""

    def __init__(self, content: MappingFile, keys: AnyMapping[Path, bytes], places: AnyMapping[str, str]) -> None:
        self.province = content.province
        self._places = places
        self._steps = {field: _steps(field, rule, keys) for field, rule in content.event.items()}
        self._rules = content.event

    def apply(self, raw: bytes) -> bytes:
        """Return the event, as JSON, that ``raw`` (a JSON object) becomes. Raises NotMappedError with every
        problem."""
        try:
            document = read(raw)
        except NotJsonError as error:
            raise NotMappedError([LineProblem(error.code, "record", "不是JSON：", str(error))]) from None
        if not isinstance(document.value, dict):
            raise NotMappedError([LineProblem("NOT_JSON", "record", "应为JSON对象", "must be a JSON object")])
        if document.flaws:
            raise NotMappedError(
                [
                    LineProblem(
                        "NOT_JSON",
                        "record",
                        "有重复的字段或非法字符",
                        "a field stands twice in it, or is not valid Unicode",
                    )
                ]
            )
        made: dict[str, str] = {}
        problems = []
        for field, rule in self._rules.items():
            try:
                text = rule.value if rule.source is None else _find(document.value, rule.source, optional=rule.optional)
                if field == _END and text is not None and is_no_end(text):
                    continue
                for step in self._steps[field]:
                    text = step(text) if text is not None else None
            except _NoTextError as error:
                problems.append(LineProblem("MAPPING", field, error.zh, error.en, self._places[field]))
            else:
                if text is not None:
                    made[field] = text
        if problems:
            raise NotMappedError(problems)
        return self._event(made)

    def _event(self, made: dict[str, str]) -> bytes:
        data: dict[str, dict[str, str]] = {part: {} for part in _PARTS}
        for field, text in made.items():
            part, _, name = field.partition(".")
            if name:
                data[part][name] = text
        attributes = {name: made[name] for name in _ATTRIBUTES if name in made}
        fixed = {"specversion": "1.0", "type": EVENT_TYPE, "source": self.province.source}
        event = fixed | attributes | {"datacontenttype": "application/json", "data": data}
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def explain(self, problem: LineProblem) -> LineProblem:
        """Return ``problem`` of an event with the place of the rule that made the field."""
        return problem._replace(rule=self._places.get(problem.field))


class _NoTextError(Exception):
    """A rule finds no text in a record, or can make nothing of it; the messages hold no value."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh, self.en = zh, en
        super().__init__(en)


def _find(record: dict[str, Any], path: str, *, optional: bool) -> str | None:
    found: Any = record.get(path)
    if found is None and "." in path:
        found = record
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    if found is None or found == "":
        if optional:
            return None
        raise _NoTextError(f"原始记录没有字段“{path}”", f"the record has no {path}, or it is empty")
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str):
        raise _NoTextError(f"原始字段“{path}”不是文本", f"the record's {path} is neither text nor a whole number")
    return found


Step = Callable[[str], str | None]


def _steps(field: str, rule: Rule, keys: AnyMapping[Path, bytes]) -> list[Step]:
    """Return what is done to the record's text, in this order."""
    steps: list[Step] = []
    if rule.values is not None:
        steps.append(_lookup(rule.values))
    if rule.format is not None:
        steps.append(_moment(rule.format, rule.zone, with_time=field == "time"))
    elif field in _DATES:
        steps.append(_require_date)
    if field == _END:
        # No certificate ends on that day: it fills a field that has to hold a date.
        steps.append(lambda text: None if is_last_day(date.fromisoformat(text)) else text)
    if rule.mask:
        steps.append(lambda text: text[:1] + "**")
    if rule.hmac_sm3 is not None:
        key = keys[rule.hmac_sm3]
        steps.append(lambda text: "sm3:" + hmac.new(key, _fold(text).encode(), "sm3").hexdigest())
    if rule.prefix is not None:
        prefix = rule.prefix
        steps.append(lambda text: prefix + text)
    return steps


def _fold(number: str) -> str:
    """Return an identity number in the one form that is digested: half-width, in capitals, without blanks
    around it."""
    return fold_width(number).strip().upper()


def _lookup(values: dict[str, str]) -> Step:
    def step(text: str) -> str:
        if text not in values:
            raise _NoTextError("取值不在 values 中", "its value is none of those under `values`")
        return values[text]

    return step


def _moment(pattern: str, zone: str | None, *, with_time: bool) -> Step:
    """Read a time or date as the platform writes it, into RFC 3339, or for a date YYYY-MM-DD."""
    read = reader_of(pattern, zone)

    def step(text: str) -> str:
        try:
            moment = read(text)
        except (ValueError, OverflowError, OSError):
            shape = in_words(pattern)
            raise _NoTextError(
                f"不符合格式“{pattern}” （应写作 {shape}，且为存在的日期）",
                f"it is not written as `format` says: {pattern}, a date that exists, written {shape}",
            ) from None
        return moment.isoformat() if with_time else moment.date().isoformat()

    return step


def _require_date(text: str) -> str:
    if not is_date(text):
        raise _NoTextError(
            "应为存在的日期（YYYY-MM-DD）", "must be a calendar date, YYYY-MM-DD; or give the rule a `format`"
        )
    return text


def load_mapping(file: Path, province: Province) -> Mapping:
    """Read a mapping of ``province``'s records. Raises ConfigurationError naming line and field of each
    mistake."""
    try:
        yaml = open_yaml(file)
    except NotYamlError as error:
        raise ConfigurationError(f"--mapping: {file} is {error}") from None
    try:
        content = MappingFile.model_validate(yaml.content)
    except ValidationError as error:
        raise _invalid(
            [_sentence(file, yaml, problem) for problem in error.errors(include_url=False, include_input=False)]
        ) from None
    problems = [
        f"{file}:{yaml.line_of(['event', field])}: event.{field}: {what}" for field, what in _wrong_fields(content)
    ]
    if content.province is not province:
        line = yaml.line_of(["province"])
        problems.append(f"{file}:{line}: province: it maps {content.province}'s records, but --province is {province}")
    keys = {}
    for field, rule in content.event.items():
        if rule.hmac_sm3 is not None:
            try:
                keys[rule.hmac_sm3] = _read_key(file.parent / rule.hmac_sm3)
            except ValueError as error:
                problems.append(f"{file}:{yaml.line_of(['event', field, 'hmac_sm3'])}: event.{field}.hmac_sm3: {error}")
    if problems:
        raise _invalid(problems)
    places = {field: f"{file}:{yaml.line_of(['event', field])}" for field in content.event}
    return Mapping(content, keys, places)


def _invalid(problems: list[str]) -> ConfigurationError:
    return ConfigurationError("the mapping is not valid:\n" + "\n".join(f"  {problem}" for problem in problems))


def _sentence(file: Path, yaml: YamlFile, problem: Any) -> str:
    steps = [step for step in problem["loc"] if step != "[key]"]
    message = words_of(problem)
    return f"{file}:{yaml.line_of(steps)}: {'.'.join(map(str, steps)) or 'the file'}: {message}"


def _wrong_fields(content: MappingFile) -> list[tuple[str, str]]:
    """Find fields that no event has, those that it must have and no rule makes, and rules that do not match
    their field."""
    found = []
    for field, rule in content.event.items():
        if field not in _FIELDS:
            found.append((field, f"no field of an event; there are {', '.join(_FIELDS)}"))
        elif rule.optional and _FIELDS[field]:
            found.append((field, "an event must have it, so it cannot be optional"))
        elif rule.mask and field != "holder.name_masked":
            found.append((field, "`mask` is for holder.name_masked"))
        elif rule.hmac_sm3 is not None and field != "holder.ref":
            found.append((field, "`hmac_sm3` is for holder.ref"))
        elif rule.format is not None and field not in {"time", *_DATES}:
            found.append((field, "`format` is for time, certificate.valid_from and certificate.valid_until"))
        elif (
            rule.format is not None
            and field == "time"
            and not (rule.zone or "%z" in rule.format or rule.format in EPOCHS)
        ):
            found.append((field, 'a time needs its offset: add `zone: "+08:00"`'))
        elif rule.format is not None and (problem := problem_of(rule.format, with_time=field == "time")):
            found.append((field, f"format: {problem}"))
    missing = [field for field, required in _FIELDS.items() if required and field not in content.event]
    return found + [(field, "an event must have it, and no rule makes it") for field in missing]


def _read_key(path: Path) -> bytes:
    """Return the key: the file's bytes as they are, without ASCII blanks and line ends at the beginning and
    the end."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    if len(key) < _SHORTEST_KEY:
        raise ValueError(
            f"{path} holds fewer than {_SHORTEST_KEY} bytes (blanks and line ends around them do not count): "
            "such a key can be guessed"
        )
    return key
