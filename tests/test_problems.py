"""The sample, when something goes wrong: one message with a way out, and no secret is lost."""

import math
import os
import shlex
import signal
import subprocess

import pexpect
import pytest
from conftest import ROOT
from stand_in.messages import Answer, error
from stand_in.state import Version

VAULT = "kv-quickstart"
DELETE = f"az keyvault secret delete --vault-name {VAULT} --name my-secret"
UNDER_WAY = f"The deletion of 'my-secret' from {VAULT} is under way already."
PAGE = Answer(200, b"<html>Sign in to this network</html>")
BUSY = Answer(503, b"<html>Service Unavailable</html>")


def commands(ended):
    """The commands that a message tells to type, taken apart as a shell would."""
    return [shlex.split(line) for line in ended.stderr.splitlines() if line.startswith("az ")]


def check_message(ended, sample, *words, status=1, typed="hunter2"):
    """What holds for every message, and that it has these words."""
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
    assert 1 <= len(ended.stderr.splitlines()) <= 8
    assert typed not in ended.stderr
    assert (sample.environment.get("AZURE_CLIENT_SECRET") or "no client secret") not in ended.stderr
    assert "eyJ" not in ended.stderr, "a token"
    for word in words:
        assert word in ended.stderr


def live_secrets(stand_in):
    """The values of the secrets that are in the vault and not deleted, by name."""
    return {
        secret.name: [version.value for version in secret.versions]
        for secret in stand_in.vault.secrets.values()
        if secret.deleted_at is None
    }


