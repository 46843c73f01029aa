"""The sample, run as its users run it: a process, its input, its output, its exit status."""

import math
import os
import re
import shutil
import signal
from itertools import product

import pexpect
import pytest
from conftest import (
    AT_ONCE,
    DELETE,
    DELETE_COMMAND,
    GET,
    HOST,
    LIST,
    POLL,
    SAMPLE,
    SEARCH,
    SET,
    TOKEN,
    VAULT,
    Sample,
    assert_page_has_a_row_for,
    live_secrets,
    tutorial,
    type_both,
)
from stand_in.messages import Answer, error

UNAVAILABLE = Answer(503, b"<html>Service Unavailable</html>", AT_ONCE)
SIGN_IN_PAGE = Answer(302, b"<html>\n<body>Sign in to this network</body>\n</html>")
NO_PERMISSION = (
    "The user, group or application 'appid=1;oid=2;iss=https://sts.windows.net/3/' does not have secrets get "
    "permission on key vault 'kv-quickstart;location=eastus'. For help resolving this issue, please see "
    "https://go.microsoft.com/fwlink/?linkid=2125287"
)


def failed(ended):
    """What the sample says on standard error as it fails for a reason that a user can cause."""
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert_page_has_a_row_for(ended.stderr)
    return ended.stderr


@pytest.fixture
def signed_out(sample):
    """The sample without a service principal, and with nothing on its PATH."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        del sample.environment[name]
    sample.environment["PATH"] = ""
    return sample


class TestGoodRun:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("my-secret", """it's "quoted" \\ `so` {braces} {0} %s $HOME 🔑 crème"""),
            ("-", ""),
            ("N" * 127, "v" * 25 * 1024),
        ],
    )
    def test_output_is_the_tutorials_and_the_secret_is_deleted(self, sample, stand_in, name, value):
        ended = sample.run(name, value)

        assert (ended.stdout, ended.stderr, ended.returncode) == (tutorial(name, value), "", 0)
        secret = stand_in.vault.find(name)
        assert [version.value for version in secret.versions] == [value]
        assert secret.deleted_at is not None

    def test_eight_requests_on_two_connections(self, sample, stand_in):
        sample.run()

        tenant = stand_in.state.tenant_id
        assert [str(exchange) for exchange in stand_in.log] == [
            "GET /secrets/my-secret/versions 401",
            f"GET /{tenant}/v2.0/.well-known/openid-configuration 200",
            f"POST /{tenant}/oauth2/v2.0/token 200",
            "GET /secrets/my-secret/versions 200",
            "PUT /secrets/my-secret 200",
            "GET /secrets/my-secret/ 200",
            "DELETE /secrets/my-secret 200",
            "GET /deletedsecrets/my-secret 200",
        ]
        assert {exchange.connection for exchange in stand_in.log} == {1, 2}

    def test_value_that_is_shown_is_the_one_that_was_retrieved(self, sample, stand_in):
        retrieved = {"value": "retrieved", "id": f"https://{HOST}/secrets/my-secret/1", "attributes": {}}
        stand_in.faults.answer(GET, Answer(200, retrieved))

        assert "Your secret is 'retrieved'.\n" in sample.run().stdout

    def test_last_done_waits_until_the_secret_is_deleted(self, sample, stand_in):
        stand_in.vault.deletion_seconds = math.inf
        terminal = sample.on_terminal()
        terminal.expect_exact("Input a name for your secret > ")
        terminal.sendline("my-secret")
        terminal.expect_exact("Input a value for your secret > ")
        terminal.sendline("hunter2")
        terminal.expect_exact("Deleting your secret from kv-quickstart ...\r\n")
        stand_in.log.wait_for("GET /deletedsecrets/my-secret 404", count=2)
        assert terminal.expect_exact(["done", pexpect.TIMEOUT], timeout=0) == 1

        stand_in.vault.deletion_seconds = 0
        terminal.expect_exact(" done.\r\n")
        assert terminal.wait() == 0

    @pytest.mark.parametrize("fault", ["answer", "reset", "lose_answer"])
    def test_fault_that_passes_goes_unnoticed(self, sample, stand_in, fault):
        getattr(stand_in.faults, fault)(SET, *([UNAVAILABLE] if fault == "answer" else []))
        ended = sample.run()

        assert (ended.stderr, ended.returncode) == ("", 0)
        assert live_secrets(stand_in) == {}


class TestBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        "name", [None, "kv_1", "vault ", '"vault"', "väult", "https://x.vault.azure.net"]
    )
    def test_vault_name_that_is_not_valid_is_shown(self, sample, stand_in, name):
        del sample.environment["KEY_VAULT_NAME"]
        if name:
            sample.environment["KEY_VAULT_NAME"] = name
        ended = sample.run()

        assert f"KEY_VAULT_NAME is {name or ''!r}." in failed(ended)
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    @pytest.mark.parametrize("name", ["", "my_secret", "my secret", "schlüssel", "../x", "a\r"])
    def test_secret_name_that_is_not_valid_is_shown(self, sample, stand_in, name):
        ended = sample.run(name)

        assert repr(name) in failed(ended)
        assert "Input a value" not in ended.stdout
        assert len(stand_in.log) == 0

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            (b"", "EOF when reading a line"),
            (b"my-secret\n", "EOF when reading a line"),
            (b"my-secret\n\xff\n", "'utf-8' codec can't decode"),
        ],
    )
    def test_input_that_cannot_be_read(self, sample, stand_in, typed, words):
        sample.environment["PYTHONIOENCODING"] = "utf-8"

        assert words in failed(sample.run(typed=typed))
        assert len(stand_in.log) == 0

    def test_input_that_is_closed(self, sample):
        sample.command = ["bash", "-c", 'exec "$@" <&-', "bash", *sample.command]

        assert "lost sys.stdin" in failed(sample.run(typed=b""))

    def test_error_without_a_text_is_named(self, sample):
        terminal = sample.on_terminal()
        terminal.expect_exact(" > ")
        terminal.sendeof()
        terminal.expect(pexpect.EOF)

        assert_page_has_a_row_for(terminal.before.replace("\r\n", "\n"))

    @pytest.mark.parametrize("lines", [[], ["my-secret"]])
    def test_ctrl_c_at_a_prompt(self, sample, lines):
        terminal = sample.on_terminal()
        for line in lines:
            terminal.expect_exact(" > ")
            terminal.sendline(line)
        terminal.expect_exact(" > ")
        terminal.sendintr()
        # Python itself loses a signal that comes between the prompt and the reading: press it again.
        while terminal.expect_exact(["\r\nStopped.\r\n", pexpect.TIMEOUT], timeout=10):
            terminal.sendintr()
        terminal.expect(pexpect.EOF)

        assert terminal.before == ""
        assert terminal.wait() == 1

    def test_packages_that_are_missing(self, sample):
        sample.command[1:1] = ["-S"]

        assert failed(sample.run()).startswith(
            "No module named 'azure'\nTo install the packages, see README.md"
        )

    def test_file_that_hides_a_library_is_named_by_python(self, sample, tmp_path):
        sample.command[1] = shutil.copy(SAMPLE, tmp_path)
        (tmp_path / "azure.py").touch()

        assert "'azure' is not a package\n" in failed(sample.run())


@pytest.mark.parametrize(("name", "enabled"), [("my-secret", True), ("MY-Secret", False)])
def test_name_in_use_is_refused_before_anything_is_written(sample, stand_in, name, enabled):
    stand_in.vault.add_secret("my-secret", *map(str, range(30)), enabled=enabled)
    before = repr(stand_in.vault)

    assert name in failed(sample.run(name))
    assert repr(stand_in.vault) == before


WORDS = f"AADSTS50076: {'Long words. ' * 100}Please run: az login --tenant x"


