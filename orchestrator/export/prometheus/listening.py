"""An endpoint that Prometheus scrapes, by prometheus_client's application."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from orchestrator.export.lines import LogLine
from orchestrator.export.prometheus.exposition import SnapshotCollector
from orchestrator.export.snapshot import Snapshot
from orchestrator.values import dataclass

__all__ = ["DEFAULT_ADDRESS", "ListenAddress", "ListenDestination", "parse_address"]

_HOST, _PORT = "127.0.0.1", 9844
DEFAULT_ADDRESS = f"{_HOST}:{_PORT}"
#: A client that says nothing for so long is left.
_CLIENT_SECONDS = 10
_MOST_CLIENTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """An IP address and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> ListenAddress:
    """ADDRESS:PORT, [ADDRESS]:PORT of IPv6, or PORT of this host alone. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 <= int(port) < 1 << 16:
        raise ValueError(f"{text!r} does not end with a port")
    in_brackets = host.startswith("[") and host.endswith("]")
    kind = ipaddress.IPv6Address if in_brackets else ipaddress.IPv4Address
    plain = host[1:-1] if in_brackets else host or _HOST
    try:
        return ListenAddress(host=str(kind(plain)), port=int(port))
    except ValueError:
        raise ValueError(f"{host!r} is no IP address") from None


class _ScrapeServer(ThreadingMixIn, WSGIServer):
    """A thread for each client, of which there may be only so many."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        self._room = threading.BoundedSemaphore(_MOST_CLIENTS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, if there is room; else the client is left."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The same, in the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def server_bind(self) -> None:
        """Without asking a name server for this host's name, as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that went away is no news."""


class _ScrapeServer6(_ScrapeServer):
    address_family = socket.AF_INET6


class _ScrapeHandler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, *_arguments: Any) -> None:
        """Nothing: a scrape is no news."""


class ListenDestination:
    """Serves what `take` returns, at the time of each request. Raises OSError if the address is not
    to be had."""

    wants_events = False

    def __init__(
        self, address: ListenAddress, take: Callable[[], Snapshot], per_octave: int
    ) -> None:
        application = make_wsgi_app(SnapshotCollector(take, per_octave))
        one_at_a_time = threading.Lock()  # or memory grows with clients

        def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            with one_at_a_time:
                made: Iterable[bytes] = application(environ, start_response)
                return made

        kind = _ScrapeServer6 if ":" in address.host else _ScrapeServer
        self._server = make_server(
            address.host, address.port, serve, server_class=kind, handler_class=_ScrapeHandler
        )
        #: Where it listens: the port that was chosen, if it was to be any.
        self.address = ListenAddress(host=address.host, port=self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="listen", daemon=True
        )
        self._thread.start()

    def observe(self, line: LogLine) -> None:
        """Nothing: series are enough."""

    def publish(self, snapshot: Snapshot) -> None:
        """Nothing: each request takes a new one."""

    def close(self) -> None:
        """Answer no more requests."""
        self._server.shutdown()
        self._server.server_close()
