"""The stand-in as a program that wraps a command: ``python tests/stand_in COMMAND``."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pexpect
import pytest
from conftest import ROOT

PROGRAM = [sys.executable, str(ROOT / "tests/stand_in")]


def wrap(*command, **environment):
    return subprocess.run(
        [*PROGRAM, *command], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


def test_environment_leads_to_it_and_not_around_it():
    proxies = ("NO_PROXY", "no_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY")
    certificates = ("SSL_CERT_DIR", "CURL_CA_BUNDLE", "AZURE_CLIENT_CERTIFICATE_PATH")
    identities = ("AZURE_TOKEN_CREDENTIALS", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT")
    outside = dict.fromkeys(proxies + certificates + identities, "https://elsewhere.example")
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    inside = json.loads(wrap(sys.executable, "-c", show, **outside, MY_SETTING="kept").stdout)

    assert "https://elsewhere.example" not in inside.values()
    assert inside["MY_SETTING"] == "kept"
    assert inside["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert inside["REQUESTS_CA_BUNDLE"] == inside["SSL_CERT_FILE"] == inside["NODE_EXTRA_CA_CERTS"]
    assert inside["AZURE_POD_IDENTITY_AUTHORITY_HOST"] == "http://127.0.0.1:1"
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "KEY_VAULT_NAME"):
        assert inside[name]


def test_nothing_gets_out():
    fetch = "import urllib.request as u; u.urlopen"
    for url in ("https://example.com", "http://example.com"):
        ended = wrap(sys.executable, "-c", f"{fetch}({url!r})")
        assert (ended.returncode, "403" in ended.stderr) == (1, True)


@pytest.mark.parametrize(("line", "status"), [("exit 7", 7), ("kill -9 $$", 128 + 9)])
def test_it_ends_with_the_exit_status_of_the_command_and_leaves_nothing(tmp_path, line, status):
    ended = wrap("sh", "-c", line, TMPDIR=str(tmp_path))

    assert (ended.stderr, ended.returncode) == ("", status)
    assert list(tmp_path.iterdir()) == []


def test_command_that_is_not_there():
    ended = wrap("no-such-command")

    assert (ended.stderr, ended.returncode) == ("no-such-command: No such file or directory\n", 127)


@contextlib.contextmanager
def waiting(folder):
    """The wrapped command, running until a signal ends it, in a temporary folder of its own."""
    process = subprocess.Popen(
        [*PROGRAM, sys.executable, "-c", "import signal; print('ready', flush=True); signal.pause()"],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_is_passed_on_and_leaves_nothing(tmp_path, number):
    with waiting(tmp_path) as process:
        process.send_signal(number)
        # The output ends when the command, which has it open as well, has ended.
        assert process.communicate(timeout=60) == (b"", None)
        assert process.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_killed_one_is_the_users_alone_and_removed_by_the_next(tmp_path):
    with waiting(tmp_path) as other:
        with waiting(tmp_path):
            assert [folder.stat().st_mode & 0o777 for folder in tmp_path.iterdir()] == [0o700] * 2
        assert len(list(tmp_path.iterdir())) == 2
        wrap("true", TMPDIR=str(tmp_path))

        (left,) = tmp_path.iterdir()
        assert (left / "process").read_text() == str(other.pid)


def test_ctrl_c_is_for_the_command_to_decide():
    script = "trap 'echo caught; exit 42' INT; echo ready; read line"
    terminal = pexpect.spawn(PROGRAM[0], [PROGRAM[1], "bash", "-c", script], timeout=60)
    terminal.expect_exact("ready")
    terminal.sendintr()
    terminal.expect_exact("caught")
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 42
