"""Azure Resource Manager, management.azure.com: subscriptions, resource groups, vaults, roles.

Recorded: what the Azure CLI 2.91.0 asks, how it takes the answers, that a vault is an RBAC vault
unless it is asked for otherwise, and the ConflictError for a deleted one. The fields are those of
https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults, .../rest/api/resources and
.../rest/api/authorization, the ScopeLocked error that people quote.
"""

import re
import uuid

import jwt

from . import tokens
from .messages import Answer, error, find_route
from .state import DAY, OFFICER_ROLE, RoleAssignment, Vault, timestamp

HOST = "management.azure.com"
VAULT_TYPE = "Microsoft.KeyVault/vaults"


def answer(state, request):
    """The answer to one request to Azure Resource Manager: first who asks is checked."""
    try:
        tokens.check(state, request, tokens.RESOURCE_MANAGER)
    except jwt.InvalidTokenError:
        message = "Authentication failed. The 'Authorization' header is missing or invalid."
        return error(401, "AuthenticationFailed", message)
    route, parts = find_route(ROUTES, request)
    if route is None:
        message = f"No HTTP resource was found that matches {request.method} {request.path}."
        return error(404, "InvalidResourceType", message)
    if parts.pop("subscription", state.subscription_id) != state.subscription_id:
        return error(404, "SubscriptionNotFound", "The subscription could not be found.")
    group = parts.get("group")
    if group and group.lower() not in state.groups and route[2] not in (_put_group, _group_exists):
        return error(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
    return route[2](state, request, **parts)


def _page(values):
    return Answer(200, {"value": list(values)})


# Subscriptions and tenants.


def _subscription(state, request):
    return Answer(
        200,
        {
            "id": _subscription_path(state),
            "subscriptionId": state.subscription_id,
            "displayName": "The stand-in's subscription",
            "state": "Enabled",
            "tenantId": state.tenant_id,
        },
    )


def _subscriptions(state, request):
    return _page([_subscription(state, request).document])


def _tenants(state, request):
    return _page([{"id": f"/tenants/{state.tenant_id}", "tenantId": state.tenant_id}])


def _subscription_path(state):
    return f"/subscriptions/{state.subscription_id}"


# Resource groups.


def _group_document(state, name):
    return {
        "id": f"{_subscription_path(state)}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": state.groups[name.lower()],
        "properties": {"provisioningState": "Succeeded"},
    }


def _put_group(state, request, group):
    body = request.json({}) or {}
    location = str(body.get("location", "")).replace(" ", "").lower()
    known = state.groups.get(group.lower())
    if not location:
        return error(400, "LocationRequired", "The location property is required for this definition.")
    if known and known != location:
        message = f"Invalid resource group location '{location}'. The Resource group already exists in "
        return error(409, "InvalidResourceGroupLocation", f"{message}location '{known}'.")
    state.groups[group.lower()] = location
    return Answer(200 if known else 201, _group_document(state, group))


def _group_exists(state, request, group):
    return Answer(204 if group.lower() in state.groups else 404)


def _get_group(state, request, group):
    return Answer(200, _group_document(state, group))


def _list_groups(state, request):
    return _page(_group_document(state, name) for name in state.groups)


def _delete_group(state, request, group):
    if state.locks.get(group.lower()):
        path = f"{_subscription_path(state)}/resourceGroups/{group}"
        message = (
            f"The scope '{path}' cannot perform delete operation because following scope(s) are locked: "
            f"'{path}'. Please remove the lock and try again."
        )
        return error(409, "ScopeLocked", message)
    for vault in state.vaults_in(group):
        state.delete_vault(vault)
    del state.groups[group.lower()]
    return _accepted(state)


def _accepted(state):
    path = f"{_subscription_path(state)}/operationresults/{uuid.uuid4()}"
    headers = {"Location": f"https://{HOST}{path}?api-version=2021-04-01", "Retry-After": "1"}
    return Answer(202, None, headers)


def _operation_result(state, request, operation):
    return Answer(200)


def _list_resources(state, request):
    """All resources are vaults here; the filter is of equations, ``name eq 'a' and ...``."""
    wanted = dict(re.findall(r"(\w+) eq '([^']*)'", request.query.get("filter", "").lower()))
    found = []
    for vault in state.vaults.values():
        facts = {
            "name": vault.name,
            "resourcegroup": vault.resource_group,
            "resourcetype": VAULT_TYPE,
            "location": vault.location,
        }
        if all(facts.get(name, "").lower() == value for name, value in wanted.items()):
            found.append(_vault_document(state, vault))
    return _page({key: value for key, value in one.items() if key != "properties"} for one in found)


# Vaults.


def _vault_path(state, vault):
    group = f"{_subscription_path(state)}/resourceGroups/{vault.resource_group}"
    return f"{group}/providers/{VAULT_TYPE}/{vault.name}"


def _vault_document(state, vault):
    return {
        "id": _vault_path(state, vault),
        "name": vault.name,
        "type": VAULT_TYPE,
        "location": vault.location,
        "tags": {},
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": state.tenant_id,
            "accessPolicies": vault.access_policies,
            "enabledForDeployment": False,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": vault.retention_days,
            "enableRbacAuthorization": vault.is_rbac,
            "vaultUri": f"https://{vault.name}.vault.azure.net/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": vault.public_network_access,
            "networkAcls": vault.network_acls,
        },
    }


