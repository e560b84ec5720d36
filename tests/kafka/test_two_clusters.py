"""A province with a Kafka of its own, MirrorMaker 2 between it and the gateway's: what crosses, once, and
what proves it."""

import asyncio
import contextlib
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aiokafka.admin import NewTopic

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.contract.topics import Topics
from gateway.core.province import Province
from gateway.operate.apply_access import apply_access
from gateway.operate.local_kafka import local_kafka
from gateway.operate.local_kafka.jars import mirror_jars
from gateway.operate.local_kafka.users import as_admin
from gateway.operate.secret_files import make_passwords
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from tests.kafka.harness import audit, publish, read_topics, simulate, wait_until_accounted, workers
from tests.patience import PATIENCE_S

PARTITIONS = 3
EVENTS = 600
HOME = Topics()
OUTPUTS = (HOME.verification(Province.CHONGQING), HOME.rejection(Province.CHONGQING))


class Mirror:
    """MirrorMaker with the shipped configuration; only where passwords lie is another place."""

    def __init__(self, folder: Path, province: Settings, gateway: Settings, passwords: Path) -> None:
        shipped = (packaged_config() / "kafka" / "mirror-maker.properties").read_text(encoding="utf-8")
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "gateway").write_text((passwords / "chongqing").read_text())
        (secrets / "province").write_text("not asked for")
        self._file, self._log = folder / "mirror-maker.properties", folder / "mirror.log"
        self._file.write_text(shipped.replace("/run/secrets", str(secrets)), encoding="utf-8")
        self._environment = os.environ | {
            "MIRROR_PROVINCE": "chongqing",
            "MIRROR_PROVINCE_SERVERS": province.bootstrap_servers, "MIRROR_PROVINCE_PROTOCOL": "PLAINTEXT", "MIRROR_PROVINCE_USERNAME": "nobody",
            "MIRROR_GATEWAY_SERVERS": gateway.bootstrap_servers, "MIRROR_GATEWAY_PROTOCOL": "SASL_PLAINTEXT", "MIRROR_GATEWAY_USERNAME": "chongqing",
        }  # fmt: skip

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        java = [
            "java",
            "-Xmx512m",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            f"{mirror_jars(print)}/*",
        ]
        with self._log.open("ab") as log, subprocess.Popen(
            [*java, "org.apache.kafka.connect.mirror.MirrorMaker", str(self._file)],
            env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    @property
    def words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-4000:]


@contextlib.contextmanager
def two_clusters(folder: Path) -> Iterator[tuple[Settings, Settings, Path]]:
    """The admin's settings for the gateway's cluster (secured) and for Chongqing's own (open), and the
    passwords."""
    passwords = folder / "passwords"
    make_passwords(passwords)
    with local_kafka(passwords_dir=passwords, announce=print) as ours, local_kafka(announce=print) as theirs:
        shipped = packaged_config() / "gateway.yaml"
        gateway = as_admin(load_settings(shipped, bootstrap_servers=ours.bootstrap_servers), passwords)
        gateway = gateway.model_copy(
            update={
                "topics": gateway.topics.model_copy(update={"partitions": PARTITIONS}),
                "access": gateway.access.model_copy(update={"mirrored": ("chongqing",)}),
            }
        )
        yield gateway, load_settings(shipped, bootstrap_servers=theirs.bootstrap_servers), passwords


async def take_back(settings: Settings, topic: str) -> None:
    """Records of a transaction that is aborted: they stand in the topic, and were never sent."""
    async with kafka.producer(settings, transactional_id="taken-back") as producer:
        await producer.begin_transaction()
        for partition in range(PARTITIONS):
            await producer.send_and_wait(topic, b'{"never":"sent"}', partition=partition)
        await producer.abort_transaction()


async def read(settings: Settings, *topics: str) -> Counter[tuple[object, ...]]:
    """Every committed record: topic, partition, key, value and headers."""
    return Counter(
        [
            (record.topic, record.partition, record.key, record.value, tuple(record.headers))
            async for record in read_topics(settings, topics)
        ]
    )  # fmt: skip


async def wait_for_copy(gateway: Settings, province: Settings, mirror: Mirror, *topics: str) -> None:
    """Until the province's copies are as long as the gateway's topics."""
    wanted, deadline = (await read(gateway, *topics)).total(), time.monotonic() + PATIENCE_S
    while (await read(province, *topics)).total() < wanted:
        assert time.monotonic() < deadline, mirror.words
        await asyncio.sleep(1)


async def test_mirrored_records_cross_once_and_both_audits_pass(tmp_path: Path) -> None:
    with two_clusters(tmp_path) as (gateway, province, passwords):
        await apply_topics(gateway)
        await apply_access(gateway)
        async with kafka.admin(province) as admin:
            # The display is the province's to write, the other two MirrorMaker's.
            names = (HOME.display(Province.CHONGQING), *OUTPUTS)
            await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        operator, outputs = gateway.acting_as(Role.OPERATOR), OUTPUTS
        await take_back(gateway, outputs[0])

        events = simulate(gateway, EVENTS, seed=11)
        own: dict[Province, list[Simulated]] = {p: [e for e in events if e.province is p] for p in Province}
        half = len(own[Province.CHONGQING]) // 2
        mirror = Mirror(tmp_path, province, gateway, passwords)
        with workers(gateway.acting_as(Role.GATEWAY), 1):
            await publish(gateway.acting_as(Role.SICHUAN), own[Province.SICHUAN])
            await publish(province, own[Province.CHONGQING][:half])
            with mirror.running() as process:
                await wait_until_accounted(operator, len(own[Province.SICHUAN]) + half)
                process.kill()  # amid its work, as likely as not
            await publish(province, own[Province.CHONGQING][half:])
            with mirror.running():
                account = await wait_until_accounted(operator, EVENTS)
                await wait_for_copy(operator, province, mirror, *outputs)
        # Nothing was lost, doubled or moved to another partition on the way in …
        account.assert_proper(EVENTS)
        display = HOME.display(Province.CHONGQING)
        assert await read(operator, display) == await read(province, display)
        # … nor on the way back, and what was taken back did not cross.
        assert await read(operator, *outputs) == await read(province, *outputs)
        async with kafka.admin(province) as admin:
            there = {name for name in await admin.list_topics() if not name.startswith("_")}
        assert there - {"heartbeats"} == {
            display,
            *outputs,
            *(f"chongqing.mirror-{n}" for n in ("configs", "offsets", "status")),
        }

        statement = tmp_path / "statement.json"
        found = await asyncio.to_thread(audit, operator, "--prove", "--export", str(statement))
        assert found["ok"]
        assert found["offsets"] == EVENTS
        checked = await asyncio.to_thread(audit, province, "--statement", str(statement))
        assert checked["ok"]
        assert checked["topics"] == sorted(outputs)
        assert checked["records"] == (await read(province, *outputs)).total()
        # A copy that somebody altered differs from it.
        async with kafka.producer(province) as producer:
            (record,) = [r for r, _ in zip(await read(province, outputs[0]), range(1), strict=False)]
            changed = json.loads(record[3]) | {"id": "f" * 32}
            await producer.send_and_wait(
                outputs[0], json.dumps(changed).encode(), key=record[2], partition=record[1], headers=list(record[4])
            )
        altered = await asyncio.to_thread(audit, province, "--statement", str(statement), expect=1)
        assert not altered["ok"]
