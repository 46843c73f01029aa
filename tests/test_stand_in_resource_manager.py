"""The stand-in's Azure Resource Manager, over the wire."""

import pytest
from conftest import Wire, assert_error
from stand_in import tokens

KEY_VAULT = "/providers/Microsoft.KeyVault"
ROLES = "/providers/Microsoft.Authorization"
GROUP = "/resourceGroups/KeyVault-PythonQS-rg"
VAULT = f"{GROUP}{KEY_VAULT}/vaults/kv-quickstart"


@pytest.fixture
def ask(stand_in):
    """A function that asks Azure Resource Manager for a path below the subscription, as today's az does."""
    state = stand_in.state
    wire = Wire(stand_in, "management.azure.com", tokens.issue(state, state.admin, tokens.RESOURCE_MANAGER))
    subscription = f"/subscriptions/{state.subscription_id}"

    def ask(method, path, body=None, headers=None, **query):
        query = {"api-version": "2026-02-01"} | query
        return wire(method, subscription + path, json=body, headers=headers, params=query)

    return ask


def put_vault(ask, name="kv-new", version="2026-02-01", location="eastus", tags=None, **properties):
    """The answer to a request for a vault with these properties."""
    body = {"location": location, "tags": tags, "properties": properties}
    return ask("PUT", f"{GROUP}{KEY_VAULT}/vaults/{name}", body, **{"api-version": version})


def assign(ask, name, principal, scope="", role=None):
    """The answer to a request for a role assignment, by default of Key Vault Secrets Officer."""
    query = {"$filter": "roleName eq 'Key Vault Secrets Officer'"}
    (officer,) = ask("GET", f"{ROLES}/roleDefinitions", **query).json()["value"]
    properties = {"roleDefinitionId": role or officer["id"], "principalId": principal.object_id}
    return ask("PUT", f"{scope}{ROLES}/roleAssignments/{name}", {"properties": properties})


def test_token_is_checked_and_the_unknown_is_named(stand_in):
    for host, path, audience in (
        ("management.azure.com", "/subscriptions", tokens.RESOURCE_MANAGER),
        ("graph.microsoft.com", "/v1.0/users", tokens.GRAPH),
    ):
        assert Wire(stand_in, host)("GET", path).status_code == 401
        for asked, status in ((tokens.KEY_VAULT, 401), (audience, 200)):
            wire = Wire(stand_in, host, tokens.issue(stand_in.state, stand_in.state.admin, asked))
            assert wire("GET", path).status_code == status
        unknown = "501 NotImplemented: The stand-in for Azure does not know GET /v1.0/groups. It is for *"
        assert_error(wire("GET", "/v1.0/groups"), unknown)


def test_what_is_put_of_a_vault_comes_back_and_stays(ask, stand_in):
    rules = [{"value": "1.2.3.0/24"}, {"value": "172.32.0.1"}, {"value": "127.0.0.1"}]
    properties = {
        "accessPolicies": [{"objectId": "a", "permissions": {"keys": ["get"], "secrets": ["get"]}}],
        "enabledForDeployment": True,
        "enabledForTemplateDeployment": True,
        "enablePurgeProtection": True,
        "enableRbacAuthorization": False,
        "networkAcls": {"bypass": "None", "defaultAction": "Deny", "ipRules": rules},
        "publicNetworkAccess": "Disabled",
        "sku": {"family": "A", "name": "premium"},
        "softDeleteRetentionInDays": 8,
    }
    put_vault(ask, tags={"a": "b"}, **properties)
    answer = put_vault(ask, softDeleteRetentionInDays=8).json()
    assert answer["tags"] == {"a": "b"}
    properties["networkAcls"]["virtualNetworkRules"] = []
    assert answer["properties"].items() >= properties.items()

    stand_in.state.delete_vault(stand_in.state.find_vault("kv-new"))
    (deleted,) = ask("GET", f"{KEY_VAULT}/deletedVaults").json()["value"]
    assert deleted["properties"].items() >= {"tags": {"a": "b"}, "purgeProtectionEnabled": True}.items()
    answer = ask("POST", f"{KEY_VAULT}/locations/eastus/deletedVaults/kv-new/purge")
    assert_error(answer, "405 MethodNotAllowed: Operation 'DeletedVaultPurge' is not allowed.")


