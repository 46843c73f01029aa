"""The stand-in's proxy: nothing gets past it, and nothing brings it down."""

import contextlib
import socket
import ssl
import threading
from urllib.parse import urlsplit

import pytest
import requests
from conftest import Wire


@pytest.fixture
def connect(stand_in):
    """A function that opens a connection to the proxy and asks it to connect to an authority."""
    opened = []

    def connect(authority):
        address = urlsplit(stand_in.proxy.url)
        connection = socket.create_connection((address.hostname, address.port), timeout=30)
        opened.append(connection)
        connection.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        return connection, connection.recv(4096)

    yield connect
    for connection in opened:
        connection.close()


def secure(stand_in, connection, host):
    context = ssl.create_default_context(cafile=stand_in.certificates)
    return context.wrap_socket(connection, server_hostname=host)


@pytest.mark.parametrize(
    "authority",
    [
        "example.com:443",
        "no-such-vault.vault.azure.net:443",
        "kv-quickstart.vault.azure.net:80",
        "kv-quickstart.vault.azure.net.example.com:443",
        "kv-quickstart:443",
        "127.0.0.1:22",
        "nonsense",
    ],
)
def test_connect_to_any_other_host_is_refused(connect, authority):
    connection, answer = connect(authority)

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert connection.recv(1) == b""


def test_plain_http_is_refused(stand_in):
    answer = requests.get("http://example.com", proxies={"http": stand_in.proxy.url}, timeout=30)
    assert answer.status_code == 403


def test_it_listens_on_one_address_of_the_loopback_alone(stand_in):
    port = urlsplit(stand_in.proxy.url).port
    socket.create_connection(("127.0.0.1", port), timeout=30).close()
    with pytest.raises(OSError, match=r"refused|assign|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_names_of_hosts_ignore_case(connect):
    assert connect("KV-Quickstart.Vault.Azure.Net:443")[1].startswith(b"HTTP/1.1 200 ")


def test_its_certificate_is_not_trusted_without_its_authority(stand_in):
    wire = Wire(stand_in, "kv-quickstart.vault.azure.net")
    wire.session.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        wire("GET", "/secrets")


def test_bad_clients_leave_it_running(stand_in, connect, vault):
    host = "kv-quickstart.vault.azure.net"
    connect(f"{host}:443")[0].sendall(b"this is no TLS greeting\r\n\r\n")
    connect(f"{host}:443")[0].close()
    secure(stand_in, connect(f"{host}:443")[0], host).sendall(b"nonsense\r\n\r\n")
    leaving = secure(stand_in, connect(f"{host}:443")[0], host)
    leaving.sendall(b"PUT /secrets/a HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    leaving.close()
    lying = secure(stand_in, connect(f"{host}:443")[0], host)
    lying.sendall(b"PUT /secrets/a HTTP/1.1\r\nContent-Length: many\r\n\r\n")
    assert lying.recv(4096).startswith(b"HTTP/1.1 400 ")

    assert vault("GET", "/secrets").status_code == 200


class TestHostileClients:
    """Whatever a client does, the next one is served, and what it can make the stand-in hold is bounded."""

    HOST = "kv-quickstart.vault.azure.net"

    def open(self, stand_in):
        address = urlsplit(stand_in.proxy.url)
        return socket.create_connection((address.hostname, address.port), timeout=30)

    def test_thousand_idle_connections(self, stand_in, vault):
        threads = threading.active_count()
        idle = []
        try:
            for _ in range(1000):
                idle.append(self.open(stand_in))
                # Each is taken, or closed to make room: nothing waits in a queue that can fill up.
                if len(idle) % 100 == 0:
                    assert vault("GET", "/secrets").status_code == 200
            assert threading.active_count() - threads < 300
        finally:
            for connection in idle:
                connection.close()

    def test_endless_headers(self, stand_in, vault):
        with self.open(stand_in) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(b"CONNECT x:443 HTTP/1.1\r\n" + b"X: y\r\n" * 100_000)
            connection.settimeout(30)
            with contextlib.suppress(ConnectionError):
                assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")
        assert vault("GET", "/secrets").status_code == 200

    @pytest.mark.parametrize(
        "framing",
        [b"Content-Length: 100000000", b"Content-Length: " + b"9" * 30, b"Transfer-Encoding: chunked"],
    )
    def test_body_of_100_mb_is_refused_unread(self, stand_in, connect, vault, framing):
        secured = secure(stand_in, connect(f"{self.HOST}:443")[0], self.HOST)
        secured.sendall(b"PUT /secrets/a HTTP/1.1\r\n" + framing + b"\r\n\r\n")

        assert secured.recv(4096).startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))
        assert vault("GET", "/secrets").status_code == 200

    @pytest.mark.parametrize(
        "line",
        [
            *(
                b"CONNECT",
                b"CONNECT HTTP/1.1",
                b"CONNECT :443 HTTP/1.1",
                b"CONNECT a:443 b HTTP/1.1",
                b"\0\xff",
            ),
            *(
                b"CONNECT " + b"a" * 70_000 + b":443 HTTP/1.1",
                b"CONNECT \xff\xfe:443 HTTP/1.1",
                b"GET / HTTP/9.9",
            ),
            *(b"CONNECT [::1]:443 HTTP/1.1", b"CONNECT kv-quickstart.vault.azure.net:443x HTTP/1.1"),
        ],
    )
    def test_malformed_connect(self, stand_in, vault, line):
        with self.open(stand_in) as connection:
            connection.sendall(line + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        assert b" 200 " not in answer.partition(b"\r\n")[0]
        assert vault("GET", "/secrets").status_code == 200

    def test_pipelined_requests_are_answered_in_order(self, stand_in, connect):
        secured = secure(stand_in, connect(f"{self.HOST}:443")[0], self.HOST)
        requests = [f"GET /secrets/a{number} HTTP/1.1\r\nHost: x\r\n\r\n" for number in range(50)]
        secured.sendall("".join(requests).encode())
        answers = b""
        while answers.count(b"HTTP/1.1 401 ") < 50:
            answers += secured.recv(65536)

        asked = [one.path for one in stand_in.log if one.method == "GET"]
        assert asked == [f"/secrets/a{number}" for number in range(50)]


def test_log_tells_connections_apart_and_keeps_no_secrets(stand_in, vault):
    vault("PUT", "/secrets/my-secret?api-version=7.4", json={"value": "hunter2"})
    other = Wire(stand_in, "login.microsoftonline.com")
    other("GET", "/common/discovery/instance")
    vault("GET", "/secrets/no-secret/")

    assert [(one.connection, str(one), one.error_code) for one in stand_in.log] == [
        (1, "PUT /secrets/my-secret 200", ""),
        (2, "GET /common/discovery/instance 200", ""),
        (1, "GET /secrets/no-secret/ 404", "SecretNotFound"),
    ]
    assert "hunter2" not in repr(list(stand_in.log))
