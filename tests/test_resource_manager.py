"""The stand-in's Azure Resource Manager and Microsoft Graph, over the wire."""

import pytest
from conftest import Wire
from stand_in import tokens

PROVIDER = "/providers/Microsoft.KeyVault"
ROLES = "/providers/Microsoft.Authorization"
NO_ROLES = {"enableRbacAuthorization": False}


@pytest.fixture
def ask(stand_in):
    """A function that asks Azure Resource Manager for a path below the subscription.

    It asks as today's az does, unless ``version`` says otherwise.
    """
    state = stand_in.state
    wire = Wire(stand_in, "management.azure.com", tokens.issue(state, state.admin, tokens.RESOURCE_MANAGER))

    def ask(method, path, body=None, version="2026-02-01", subscription=state.subscription_id):
        return wire(method, f"/subscriptions/{subscription}{path}?api-version={version}", json=body)

    return ask


@pytest.fixture
def put_vault(ask):
    """A function that puts a vault, and gives back the answer."""

    def put_vault(name="kv-new", *, location="eastus", tags=None, version="2026-02-01", **properties):
        path = f"/resourceGroups/KeyVault-PythonQS-rg{PROVIDER}/vaults/{name}"
        return ask("PUT", path, {"location": location, "tags": tags, "properties": properties}, version)

    return put_vault


@pytest.fixture
def graph(stand_in):
    """Requests to Microsoft Graph."""
    token = tokens.issue(stand_in.state, stand_in.state.admin, tokens.GRAPH)
    return Wire(stand_in, "graph.microsoft.com", token)


def error_of(answer):
    """Status and code of an error in one line, and its message."""
    error = answer.json()["error"]
    return f"{answer.status_code} {error['code']}", error["message"]


@pytest.mark.parametrize(
    ("host", "path", "audience"),
    [
        ("management.azure.com", "/subscriptions", tokens.RESOURCE_MANAGER),
        ("graph.microsoft.com", "/v1.0/users", tokens.GRAPH),
    ],
)
def test_token_is_checked_and_the_unknown_is_named(stand_in, host, path, audience):
    state, admin = stand_in.state, stand_in.state.admin
    for token in (None, tokens.issue(state, admin, tokens.KEY_VAULT)):
        assert Wire(stand_in, host, token)("GET", path).status_code == 401
    wire = Wire(stand_in, host, tokens.issue(state, admin, audience))
    assert wire("GET", path).status_code == 200
    code, message = error_of(wire("GET", "/v1.0/groups"))
    assert code == "501 NotImplemented"
    assert message.startswith("The stand-in for Azure does not know GET /v1.0/groups. It is for ")


def test_what_is_put_of_a_vault_comes_back_and_stays(put_vault, ask, stand_in):
    properties = {
        "accessPolicies": [{"objectId": "a", "permissions": {"keys": ["get"], "secrets": ["get"]}}],
        "enabledForDeployment": True,
        "enabledForTemplateDeployment": True,
        "enablePurgeProtection": True,
        "enableRbacAuthorization": False,
        "networkAcls": {"bypass": "None", "defaultAction": "Deny", "ipRules": [{"value": "1.2.3.4"}]},
        "publicNetworkAccess": "Disabled",
        "sku": {"family": "A", "name": "premium"},
        "softDeleteRetentionInDays": 8,
    }
    put_vault(tags={"a": "b"}, **properties)
    answer = put_vault(softDeleteRetentionInDays=8).json()
    assert answer["tags"] == {"a": "b"}
    assert answer["properties"].items() >= properties.items()

    stand_in.state.delete_vault(stand_in.state.find_vault("kv-new"))
    (deleted,) = ask("GET", f"{PROVIDER}/deletedVaults").json()["value"]
    assert deleted["properties"]["tags"] == {"a": "b"}
    assert deleted["properties"]["purgeProtectionEnabled"] is True
    assert error_of(ask("POST", f"{PROVIDER}/locations/eastus/deletedVaults/kv-new/purge")) == (
        "405 MethodNotAllowed",
        "Operation 'DeletedVaultPurge' is not allowed.",
    )


def test_roles_are_the_default_of_new_vaults(put_vault):
    def is_rbac(name, version, **properties):
        answer = put_vault(name, version=version, **properties).json()
        return answer["properties"]["enableRbacAuthorization"]

    for number, (version, asked, expected) in enumerate(
        [("2026-02-01", {}, True), ("2026-02-01", NO_ROLES, False), ("2025-05-01", {}, False)]
    ):
        assert is_rbac(f"kv-{number}", version, **asked) is expected
        # An existing vault stays as it is.
        assert is_rbac(f"kv-{number}", "2026-02-01") is expected


