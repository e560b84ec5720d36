"""Events of row 6, whose scope is only inferred in the shipped list, and the amendment that resolves it."""

import datetime
import json
import shutil
from pathlib import Path

import yaml

from gateway.adapters.settings import packaged_config
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulated

CHINA = datetime.timezone(datetime.timedelta(hours=8))


def row_6_event(number: int, shown: datetime.datetime, **attributes: object) -> Simulated:
    """A professional qualification of a driver, shown at a roadside check; a made-up holder each."""
    event = (
        display_event(Province.SICHUAN)
        | {"id": f"row6-{number}", "time": shown.isoformat(timespec="seconds")}
        | attributes
    )
    event["data"]["certificate"] |= {"type_name": "从业资格证", "type_code": None}
    event["data"]["display"] |= {"scenario": "06-2"}
    event["data"]["holder"] = {"kind": "person", "ref": f"sm3:{number:064x}", "name_masked": "张*"}
    key = str(event["data"]["holder"]["ref"]).encode()
    value = json.dumps(event, ensure_ascii=False).encode()
    return Simulated(province=Province.SICHUAN, key=key, value=value, headers=[], expected=Outcome.REJECT, codes=())


def copy_of_the_list(folder: Path) -> Path:
    """The shipped list in a folder that a test may edit."""
    target = folder / "recognition"
    shutil.copytree(packaged_config() / "recognition", target)
    return target


def amendment(effective_from: datetime.date) -> str:
    """Return an amendment that resolves row 6's scope on both sides from that day on."""
    content = {
        "amends": 1,
        "document": {"number": "测试〔2026〕1号", "title": "更正", "issued_by": ["测试机关"], "signed": "2026-11-01"},
        "effective_from": effective_from.isoformat(),
        "set": [
            {"row": 6, "cell": "scope.sichuan", "value": {"text": "四川全省范围内", "whole": True}},
            {"row": 6, "cell": "scope.chongqing", "value": {"text": "重庆全市范围内", "whole": True}},
        ],
    }
    return yaml.safe_dump(content, allow_unicode=True)
