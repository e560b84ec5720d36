"""Events of which any member may be anything, for Hypothesis."""

import copy
from typing import Any

from hypothesis import strategies as st

from gateway.core.province import Province
from gateway.operate.examples import display_event

PROVINCES = st.sampled_from(Province)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)
PATHS = [
    (section, name)
    for section, names in {
        "certificate": [
            "type_name",
            "type_code",
            "identifier",
            "issuer_name",
            "issuer_code",
            "valid_from",
            "valid_until",
            "unknown",
        ],
        "holder": ["kind", "ref", "name_masked", "name"],
        "display": [
            "channel",
            "scenario",
            "matter_name",
            "matter_code",
            "region_code",
            "verifier_name",
            "verifier_code",
            "x y",
        ],
        "": [
            "id",
            "source",
            "type",
            "time",
            "specversion",
            "datacontenttype",
            "data",
            "extension",
            "traceparent",
            "Bad-Name",
        ],
    }.items()
    for name in names
]


def put(event: dict[str, Any], path: tuple[str, str], value: Any) -> None:
    (event["data"][path[0]] if path[0] else event)[path[1]] = value


@st.composite
def mutated_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of the examples with some members replaced by anything."""
    event = copy.deepcopy(display_event(draw(PROVINCES)))
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=4)):
        data = event.get("data")
        if not path[0] or (isinstance(data, dict) and isinstance(data.get(path[0]), dict)):
            put(event, path, draw(JSON))
    return event
