"""Key Vault's data plane, {vault}.vault.azure.net: secrets and deleted secrets.

Statuses, codes, inner codes, messages and fields are recorded, except where a line says otherwise.
"""

import re
import time

import jwt

from . import tokens
from .messages import Answer, error, find_route
from .state import DAY, Secret, Version

HOST_SUFFIX = ".vault.azure.net"
CLIENT_ADDRESS = "127.0.0.1"
LARGEST_VALUE = 25 * 1024  # bytes; the documented limit
# https://learn.microsoft.com/azure/role-based-access-control/permissions/security
DATA_ACTIONS = {
    "get": "getSecret/action",
    "set": "setSecret/action",
    "list": "readMetadata/action",
    "delete": "delete",
    "recover": "recover/action",
    "purge": "purge/action",
}
SECRET_NAME = re.compile("[0-9a-zA-Z-]{1,127}")


def answer(state, vault, request):
    """The answer to one request to ``vault``: who asks is checked first, then what is asked."""
    try:
        claims = tokens.check(state, request, tokens.KEY_VAULT)
    except tokens.WrongTenant as wrong:
        expected = tokens.issuer(state.tenant_id)
        message = f"AKV10032: Invalid issuer. Expected one of {expected}, found {wrong}."
        return _unauthorized(state, message)
    except jwt.InvalidTokenError:
        return _unauthorized(state, "AKV10000: Request is missing a Bearer or PoP token.")

    route, parts = find_route(ROUTES, request)
    if route is None:
        if re.match("/(deleted)?secrets(/|$)", request.path):
            return error(405, "MethodNotAllowed", f"HTTP {request.method} not allowed")
        # Not recorded.
        return error(404, "NotFound", f"There is nothing at {request.path}.")
    if not SECRET_NAME.fullmatch(parts.get("name", "-")):
        message = f"The request URI contains an invalid name: {parts['name']}"
        return error(400, "BadParameter", message)
    _, _, permission, work = route
    return _refusal(state, vault, claims, permission) or work(vault, request, **parts)


def _unauthorized(state, message):
    challenge = (
        f'Bearer authorization="https://login.microsoftonline.com/{state.tenant_id}", '
        f'resource="{tokens.KEY_VAULT}"'
    )
    return error(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})


def _refusal(state, vault, claims, permission):
    caller = f"appid={claims['appid']};oid={claims['oid']};iss={claims['iss']}"
    place = f"{vault.name};location={vault.location}"
    if vault.public_network_access == "Disabled":
        message = (
            "Public network access is disabled and request is not from a trusted service nor via an "
            f"approved private link.\r\nCaller: {caller}\r\nVault: {place}"
        )
        return error(403, "Forbidden", message, "ForbiddenByConnection")
    if not vault.lets_in(CLIENT_ADDRESS):
        message = (
            "Client address is not authorized and caller is not a trusted service.\r\n"
            f"Client address: {CLIENT_ADDRESS}\r\nCaller: {caller}\r\nVault: {place}"
        )
        return error(403, "Forbidden", message, "ForbiddenByFirewall")
    if vault.is_rbac and state.has_role(claims["oid"], vault):
        return None
    if vault.is_rbac:
        message = (
            "Caller is not authorized to perform action on resource.\r\n"
            "If role assignments, deny assignments or role definitions were changed recently, "
            "please observe propagation time.\r\n"
            f"Caller: {caller}\r\n"
            f"Action: 'Microsoft.KeyVault/vaults/secrets/{DATA_ACTIONS[permission]}'\r\n"
            f"Vault: {place}\r\n"
        )
        return error(403, "Forbidden", message, "ForbiddenByRbac")
    if permission in vault.permissions(claims["oid"]):
        return None
    message = (
        f"The user, group or application '{caller}' does not have secrets {permission} permission "
        f"on key vault '{place}'. For help resolving this issue, "
        "please see https://go.microsoft.com/fwlink/?linkid=2125287"
    )
    # Inferred from recordings: which of the two depends on whether the identity is on any policy.
    on_a_policy = any(policy["objectId"] == claims["oid"] for policy in vault.access_policies)
    return error(403, "Forbidden", message, "ForbiddenByPolicy" if on_a_policy else "AccessDenied")


def _not_found(name):
    message = (
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted "
        "this secret you may be able to recover it using the correct recovery command. For help "
        "resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
    )
    return error(404, "SecretNotFound", message)


def _being_deleted():
    # The code is recorded for a PUT; the message, and that others get it too, are those of keys in
    # the recordings of azure-sdk-for-js, 2019.
    return error(409, "Conflict", "Secret is currently being deleted.", "ObjectIsBeingDeleted")


def _live(vault, name):
    secret = vault.find(name)
    return secret if secret and secret.deleted_at is None else None


def _bundle(vault, secret, version=None, *, value=False):
    identifier = f"https://{vault.name}{HOST_SUFFIX}/secrets/{secret.name}"
    newest = version or secret.versions[-1]
    bundle = {
        "id": f"{identifier}/{version.identifier}" if version else identifier,
        "attributes": {
            "enabled": newest.enabled,
            "created": newest.created,
            "updated": newest.created,
            "recoveryLevel": (
                "CustomizedRecoverable+Purgeable" if vault.retention_days < 90 else "Recoverable+Purgeable"
            ),
            "recoverableDays": vault.retention_days,
        },
        **newest.extras,
    }
    return bundle | {"value": newest.value} if value else bundle


