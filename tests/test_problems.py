"""The sample, when something goes wrong: whose words it prints, what it adds, and that no secret is lost."""

import contextlib
import math
import os
import shlex
import shutil
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pexpect
import pytest
from conftest import SAMPLE
from stand_in import tokens
from stand_in.messages import Answer, error
from stand_in.state import Version

VAULT = "kv-quickstart"
PAGE = "Look up the words above in README.md, under Troubleshooting.\n"
OTHER_NAME = "Choose a different name.\n"
DELETE = f"az keyvault secret delete --vault-name {VAULT} --name=my-secret\n"
LEFT = f"'my-secret' may still be in {VAULT}. To delete it:\n{DELETE}"
STARTED = f"The deletion of 'my-secret' from {VAULT} has already started.\n"
AZURE_CLI = "To use the Azure CLI instead:\nexport AZURE_TOKEN_CREDENTIALS=AzureCliCredential\naz login\n"
SIGN_IN_AGAIN = "To sign in again:\naz login\n"
HTML = b"<html>\n<body>Sign in to this network</body>\n</html>" + b"<p>" * 300
UNAVAILABLE = Answer(503, b"<html>Service Unavailable</html>")
CLIENT_ID = "11111111-2222-3333-4444-555555555555"
REQUESTS = [
    "GET /secrets/my-secret/versions",
    "PUT /secrets/my-secret",
    "GET /secrets/my-secret/ ",
    "DELETE /secrets/my-secret",
    "GET /deletedsecrets/my-secret",
]
# What is said of the secret when the request fails for good.
SAID = dict(zip(REQUESTS, ["", LEFT, LEFT, LEFT, STARTED], strict=True))


def failed(ended):
    """What the sample says on standard error as it fails."""
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


def live_secrets(stand_in):
    """The values of the secrets that are in the vault and not deleted, by name."""
    return {
        secret.name: [version.value for version in secret.versions]
        for secret in stand_in.vault.secrets.values()
        if secret.deleted_at is None
    }


def type_both(process):
    process.stdin.write(b"my-secret\nhunter2\n")
    process.stdin.flush()


