"""scripts/demo.sh --trace: each request and its answer, one line each."""

import os
import re

import pexpect
import pytest
from conftest import ROOT, run_script
from test_demo import TYPED
from test_good_run import tutorial

LINE = re.compile(r"(Key Vault|Entra ID|Proxy) +([A-Z]+) +(\S+) +(\d{3})(?: (.+))?")


@pytest.fixture(scope="module")
def ended():
    return run_script("demo.sh", "--trace", input=TYPED)


def test_each_request_has_a_line_and_the_output_stays_the_samples(ended):
    assert ended.stdout == tutorial("my-secret", "hunter2")
    exchanges = [LINE.fullmatch(line).groups() for line in ended.stderr.splitlines()]
    assert [(method, status, note) for _, method, _, status, note in exchanges] == [
        ("GET", "401", "challenge: who are you?"),
        ("GET", "200", "where to get a token"),
        ("POST", "200", "a token"),
        ("GET", "200", "is the name free?"),
        ("PUT", "200", "secret set"),
        ("GET", "200", "secret retrieved"),
        ("DELETE", "200", "deletion started"),
        ("GET", "404", "not deleted yet"),
        ("GET", "200", "deleted"),
    ]


def test_columns_are_aligned(ended):
    starts = [
        [LINE.fullmatch(line).start(number) for number in range(1, 6)] for line in ended.stderr.splitlines()
    ]
    assert all(each == starts[0] for each in starts)


def test_paths_that_are_too_long_do_not_break_the_columns():
    ended = run_script("demo.sh", "--trace", input="n" * 127 + "\nhunter2\n")
    statuses = {re.search(r" \d{3} ", line).start() for line in ended.stderr.splitlines()}
    assert len(statuses) == 1


def test_no_color_without_a_terminal(ended):
    assert "\033" not in ended.stderr


@pytest.mark.parametrize(("setting", "colored"), [("", True), ("1", False)])
def test_color_on_a_terminal_unless_no_color_is_set(setting, colored):
    environment = os.environ | {"NO_COLOR": setting}
    terminal = pexpect.spawn(str(ROOT / "scripts/demo.sh"), ["--trace"], env=environment, timeout=60)
    terminal.sendline("my-secret")
    terminal.sendline("hunter2")
    terminal.expect(pexpect.EOF)

    assert (b"\033[32m200\033[0m" in terminal.before) == colored
    assert (b"\033[33m401\033[0m" in terminal.before) == colored


def test_values_tokens_and_client_secrets_never_appear():
    show = 'echo "$AZURE_CLIENT_SECRET"; python "$0"'
    sample = str(ROOT / "kv_secrets.py")
    ended = run_script("demo.sh", "--trace", "bash", "-c", show, sample, input=TYPED)

    client_secret = ended.stdout.splitlines()[0]
    assert len(client_secret) > 20
    for secret in ("hunter2", client_secret, "eyJ"):
        assert secret not in ended.stderr


def test_host_that_is_not_there_is_shown():
    command = 'KEY_VAULT_NAME=no-such-vault python "$0"'
    sample = str(ROOT / "kv_secrets.py")
    ended = run_script("demo.sh", "--trace", "bash", "-c", command, sample, input=TYPED)

    first = LINE.fullmatch(ended.stderr.splitlines()[0]).groups()
    assert first == ("Proxy", "CONNECT", "no-suc...t.vault.azure.net:443", "403", "no such host")


def test_lines_appear_as_it_happens():
    terminal = pexpect.spawn(str(ROOT / "scripts/demo.sh"), ["--trace"], timeout=60)
    terminal.sendline("my-secret")
    terminal.sendline("hunter2")
    for expected in (
        "Creating a secret",
        "challenge",
        " done.",
        "Retrieving",
        "retrieved",
        "Your secret",
    ):
        terminal.expect_exact(expected)
