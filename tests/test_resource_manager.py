"""The stand-in's Azure Resource Manager and Microsoft Graph, over the wire and with the real az."""

import pytest
from conftest import Wire
from stand_in import tokens


@pytest.mark.parametrize(
    ("host", "path", "audience"),
    [
        ("management.azure.com", "/subscriptions", tokens.RESOURCE_MANAGER),
        ("graph.microsoft.com", "/v1.0/users", tokens.GRAPH),
    ],
)
def test_token_is_checked(stand_in, host, path, audience):
    state, admin = stand_in.state, stand_in.state.admin
    good = tokens.issue(state, admin, audience)
    for token in (
        None,
        "abc.def.ghi",
        good[:-4] + "AAAA",
        tokens.issue(state, admin, audience, lifetime=-60),
        tokens.issue(state, admin, audience, tenant_id="other"),
        tokens.issue(state, admin, tokens.KEY_VAULT),
    ):
        assert Wire(stand_in, host, token)("GET", path).status_code == 401
    assert Wire(stand_in, host, good)("GET", path).status_code == 200


@pytest.fixture
def manager(stand_in):
    """Requests to Azure Resource Manager."""
    token = tokens.issue(stand_in.state, stand_in.state.admin, tokens.RESOURCE_MANAGER)
    return Wire(stand_in, "management.azure.com", token)


def test_unknown_path(manager):
    assert manager("GET", "/nowhere").status_code == 404


def test_other_subscription(manager):
    answer = manager("GET", "/subscriptions/other/resources")
    assert answer.json()["error"]["code"] == "SubscriptionNotFound"


def test_me_is_refused_to_a_service_principal(stand_in):
    token = tokens.issue(stand_in.state, stand_in.state.admin, tokens.GRAPH)
    assert Wire(stand_in, "graph.microsoft.com", token)("GET", "/v1.0/me").status_code == 400


def test_the_2020_commands_fail_as_they_do_today(cloud):
    assert cloud.az("group", "create", "--name", "rg", "--location", "eastus").returncode == 0
    created = cloud.az("keyvault", "create", "--name", "kv-tutorial", "--resource-group", "rg")
    assert created.returncode == 0, created.stderr
    sample = cloud.state.sample.client_id
    policy = ["--name", "kv-tutorial", "--spn", sample, "--secret-permissions", "delete", "get"]
    ended = cloud.az("keyvault", "set-policy", *policy)

    assert ended.returncode != 0
    refusal = "Cannot set policies to a vault with '--enable-rbac-authorization' specified"
    assert refusal in ended.stderr


def test_vault_that_exists_is_not_made_again(cloud):
    cloud.state.add_vault("kv-tutorial")
    group = ["--resource-group", "KeyVault-PythonQS-rg"]
    ended = cloud.az("keyvault", "create", "--name", "kv-tutorial", *group)

    assert "The specified vault: kv-tutorial already exists" in ended.stderr


def test_deleted_vault_keeps_its_name(cloud):
    cloud.state.delete_vault(cloud.state.add_vault("kv-tutorial"))
    group = ["--resource-group", "KeyVault-PythonQS-rg"]
    ended = cloud.az("keyvault", "create", "--name", "kv-tutorial", *group)

    assert "A vault with the same name already exists in deleted state" in ended.stderr


def test_check_name_knows_nothing_of_vaults(cloud):
    cloud.state.add_vault("kv-tutorial")
    query = ["--query", "nameAvailable", "--output", "tsv"]
    assert cloud.az("keyvault", "check-name", "--name", "kv-tutorial", *query).stdout == "true\n"


def test_group_exists(cloud):
    assert cloud.az("group", "exists", "--name", "rg").stdout == "false\n"
    cloud.az("group", "create", "--name", "rg", "--location", "eastus")
    assert cloud.az("group", "exists", "--name", "RG").stdout == "true\n"
