"""The lines that the sample prints to type, typed as they stand: they cure, and take nothing away."""

import pytest
from conftest import Sample
from stand_in.messages import Answer

VAULT = "kv-quickstart"
UNAVAILABLE = Answer(503, b"<html>Service Unavailable</html>")


@pytest.fixture
def vault(cloud):
    """The vault that the tutorial creates, with deletions that are through at once."""
    vault = cloud.state.add_vault(VAULT)
    vault.deletion_seconds = 0
    cloud.environment["KEY_VAULT_NAME"] = VAULT
    return vault


@pytest.fixture
def sample(cloud, vault, sample_python):
    """The sample as its service principal, in the environment in which az is somebody else's."""
    return Sample(sample_python, cloud.environment | {"LC_ALL": "C.UTF-8"})


def sign_out(sample):
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        del sample.environment[name]


def type_line(sample, cloud, start):
    """Type the one line of the failing sample's message that starts like this; it must succeed."""
    message = sample.run().stderr
    (line,) = [line for line in message.splitlines() if line.startswith(start)]
    typed = cloud.type(line)
    assert typed.returncode == 0, typed.stderr
    return typed


@pytest.mark.parametrize("is_rbac", [False, True], ids=["access policy", "role"])
@pytest.mark.parametrize("who", ["sample", "admin"])
def test_grant_is_for_the_identity_that_was_refused(sample, cloud, vault, who, is_rbac):
    if who == "admin":
        sign_out(sample)  # It signs in as az then, while AZURE_CLIENT_ID still names another one.
    object_id = getattr(cloud.state, who).object_id
    vault.is_rbac = is_rbac
    vault.access_policies[:] = [
        one | {"permissions": {"secrets": ["backup", "get", "purge"]}} for one in vault.access_policies
    ]
    before = {one["objectId"]: vault.permissions(one["objectId"]) for one in vault.access_policies}
    type_line(sample, cloud, 'eval "$(scripts/provision.sh --object-id ')

    assert sample.run().returncode == 0
    granted = set() if is_rbac else {"delete", "get", "list", "set"}
    after = {one["objectId"]: vault.permissions(one["objectId"]) for one in vault.access_policies}
    assert after == before | {object_id: before[object_id] | granted}
    assert [one.object_id for one in cloud.state.role_assignments] == [object_id] * is_rbac


def test_delete_what_was_left_behind_even_under_a_name_that_az_could_take_for_an_option(sample, cloud, vault):
    cloud.stand_in.faults.answer("GET /secrets/-x/ ", UNAVAILABLE, times=4)
    line = sample.run("-x").stderr.splitlines()[-1]

    assert cloud.type(line).returncode == 0, line
    assert vault.find("-x").deleted_at is not None


def test_list_of_vaults(sample, cloud, vault):
    sample.environment["KEY_VAULT_NAME"] = "no-such-vault"

    assert type_line(sample, cloud, "az keyvault list").stdout == f"{VAULT}\n"


def test_sign_in_with_az(sample, cloud):
    cloud.az("account", "clear")
    sign_out(sample)
    cloud.environment["PATH"] = sample.environment["PATH"]
    type_line(sample, cloud, "az login")
    cloud.state.find_vault(VAULT).access_policies[0]["objectId"] = cloud.state.user.object_id

    assert sample.run().returncode == 0


def test_azure_cli_instead_of_what_the_environment_names(sample, cloud):
    sample.environment["AZURE_CLIENT_SECRET"] = "not-the-client-secret"
    (export,) = [line for line in sample.run().stderr.splitlines() if line.startswith("export ")]
    sample.command = ["bash", "-c", f'{export}; exec "$@"', "bash", *sample.command]

    assert sample.run().returncode == 0