def _find_in(state, group, name):
    vault = state.find_vault(name)
    return vault if vault and vault.resource_group.lower() == group.lower() else None


def _get_vault(state, request, group, name):
    vault = _find_in(state, group, name)
    if vault is None:
        message = f"The Resource '{VAULT_TYPE}/{name}' under resource group '{group}' was not found."
        return error(404, "ResourceNotFound", message)
    return Answer(200, _vault_document(state, vault))


def _put_vault(state, request, group, name):
    body = request.json({}) or {}
    properties = body.get("properties") or {}
    vault = _find_in(state, group, name)
    deleted = state.deleted_vaults.get(name.lower())
    if deleted and properties.get("createMode") == "recover":
        vault = state.recover_vault(deleted)
        return Answer(200, _vault_document(state, vault))
    if deleted:
        message = (
            "A vault with the same name already exists in deleted state. You need to either recover or "
            "purge existing key vault."
        )
        return error(409, "ConflictError", message)
    if vault is None and state.find_vault(name):
        message = f"The vault name '{name}' is already in use. Vault names are globally unique."
        return error(409, "VaultAlreadyExists", message)
    if vault is None:
        vault = state.vaults[name.lower()] = Vault(name, resource_group=group)
    vault.location = str(body.get("location", vault.location)).replace(" ", "").lower()
    vault.access_policies = properties.get("accessPolicies", vault.access_policies)
    vault.retention_days = properties.get("softDeleteRetentionInDays") or vault.retention_days
    # So since the API version of 2026-02-01; recorded by its effect on `az keyvault create`.
    vault.is_rbac = properties.get("enableRbacAuthorization") is not False
    vault.public_network_access = properties.get("publicNetworkAccess") or vault.public_network_access
    vault.network_acls = properties.get("networkAcls") or vault.network_acls
    return Answer(200, _vault_document(state, vault))


def _delete_vault(state, request, group, name):
    vault = _find_in(state, group, name)
    if vault is None:
        return Answer(204)
    state.delete_vault(vault)
    return Answer(200)


def _list_vaults(state, request, group=None):
    vaults = state.vaults_in(group) if group else state.vaults.values()
    return _page(_vault_document(state, vault) for vault in vaults)


def _check_name(state, request):
    name = (request.json({}) or {}).get("name", "")
    if not state.find_vault(name) and name.lower() not in state.deleted_vaults:
        return Answer(200, {"nameAvailable": True})
    message = f"The vault name '{name}' is already in use."
    return Answer(200, {"nameAvailable": False, "reason": "AlreadyExists", "message": message})


def _check_hsm_name(state, request):
    # Managed HSMs have names of their own: a vault's name is free there.
    return Answer(200, {"nameAvailable": True})


# Deleted vaults.


def _deleted_document(state, vault):
    purge_at = vault.deleted_at + vault.retention_days * DAY
    path = f"{_subscription_path(state)}/providers/Microsoft.KeyVault/locations/{vault.location}"
    return {
        "id": f"{path}/deletedVaults/{vault.name}",
        "name": vault.name,
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": _vault_path(state, vault),
            "location": vault.location,
            "deletionDate": timestamp(vault.deleted_at),
            "scheduledPurgeDate": timestamp(purge_at),
            "tags": {},
        },
    }


def _list_deleted_vaults(state, request):
    return _page(_deleted_document(state, vault) for vault in state.deleted_vaults.values())


def _list_hsms(state, request):
    return _page([])


def _find_deleted(state, location, name):
    vault = state.deleted_vaults.get(name.lower())
    return vault if vault and vault.location == location.lower() else None


def _not_deleted(name):
    return error(404, "DeletedVaultNotFound", f"The vault {name} is not among the deleted ones.")


def _get_deleted_vault(state, request, location, name):
    vault = _find_deleted(state, location, name)
    return Answer(200, _deleted_document(state, vault)) if vault else _not_deleted(name)


def _purge_vault(state, request, location, name):
    vault = _find_deleted(state, location, name)
    if vault is None:
        return _not_deleted(name)
    del state.deleted_vaults[name.lower()]
    return _accepted(state)


# Roles.


def _role_definition(state, scope):
    path = f"{_subscription_path(state)}/providers/Microsoft.Authorization/roleDefinitions"
    return {
        "id": f"{path}/{OFFICER_ROLE}",
        "name": OFFICER_ROLE,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": "Key Vault Secrets Officer",
            "type": "BuiltInRole",
            "description": "Perform any action on the secrets of a key vault, except manage permissions.",
            "assignableScopes": ["/"],
            "permissions": [{"actions": [], "dataActions": ["Microsoft.KeyVault/vaults/secrets/*"]}],
        },
    }


