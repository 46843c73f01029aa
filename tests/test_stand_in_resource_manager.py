"""The stand-in's Azure Resource Manager, over the wire, and by the Azure CLI."""

import pytest
from conftest import Wire, assert_error
from stand_in import tokens

KEY_VAULT = "/providers/Microsoft.KeyVault"
ROLES = "/providers/Microsoft.Authorization"
GROUP = "/resourceGroups/KeyVault-PythonQS-rg"
VAULT = f"{GROUP}{KEY_VAULT}/vaults/kv-quickstart"
OFFICER = "Key Vault Secrets Officer"


@pytest.fixture
def ask(stand_in):
    """A function that asks Azure Resource Manager for a path below the subscription, as today's az does."""
    state = stand_in.state
    wire = Wire(stand_in, "management.azure.com", tokens.issue(state, state.admin, tokens.RESOURCE_MANAGER))
    subscription = f"/subscriptions/{state.subscription_id}"

    def ask(method, path, body=None, **query):
        query = {"api-version": "2026-02-01"} | query
        return wire(method, subscription + path, json=body, params=query)

    return ask


def put_vault(ask, name="kv-new", version="2026-02-01", location="eastus", tags=None, **properties):
    """The answer to a request for a vault with these properties."""
    body = {"location": location, "tags": tags, "properties": properties}
    return ask("PUT", f"{GROUP}{KEY_VAULT}/vaults/{name}", body, **{"api-version": version})


def assign(ask, name, principal, scope="", **properties):
    """The answer to a request for a role assignment, by default of Key Vault Secrets Officer."""
    (officer,) = ask("GET", f"{ROLES}/roleDefinitions").json()["value"]
    properties = {"roleDefinitionId": officer["id"], "principalId": principal.object_id} | properties
    return ask("PUT", f"{scope}{ROLES}/roleAssignments/{name}", {"properties": properties})


@pytest.mark.parametrize(
    ("host", "path", "audience"),
    [
        ("management.azure.com", "/subscriptions", tokens.RESOURCE_MANAGER),
        ("graph.microsoft.com", "/v1.0/users", tokens.GRAPH),
    ],
)
def test_token_is_checked_and_the_unknown_is_named(stand_in, host, path, audience):
    for asked, status in ((tokens.KEY_VAULT, 401), (audience, 200)):
        wire = Wire(stand_in, host, tokens.issue(stand_in.state, stand_in.state.admin, asked))
        assert wire("GET", path).status_code == status
    unknown = "501 NotImplemented: The stand-in for Azure does not know GET /v1.0/groups. It is for *"
    assert_error(wire("GET", "/v1.0/groups"), unknown)


def test_vault_comes_back_as_it_was_set_and_with_all_it_held_after_its_group_was_deleted(ask, stand_in):
    properties = {
        "accessPolicies": [{"objectId": "a", "permissions": {"keys": ["get"], "secrets": ["get"]}}],
        "enabledForDeployment": True,
        "enablePurgeProtection": True,
        "enableRbacAuthorization": False,
        "networkAcls": {"defaultAction": "Deny", "ipRules": [], "virtualNetworkRules": []},
        "publicNetworkAccess": "Disabled",
        "sku": {"family": "A", "name": "premium"},
        "softDeleteRetentionInDays": 8,
    }
    put_vault(ask, tags={"a": "b"}, **properties)
    stand_in.state.find_vault("kv-new").add_secret("my-secret", "hunter2")
    before = put_vault(ask).json()
    assert before["tags"] == {"a": "b"}
    assert before["properties"].items() >= properties.items()

    ask("DELETE", GROUP.replace("G", "g"))
    _, deleted = ask("GET", f"{KEY_VAULT}/deletedVaults").json()["value"]
    assert deleted["properties"].items() >= {"tags": {"a": "b"}, "purgeProtectionEnabled": True}.items()
    answer = ask("POST", f"{KEY_VAULT}/locations/eastus/deletedVaults/kv-new/purge")
    assert_error(answer, "405 MethodNotAllowed: Operation 'DeletedVaultPurge' is not allowed.")
    ask("PUT", GROUP, {"location": "eastus"})
    assert put_vault(ask, createMode="recover").json() == before
    assert stand_in.state.find_vault("kv-new").find("my-secret").versions[0].value == "hunter2"


def test_roles_are_the_default_of_new_vaults(ask):
    for name, asked, is_rbac in (
        ("kv-new", {}, True),
        ("kv-asked", {"enableRbacAuthorization": False}, False),
        ("kv-older", {"version": "2025-05-01"}, False),
    ):
        # An existing vault stays as it is.
        for answer in (put_vault(ask, name, **asked), put_vault(ask, name)):
            assert answer.json()["properties"]["enableRbacAuthorization"] is is_rbac


