"""The az commands that the sample prints in a message, typed as they stand: they cure."""

import pytest
from conftest import Cloud
from stand_in.messages import Answer

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


def test_role_assignment(cure, sample, stand_in):
    stand_in.vault.is_rbac = True
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
    cure(YOURS="127.0.0.1")

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
