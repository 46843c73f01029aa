"""The way in: an HTTPS proxy on the loopback that ends TLS and answers for Azure's hosts."""

import base64
import contextlib
import hmac
import secrets
import socket
import socketserver
import ssl
import struct
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import trustme

from . import entra_id, graph, key_vault, resource_manager
from .faults import Fault, Faults
from .messages import Answer, Request, error

# The limits of a server that nobody else can reach, but that anything on this machine can.
LARGEST_BODY = 1024 * 1024  # bytes; a value has 25 KB at most
MOST_WAITING = 200  # connections that have asked for nothing yet; the oldest one is closed
SECONDS_TO_CONNECT = 30  # for CONNECT and the TLS handshake
SECONDS_BETWEEN_REQUESTS = 600

NO_FAULT = Fault("")
NO_FAULT.release()


@dataclass(frozen=True)
class Exchange:
    """A request that came in and what was answered; ``connection`` counts from 1, and
    is 0 for a CONNECT that was refused.

    ``path`` is without the query; ``status`` is 0 where there was no answer. Bodies and headers are
    not kept: they hold secrets. ``note`` is what the trace says of it.
    """

    connection: int
    host: str
    method: str
    path: str
    status: int
    error_code: str
    note: str = ""

    def __str__(self):
        return f"{self.method} {self.path} {self.status}"


class Log:
    """The exchanges so far, in the order in which they were answered; ``trace`` shows new ones."""

    def __init__(self):
        self.trace = None
        self._exchanges = []
        self._changed = threading.Condition()

    def __iter__(self):
        with self._changed:
            return iter(list(self._exchanges))

    def __len__(self):
        return len(self._exchanges)

    def add(self, exchange):
        """Note an exchange and wake those who wait for one."""
        with self._changed:
            self._exchanges.append(exchange)
            if self.trace:
                self.trace.show(exchange)
            self._changed.notify_all()

    def wait_for(self, wanted, count=1, timeout=60):
        """Return when ``count`` exchanges read like ``wanted``, say ``"PUT /secrets/a 200"``.

        Raises TimeoutError after ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(
                lambda: sum(wanted in str(one) for one in self._exchanges) >= count, timeout
            ):
                raise TimeoutError(f"no {wanted!r} among {[str(one) for one in self._exchanges]}")


class Proxy:
    """Answers for Azure's hosts on a port of 127.0.0.1, in threads of its own.

    A context manager. ``authority`` is the trustme authority that its certificates come from,
    ``url`` where it listens, with a password, ``authorization`` the header that proves to know it,
    ``log`` what it was asked, ``faults`` what is to go wrong.
    """

    def __init__(self, state):
        self.state = state
        self.log = Log()
        self.faults = Faults()
        self.authority = trustme.CA()
        self._contexts = {}
        self._server = _Server(("127.0.0.1", 0), _Tunnel)
        self._server.proxy = self
        # So that no other user of this machine can use it.
        credentials = f"stand-in:{secrets.token_urlsafe(16)}"
        self.url = f"http://{credentials}@127.0.0.1:{self._server.server_address[1]}"
        self.authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_):
        self.faults.release_all()
        self._server.shutdown()
        self._server.server_close()

    def responder(self, host):
        """The function that answers requests to ``host``, or None where there is no such host."""
        for module in (entra_id, graph, resource_manager):
            if host == module.HOST:
                return module.answer
        vault = self.state.find_vault(host.removesuffix(key_vault.HOST_SUFFIX))
        if vault and host.endswith(key_vault.HOST_SUFFIX):
            return lambda state, request: key_vault.answer(state, vault, request)
        return None

    def tls_context(self, host):
        """A server's TLS settings with a certificate for ``host``."""
        with self.state.lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self.authority.issue_cert(host).configure_cert(context)
                self._contexts[host] = context
            return self._contexts[host]

    def respond(self, request):
        """The answer to one request to one of Azure's hosts."""
        responder = self.responder(request.host)
        if responder is None:
            # The vault has been deleted since the client connected.
            return error(404, "NotFound", f"There is no {request.host}.")
        with self.state.lock:
            return responder(self.state, request)


