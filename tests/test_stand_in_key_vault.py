"""The stand-in's Key Vault, over the wire."""

import math
import re

import pytest
from conftest import HOST, Wire, assert_error
from stand_in import tokens
from stand_in.state import DAY, SECRET_PERMISSIONS

URL = f"https://{HOST}"
SECRET, DELETED = "/secrets/my-secret", "/deletedsecrets/my-secret"
PUT = f"PUT {SECRET}"


def send(vault, asked, **body):
    """The answer to a request, given as its method and path; its body suits any of them by default."""
    return vault(*asked.split(), json=body or {"value": "YWJj"})


def listed(vault, path):
    """The bundles on the first page of a list."""
    return vault("GET", path).json()["value"]


def last_part(bundle):
    """The version that a bundle is of, or the secret's name where it is of no version."""
    return bundle["id"].rpartition("/")[2]


@pytest.fixture(autouse=True)
def all_permissions(stand_in):
    """Let the sample's service principal do everything."""
    stand_in.vault.access_policies[0]["permissions"]["secrets"] = ["all"]


def test_token_that_is_not_good_is_challenged(stand_in):
    tenant = stand_in.state.tenant_id

    def issue(audience=tokens.KEY_VAULT, **changes):
        return tokens.issue(stand_in.state, stand_in.state.sample, audience, **changes)

    header = issue().partition(".")[0]
    issuers = f"https://sts.windows.net/{tenant}/, found https://sts.windows.net/other/"
    unknown_key = "AKV10046: Unable to resolve the key used for signature validation."
    for token, message in (
        (None, "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."),
        ("abc.def.ghi", "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."),
        (f"{issue()[:-4]}AAAA", f"{unknown_key} EncodedJwtHeader: '{header}'."),
        (issue(lifetime=-60), "[[]TokenExpired] Error validating token: 'S2S12086'."),
        (issue("other"), "AKV10022: Invalid audience. Expected https://vault.azure.net, found: other."),
        (issue(tenant_id="other"), f"AKV10032: Invalid issuer. Expected one of {issuers}."),
    ):
        answer = send(Wire(stand_in, HOST, token), PUT)
        assert_error(answer, f"401 Unauthorized: {message}")
        authority = f'Bearer authorization="https://login.microsoftonline.com/{tenant}"'
        assert answer.headers["WWW-Authenticate"] == f'{authority}, resource="https://vault.azure.net"'
    assert not stand_in.vault.secrets


@pytest.mark.parametrize(
    ("permission", "action", "asked"),
    [
        ("set", "setSecret/action", PUT),
        ("set", "update/action", f"PATCH {SECRET}/"),
        ("get", "getSecret/action", f"GET {SECRET}/"),
        ("get", "getSecret/action", f"GET {DELETED}"),
        ("list", "readMetadata/action", f"GET {SECRET}/versions"),
        ("backup", "backup/action", f"POST {SECRET}/backup"),
        ("delete", "delete", f"DELETE {SECRET}"),
        ("recover", "recover/action", f"POST {DELETED}/recover"),
        ("purge", "purge/action", f"DELETE {DELETED}"),
    ],
)
def test_policy_or_role_decides_per_operation(vault, stand_in, permission, action, asked):
    sample, (policy, *others) = stand_in.state.sample, stand_in.vault.access_policies
    issuer = f"https://sts.windows.net/{stand_in.state.tenant_id}/"
    caller = f"appid={sample.client_id};oid={sample.object_id};iss={issuer}"
    refused = f"* '{caller}' does not have secrets {permission} permission on key vault 'kv-quickstart;*'. *"
    policy |= {"objectId": sample.object_id.upper(), "permissions": {"secrets": [permission]}}
    assert send(vault, asked).status_code != 403
    policy["permissions"]["secrets"] = sorted(SECRET_PERMISSIONS - {permission})
    assert_error(send(vault, asked), f"403 Forbidden ForbiddenByPolicy: {refused}")
    stand_in.vault.access_policies = others
    assert_error(send(vault, asked), f"403 Forbidden AccessDenied: {refused}")
    stand_in.vault.is_rbac = True
    lines = [
        "403 Forbidden ForbiddenByRbac: Caller is not authorized to perform action on resource.",
        f"*Caller: {caller}",
        f"Action: 'Microsoft.KeyVault/vaults/secrets/{action}'",
        f"Resource: '{stand_in.state.path_of(stand_in.vault).lower()}{SECRET}'",
        "Assignment: (not found)",
        "DenyAssignmentId: null",
        "DecisionReason: null ",
        "Vault: kv-quickstart;location=eastus",
    ]
    assert_error(send(vault, asked), "\r\n".join([*lines, ""]))


