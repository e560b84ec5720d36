"""Which classes are a library's."""

LIBRARIES = ("aiokafka", "faust", "mode", "confluent_kafka")


def foreign_bases(kind: type) -> list[type]:
    """Return the classes that ``kind`` is derived from and that are a library's."""
    return [each for each in kind.__mro__ if each.__module__.partition(".")[0] in LIBRARIES]
