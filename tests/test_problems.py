"""The sample, when something goes wrong: one message with a way out, and no secret is lost."""

import ast
import contextlib
import math
import os
import runpy
import shlex
import shutil
import signal
import subprocess
from datetime import datetime, timedelta, timezone

import pexpect
import pytest
import trustme
from conftest import ROOT, SAMPLE
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from stand_in import tokens
from stand_in.messages import Answer, error
from stand_in.state import Version

VAULT = "kv-quickstart"
UP, LEFT = "\033[A", "\033[D"
WAITING = "Still waiting for Azure after 10 seconds. Press Ctrl-C to stop.\n"
DELETE = f"az keyvault secret delete --vault-name {VAULT} --name my-secret"
STARTED = f"The deletion of 'my-secret' from {VAULT} has already started."
PIP = "\npython -m pip install -r requirements.txt\n"
# What the library says when a variable of the service principal is empty.
WORDS = {
    "AZURE_TENANT_ID": "tenant_id should be a Microsoft Entra tenant's id",
    "AZURE_CLIENT_ID": "client_id should be the id of a Microsoft Entra application",
    "AZURE_CLIENT_SECRET": "secret should be a Microsoft Entra application's client secret",
}
PAGE = Answer(200, b"<html>Sign in to this network</html>")
BUSY = Answer(503, b"<html>Service Unavailable</html>")


def commands(ended):
    """The commands that a message tells to type, taken apart as a shell would."""
    return [shlex.split(line) for line in ended.stderr.splitlines() if line.startswith("az ")]


def check_message(ended, sample, *words, status=1, typed="hunter2"):
    """What holds for every message, and that it has these words."""
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
    assert 1 <= len(ended.stderr.splitlines()) <= 12
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


STRICT_PYTHON = ROOT / ".demo/3.13/bin/python"


