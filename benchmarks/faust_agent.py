"""What users would write first: Faust agents that decide each event and send the record on, at least once."""

import tempfile

import faust

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import load_settings
from gateway.adapters.topics import Topics
from gateway.core.building import build_dead_letter, build_record
from gateway.core.decision import Outcome, decide
from gateway.core.province import Province


def OUTPUTS(topics: Topics) -> dict[str, str]:  # noqa: N802 — a table, made from the deployment's prefix
    """Input topic → where what is forwarded from it goes."""
    return {topics.display(province): topics.verification(province.other) for province in Province}


def main() -> None:
    settings = load_settings()
    topics, recognition = Topics(settings.topic_prefix), load_recognition(settings.recognition_dir)
    app = faust.App(
        settings.topic_prefix + "faust", broker=f"kafka://{settings.bootstrap_servers}", store="memory://",
        topic_disable_leader=True, web_enabled=False, worker_redirect_stdouts=False, consumer_auto_offset_reset="earliest",
        key_serializer="raw", value_serializer="raw", broker_session_timeout=20,
        datadir=tempfile.mkdtemp(prefix="chuanyu-faust-"),
    )  # fmt: skip
    outputs = {name: app.topic(name, key_serializer="raw", value_serializer="raw") for name in topics.all}

    def agent_for(province: Province) -> None:
        source = outputs[topics.display(province)]
        forward, reject = outputs[topics.verification(province.other)], outputs[topics.rejection(province)]

        @app.agent(source, name=f"{province.value}-agent")
        async def work(stream):  # type: ignore[no-untyped-def]
            async for event in stream.events():
                message = event.message
                raw, received = message.value, round(message.timestamp * 1000)
                decision = decide(raw, province, received, recognition, key=message.key)
                if decision.outcome is Outcome.DEAD_LETTER:
                    value = build_dead_letter(decision, raw, message.topic, message.partition, message.offset)
                    await outputs[topics.deadletter].send(key=message.key, value=value, partition=message.partition)
                else:
                    target = forward if decision.outcome is Outcome.FORWARD else reject
                    await target.send(key=message.key, value=build_record(decision), partition=message.partition)

    for province in Province:
        agent_for(province)
    faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