def test_vault_that_the_network_cannot_reach(vault, stand_in):
    stand_in.vault.extras["networkAcls"] = {"defaultAction": "Deny"}
    assert_error(send(vault, PUT), "403 Forbidden ForbiddenByFirewall: *\r\nClient address: 127.0.0.1\r\n*")
    stand_in.vault.extras["publicNetworkAccess"] = "Disabled"
    assert_error(send(vault, PUT), "403 Forbidden ForbiddenByConnection: *")


def test_secret_comes_back_everywhere_as_it_was_set(vault, stand_in):
    stand_in.vault.retention_days, stand_in.vault.is_purge_protected = 7, True
    attributes = {"enabled": True, "nbf": 1_600_000_000, "exp": 2_600_000_000}
    expected = {"contentType": "text/plain", "tags": {"owner": "me"}, "attributes": attributes}
    bundle = send(vault, PUT, value="hunter2", **expected).json()
    assert re.fullmatch(f"{URL}{SECRET}/[0-9a-f]{{32}}", bundle.pop("id"))
    now = bundle["attributes"]["created"]
    attributes |= {"recoveryLevel": "CustomizedRecoverable", "recoverableDays": 7}
    attributes |= {"created": now, "updated": now}
    assert bundle == expected | {"value": "hunter2"}
    for asked in (
        *(f"GET {SECRET}/", f"GET {SECRET}/versions", "GET /secrets", f"DELETE {SECRET}"),
        *(f"GET {DELETED}", "GET /deletedsecrets", f"POST {DELETED}/recover"),
    ):
        answer = send(vault, asked).json()
        (bundle,) = answer["value"] if "nextLink" in answer else [answer]
        assert bundle.items() >= expected.items()


def test_newest_version_or_the_one_asked_for(vault):
    # Names differ in case only for show.
    first = last_part(send(vault, "PUT /secrets/My-Secret", value="1").json())
    others = [last_part(send(vault, PUT, value=value).json()) for value in [*"2345678", ""]]
    for path, value in (("", ""), ("/", ""), (f"/{first}", "1")):
        bundle = vault("GET", f"/secrets/MY-secret{path}").json()
        assert bundle["value"] == value
        assert bundle["id"].startswith(f"{URL}/secrets/My-Secret/")
    bundles = listed(vault, f"{SECRET}/versions")
    assert [last_part(bundle) for bundle in bundles] == sorted([first, *others])
    assert not any("value" in bundle for bundle in bundles)


def test_update_changes_what_it_names_and_a_backup_has_it_all(vault, stand_in):
    first = send(vault, PUT, value="1", tags={"a": "b"}, attributes={"enabled": False, "nbf": 4}).json()
    newest = send(vault, PUT, value="2").json()
    send(vault, f"PATCH {SECRET}/{last_part(first)}", attributes={"enabled": True, "exp": 5}, tags=None)
    assert send(vault, f"PATCH {SECRET}/", tags={}).json()["id"] == newest["id"]
    before = vault("GET", f"{SECRET}/{last_part(first)}").json()
    assert before["attributes"].items() >= {"enabled": True, "nbf": 4, "exp": 5}.items()
    assert before["tags"] == {"a": "b"}

    backup = vault("POST", f"{SECRET}/backup").json()
    conflict = f"409 Conflict: There was a conflict restoring the secret '{newest['id']}'. *"
    assert_error(send(vault, "POST /secrets/restore", **backup), conflict)
    stand_in.vault.secrets.clear()
    assert send(vault, "POST /secrets/restore", **backup).json()["id"] == newest["id"]
    assert vault("GET", f"{SECRET}/{last_part(first)}").json() == before


def test_secrets_come_in_pages_and_in_the_order_of_their_names(vault, stand_in):
    names = [f"s{number:02}" for number in range(30)]
    for name in reversed(names):
        stand_in.vault.add_secret(name, "hunter2")
    pages = []
    for query in ("", "&maxresults=9"):
        path = f"/secrets?api-version=2026-04-01{query}"
        while path:
            answer = vault("GET", path).json()
            pages.append([last_part(bundle) for bundle in answer["value"]])
            assert len(pages) <= 6, "the next link leads to the same page"
            path = (answer["nextLink"] or "").removeprefix(f"{URL}:443")
    assert pages == [names[:25], names[25:], names[:9], names[9:18], names[18:27], names[27:]]


