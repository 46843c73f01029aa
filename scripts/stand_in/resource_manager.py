"""Azure Resource Manager, management.azure.com: subscriptions, resource groups, vaults, roles.

It knows the requests of the Azure CLI 2.91.0. The fields are those of
https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults, .../rest/api/resources, and
.../rest/api/authorization. Recordings of the real service, in src/azure-cli/azure/cli/command_modules of
https://github.com/Azure/azure-cli, have

- groups, vaults, and ResourceNotFound: keyvault/tests/latest/recordings/test_keyvault_public_network_access.yaml
- roles: role/tests/latest/recordings/test_role_assignment_create_using_principal_type.yaml

VaultAlreadyExists is quoted in https://github.com/Esri/arcgis-gitops/issues/174, UnmatchedPrincipalType (with
Azure's own spelling) in https://github.com/Azure/azure-dev/issues/5814.
"""

import re
import uuid

import jwt

from . import tokens
from .messages import Answer, Refusal, error, find_route, not_implemented
from .state import DAY, OFFICER_ROLE, Group, RoleAssignment, Vault, covers, timestamp

HOST = "management.azure.com"
VAULT_TYPE = "Microsoft.KeyVault/vaults"
VAULT_NAME = re.compile("[a-zA-Z](?!.*--)[0-9a-zA-Z-]{1,22}[0-9a-zA-Z]")
# Some of Azure's regions, https://learn.microsoft.com/azure/reliability/regions-list
REGIONS = {
    name.replace(" ", "").lower(): name
    for name in (
        *("East US", "East US 2", "Central US", "South Central US", "West US", "West US 2", "West US 3"),
        *("Canada Central", "Brazil South", "North Europe", "West Europe", "UK South", "France Central"),
        *("Germany West Central", "Switzerland North", "Sweden Central", "Norway East", "Poland Central"),
        *("Italy North", "Spain Central", "UAE North", "South Africa North", "Central India"),
        *("East Asia", "Southeast Asia", "Japan East", "Korea Central", "Australia East"),
    )
}
# Properties of a vault, unless they are set.
DEFAULTS = {
    "sku": {"family": "A", "name": "standard"},
    "enabledForDeployment": False,
    "enabledForDiskEncryption": False,
    "enabledForTemplateDeployment": False,
    "publicNetworkAccess": "Enabled",
}