def _deleted_bundle(vault, secret, version=None):
    deleted_at = int(secret.deleted_at)
    return _bundle(vault, secret, version) | {
        "recoveryId": f"https://{vault.name}{HOST_SUFFIX}/deletedsecrets/{secret.name}",
        "deletedDate": deleted_at,
        "scheduledPurgeDate": deleted_at + vault.retention_days * DAY,
    }


def _set(vault, request, name):
    body = request.json()
    if body is None or not isinstance(body.get("value"), str):
        # The wording was not recorded.
        return error(400, "BadParameter", "The request body has no secret value.")
    if len(body["value"].encode("utf-8", "surrogatepass")) > LARGEST_VALUE:
        # The wording was not recorded.
        return error(400, "BadParameter", "The secret value is longer than 25 KB.")
    secret = vault.find(name)
    if secret and secret.deleted_at is not None:
        if not vault.is_deletion_through(secret):
            return _being_deleted()
        message = (
            f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be "
            "reused; in this state, the secret can only be recovered or purged."
        )
        return error(409, "Conflict", message, "ObjectIsDeletedButRecoverable")
    secret = vault.secrets.setdefault(name.lower(), Secret(name))
    extras = {key: body[key] for key in ("contentType", "tags") if body.get(key)}
    attributes = body.get("attributes")
    enabled = attributes.get("enabled", True) if isinstance(attributes, dict) else True
    secret.versions.append(Version(body["value"], enabled, extras))
    return Answer(200, _bundle(vault, secret, secret.versions[-1], value=True))


def _get(vault, request, name, version=None):
    secret = _live(vault, name)
    found = [one for one in secret.versions if version in (None, one.identifier)] if secret else []
    if not found:
        return _not_found(f"{name}/{version}" if version else name)
    if not found[-1].enabled:
        message = "Operation get is not allowed on a disabled secret."
        return error(403, "Forbidden", message, "SecretDisabled")
    return Answer(200, _bundle(vault, secret, found[-1], value=True))


def _list_versions(vault, request, name):
    secret = _live(vault, name)
    versions = secret.versions if secret else []
    return _page([_bundle(vault, secret, version) for version in versions])


def _list(vault, request):
    return _page([_bundle(vault, one) for one in vault.secrets.values() if not one.deleted_at])


def _list_deleted(vault, request):
    return _page(
        [
            _deleted_bundle(vault, one)
            for one in vault.secrets.values()
            if one.deleted_at and vault.is_deletion_through(one)
        ]
    )


def _page(bundles):
    return Answer(200, {"value": bundles, "nextLink": None})


def _delete(vault, request, name):
    secret = vault.find(name)
    if secret is None:
        return _not_found(name)
    if secret.deleted_at is not None:
        return _not_found(name) if vault.is_deletion_through(secret) else _being_deleted()
    secret.deleted_at = time.time()
    return Answer(200, _deleted_bundle(vault, secret, secret.versions[-1]))


def _find_deleted(vault, name):
    """The secret when its deletion is through, or else the error that says why it is not there."""
    secret = vault.find(name)
    if secret is None or secret.deleted_at is None:
        return error(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    return secret if vault.is_deletion_through(secret) else _being_deleted()


def _get_deleted(vault, request, name):
    secret = _find_deleted(vault, name)
    if isinstance(secret, Answer):
        # Nothing is said of a deletion that is under way.
        return error(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    return Answer(200, _deleted_bundle(vault, secret, secret.versions[-1]))


def _recover(vault, request, name):
    secret = _find_deleted(vault, name)
    if isinstance(secret, Answer):
        return secret
    secret.deleted_at = None
    return Answer(200, _bundle(vault, secret, secret.versions[-1]))


def _purge(vault, request, name):
    secret = _find_deleted(vault, name)
    if isinstance(secret, Answer):
        return secret
    del vault.secrets[name.lower()]
    return Answer(204)


# Method, path, the permission it needs, and what it does.
ROUTES = [
    ("PUT", "/secrets/(?P<name>[^/]+)", "set", _set),
    ("GET", "/secrets/(?P<name>[^/]+)/?", "get", _get),
    ("GET", "/secrets/(?P<name>[^/]+)/versions", "list", _list_versions),
    ("GET", "/secrets/(?P<name>[^/]+)/(?P<version>[^/]+)", "get", _get),
    ("DELETE", "/secrets/(?P<name>[^/]+)", "delete", _delete),
    ("GET", "/secrets", "list", _list),
    ("GET", "/deletedsecrets", "list", _list_deleted),
    ("GET", "/deletedsecrets/(?P<name>[^/]+)", "get", _get_deleted),
    ("POST", "/deletedsecrets/(?P<name>[^/]+)/recover", "recover", _recover),
    ("DELETE", "/deletedsecrets/(?P<name>[^/]+)", "purge", _purge),
]
