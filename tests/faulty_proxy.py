"""A TCP road to a real server that counts requests and, when told to, holds them up, loses or breaks off answers."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

METHODS = (b"GET ", b"HEAD ", b"PUT ", b"POST ", b"PATCH ", b"DELETE ")


class FaultyProxy:
    """Answers shorter than `fault_at_bytes` pass unharmed; of the longer ones, the next `faults` are hit."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        """Request lines, in order of arrival."""
        self.fault_at_bytes = 0
        self.faults = 0
        self.spared = 0
        """Connections that pass unharmed before any fault."""
        self.refuse = ""
        """A request with these words is never answered: its connection is closed."""
        self.lose = ""
        """The next request with these words arrives, but instead of its answer its connection is closed."""
        self.hold = ""
        """A request with these words arrives after `release`."""
        self._released = threading.Event()
        self.stall = False
        """Instead of closing the connection, send nothing more until the proxy closes."""

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._released.set()
        # shutdown, unlike close, wakes a thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def release(self) -> None:
        self._released.set()

    def count(self, request: str) -> int:
        return sum(line.startswith(request) for line in self.requests)

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args)  # pyright: ignore[reportArgumentType]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            lost = threading.Event()
            pump = threading.Thread(target=self._forward, args=(client, server, lost))
            pump.start()
            self._answer(server, client, lost)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            pump.join()

    def _forward(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                # Requests in these tests fit a segment, and a body that looks like one is not sent.
                if data.startswith(METHODS):
                    line = data.split(b"\r\n", 1)[0].decode()
                    self.requests.append(line)
                    if self.refuse and self.refuse in line:
                        break
                    if self.lose and self.lose in line:
                        self.lose = ""
                        lost.set()
                    elif self.hold and self.hold in line:
                        self._released.wait()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        sent = 0
        with suppress(OSError):
            while data := server.recv(65536):
                sent += len(data)
                if lost.is_set():
                    return
                if self._hit(sent):
                    if self.stall:
                        self._closing.wait()
                    return
                client.sendall(data)

    def _hit(self, sent: int) -> bool:
        with self._lock:
            if sent <= self.fault_at_bytes or self.faults == 0:
                return False
            if self.spared:
                self.spared -= 1
                return False
            self.faults -= 1
            return True