@pytest.fixture
def signed_out(sample):
    """The sample with no service principal in its environment, and no az on its PATH."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        del sample.environment[name]
    sample.environment["PATH"] = ""
    return sample


class TestBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        "name",
        [
            *("", "kv", "1vault", "a--b", "vault-", "kv_1", "n" * 25, "vault\n", "vault ", '"vault"'),
            *("https://kv-quickstart.vault.azure.net", "evil.example/", "kv@evil.example", "vault\r"),
        ],
    )
    def test_vault_name_that_is_none(self, sample, stand_in, name):
        sample.environment["KEY_VAULT_NAME"] = name
        ended = sample.run()

        assert failed(ended) == (
            f"The environment variable KEY_VAULT_NAME is {name!r}, which is not a vault name.\n"
            "Set it to a name such as kv-quickstart. See README.md, under Create a vault.\n"
        )
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    def test_vault_name_that_is_not_set(self, sample, stand_in):
        del sample.environment["KEY_VAULT_NAME"]
        ended = sample.run()

        assert failed(ended) == (
            "The environment variable KEY_VAULT_NAME is not set.\n"
            "Set it to a name such as kv-quickstart. See README.md, under Create a vault.\n"
        )
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    @pytest.mark.parametrize("name", ["", "my_secret", "my secret", "n" * 128, "schlüssel", "a/b", "a\r"])
    def test_secret_name_that_is_none(self, sample, stand_in, name):
        ended = sample.run(name)

        rule = "A secret name consists of 1 to 127 letters (A to Z), digits, and hyphens."
        assert failed(ended) == f"{name!r} is not a secret name.\n{rule}\n"
        assert "Input a value" not in ended.stdout
        assert len(stand_in.log) == 0

    @pytest.mark.parametrize("typed", [b"", b"my-secret", b"my-secret\n"])
    def test_input_that_ends(self, sample, stand_in, typed):
        ended = sample.run(typed=typed)

        assert failed(ended) == "\nThe input ended. The sample needs a name and a value.\n"
        assert not stand_in.vault.secrets

    @pytest.mark.parametrize("lines", [[], ["my-secret"]])
    def test_ctrl_c_at_a_prompt(self, sample, stand_in, lines):
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
        assert not stand_in.vault.secrets

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


class TestPackages:
    def test_missing_packages_are_installed_with_the_python_that_misses_them(self, sample, tmp_path):
        python = tmp_path / "my env/python"
        python.parent.mkdir()
        python.symlink_to(sample.command[0])
        sample.command[:1] = [str(python), "-S"]
        missing, _, install, page = failed(sample.run()).splitlines()

        assert missing == "No module named 'azure'"
        assert shlex.split(install) == [str(python), "-m", "pip", "install", "-r", "requirements.txt"]
        assert "README.md, under Troubleshooting" in page

    def test_file_that_hides_a_library_is_named_by_python(self, sample, tmp_path):
        sample.command[1] = shutil.copy(SAMPLE, tmp_path)
        (tmp_path / "azure.py").touch()

        assert "'azure' is not a package\n" in failed(sample.run())


class TestNames:
    @pytest.mark.parametrize(("name", "enabled"), [("my-secret", True), ("MY-Secret", False)])
    def test_name_in_use_is_refused_before_anything_is_written(self, sample, stand_in, name, enabled):
        stand_in.vault.add_secret("my-secret", "an earlier value", "a later value", enabled=enabled)
        before = repr(stand_in.vault)
        ended = sample.run(name)

        in_use = f"'{name}' is already in use in {VAULT}. It was not changed."
        assert failed(ended) == f"{in_use}\n{OTHER_NAME}"
        assert repr(stand_in.vault) == before
        assert {exchange.method for exchange in stand_in.log if exchange.host.startswith(VAULT)} == {"GET"}
        assert "a later value" not in ended.stdout

    def test_somebody_elses_version_is_neither_shown_nor_deleted(self, sample, stand_in):
        held = stand_in.faults.hold("PUT /secrets/my-secret")
        process = sample.start()
        type_both(process)
        held.reached.wait()
        stand_in.vault.find("my-secret").versions.append(Version("theirs"))
        held.release()
        stdout, stderr = process.communicate(timeout=60)

        assert (process.returncode, b"theirs" in stdout) == (1, False)
        assert stderr.decode() == (
            "Someone else set 'my-secret' at the same time. Their value was neither shown nor deleted.\n"
            f"{OTHER_NAME}"
        )
        assert live_secrets(stand_in) == {"my-secret": ["hunter2", "theirs"]}

    def test_404_for_the_versions_of_a_deleted_name_is_no_version(self, sample, stand_in):
        gone = error(404, "SecretNotFound", "A secret with (name/id) my-secret was not found.")
        stand_in.faults.answer(REQUESTS[0], gone)

        assert sample.run().returncode == 0

    def test_404_that_is_not_key_vaults_says_nothing_of_versions(self, sample, stand_in):
        stand_in.faults.answer(REQUESTS[0], Answer(404, HTML))

        assert failed(sample.run()).endswith(PAGE)
        assert not stand_in.vault.secrets


class TestSigningIn:
    def test_nobody_is_signed_in(self, signed_out, stand_in):
        signed_out.environment["PATH"] = stand_in.environment()["PATH"]

        assert failed(signed_out.run()) == "Please run 'az login' to set up an account:\naz login\n"

    def test_there_is_no_azure_cli(self, signed_out):
        assert failed(signed_out.run()) == f"Azure CLI not found on path\n{PAGE}"

    def test_service_principal_that_is_incomplete_is_no_case_of_nobody(self, signed_out):
        signed_out.environment["AZURE_CLIENT_ID"] = CLIENT_ID
        message = failed(signed_out.run())

        assert "EnvironmentCredential authentication unavailable." in message
        assert message.endswith(PAGE + SIGN_IN_AGAIN)

    def test_metadata_service_that_answers_is_no_case_of_nobody(self, signed_out):
        words = "Multiple user assigned identities exist, please specify the clientId / resourceId"
        with metadata_service(words) as url:
            signed_out.environment["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = url
            message = failed(signed_out.run())

        assert words in message
        assert message.endswith(PAGE + SIGN_IN_AGAIN)

    def test_words_of_entra_id_are_whole_and_followed_by_another_way_to_sign_in(self, sample, stand_in):
        words = f"AADSTS7000222: The client secret keys are expired. {'Long words. ' * 100}Trace ID: 1"
        refusal = Answer(401, {"error": "invalid_client", "error_description": words})
        stand_in.faults.answer("/oauth2/v2.0/token", refusal, times=9)
        message = failed(sample.run())

        assert message.startswith("DefaultAzureCredential failed to retrieve a token")
        assert message.count(words) == 1
        assert message.endswith(PAGE + AZURE_CLI)

    @pytest.mark.parametrize(
        ("printed", "end"),
        [
            ('AADSTS50076: Interactive authentication is needed. Please run: az login --tenant "t"', PAGE),
            ("AADSTS700082: The refresh token has expired.", PAGE + SIGN_IN_AGAIN),
        ],
    )
    def test_words_of_az_are_whole_and_its_own_command_is_the_only_one(
        self, signed_out, tmp_path, printed, end
    ):
        fake_az(signed_out, tmp_path, f"echo {shlex.quote('ERROR: ' + printed)} >&2; exit 1")
        message = failed(signed_out.run())

        assert printed in message
        assert message.endswith(end)

    def test_token_in_the_words_of_az_is_hidden(self, signed_out, stand_in, tmp_path):
        token = tokens.issue(stand_in.state, stand_in.state.sample, tokens.KEY_VAULT)
        fake_az(signed_out, tmp_path, f"echo 'Welcome! {token}'")
        message = failed(signed_out.run())

        assert "Unexpected output from Azure CLI" in message
        assert "Welcome! eyJ…" in message
        assert token[3:20] not in message

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"AZURE_TOKEN_CREDENTIALS": "mine"}, "ValueError: Invalid value for AZURE_TOKEN_CREDENTIALS"),
            (
                {"AZURE_AUTHORITY_HOST": "http://login.example"},
                "'http://login.example' is an invalid authority",
            ),
            ({"AZURE_TENANT_ID": "the tenant"}, "Invalid tenant ID"),
            ({"AZURE_CLIENT_SECRET": ""}, "secret should be a Microsoft Entra application's client secret"),
        ],
    )
    def test_setting_that_is_invalid(self, sample, stand_in, settings, words):
        sample.environment |= settings
        message = failed(sample.run())

        assert words in message
        assert message.endswith(PAGE)
        assert len(stand_in.log) == 0


@contextlib.contextmanager
def metadata_service(words):
    """The URL of a metadata service that answers each request with 400 and these words (not recorded)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f'{{"error": "invalid_request", "error_description": "{words}"}}'.encode()
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fake_az(sample, folder, script):
    """Give the sample an az that does nothing but this, for words that the real one has no cause to say."""
    (folder / "az").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "az").chmod(0o755)
    sample.environment["PATH"] = f"{folder}:{os.defpath}"


