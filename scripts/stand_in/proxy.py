"""An HTTPS proxy on the loopback that ends TLS and answers for Azure's hosts."""

import base64
import hmac
import itertools
import re
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
from .messages import Answer, Refusal, Request, error

RESPONDERS = {module.HOST: module.answer for module in (entra_id, graph, resource_manager)}
SECONDS_TO_CONNECT = 30  # for CONNECT and the TLS handshake
SECONDS_BETWEEN_REQUESTS = 600

NO_FAULT = Fault("")
NO_FAULT.release()


@dataclass(frozen=True)
class Exchange:
    """A request and how it was answered. ``connection`` counts from 1, and is 0 for a refused CONNECT.

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

    def clear(self):
        """Forget the exchanges so far."""
        with self._changed:
            self._exchanges.clear()

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

    A context manager. ``authority`` is the trustme authority that its certificates come from, ``url``
    its address with a password, ``authorization`` the header with the same password, ``log`` what it was
    asked, ``faults`` what is to go wrong.
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
        self.faults.clear()
        self._server.shutdown()
        self._server.server_close()

    def responder(self, host):
        """The function of a state and a request that answers for ``host``; None where there is no such host."""
        if host in RESPONDERS:
            return RESPONDERS[host]
        name = host.removesuffix(key_vault.HOST_SUFFIX)
        vault = self.state.find_vault(name) if name != host else None
        return vault and (lambda state, request: key_vault.answer(state, vault, request))

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
        with self.state.lock:
            responder = self.responder(request.host)
            if responder is None:
                # The vault has been deleted since the client connected.
                return error(404, "NotFound", f"There is no {request.host}.")
            try:
                return responder(self.state, request)
            except Refusal as refusal:
                return refusal.answer


class _Server(socketserver.ThreadingTCPServer):
    # Not http.server's: that one looks up the name of this machine, which takes seconds without a network.
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.connections = itertools.count(1)

    def handle_error(self, request, client_address):
        # A client that leaves, or that speaks no TLS, is no error of the proxy.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer goes out in one write, and at once: headers and a body apart meet delayed acknowledgements.
    wbufsize = -1
    disable_nagle_algorithm = True

    def send(self, answer):
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.wfile.flush()
            return self.reset()
        body = answer.body
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", answer.content_type)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        self.close_connection = True
        # Closing resets the connection, when it is not to linger.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def do_GET(self):
        self.handle_any()

    do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def log_message(self, *_):
        """Keep quiet: the terminal is the command's."""


class _Tunnel(_Handler):
    """A client's connection to the proxy: only CONNECT to one of Azure's hosts gets through."""

    timeout = SECONDS_TO_CONNECT

    def do_CONNECT(self):
        proxy = self.server.proxy
        self.close_connection = True
        given = self.headers.get("Proxy-Authorization", "").encode()
        if not hmac.compare_digest(given, proxy.authorization.encode()):
            return self.send(Answer(407, headers={"Proxy-Authenticate": "Basic"}))
        host, _, port = self.path.lower().rpartition(":")
        fault = proxy.faults.take(Request("CONNECT", host, "", self.headers)) or NO_FAULT
        fault.wait()
        if fault.instead:
            return self.send(fault.instead)
        if port != "443" or not proxy.responder(host):
            proxy.log.add(Exchange(0, host, "CONNECT", f":{port}", 403, ""))
            return self.refuse(f"The stand-in for Azure does not know {self.path}.")
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        fault = proxy.faults.take(Request("HANDSHAKE", host, "", self.headers)) or NO_FAULT
        fault.wait()
        with proxy.tls_context(host).wrap_socket(self.connection, server_side=True) as connection:
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
        self.number = next(server.connections)
        super().__init__(connection, (host, 443), server)

    def handle_any(self):
        proxy = self.server.proxy
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,6}", length):
            self.close_connection = True
            return self.send(
                error(413, "RequestEntityTooLarge", "A body needs a Content-Length below 1,000,000.")
            )
        body = self.rfile.read(int(length))
        request = Request(self.command, self.host, self.path, self.headers, body)
        fault = proxy.faults.take(request) or NO_FAULT
        answer = proxy.respond(request) if fault.works else fault.instead
        self.note(request, answer or Answer(0))
        fault.wait()
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
