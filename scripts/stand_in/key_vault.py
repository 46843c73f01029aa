"""Key Vault's data plane, {vault}.vault.azure.net: secrets and deleted secrets.

Recordings of the real service, the Azure SDKs' tests, and quotations of its messages are in these places:

- setting, deleting, and recovering a secret, and the challenge:
  test_samples_secrets.test_example_secrets_recover_7_3.yaml; backups:
  test_secrets_client.test_backup_restore_7_3.yaml; both in the folder
  sdk/keyvault/azure-keyvault-secrets/tests/recordings of https://github.com/Azure/azure-sdk-for-python
- conflicts: https://github.com/ironmansoftware/powershell-universal/issues/1990, and for keys,
  sdk/keyvault/azure-security-keyvault-keys/test/ut of https://github.com/Azure/azure-sdk-for-cpp
- ForbiddenByRbac: https://github.com/hashicorp/terraform-provider-azurerm/issues/27817
- a missing permission: https://github.com/ansible-collections/azure/issues/635
"""

import base64
import re
import secrets
import time
from dataclasses import asdict
from urllib.parse import urlencode

import jwt

from . import tokens
from .messages import Answer, Refusal, error, find_route, not_implemented
from .state import DAY, Secret, Version

HOST_SUFFIX = ".vault.azure.net"
CLIENT_ADDRESS = "127.0.0.1"
# https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
LARGEST_VALUE = 25 * 1024  # bytes
LARGEST_PAGE = 25  # items
# https://learn.microsoft.com/azure/role-based-access-control/permissions/security
DATA_ACTIONS = {
    "get": "getSecret/action",
    "set": "setSecret/action",
    "update": "update/action",
    "backup": "backup/action",
    "restore": "restore/action",
    "list": "readMetadata/action",
    "delete": "delete",
    "recover": "recover/action",
    "purge": "purge/action",
}
# A newer version than today's is answered, too, because a newer client library would ask for it.
API_VERSION = re.compile(r"7\.[0-6](-preview(\.\d)?)?|20\d\d-\d\d-\d\d(-preview)?")
LATEST_API_VERSION = "2026-04-01"
SECRET_NAME = re.compile("[0-9a-zA-Z-]{1,127}")
# What a client may set of a secret, besides its value.
PROPERTIES = {
    "attributes": {"enabled": bool, "nbf": int, "exp": int},
    "contentType": str,
    "tags": {str: str},
}
# A backup can be restored as long as this process runs.
BACKUP_KEY = secrets.token_bytes(32)


def answer(state, vault, request):
    """The answer to one request to ``vault``. The caller is checked before the request. Raises Refusal."""
    try:
        request.claims = tokens.check(state, request, tokens.KEY_VAULT)
    except jwt.InvalidTokenError as problem:
        return _challenge(state, request, problem)

    # A request without one is answered, too: no recording has such a request.
    version = request.query.get("api-version", LATEST_API_VERSION)
    if not API_VERSION.fullmatch(version):
        message = (
            f"The specified version ({version}) is not recognized. Consider using the latest supported "
            f"version ({LATEST_API_VERSION})."
        )
        raise _invalid(message)
    if request.method == "PUT" and request.path == "/secrets/":
        raise _refusal(405, "MethodNotAllowed", "HTTP PUT not allowed")
    route, parts = find_route(ROUTES, request)
    if route is None:
        return not_implemented(request)
    # No recording has a name that is empty or has a slash, other than the PUT above.
    name = parts.get("name")
    if name is not None and not SECRET_NAME.fullmatch(name):
        raise _invalid(f"The request URI contains an invalid name: {name}")
    _, _, operation, work = route
    _check_network(vault, request.claims)
    _check_permission(state, vault, request.claims, operation, name)
    return work(vault, request, **parts)


def _refusal(*arguments):
    return Refusal(error(*arguments))


def _challenge(state, request, problem):
    if isinstance(problem, jwt.InvalidIssuerError):
        expected = tokens.issuer(state.tenant_id)
        message = f"AKV10032: Invalid issuer. Expected one of {expected}, found {problem}."
    elif isinstance(problem, jwt.InvalidAudienceError):
        message = f"AKV10022: Invalid audience. Expected {tokens.KEY_VAULT}, found: {problem}."
    elif isinstance(problem, jwt.ExpiredSignatureError):
        message = "[TokenExpired] Error validating token: 'S2S12086'."
    elif isinstance(problem, (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError)):
        header = request.headers["Authorization"].split()[1].partition(".")[0]
        message = (
            "AKV10046: Unable to resolve the key used for signature validation. "
            f"EncodedJwtHeader: '{header}'."
        )
    else:
        message = "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."
    challenge = (
        f'Bearer authorization="https://login.microsoftonline.com/{state.tenant_id}", '
        f'resource="{tokens.KEY_VAULT}"'
    )
    return error(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})