CALLER = f"appid={CLIENT_ID};oid=66666666-7777-8888-9999-000000000000;iss=https://sts.windows.net/t/"
RECORDED = [
    (401, "Unauthorized", None, "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.", PAGE),
    (
        401,
        "Unauthorized",
        None,
        "AKV10022: Invalid audience. Expected https://vault.azure.net, found: x.",
        PAGE,
    ),
    (
        401,
        "Unauthorized",
        None,
        "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/a/, …",
        PAGE,
    ),
    (401, "Unauthorized", None, "[TokenExpired] Error validating token: 'S2S12086'.", PAGE),
    (
        *(401, "Unauthorized", None),
        "AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: 'eyJhbGciOi'.",
        PAGE,
    ),
    (403, "Forbidden", "AccessDenied", f"'{CALLER}' does not have secrets list permission", "grant"),
    (403, "Forbidden", "ForbiddenByPolicy", f"'{CALLER}' does not have secrets list permission", "grant"),
    (
        *(403, "Forbidden", "ForbiddenByRbac"),
        f"Caller is not authorized to perform action on resource.\r\nCaller: {CALLER}\r\nVault: kv;location=x",
        "grant",
    ),
    (403, "Forbidden", "ForbiddenByRbac", "Caller is not authorized to perform action on resource.", PAGE),
    (403, "Forbidden", "ForbiddenByFirewall", "Client address is not authorized …\r\nVault: kv", PAGE),
    (403, "Forbidden", "ForbiddenByConnection", "Public network access is disabled …\r\nVault: kv", PAGE),
    (403, "Forbidden", "SecretDisabled", "Operation get is not allowed on a disabled secret.", PAGE),
    (403, "Forbidden", "SecretManagedByKeyVault", 'Operation "delete" is not allowed …', OTHER_NAME),
    (400, "BadParameter", "SecretTooLarge", "Secret is beyond the maximum permitted length …", PAGE),
    (409, "Conflict", "ObjectIsBeingDeleted", "Secret my-secret is currently being deleted …", OTHER_NAME),
    (
        409,
        "Conflict",
        "ObjectIsBeingRecovered",
        "Secret my-secret is currently being recovered …",
        OTHER_NAME,
    ),
    (
        *(409, "Conflict", "ObjectIsDeletedButRecoverable"),
        "Secret my-secret is currently in a deleted but recoverable state, and its name cannot be reused; …",
        OTHER_NAME,
    ),
    (429, "Throttled", None, "Request was not processed because too many requests were received. …", PAGE),
]


