"""Every error that this package raises on purpose.

    GatewayError                     exit code 1
    ├── UsageError                   2    the command was called with words that do not fit
    ├── BrokerUnreachableError       69   no Kafka answers where one was configured (sysexits EX_UNAVAILABLE)
    ├── ConfigurationError           78   a setting, a list file or a topic does not fit (sysexits EX_CONFIG)
    │   └── RecognitionListError     78   a mistake in a list file, named by file, row and cell
    └── LocalKafkaError              69   no Kafka could be started on this machine

A message says what is wrong, where, and what to do about it. It never holds a value out of an event.
"""


class GatewayError(Exception):
    """Something the person at the terminal can act on; printed without a traceback."""

    exit_code = 1


class UsageError(GatewayError):
    """The command's arguments do not fit together."""

    exit_code = 2


class BrokerUnreachableError(GatewayError):
    """The configured Kafka does not answer."""

    exit_code = 69


class LocalKafkaError(GatewayError):
    """No Kafka could be started on this machine; the message names what to install."""

    exit_code = 69


class ConfigurationError(GatewayError):
    """A setting is wrong; the message names it and its place."""

    exit_code = 78


class RecognitionListError(ConfigurationError):
    """A recognition list file is wrong; ``problems`` names file, row and cell of each mistake."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("the recognition list is not valid:\n" + "\n".join(f"  {problem}" for problem in problems))
