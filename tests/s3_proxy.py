"""A proxy before an S3 server on loopback: plays an older server, and lets requests fail.

It hands requests on as they came: their signature covers the Host header and nearly all others.
"""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from s3_server import S3Server

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection", "te", "upgrade"}
CONDITIONS = ("If-None-Match", "If-Match")


class Fault(StrEnum):
    """What may happen to a request."""

    ERROR_500 = "500"
    SLOW_DOWN = "503 SlowDown"
    RESET = "reset before the server sees it"
    LOST_ANSWER = "reset after the server has done it"
    TIMEOUT = "no answer for a while, then none at all"
    TRUNCATED_ANSWER = "half of the answer"
    TRUNCATED_REQUEST = "half of the body reaches the server"


@dataclass
class Behaviour:
    """How the proxy behaves; may be changed while it runs.

    Attributes:
        trailers: the status for an aws-chunked body with a trailer; None hands it on.
        conditions: the status for conditional puts, `ignored`, or None for as the server does.
        encrypts: whether answers say that the server encrypts.
        deletes_many: whether it takes DeleteObjects.
        deletes: whether it lets objects be deleted.
        faults: what happens to requests, each as likely as the others.
        share: of how many requests.
        silent: whether every request waits.
    """

    trailers: int | None = None
    conditions: int | str | None = None
    encrypts: bool = True
    deletes_many: bool = True
    deletes: bool = True
    faults: Sequence[Fault] = ()
    share: float = 0.3
    timeout_seconds: float = 0.5
    silent: bool = False
    random: random.Random = field(default_factory=lambda: random.Random(0))


def ceph_16() -> Behaviour:
    """Refuses trailers, ignores server-side encryption."""
    return Behaviour(trailers=411, encrypts=False)


def swift() -> Behaviour:
    """Refuses trailers, conditional puts and the deletion of many."""
    return Behaviour(trailers=501, conditions=501, deletes_many=False)


def rclone() -> Behaviour:
    """Overlooks the conditions of a put."""
    return Behaviour(conditions="ignored")


@dataclass
class Proxy:
    """A proxy that runs.

    Attributes:
        requests: method and path of each, as they came.
        happened: the faults so far.
    """

    url: str
    server: S3Server
    behaviour: Behaviour
    requests: list[tuple[str, str]] = field(default_factory=list)
    happened: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self) -> Fault | None:
        with self.lock:
            one = self.behaviour
            if not one.faults or one.random.random() >= one.share:
                return None
            self.happened.append(one.random.choice(list(one.faults)))
            return self.happened[-1]


class GoneError(Exception):
    """The connection is to be dropped."""


@contextmanager
def run_proxy(server: S3Server, behaviour: Behaviour | None = None, *, https: bool = False) -> Iterator[Proxy]:
    """Run a proxy before `server` on a free port."""
    front = _Front(("127.0.0.1", 0), _Handler)
    if https:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.tls.certificate, server.tls.key)
        front.socket = context.wrap_socket(front.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "https" if https else "http"
    front.proxy = Proxy(f"{scheme}://127.0.0.1:{front.server_address[1]}", server, behaviour or Behaviour())
    thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield front.proxy
    finally:
        front.proxy.behaviour.silent = False
        front.shutdown()
        front.server_close()
        thread.join()


class _Front(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    proxy: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that end are what it is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Front
    timeout = 120

    def log_message(self, *_: object) -> None:
        """Nothing: `Proxy.requests` has it."""

    def do_GET(self) -> None:
        self.close_connection = False
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with proxy.lock:
            proxy.requests.append((self.command, self.path))
        while proxy.behaviour.silent:
            time.sleep(0.05)
        try:
            self._serve(proxy, body, proxy.next_fault())
        except (GoneError, OSError, http.client.HTTPException):
            self._drop()

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - http.server's names

    def _serve(self, proxy: Proxy, body: bytes, fault: Fault | None) -> None:
        refusal = self._refusal(proxy.behaviour)
        if refusal is not None:
            self._refuse(*refusal)
        elif fault is Fault.ERROR_500:
            self._refuse(500, "InternalError")
        elif fault is Fault.SLOW_DOWN:
            self._refuse(503, "SlowDown")
        elif fault is Fault.RESET:
            raise GoneError
        elif fault is Fault.TIMEOUT:
            time.sleep(proxy.behaviour.timeout_seconds)
            raise GoneError
        elif fault is Fault.TRUNCATED_REQUEST and body:
            self._send_half(proxy, body)
            raise GoneError
        else:
            self._answer(proxy, body, fault)

    def _refusal(self, behaviour: Behaviour) -> tuple[int, str] | None:
        chunked = "aws-chunked" in self.headers.get("Content-Encoding", "") or "x-amz-trailer" in self.headers
        if behaviour.trailers is not None and chunked:
            return behaviour.trailers, "MissingContentLength" if behaviour.trailers == 411 else "NotImplemented"
        conditional = self.command in {"PUT", "POST"} and any(name in self.headers for name in CONDITIONS)
        if isinstance(behaviour.conditions, int) and conditional:
            return behaviour.conditions, "NotImplemented"
        if not behaviour.deletes_many and self.command == "POST" and urlsplit(self.path).query.startswith("delete"):
            return 400, "MissingContentMD5"
        if not behaviour.deletes and self.command == "DELETE":
            return 403, "AccessDenied"
        return None

    def _answer(self, proxy: Proxy, body: bytes, fault: Fault | None) -> None:
        status, headers, content = self._forward(proxy, body)
        if status == 412 and self.command == "PUT" and proxy.behaviour.conditions == "ignored":
            status, headers, content = self._put_anyway(proxy, body)
        if not proxy.behaviour.encrypts:
            headers = [one for one in headers if not one[0].lower().startswith("x-amz-server-side-encryption")]
        if fault is Fault.LOST_ANSWER:
            raise GoneError
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD" and not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault is Fault.TRUNCATED_ANSWER and content:
            self.wfile.write(content[: len(content) // 2])
            raise GoneError
        self.wfile.write(content)

    def _forward(self, proxy: Proxy, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        with self._to_server(proxy) as connection:
            self._put_head(connection)
            connection.send(body)
            answer = connection.getresponse()
            content = answer.read()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        return answer.status, headers, content

    def _send_half(self, proxy: Proxy, body: bytes) -> None:
        with self._to_server(proxy) as connection:
            self._put_head(connection)
            connection.send(body[: len(body) // 2])

    @contextmanager
    def _to_server(self, proxy: Proxy) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(urlsplit(proxy.server.endpoint_url).netloc, timeout=60)
        try:
            yield connection
        finally:
            connection.close()

    def _put_head(self, connection: http.client.HTTPConnection) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                connection.putheader(name, value)
        connection.endheaders()

    def _put_anyway(self, proxy: Proxy, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What a server does that overlooks the condition."""
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        prefix = "x-amz-meta-"
        metadata = {
            name.lower().removeprefix(prefix): value
            for name, value in self.headers.items()
            if name.lower().startswith(prefix)
        }
        client = proxy.server.client()
        try:
            answer = client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)
        finally:
            client.close()
        return 200, [("ETag", answer["ETag"])], b""

    def _refuse(self, status: int, code: str) -> None:
        content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drop(self) -> None:
        """End the connection hard, as a machine that falls over does."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