class TestKeyVaultRefuses:
    @pytest.mark.parametrize(("status", "code", "inner_code", "message", "end"), RECORDED)
    def test_its_words_are_whole_and_the_cure_is_for_the_code(
        self, sample, stand_in, status, code, inner_code, message, end
    ):
        if end == "grant":
            grant = 'eval "$(scripts/provision.sh --object-id 66666666-7777-8888-9999-000000000000)"'
            end = f"To grant the permission:\n{grant}\nThis can take some minutes.\n{PAGE}"
        tenant = f"https://login.microsoftonline.com/{stand_in.state.tenant_id}"
        challenge = f'Bearer authorization="{tenant}", resource="https://vault.azure.net"'
        headers = {"WWW-Authenticate": challenge, "Retry-After": "0"}
        stand_in.faults.answer(REQUESTS[0], error(status, code, message, inner_code, headers), times=99)

        expected = f"Key Vault: {message}\n{end}".replace("\r\n", "\n")
        assert failed(sample.run()) == expected

    @pytest.mark.parametrize(
        ("missing", "left"), [("list", ""), ("set", ""), ("get", LEFT), ("delete", LEFT)]
    )
    def test_what_is_left_without_a_permission(self, sample, stand_in, missing, left):
        stand_in.vault.access_policies[0]["permissions"]["secrets"].remove(missing)
        message = failed(sample.run())

        assert message.startswith("Key Vault: The user, group or application 'appid=")
        assert message.endswith(PAGE + left)
        assert live_secrets(stand_in) == ({"my-secret": ["hunter2"]} if left else {})

    def test_secret_that_somebody_else_has_deleted_meanwhile(self, sample, stand_in):
        gone = error(404, "SecretNotFound", "A secret with (name/id) my-secret was not found …")
        stand_in.faults.answer(REQUESTS[2], gone)

        words = "Key Vault: A secret with (name/id) my-secret was not found …\n"
        assert failed(sample.run()) == words + PAGE + LEFT

    def test_throttling_may_follow_an_attempt_that_succeeded(self, sample, stand_in):
        throttled = error(429, "Throttled", "Slow down.", headers={"Retry-After": "0"})
        stand_in.faults.answer(REQUESTS[1], throttled, times=99)

        assert failed(sample.run()) == f"Key Vault: Slow down.\n{PAGE}{LEFT}"

    def test_control_characters_are_shown_and_not_obeyed(self, sample, stand_in):
        stand_in.faults.answer(REQUESTS[0], error(403, "Forbidden", "\033[31mred\x9b\ttab\nline"))

        assert failed(sample.run()) == f"Key Vault: \\x1b[31mred\\x9b\ttab\nline\n{PAGE}"


