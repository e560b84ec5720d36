"""What the list says of a display: the row it belongs to, and five checks against it, always all five."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from gateway.core.names import normalise, normalise_certificate
from gateway.core.province import Province, province_of_region
from gateway.core.recognition.document import Cell, Provenance, Scenario, Scope
from gateway.core.recognition.editions import ListedRow


class Shown(NamedTuple):
    """Of a display event, all that the list has a say in."""

    province: Province
    type_name: str
    issuer_name: str
    channel: str
    scenario: str
    region_code: str
    verifier_name: str | None

    @property
    def place(self) -> Province | None:
        """The province where it was shown; None where that is neither.

        Beyond it no row and no check looks at ``region_code``, and the native kernel relies on that.
        """
        return province_of_region(self.region_code)


class Match(StrEnum):
    """How a value compares with the row's cell."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNRESOLVED = "unresolved"  # the cell is inferred or missing: nothing can be said, so nothing passes


class Dimension(msgspec.Struct, frozen=True, gc=False):
    """One of the five: certificate, issuer, channel, scenario, scope. ``canonical`` is the list's own word
    for a match."""

    name: str
    field: str
    cell: str
    found: str | None
    accepted: tuple[str, ...]
    match: Match
    canonical: str | None = None
    provenance: Provenance = Provenance.READ


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """A display compared with one row in five dimensions, in the contract's order."""

    certificate: Dimension
    issuer: Dimension
    channel: Dimension
    scenario: Dimension
    scope: Dimension

    misses: int
    """How many of the five do not match."""
    resolved: bool
    """Whether all five cells are read."""

    @property
    def all(self) -> tuple[Dimension, ...]:
        """All five, in order."""
        return (self.certificate, self.issuer, self.channel, self.scenario, self.scope)


class RowIndex:
    """One row made ready for comparing; immutable."""

    def __init__(self, listed: ListedRow) -> None:
        self.listed = listed
        self.ref = listed.ref
        self.names = frozenset(listed.row.names())
        self._issuers = {side: _by_name(listed.row.issuers.of(side).value or ()) for side in Province}
        self._channels = _by_name(listed.row.channels.value or ())
        # What a rejection says would have been accepted, by column.
        self._accepted_name = (listed.row.certificate.value,) if listed.row.certificate.value else ()
        self._accepted_issuers = {side: tuple(names.values()) for side, names in self._issuers.items()}
        self._accepted_channels = tuple(self._channels.values())
        self._accepted_scenarios = tuple(f"{each.code} {each.text}" for each in listed.row.scenarios.value or ())
        self._scenarios = {
            normalise(word): scenario
            for scenario in listed.row.scenarios.value or ()
            for word in (scenario.code, scenario.text, *scenario.aliases)
        }

    @property
    def certificate(self) -> str | None:
        """The list's own words for the certificate; None where they are lost."""
        return self.listed.row.certificate.value

    def issuing_units(self, *provinces: Province) -> tuple[str, ...]:
        """Return the row's issuing units of ``provinces``, as far as its cells are resolved."""
        cells = [self.listed.row.issuers.of(province) for province in provinces]
        return tuple(unit for cell in cells if cell.resolved for unit in cell.value or ())

    def asks_for_the_unit(self, place: Province) -> bool:
        """Tell whether the scope in ``place`` is about the verifying unit; else it is about the region."""
        scope = self.listed.row.scope.of(place).value
        return scope is not None and scope.whole is None

    def has_issuer(self, province: Province, name: str) -> bool:
        """Tell whether ``name`` is one of ``province``'s issuers, even by an inferred cell."""
        return normalise(name) in self._issuers[province]

    def scenario(self, words: str) -> Scenario | None:
        """Look up the row's scenario of this code, text or alias."""
        return self._scenarios.get(normalise(words))

    def scenario_text(self, code: str | None) -> str | None:
        """Return the list's words for the scenario of this code."""
        scenario = self._scenarios.get(normalise(code)) if code else None
        return scenario.text if scenario else None

    def compare(self, shown: Shown) -> Comparison:
        """Compare ``shown`` with this row."""
        origin, place = shown.province, shown.province.other
        return _comparison(
            self.compare_certificate(shown.type_name),
            self.compare_issuer(origin, shown.issuer_name),
            self.compare_channel(shown.channel),
            self.compare_scenario(shown.scenario),
            self._compare_scope(shown, self.listed.row.scope.of(place), place),
        )

    def compare_certificate(self, name: str) -> Dimension:
        """Tell whether the row lists the certificate."""
        cell = self.listed.row.certificate
        canonical = cell.value if normalise_certificate(name) in self.names else None
        return _dimension(
            "certificate", "certificate.type_name", "certificate", cell, name, self._accepted_name, canonical
        )

    def compare_issuer(self, province: Province, name: str) -> Dimension:
        """Tell whether it is one of the issuers of ``province``, from where the certificate is."""
        return _dimension(
            "issuer", "certificate.issuer_name", f"issuers.{province.value}", self.listed.row.issuers.of(province),
            name, self._accepted_issuers[province], self._issuers[province].get(normalise(name)),
        )  # fmt: skip

    def compare_channel(self, name: str) -> Dimension:
        """Tell whether it was shown through one of the row's channels."""
        return _dimension(
            "channel", "display.channel", "channels", self.listed.row.channels, name,
            self._accepted_channels, self._channels.get(normalise(name)),
        )  # fmt: skip

    def compare_scenario(self, words: str) -> Dimension:
        """Tell whether it was shown in one of the row's scenarios."""
        scenario = self.scenario(words)
        return _dimension(
            "scenario", "display.scenario", "scenarios", self.listed.row.scenarios, words,
            self._accepted_scenarios, scenario.code if scenario else None,
        )  # fmt: skip

    def _compare_scope(self, shown: Shown, cell: Cell[Scope], place: Province) -> Dimension:
        scope = cell.value
        by_region = not self.asks_for_the_unit(place)
        found = shown.region_code if by_region else shown.verifier_name
        return _dimension(
            "scope", "display.region_code" if by_region else "display.verifier_name", f"scope.{place.value}", cell,
            found, (scope.units or (scope.text,)) if scope else (),
            found if scope and found and self._in_scope(scope, shown, place) else None,
        )  # fmt: skip

    def _in_scope(self, scope: Scope, shown: Shown, place: Province) -> bool:
        if scope.whole:
            return shown.place is place
        if shown.verifier_name is None:
            return False
        if scope.units:
            return normalise(shown.verifier_name) in {normalise(unit) for unit in scope.units}
        return self.listed.rules[scope.rule or ""].admits(shown.verifier_name)