def answer(state, request):
    """The answer to one request to Azure Resource Manager. Raises Refusal."""
    try:
        tokens.check(state, request, tokens.RESOURCE_MANAGER)
    except jwt.InvalidTokenError:
        message = "Authentication failed. The 'Authorization' header is missing or invalid."
        raise _refusal(401, "AuthenticationFailed", message) from None
    route, parts = find_route(ROUTES, request)
    if route is None:
        return not_implemented(request)
    if parts.pop("subscription", state.subscription_id) != state.subscription_id:
        raise _refusal(404, "SubscriptionNotFound", "The subscription could not be found.")
    group = parts.get("group")
    if group and group.lower() not in state.groups and route[2] not in (_put_group, _group_exists):
        raise _refusal(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
    return route[2](state, request, **parts)


def _refusal(status, code, message):
    return Refusal(error(status, code, message))


def _page(values):
    return Answer(200, {"value": list(values)})


def _body(request):
    """The JSON object in the body. Raises Refusal for anything else."""
    body = request.json()
    if body is None:
        message = "The request content was invalid and could not be deserialized."
        raise _refusal(400, "InvalidRequestContent", message)
    return body


# Subscriptions and tenants.


def _subscriptions(state, request):
    subscription = {
        "id": _subscription_path(state),
        "subscriptionId": state.subscription_id,
        "displayName": "The stand-in's subscription",
        "state": "Enabled",
        "tenantId": state.tenant_id,
    }
    return _page([subscription])


def _tenants(state, request):
    return _page([{"id": f"/tenants/{state.tenant_id}", "tenantId": state.tenant_id}])


def _subscription_path(state):
    return f"/subscriptions/{state.subscription_id}"


def _locations(state, request):
    path = f"{_subscription_path(state)}/locations"
    return _page(
        {
            "id": f"{path}/{name}",
            "name": name,
            "type": "Region",
            "displayName": display_name,
            "regionalDisplayName": display_name,
            "metadata": {"regionType": "Physical"},
        }
        for name, display_name in REGIONS.items()
    )


def _provider(state, request):
    """Key Vault's resource provider, which is registered, whether it was asked to be or not."""
    return Answer(
        200,
        {
            "id": f"{_subscription_path(state)}/providers/Microsoft.KeyVault",
            "namespace": "Microsoft.KeyVault",
            "registrationState": "Registered",
            "resourceTypes": [
                {
                    "resourceType": "vaults",
                    "locations": list(REGIONS.values()),
                    "apiVersions": ["2026-02-01"],
                }
            ],
        },
    )


def _region(body, what, of_what, code):
    """The region that a body names, as Azure writes it. Raises Refusal for none and for an unknown one."""
    given = body.get("location") or ""
    if not given:
        message = "The location property is required for this definition."
        raise _refusal(400, "LocationRequired", message)
    region = given.replace(" ", "").lower()
    if region not in REGIONS:
        message = (
            f"The provided location '{given}' is not available for {what}. "
            f"List of available regions {of_what}is '{','.join(REGIONS)}'."
        )
        raise _refusal(400, code, message)
    return region


# Resource groups.


def _group_document(state, group):
    document = {
        "id": f"{_subscription_path(state)}/resourceGroups/{group.name}",
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "properties": {"provisioningState": "Succeeded"},
    }
    return document if group.tags is None else document | {"tags": group.tags}


def _put_group(state, request, group):
    body = _body(request)
    location = _region(body, "resource group", "", "LocationNotAvailableForResourceGroup")
    known = state.groups.get(group.lower())
    if known and known.location != location:
        message = (
            f"Invalid resource group location '{location}'. The Resource group already exists in location "
            f"'{known.location}'."
        )
        raise _refusal(409, "InvalidResourceGroupLocation", message)
    state.groups[group.lower()] = Group(group, location, body.get("tags"))
    return Answer(200 if known else 201, _group_document(state, state.groups[group.lower()]))


def _group_exists(state, request, group):
    return Answer(204 if group.lower() in state.groups else 404)


def _get_group(state, request, group):
    return Answer(200, _group_document(state, state.groups[group.lower()]))


def _list_groups(state, request):
    return _page(_group_document(state, group) for group in state.groups.values())


def _delete_group(state, request, group):
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


def _vault_document(state, vault):
    properties = {
        **DEFAULTS,
        **vault.extras,
        "tenantId": state.tenant_id,
        "accessPolicies": vault.access_policies,
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": vault.retention_days,
        "enableRbacAuthorization": vault.is_rbac,
        "vaultUri": f"https://{vault.name}.vault.azure.net/",
        "provisioningState": "Succeeded",
    }
    if vault.is_purge_protected:
        properties["enablePurgeProtection"] = True
    return {
        "id": state.path_of(vault),
        "name": vault.name,
        "type": VAULT_TYPE,
        "location": vault.location,
        "tags": vault.tags,
        "properties": properties,
    }


def _find_in(state, group, name):
    vault = state.find_vault(name)
    return vault if vault and vault.resource_group.lower() == group.lower() else None


def _get_vault(state, request, group, name):
    vault = _find_in(state, group, name)
    if vault is None:
        message = (
            f"The Resource '{VAULT_TYPE}/{name}' under resource group '{group}' was not found. For more details "
            "please go to https://aka.ms/ARMResourceNotFoundFix"
        )
        raise _refusal(404, "ResourceNotFound", message)
    return Answer(200, _vault_document(state, vault))


def _put_vault(state, request, group, name):
    body = _body(request)
    properties = {name: value for name, value in (body.get("properties") or {}).items() if value is not None}
    deleted = state.deleted_vaults.get(name.lower())
    if deleted and properties.get("createMode") == "recover":
        return Answer(200, _vault_document(state, state.recover_vault(deleted)))
    vault = _find_in(state, group, name)
    _check_name(state, vault, name)
    what, of_what = f"resource type '{VAULT_TYPE}'", "for the resource type "
    location = _region(body, what, of_what, "LocationNotAvailableForResourceType")
    _check_properties(vault, properties)
    if vault is None:
        vault = state.vaults[name.lower()] = Vault(name, resource_group=group, location=location)
        # Older versions default to access policies:
        # https://learn.microsoft.com/azure/key-vault/general/access-control-default
        vault.is_rbac = request.query.get("api-version", "") >= "2026-02-01"
    vault.tags = vault.tags if body.get("tags") is None else body["tags"]
    vault.access_policies = properties.get("accessPolicies", vault.access_policies)
    vault.retention_days = properties.get("softDeleteRetentionInDays", vault.retention_days)
    vault.is_purge_protected = properties.get("enablePurgeProtection", vault.is_purge_protected)
    vault.is_rbac = properties.get("enableRbacAuthorization", vault.is_rbac)
    vault.extras |= {name: value for name, value in properties.items() if name != "createMode"}
    if "networkAcls" in properties:
        vault.extras["networkAcls"] = {"ipRules": [], "virtualNetworkRules": []} | properties["networkAcls"]
    return Answer(200, _vault_document(state, vault))


def _check_name(state, vault, name):
    """Raise Refusal if a vault cannot have a name. ``vault`` is the one that is in the group already."""
    if not VAULT_NAME.fullmatch(name):
        message = (
            f"The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric "
            "characters. The name must begin with a letter, end with a letter or digit, and not contain "
            "consecutive hyphens. Follow this link for more information: "
            "https://go.microsoft.com/fwlink/?linkid=2147742"
        )
        raise _refusal(400, "VaultNameNotValid", message)
    if name.lower() in state.deleted_vaults:
        message = (
            "A vault with the same name already exists in deleted state. You need to either recover or "
            "purge existing key vault."
        )
        raise _refusal(409, "ConflictError", message)
    if vault is None and state.find_vault(name):
        message = (
            f"The vault name '{name}' is already in use. Vault names are globally unique so it is possible "
            "that the name is already taken. If you are sure that the vault name was not taken then it is "
            "possible that a vault with the same name was recently deleted but not purged after being placed "
            "in a recoverable state. If the vault is in a recoverable state then the vault will need to be "
            "purged before reusing the name. For more information about VaultAlreadyExists, soft delete and "
            "purging a vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740."
        )
        raise _refusal(409, "VaultAlreadyExists", message)


def _check_properties(vault, properties):
    """Raise Refusal if a vault cannot have these properties. ``vault`` is the one that is there already."""
    retention_days = properties.get("softDeleteRetentionInDays")
    network = properties.get("networkAcls") or {}
    if network.get("ipRules") or network.get("virtualNetworkRules"):
        raise Refusal(not_implemented("the rules of a vault's firewall"))
    if retention_days is not None and not 7 <= retention_days <= 90:
        # The wording is the stand-in's own.
        message = 'The property "softDeleteRetentionInDays" must be between 7 and 90.'
    elif vault and retention_days not in (None, vault.retention_days):
        message = 'The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.'
    elif properties.get("enablePurgeProtection") is False:
        message = (
            'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for '
            "a vault is an irreversible action."
        )
    else:
        return
    raise _refusal(400, "BadRequest", message)


def _delete_vault(state, request, group, name):
    vault = _find_in(state, group, name)
    if vault is None:
        return Answer(204)
    state.delete_vault(vault)
    return Answer(200)


def _list_vaults(state, request, group=None):
    vaults = state.vaults_in(group) if group else state.vaults.values()
    return _page(_vault_document(state, vault) for vault in vaults)


# Deleted vaults.


def _deleted_document(state, vault):
    purge_at = vault.deleted_at + vault.retention_days * DAY
    path = f"{_subscription_path(state)}/providers/Microsoft.KeyVault/locations/{vault.location}"
    document = {
        "id": f"{path}/deletedVaults/{vault.name}",
        "name": vault.name,
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": state.path_of(vault),
            "location": vault.location,
            "deletionDate": timestamp(vault.deleted_at),
            "scheduledPurgeDate": timestamp(purge_at),
            "tags": vault.tags,
        },
    }
    if vault.is_purge_protected:
        document["properties"]["purgeProtectionEnabled"] = True
    return document