def _caller(claims):
    return f"appid={claims['appid']};oid={claims['oid']};iss={claims['iss']}"


def _check_network(vault, claims):
    """Raise Refusal if the vault's firewall is on, which has no rule to let anybody in."""
    where = f"Caller: {_caller(claims)}\r\nVault: {vault.name};location={vault.location}"
    if vault.extras.get("publicNetworkAccess") == "Disabled":
        message = (
            "Public network access is disabled and request is not from a trusted service nor via an "
            f"approved private link.\r\n{where}"
        )
        raise _refusal(403, "Forbidden", message, "ForbiddenByConnection")
    if vault.extras.get("networkAcls", {}).get("defaultAction") == "Deny":
        message = (
            "Client address is not authorized and caller is not a trusted service.\r\n"
            f"Client address: {CLIENT_ADDRESS}\r\n{where}"
        )
        raise _refusal(403, "Forbidden", message, "ForbiddenByFirewall")


def _check_permission(state, vault, claims, operation, name):
    """Raise Refusal unless a role or an access policy lets the caller do an operation.

    ``name`` is that of the secret, or None for all of them.
    """
    place = f"{vault.name};location={vault.location}"
    if vault.is_rbac:
        if state.has_role(claims["oid"], vault):
            return
        # For the list of all secrets, no recording shows the resource.
        resource = state.path_of(vault) + (f"/secrets/{name}" if name else "")
        message = (
            "Caller is not authorized to perform action on resource.\r\n"
            "If role assignments, deny assignments or role definitions were changed recently, "
            "please observe propagation time.\r\n"
            f"Caller: {_caller(claims)}\r\n"
            f"Action: 'Microsoft.KeyVault/vaults/secrets/{DATA_ACTIONS[operation]}'\r\n"
            f"Resource: '{resource.lower()}'\r\n"
            "Assignment: (not found)\r\n"
            "DenyAssignmentId: null\r\n"
            "DecisionReason: null \r\n"
            f"Vault: {place}\r\n"
        )
        raise _refusal(403, "Forbidden", message, "ForbiddenByRbac")
    permission = "set" if operation == "update" else operation
    if permission not in vault.permissions(claims["oid"]):
        message = (
            f"The user, group or application '{_caller(claims)}' does not have secrets {permission} "
            f"permission on key vault '{place}'. For help resolving this issue, "
            "please see https://go.microsoft.com/fwlink/?linkid=2125287"
        )
        # Which of the two seems to depend on whether the identity is on any policy.
        inner_code = "ForbiddenByPolicy" if vault.policies_of(claims["oid"]) else "AccessDenied"
        raise _refusal(403, "Forbidden", message, inner_code)


def _not_found(name):
    message = (
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted "
        "this secret you may be able to recover it using the correct recovery command. For help "
        "resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
    )
    return _refusal(404, "SecretNotFound", message)


def _invalid(message, inner_code=None):
    return _refusal(400, "BadParameter", message, inner_code)


# What is being done with a secret, by its condition, and the inner code that says so.
BUSY = {
    "being deleted": ("deleted", "ObjectIsBeingDeleted"),
    "being purged": ("deleted", "ObjectIsBeingDeleted"),
    "being recovered": ("recovered", "ObjectIsBeingRecovered"),
}


def _check_not_busy(condition):
    if condition in BUSY:
        # For secrets, only a purge was recorded. The rest is what keys answer, in recordings of azure-sdk-for-js.
        done, code = BUSY[condition]
        raise _refusal(409, "Conflict", f"Secret is currently being {done}.", code)


def _find_version(vault, name, version=None):
    """A live secret and its version, the newest one for None or "". Raises Refusal where there is none."""
    secret = vault.find(name) if vault.condition(name) == "live" else None
    found = [one for one in secret.versions if version in (None, "", one.identifier)] if secret else []
    if not found:
        raise _not_found(f"{name}/{version}" if version else name)
    return secret, found[-1]


