"""Quix Streams (librdkafka), exactly once, with its own JSON (orjson) for the reduced job."""

from typing import Any

from quixstreams import Application, message_context
from quixstreams.models import Serializer, Topic

from benchmarks.peers.task import Task

COMMIT_S = 1.0  # its default is 5, and for so long nothing that it forwards could be seen


class _Bytes(Serializer):  # type: ignore[misc]  # not installed where this is checked
    """Of a pair of topic and bytes, the bytes."""

    def __call__(self, value: tuple[str, bytes], *_: Any, **__: Any) -> bytes:
        return value[1]


def main() -> None:
    task = Task()
    app = Application(
        task.bootstrap_servers, consumer_group=task.group_id, auto_offset_reset="earliest", loglevel="ERROR",
        processing_guarantee="exactly-once", commit_interval=COMMIT_S, auto_create_topics=False, use_changelog_topics=False,
    )  # fmt: skip
    if task.job == "reduced":
        for source, target in task.outputs.items():
            read = app.topic(source, key_deserializer="bytes", value_deserializer="json")
            app.dataframe(read).to_topic(app.topic(target, key_serializer="bytes", value_serializer="json"))
    else:
        decide_all(app, task)
    app.run()


def decide_all(app: Application, task: Task) -> None:
    job = task.make_job()
    topics = {name: app.topic(name, key_serializer="bytes", value_serializer=_Bytes()) for name in task.written}

    def worker_of(source: str) -> Any:
        def work(value: bytes, key: bytes, timestamp: int, _headers: Any) -> tuple[str, bytes]:
            context = message_context()
            return job((source, context.partition, context.offset, timestamp, key, value))

        return work

    def chosen(value: tuple[str, bytes], *_: Any) -> Topic:
        return topics[value[0]]

    for source in task.topics.displays:
        read = app.topic(source, key_deserializer="bytes", value_deserializer="bytes")
        app.dataframe(read).apply(worker_of(source), metadata=True).to_topic(chosen)


if __name__ == "__main__":
    main()