class TestSigningIn:
    def test_nobody_is_signed_in(self, signed_out, tmp_path):
        add_program(
            signed_out, tmp_path, "az", "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1"
        )
        message = failed(signed_out.run())

        assert message.count("\nDefaultAzureCredential failed to retrieve a token") == 1
        assert message.count("\tAzureCliCredential: Please run 'az login' to set up an account\n") == 1

    @pytest.mark.parametrize(
        ("program", "printed", "words"),
        [
            ("az", WORDS, WORDS),
            ("azd", f'{{"error": "{WORDS}"}}', WORDS),
            ("pwsh", "Run Connect-AzAccount to login.", 'Please run "Connect-AzAccount" to set up account'),
        ],
    )
    def test_words_of_other_programs_are_whole(self, signed_out, tmp_path, program, printed, words):
        add_program(signed_out, tmp_path, program, f"echo '{printed}' >&2; exit 1")

        assert failed(signed_out.run()).count(words) == 1

    def test_client_secret_that_is_wrong(self, sample):
        sample.environment["AZURE_CLIENT_SECRET"] = "not-the-client-secret"
        message = failed(sample.run())

        assert (
            message.count("AADSTS7000215: Invalid client secret provided. Ensure the secret being sent") == 1
        )
        assert "not-the-client-secret" not in message

    def test_sign_in_that_has_expired(self, cloud):
        user = cloud.state.user
        cloud.az("login", "--username", user.name, "--password", user.password)
        words = "AADSTS700082: The refresh token has expired due to inactivity."
        expired = Answer(400, {"error": "invalid_grant", "error_description": words})
        cloud.stand_in.faults.answer(TOKEN, expired, times=99)

        assert failed(sample_without_service_principal(cloud).run()).count(words) == 1

    def test_command_that_is_printed_signs_in(self, cloud):
        cloud.az("account", "clear")
        sample = sample_without_service_principal(cloud)
        command = failed(sample.run()).splitlines()[-1]
        assert cloud.type(command).returncode == 0
        cloud.state.find_vault(VAULT).access_policies[0]["objectId"] = cloud.state.user.object_id

        assert sample.run().returncode == 0

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"AZURE_TOKEN_CREDENTIALS": "mine"}, "Invalid value for AZURE_TOKEN_CREDENTIALS"),
            ({"AZURE_TENANT_ID": "the tenant"}, "Invalid tenant ID"),
            ({"KEY_VAULT_NAME": "no-such-vault"}, "Tunnel connection failed: 403"),
            ({"HTTPS_PROXY": "http://127.0.0.1:1"}, "Unable to connect to proxy"),
            ({"REQUESTS_CA_BUNDLE": os.path.realpath(pexpect.__file__)}, "NO_CERTIFICATE_OR_CRL_FOUND"),
            ({"REQUESTS_CA_BUNDLE": "/none.pem"}, "Could not find a suitable TLS CA certificate bundle"),
        ],
    )
    def test_setting_that_is_wrong(self, sample, settings, words):
        sample.environment |= settings

        assert words in failed(sample.run())


