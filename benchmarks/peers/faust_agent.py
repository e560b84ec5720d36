"""What users would write first: a Faust agent an input topic, which works each event and sends it on, at
least once."""

import faust

from benchmarks.peers.task import Task


def main() -> None:
    task = Task()
    job = task.make_job()
    app = faust.App(
        task.group_id, broker=f"kafka://{task.bootstrap_servers}", store="memory://",
        topic_disable_leader=True, web_enabled=False, worker_redirect_stdouts=False, consumer_auto_offset_reset="earliest",
        key_serializer="raw", value_serializer="raw", broker_session_timeout=20,
        datadir=task.state_dir,
    )  # fmt: skip
    topics = {name: app.topic(name, key_serializer="raw", value_serializer="raw") for name in task.topics.all}

    def agent_for(source: str) -> None:
        @app.agent(topics[source], name=f"{source}-agent")
        async def work(stream):  # type: ignore[no-untyped-def]
            async for event in stream.events():
                message = event.message
                received = round(message.timestamp * 1000)
                record = (source, message.partition, message.offset, received, message.key, message.value)
                target, value = job(record)
                await topics[target].send(key=message.key, value=value, partition=message.partition)

    for source in task.topics.displays:
        agent_for(source)
    faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
