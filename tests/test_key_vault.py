"""The stand-in's Key Vault, over the wire: each line of "Key Vault, data plane" in the recordings."""

import math
import re

import pytest
from conftest import Wire
from stand_in import tokens

HOST = "kv-quickstart.vault.azure.net"
URL = f"https://{HOST}"
DAY = 24 * 60 * 60


def put(vault, name="my-secret", value="hunter2", **properties):
    return vault("PUT", f"/secrets/{name}", json={"value": value, **properties})


def error_of(answer):
    """Status, code and inner code of an error in one line, and its message."""
    error = answer.json()["error"]
    codes = (str(answer.status_code), error["code"], error.get("innererror", {}).get("code", ""))
    return " ".join(codes).rstrip(), error["message"]


def version_of(answer):
    return answer.json()["id"].rpartition("/")[2]


def versions_of(vault):
    return vault("GET", "/secrets/my-secret/versions").json()["value"]


@pytest.fixture(autouse=True)
def all_permissions(stand_in):
    """Let the sample's service principal do everything."""
    stand_in.vault.access_policies[0]["permissions"]["secrets"] = ["all"]


def test_token_that_is_not_good_is_challenged(stand_in):
    state, sample = stand_in.state, stand_in.state.sample
    good = tokens.issue(state, sample, tokens.KEY_VAULT)
    header = good.partition(".")[0]
    expired = tokens.issue(state, sample, tokens.KEY_VAULT, lifetime=-60)
    elsewhere = tokens.issue(state, sample, tokens.KEY_VAULT, tenant_id="other")
    issuers = f"https://sts.windows.net/{state.tenant_id}/, found https://sts.windows.net/other/"
    unknown_key = "AKV10046: Unable to resolve the key used for signature validation."
    audience = "AKV10022: Invalid audience. Expected https://vault.azure.net, found: other."
    for token, message in (
        (None, "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."),
        ("abc.def.ghi", "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token."),
        (f"{good[:-4]}AAAA", f"{unknown_key} EncodedJwtHeader: '{header}'."),
        (expired, "[TokenExpired] Error validating token: 'S2S12086'."),
        (tokens.issue(state, sample, "other"), audience),
        (elsewhere, f"AKV10032: Invalid issuer. Expected one of {issuers}."),
    ):
        answer = put(Wire(stand_in, HOST, token))
        assert error_of(answer) == ("401 Unauthorized", message)
        assert answer.headers["WWW-Authenticate"] == (
            f'Bearer authorization="https://login.microsoftonline.com/{state.tenant_id}", '
            'resource="https://vault.azure.net"'
        )
    assert not stand_in.vault.secrets


@pytest.mark.parametrize(
    ("permission", "action", "method", "path"),
    [
        ("set", "setSecret/action", "PUT", "/secrets/my-secret"),
        ("set", "update/action", "PATCH", "/secrets/my-secret/"),
        ("get", "getSecret/action", "GET", "/secrets/my-secret/"),
        ("list", "readMetadata/action", "GET", "/secrets/my-secret/versions"),
        ("list", "readMetadata/action", "GET", "/secrets"),
        ("backup", "backup/action", "POST", "/secrets/my-secret/backup"),
        ("restore", "restore/action", "POST", "/secrets/restore"),
        ("delete", "delete", "DELETE", "/secrets/my-secret"),
        ("get", "getSecret/action", "GET", "/deletedsecrets/my-secret"),
        ("list", "readMetadata/action", "GET", "/deletedsecrets"),
        ("recover", "recover/action", "POST", "/deletedsecrets/my-secret/recover"),
        ("purge", "purge/action", "DELETE", "/deletedsecrets/my-secret"),
    ],
)
def test_policy_or_role_decides_per_operation(vault, stand_in, permission, action, method, path):
    state, policies = stand_in.state, stand_in.vault.access_policies
    issuer = f"https://sts.windows.net/{state.tenant_id}/"
    caller = f"appid={state.sample.client_id};oid={state.sample.object_id};iss={issuer}"

    def ask():
        return vault(method, path, json={"value": "hunter2"})

    policies[0]["permissions"]["secrets"] = [permission]
    assert ask().status_code != 403
    everything = {"backup", "delete", "get", "list", "purge", "recover", "restore", "set"}
    policies[0]["permissions"]["secrets"] = sorted(everything - {permission})
    code, message = error_of(ask())
    assert code == "403 Forbidden ForbiddenByPolicy"
    assert message == (
        f"The user, group or application '{caller}' does not have secrets {permission} permission on key "
        "vault 'kv-quickstart;location=eastus'. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125287"
    )
    policies.clear()
    assert error_of(ask()) == ("403 Forbidden AccessDenied", message)

    stand_in.vault.is_rbac = True
    code, message = error_of(ask())
    assert code == "403 Forbidden ForbiddenByRbac"
    name = "/secrets/my-secret" if "my-secret" in path else ""
    assert message.splitlines()[0] == "Caller is not authorized to perform action on resource."
    assert message.splitlines()[2:] == [
        f"Caller: {caller}",
        f"Action: 'Microsoft.KeyVault/vaults/secrets/{action}'",
        f"Resource: '/subscriptions/{state.subscription_id}/resourcegroups/keyvault-pythonqs-rg"
        f"/providers/microsoft.keyvault/vaults/kv-quickstart{name}'",
        "Assignment: (not found)",
        "DenyAssignmentId: null",
        "DecisionReason: null ",
        "Vault: kv-quickstart;location=eastus",
    ]