LIST_VAULTS = 'az keyvault list --query "[].name" --output tsv\n'


class TestNotReached:
    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"KEY_VAULT_NAME": "no-such-vault"}, "Tunnel connection failed: 403"),
            ({"HTTPS_PROXY": "http://127.0.0.1:1"}, "Unable to connect to proxy"),
            ({"REQUESTS_CA_BUNDLE": os.path.realpath(pexpect.__file__)}, "CERTIFICATE"),
        ],
    )
    def test_the_librarys_words_and_how_to_look(self, sample, stand_in, settings, words):
        sample.environment |= settings
        message = failed(sample.run())

        host = f"{sample.environment['KEY_VAULT_NAME']}.vault.azure.net"
        assert message.startswith(f"{host} cannot be reached:\n")
        assert words in message.splitlines()[1]
        check = "Check KEY_VAULT_NAME and your network. To list your vaults:\n"
        assert message.endswith(check + LIST_VAULTS + PAGE)

    def test_proxy_that_requires_a_password(self, sample, stand_in):
        stand_in.faults.answer("CONNECT ", Answer(407, headers={"Proxy-Authenticate": "Basic"}), times=99)

        assert "407 Proxy Authentication Required" in failed(sample.run())

    @pytest.mark.parametrize("wanted", REQUESTS)
    def test_connection_that_always_breaks(self, sample, stand_in, wanted):
        stand_in.faults.reset(wanted, times=99)
        message = failed(sample.run())

        assert "cannot be reached" in message
        assert message.endswith(PAGE + SAID[wanted])


class TestOtherAnswersAndErrors:
    def test_page_of_html_stays_short(self, sample, stand_in):
        stand_in.faults.answer(REQUESTS[0], Answer(502, HTML), times=99)
        words, page = failed(sample.run()).splitlines(keepends=True)

        assert words.startswith("HttpResponseError: ")
        assert "Sign in to this network" in words
        assert len(words) <= 501
        assert page == PAGE

    @pytest.mark.parametrize("wanted", REQUESTS[:4])
    @pytest.mark.parametrize("answer", [Answer(200, HTML), Answer(302, HTML), Answer(401, HTML)])
    def test_sign_in_page_of_a_network(self, sample, stand_in, wanted, answer):
        stand_in.faults.answer(wanted, answer, times=99)
        message = failed(sample.run())

        assert message.endswith(PAGE + SAID[wanted])
        assert "az login" not in message

    @pytest.mark.parametrize("wanted", REQUESTS)
    def test_service_that_stays_unavailable(self, sample, stand_in, wanted):
        stand_in.faults.answer(wanted, UNAVAILABLE, times=99)

        assert failed(sample.run()).endswith(PAGE + SAID[wanted])

    def test_certificates_that_are_not_there(self, sample, stand_in):
        sample.environment["REQUESTS_CA_BUNDLE"] = "/path/to/certificates.pem"
        message = failed(sample.run())

        assert message.startswith("OSError: Could not find a suitable TLS CA certificate bundle")
        assert message.endswith(PAGE)

    def test_input_that_is_closed(self, sample):
        sample.command = ["bash", "-c", 'exec "$@" <&-', "bash", *sample.command]

        assert failed(sample.run(typed=b"")) == f"RuntimeError: input(): lost sys.stdin\n{PAGE}"

    def test_bytes_that_are_not_text(self, sample, stand_in):
        sample.environment["PYTHONIOENCODING"] = "utf-8"

        assert failed(sample.run(typed=b"my-secret\n\xff\n")).startswith("UnicodeDecodeError: 'utf-8' codec")
        assert not stand_in.vault.secrets


