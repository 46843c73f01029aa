"""The az commands that the sample prints in a message, typed as they stand: they cure."""

import base64
import os
import re
import runpy

import pytest
from conftest import SAMPLE, Cloud
from stand_in import entra_id
from stand_in.messages import Answer, error

BUSY = Answer(503, b"<html>Service Unavailable</html>")


@pytest.fixture
def cloud(stand_in):
    """Azure with the vault that is there at the start, and the Azure CLI signed in."""
    stand_in.sign_in_to_az(stand_in.state.admin)
    cloud = Cloud(stand_in)
    cloud.environment["KEY_VAULT_NAME"] = stand_in.vault.name
    return cloud


@pytest.fixture
def cure(sample, cloud):
    """A function that runs the sample, which fails, and types the commands of its message.

    It types those that begin with ``wanted``, and gives back what they print.
    """

    def cure(wanted="az ", **replace):
        message = sample.run().stderr
        typed = [line for line in message.splitlines() if line.startswith(wanted)]
        assert typed, message
        output = ""
        for line in typed:
            for old, new in replace.items():
                line = line.replace(old, new)
            ended = cloud.type(line)
            assert ended.returncode == 0, ended.stderr
            output += ended.stdout
        return output

    return cure


@pytest.fixture
def signed_in_sample(sample):
    """The sample without a service principal: it has the sign-in of the Azure CLI alone."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        del sample.environment[name]
    return sample


def test_az_login_alone_is_enough(signed_in_sample, cloud):
    ended = signed_in_sample.run()

    assert (ended.stderr, ended.returncode) == ("", 0)
    assert cloud.stand_in.vault.find("my-secret").deleted_at is not None


def test_az_that_nobody_is_signed_in_to(signed_in_sample, cloud):
    cloud.az("account", "clear")
    ended = signed_in_sample.run()

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "az login"


class TestWordsOfAz:
    """What az says when Entra ID refuses it stands in the message, and so does its command."""

    @pytest.fixture
    def user(self, cloud):
        """Somebody signed in to az as a user, to whom alone az suggests a command."""
        user = cloud.state.user
        login = cloud.az("login", "--username", user.name, "--password", user.password)
        assert login.returncode == 0, login.stderr
        return user

    @pytest.fixture
    def refused(self, signed_in_sample, cloud, user):
        """A function that has Entra ID refuse az with a code, and gives back the sample's message."""

        def refused(code):
            cloud.stand_in.faults.answer("/oauth2/v2.0/token", entra_id.refusal(code), times=99)
            ended = signed_in_sample.run()
            assert (ended.returncode, ended.stdout.count("\n")) == (1, 1)
            assert f"AzureCliCredential: ERROR: {code}: " in ended.stderr
            return ended.stderr

        return refused

    @pytest.mark.parametrize("code", ["AADSTS50076", "AADSTS50020"])
    def test_command_is_that_of_az(self, refused, stand_in, code):
        tenant = stand_in.state.tenant_id
        command = f'az login --tenant "{tenant}" --scope "https://vault.azure.net/.default"'
        assert refused(code).endswith(f"\nTo sign in:\n{command}\n")

    @pytest.mark.parametrize("code", ["AADSTS53003", "AADSTS530003", "AADSTS530084"])
    def test_conditional_access_is_for_the_organization_to_change(self, refused, code):
        message = refused(code)
        assert "Conditional Access" in message
        assert "Ask an administrator, or use a device that your organization manages" in message
        assert message.endswith("\npython kv_secrets.py\n")

    def test_claims_that_the_vault_asks_for(self, signed_in_sample, stand_in, cloud):
        tenant = stand_in.state.tenant_id
        claims = base64.b64encode(b'{"access_token": {"acrs": {"essential": true, "value": "c1"}}}').decode()
        challenge = (
            f'Bearer authorization="https://login.microsoftonline.com/{tenant}", '
            f'resource="https://vault.azure.net", error="insufficient_claims", claims="{claims}"'
        )
        answer = error(401, "Unauthorized", "Step up.", headers={"WWW-Authenticate": challenge})
        stand_in.faults.hold("GET /secrets/my-secret/versions").release()
        stand_in.faults.answer("GET /secrets/my-secret/versions", answer, times=9)
        message = signed_in_sample.run().stderr

        assert "claims" in message, message
        command = message.splitlines()[-1]
        assert command.startswith("az login --claims-challenge ")
        assert command.endswith(f" --tenant {tenant} --scope https://vault.azure.net/.default")


def test_az_that_answers_too_late(signed_in_sample, tmp_path):
    az = tmp_path / "az"
    az.write_text("#!/bin/sh\nexec sleep 60\n")
    az.chmod(0o755)
    signed_in_sample.environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    message = signed_in_sample.run().stderr

    assert "not within 10 seconds" in message
    assert "\npython kv_secrets.py\n" in message
    assert "\ncredential = DefaultAzureCredential(process_timeout=60)\n" in message
    assert "az login" not in message


def test_azure_cli_that_was_not_asked(signed_in_sample, cloud):
    signed_in_sample.environment["AZURE_TOKEN_CREDENTIALS"] = "ManagedIdentityCredential"
    (export,) = [line for line in signed_in_sample.run().stderr.splitlines() if line.startswith("export ")]
    signed_in_sample.command = ["bash", "-c", f'{export}; exec "$@"', "bash", *signed_in_sample.command]

    assert signed_in_sample.run().returncode == 0