def sign_out(sample):
    """Take the service principal out of the sample's environment."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        sample.environment.pop(name)


def type_both(process):
    """Type a name and a value into the running sample."""
    process.stdin.write(b"my-secret\nhunter2\n")
    process.stdin.flush()


def delete_earlier(stand_in, name="my-secret"):
    """Leave a deleted secret in the vault."""
    stand_in.vault.add_secret(name, "an earlier value")
    stand_in.vault.find(name).deleted_at = 1


class TestBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        "name",
        [
            *("", "kv", "1vault", "a--b", "vault-", "kv_1", "n" * 25, "vault\n", " vault"),
            *("https://kv-quickstart.vault.azure.net", "kv-quickstart.vault.azure.net"),
            *("evil.example/", "evil.example#", "kv@evil.example", "välut"),
        ],
    )
    def test_vault_name_that_is_none(self, sample, stand_in, name):
        sample.environment["KEY_VAULT_NAME"] = name
        ended = sample.run()

        check_message(ended, sample, "export KEY_VAULT_NAME=", "az keyvault list", status=2)
        assert ended.stdout == "", "no prompt"
        assert len(stand_in.log) == 0

    def test_vault_name_that_is_missing(self, sample, stand_in):
        del sample.environment["KEY_VAULT_NAME"]
        ended = sample.run()

        check_message(ended, sample, "KEY_VAULT_NAME", "export KEY_VAULT_NAME=", status=2)
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    @pytest.mark.parametrize("name", ["", "my_secret", "my secret", "n" * 128, "schlüssel", "a/b", "a\r"])
    def test_secret_name_that_is_none(self, sample, stand_in, name):
        ended = sample.run(name)

        check_message(ended, sample, "1 to 127 letters, digits and hyphens", status=2)
        assert "Input a value" not in ended.stdout
        assert len(stand_in.log) == 0

    @pytest.mark.parametrize("typed", [b"", b"my-secret", b"my-secret\n"])
    def test_input_that_ends(self, sample, stand_in, typed):
        ended = sample.run(typed=typed)

        check_message(ended, sample, "The input ended", "python kv_secrets.py")
        assert not stand_in.vault.secrets

    def test_input_that_is_closed(self, sample, stand_in):
        sample.command = ["bash", "-c", 'exec "$@" <&-', "bash", *sample.command]
        ended = sample.run(typed=b"")

        check_message(ended, sample, "The input ended")
        assert not stand_in.vault.secrets

    @pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
    @pytest.mark.parametrize("typed", [b"\xff\xfe\nhunter2\n", b"my-secret\n\xff\xfe\n"])
    def test_bytes_that_are_not_text(self, sample, stand_in, typed, locale):
        sample.environment["LC_ALL"] = locale
        ended = sample.run(typed=typed)

        check_message(ended, sample, "not text", "python kv_secrets.py")
        assert not stand_in.vault.secrets

    def test_value_that_the_terminal_cannot_show(self, sample, stand_in):
        # As on Windows, when the console takes every character, and a file only a code page's.
        start = "import sys, runpy; sys.stdout.reconfigure(encoding='cp1252'); "
        start += f"runpy.run_path({sample.command[1]!r}, run_name='__main__')"
        sample.command[1:] = ["-c", start]
        ended = sample.run(value="🔑")

        check_message(ended, sample, "terminal can show", "python kv_secrets.py", typed="🔑")
        assert not stand_in.vault.secrets

    def test_packages_that_are_not_installed(self, sample, stand_in):
        sample.command[1:1] = ["-S"]
        ended = sample.run()

        check_message(ended, sample, "not installed", "pip install -r requirements.txt")
        assert ended.stdout == ""


class TestNames:
    @pytest.mark.parametrize("enabled", [True, False])
    @pytest.mark.parametrize("values", [["an earlier value"], ["an earlier value", "a later value"]])
    @pytest.mark.parametrize("name", ["my-secret", "MY-Secret"])
    def test_name_in_use_is_refused_before_anything_is_written(self, sample, stand_in, name, values, enabled):
        stand_in.vault.add_secret("my-secret", *values, enabled=enabled)
        before = repr(stand_in.vault)
        ended = sample.run(name)

        check_message(ended, sample, f"'{name}' is in use in {VAULT}", "a different name")
        assert repr(stand_in.vault) == before
        assert {exchange.method for exchange in stand_in.log if exchange.host.startswith(VAULT)} == {"GET"}
        assert "value" not in ended.stderr
        assert "earlier" not in ended.stdout
        assert DELETE not in ended.stderr

    def test_deleted_but_recoverable(self, sample, stand_in):
        delete_earlier(stand_in)
        before = repr(stand_in.vault)
        ended = sample.run()

        check_message(ended, sample, "deleted but recoverable", "a different name")
        assert commands(ended) == [
            ["az", "keyvault", "secret", verb, "--vault-name", VAULT, "--name", "my-secret"]
            for verb in ("recover", "purge")
        ]
        assert repr(stand_in.vault) == before

    def test_being_deleted(self, sample, stand_in):
        delete_earlier(stand_in)
        stand_in.vault.deletion_seconds = math.inf
        ended = sample.run()

        check_message(ended, sample, "still being deleted", "Wait a little", "a different name")
        assert DELETE not in ended.stderr

    def test_somebody_elses_value_is_neither_printed_nor_deleted(self, sample, stand_in):
        held = stand_in.faults.hold("PUT /secrets/my-secret")
        process = sample.start()
        type_both(process)
        held.reached.wait()
        stand_in.vault.find("my-secret").versions.append(Version("theirs"))
        held.release()
        process.wait(timeout=60)

        stdout, stderr = process.stdout.read(), process.stderr.read()
        assert process.returncode == 1
        assert b"theirs" not in stdout + stderr
        assert b"somebody else may use it" in stderr
        assert live_secrets(stand_in) == {"my-secret": ["hunter2", "theirs"]}


class TestSigningIn:
    def test_nobody_is_signed_in_and_there_is_no_az(self, sample, stand_in):
        sign_out(sample)
        sample.environment["PATH"] = ""
        ended = sample.run()

        names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
        check_message(ended, sample, "could not sign you in", "\naz login\n", *names)
        assert not stand_in.vault.secrets

    def test_refused_client_secret(self, sample, stand_in):
        sample.environment["AZURE_CLIENT_SECRET"] = "not-the-client-secret"
        ended = sample.run()

        check_message(ended, sample, "refuses your client secret", "export AZURE_CLIENT_SECRET=")
        assert not stand_in.vault.secrets

    @pytest.mark.parametrize("name", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"])
    def test_variable_of_the_service_principal_that_is_empty(self, sample, stand_in, name):
        sample.environment[name] = ""
        ended = sample.run()

        check_message(ended, sample, name, "python kv_secrets.py", status=2, typed="the value")
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    def test_tenant_that_is_none(self, sample, stand_in):
        sample.environment["AZURE_TENANT_ID"] = "the tenant"
        ended = sample.run()

        check_message(ended, sample, "AZURE_TENANT_ID", "python kv_secrets.py", status=2)
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    @pytest.mark.parametrize("fault", ["reset", "answer"])
    def test_login_service_is_down(self, sample, stand_in, fault):
        arguments = [BUSY] if fault == "answer" else []
        getattr(stand_in.faults, fault)("login.microsoftonline.com", *arguments, times=99)
        ended = sample.run()

        check_message(ended, sample, "could not sign you in", "\naz login\n")
        assert not stand_in.vault.secrets

    def test_service_principal_of_another_tenant(self, sample, stand_in):
        sample.environment["AZURE_TENANT_ID"] = "11111111-2222-3333-4444-555555555555"
        ended = sample.run()

        check_message(ended, sample, "AZURE_TENANT_ID", f"\naz login --tenant {stand_in.state.tenant_id}\n")

    def test_token_of_another_tenant(self, sample, stand_in):
        tenant = stand_in.state.tenant_id
        challenge = (
            f'Bearer authorization="https://login.microsoftonline.com/{tenant}", '
            'resource="https://vault.azure.net"'
        )
        message = (
            f"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{tenant}/, "
            "found https://sts.windows.net/11111111-2222-3333-4444-555555555555/."
        )
        refusal = error(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})
        stand_in.faults.answer(f"{VAULT}.vault.azure.net", refusal, times=99)
        ended = sample.run()

        check_message(ended, sample, "AZURE_TENANT_ID", f"\naz login --tenant {tenant}\n")


class TestPermissions:
    def set_policy(self, *identity):
        command = ["az", "keyvault", "set-policy", "--name", VAULT, *identity]
        return [*command, "--secret-permissions", "delete", "get", "list", "set"]

    @pytest.mark.parametrize(
        ("missing", "left"),
        [("list", False), ("set", False), ("get", True), ("delete", True)],
    )
    def test_access_policy_lacks_a_permission(self, sample, stand_in, missing, left):
        permissions = stand_in.vault.access_policies[0]["permissions"]
        permissions["secrets"] = [one for one in permissions["secrets"] if one != missing]
        ended = sample.run()

        check_message(ended, sample, "lack a permission")
        cure = self.set_policy("--spn", stand_in.state.sample.client_id)
        assert commands(ended) == [cure] + [shlex.split(DELETE)] * left
        assert live_secrets(stand_in) == ({"my-secret": ["hunter2"]} if left else {})
        assert ("hunter2" in ended.stdout.partition("Retrieving")[2]) == (missing == "delete")

    def test_role_is_missing(self, sample, stand_in):
        stand_in.vault.is_rbac = True
        ended = sample.run()

        check_message(ended, sample, "lack a role")
        (command,) = commands(ended)
        assert command[:4] == ["az", "role", "assignment", "create"]
        assert command[4:6] == ["--role", "Key Vault Secrets Officer"]
        assert ["--assignee", stand_in.state.sample.object_id] == command[6:8]
        scope = f"$(az keyvault show --name {VAULT} --query id --output tsv)"
        assert ["--scope", scope] == command[8:]
        assert not stand_in.vault.secrets


class TestNetwork:
    @pytest.mark.parametrize(
        ("closed", "address"),
        [
            ({"network_acls": {"defaultAction": "Deny", "ipRules": []}}, "127.0.0.1"),
            ({"public_network_access": "Disabled"}, "YOURS"),
        ],
        ids=["firewall", "no public access"],
    )
    def test_network_of_the_vault_is_closed(self, sample, stand_in, closed, address):
        vars(stand_in.vault).update(closed)
        ended = sample.run()

        check_message(ended, sample, f"network of {VAULT}")
        rule = ["az", "keyvault", "network-rule", "add", "--name", VAULT, "--ip-address", address]
        assert commands(ended)[-1] == rule
        assert not stand_in.vault.secrets

    def test_no_such_vault(self, sample, stand_in):
        sample.environment["KEY_VAULT_NAME"] = "no-such-vault"
        ended = sample.run()

        check_message(ended, sample, "'no-such-vault' cannot be reached", "\naz keyvault list ")

    def test_no_network(self, sample, stand_in):
        sample.environment["HTTPS_PROXY"] = "http://127.0.0.1:1"
        ended = sample.run()

        check_message(ended, sample, f"'{VAULT}' cannot be reached", "\naz keyvault list ")

    def test_certificate_that_is_not_trusted(self, sample, stand_in):
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            sample.environment.pop(name)
        ended = sample.run()

        check_message(ended, sample, "not trusted", "a company's proxy", "export REQUESTS_CA_BUNDLE=")
        assert not stand_in.vault.secrets

    def test_certificates_that_are_not_there(self, sample, stand_in):
        sample.environment["REQUESTS_CA_BUNDLE"] = "/path/to/certificates.pem"
        ended = sample.run()

        check_message(ended, sample, "not trusted", "export REQUESTS_CA_BUNDLE=")
        assert not stand_in.vault.secrets


REQUESTS = [
    "GET /secrets/my-secret/versions",
    "PUT /secrets/my-secret",
    "GET /secrets/my-secret/ ",
    "DELETE /secrets/my-secret",
    "GET /deletedsecrets/my-secret",
]
# What is said of the secret when the request fails for good.
SAID = dict(zip(REQUESTS, [None, DELETE, DELETE, DELETE, UNDER_WAY], strict=True))


def check_left_behind(ended, said):
    for sentence in (DELETE, UNDER_WAY):
        assert (sentence in ended.stderr) == (sentence == said)


class TestService:
    def test_value_over_25_kb(self, sample, stand_in):
        ended = sample.run(value="v" * (25 * 1024 + 1))

        check_message(ended, sample, "25 KB", typed="vvv")
        assert not stand_in.vault.secrets
        assert DELETE not in ended.stderr

    @pytest.mark.parametrize("wanted", REQUESTS)
    @pytest.mark.parametrize(
        "passing", [error(429, "Throttled", "Slow down.", headers={"Retry-After": "0"}), BUSY, None]
    )
    def test_passing_fault_goes_unnoticed(self, sample, stand_in, wanted, passing):
        if passing:
            stand_in.faults.answer(wanted, passing)
        else:
            stand_in.faults.reset(wanted)
        ended = sample.run()

        assert (ended.stderr, ended.returncode) == ("", 0)
        assert live_secrets(stand_in) == {}

    @pytest.mark.parametrize("wanted", REQUESTS)
    def test_fault_that_stays_says_what_is_left(self, sample, stand_in, wanted):
        stand_in.faults.answer(wanted, BUSY, times=99)
        ended = sample.run()

        check_message(ended, sample, "too busy", "python kv_secrets.py")
        check_left_behind(ended, SAID[wanted])

    def test_throttling_that_stays(self, sample, stand_in):
        throttled = error(429, "Throttled", "Slow down.", headers={"Retry-After": "0"})
        stand_in.faults.answer("PUT ", throttled, times=99)
        ended = sample.run()

        check_message(ended, sample, "too busy", "Wait a minute")
        check_left_behind(ended, None)
        assert not stand_in.vault.secrets

    @pytest.mark.parametrize("wanted", REQUESTS)
    def test_connection_that_always_breaks(self, sample, stand_in, wanted):
        stand_in.faults.reset(wanted, times=99)
        ended = sample.run()

        check_message(ended, sample, "cannot be reached")
        check_left_behind(ended, SAID[wanted])

    @pytest.mark.parametrize("wanted", REQUESTS[:3])
    def test_lost_answer_is_asked_for_again(self, sample, stand_in, wanted):
        stand_in.faults.lose_answer(wanted)
        ended = sample.run()

        assert (ended.stderr, ended.returncode) == ("", 0)
        assert live_secrets(stand_in) == {}

    @pytest.mark.parametrize("seconds", [0, math.inf])
    def test_lost_answer_to_the_deletion(self, sample, stand_in, seconds):
        stand_in.vault.deletion_seconds = seconds
        stand_in.faults.lose_answer("DELETE ")
        ended = sample.run()

        check_message(ended, sample)
        check_left_behind(ended, UNDER_WAY)
        assert live_secrets(stand_in) == {}

    def test_lost_answer_to_the_setting_that_stays_lost(self, sample, stand_in):
        stand_in.faults.lose_answer("PUT ", times=99)
        ended = sample.run()

        check_message(ended, sample, "cannot be reached")
        check_left_behind(ended, DELETE)
        assert "my-secret" in live_secrets(stand_in)

    @pytest.mark.parametrize("wanted", REQUESTS[:4])
    @pytest.mark.parametrize("answer", [PAGE, Answer(200, [1, 2]), Answer(404, b"<html>"), Answer(200)])
    def test_answer_that_is_not_key_vaults(self, sample, stand_in, wanted, answer):
        stand_in.faults.answer(wanted, answer, times=99)
        ended = sample.run()

        check_message(ended, sample, "python kv_secrets.py")
        assert (
            "my-secret" not in live_secrets(stand_in) or DELETE in ended.stderr or UNDER_WAY in ended.stderr
        )

    def test_secret_that_somebody_else_has_deleted(self, sample, stand_in):
        gone = error(404, "SecretNotFound", "A secret with (name/id) my-secret was not found.")
        stand_in.faults.answer("GET /secrets/my-secret/ ", gone)
        ended = sample.run()

        check_message(ended, sample, "not there as you stored it")


class TestReaderThatGoesAway:
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("wanted", REQUESTS)
    def test_nothing_is_left_behind_without_a_word(self, sample, stand_in, wanted, unbuffered):
        sample.environment["PYTHONUNBUFFERED"] = unbuffered
        held = stand_in.faults.hold(wanted)
        process = sample.start()
        type_both(process)
        held.reached.wait()
        process.stdout.close()
        held.release()
        ended = subprocess.CompletedProcess([], process.wait(), "", process.stderr.read().decode())

        check_message(ended, sample, "cannot be written", "python kv_secrets.py")
        assert live_secrets(stand_in) == {} or DELETE in ended.stderr

    def test_reader_that_was_never_there(self, sample, stand_in):
        process = sample.start()
        process.stdout.close()
        type_both(process)
        ended = subprocess.CompletedProcess([], process.wait(), "", process.stderr.read().decode())

        check_message(ended, sample, "cannot be written")
        assert live_secrets(stand_in) == {}

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
    def test_disk_that_is_full(self, sample, stand_in):
        with open("/dev/full", "wb") as full:
            process = sample.start(stdout=full)
            _, stderr = process.communicate(b"my-secret\nhunter2\n", timeout=60)
        ended = subprocess.CompletedProcess([], process.returncode, "", stderr.decode())

        check_message(ended, sample, "cannot be written")
        assert live_secrets(stand_in) == {}


class TestControlC:
    @pytest.mark.parametrize("lines", [[], ["my-secret"]])
    def test_at_a_prompt(self, sample, stand_in, lines):
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
        assert terminal.wait() == 130
        assert not stand_in.vault.secrets

    @pytest.mark.parametrize("wanted", REQUESTS)
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
        stdout, stderr = process.communicate(timeout=60)
        ended = subprocess.CompletedProcess([], process.returncode, stdout, stderr.decode())

        check_message(ended, sample, "Stopped.", status=130)
        check_left_behind(ended, SAID[wanted])
        left = "my-secret" in live_secrets(stand_in)
        assert left == (wanted in REQUESTS[1:3])

    def test_while_signing_in(self, sample, stand_in):
        held = stand_in.faults.hold("POST /")
        process = sample.start()
        type_both(process)
        held.reached.wait()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

        assert (process.returncode, stderr.strip()) == (130, b"Stopped.")

    def test_between_two_polls(self, sample, stand_in):
        stand_in.vault.deletion_seconds = math.inf
        process = sample.start()
        type_both(process)
        stand_in.log.wait_for("GET /deletedsecrets/my-secret 404", count=2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

        assert process.returncode == 130
        assert UNDER_WAY.encode() in stderr


def test_sample_is_short_and_its_story_comes_first():
    lines = (ROOT / "kv_secrets.py").read_text().splitlines()

    assert len(lines) < 130
    functions = [line for line in lines if line.startswith("def ")]
    assert functions[0] == "def main():"