def _comparison(
    certificate: Dimension, issuer: Dimension, channel: Dimension, scenario: Dimension, scope: Dimension
) -> Comparison:
    matches = [certificate.match, issuer.match, channel.match, scenario.match, scope.match]
    misses = len(matches) - matches.count(Match.MATCH)
    return Comparison(certificate, issuer, channel, scenario, scope, misses, resolved=Match.UNRESOLVED not in matches)


def _by_name(words: Iterable[str]) -> dict[str, str]:
    return {normalise(word): word for word in words}


def _dimension(
    name: str, field: str, cell_name: str, cell: Cell[Any], found: str | None,
    accepted: tuple[str, ...], canonical: str | None,
) -> Dimension:  # fmt: skip
    matched = Match.MATCH if canonical is not None else Match.MISMATCH
    match = matched if cell.resolved else Match.UNRESOLVED
    resolved_words = accepted if cell.resolved else ()
    return Dimension(name, field, cell_name, found, resolved_words, match, canonical, cell.provenance)


class NearestRow:
    """Finds the row that an unlisted certificate's name comes closest to, without scanning the list."""

    def __init__(self, rows: Iterable[RowIndex]) -> None:
        self._rows = list(rows)
        self._by_pair: dict[str, list[int]] = {}
        self._pairs: list[int] = []
        for position, row in enumerate(self._rows):
            pairs = set().union(*(_pairs(name) for name in row.names))
            self._pairs.append(len(pairs))
            for pair in pairs:
                self._by_pair.setdefault(pair, []).append(position)

    def find(self, shown: Shown) -> RowIndex | None:
        """Find the row with the most similar name (shared character pairs), else one with that issuer, else
        None."""
        pairs = _pairs(normalise_certificate(shown.type_name)[:64])
        shared = Counter(position for pair in pairs for position in self._by_pair.get(pair, ()))
        if shared:
            best = max(
                shared, key=lambda position: (2 * shared[position] / (len(pairs) + self._pairs[position]), -position)
            )
            return self._rows[best]
        return next((row for row in self._rows if row.has_issuer(shown.province, shown.issuer_name)), None)


def _pairs(name: str) -> set[str]:
    return {name[index : index + 2] for index in range(max(1, len(name) - 1))} if name else set()
