"""The stand-in as a program that wraps a command: ``python tests/stand_in COMMAND``."""

import json
import os
import signal
import subprocess
import sys

import pexpect
import pytest
from conftest import ROOT

PROGRAM = [sys.executable, str(ROOT / "tests/stand_in")]
SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


def wrap(*command, **options):
    settings = {"capture_output": True, "text": True, "timeout": 60} | options
    return subprocess.run([*PROGRAM, *command], **settings)


def environment_inside(**outside):
    ended = wrap(sys.executable, "-c", SHOW_ENVIRONMENT, env=os.environ | outside)
    return json.loads(ended.stdout)


def test_environment_leads_to_the_stand_in():
    inside = environment_inside()

    assert inside["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    certificates = {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"}
    assert len({inside[name] for name in certificates}) == 1
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "KEY_VAULT_NAME"):
        assert inside[name]
    assert inside["AZURE_POD_IDENTITY_AUTHORITY_HOST"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "name",
    [
        *("NO_PROXY", "no_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY", "SSL_CERT_DIR"),
        *("CURL_CA_BUNDLE", "AZURE_AUTHORITY_HOST", "AZURE_CLIENT_CERTIFICATE_PATH"),
        *("AZURE_TOKEN_CREDENTIALS", "AZURE_USERNAME", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"),
    ],
)
def test_whatever_would_lead_around_it_is_taken_out(name):
    assert name not in environment_inside(**{name: "https://elsewhere.example"})


def test_what_has_nothing_to_do_with_azure_stays():
    assert environment_inside(MY_SETTING="kept")["MY_SETTING"] == "kept"


@pytest.mark.parametrize(
    ("code", "status"),
    [("0", 0), ("7", 7), ("__import__('os').kill(__import__('os').getpid(), 15)", 128 + 15)],
)
def test_it_ends_with_the_exit_status_of_the_command(code, status):
    assert wrap(sys.executable, "-c", f"raise SystemExit({code})").returncode == status


def test_command_that_is_not_there():
    ended = wrap("no-such-command")

    assert ended.returncode == 127
    assert "no-such-command" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_command_is_an_error():
    assert wrap().returncode == 2


def test_input_and_output_are_the_commands():
    copy = "import sys; print(sys.stdin.read(), end='')"
    ended = wrap(sys.executable, "-c", copy, input="to and fro")

    assert (ended.stdout, ended.stderr) == ("to and fro", "")


def test_nothing_is_left_behind(tmp_path):
    wrap(sys.executable, "-c", "", env=os.environ | {"TMPDIR": str(tmp_path)})

    assert list(tmp_path.iterdir()) == []


def start_and_wait_until_it_runs(tmp_path):
    """A wrapped command that runs until it is ended, in a temporary folder of its own."""
    ready = "import time; print('ready', flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [*PROGRAM, sys.executable, "-c", ready],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_is_passed_on_and_nothing_is_left_behind(tmp_path, number):
    with start_and_wait_until_it_runs(tmp_path) as process:
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    with start_and_wait_until_it_runs(tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_is_readable_by_the_user_alone_and_removed_by_the_next(tmp_path):
    killed, other = (start_and_wait_until_it_runs(tmp_path) for _ in range(2))
    with killed, other:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        folders = {(folder / "process").read_text(): folder for folder in tmp_path.iterdir()}
        modes = [folder.stat().st_mode & 0o777 for folder in folders.values()]
        wrap(sys.executable, "-c", "", env=os.environ | {"TMPDIR": str(tmp_path)})
        left = [(folder / "process").read_text() for folder in tmp_path.iterdir()]
        other.terminate()

    assert set(folders) == {str(killed.pid), str(other.pid)}
    assert (modes, left) == ([0o700, 0o700], [str(other.pid)])
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_for_the_command_to_decide():
    command = """if True:
        try:
            input("ready")
        except KeyboardInterrupt:
            print("caught")
            raise SystemExit(42)
    """
    terminal = pexpect.spawn(PROGRAM[0], [PROGRAM[1], sys.executable, "-c", command], timeout=60)
    terminal.expect_exact("ready")
    terminal.sendintr()
    # Python itself loses a signal that comes between the prompt and the reading: press it again.
    while terminal.expect_exact(["caught", pexpect.TIMEOUT], timeout=10):
        terminal.sendintr()
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 42
