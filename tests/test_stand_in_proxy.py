"""The stand-in's proxy: nothing gets past it, and nothing brings it down."""

import contextlib
import socket
import ssl
import threading
from urllib.parse import urlsplit

import pytest
import requests
from conftest import HOST, Wire
from stand_in import StandIn


@pytest.fixture
def connect(stand_in, capsys):
    """A function that opens a connection to the proxy, or with a host, one to that, through TLS or not.

    Whatever happens to connections in the meantime prints nothing.
    """
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:

        def connect(host=None, tls=True):
            address = urlsplit(stand_in.proxy.url)
            connection = socket.create_connection((address.hostname, address.port), timeout=30)
            stack.enter_context(connection)
            if not host:
                return connection
            connection.sendall(authorized(stand_in, f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode()))
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
            if not tls:
                return connection
            context = ssl.create_default_context(cafile=stand_in.certificates)
            return stack.enter_context(context.wrap_socket(connection, server_hostname=HOST))

        yield connect
    while threads := set(threading.enumerate()) - before:
        for thread in threads:
            # One that is only starting cannot be joined.
            if thread.is_alive():
                thread.join(60)
    assert capsys.readouterr().err == ""


def authorized(stand_in, request_):
    """A request to the proxy, as who knows its password sends it."""
    header = f"\r\nProxy-Authorization: {stand_in.proxy.authorization}\r\n".encode()
    return request_.replace(b"\r\n", header, 1)


def is_served(vault):
    """Whether the next client is served."""
    return vault("GET", "/secrets", headers={"Connection": "close"}).status_code == 200


PUT = b"PUT /secrets/a HTTP/1.1\r\n"
ELSEWHERE = [
    *(b"example.com:443", b"no-such-vault.vault.azure.net:443", b"kv-quickstart.vault.azure.net:80"),
    *(b"kv-quickstart.vault.azure.net.example.com:443", b"127.0.0.1:22", b"[::1]:443", b"\xff\xfe:443"),
]


@pytest.mark.parametrize(
    ("host", "request_", "status"),
    [
        *((None, b"CONNECT " + address + b" HTTP/1.1\r\n\r\n", b"403") for address in ELSEWHERE),
        (None, b"CONNECT " + b"a" * 70_000 + b":443 HTTP/1.1\r\n\r\n", b"414"),
        (None, b"\0\xff\r\n\r\n", b"400"),
        (None, b"GET http://example.com/ HTTP/1.1\r\n\r\n", b"403"),
        (None, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        # HTTP/0.9, which has no statuses, and a line that was cut in half.
        (None, b"GET /\r\n\r\n", b""),
        (None, b"CONN", b"400"),
        (HOST, b"GET /secrets\r\n\r\n", b""),
        (HOST, b"GET /sec", None),
        (HOST, b"GET http://[::1 HTTP/1.1\r\n\r\n", b"401"),
        (HOST, PUT + b"Content-Length: 100000000\r\n\r\n", b"413"),
        (HOST, PUT + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", b"413"),
        (HOST, PUT + b"Content-Length: many\r\n\r\n", b"400"),
        (HOST, PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (HOST, PUT + b"Transfer-Encoding: chunked\r\n\r\n", b"400"),
        (HOST, PUT + b"Content-Length: 100\r\n\r\n{", None),
    ],
)
def test_bad_request_gets_no_further(connect, stand_in, vault, host, request_, status):
    connection = connect(host)
    with contextlib.suppress(ConnectionError):
        connection.sendall(request_ if host else authorized(stand_in, request_))
        if host is None:
            connection.shutdown(socket.SHUT_WR)
        if status is not None:
            answer = connection.recv(4096)
            assert status in answer.split(b"\r\n")[0]
            assert bool(answer) == bool(status)
    # Whoever waits for no answer leaves.
    connection.close()
    assert is_served(vault)


def test_who_does_not_know_the_password_gets_no_further(connect):
    for header in (b"", b"Proxy-Authorization: Basic c3RhbmQtaW46eA==\r\n", b"Proxy-Authorization: \xff\r\n"):
        connection = connect()
        connection.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\n".encode() + header + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 407 ")


def test_name_of_the_machine_is_not_looked_up(monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("It takes seconds without a network."))
    with StandIn():
        pass


def test_client_that_speaks_no_tls_or_leaves(connect, vault):
    for greeting in (b"this is no TLS greeting\r\n\r\n", b""):
        connection = connect(HOST.upper(), tls=False)
        connection.sendall(greeting)
        connection.close()
    assert is_served(vault)


def test_it_listens_on_one_address_of_the_loopback_alone(stand_in):
    port = urlsplit(stand_in.proxy.url).port
    socket.create_connection(("127.0.0.1", port), timeout=30).close()
    with pytest.raises(OSError, match=r"refused|assign|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_its_certificate_is_not_trusted_without_its_authority(stand_in):
    wire = Wire(stand_in, HOST)
    wire.session.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        wire("GET", "/secrets")


def test_thousand_idle_connections(connect, vault):
    threads = threading.active_count()
    for number in range(1000):
        connect()
        # Each is taken, or closed to make room: nothing waits in a queue that can fill up.
        if number % 100 == 0:
            assert is_served(vault)
    assert threading.active_count() - threads < 300


def test_log_tells_connections_apart_and_keeps_no_secrets(stand_in, vault):
    Wire(stand_in, "login.microsoftonline.com")("GET", "/common/discovery/instance?api-version=1.1")
    vault("PUT", "/secrets/a_b", json={"value": "hunter2"})
    assert [(one.connection, str(one), one.error_code) for one in stand_in.log] == [
        (1, "GET /common/discovery/instance 200", ""),
        (2, "PUT /secrets/a_b 400", "BadParameter"),
    ]
    assert "hunter2" not in repr(list(stand_in.log))