def test_vault_of_the_tutorial(ask):
    properties = ask("GET", VAULT).json()["properties"]
    assert properties["accessPolicies"][0]["permissions"] == {"secrets": ["delete", "get", "list", "set"]}
    assert "networkAcls" not in properties
    for what in ("Deployment", "DiskEncryption", "TemplateDeployment"):
        assert properties[f"enabledFor{what}"] is False


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
    for name, changes, code in (
        *((name, {}, "400 VaultNameNotValid") for name in ("ab", "a_b", "a--b", "1ab", "ab-", "a" * 25)),
        ("kv-new", {"softDeleteRetentionInDays": 6}, "400 BadRequest"),
        ("kv-new", {"softDeleteRetentionInDays": 91}, "400 BadRequest"),
        ("kv-new", {"enablePurgeProtection": False}, "400 BadRequest"),
        ("kv-new", {"networkAcls": {"ipRules": [{"value": "localhost"}]}}, "400 BadRequest"),
        ("kv-new", {"location": None}, "400 LocationRequired"),
        ("kv-new", {"location": "nowhere"}, "400 LocationNotAvailableForResourceType"),
        ("kv-new", {"accessPolicies": "all"}, "400 InvalidRequestContent"),
        ("kv-quickstart", {"softDeleteRetentionInDays": 7}, "400 BadRequest"),
        ("kv-quickstart", {"location": "westeurope"}, "409 InvalidResourceLocation"),
        ("kv-elsewhere", {}, "409 VaultAlreadyExists"),
        ("kv-deleted", {}, "409 ConflictError"),
    ):
        assert_error(put_vault(ask, name, **changes), f"{code}: *")
        assert repr(stand_in.state.vaults) == before


def test_private_addresses_get_no_network_rule(ask):
    for value, last in (("10.0.0.1", "10.*"), ("172.31.0.0/16", "172.31.*"), ("192.168.1.1/32", "192.168.*")):
        answer = put_vault(ask, networkAcls={"ipRules": [{"value": "1.2.3.4"}, {"value": value}]})
        where = f"properties.networkAcls.ipRules?1?.value: {value} belongs to forbidden range *\u2013{last}"
        assert_error(answer, f"400 BadRequest: Invalid value found at {where}.255 (private IP addresses)")


def test_subscription_its_groups_and_their_regions(ask, stand_in):
    answer = ask("PUT", "/resourcegroups/My-RG", {"location": "nowhere"})
    message = "The provided location 'nowhere' is not available for resource group. *"
    assert_error(answer, f"400 LocationNotAvailableForResourceGroup: {message}")
    ask("PUT", "/resourcegroups/My-RG", {"location": "West Europe", "tags": {"a": "b"}})
    plain, tagged = ask("GET", "/resourcegroups").json()["value"]
    assert (tagged["name"], tagged["location"], tagged["tags"]) == ("My-RG", "westeurope", {"a": "b"})
    assert "tags" not in plain
    assert "westeurope" in [one["name"] for one in ask("GET", "/locations").json()["value"]]
    assert ask("GET", f"{GROUP}{KEY_VAULT}/managedHSMs").json() == {"value": []}
    assert ask("POST", f"{KEY_VAULT}/register").json()["registrationState"] == "Registered"
    stand_in.state.subscription_id = "other"
    assert_error(ask("GET", "/resources"), "404 SubscriptionNotFound: *")


def test_role_is_assigned_once(ask, stand_in):
    user = stand_in.state.user
    assert assign(ask, "1-1", user).json()["properties"]["principalType"] == "User"
    message = "The role assignment already exists. The ID of the existing role assignment is 11."
    assert_error(assign(ask, "2-2", user), f"409 RoleAssignmentExists: {message}")
    assert assign(ask, "4-4", user, role="another").status_code == 501


def test_role_assignments_at_above_and_below_a_scope_end_with_their_vault(ask, stand_in):
    sample = stand_in.state.sample
    assign(ask, "group", stand_in.state.user, GROUP)
    for name, scope in (("vault", VAULT), ("other", f"{VAULT}-2"), ("secret", f"{VAULT}/secrets/a")):
        assign(ask, name, sample, scope)
    for scope, asked, found in (
        (VAULT, "atScope()", ["group", "vault"]),
        (VAULT.upper(), f"atScope() and assignedTo('{sample.object_id}')", ["vault"]),
        (VAULT, "", ["group", "vault", "secret"]),
        ("", f"principalId eq '{sample.object_id}'", ["vault", "other", "secret"]),
        ("", "atScope()", []),
    ):
        answer = ask("GET", f"{scope}{ROLES}/roleAssignments", **{"$filter": asked})
        assert [one["name"] for one in answer.json()["value"]] == found
    ask("DELETE", VAULT)
    left = ask("GET", f"{ROLES}/roleAssignments").json()["value"]
    assert [one["name"] for one in left] == ["group", "other"]


def test_role_lets_in_at_the_vault_or_above(ask, vault, stand_in):
    stand_in.vault.is_rbac = True
    for scope, status in ((f"{VAULT}-2", 403), ("", 200), (GROUP, 200), (VAULT.upper(), 200)):
        stand_in.state.role_assignments.clear()
        assign(ask, "1-1", stand_in.state.sample, scope)
        assert vault("GET", "/secrets").status_code == status


def test_all_role_definitions_are_known_only_to_name_those_assigned(ask):
    for command, status in (("role definition list", 501), ("role assignment list", 200), (None, 501)):
        answer = ask("GET", f"{ROLES}/roleDefinitions", headers={"CommandName": command})
        assert answer.status_code == status