def test_vault_at_the_start_grants_what_the_tutorial_grants(stand_in):
    tutorial = stand_in.state.add_vault("kv-tutorial")
    assert tutorial.permissions(stand_in.state.sample.object_id) == {"delete", "get", "list", "set"}


def test_network_rules(vault, stand_in):
    stand_in.vault.network_acls = {"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.1/32"}]}
    assert put(vault).status_code == 200
    stand_in.vault.network_acls["ipRules"].clear()
    code, message = error_of(put(vault))
    assert code == "403 Forbidden ForbiddenByFirewall"
    assert "\r\nClient address: 127.0.0.1\r\n" in message
    stand_in.vault.public_network_access = "Disabled"
    code, message = error_of(put(vault))
    assert code == "403 Forbidden ForbiddenByConnection"
    assert message.startswith("Public network access is disabled")


@pytest.mark.parametrize(
    ("days", "is_purge_protected", "level"),
    [
        (90, False, "Recoverable+Purgeable"),
        (7, False, "CustomizedRecoverable+Purgeable"),
        (90, True, "Recoverable"),
        (7, True, "CustomizedRecoverable"),
    ],
)
def test_setting_a_secret_answers_with_its_bundle(vault, stand_in, days, is_purge_protected, level):
    stand_in.vault.retention_days = days
    stand_in.vault.is_purge_protected = is_purge_protected
    bundle = put(vault).json()

    attributes = bundle.pop("attributes")
    assert re.fullmatch(f"{URL}/secrets/my-secret/[0-9a-f]{{32}}", bundle.pop("id"))
    assert bundle == {"value": "hunter2"}
    assert attributes.pop("created") == attributes.pop("updated") > 1_600_000_000
    assert attributes == {"enabled": True, "recoveryLevel": level, "recoverableDays": days}


def test_properties_come_back_everywhere(vault):
    attributes = {"enabled": True, "nbf": 1_600_000_000, "exp": 2_600_000_000}
    rest = {"contentType": "text/plain", "tags": {"owner": "me"}}
    for answer in (
        put(vault, attributes=attributes, **rest),
        vault("GET", "/secrets/my-secret/"),
        vault("GET", "/secrets/my-secret/versions"),
        vault("GET", "/secrets"),
        vault("DELETE", "/secrets/my-secret"),
        vault("GET", "/deletedsecrets/my-secret"),
        vault("GET", "/deletedsecrets"),
        vault("POST", "/deletedsecrets/my-secret/recover"),
    ):
        (bundle,) = answer.json()["value"] if "nextLink" in answer.json() else [answer.json()]
        assert bundle["attributes"].items() >= attributes.items()
        assert bundle.items() >= rest.items()


def test_value_of_25_kb_at_the_most(vault):
    assert put(vault, value="é" * 12800).status_code == 200
    message = "Secret is beyond the maximum permitted length of 25600 characters."
    for value in ("v" * 25601, "é" * 12801):
        assert error_of(put(vault, value=value)) == ("400 BadParameter SecretTooLarge", message)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"{}", b'{"value": 1}', b'{"value": null}', b"\xff"),
        *(b'{"value": "", "tags": ["a"]}', b'{"value": "", "tags": {"a": 1}}'),
        *(b'{"value": "", "contentType": {}}', b'{"value": "", "attributes": {"exp": "never"}}'),
    ],
)
def test_body_that_is_no_secret(vault, stand_in, body):
    assert error_of(vault("PUT", "/secrets/my-secret", data=body))[0] == "400 BadParameter"
    assert not stand_in.vault.secrets


