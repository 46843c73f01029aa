"""The sample, run as its users run it: a process, its input, its output, its exit status."""

import math
import os
import shlex
import shutil
import signal

import pexpect
import pytest
from conftest import (
    DELETE,
    GET,
    HOST,
    LIST,
    POLL,
    SAMPLE,
    SET,
    TOKEN,
    Sample,
    live_secrets,
    tutorial,
    type_both,
)
from stand_in.messages import Answer, error
from stand_in.state import Version

VAULT = "kv-quickstart"
SEARCH = "Search README.md, Troubleshooting, for this message.\n"
DELETE_IT = f"az keyvault secret delete --vault-name {VAULT} --name=my-secret\n"
LEFT = f"'my-secret' may still be in {VAULT}. To delete it:\n{DELETE_IT}"
SIGN_IN = "To sign in:\naz login\n"
# With this, the library repeats a request at once.
AT_ONCE = {"retry-after-ms": "1"}
UNAVAILABLE = Answer(503, b"<html>Service Unavailable</html>", AT_ONCE)
THROTTLED = error(429, "Throttled", "Slow down.", headers=AT_ONCE)
TOO_LATE = error(408, "RequestTimeout", "Too late.", headers=AT_ONCE)
FAILED = error(500, "InternalError", "Something failed.", headers=AT_ONCE)
MOVED = error(302, "Moved", "It is elsewhere.")


def failed(ended):
    """What the sample says on standard error as it fails."""
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
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
            ("My-SECRET-1", " spaces around "),
            ("-", ""),
            ("n" * 127, "v" * 25 * 1024),
        ],
    )
    def test_output_is_the_tutorials_and_the_secret_is_deleted(self, sample, stand_in, name, value):
        ended = sample.run(name, value)

        assert (ended.stdout, ended.stderr, ended.returncode) == (tutorial(name, value), "", 0)
        secret = stand_in.vault.find(name)
        assert [version.value for version in secret.versions] == [value]
        assert secret.deleted_at is not None

    def test_eight_requests_on_two_connections(self, sample, stand_in):
        ended = sample.run()

        assert (ended.stdout, ended.stderr) == (tutorial("my-secret", "hunter2"), "")
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
        assert str(list(stand_in.log)[-1]) == "GET /deletedsecrets/my-secret 200"
        assert terminal.wait() == 0

    def test_arrow_keys_move_and_recall_at_the_prompts(self, sample):
        up, left = "\033[A", "\033[D"
        terminal = sample.on_terminal()
        terminal.expect_exact("name for your secret > ")
        terminal.sendline("y-secret" + left * 8 + "m")
        terminal.expect_exact("value for your secret > ")
        terminal.sendline(up)
        terminal.expect_exact("Your secret is 'my-secret'.")
        terminal.expect(pexpect.EOF)

        assert terminal.wait() == 0

    def test_python_without_readline(self, sample, tmp_path):
        sample.command[1] = shutil.copy(SAMPLE, tmp_path)
        (tmp_path / "readline.py").write_text("raise ImportError")
        assert sample.run().returncode == 0

    def test_pasted_into_a_notebook_it_just_ends(self, sample):
        runner = f"import runpy; runpy.run_path({str(SAMPLE)!r}, run_name='__main__'); print('next cell')"
        sample.command[1:] = ["-c", runner]
        assert sample.run().stdout.endswith(" done.\nnext cell\n")


class TestBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        "name", ["", "kv_1", "vault ", '"vault"', "vault\r", "väult", "https://kv-quickstart.vault.azure.net"]
    )
    def test_vault_name_that_is_none(self, sample, stand_in, name):
        sample.environment["KEY_VAULT_NAME"] = name
        if not name:
            del sample.environment["KEY_VAULT_NAME"]
        ended = sample.run()

        assert failed(ended) == f"KEY_VAULT_NAME is {name!r}. To set it, see README.md, Create a vault.\n"
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    @pytest.mark.parametrize("name", ["", "my_secret", "my secret", "schlüssel", "a/b", "../x", "a\r"])
    def test_secret_name_that_is_none(self, sample, stand_in, name):
        ended = sample.run(name)

        rule = "Use only letters (A-Z, a-z), digits, and hyphens."
        assert failed(ended) == f"{name!r} is not a valid secret name. {rule}\n"
        assert "Input a value" not in ended.stdout
        assert len(stand_in.log) == 0

    @pytest.mark.parametrize("typed", [b"", b"my-secret\n"])
    def test_input_that_ends(self, sample, stand_in, typed):
        assert failed(sample.run(typed=typed)) == f"\nEOF when reading a line\n{SEARCH}"
        assert len(stand_in.log) == 0

    def test_error_without_a_text_is_named(self, sample):
        terminal = sample.on_terminal()
        terminal.expect_exact(" > ")
        terminal.sendeof()
        terminal.expect(pexpect.EOF)

        assert "\r\nEOFError\r\n" in terminal.before

    def test_input_that_is_closed(self, sample):
        sample.command = ["bash", "-c", 'exec "$@" <&-', "bash", *sample.command]

        # Python 3.14 leaves "input(): " out.
        message = failed(sample.run(typed=b"")).replace("input(): ", "")
        assert message == f"\nlost sys.stdin\n{SEARCH}"

    def test_bytes_that_are_not_text(self, sample, stand_in):
        sample.environment["PYTHONIOENCODING"] = "utf-8"

        assert failed(sample.run(typed=b"my-secret\n\xff\n")).startswith("\n'utf-8' codec can't decode")
        assert len(stand_in.log) == 0

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

    @pytest.mark.parametrize("folder", ["env", "my env"])
    def test_missing_packages_are_installed_with_the_python_that_misses_them(self, sample, tmp_path, folder):
        python = tmp_path / folder / "python"
        python.parent.mkdir()
        python.symlink_to(sample.command[0])
        sample.command[:1] = [str(python), "-S"]
        *message, install = failed(sample.run()).splitlines(keepends=True)

        assert message == ["No module named 'azure'\n", SEARCH, "To install the packages:\n"]
        assert shlex.split(install) == [str(python), "-m", "pip", "install", "-r", "requirements.txt"]
        assert install.startswith('"') == (" " in folder)

    def test_file_that_hides_a_library_is_named_by_python(self, sample, tmp_path):
        sample.command[1] = shutil.copy(SAMPLE, tmp_path)
        (tmp_path / "azure.py").touch()

        assert "'azure' is not a package\n" in failed(sample.run())


class TestNames:
    @pytest.mark.parametrize(("name", "enabled"), [("my-secret", True), ("MY-Secret", False)])
    def test_name_in_use_is_refused_before_anything_is_written(self, sample, stand_in, name, enabled):
        stand_in.vault.add_secret("my-secret", *map(str, range(30)), enabled=enabled)
        before = repr(stand_in.vault)

        in_use = f"'{name}' is already in use in {VAULT}. Choose a different name.\n"
        assert failed(sample.run(name)) == in_use
        assert repr(stand_in.vault) == before

    @pytest.mark.parametrize("value", ["theirs", "hunter2"])
    def test_somebody_elses_version_is_neither_shown_nor_deleted(self, sample, stand_in, value):
        held = stand_in.faults.hold(SET)
        process = sample.start()
        type_both(process)
        held.reached.wait()
        stand_in.vault.find("my-secret").versions.append(Version(value))
        held.release()
        stdout, stderr = process.communicate(timeout=60)

        assert (process.returncode, b"Your secret is" in stdout) == (1, False)
        assert stderr.decode() == (
            "Someone else set 'my-secret' at the same time, and your value is now an older version of it. "
            "Choose a different name.\n"
        )
        assert live_secrets(stand_in) == {"my-secret": ["hunter2", value]}


WORDS = f"AADSTS50076: {'Long words. ' * 100}Please run: az login --tenant x"


class TestSigningIn:
    def test_nobody_is_signed_in(self, signed_out, tmp_path):
        not_signed_in = "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1"
        add_program(signed_out, tmp_path, "az", not_signed_in)
        message = failed(signed_out.run())

        assert message.startswith("\nDefaultAzureCredential failed to retrieve a token")
        assert message.count("\tAzureCliCredential: Please run 'az login' to set up an account\n") == 1
        assert message.endswith(SEARCH + SIGN_IN)

    @pytest.mark.parametrize(
        ("program", "printed", "words"),
        [
            ("az", WORDS, WORDS),
            ("azd", f'{{"error": "{WORDS}"}}', WORDS),
            ("pwsh", "Run Connect-AzAccount to login.", 'Please run "Connect-AzAccount" to set up account'),
        ],
    )
    def test_words_of_other_programs(self, signed_out, tmp_path, program, printed, words):
        add_program(signed_out, tmp_path, program, f"echo '{printed}' >&2; exit 1")
        message = failed(signed_out.run())

        assert message.count(words) == 1
        assert message.endswith(SEARCH)

    def test_client_secret_that_is_wrong(self, sample):
        sample.environment["AZURE_CLIENT_SECRET"] = "not-the-client-secret"
        message = failed(sample.run())

        words = (
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is"
        )
        assert message.count(words) == 1
        assert message.endswith(SEARCH)
        assert "not-the-client-secret" not in message

    def test_sign_in_that_has_expired(self, cloud):
        user = cloud.state.user
        cloud.az("login", "--username", user.name, "--password", user.password)
        words = "AADSTS700082: The refresh token has expired due to inactivity."
        expired = Answer(400, {"error": "invalid_grant", "error_description": words})
        cloud.stand_in.faults.answer(TOKEN, expired, times=99)
        message = failed(sample_without_service_principal(cloud).run())

        assert message.count(words) == 1
        assert SEARCH in message

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
            ({"REQUESTS_CA_BUNDLE": os.path.realpath(pexpect.__file__)}, "CERTIFICATE"),
            ({"REQUESTS_CA_BUNDLE": "/none.pem"}, "Could not find a suitable TLS CA certificate bundle"),
        ],
    )
    def test_setting_that_is_wrong(self, sample, settings, words):
        sample.environment |= settings
        message = failed(sample.run())

        assert words in message
        assert message.endswith(SEARCH)


