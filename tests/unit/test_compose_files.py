"""Every variable, path and port that the compose files name is one that the code, the settings and the other
files know."""

import json
import re
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from gateway import __version__
from gateway.adapters.settings import load_settings
from gateway.cli.main import app
from gateway.operate.local_kafka import KAFKA_VERSION
from gateway.operate.secret_files import make_passwords
from tests.promql import metrics_of, recorded_by
from tests.unit.test_alerts import ALERTS, exposed_names

ROOT = Path(__file__).resolve().parents[2]
BASE = "docker-compose.yml"
OVERRIDES = ("docker-compose.three-nodes.yml", "docker-compose.tls.yml")
STACKS = [(BASE,), *((BASE, override) for override in OVERRIDES)]
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+):-([^}]*)\}")
OURS = ("topics", "relay", "feedback", "demo", "audit", "report", "archive")
MADE_BY_CA_SCRIPT = {"ca.pem", "kafka.pem"}


def filled_in(text: str) -> str:
    """Fill in the variables' defaults, as Compose would."""
    return VARIABLE.sub(lambda found: found[2], text).replace("$$", "$")


@cache
def services(files: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The services of the files together, merged as Compose does as far as these files need it."""
    merged: dict[str, dict[str, Any]] = {}
    for file in files:
        for name, service in yaml.safe_load(filled_in((ROOT / file).read_text()))["services"].items():
            into = merged.setdefault(name, {})
            for key, value in service.items():
                if key == "volumes":
                    by_target = {each.split(":")[1]: each for each in (*into.get(key, ()), *value)}
                    into[key] = list(by_target.values())
                elif key in {"secrets", "ports"}:
                    into[key] = list(dict.fromkeys((*into.get(key, ()), *value)))
                elif isinstance(value, dict):
                    into[key] = into.get(key, {}) | value
                else:
                    into[key] = value
    return merged


def each_service() -> list[Any]:
    return [
        pytest.param(service, services(files), id=f"{'+'.join(files)} {service}")
        for files in STACKS
        for service in services(files)
    ]


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def mounts_of(service: dict[str, Any]) -> dict[str, str]:
    """Path in the container → what is there: a path of this folder, or a volume's name."""
    return {target: source for source, target, *_ in (each.split(":") for each in service.get("volumes", ()))}


def in_this_folder(path: str, service: dict[str, Any]) -> Path | None:
    """The file of the repository that ``path`` in the container is; None for one that is in no mounted
    folder."""
    for target, source in mounts_of(service).items():
        if source.startswith("./") and (path == target or path.startswith(target + "/")):
            return ROOT / source / path[len(target) :].lstrip("/")
    return None


@pytest.mark.parametrize("service", OURS)
@pytest.mark.parametrize("files", STACKS, ids="+".join)
def test_our_variables_are_settings_and_their_paths_are_mounted(
    service: str, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = services(files)[service]
    environment = environment_of(found)
    for name, value in environment.items():
        assert name.startswith("GATEWAY_")
        monkeypatch.setenv(name, value)
    config = in_this_folder(environment["GATEWAY_CONFIG"], found)
    assert config is not None
    settings = load_settings(config)  # refuses an unknown variable, and an invalid value
    for path in (settings.kafka.password_file, settings.kafka.ca_file):
        if path is not None:
            assert path.parent == Path("/run/secrets")
            assert path.name in found["secrets"]
    if settings.access.passwords_dir is not None:
        assert str(settings.access.passwords_dir) == "/run/secrets"
        reads = {
            "topics": {"sichuan", "chongqing", "gateway", "operator"},
            "demo": {"sichuan", "chongqing", "operator"},
        }
        assert reads[service] <= set(found["secrets"])
    brokers = {server.split(":")[0] for server in settings.bootstrap_servers.split(",")}
    assert brokers == {name for name in services(files) if name.startswith("kafka")}
    for server in settings.bootstrap_servers.split(","):
        host, port = server.split(":")
        assert f"INTERNAL://{host}:{port}" in services(files)[host]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        assert f"INTERNAL://:{port}" in services(files)[host]["environment"]["KAFKA_LISTENERS"]
    if service == "relay":
        assert int(found["stop_grace_period"].removesuffix("s")) > settings.relay.drain_timeout_s
    if settings.web.enabled:
        assert f"//127.0.0.1:{settings.web.port}/healthz" in str(found["healthcheck"]["test"])
    for published in found.get("ports", ()):
        assert int(published.rpartition(":")[2]) == settings.web.port


def test_every_setting_named_with_two_levels_exists() -> None:
    """What `load_settings` would take for somebody else's variable is not a setting of ours here."""
    known = load_settings().model_dump()
    for files, service in product(STACKS, OURS):
        for name in environment_of(services(files)[service]):
            if name == "GATEWAY_CONFIG":
                continue
            part: Any = known
            for step in name.removeprefix("GATEWAY_").lower().split("__"):
                assert step in part, f"{name} of {service} is not a setting"
                part = part[step]


@pytest.mark.parametrize("service", OURS)
def test_our_commands_are_commands(service: str) -> None:
    command: Any = typer.main.get_command(app)
    arguments = list(services((BASE,))[service]["command"])
    context = command.make_context("gateway", [], resilient_parsing=True)
    while hasattr(command, "get_command"):
        command = command.get_command(context, arguments.pop(0))
        assert command is not None
    command.make_context(service, arguments)  # refuses an option that there is not


@pytest.mark.parametrize(("service", "stack"), each_service())
def test_everything_a_compose_service_refers_to_exists(service: str, stack: dict[str, Any]) -> None:
    found = stack[service]
    tops = [yaml.safe_load((ROOT / file).read_text()) for file in (BASE, *OVERRIDES)]
    volumes, given = ({name for top in tops for name in top.get(key, {})} for key in ("volumes", "secrets"))
    for target, source in mounts_of(found).items():
        assert (ROOT / source).exists() if source.startswith("./") else source in volumes, f"{source} at {target}"
    assert set(found.get("secrets", ())) <= given
    assert set(found.get("depends_on", ())) <= stack.keys()
    assert found.get("deploy", {}).get("resources", {}).get("limits"), "no limit"
    assert "no-new-privileges:true" in found["security_opt"]
    repository, _, tag = found["image"].rpartition(":")
    assert repository
    assert tag != "latest"
    assert re.search(r"\d", tag) or tag == "local"
    for published in found.get("ports", ()):
        assert published.startswith("127.0.0.1:")
    # A path that a variable, command or check names is mounted, is a secret that is given, or comes with the
    # image.
    named = [*environment_of(found).values(), *map(str, found.get("command", ()) if service not in OURS else ())]
    named += map(str, found.get("healthcheck", {}).get("test", ()))
    for text in named:
        for path in re.findall(r"/(?:run/secrets|etc)/[\w./-]*\w", text):
            if path.startswith("/run/secrets/"):
                assert Path(path).name in found["secrets"], f"{path} is not given to {service}"
            else:
                file = in_this_folder(path, found)
                assert file is not None, f"{path} is not mounted"
                assert file.exists(), f"{path} is not there"


def test_volumes_that_are_written_begin_as_the_gateways_own() -> None:
    """A new volume takes its owner from the image: without the folder there it would be root's."""
    owned = re.findall(r"RUN install -d -o 10001 -g 10001 (.+)", (ROOT / "Dockerfile").read_text())
    stack = services((BASE,))
    volumes = {
        target for name in OURS for target, source in mounts_of(stack[name]).items() if not source.startswith("./")
    }
    assert volumes == set(owned[0].split())
    for name in ("archive", "feedback"):  # one writes it, the other one's page looks into it
        place = environment_of(stack[name])["GATEWAY_ARCHIVE__PLACE"]
        assert mounts_of(stack[name])[place] == "archive"
    assert next(each for each in stack["feedback"]["volumes"] if each.startswith("archive:")).endswith(":ro")


def test_secrets_are_files_that_are_made(tmp_path: Path) -> None:
    made = {path.name for path in make_passwords(tmp_path)} | MADE_BY_CA_SCRIPT
    named = set()
    for file in (BASE, *OVERRIDES):
        for name, secret in yaml.safe_load((ROOT / file).read_text()).get("secrets", {}).items():
            assert secret == {"file": f"${{SECRETS_DIR:-./secrets}}/{name}"}
            named.add(name)
    assert named == made
    script = (ROOT / "config/kafka/development-ca.sh").read_text()
    assert all(name in script for name in MADE_BY_CA_SCRIPT)
    for files, name in product(STACKS, ("PASSWORD", "SECRET", "TOKEN")):
        for service in services(files).values():
            assert not [each for each in environment_of(service) if each.endswith(name)], "a secret in a variable"


def test_compose_variables_have_defaults_and_an_example_line() -> None:
    variables = {}
    for file in (BASE, *OVERRIDES):
        text = (ROOT / file).read_text()
        assert "version" not in yaml.safe_load(text)
        assert not re.search(r"\$\{[A-Z0-9_]+\}|\$[A-Z]", text.replace("$$", "")), "a variable without a default"
        variables |= dict(VARIABLE.findall(text))
    lines = (ROOT / ".env.example").read_text().splitlines()[1:]
    assert lines == sorted(f"{name}={default}" for name, default in variables.items()), "run `make .env.example`"


def test_compose_brokers_have_the_right_version_and_listeners() -> None:
    known = (ROOT / "config/kafka/broker.properties").read_text()
    for files in STACKS:
        brokers = {name: found for name, found in services(files).items() if name.startswith("kafka")}
        outside = []
        for name, broker in brokers.items():
            environment = environment_of(broker)
            assert broker["image"] == f"apache/kafka:{KAFKA_VERSION}"
            listeners = dict(re.findall(r"(\w+)://[\w.]*:(\d+)", environment["KAFKA_LISTENERS"]))
            (published,) = broker["ports"]
            assert published.rpartition(":")[2] == listeners["EXTERNAL"]
            host, port, _ = published.split(":")
            assert f"EXTERNAL://{host}:{port}" in environment["KAFKA_ADVERTISED_LISTENERS"]
            outside.append(port)
            if len(brokers) > 1:
                voter = f"{environment.get('KAFKA_NODE_ID', '1')}@{name}:{listeners['CONTROLLER']}"
                assert voter in environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
                assert environment["KAFKA_DEFAULT_REPLICATION_FACTOR"] == str(len(brokers))
                assert environment["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
                assert environment_of(services(files)["topics"])["GATEWAY_TOPICS__REPLICATION_FACTOR"] == str(
                    len(brokers)
                )
            for variable in environment.keys() - {"KAFKA_HEAP_OPTS", "CLUSTER_ID"}:
                key = variable.removeprefix("KAFKA_").lower().replace("_", ".")
                lacking = {"default.replication.factor", "min.insync.replicas"}
                assert key.startswith("ssl.") or key in lacking or f"\n{key}=" in known, f"{variable} is in no use"
        assert len(set(outside)) == len(outside)


def test_prometheus_scrapes_services_that_serve_metrics_at_that_port() -> None:
    stack = services((BASE,))
    configured = yaml.safe_load(ALERTS.with_name("prometheus.yml").read_text())
    names = set()
    for job in configured["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        (name,) = found["names"]
        environment = environment_of(stack[name])
        assert job["job_name"] == name
        assert environment["GATEWAY_WEB__ENABLED"] == "true"
        assert environment["GATEWAY_WEB__HOST"] == "0.0.0.0"  # noqa: S104 — in a container of its own
        assert environment["GATEWAY_WEB__PORT"] == str(found["port"])
        names.add(name)
    assert names == {name for name in OURS if "GATEWAY_WEB__ENABLED" in stack[name]["environment"]}
    for file in configured["rule_files"]:
        assert ALERTS.with_name(file).exists()
    for path in re.findall(r"=(/\S+)", " ".join(stack["prometheus"]["command"])):
        assert in_this_folder(path, stack["prometheus"]) or mounts_of(stack["prometheus"])[path] == "prometheus-data"


def test_grafana_has_a_dashboard_of_existing_metrics() -> None:
    stack = services((BASE,))
    folder = ROOT / "config/grafana"
    (source,) = yaml.safe_load((folder / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    port = stack["prometheus"]["ports"][0].rpartition(":")[2]
    assert source["url"] == f"http://prometheus:{port}"
    assert f"http://127.0.0.1:{port}" in stack["prometheus"]["healthcheck"]["test"]
    (provider,) = yaml.safe_load((folder / "provisioning/dashboards/gateway.yml").read_text())["providers"]
    assert in_this_folder(provider["options"]["path"], stack["grafana"]) == folder / "dashboards"
    (file,) = (folder / "dashboards").iterdir()
    dashboard = json.loads(file.read_text())
    exposed = exposed_names() | recorded_by(ALERTS) | {"ALERTS"}
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": "prometheus", "uid": source["uid"]}
        for target in panel["targets"]:
            named = metrics_of(target["expr"].replace("$__rate_interval", "1m"))
            assert named
            assert named <= exposed, f"{panel['title']}: {named - exposed}"


def test_the_image_is_pinned_not_root_and_labelled() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    kernel, *stages = stages
    assert re.fullmatch(r"\$\{RUST_IMAGE:-python:3\.11[\w.]*-slim-bookworm\}", kernel)
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.11[\w.]*-slim-bookworm", stage) for stage in stages)
    assert re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    assert f'org.opencontainers.image.version="{__version__}"' in dockerfile
    assert services((BASE,))["relay"]["user"] in dockerfile
