"""Types of the extension that holds libjimbot-client; absent where that was not built."""

from typing import TypeAlias, final

_Tuple: TypeAlias = tuple[int, int, float, bytes, str, int, int, int, int, int, int]

class Fault(Exception): ...

@final
class Client:
    @property
    def closed(self) -> bool: ...
    def publish(self, data: bytes, topic: str | None, key: int, /) -> None: ...
    def send_command(self, name: str, id: str, /, *params: str) -> None: ...
    def subscribe(
        self,
        pattern: str,
        policy: int,
        start: int,
        start_sequence: int,
        max_unacked: int,
        buffer_bytes: int,
        /,
    ) -> Sub: ...
    def flush(self, timeout_ns: int, /) -> bool: ...
    def status(self) -> tuple[int, int, int, int, int, str]: ...
    def stats(self) -> dict[str, int]: ...
    def close(self, flush_ns: int = 0, /) -> int: ...

@final
class Sub:
    @property
    def closed(self) -> bool: ...
    def poll(self, n_max: int, /) -> list[_Tuple]: ...
    def wait(self, timeout_ns: int, /) -> bool: ...
    def fileno(self) -> int: ...
    def is_live(self) -> bool: ...
    def close(self) -> None: ...

def open(
    url: str,
    /,
    *,
    flags: int = 0,
    token: str | None = None,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    name: str | None = None,
    buffer_bytes: int = 0,
    connect_timeout_ns: int = 0,
    backoff_min_ns: int = 0,
    backoff_max_ns: int = 0,
    idle_ns: int = 0,
    poll_ns: int = 0,
) -> Client: ...