def add_program(sample, folder, name, script):
    """Give the sample a program on its PATH, for words that the real one has no cause to say here."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    sample.environment["PATH"] = f"{folder}:{os.defpath}"


def sample_without_service_principal(cloud):
    """The sample, as whoever is signed in to the Azure CLI, with a vault."""
    cloud.state.add_vault(VAULT).deletion_seconds = 0
    identity = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    kept = {name: value for name, value in cloud.environment.items() if name not in identity}
    return Sample(kept | {"KEY_VAULT_NAME": VAULT})


class TestKeyVaultRefuses:
    @pytest.mark.parametrize(
        ("status", "code", "message"),
        [
            (401, "Unauthorized", "AKV10032: Invalid issuer. Expected one of https://sts…/a/, …"),
            (
                403,
                "ForbiddenByRbac",
                "Caller is not authorized to perform action on resource.\r\nVault: x\r\n",
            ),
        ],
    )
    def test_message_is_whole_and_there_once(self, sample, stand_in, status, code, message):
        tenant = f"https://login.microsoftonline.com/{stand_in.state.tenant_id}"
        challenge = {
            "WWW-Authenticate": f'Bearer authorization="{tenant}", resource="https://vault.azure.net"'
        }
        stand_in.faults.answer(LIST, error(status, code, message, headers=challenge), times=99)

        assert failed(sample.run()) == f"\n{message}\n{SEARCH}"

    def test_error_without_a_message_is_the_librarys(self, sample, stand_in):
        stand_in.faults.answer(LIST, Answer(403, {"error": {"code": "Forbidden"}}))

        assert "(Forbidden)" in sample.run().stderr

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("deleted", "x", "in a deleted but recoverable state"),
            ("n" * 128, "x", "The request URI contains an invalid name"),
            ("a", "v" * 25601, "Secret is beyond the maximum permitted length"),
        ],
    )
    def test_secret_that_cannot_be_saved(self, sample, stand_in, name, value, words):
        stand_in.vault.add_secret("deleted", "an earlier value")
        stand_in.vault.find("deleted").deleted_at = 1
        message = failed(sample.run(name, value))

        assert words in message
        assert live_secrets(stand_in) == {}
        assert not (name == "deleted" and "may still be" in message)


FAILURES = {
    "refusal": (
        lambda faults, wanted: faults.answer(wanted, error(403, "", NO_PERMISSION), 99),
        NO_PERMISSION,
    ),
    "503": (lambda faults, wanted: faults.answer(wanted, UNAVAILABLE, 99), "Service Unavailable"),
    "reset": (lambda faults, wanted: faults.reset(wanted, 99), "Unable to connect to proxy"),
    "lost answer": (lambda faults, wanted: faults.lose_answer(wanted, 99), "Unable to connect to proxy"),
    "page": (lambda faults, wanted: faults.answer(wanted, SIGN_IN_PAGE, 99), "Sign in to this network"),
    "malformed": (lambda faults, wanted: faults.answer(wanted, Answer(200, []), 99), "AttributeError"),
    "ctrl-c": (lambda faults, wanted: faults.hold(wanted), ""),
}
REQUESTS = {"list": LIST, "set": SET, "get": GET, "delete": DELETE, "poll": POLL}
BEFORE = {"connect": "CONNECT ", "tls": "HANDSHAKE ", "token": TOKEN}


@pytest.mark.parametrize(
    ("wanted", "failure"), [*product(REQUESTS, FAILURES), *((wanted, "ctrl-c") for wanted in BEFORE)]
)
def test_whichever_request_fails_what_may_be_left_is_said(sample, stand_in, wanted, failure):
    fail, words = FAILURES[failure]
    fault = fail(stand_in.faults, (REQUESTS | BEFORE)[wanted])
    process = sample.start()
    type_both(process)
    if failure == "ctrl-c":
        fault.reached.wait()
        process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=120)[1].decode()
    left = live_secrets(stand_in)

    if (wanted, failure) == ("poll", "refusal"):
        # The library takes it for the end of the deletion.
        assert (process.returncode, stderr, left) == (0, "", {})
        return
    assert process.returncode == 1
    assert words in stderr
    assert ("Traceback" in stderr) == (failure == "malformed")
    assert (DELETE_COMMAND in stderr) == (wanted in ("set", "get", "delete"))
    assert DELETE_COMMAND in stderr or not left
    assert_page_has_a_row_for(stderr)


def test_command_that_is_printed_deletes(cloud):
    vault = cloud.state.add_vault(VAULT)
    cloud.stand_in.faults.answer(f"GET /secrets/-x/ {HOST}", error(403, "Forbidden", NO_PERMISSION))
    sample = Sample(cloud.environment | {"KEY_VAULT_NAME": VAULT})
    message = failed(sample.run("-x"))
    command = re.search("^az .*", message, re.M)[0]

    assert f"'-x' may still be in {VAULT}." in message
    assert cloud.type(command).returncode == 0, command
    assert vault.find("-x").deleted_at is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nobody()", "NameError: name 'nobody' is not defined"),
        ("open('none')", "No such file or directory: 'none'"),
    ],
)
def test_change_of_the_readers_that_fails(sample, stand_in, tmp_path, change, words):
    line = "        retrieved_secret ="
    source = SAMPLE.read_text(encoding="utf-8")
    assert line in source
    (tmp_path / "kv_secrets.py").write_text(
        source.replace(line, f"        {change}\n{line}"), encoding="utf-8"
    )
    sample.command[1] = str(tmp_path / "kv_secrets.py")
    ended = sample.run()

    assert ended.stderr.index(DELETE_COMMAND) < ended.stderr.index(words)
    assert ("Traceback" in ended.stderr) == ("NameError" in words)
    assert ended.returncode == 1
