"""Every error that this package raises on purpose.

    GatewayError                     exit code 1
    ├── UsageError                   2    the command was called with words that do not fit
    ├── BrokerUnreachableError       69   no Kafka can be reached where one was configured (sysexits EX_UNAVAILABLE)
    ├── InternalError                70   the gateway could not go on, by no fault of whoever called it (sysexits EX_SOFTWARE)
    │   └── KernelDiffersError       70   the native kernel made something else of a turn than the reference: stops a lane
    ├── ConfigurationError           78   a setting, a list file or a topic is not valid (sysexits EX_CONFIG)
    │   ├── RecognitionListError     78   a mistake in a list file, named by file, row and cell
    │   ├── TopicsDifferError        78   topics differ in partitions: feedback waits, and no worker ends
    │   └── MissingPartitionError    78   an output topic has no partition for an input's: stops a lane, and no process
    └── LocalKafkaError              69   no Kafka could be started on this machine

A message says what is wrong, where, and what to do about it. It never holds a value out of an event.
"""


class GatewayError(Exception):
    """Something the person at the terminal can act on; printed without a traceback.

    ``code`` names the mistake for a program that has words of its own for it, such as the page.
    """

    exit_code = 1
    code = "failed"

    def __init__(self, *arguments: object, code: str | None = None) -> None:
        super().__init__(*arguments)
        if code is not None:
            self.code = code


class UsageError(GatewayError):
    """An argument is wrong, or the arguments cannot be combined."""

    exit_code = 2


class BrokerUnreachableError(GatewayError):
    """The configured Kafka does not answer."""

    exit_code = 69
    code = "kafka_unreachable"


class LocalKafkaError(GatewayError):
    """No Kafka could be started on this machine; the message names what to install."""

    exit_code = 69


class InternalError(GatewayError):
    """The gateway could not go on, for a reason in itself or in the machine; what nobody foresaw ends with
    this code too."""

    exit_code = 70


class KernelDiffersError(InternalError):
    """The native kernel made something else of a turn than the reference, none of which was written; the
    message says in what, and of which offsets."""


class ConfigurationError(GatewayError):
    """A setting is wrong; the message names it and its place."""

    exit_code = 78


class MissingPartitionError(ConfigurationError):
    """An output topic lacks a partition that an input topic has; the message names both."""


class TopicsDifferError(ConfigurationError):
    """Topics that must have the same number of partitions do not, as while somebody adds some, one topic
    after the other; ``partitions`` lists them with theirs."""

    def __init__(self, partitions: str) -> None:
        super().__init__(f"the topics differ in partitions ({partitions}); `gateway topics plan` says what to do.")
        self.partitions = partitions


class RecognitionListError(ConfigurationError):
    """A recognition list file is wrong; ``problems`` names file, row and cell of each mistake."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(problems)  # an exception is made again of these in another process

    def __str__(self) -> str:
        """List the mistakes, one per line."""
        return "the recognition list is not valid:\n" + "\n".join(f"  {problem}" for problem in self.problems)