def test_newest_version_or_the_one_asked_for(vault):
    first = version_of(put(vault, "My-Secret", "1"))
    put(vault, value="")

    # Names differ in case only for show.
    for path, value in (("", ""), ("/", ""), (f"/{first}", "1")):
        bundle = vault("GET", f"/secrets/MY-secret{path}").json()
        assert bundle["value"] == value
        assert bundle["id"].startswith(f"{URL}/secrets/My-Secret/")


def test_update_changes_what_it_names(vault, stand_in):
    old = version_of(put(vault, tags={"a": "b"}, contentType="text", attributes={"enabled": False}))
    new = version_of(put(vault, value="2"))
    vars(stand_in.vault.find("my-secret").versions[0]).update(created=1, updated=1)
    body = {"contentType": None, "tags": {}, "attributes": {"enabled": True, "exp": 5}}
    answer = vault("PATCH", f"/secrets/my-secret/{old}", json=body)

    bundle = vault("GET", f"/secrets/my-secret/{old}").json()
    assert answer.json() | {"value": "hunter2"} == bundle
    assert (bundle["contentType"], bundle["tags"], bundle["attributes"]["exp"]) == ("text", {}, 5)
    assert bundle["attributes"]["updated"] > bundle["attributes"]["created"] == 1
    # Without a version, it is the newest one.
    assert version_of(vault("PATCH", "/secrets/my-secret/", json={})) == new
    assert error_of(vault("PATCH", "/secrets/my-secret/", json={"tags": 5}))[0] == "400 BadParameter"


def test_restored_secret_has_all_that_was_backed_up(vault, stand_in):
    put(vault, value="1", tags={"a": "b"})
    put(vault, value="2", attributes={"nbf": 5})
    backup = vault("POST", "/secrets/my-secret/backup").json()
    versions, newest = versions_of(vault), vault("GET", "/secrets/my-secret/").json()
    code, message = error_of(vault("POST", "/secrets/restore", json=backup))
    assert code == "409 Conflict"
    assert message.startswith(f"There was a conflict restoring the secret '{newest['id']}'. ")

    stand_in.vault.secrets.clear()
    assert vault("POST", "/secrets/restore", json=backup).json() | {"value": "2"} == newest
    assert versions_of(vault) == versions


def test_secrets_in_the_order_of_their_names(vault, stand_in):
    names = [f"s{number:02}" for number in range(30)]
    for name in reversed(names):
        stand_in.vault.add_secret(name, "hunter2")
    stand_in.vault.find("s05").deleted_at = 1
    pages = []
    for query in ("", "&maxresults=9"):
        path = f"/secrets?api-version=2026-04-01{query}"
        while path:
            answer = vault("GET", path).json()
            pages.append([bundle["id"].removeprefix(f"{URL}/secrets/") for bundle in answer["value"]])
            path = (answer["nextLink"] or "").removeprefix(f"https://{HOST}:443")

    names.remove("s05")
    assert pages == [names[:25], names[25:], names[:9], names[9:18], names[18:27], names[27:]]
    (deleted,) = vault("GET", "/deletedsecrets").json()["value"]
    assert deleted["recoveryId"] == f"{URL}/deletedsecrets/s05"
    for number in ("0", "26", "many"):
        assert error_of(vault("GET", f"/secrets?maxresults={number}"))[0] == "400 BadParameter"


def test_versions_in_the_order_of_their_ids(vault):
    versions = [version_of(put(vault, value=str(number))) for number in range(9)]
    bundles = versions_of(vault)
    assert [bundle["id"].rpartition("/")[2] for bundle in bundles] == sorted(versions)
    assert not any("value" in bundle for bundle in bundles)