@pytest.mark.parametrize(
    ("name", "changes", "code"),
    [
        *((name, {}, "400 VaultNameNotValid") for name in ("ab", "a_b", "a--b", "1ab", "ab-", "a" * 25)),
        ("kv-new", {"softDeleteRetentionInDays": 6}, "400 BadRequest"),
        ("kv-new", {"softDeleteRetentionInDays": 91}, "400 BadRequest"),
        ("kv-new", {"enablePurgeProtection": False}, "400 BadRequest"),
        ("kv-new", {"location": None}, "400 LocationRequired"),
        ("kv-new", {"location": "nowhere"}, "400 LocationNotAvailableForResourceType"),
        ("kv-new", {"accessPolicies": "all"}, "400 InvalidRequestContent"),
        ("kv-quickstart", {"softDeleteRetentionInDays": 7}, "400 BadRequest"),
        ("kv-quickstart", {"location": "westeurope"}, "409 InvalidResourceLocation"),
        ("kv-elsewhere", {}, "409 VaultAlreadyExists"),
        ("kv-deleted", {}, "409 ConflictError"),
    ],
)
def test_vaults_that_azure_refuses(put_vault, stand_in, name, changes, code):
    state = stand_in.state
    state.add_vault("kv-elsewhere", resource_group="other")
    state.delete_vault(state.add_vault("kv-deleted"))

    assert error_of(put_vault(name, **changes))[0] == code
    assert list(state.vaults) == ["kv-quickstart", "kv-elsewhere"]
    assert (stand_in.vault.location, stand_in.vault.retention_days) == ("eastus", 90)


def test_groups_and_their_regions(ask):
    code, message = error_of(ask("PUT", "/resourcegroups/My-RG", {"location": "nowhere"}))
    assert code == "400 LocationNotAvailableForResourceGroup"
    assert message.startswith("The provided location 'nowhere' is not available for resource group. ")

    ask("PUT", "/resourcegroups/My-RG", {"location": "West Europe", "tags": {"a": "b"}})
    groups = ask("GET", "/resourcegroups").json()["value"]
    found = [(one["name"], one["location"], one["tags"]) for one in groups]
    assert ("My-RG", "westeurope", {"a": "b"}) in found
    assert "westeurope" in [one["name"] for one in ask("GET", "/locations").json()["value"]]


def test_subscription(ask):
    assert ask("POST", f"{PROVIDER}/register").json()["registrationState"] == "Registered"
    assert error_of(ask("GET", "/resources", subscription="other"))[0] == "404 SubscriptionNotFound"


def test_role_assignments(ask, stand_in):
    (role,) = ask("GET", f"{ROLES}/roleDefinitions").json()["value"]

    def assign(name, principal, role_id=role["id"]):
        properties = {"roleDefinitionId": role_id, "principalId": principal.object_id}
        return ask("PUT", f"{ROLES}/roleAssignments/{name}", {"properties": properties})

    user, sample = stand_in.state.user, stand_in.state.sample
    assert [assign("1-1", user).status_code, assign("3-3", sample).status_code] == [201, 201]
    message = "The role assignment already exists. The ID of the existing role assignment is 11."
    assert error_of(assign("2-2", user)) == ("409 RoleAssignmentExists", message)
    assert error_of(assign("4-4", user, "another"))[0] == "501 NotImplemented"
    found = ask("GET", f"{ROLES}/roleAssignments").json()["value"]
    assert [one["properties"]["principalType"] for one in found] == ["User", "ServicePrincipal"]


def test_me_is_refused_to_a_service_principal(graph):
    assert graph("GET", "/v1.0/me").status_code == 400


def test_application_outlives_its_service_principal(graph, login, stand_in):
    application = graph("POST", "/v1.0/applications", json={"displayName": "mine"}).json()
    path = f"/v1.0/applications/{application['id']}"
    password = graph("POST", f"{path}/addPassword").json()
    form = {
        "grant_type": "client_credentials",
        "client_id": application["appId"],
        "client_secret": password["secretText"],
        "scope": "https://vault.azure.net/.default",
    }

    def sign_in():
        return login("POST", f"/{stand_in.state.tenant_id}/oauth2/v2.0/token", data=form).status_code

    principal = graph("POST", "/v1.0/servicePrincipals", json={"appId": application["appId"]}).json()
    assert sign_in() == 200
    graph("POST", f"{path}/removePassword", json={"keyId": password["keyId"]})
    assert sign_in() == 401
    graph("DELETE", f"/v1.0/servicePrincipals/{principal['id']}")
    assert graph("GET", f"/v1.0/servicePrincipals/{principal['id']}").status_code == 404
    assert sign_in() == 400
    assert graph("GET", path).json()["appId"] == application["appId"]
    graph("DELETE", path)
    assert graph("GET", path).status_code == 404