class _Server(socketserver.ThreadingTCPServer):
    # Not http.server's: that one looks up the name of this machine, which takes seconds without a network.
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._connections = 0
        self._waiting = {}

    def process_request(self, request, client_address):
        with self.proxy.state.lock:
            self._waiting[request] = None
            if len(self._waiting) > MOST_WAITING:
                oldest = next(iter(self._waiting))
                self.has_asked(oldest)
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.has_asked(request)
        super().shutdown_request(request)

    def has_asked(self, connection):
        """Count a connection no longer among those that have asked for nothing yet."""
        with self.proxy.state.lock:
            self._waiting.pop(connection, None)

    def next_connection(self):
        with self.proxy.state.lock:
            self._connections += 1
            return self._connections

    def handle_error(self, request, client_address):
        # A client that goes away, or speaks no TLS, is its own affair.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def parse_request(self):
        if not super().parse_request():
            return False
        # It has neither headers nor errors. A request line that was cut in half looks like it.
        return self.request_version != "HTTP/0.9"

    def send(self, answer):
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            return self.reset()
        # In one write: headers and body apart meet Nagle and delayed acknowledgements.
        body = answer.body
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", answer.content_type)
        self._headers_buffer += [b"\r\n", b"" if self.command == "HEAD" else body]
        self.flush_headers()

    def reset(self):
        self.close_connection = True
        # Closing resets the connection, when it is not to linger.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, *_):
        """Keep quiet: the terminal is the command's."""


class _Tunnel(_Handler):
    """A client's connection to the proxy: only CONNECT to one of Azure's hosts gets through."""

    timeout = SECONDS_TO_CONNECT

    def parse_request(self):
        self.server.has_asked(self.connection)
        return super().parse_request()

    def do_CONNECT(self):
        given = self.headers.get("Proxy-Authorization", "").encode()
        if not hmac.compare_digest(given, self.server.proxy.authorization.encode()):
            self.close_connection = True
            return self.send(Answer(407, headers={"Proxy-Authenticate": "Basic"}))
        host, _, port = self.path.lower().rpartition(":")
        fault = self.server.proxy.faults.take(Request("CONNECT", host, "", self.headers))
        if fault:
            fault.reached.set()
            fault.released.wait()
            if fault.instead:
                self.close_connection = True
                return self.send(fault.instead)
        if port != "443" or not self.server.proxy.responder(host):
            self.server.proxy.log.add(Exchange(0, host, "CONNECT", f":{port}", 403, ""))
            return self.refuse(f"The stand-in for Azure does not know {self.path}.")
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.close_connection = True
        fault = self.server.proxy.faults.take(Request("HANDSHAKE", host, "", self.headers))
        if fault:
            fault.reached.set()
            fault.released.wait()
        with self.server.proxy.tls_context(host).wrap_socket(self.connection, server_side=True) as connection:
            _Exchanges(connection, host, self.server)

    def handle_any(self):
        self.refuse("The stand-in for Azure takes HTTPS only.")

    def refuse(self, message):
        self.close_connection = True
        self.send(error(403, "Forbidden", message))


class _Exchanges(_Handler):
    """The requests that one connection to one of Azure's hosts brings."""

    timeout = SECONDS_BETWEEN_REQUESTS

    def __init__(self, connection, host, server):
        self.host = host
        self.number = server.next_connection()
        super().__init__(connection, (host, 443), server)

    def handle_any(self):
        proxy = self.server.proxy
        length, *others = set(self.headers.get_all("Content-Length", ["0"]))
        if not (length.isascii() and length.isdecimal()) or others or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return self.send(error(400, "BadRequest", "Content-Length is missing or not a single number."))
        if len(length) > 12 or int(length) > LARGEST_BODY:
            self.close_connection = True
            return self.send(error(413, "RequestEntityTooLarge", "The body is too long."))
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        request = Request(self.command, self.host, self.path, self.headers, body)
        fault = proxy.faults.take(request) or NO_FAULT
        answer = proxy.respond(request) if fault.works else fault.instead
        self.note(request, answer or Answer(0))
        fault.reached.set()
        fault.released.wait()
        return self.reset() if fault.reset else self.send(answer)

    def note(self, request, answer):
        self.server.proxy.log.add(
            Exchange(
                self.number,
                request.host,
                request.method,
                request.path,
                answer.status,
                answer.error_code,
                answer.note,
            )
        )
