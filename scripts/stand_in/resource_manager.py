"""Azure Resource Manager, management.azure.com: subscriptions, resource groups, vaults, roles.

It knows the requests of the Azure CLI 2.91.0. The fields are those of
https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults, .../rest/api/resources, and
.../rest/api/authorization. Which of them are left out, and the errors VaultNameNotValid, ConflictError, and
MethodNotAllowed, are in public test recordings of the Azure SDKs and the Azure CLI. The other errors are those
that people quote, except where a line says otherwise.
"""

import re
import uuid
from ipaddress import IPv4Network

import jwt

from . import tokens
from .messages import Answer, error, find_route, unknown
from .state import DAY, OFFICER_ROLE, RoleAssignment, User, Vault, covers, timestamp

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
# Private addresses, https://learn.microsoft.com/azure/key-vault/general/network-security
# 127.0.0.1 is accepted here: it is where clients come from.
PRIVATE_RANGES = [IPv4Network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
GROUP = {"location": str, "tags": {str: str}}
# What can be set of a vault and is kept as it is.
EXTRAS = {
    "sku": {"family": str, "name": str},
    "enabledForDeployment": bool,
    "enabledForDiskEncryption": bool,
    "enabledForTemplateDeployment": bool,
}
VAULT = {
    "location": str,
    "tags": {str: str},
    "properties": {
        "accessPolicies": [{"objectId": str, "permissions": {"secrets": [str]}}],
        "createMode": str,
        "enablePurgeProtection": bool,
        "enableRbacAuthorization": bool,
        "networkAcls": {"defaultAction": str, "ipRules": [{"value": str}], "virtualNetworkRules": [dict]},
        "publicNetworkAccess": str,
        "softDeleteRetentionInDays": int,
        **EXTRAS,
    },
}


def answer(state, request):
    """The answer to one request to Azure Resource Manager: first who asks is checked."""
    try:
        tokens.check(state, request, tokens.RESOURCE_MANAGER)
    except jwt.InvalidTokenError:
        message = "Authentication failed. The 'Authorization' header is missing or invalid."
        return error(401, "AuthenticationFailed", message)
    route, parts = find_route(ROUTES, request)
    if route is None:
        return error(501, "NotImplemented", unknown(request))
    if parts.pop("subscription", state.subscription_id) != state.subscription_id:
        return error(404, "SubscriptionNotFound", "The subscription could not be found.")
    group = parts.get("group")
    if group and group.lower() not in state.groups and route[2] not in (_put_group, _group_exists):
        return error(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
    return route[2](state, request, **parts)


def _page(values):
    return Answer(200, {"value": list(values)})


def _invalid_content():
    message = "The request content was invalid and could not be deserialized."
    return error(400, "InvalidRequestContent", message)


def _bad_request(message):
    return error(400, "BadRequest", message)


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


def _location(body):
    """The region that a body names, as Azure writes it; "" for none."""
    return (body.get("location") or "").replace(" ", "").lower()


def _region_refusal(body, what, of_what, code):
    """Why something cannot be in the region that a body names, or None."""
    if not _location(body):
        return error(400, "LocationRequired", "The location property is required for this definition.")
    if _location(body) in REGIONS:
        return None
    message = (
        f"The provided location '{body['location']}' is not available for {what}. "
        f"List of available regions {of_what}is '{','.join(REGIONS)}'."
    )
    return error(400, code, message)


# Resource groups.


def _group_document(state, name):
    name, tags = state.group_details.get(name.lower(), (name, None))
    document = {
        "id": f"{_subscription_path(state)}/resourceGroups/{name}",
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": state.groups[name.lower()],
        "properties": {"provisioningState": "Succeeded"},
    }
    return document if tags is None else document | {"tags": tags}


def _put_group(state, request, group):
    body = request.json(GROUP)
    if body is None:
        return _invalid_content()
    refusal = _region_refusal(body, "resource group", "", "LocationNotAvailableForResourceGroup")
    if refusal:
        return refusal
    location = _location(body)
    known = state.groups.get(group.lower())
    if known and known != location:
        message = f"Invalid resource group location '{location}'. The Resource group already exists in "
        return error(409, "InvalidResourceGroupLocation", f"{message}location '{known}'.")
    state.groups[group.lower()] = location
    state.group_details[group.lower()] = group, body.get("tags")
    return Answer(200 if known else 201, _group_document(state, group))


def _group_exists(state, request, group):
    return Answer(204 if group.lower() in state.groups else 404)


def _get_group(state, request, group):
    return Answer(200, _group_document(state, group))


def _list_groups(state, request):
    return _page(_group_document(state, name) for name in state.groups)


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
    document = {
        "id": state.path_of(vault),
        "name": vault.name,
        "type": VAULT_TYPE,
        "location": vault.location,
        "tags": vault.tags,
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": state.tenant_id,
            "accessPolicies": vault.access_policies,
            "enabledForDeployment": False,
            "enabledForDiskEncryption": False,
            "enabledForTemplateDeployment": False,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": vault.retention_days,
            "enableRbacAuthorization": vault.is_rbac,
            "vaultUri": f"https://{vault.name}.vault.azure.net/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": vault.public_network_access,
            **vault.extras,
        },
    }
    if vault.network_acls:
        document["properties"]["networkAcls"] = vault.network_acls
    if vault.is_purge_protected:
        document["properties"]["enablePurgeProtection"] = True
    return document


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
    body = request.json(VAULT)
    if body is None:
        return _invalid_content()
    properties = {name: value for name, value in (body.get("properties") or {}).items() if value is not None}
    deleted = state.deleted_vaults.get(name.lower())
    if deleted and properties.get("createMode") == "recover":
        return Answer(200, _vault_document(state, state.recover_vault(deleted)))
    vault = _find_in(state, group, name)
    refusal = _vault_refusal(state, vault, name, body) or _properties_refusal(vault, properties)
    if refusal:
        return refusal
    if vault is None:
        vault = state.vaults[name.lower()] = Vault(name, resource_group=group, location=_location(body))
        # Until then, it was access policies; an existing vault stays as it is.
        vault.is_rbac = request.query.get("api-version", "") >= "2026-02-01"
    vault.tags = vault.tags if body.get("tags") is None else body["tags"]
    vault.access_policies = properties.get("accessPolicies", vault.access_policies)
    vault.retention_days = properties.get("softDeleteRetentionInDays", vault.retention_days)
    vault.is_purge_protected = properties.get("enablePurgeProtection", vault.is_purge_protected)
    vault.is_rbac = properties.get("enableRbacAuthorization", vault.is_rbac)
    vault.public_network_access = properties.get("publicNetworkAccess", vault.public_network_access)
    if "networkAcls" in properties:
        given = {name: value for name, value in properties["networkAcls"].items() if value is not None}
        vault.network_acls = {"ipRules": [], "virtualNetworkRules": []} | given
    vault.extras |= {name: properties[name] for name in EXTRAS if name in properties}
    return Answer(200, _vault_document(state, vault))


def _vault_refusal(state, vault, name, body):
    """Why there can be no vault of that name and location, or None. ``vault`` is the one that is there."""
    if not VAULT_NAME.fullmatch(name):
        message = (
            f"The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric "
            "characters. The name must begin with a letter, end with a letter or digit, and not contain "
            "consecutive hyphens. Follow this link for more information: "
            "https://go.microsoft.com/fwlink/?linkid=2147742"
        )
        return error(400, "VaultNameNotValid", message)
    if name.lower() in state.deleted_vaults:
        message = (
            "A vault with the same name already exists in deleted state. You need to either recover or "
            "purge existing key vault."
        )
        return error(409, "ConflictError", message)
    if vault is None and state.find_vault(name):
        message = (
            f"The vault name '{name}' is already in use. Vault names are globally unique so it is possible "
            "that the name is already taken."
        )
        return error(409, "VaultAlreadyExists", message)
    what, of_what = f"resource type '{VAULT_TYPE}'", "for the resource type "
    refusal = _region_refusal(body, what, of_what, "LocationNotAvailableForResourceType")
    if refusal:
        return refusal
    location = _location(body)
    if vault and vault.location != location:
        message = (
            f"The resource '{name}' already exists in location '{vault.location}' in resource group "
            f"'{vault.resource_group}'. A resource with the same name cannot be created in location "
            f"'{location}'. Please select a new resource name."
        )
        return error(409, "InvalidResourceLocation", message)
    return None


def _properties_refusal(vault, properties):
    """Why a vault cannot have these properties, or None."""
    retention_days = properties.get("softDeleteRetentionInDays", 90)
    if not 7 <= retention_days <= 90:
        # The wording is the stand-in's own.
        return _bad_request('The property "softDeleteRetentionInDays" must be between 7 and 90.')
    if vault and "softDeleteRetentionInDays" in properties and retention_days != vault.retention_days:
        message = 'The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.'
        return _bad_request(message)
    if properties.get("enablePurgeProtection") is False:
        message = (
            'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for '
            "a vault is an irreversible action."
        )
        return _bad_request(message)
    return _ip_rules_refusal((properties.get("networkAcls") or {}).get("ipRules") or [])


def _ip_rules_refusal(rules):
    """Why a vault's firewall cannot have these IP rules, or None."""
    for number, rule in enumerate(rules):
        value = rule.get("value")
        where = f"Invalid value found at properties.networkAcls.ipRules[{number}].value: {value}"
        try:
            network = IPv4Network(value or "", strict=False)
        except ValueError:
            # The wording is the stand-in's own.
            return _bad_request(f"{where} is neither an IPv4 address nor a range of them.")
        for private in PRIVATE_RANGES:
            if network.subnet_of(private):
                forbidden = f"{private[0]}\u2013{private[-1]} (private IP addresses)"
                return _bad_request(f"{where} belongs to forbidden range {forbidden}")
    return None


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
    if vault.is_purge_protected:
        return error(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
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
    wanted = re.search("roleName eq '([^']*)'", request.query.get("filter", ""), re.IGNORECASE)
    definition = _role_definition(state)
    # "az role assignment list" asks for all of them, too, to look up the names of those that are assigned.
    if not wanted and not request.headers.get("CommandName", "").startswith("role assignment"):
        return error(501, "NotImplemented", unknown("all role definitions"))
    if wanted and wanted[1].lower() != definition["properties"]["roleName"].lower():
        return error(501, "NotImplemented", unknown(f"the role {wanted[1]}"))
    return _page([definition])


def _assignment_document(state, assignment):
    principal = state.find_principal(object_id=assignment.object_id)
    return {
        "id": f"{assignment.scope}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}",
        "name": assignment.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "scope": assignment.scope,
            "roleDefinitionId": assignment.role_definition_id,
            "principalId": assignment.object_id,
            "principalType": "User" if isinstance(principal, User) else "ServicePrincipal",
        },
    }


def _put_role_assignment(state, request, scope, name):
    body = request.json({"properties": {"roleDefinitionId": str, "principalId": str}})
    properties = (body or {}).get("properties") or {}
    role, object_id = properties.get("roleDefinitionId"), properties.get("principalId")
    if not role or not object_id:
        return _invalid_content()
    if not role.lower().endswith(OFFICER_ROLE):
        return error(501, "NotImplemented", unknown(f"the role {role.rpartition('/')[2]}"))
    for one in state.role_assignments:
        if (one.scope.lower(), one.object_id) == (scope.lower(), object_id) and one.name != name:
            existing = one.name.replace("-", "")
            message = (
                f"The role assignment already exists. The ID of the existing role assignment is {existing}."
            )
            return error(409, "RoleAssignmentExists", message)
    assignment = RoleAssignment(name, scope, role, object_id)
    state.role_assignments = [one for one in state.role_assignments if one.name != name] + [assignment]
    return Answer(201, _assignment_document(state, assignment))


def _list_role_assignments(state, request, scope):
    """Those at the scope and above it, and also below it unless the filter has atScope().

    They are those of the one object ID that the filter names, if it does. See
    https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope
    """
    asked = request.query.get("filter", "")
    wanted = re.search("'([^']*)'", asked)
    return _page(
        _assignment_document(state, one)
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
    ("GET", _SUBSCRIPTION, _subscription),
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
    ("GET", f"{_ROLES}/roleAssignments", _list_role_assignments),
]