def _list_role_definitions(state, request, scope):
    wanted = request.query.get("filter", "")
    definition = _role_definition(state, scope)
    fits = "roleName eq" not in wanted or f"'{definition['properties']['roleName']}'" in wanted
    return _page([definition] if fits else [])


def _assignment_document(state, assignment):
    return {
        "id": f"{assignment.scope}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}",
        "name": assignment.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "scope": assignment.scope,
            "roleDefinitionId": assignment.role_definition_id,
            "principalId": assignment.object_id,
            "principalType": "ServicePrincipal",
        },
    }


def _put_role_assignment(state, request, scope, name):
    properties = (request.json({}) or {}).get("properties") or {}
    assignment = RoleAssignment(
        name, scope, properties.get("roleDefinitionId", ""), properties.get("principalId", "")
    )
    state.role_assignments.append(assignment)
    return Answer(201, _assignment_document(state, assignment))


def _list_role_assignments(state, request, scope):
    """Those above and below the scope, for the one object ID that the filter names, if it does."""
    wanted = re.search("'([^']*)'", request.query.get("filter", ""))
    return _page(
        _assignment_document(state, one)
        for one in state.role_assignments
        if wanted is None or one.object_id == wanted[1]
    )


# Locks.


def _list_locks(state, request, group):
    path = f"{_subscription_path(state)}/resourceGroups/{group}/providers/Microsoft.Authorization/locks"
    return _page(
        {
            "id": f"{path}/{name}",
            "name": name,
            "type": "Microsoft.Authorization/locks",
            "properties": {"level": "CanNotDelete"},
        }
        for name in state.locks.get(group.lower(), [])
    )


def _list_all_locks(state, request):
    return _page(
        lock for group in state.locks for lock in _list_locks(state, request, group).document["value"]
    )


def _delete_lock(state, request, group, name):
    state.locks[group.lower()].remove(name)
    return Answer(200)


_SUBSCRIPTION = "/subscriptions/(?P<subscription>[^/]+)"
_GROUP = f"{_SUBSCRIPTION}/resourcegroups/(?P<group>[^/]+)"
_VAULT = f"{_GROUP}/providers/Microsoft.KeyVault/vaults/(?P<name>[^/]+)"
_KEY_VAULT = f"{_SUBSCRIPTION}/providers/Microsoft.KeyVault"
_DELETED = f"{_KEY_VAULT}/locations/(?P<location>[^/]+)/deletedVaults/(?P<name>[^/]+)"
_ROLES = "(?P<scope>.*?)/providers/Microsoft.Authorization"

# Method, path, and what it does.
ROUTES = [
    ("GET", "/subscriptions", _subscriptions),
    ("GET", _SUBSCRIPTION, _subscription),
    ("GET", "/tenants", _tenants),
    ("PUT", _GROUP, _put_group),
    ("HEAD", _GROUP, _group_exists),
    ("GET", _GROUP, _get_group),
    ("DELETE", _GROUP, _delete_group),
    ("GET", f"{_SUBSCRIPTION}/resourcegroups", _list_groups),
    ("GET", f"{_SUBSCRIPTION}/operationresults/(?P<operation>[^/]+)", _operation_result),
    ("GET", f"{_SUBSCRIPTION}/resources", _list_resources),
    ("GET", _VAULT, _get_vault),
    ("PUT", _VAULT, _put_vault),
    ("DELETE", _VAULT, _delete_vault),
    ("GET", f"{_KEY_VAULT}/vaults", _list_vaults),
    ("GET", f"{_GROUP}/providers/Microsoft.KeyVault/vaults", _list_vaults),
    ("POST", f"{_KEY_VAULT}/checkNameAvailability", _check_name),
    ("POST", f"{_KEY_VAULT}/checkMhsmNameAvailability", _check_hsm_name),
    ("GET", f"{_KEY_VAULT}/deletedVaults", _list_deleted_vaults),
    ("GET", f"{_KEY_VAULT}/(managedHSMs|deletedManagedHSMs)", _list_hsms),
    ("GET", _DELETED, _get_deleted_vault),
    ("POST", f"{_DELETED}/purge", _purge_vault),
    ("GET", f"{_ROLES}/roleDefinitions", _list_role_definitions),
    ("PUT", f"{_ROLES}/roleAssignments/(?P<name>[^/]+)", _put_role_assignment),
    ("GET", f"{_ROLES}/roleAssignments", _list_role_assignments),
    ("GET", f"{_GROUP}/providers/Microsoft.Authorization/locks", _list_locks),
    ("GET", f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/locks", _list_all_locks),
    ("DELETE", f"{_GROUP}/providers/Microsoft.Authorization/locks/(?P<name>[^/]+)", _delete_lock),
]