@pytest.mark.parametrize(("what", "versions"), [("deletion", 0), ("recovery", 2), ("purge", 1)])
def test_each_takes_a_moment(vault, stand_in, what, versions):
    put(vault)
    bundle = vault("DELETE", "/secrets/my-secret").json()
    assert bundle["recoveryId"] == f"{URL}/deletedsecrets/my-secret"
    assert bundle["scheduledPurgeDate"] - bundle["deletedDate"] == 90 * DAY
    assert vault("GET", "/deletedsecrets/MY-SECRET").json() == bundle
    if what == "recovery":
        answer = vault("POST", "/deletedsecrets/my-secret/recover")
        assert (answer.status_code, answer.json()["id"]) == (200, bundle["id"])
    if what == "purge":
        assert vault("DELETE", "/deletedsecrets/my-secret").status_code == 204

    stand_in.vault.deletion_seconds = math.inf
    done = "recovered" if what == "recovery" else "deleted"
    code = f"409 Conflict ObjectIsBeing{done.title()}"
    again = f"Secret my-secret is currently being {done} and cannot be re-created; retry later."
    assert error_of(put(vault)) == (code, again)
    for asked in ("POST", "/deletedsecrets/my-secret/recover"), ("DELETE", "/deletedsecrets/my-secret"):
        assert error_of(vault(*asked)) == (code, f"Secret is currently being {done}.")
    for path in ("/secrets/my-secret/", "/deletedsecrets/my-secret"):
        assert error_of(vault("GET", path))[0] == "404 SecretNotFound"
    for path in ("/secrets", "/secrets/my-secret/versions", "/deletedsecrets"):
        assert vault("GET", path).json()["value"] == []

    stand_in.vault.deletion_seconds = 0
    put(vault)
    assert len(versions_of(vault)) == versions


DELETED = (
    "Secret deleted is currently in a deleted but recoverable state, and its name cannot be reused; in this "
    "state, the secret can only be recovered or purged."
)
NOT_FOUND = (
    "A secret with (name/id) {} was not found in this key vault. If you recently deleted this secret you may "
    "be able to recover it using the correct recovery command. For help resolving this issue, please see "
    "https://go.microsoft.com/fwlink/?linkid=2125182"
)
PROTECTED = (
    'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service '
    "will automatically purge it after the retention period has passed."
)
UNKNOWN = (
    "The stand-in for Azure does not know {}. It is for trying out and testing the quickstart for Key Vault "
    "secrets, and knows what that needs."
)
DISABLED = "Operation get is not allowed on a disabled secret."
BAD_BACKUP = "Backup blob contains invalid or corrupt version."
BAD_NAME = "The request URI contains an invalid name: {}"


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ("PUT /secrets/", "405 MethodNotAllowed", "HTTP PUT not allowed"),
        ("PUT /secrets/my_secret", "400 BadParameter", BAD_NAME.format("my_secret")),
        ("PUT /secrets/né", "400 BadParameter", BAD_NAME.format("né")),
        ("PUT /secrets/" + "n" * 128, "400 BadParameter", BAD_NAME.format("n" * 128)),
        ("PUT /secrets/deleted", "409 Conflict ObjectIsDeletedButRecoverable", DELETED),
        ("GET /secrets/none/", "404 SecretNotFound", NOT_FOUND.format("none")),
        ("GET /secrets/live/1234", "404 SecretNotFound", NOT_FOUND.format("live/1234")),
        ("GET /secrets/disabled/", "403 Forbidden SecretDisabled", DISABLED),
        ("PATCH /secrets/live/1234", "404 SecretNotFound", NOT_FOUND.format("live/1234")),
        ("DELETE /secrets/deleted", "404 SecretNotFound", NOT_FOUND.format("deleted")),
        ("POST /secrets/none/backup", "404 SecretNotFound", NOT_FOUND.format("none")),
        ("POST /secrets/restore", "400 Malformed backup blob", BAD_BACKUP),
        ("GET /deletedsecrets/live", "404 SecretNotFound", "Deleted Secret not found: live"),
        ("POST /deletedsecrets/live/recover", "404 SecretNotFound", "Deleted Secret not found: live"),
        ("DELETE /deletedsecrets/none", "404 SecretNotFound", "Deleted Secret not found: none"),
        ("DELETE /deletedsecrets/deleted", "403 Forbidden", PROTECTED),
        # What Azure knows and the stand-in does not, it says itself.
        ("POST /secrets", "501 NotImplemented", UNKNOWN.format("POST /secrets")),
        ("BREW /secrets/live", "501 NotImplemented", UNKNOWN.format("BREW /secrets/live")),
        ("GET /keys", "501 NotImplemented", UNKNOWN.format("GET /keys")),
    ],
)
def test_errors(vault, stand_in, asked, code, message):
    stand_in.vault.is_purge_protected = True
    stand_in.vault.add_secret("live", "hunter2")
    stand_in.vault.add_secret("deleted", "hunter2")
    stand_in.vault.add_secret("disabled", "hunter2", enabled=False)
    stand_in.vault.find("deleted").deleted_at = 1

    assert error_of(vault(*asked.split(), json={"value": "YWJj"})) == (code, message)