def test_client_secret_that_has_expired(sample, stand_in, cloud):
    stand_in.state.sample.client_secrets[0].is_expired = True
    lines = sample.run().stderr.splitlines()

    assert "AADSTS7000222" in lines[1]
    (reset,) = [line for line in lines if line.startswith("az ")]
    password = cloud.type(f"{reset} --query password --output tsv").stdout.strip()
    (export,) = [line for line in lines if line.startswith("export ")]
    sample.command = [
        "bash",
        "-c",
        export.replace("the-password", password) + '; exec "$@"',
        "bash",
        *sample.command,
    ]
    assert sample.run().returncode == 0
    assert len(stand_in.state.sample.client_secrets) == 2, "the others stay"


def test_set_policy_keeps_what_is_granted(cure, sample, stand_in):
    granted = stand_in.vault.access_policies[0]["permissions"]
    granted["secrets"] = ["backup", "get", "list", "purge", "recover", "restore"]
    cure("az keyvault set-policy")

    permissions = stand_in.vault.permissions(stand_in.state.sample.object_id)
    assert permissions == {"backup", "delete", "get", "list", "purge", "recover", "restore", "set"}
    assert stand_in.vault.network_acls is None
    assert sample.run().returncode == 0


def test_permissions_of_the_command_for_cmd(cloud, stand_in):
    # The query that cmd's command makes of them, in the real az.
    command = runpy.run_path(str(SAMPLE))["set_policy_command"](
        stand_in.vault.name, stand_in.state.sample.object_id, "nt"
    )
    show = re.search(r" in \('(.*?)'\) do ", command)[1]
    assert cloud.type(show).stdout == "delete get list set delete get list set\n"


def test_set_policy_for_whoever_is_signed_in_though_graph_is_closed(cure, signed_in_sample, stand_in):
    signed_in_sample.environment["AZURE_CLIENT_ID"] = stand_in.state.sample.client_id
    stand_in.vault.access_policies.clear()
    closed = error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    stand_in.faults.answer("graph.microsoft.com", closed, times=99)
    cure("az keyvault set-policy")

    assert stand_in.vault.access_policies[0]["objectId"] == stand_in.state.admin.object_id
    assert signed_in_sample.run().returncode == 0


def test_set_policy_for_the_service_principal(cure, sample, stand_in):
    del stand_in.vault.access_policies[0]
    cure("az keyvault set-policy")

    assert sample.run().returncode == 0


def test_set_policy_for_whoever_is_signed_in(cure, signed_in_sample, stand_in):
    stand_in.vault.access_policies.clear()
    cure("az keyvault set-policy")

    (policy,) = stand_in.vault.access_policies
    assert policy["objectId"] == stand_in.state.admin.object_id
    assert signed_in_sample.run().returncode == 0


@pytest.mark.parametrize("graph_is_closed", [False, True])
def test_role_assignment(cure, sample, stand_in, graph_is_closed):
    stand_in.vault.is_rbac = True
    if graph_is_closed:
        closed = error(
            403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
        )
        stand_in.faults.answer("graph.microsoft.com", closed, times=99)
    cure("az role assignment create")

    assert sample.run().returncode == 0


@pytest.mark.parametrize(
    "closed",
    [
        {"network_acls": {"defaultAction": "Deny", "ipRules": []}},
        {"public_network_access": "Disabled"},
    ],
    ids=["firewall", "no public access"],
)
def test_network(cure, sample, stand_in, closed):
    vars(stand_in.vault).update(closed)
    cure(**{"YOUR-IP-ADDRESS": "127.0.0.1"})

    assert stand_in.vault.network_acls["defaultAction"] == "Deny"
    assert sample.run().returncode == 0


def test_delete_what_was_left_behind(cure, stand_in):
    stand_in.faults.answer("GET /secrets/my-secret/ ", BUSY, times=4)
    cure("az keyvault secret delete")

    assert stand_in.vault.find("my-secret").deleted_at is not None


def test_name_that_begins_with_a_hyphen(cloud, sample, stand_in):
    stand_in.faults.answer("GET /secrets/-x/ ", BUSY, times=4)
    command = sample.run("-x").stderr.splitlines()[-1]

    assert cloud.type(command).returncode == 0, command
    assert stand_in.vault.find("-x").deleted_at is not None


def test_recover(cure, sample, stand_in):
    sample.run(value="an earlier value")
    cure("az keyvault secret recover")

    secret = stand_in.vault.find("my-secret")
    assert (secret.deleted_at, secret.versions[-1].value) == (None, "an earlier value")


def test_purge(cure, sample, stand_in):
    sample.run(value="an earlier value")
    cure("az keyvault secret purge")

    assert sample.run().returncode == 0


@pytest.mark.parametrize("name", ["no-such-vault", "https://kv-quickstart.vault.azure.net"])
def test_list_of_vaults(cure, sample, stand_in, name):
    sample.environment["KEY_VAULT_NAME"] = name

    assert cure("az keyvault list") == f"{stand_in.vault.name}\n"