def add_program(sample, folder, name, script):
    """Give the sample a program on its PATH that does this, for words that the real one has no cause to say."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    sample.environment["PATH"] = f"{folder}:{os.defpath}"


def sample_without_service_principal(cloud):
    """The sample, as whoever is signed in to the Azure CLI, with a vault."""
    cloud.state.add_vault(VAULT).deletion_seconds = 0
    identity = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    kept = {name: value for name, value in cloud.environment.items() if name not in identity}
    return Sample(kept | {"KEY_VAULT_NAME": VAULT})


CALLER = "appid=1;oid=66666666-7777-8888-9999-000000000000;iss=https://sts.windows.net/t/"


class TestKeyVaultRefuses:
    @pytest.mark.parametrize(
        ("status", "code", "inner_code", "message"),
        [
            (401, "Unauthorized", None, "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."),
            (401, "Unauthorized", None, "AKV10022: Invalid audience. Expected https://vault.azure.net, …"),
            (401, "Unauthorized", None, "AKV10032: Invalid issuer. Expected one of https://sts…/a/, …"),
            (401, "Unauthorized", None, "[TokenExpired] Error validating token: 'S2S12086'."),
            (401, "Unauthorized", None, "AKV10046: Unable to resolve the key used for signature …"),
            (403, "Forbidden", "AccessDenied", f"'{CALLER}' does not have secrets list permission on …"),
            (403, "Forbidden", "ForbiddenByRbac", f"Caller is not …\r\nCaller: {CALLER}\r\nVault: kv\r\n"),
            (403, "Forbidden", "ForbiddenByFirewall", "Client address is not authorized …\r\nVault: kv"),
            (403, "Forbidden", "ForbiddenByConnection", "Public network access is disabled …\r\nVault: kv"),
            (404, "SecretNotFound", None, "A secret with (name/id) my-secret was not found …"),
            (400, "BadParameter", None, "The request URI contains an invalid name: my-secret"),
            (409, "Conflict", "ObjectIsBeingDeleted", "Secret my-secret is currently being deleted …"),
            (429, "Throttled", None, "Request was not processed because too many requests were received. …"),
        ],
    )
    def test_message_is_whole_and_nothing_else(self, sample, stand_in, status, code, inner_code, message):
        tenant = f"https://login.microsoftonline.com/{stand_in.state.tenant_id}"
        challenge = f'Bearer authorization="{tenant}", resource="https://vault.azure.net"'
        headers = {"WWW-Authenticate": challenge} | (AT_ONCE if status == 429 else {})
        stand_in.faults.answer(LIST, error(status, code, message, inner_code, headers), times=99)

        assert failed(sample.run()) == f"\n{message}\n{SEARCH}"
        assert not stand_in.vault.secrets

    def test_error_without_a_message_is_the_librarys(self, sample, stand_in):
        stand_in.faults.answer(LIST, Answer(403, {"error": {"code": "Forbidden"}}))

        assert "(Forbidden)" in failed(sample.run())

    @pytest.mark.parametrize(
        ("name", "value"), [("deleted", "hunter2"), ("n" * 128, "x"), ("a", "v" * 25601)]
    )
    def test_secret_that_is_refused_is_not_left(self, sample, stand_in, name, value):
        stand_in.vault.add_secret("deleted", "an earlier value")
        stand_in.vault.find("deleted").deleted_at = 1
        message = failed(sample.run(name, value))

        assert "may still be" not in message
        assert message.endswith(SEARCH)
        assert live_secrets(stand_in) == {}


def refuse(stand_in, request):
    stand_in.faults.answer(request, error(403, "Forbidden", "You may not."), times=99)
    return "\nYou may not.\n"


def stay_unavailable(stand_in, request):
    stand_in.faults.answer(request, UNAVAILABLE, times=99)
    return "Operation returned an invalid status 'Service Unavailable'\nContent: <html>Service Unavailable</html>"


def always_break(stand_in, request):
    stand_in.faults.reset(request, times=99)
    return "Unable to connect to proxy"


class TestWhatMayBeLeft:
    """For each request, and each way in which it fails for good."""

    @pytest.mark.parametrize("fail", [refuse, stay_unavailable, always_break])
    @pytest.mark.parametrize(
        ("request_", "left"), [(LIST, ""), (SET, LEFT), (GET, LEFT), (DELETE, LEFT), (POLL, "")]
    )
    def test_request_that_fails(self, sample, stand_in, request_, left, fail):
        words = fail(stand_in, request_)
        ended = sample.run()
        if (fail, request_) == (refuse, POLL):
            # The library takes it for the end of the deletion.
            assert ended.returncode == 0
            return
        if (fail, request_) == (refuse, SET):
            left = ""

        message = failed(ended)
        assert message.count(words) == 1
        assert message.endswith(SEARCH + left)
        assert ("my-secret" in live_secrets(stand_in)) <= bool(left)

    @pytest.mark.parametrize(
        ("request_", "left"),
        [
            *((one, "") for one in ("CONNECT ", "HANDSHAKE ", "/openid-configuration", TOKEN, LIST, POLL)),
            *((one, LEFT) for one in (SET, GET, DELETE)),
        ],
    )
    def test_ctrl_c_during_a_request(self, sample, stand_in, request_, left):
        held = stand_in.faults.hold(request_)
        if request_ == LIST:
            # The first one of these is the challenge.
            held.release()
            held = stand_in.faults.hold(request_)
        process = sample.start()
        type_both(process)
        held.reached.wait()
        process.send_signal(signal.SIGINT)
        # The signal may come while Python makes an object that it cannot discard then without a word.
        stderr = process.communicate(timeout=60)[1].decode().partition("Exception ignored in: ")[0]

        assert (stderr, process.returncode) == (f"\nStopped.\n{left}", 1)

    def test_ctrl_c_between_two_polls(self, sample, stand_in):
        stand_in.vault.deletion_seconds = math.inf
        process = sample.start()
        type_both(process)
        stand_in.log.wait_for("GET /deletedsecrets/my-secret 404")
        process.send_signal(signal.SIGINT)

        assert process.communicate(timeout=60)[1].decode() == "\nStopped.\n"
        assert process.returncode == 1

    @pytest.mark.parametrize("answer", [THROTTLED, TOO_LATE, FAILED, MOVED])
    def test_answer_that_may_follow_an_attempt_that_succeeded(self, sample, stand_in, answer):
        stand_in.faults.lose_answer(SET)
        stand_in.faults.answer(SET, answer, times=99)

        words = answer.document["error"]["message"]
        assert failed(sample.run()) == f"\n{words}\n{SEARCH}{LEFT}"
        assert live_secrets(stand_in) == {"my-secret": ["hunter2"]}

    def test_lost_answer_to_the_deletion(self, sample, stand_in):
        stand_in.faults.lose_answer(DELETE)

        assert failed(sample.run()).endswith(LEFT)

    def test_page_of_html_from_the_network(self, sample, stand_in):
        page = b"<html>\n<body>Sign in to this network</body>\n</html>"
        stand_in.faults.answer(SET, Answer(302, page), times=99)
        message = failed(sample.run())

        assert message.count("Sign in to this network") == 1
        assert message.endswith(SEARCH + LEFT)

    def test_command_that_is_printed_deletes(self, cloud):
        vault = cloud.state.add_vault(VAULT)
        cloud.stand_in.faults.answer(f"GET /secrets/-x/ {HOST}", error(403, "Forbidden", "You may not."))
        sample = Sample(cloud.environment | {"KEY_VAULT_NAME": VAULT})
        command = failed(sample.run("-x")).splitlines()[-1]

        assert cloud.type(command).returncode == 0, command
        assert vault.find("-x").deleted_at is not None


@pytest.mark.parametrize("fault", ["unavailable", "reset", "lost answer"])
def test_fault_that_passes_goes_unnoticed(sample, stand_in, fault):
    if fault == "unavailable":
        stand_in.faults.answer(SET, UNAVAILABLE)
    elif fault == "reset":
        stand_in.faults.reset(SET)
    else:
        stand_in.faults.lose_answer(SET)
    ended = sample.run()

    assert (ended.stderr, ended.returncode) == ("", 0)
    assert live_secrets(stand_in) == {}


def test_bug_is_reported_by_python(sample, tmp_path):
    broken = SAMPLE.read_text(encoding="utf-8").replace("credential = Default", "credential = Defalt")
    (tmp_path / "kv_secrets.py").write_text(broken, encoding="utf-8")
    sample.command[1] = str(tmp_path / "kv_secrets.py")
    ended = sample.run()

    assert ended.stderr.startswith("Traceback")
    assert "NameError: name 'DefaltAzureCredential' is not defined" in ended.stderr


def test_it_stays_small():
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    first, last = lines.index("def main():"), lines.index('    print(" done.")')

    assert len(lines) <= 100
    assert first < 20
    assert last - first < 40