@pytest.mark.parametrize(
    ("then", "status", "done", "versions"),
    [
        (f"GET {DELETED}", 200, "Deleted", 0),
        (f"POST {DELETED}/recover", 200, "Recovered", 2),
        (f"DELETE {DELETED}", 204, "Deleted", 1),
    ],
)
def test_deletion_recovery_and_purge_take_a_moment(vault, stand_in, then, status, done, versions):
    send(vault, PUT)
    bundle = vault("DELETE", SECRET).json()
    assert bundle["recoveryId"] == f"{URL}{DELETED}"
    assert bundle["scheduledPurgeDate"] - bundle["deletedDate"] == 90 * DAY
    assert vault("GET", DELETED.upper()).json() == bundle
    assert send(vault, then).status_code == status

    stand_in.vault.deletion_seconds = math.inf
    for asked, error in (
        (PUT, "Secret my-secret is currently being {} and cannot be re-created; retry later."),
        (f"POST {DELETED}/recover", "Secret is currently being {}."),
        (f"DELETE {DELETED}", "Secret is currently being {}."),
    ):
        assert_error(send(vault, asked), f"409 Conflict ObjectIsBeing{done}: {error.format(done.lower())}")
    for path in (f"{SECRET}/", DELETED):
        assert_error(vault("GET", path), "404 SecretNotFound: *")
    for path in ("/secrets", f"{SECRET}/versions", "/deletedsecrets"):
        assert listed(vault, path) == []

    stand_in.vault.deletion_seconds = 0
    send(vault, PUT)
    assert len(listed(vault, f"{SECRET}/versions")) == versions


NOT_FOUND = "404 SecretNotFound: A secret with (name/id) {} was not found in this key vault. *"
NOT_DELETED = "404 SecretNotFound: Deleted Secret not found: {}"
BAD_NAME = "400 BadParameter: The request URI contains an invalid name: {}"


def test_errors(vault, stand_in):
    assert vault("PUT", SECRET, data=b'{"value": "hunter2"}').status_code == 415, "without a Content-Type"
    stand_in.vault.is_purge_protected = True
    for name in ("live", "deleted", "disabled"):
        stand_in.vault.add_secret(name, "hunter2", enabled=name != "disabled")
    stand_in.vault.find("deleted").deleted_at = 1
    for asked, error in (
        ("PUT /secrets/", "405 MethodNotAllowed: HTTP PUT not allowed"),
        ("GET /secrets/live/?api-version=9.9", "400 BadParameter: The specified version (9.9) is not *"),
        ("GET /secrets/my_secret/versions", BAD_NAME.format("my_secret")),
        (f"DELETE /secrets/{'n' * 128}", BAD_NAME.format("n" * 128)),
        ("PUT /secrets/deleted", "409 Conflict ObjectIsDeletedButRecoverable: Secret deleted is currently *"),
        ("GET /secrets/live/1234", NOT_FOUND.format("live/1234")),
        ("GET /secrets/disabled/", "403 Forbidden SecretDisabled: Operation get is not allowed on a *"),
        ("GET /secrets?maxresults=26", "400 BadParameter: maxresults must be between 1 and 25."),
        ("DELETE /secrets/deleted", NOT_FOUND.format("deleted")),
        ("POST /secrets/restore", "400 Malformed backup blob: Backup blob contains invalid or corrupt *"),
        ("GET /deletedsecrets/live", NOT_DELETED.format("live")),
        ("POST /deletedsecrets/live/recover", NOT_DELETED.format("live")),
        ("DELETE /deletedsecrets/deleted", '403 Forbidden: Operation "purge" is not allowed because *'),
        ("GET /keys", "501 NotImplemented: The stand-in for Azure does not know GET /keys. It is for *"),
    ):
        assert_error(send(vault, asked), error)
    assert_error(send(vault, PUT, value=1), "400 BadParameter: *")
    message = "Secret is beyond the maximum permitted length of 25600 characters."
    assert_error(send(vault, PUT, value="é" * 12801), f"400 BadParameter SecretTooLarge: {message}")
    assert send(vault, PUT, value="é" * 12800).status_code == 200