def _list_deleted_vaults(state, request):
    return _page(_deleted_document(state, vault) for vault in state.deleted_vaults.values())


def _list_hsms(state, request, group=None):
    return _page([])


def _find_deleted(state, location, name):
    vault = state.deleted_vaults.get(name.lower())
    if vault is None or vault.location != location.lower():
        # The wording is the stand-in's own.
        message = f"The vault {name} is not among the deleted ones."
        raise _refusal(404, "DeletedVaultNotFound", message)
    return vault


def _get_deleted_vault(state, request, location, name):
    return Answer(200, _deleted_document(state, _find_deleted(state, location, name)))


def _purge_vault(state, request, location, name):
    if _find_deleted(state, location, name).is_purge_protected:
        raise _refusal(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
    del state.deleted_vaults[name.lower()]
    return _accepted(state)


# Roles.


def _role_definition(state):
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
    """The one role that there is. Raises Refusal where the filter names a different one."""
    definition = _role_definition(state)
    wanted = re.search("roleName eq '([^']*)'", request.query.get("filter", ""), re.IGNORECASE)
    if wanted and wanted[1].lower() != definition["properties"]["roleName"].lower():
        raise Refusal(not_implemented(f"the role {wanted[1]}"))
    return _page([definition])


def _assignment_document(assignment):
    return {
        "id": f"{assignment.scope}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}",
        "name": assignment.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "scope": assignment.scope,
            "roleDefinitionId": assignment.role_definition_id,
            "principalId": assignment.object_id,
            "principalType": assignment.principal_type,
        },
    }


