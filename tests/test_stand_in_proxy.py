"""The stand-in's proxy: nothing gets past it, and no client disturbs it."""

import socket
import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from conftest import HOST


def connect(stand_in, address, authorization):
    """The socket of a tunnel to an address. Raises OSError with the status, if the proxy refuses it."""
    host, _, port = address.partition(":")
    connection = HTTPConnection("127.0.0.1", urlsplit(stand_in.proxy.url).port, timeout=30)
    connection.set_tunnel(host, int(port), {"Proxy-Authorization": authorization})
    connection.connect()
    return connection.sock


@pytest.mark.parametrize(
    "address",
    [
        *("example.com:443", "no-such-vault.vault.azure.net:443", "kv-quickstart.vault.azure.net:80"),
        *("kv-quickstart.vault.azure.net.example.com:443", "127.0.0.1:22"),
    ],
)
def test_there_is_no_tunnel_to_anywhere_else(stand_in, address):
    with pytest.raises(OSError, match="403"):
        connect(stand_in, address, stand_in.proxy.authorization)


@pytest.mark.parametrize("authorization", ["", "Basic c3RhbmQtaW46eA==", "\xff"])
def test_nobody_is_served_without_the_password(stand_in, authorization):
    with pytest.raises(OSError, match="407"):
        connect(stand_in, f"{HOST}:443", authorization)


def test_it_listens_on_one_address_of_the_loopback_alone(stand_in):
    port = urlsplit(stand_in.proxy.url).port
    socket.create_connection(("127.0.0.1", port), timeout=30).close()
    with pytest.raises(OSError, match=r"refused|assign|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.parametrize("greeting", [b"this is no TLS greeting\r\n\r\n", b""])
def test_client_that_speaks_no_tls_or_leaves_prints_nothing(stand_in, capsys, greeting):
    before = set(threading.enumerate())
    with connect(stand_in, f"{HOST}:443", stand_in.proxy.authorization) as tunnel:
        tunnel.sendall(greeting)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert capsys.readouterr().err == ""