def test_vaults_that_azure_refuses(ask, stand_in):
    stand_in.state.add_vault("kv-elsewhere", resource_group="other")
    stand_in.state.delete_vault(stand_in.state.add_vault("kv-deleted"))
    before = repr(stand_in.state.vaults)
    for name, changes, error in (
        *((name, {}, "400 VaultNameNotValid") for name in ("ab", "a_b", "a--b", "1ab", "ab-", "a" * 25)),
        ("kv-new", {"softDeleteRetentionInDays": 6}, "400 BadRequest"),
        ("kv-new", {"softDeleteRetentionInDays": 91}, "400 BadRequest"),
        ("kv-new", {"enablePurgeProtection": False}, "400 BadRequest"),
        ("kv-new", {"networkAcls": {"ipRules": [{"value": "1.2.3.4"}]}}, "501 NotImplemented"),
        ("kv-new", {"location": None}, "400 LocationRequired"),
        ("kv-new", {"location": "nowhere"}, "400 LocationNotAvailableForResourceType"),
        ("kv-quickstart", {"softDeleteRetentionInDays": 7}, "400 BadRequest"),
        ("kv-elsewhere", {}, "409 VaultAlreadyExists"),
        ("kv-deleted", {}, "409 ConflictError"),
    ):
        assert_error(put_vault(ask, name, **changes), f"{error}: *")
        assert repr(stand_in.state.vaults) == before
    more = "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    answer = ask("GET", f"{GROUP}{KEY_VAULT}/vaults/kv-elsewhere")
    assert_error(answer, f"404 ResourceNotFound: The Resource * under * was not found. {more}")


def test_resource_groups_and_their_regions(ask):
    answer = ask("PUT", "/resourcegroups/My-RG", {"location": "nowhere"})
    message = "The provided location 'nowhere' is not available for resource group. *"
    assert_error(answer, f"400 LocationNotAvailableForResourceGroup: {message}")
    ask("PUT", "/resourcegroups/My-RG", {"location": "West Europe", "tags": {"a": "b"}})
    answer = ask("PUT", "/resourcegroups/my-rg", {"location": "eastus"})
    assert_error(answer, "409 InvalidResourceGroupLocation: *already exists in location 'westeurope'.")
    plain, tagged = ask("GET", "/resourcegroups").json()["value"]
    assert (tagged["name"], tagged["location"], tagged["tags"]) == ("My-RG", "westeurope", {"a": "b"})
    assert "tags" not in plain


def test_role_assignments_that_azure_refuses(ask, stand_in):
    user, officer = stand_in.state.user, {"$filter": f"roleName eq '{OFFICER.lower()}'"}
    assert len(ask("GET", f"{ROLES}/roleDefinitions", **officer).json()["value"]) == 1
    reader = ask("GET", f"{ROLES}/roleDefinitions", **{"$filter": "roleName eq 'Reader'"})
    assert_error(reader, "501 NotImplemented: The stand-in for Azure does not know the role Reader. *")
    assert_error(assign(ask, "1-1", user, roleDefinitionId="b"), "501 NotImplemented: *")
    types = "'User' , which is different from specified PrinciaplType 'ServicePrincipal'."
    message = f"The PrincipalId '{user.object_id.replace('-', '')}' has type {types}"
    answer = assign(ask, "1-1", user, principalType="ServicePrincipal")
    assert_error(answer, f"400 UnmatchedPrincipalType: {message}")
    assert stand_in.state.role_assignments == []

    assert assign(ask, "1-1", user).json()["properties"]["principalType"] == "User"
    message = "The role assignment already exists. The ID of the existing role assignment is 11."
    assert_error(assign(ask, "2-2", user), f"409 RoleAssignmentExists: {message}")


def test_role_lets_in_at_the_vault_or_above_until_it_or_the_vault_is_deleted(ask, vault, stand_in):
    stand_in.vault.is_rbac = True
    for scope, status in ((f"{VAULT}-2", 403), ("", 200), (GROUP, 200), (VAULT.upper(), 200)):
        assign(ask, "1-1", stand_in.state.sample, scope)
        assert vault("GET", "/secrets").status_code == status
        for deleted in (200, 204):
            assert ask("DELETE", f"{scope}{ROLES}/roleAssignments/1-1").status_code == deleted
        assert vault("GET", "/secrets").status_code == 403
    assign(ask, "1-1", stand_in.state.sample, VAULT)
    ask("DELETE", VAULT)
    assert stand_in.state.role_assignments == []


def test_azure_cli_gives_a_role_and_takes_it_away(cloud):
    vault, user = cloud.state.add_vault("kv-quickstart"), cloud.state.user
    role = ["--role", OFFICER, "--scope", cloud.state.path_of(vault), "--assignee"]
    cloud.az("role", "assignment", "create", *role, user.name)
    assert cloud.state.has_role(user.object_id, vault)
    ended = cloud.az("role", "assignment", "delete", *role, user.object_id)
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert not cloud.state.has_role(user.object_id, vault)