class TestFaultsThatPass:
    @pytest.mark.parametrize("wanted", REQUESTS)
    @pytest.mark.parametrize("passing", [UNAVAILABLE, None], ids=["unavailable", "reset"])
    def test_go_unnoticed(self, sample, stand_in, wanted, passing):
        if passing:
            stand_in.faults.answer(wanted, passing)
        else:
            stand_in.faults.reset(wanted)
        ended = sample.run()

        assert (ended.stderr, ended.returncode) == ("", 0)
        assert live_secrets(stand_in) == {}

    @pytest.mark.parametrize("wanted", REQUESTS[:3])
    def test_lost_answer_is_asked_for_again(self, sample, stand_in, wanted):
        stand_in.faults.lose_answer(wanted)
        ended = sample.run()

        assert (ended.stderr, ended.returncode) == ("", 0)
        assert live_secrets(stand_in) == {}

    def test_lost_answer_to_the_deletion_says_what_may_be_left(self, sample, stand_in):
        stand_in.faults.lose_answer("DELETE ")

        assert failed(sample.run()).endswith(LEFT)
        assert live_secrets(stand_in) == {}


class TestControlC:
    @pytest.mark.parametrize("wanted", [*REQUESTS, "/oauth2/v2.0/token"])
    def test_during_a_request(self, sample, stand_in, wanted):
        held = stand_in.faults.hold(wanted)
        if wanted == REQUESTS[0]:
            # The first one of these is the challenge.
            held.release()
            held = stand_in.faults.hold(wanted)
        process = sample.start()
        type_both(process)
        held.reached.wait()
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=60)[1].decode()

        assert (stderr, process.returncode) == ("\nStopped.\n" + SAID.get(wanted, ""), 1)
        assert ("my-secret" in live_secrets(stand_in)) == (wanted in REQUESTS[1:3])

    def test_between_two_polls(self, sample, stand_in):
        stand_in.vault.deletion_seconds = math.inf
        process = sample.start()
        type_both(process)
        stand_in.log.wait_for("GET /deletedsecrets/my-secret 404", count=2)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=60)[1].decode()

        assert (stderr, process.returncode) == ("\nStopped.\n" + STARTED, 1)


def test_bug_is_reported_by_python(sample, tmp_path):
    broken = SAMPLE.read_text(encoding="utf-8").replace("credential = Default", "credential = Defalt")
    (tmp_path / "kv_secrets.py").write_text(broken, encoding="utf-8")
    sample.command[1] = str(tmp_path / "kv_secrets.py")
    ended = sample.run()

    assert ended.stderr.startswith("Traceback")
    assert "NameError: name 'DefaltAzureCredential' is not defined" in ended.stderr


def test_pasted_into_a_notebook_a_good_run_just_ends(sample, tmp_path):
    runner = f"import runpy; runpy.run_path({str(SAMPLE)!r}, run_name='__main__'); print('next cell')"
    sample.command[1:] = ["-c", runner]
    assert sample.run().stdout.endswith(" done.\nnext cell\n")


def test_story_begins_on_the_first_screen():
    assert SAMPLE.read_text(encoding="utf-8").splitlines().index("def main():") < 30