def _put_role_assignment(state, request, scope, name):
    properties = _body(request)["properties"]
    role, object_id = properties["roleDefinitionId"], properties["principalId"]
    if not role.lower().endswith(OFFICER_ROLE):
        raise Refusal(not_implemented(f"the role {role.rpartition('/')[2]}"))
    principal = state.find_principal(object_id)
    # A service principal that is seconds old may not be known yet; then Azure takes the caller's word for it:
    # https://learn.microsoft.com/azure/role-based-access-control/troubleshooting
    given_type = properties.get("principalType") or "ServicePrincipal"
    principal_type = principal.type if principal else given_type
    if properties.get("principalType") not in (None, principal_type):
        message = (
            f"The PrincipalId '{object_id.replace('-', '')}' has type '{principal_type}' , which is different "
            f"from specified PrinciaplType '{given_type}'."
        )
        raise _refusal(400, "UnmatchedPrincipalType", message)
    for one in state.role_assignments:
        if (one.scope.lower(), one.object_id) == (scope.lower(), object_id) and one.name != name:
            existing = one.name.replace("-", "")
            message = (
                f"The role assignment already exists. The ID of the existing role assignment is {existing}."
            )
            raise _refusal(409, "RoleAssignmentExists", message)
    assignment = RoleAssignment(name, scope, role, object_id, principal_type)
    state.role_assignments = [one for one in state.role_assignments if one.name != name] + [assignment]
    return Answer(201, _assignment_document(assignment))


def _delete_role_assignment(state, request, scope, name):
    """Delete one and return it; 204 where there is none.

    See https://learn.microsoft.com/rest/api/authorization/role-assignments/delete
    """
    for one in state.role_assignments:
        if (one.scope.lower(), one.name.lower()) == (scope.lower(), name.lower()):
            state.role_assignments.remove(one)
            return Answer(200, _assignment_document(one))
    return Answer(204)


def _list_role_assignments(state, request, scope):
    """Those at the scope and above it, and also below it unless the filter has atScope().

    They are those of the one object ID that the filter names, if it does. See
    https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope
    """
    asked = request.query.get("filter", "")
    wanted = re.search("'([^']*)'", asked)
    return _page(
        _assignment_document(one)
        for one in state.role_assignments
        if (wanted is None or one.object_id == wanted[1])
        and (covers(one.scope, scope) or ("atScope()" not in asked and covers(scope, one.scope)))
    )


_SUBSCRIPTION = "/subscriptions/(?P<subscription>[^/]+)"
_GROUP = f"{_SUBSCRIPTION}/resourcegroups/(?P<group>[^/]+)"
_VAULT = f"{_GROUP}/providers/Microsoft.KeyVault/vaults/(?P<name>[^/]+)"
# In the subscription, or in one of its groups.
_ANYWHERE = f"{_SUBSCRIPTION}(/resourcegroups/(?P<group>[^/]+))?/providers/Microsoft.KeyVault"
_KEY_VAULT = f"{_SUBSCRIPTION}/providers/Microsoft.KeyVault"
_DELETED = f"{_KEY_VAULT}/locations/(?P<location>[^/]+)/deletedVaults/(?P<name>[^/]+)"
_ROLES = "(?P<scope>.*?)/providers/Microsoft.Authorization"

# Method, path, and what it does.
ROUTES = [
    ("GET", "/subscriptions", _subscriptions),
    ("GET", "/tenants", _tenants),
    ("GET", f"{_SUBSCRIPTION}/locations", _locations),
    ("GET", _KEY_VAULT, _provider),
    ("POST", f"{_KEY_VAULT}/register", _provider),
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
    ("GET", f"{_ANYWHERE}/vaults", _list_vaults),
    ("GET", f"{_ANYWHERE}/managedHSMs", _list_hsms),
    ("GET", f"{_KEY_VAULT}/deletedVaults", _list_deleted_vaults),
    ("GET", f"{_KEY_VAULT}/deletedManagedHSMs", _list_hsms),
    ("GET", _DELETED, _get_deleted_vault),
    ("POST", f"{_DELETED}/purge", _purge_vault),
    ("GET", f"{_ROLES}/roleDefinitions", _list_role_definitions),
    ("PUT", f"{_ROLES}/roleAssignments/(?P<name>[^/]+)", _put_role_assignment),
    ("DELETE", f"{_ROLES}/roleAssignments/(?P<name>[^/]+)", _delete_role_assignment),
    ("GET", f"{_ROLES}/roleAssignments", _list_role_assignments),
]
