"""Makes the duplicates' horizon of a lane: the kernel's where the lanes work by it, or both."""

from typing import Any, cast

from gateway.adapters.native import find_kernel
from gateway.adapters.settings import Settings
from gateway.core.event import Identity
from gateway.relay.horizon import Horizon


def make_horizon(settings: Settings, *, rewound_ms: int = 0) -> Horizon:
    """Make an empty horizon as ``settings`` have it, and ``rewound_ms`` longer."""
    duplicates = settings.duplicates
    span_ms, kernel = duplicates.horizon_ms + rewound_ms, find_kernel(settings).module
    if kernel is None:
        return Horizon(span_ms, duplicates.max_ids)
    native = kernel.Horizon(span_ms, duplicates.max_ids)
    if settings.relay.kernel == "verify":
        return BothHorizons(span_ms, duplicates.max_ids, native)
    return cast("Horizon", native)  # it does what a Horizon does


class BothHorizons(Horizon):
    """A horizon whose ``native`` twin is told the same; what is asked, it answers itself."""

    def __init__(self, horizon_ms: int, max_ids: int, native: Any) -> None:
        super().__init__(horizon_ms, max_ids)
        self.native = native

    def remember(self, identity: Identity, content_digest: str, received_at: int) -> None:
        """See ``Horizon``."""
        super().remember(identity, content_digest, received_at)
        self.native.remember(identity, content_digest, received_at)

    def learn(self, occurrences: bytes) -> None:
        """See ``Horizon``."""
        super().learn(occurrences)
        self.native.learn(occurrences)

    def keep(self) -> None:
        """See ``Horizon``."""
        super().keep()
        self.native.keep()

    def forget(self) -> None:
        """See ``Horizon``."""
        super().forget()
        self.native.forget()