def _find_deleted(vault, name):
    """A deleted secret. Raises Refusal where there is none."""
    if vault.condition(name) != "deleted":
        raise _refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    return vault.find(name)


def _bundle(vault, secret, version=None, *, value=False):
    identifier = f"https://{vault.name}{HOST_SUFFIX}/secrets/{secret.name}"
    newest = version or secret.versions[-1]
    customized = "Customized" if vault.retention_days < 90 else ""
    purgeable = "" if vault.is_purge_protected else "+Purgeable"
    bundle = {
        "id": f"{identifier}/{version.identifier}" if version else identifier,
        "attributes": {
            "enabled": newest.enabled,
            **newest.validity,
            "created": newest.created,
            "updated": newest.updated or newest.created,
            "recoveryLevel": f"{customized}Recoverable{purgeable}",
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


def _properties(body):
    """What a body sets of a secret, besides its value: enabled or None, validity, and extras."""
    attributes = body.get("attributes") or {}
    validity = {name: attributes[name] for name in ("nbf", "exp") if attributes.get(name) is not None}
    extras = {name: body[name] for name in ("contentType", "tags") if body.get(name) is not None}
    return attributes.get("enabled"), validity, extras


def _set(vault, request, name):
    if request.body and "Content-Type" not in request.headers:
        message = (
            "The request contains an entity body but no Content-Type header. The inferred media type "
            "'application/octet-stream' is not supported for this resource."
        )
        return Answer(415, {"Message": message})
    body = request.json(PROPERTIES | {"value": str})
    if body is None or body.get("value") is None:
        # The wording is the stand-in's own.
        raise _invalid("The request body is not that of a secret with a value.")
    if len(body["value"].encode("utf-8", "surrogatepass")) > LARGEST_VALUE:
        message = f"Secret is beyond the maximum permitted length of {LARGEST_VALUE} characters."
        raise _invalid(message, "SecretTooLarge")
    condition = vault.condition(name)
    if condition in BUSY:
        done, code = BUSY[condition]
        message = f"Secret {name} is currently being {done} and cannot be re-created; retry later."
        raise _refusal(409, "Conflict", message, code)
    if condition == "deleted":
        message = (
            f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be "
            "reused; in this state, the secret can only be recovered or purged."
        )
        raise _refusal(409, "Conflict", message, "ObjectIsDeletedButRecoverable")
    secret = vault.secrets.setdefault(name.lower(), Secret(name))
    enabled, validity, extras = _properties(body)
    secret.versions.append(Version(body["value"], enabled is not False, validity, extras))
    return Answer(200, _bundle(vault, secret, secret.versions[-1], value=True))


def _update(vault, request, name, version):
    body = request.json(PROPERTIES)
    if body is None:
        # The wording is the stand-in's own.
        raise _invalid("The request body is not that of a secret's properties.")
    secret, found = _find_version(vault, name, version)
    enabled, validity, extras = _properties(body)
    found.enabled = found.enabled if enabled is None else enabled
    found.validity |= validity
    found.extras |= extras
    found.updated = int(time.time())
    return Answer(200, _bundle(vault, secret, found))


def _get(vault, request, name, version):
    secret, found = _find_version(vault, name, version)
    if not found.enabled:
        message = "Operation get is not allowed on a disabled secret."
        raise _refusal(403, "Forbidden", message, "SecretDisabled")
    return Answer(200, _bundle(vault, secret, found, value=True))


def _list_versions(vault, request, name):
    secret = vault.find(name) if vault.condition(name) == "live" else None
    versions = secret.versions if secret else []
    note = "the name is in use" if versions else "no versions"
    return _page(request, {one.identifier: _bundle(vault, secret, one) for one in versions}, note)


def _list(vault, request):
    live = {name: one for name, one in vault.secrets.items() if vault.condition(name) == "live"}
    return _page(request, {name: _bundle(vault, one) for name, one in live.items()})


def _list_deleted(vault, request):
    deleted = {name: one for name, one in vault.secrets.items() if vault.condition(name) == "deleted"}
    return _page(request, {name: _deleted_bundle(vault, one) for name, one in deleted.items()})


def _page(request, bundles, note=""):
    """One page of bundles, in the order of their keys; the token for the next page is its first key."""
    size = request.query.get("maxresults", str(LARGEST_PAGE))
    if size not in [str(number) for number in range(1, LARGEST_PAGE + 1)]:
        # The wording is the stand-in's own.
        raise _invalid(f"maxresults must be between 1 and {LARGEST_PAGE}.")
    keys = sorted(key for key in bundles if key >= request.query.get("skiptoken", ""))
    page, rest = keys[: int(size)], keys[int(size) :]
    next_link = None
    if rest:
        version = request.query.get("api-version", "")
        query = urlencode({"api-version": version, "$skiptoken": rest[0], "maxresults": size}, safe="$")
        next_link = f"https://{request.host}:443{request.path}?{query}"
    return Answer(200, {"value": [bundles[key] for key in page], "nextLink": next_link}, note=note)


def _backup(vault, request, name):
    secret, _ = _find_version(vault, name)
    backup = {"name": secret.name, "versions": [asdict(one) for one in secret.versions]}
    blob = jwt.encode(backup, BACKUP_KEY, tokens.ALGORITHM).encode()
    return Answer(200, {"value": base64.urlsafe_b64encode(blob).decode().rstrip("=")})


def _restore(vault, request):
    blob = (request.json({"value": str}) or {}).get("value") or ""
    try:
        backup = jwt.decode(base64.urlsafe_b64decode(f"{blob}=="), BACKUP_KEY, [tokens.ALGORITHM])
    except (ValueError, jwt.InvalidTokenError):
        message = "Backup blob contains invalid or corrupt version."
        raise _refusal(400, "Malformed backup blob", message) from None
    secret = Secret(backup["name"], [Version(**one) for one in backup["versions"]])
    if vault.condition(secret.name):
        identifier = _bundle(vault, secret, secret.versions[-1])["id"]
        message = (
            f"There was a conflict restoring the secret '{identifier}'. This can happen if either: a "
            "second secret with the same name was created after the first secret was deleted; thus "
            "trying to restore a secret whose name is already in use. To fix this, rename the second "
            "secret to something else so that the restore works. The second probable cause of this "
            "exception is when multiple operations are performed in parallel against the secret. To "
            "avoid this error, perform operations against a secret in a sequential manner."
        )
        raise _refusal(409, "Conflict", message)
    vault.secrets[secret.name.lower()] = secret
    return Answer(200, _bundle(vault, secret, secret.versions[-1]))


def _delete(vault, request, name):
    _check_not_busy(vault.condition(name))
    secret, newest = _find_version(vault, name)
    secret.deleted_at = time.time()
    return Answer(200, _deleted_bundle(vault, secret, newest))


def _get_deleted(vault, request, name):
    secret = _find_deleted(vault, name)
    return Answer(200, _deleted_bundle(vault, secret, secret.versions[-1]))


def _recover(vault, request, name):
    _check_not_busy(vault.condition(name))
    secret = _find_deleted(vault, name)
    secret.deleted_at, secret.recovered_at = None, time.time()
    return Answer(200, _bundle(vault, secret, secret.versions[-1]))


def _purge(vault, request, name):
    _check_not_busy(vault.condition(name))
    _find_deleted(vault, name)
    if vault.is_purge_protected:
        message = (
            'Operation "purge" is not allowed because purge protection is enabled for this vault. Key '
            "Vault service will automatically purge it after the retention period has passed."
        )
        raise _refusal(403, "Forbidden", message)
    del vault.secrets[name.lower()]
    vault.purged[name.lower()] = time.time()
    return Answer(204)


_SECRET = "/secrets/(?P<name>.*?)"
_DELETED = "/deletedsecrets/(?P<name>.*?)"

# Method, path, the operation that takes a permission, and what it does.
ROUTES = [
    ("PUT", _SECRET, "set", _set),
    ("GET", f"{_SECRET}/versions", "list", _list_versions),
    ("GET", f"{_SECRET}(/(?P<version>[^/]*))?", "get", _get),
    ("PATCH", f"{_SECRET}(/(?P<version>[^/]*))?", "update", _update),
    ("DELETE", _SECRET, "delete", _delete),
    ("GET", "/secrets", "list", _list),
    ("POST", f"{_SECRET}/backup", "backup", _backup),
    ("POST", "/secrets/restore", "restore", _restore),
    ("GET", "/deletedsecrets", "list", _list_deleted),
    ("GET", _DELETED, "get", _get_deleted),
    ("POST", f"{_DELETED}/recover", "recover", _recover),
    ("DELETE", _DELETED, "purge", _purge),
]
