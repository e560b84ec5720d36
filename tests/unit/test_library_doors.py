"""Nothing but the modules of patches touches a library's private names."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import gateway
from gateway.adapters import aiokafka_patches, batch_patches, faust_patches, fetch_patches
from tests.unit.foreign import LIBRARIES, foreign_bases

ROOT = Path(__file__).parents[2]


DOORS = {
    "gateway/adapters/aiokafka_patches.py",
    "gateway/adapters/batch_patches.py",
    "gateway/adapters/fetch_patches.py",
    "gateway/adapters/faust_patches.py",
}
PROTOCOL = {
    "gateway/adapters/kafka_requests.py",  # requests that aiokafka has no words for: made of its protocol's classes
    "gateway/adapters/log_facts.py",
    "gateway/adapters/raw_log.py",  # and those whose answers its consumer keeps to itself
}
INNER = re.compile(
    r"aiokafka\.(client|cluster|conn|consumer|coordinator|producer|protocol|record|util)\b|faust\.(transport|app\.base)\b|mode\.threads\b"
)
OPEN_PRIVATES = {"_replace", "_asdict", "_make", "_fields", "_field_defaults", "_exit"}
"""Of NamedTuple, and of os: documented."""


def sources() -> list[Path]:
    found = [path for folder in ("gateway", "benchmarks", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 150
    return [path for path in found if str(path.relative_to(ROOT)) not in DOORS]


def private_access(tree: ast.AST) -> list[str]:
    """``thing._name`` where thing is not the object at work itself, nor of a class whose ``_name`` this
    module declares."""
    own = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.match(r"_[a-z]", node.attr)
        and node.attr not in OPEN_PRIVATES | own
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    ]


def replacements(tree: ast.AST) -> list[str]:
    """``library.name = …`` and ``setattr(library, …)``, by the names under which this module imports
    them."""
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (node.module or "" if isinstance(node, ast.ImportFrom) else alias.name).partition(".")[0] in LIBRARIES
    }
    found = []
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = [each for each in node.targets if isinstance(each, ast.Attribute)]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            targets = [node.target]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "delattr"}:
            targets = node.args[:1]
        found += [
            f"{each.lineno}: {ast.unparse(each)}" for each in targets if ast.unparse(each).partition(".")[0] in imported
        ]
    return found


def inner_imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if INNER.match(name)]


def made_clients(tree: ast.AST) -> list[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if re.search(r"\bAIOKafka\w*$", ast.unparse(call.func))]


def test_only_the_patches_touch_private_library_names() -> None:
    found = []
    for path in sources():
        tree, name = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(ROOT))
        wrong = [*private_access(tree), *replacements(tree)]
        if name not in PROTOCOL:
            wrong += inner_imports(tree)
        # The local Kafka asks whether a broker is ready, the benchmark's peers stand alone: patches would be
        # in the way.
        if name.startswith("gateway/") and "/local_kafka/" not in name:
            wrong += made_clients(tree)
        found += [f"{name}: {each}" for each in wrong]
    assert found == []


def test_these_rules_see_what_they_are_for() -> None:
    tree = ast.parse(
        "from aiokafka.producer import sender\nimport aiokafka.client\nsender.X = 1\naiokafka.client.y = 2\nc._z"
    )
    assert private_access(tree) == ["5: c._z"]
    assert replacements(tree) == ["3: sender.X", "4: aiokafka.client.y"]
    assert inner_imports(tree) == ["aiokafka.producer.sender", "aiokafka.client"]
    assert made_clients(ast.parse("aiokafka.AIOKafkaConsumer(x)")) == ["aiokafka.AIOKafkaConsumer(x)"]


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(gateway.__path__, "gateway.")
    return [importlib.import_module(each.name) for each in found if not each.name.endswith("__main__")]


def test_no_class_overrides_a_librarys_private_names() -> None:
    """No class of ours overrides a private name; two are documented as what a codec has to define."""
    found = set()
    for module in modules():
        for kind in (each for each in vars(module).values() if inspect.isclass(each)):
            bases = foreign_bases(kind)
            if (
                not bases
                or kind.__module__ != module.__name__
                or module in {aiokafka_patches, batch_patches, faust_patches, fetch_patches}
            ):
                continue
            theirs = {
                name for base in bases for name in (*vars(base), *re.findall(r"self\.(\w+)", inspect.getsource(base)))
            }
            ours = {*vars(kind), *re.findall(r"(?:self|super\(\))\.(\w+)", inspect.getsource(kind))}
            found |= {
                f"{kind.__name__}.{name}" for name in ours & theirs if re.match(r"_[a-z]", name) and name != "_abc_impl"
            }
    assert {each for each in found if not each.endswith(("._dumps", "._loads"))} == set()
    assert found, "codecs are to be seen here"