def lax_authority():
    """A certificate authority as some companies have it: Basic Constraints are not marked critical."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A company")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return trustme.CA.from_pem(certificate.public_bytes(serialization.Encoding.PEM), private)


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

        check_message(ended, sample, "1 to 127 letters, digits, and hyphens", status=2)
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

        check_message(ended, sample, "lost sys.stdin", "python kv_secrets.py")
        assert not stand_in.vault.secrets

    @pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
    @pytest.mark.parametrize("typed", [b"\xff\xfe\nhunter2\n", b"my-secret\n\xff\xfe\n"])
    def test_bytes_that_are_not_text(self, sample, stand_in, typed, locale):
        sample.environment["LC_ALL"] = locale
        ended = sample.run(typed=typed)

        check_message(
            ended, sample, "cannot be read, shown, or sent", "can't decode byte 0xff", "python kv_secrets.py"
        )
        assert not stand_in.vault.secrets

    def test_value_that_the_terminal_cannot_show(self, sample, stand_in):
        # As on Windows, when the console takes every character, and a file only a code page's.
        start = "import sys, runpy; sys.stdout.reconfigure(encoding='cp1252'); "
        start += f"runpy.run_path({sample.command[1]!r}, run_name='__main__')"
        sample.command[1:] = ["-c", start]
        ended = sample.run(value="🔑")

        check_message(
            ended,
            sample,
            "cannot be read, shown, or sent",
            "can't encode character",
            "python kv_secrets.py",
            typed="🔑",
        )
        assert not stand_in.vault.secrets

    def test_packages_that_are_not_installed(self, sample, stand_in):
        sample.command[1:1] = ["-S"]
        ended = sample.run()

        check_message(
            ended, sample, "Required packages are missing", "No module named 'azure'", "Python 3.10", PIP
        )
        assert ended.stdout == ""

    @pytest.mark.parametrize("name", ["azure", "json", "requests", "typing"])
    def test_file_that_hides_a_library_is_named(self, sample, tmp_path, name):
        copy = shutil.copy(SAMPLE, tmp_path)
        (tmp_path / f"{name}.py").write_text("nothing = None\n")
        sample.command[1] = str(copy)
        ended = sample.run()

        check_message(ended, sample, f"Rename {tmp_path}/{name}.py", "\n  ", "python kv_secrets.py")
        assert "pip" not in ended.stderr

    def test_file_of_the_readers_own_hides_nothing(self, sample, tmp_path):
        sample.command[1] = str(shutil.copy(SAMPLE, tmp_path))
        for name in ("helpers", "test", "kv"):
            (tmp_path / f"{name}.py").write_text("nothing = None\n")

        assert sample.run().returncode == 0

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"AZURE_TOKEN_CREDENTIALS": "mine"}, "Invalid value for AZURE_TOKEN_CREDENTIALS: mine."),
            (
                {"AZURE_CLIENT_SECRET": None, "AZURE_CLIENT_CERTIFICATE_PATH": "/no/such/file.pem"},
                "No such file or directory: '/no/such/file.pem'",
            ),
            (
                {"AZURE_CLIENT_SECRET": None, "AZURE_CLIENT_CERTIFICATE_PATH": str(SAMPLE)},
                "Failed to deserialize certificate in PEM or PKCS12 format",
            ),
            (
                {"AZURE_AUTHORITY_HOST": "http://login.example"},
                "'http://login.example' is an invalid authority",
            ),
        ],
        ids=["credentials", "no certificate", "not a certificate", "authority"],
    )
    def test_setting_that_is_invalid_in_the_librarys_words(self, sample, stand_in, settings, words):
        for name, value in settings.items():
            sample.environment[name] = value
        sample.environment = {name: value for name, value in sample.environment.items() if value}
        ended = sample.run()

        check_message(ended, sample, "environment variable for signing in", words, status=2)
        assert (ended.stdout, len(stand_in.log)) == ("", 0)


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

        check_message(ended, sample, "is being deleted", "Wait a moment", "a different name")
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
        assert b"Someone else may use it, so it was not deleted." in stderr
        assert live_secrets(stand_in) == {"my-secret": ["hunter2", "theirs"]}


class TestSigningIn:
    def test_nobody_is_signed_in_and_there_is_no_az(self, sample, stand_in):
        sign_out(sample)
        sample.environment["PATH"] = ""
        ended = sample.run()

        check_message(ended, sample, "the Azure CLI is not installed", "install-azure-cli\n", "\naz login\n")
        assert not stand_in.vault.secrets

    def test_refused_client_secret(self, sample, stand_in):
        sample.environment["AZURE_CLIENT_SECRET"] = "not-the-client-secret"
        ended = sample.run()

        check_message(
            ended,
            sample,
            "AADSTS7000215",
            "client secret value, not the client secret ID",
            "export AZURE_CLIENT_SECRET=",
        )
        assert not stand_in.vault.secrets

    @pytest.mark.parametrize("name", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"])
    def test_variable_of_the_service_principal_that_is_empty(self, sample, stand_in, name):
        sample.environment[name] = ""
        ended = sample.run()

        check_message(
            ended, sample, "AZURE_", WORDS[name], "python kv_secrets.py", status=2, typed="the value"
        )
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    def test_tenant_that_is_none(self, sample, stand_in):
        sample.environment["AZURE_TENANT_ID"] = "the tenant"
        ended = sample.run()

        check_message(ended, sample, "Invalid tenant ID", "python kv_secrets.py", status=2)
        assert (ended.stdout, len(stand_in.log)) == ("", 0)

    @pytest.mark.parametrize("fault", ["reset", "answer"])
    def test_login_service_is_down(self, sample, stand_in, fault):
        arguments = [BUSY] if fault == "answer" else []
        getattr(stand_in.faults, fault)("login.microsoftonline.com", *arguments, times=99)
        ended = sample.run()

        check_message(ended, sample, "could not be signed in", "EnvironmentCredential: ", "\naz login\n")
        assert not stand_in.vault.secrets

    def test_service_principal_of_another_tenant(self, sample, stand_in):
        sample.environment["AZURE_TENANT_ID"] = "11111111-2222-3333-4444-555555555555"
        ended = sample.run()

        check_message(ended, sample, "AZURE_TENANT_ID", f"\naz login --tenant {stand_in.state.tenant_id}\n")

    def test_application_that_is_not_in_the_tenant(self, sample, stand_in):
        sample.environment["AZURE_CLIENT_ID"] = "11111111-2222-3333-4444-555555555555"
        ended = sample.run()

        names = ("AZURE_TENANT_ID=", "AZURE_CLIENT_ID=", "AZURE_CLIENT_SECRET=")
        unset = "\nunset AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET\naz login\n"
        check_message(ended, sample, "AADSTS700016: Application with identifier '1111", unset, *names)

    def test_credentials_that_are_restricted(self, sample, stand_in):
        sign_out(sample)
        sample.environment["AZURE_TOKEN_CREDENTIALS"] = "ManagedIdentityCredential"
        ended = sample.run()

        words = ("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential authentication unavailable")
        check_message(
            ended, sample, *words, '\nexport AZURE_TOKEN_CREDENTIALS="AzureCliCredential"\naz login\n'
        )

    @pytest.mark.parametrize(
        "message",
        [
            "[TokenExpired] Error validating token: 'S2S12086'.",
            "AKV10046: Unable to resolve the key used for signature validation.",
        ],
    )
    def test_vault_that_does_not_accept_the_token(self, sample, stand_in, message):
        challenge = {
            "WWW-Authenticate": 'Bearer authorization="https://login.microsoftonline.com/'
            f'{stand_in.state.tenant_id}", resource="https://vault.azure.net"'
        }
        refusal = error(401, "Unauthorized", message, headers=challenge)
        stand_in.faults.answer(f"{VAULT}.vault.azure.net", refusal, times=99)
        ended = sample.run()

        check_message(ended, sample, message, "clock", "python kv_secrets.py")
        assert "az login" not in ended.stderr

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
    def set_policy(self, principal):
        object_id = principal.object_id
        granted = f"properties.accessPolicies[?objectId=='{object_id}'].permissions.secrets[]"
        return shlex.split(
            f"az keyvault set-policy --name {VAULT} --object-id {object_id} --secret-permissions delete get "
            f'list set $(az keyvault show --name {VAULT} --output tsv --query "{granted}")'
        )

    @pytest.mark.parametrize(
        ("missing", "left"),
        [("list", False), ("set", False), ("get", True), ("delete", True)],
    )
    def test_access_policy_lacks_a_permission(self, sample, stand_in, missing, left):
        permissions = stand_in.vault.access_policies[0]["permissions"]
        permissions["secrets"] = [one for one in permissions["secrets"] if one != missing]
        ended = sample.run()

        check_message(
            ended,
            sample,
            "No access policy in kv-quickstart gives you this permission",
            f"secrets {missing} permission",
        )
        assert commands(ended) == [self.set_policy(stand_in.state.sample)] + [shlex.split(DELETE)] * left
        assert live_secrets(stand_in) == ({"my-secret": ["hunter2"]} if left else {})
        assert ("hunter2" in ended.stdout.partition("Retrieving")[2]) == (missing == "delete")

    def test_role_is_missing(self, sample, stand_in):
        stand_in.vault.is_rbac = True
        ended = sample.run()

        check_message(ended, sample, "You have no role in kv-quickstart")
        (command,) = commands(ended)
        assert command[:4] == ["az", "role", "assignment", "create"]
        assert command[4:6] == ["--role", "Key Vault Secrets Officer"]
        assert ["--assignee", stand_in.state.sample.object_id] == command[6:8]
        scope = f"$(az keyvault show --name {VAULT} --output tsv --query id)"
        assert ["--scope", scope] == command[8:]
        assert not stand_in.vault.secrets


class TestNetwork:
    @pytest.mark.parametrize(
        ("closed", "said", "address"),
        [
            ({"network_acls": {"defaultAction": "Deny", "ipRules": []}}, "firewall", "127.0.0.1"),
            ({"public_network_access": "Disabled"}, "private network", "YOUR-IP-ADDRESS"),
        ],
        ids=["firewall", "no public access"],
    )
    def test_network_of_the_vault_is_closed(self, sample, stand_in, closed, said, address):
        vars(stand_in.vault).update(closed)
        ended = sample.run()

        check_message(ended, sample, said)
        rule = ["az", "keyvault", "network-rule", "add", "--name", VAULT, "--ip-address", address]
        assert commands(ended)[0] == rule
        assert not stand_in.vault.secrets

    def test_no_such_vault(self, sample, stand_in):
        sample.environment["KEY_VAULT_NAME"] = "no-such-vault"
        ended = sample.run()

        check_message(
            ended,
            sample,
            "no-such-vault.vault.azure.net cannot be reached",
            "Azure China",
            "\naz keyvault list ",
        )

    def test_no_network(self, sample, stand_in):
        sample.environment["HTTPS_PROXY"] = "http://127.0.0.1:1"
        ended = sample.run()

        check_message(ended, sample, f"{VAULT}.vault.azure.net cannot be reached", "\naz keyvault list ")

    def test_certificate_that_is_not_trusted(self, sample, stand_in):
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            sample.environment.pop(name)
        ended = sample.run()

        check_message(
            ended,
            sample,
            "cannot be verified",
            "your company's proxy",
            "unable to get local issuer certificate",
            "export REQUESTS_CA_BUNDLE=",
        )
        assert not stand_in.vault.secrets

    def test_certificates_that_are_not_there(self, sample, stand_in):
        sample.environment["REQUESTS_CA_BUNDLE"] = "/path/to/certificates.pem"
        ended = sample.run()

        check_message(
            ended, sample, "cannot be verified", "/path/to/certificates.pem\n", "export REQUESTS_CA_BUNDLE="
        )
        assert not stand_in.vault.secrets

    def test_proxy_that_requires_a_password(self, sample, stand_in):
        stand_in.faults.answer("CONNECT ", Answer(407, headers={"Proxy-Authenticate": "Basic"}), times=99)
        ended = sample.run()

        cure = '\nexport HTTPS_PROXY="http://USER:PASSWORD@PROXY:PORT"\n'
        check_message(ended, sample, "requires a user name and a password", "407", cure)

    def test_certificates_in_der_format_and_the_command_that_converts_them(self, sample, stand_in, tmp_path):
        subprocess.run(
            [
                "openssl",
                "x509",
                "-in",
                stand_in.certificates,
                "-outform",
                "der",
                "-out",
                tmp_path / "corp.cer",
            ],
            check=True,
        )
        sample.environment["REQUESTS_CA_BUNDLE"] = str(tmp_path / "corp.cer")
        ended = sample.run()

        check_message(ended, sample, "no certificate in PEM format", "CERTIFICATE_OR_CRL")
        typed = [line for line in ended.stderr.splitlines() if line.startswith(("openssl ", "export "))]
        sample.command = ["bash", "-c", "; ".join([*typed, 'exec "$@"']), "bash", *sample.command]
        sample.command[2] = f"cd {shlex.quote(str(tmp_path))}; {sample.command[2]}"
        assert sample.run().returncode == 0

    @pytest.mark.skipif(not STRICT_PYTHON.exists(), reason="there is no Python 3.13 here")
    def test_certificate_authority_of_a_company_that_python_3_13_rejects(self, sample, stand_in):
        stand_in.proxy.authority = lax_authority()
        stand_in.proxy.authority.cert_pem.write_to_path(stand_in.certificates)
        sample.command[0] = str(STRICT_PYTHON)
        ended = sample.run()

        check_message(
            ended, sample, "Basic Constraints of CA cert not marked critical", "under Troubleshooting"
        )


REQUESTS = [
    "GET /secrets/my-secret/versions",
    "PUT /secrets/my-secret",
    "GET /secrets/my-secret/ ",
    "DELETE /secrets/my-secret",
    "GET /deletedsecrets/my-secret",
]
# What is said of the secret when the request fails for good.
SAID = dict(zip(REQUESTS, [None, DELETE, DELETE, DELETE, STARTED], strict=True))


def check_left_behind(ended, said):
    for sentence in (DELETE, STARTED):
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

        check_message(ended, sample, "busy or unavailable", "python kv_secrets.py")
        check_left_behind(ended, SAID[wanted])

    def test_throttling_that_stays(self, sample, stand_in):
        throttled = error(429, "Throttled", "Slow down.", headers={"Retry-After": "0"})
        stand_in.faults.answer("PUT ", throttled, times=99)
        ended = sample.run()

        check_message(ended, sample, "busy or unavailable", "Wait a minute")
        # An attempt before the last one may have succeeded, for all that the sample knows.
        check_left_behind(ended, DELETE)
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
        check_left_behind(ended, STARTED)
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
        assert "my-secret" not in live_secrets(stand_in) or DELETE in ended.stderr or STARTED in ended.stderr

    def test_words_of_the_service_are_shown_without_what_must_not_be(self, sample, stand_in):
        token = tokens.issue(stand_in.state, stand_in.state.sample, tokens.KEY_VAULT)
        words = f"\033[31mred\033[0m {token} {stand_in.state.sample.client_secret} " + "long " * 1000
        stand_in.faults.answer("PUT ", error(403, "Forbidden", words))
        ended = sample.run()

        check_message(ended, sample, "Forbidden: [31mred [0m (token) (client secret) long")
        assert "\033" not in ended.stderr
        assert len(ended.stderr) < 1000

    def test_deletion_that_is_not_confirmed(self, sample, stand_in):
        stand_in.faults.answer(
            "DELETE ", Answer(200, {"id": f"https://{VAULT}.vault.azure.net/secrets/my-secret/1"})
        )
        ended = sample.run()

        check_message(ended, sample, "did not confirm the deletion")
        check_left_behind(ended, DELETE)

    def test_secret_that_somebody_else_has_deleted(self, sample, stand_in):
        gone = error(404, "SecretNotFound", "A secret with (name/id) my-secret was not found.")
        stand_in.faults.answer("GET /secrets/my-secret/ ", gone)
        ended = sample.run()

        check_message(ended, sample, "SecretNotFound")


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

        check_message(ended, sample, "No space left on device", "python kv_secrets.py")
        assert live_secrets(stand_in) == {}


class TestTerminal:
    def test_arrow_keys_move_and_recall_at_the_prompts(self, sample, stand_in):
        terminal = sample.on_terminal()
        terminal.expect_exact("name for your secret > ")
        terminal.sendline("y-secret" + LEFT * 8 + "m")
        terminal.expect_exact("value for your secret > ")
        terminal.sendline(UP)
        terminal.expect_exact("Your secret is 'my-secret'.")
        terminal.expect(pexpect.EOF)

        assert terminal.wait() == 0

    def test_each_silence_of_10_seconds_is_mentioned_once_and_the_run_goes_on(self, sample, stand_in):
        first, second = (stand_in.faults.hold(wanted) for wanted in ("/versions", "DELETE "))
        process = sample.start()
        type_both(process)
        for held in (first, second):
            assert process.stderr.readline() == WAITING.encode()
            assert held.reached.is_set()
            held.release()
        stdout, stderr = process.communicate(timeout=60)

        assert (process.returncode, stderr) == (0, b"")
        assert stdout.endswith(b" done.\n")

    def test_deletion_that_takes_long_is_mentioned_as_well(self, sample, stand_in):
        stand_in.vault.deletion_seconds = math.inf
        process = sample.start()
        type_both(process)
        assert process.stderr.readline() == WAITING.encode()
        stand_in.vault.deletion_seconds = 0
        stdout, stderr = process.communicate(timeout=60)

        assert (process.returncode, stderr) == (0, b"")
        assert stdout.endswith(b" done.\n")

    def test_prompts_are_no_silence(self, sample, stand_in):
        terminal = sample.on_terminal()
        terminal.expect_exact("name for your secret > ")
        assert terminal.expect_exact(["Azure", pexpect.TIMEOUT], timeout=11) == 1


class TestControlC:
    @pytest.mark.parametrize(
        "module", ["contextlib", "logging", "requests", "azure.core.exceptions", "cryptography", "msal"]
    )
    def test_while_python_imports_the_libraries(self, sample, stand_in, module):
        # With this option, Python names each module on standard error when it has imported it.
        sample.command[1:1] = ["-X", "importtime"]
        process = sample.start()
        for line in process.stderr:
            if line.split(b"|")[-1].strip() == module.encode():
                break
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

        assert process.returncode == 130
        assert stderr.endswith(b"\nStopped.\n")
        assert b"Traceback" not in stderr

    def test_pressed_again_and_again(self, sample, stand_in):
        held = stand_in.faults.hold("PUT ")
        process = sample.start()
        type_both(process)
        held.reached.wait()
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.03)  # Between two presses, however fast.
        stderr = process.stderr.read()

        assert (process.returncode, b"Traceback" in stderr) == (130, False)
        assert DELETE.encode() in stderr

    def test_after_the_silence_says_what_may_be_left(self, sample, stand_in):
        stand_in.faults.hold("PUT ")
        process = sample.start()
        type_both(process)
        assert process.stderr.readline() == WAITING.encode()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

        assert process.returncode == 130
        assert DELETE.encode() in stderr

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
        assert STARTED.encode() in stderr


class TestWindows:
    """What the sample would print on Windows: the functions that write commands take the system."""

    @pytest.fixture
    def kv_secrets(self):
        return runpy.run_path(str(SAMPLE))

    def test_variable(self, kv_secrets):
        assert kv_secrets["set_variable"]("NAME", "a value", "nt") == (
            'In cmd:\nset NAME=a value\nIn PowerShell:\n$env:NAME = "a value"'
        )

    def test_variables_are_unset(self, kv_secrets):
        lines = kv_secrets["unset_service_principal"]("nt").splitlines()
        names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
        assert lines[:4] == ["In cmd:", *(f"set {name}=" for name in names)]
        assert lines[4:] == ["In PowerShell:", "Remove-Item " + ", ".join(f"Env:{name}" for name in names)]

    def test_access_policy(self, kv_secrets):
        cmd, powershell = kv_secrets["set_policy_command"]("kv", "1-2", "nt").splitlines()[1::2]
        show = "az keyvault show --name kv --output tsv --query"
        granted = "properties.accessPolicies[?objectId=='1-2'].permissions.secrets[]"
        set_policy = "az keyvault set-policy --name kv --object-id 1-2 --secret-permissions"
        on_one_line = f"join(' ', [['delete', 'get', 'list', 'set'], {granted}][])"
        assert cmd == f'for /f "delims=" %i in (\'{show} "{on_one_line}"\') do {set_policy} %i'
        assert powershell == f'{set_policy} delete get list set ({show} "{granted}")'

    def test_role(self, kv_secrets):
        cmd, powershell = kv_secrets["assign_role_command"]("kv", "1-2", "nt").splitlines()[1::2]
        show = "az keyvault show --name kv --output tsv --query id"
        assign = 'az role assignment create --role "Key Vault Secrets Officer" --assignee 1-2 --scope'
        assert cmd == f"for /f \"delims=\" %i in ('{show}') do {assign} %i"
        assert powershell == f"{assign} ({show})"


def test_handling_looks_at_no_tracebacks_and_frames():
    text = SAMPLE.read_text(encoding="utf-8")
    for name in ("walk_tb", "f_locals", "__traceback__", "type(error)", "__class__"):
        assert name not in text


def test_story_comes_first_and_can_be_read_at_a_sitting():
    functions = [
        node
        for node in ast.parse(SAMPLE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    ]
    (story,) = [function for function in functions if function.name == "main"]

    assert story.end_lineno - story.lineno < 40
    assert [function.name for function in functions[:2]] == ["stop", "main"]
