"""The stand-in's Key Vault, over the wire: each line of "Key Vault, data plane" in the recordings."""

import math
import re
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
import requests
from conftest import Wire
from stand_in import tokens
from stand_in.messages import error

URL = "https://kv-quickstart.vault.azure.net"
DAY = 24 * 60 * 60


def put(vault, name="my-secret", value="hunter2"):
    return vault("PUT", f"/secrets/{name}", json={"value": value})


def error_of(answer):
    """Status, code, inner code and message of an error."""
    error = answer.json()["error"]
    inner_code = error.get("innererror", {}).get("code")
    return answer.status_code, error["code"], inner_code, error["message"]


def version_of(answer):
    return answer.json()["id"].rpartition("/")[2]


@pytest.fixture
def all_permissions(stand_in):
    """Let the sample's service principal recover and purge as well."""
    permissions = stand_in.vault.access_policies[0]["permissions"]
    permissions["secrets"] += ["recover", "purge"]


class TestWhoAsks:
    def test_request_without_token_is_challenged(self, vault, stand_in):
        del vault.session.headers["Authorization"]
        answer = put(vault)

        message = "AKV10000: Request is missing a Bearer or PoP token."
        assert error_of(answer) == (401, "Unauthorized", None, message)
        assert answer.headers["WWW-Authenticate"] == (
            f'Bearer authorization="https://login.microsoftonline.com/{stand_in.state.tenant_id}", '
            'resource="https://vault.azure.net"'
        )

    @pytest.mark.parametrize("kind", ["made up", "tampered with", "expired", "other service"])
    def test_token_that_is_not_good_is_challenged(self, vault, stand_in, kind):
        state, sample = stand_in.state, stand_in.state.sample
        good = tokens.issue(state, sample, tokens.KEY_VAULT)
        claims = jwt.decode(good, options={"verify_signature": False})
        token = {
            "made up": "abc.def.ghi",
            "tampered with": jwt.encode(claims, "another key, of a sufficient length"),
            "expired": tokens.issue(state, sample, tokens.KEY_VAULT, lifetime=-60),
            "other service": tokens.issue(state, sample, "https://management.azure.com"),
        }[kind]
        answer = put(Wire(stand_in, "kv-quickstart.vault.azure.net", token))

        assert error_of(answer)[:2] == (401, "Unauthorized")
        assert error_of(answer)[3].startswith("AKV10000: ")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert not stand_in.vault.secrets

    def test_token_of_another_tenant_is_refused_by_name(self, stand_in):
        state = stand_in.state
        token = tokens.issue(state, state.sample, tokens.KEY_VAULT, tenant_id="other")
        answer = put(Wire(stand_in, "kv-quickstart.vault.azure.net", token))

        status, code, _, message = error_of(answer)
        assert (status, code) == (401, "Unauthorized")
        assert message == (
            f"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{state.tenant_id}/, "
            "found https://sts.windows.net/other/."
        )

    @pytest.mark.parametrize(
        ("permission", "method", "path"),
        [
            ("set", "PUT", "/secrets/my-secret"),
            ("get", "GET", "/secrets/my-secret/"),
            ("list", "GET", "/secrets/my-secret/versions"),
            ("list", "GET", "/secrets"),
            ("delete", "DELETE", "/secrets/my-secret"),
            ("get", "GET", "/deletedsecrets/my-secret"),
            ("list", "GET", "/deletedsecrets"),
            ("recover", "POST", "/deletedsecrets/my-secret/recover"),
            ("purge", "DELETE", "/deletedsecrets/my-secret"),
        ],
    )
    def test_access_policy_decides_per_operation(self, vault, stand_in, permission, method, path):
        everything = {"delete", "get", "list", "purge", "recover", "set"}
        secrets = stand_in.vault.access_policies[0]["permissions"]
        secrets["secrets"] = sorted(everything - {permission})
        answer = vault(method, path, json={"value": "hunter2"})

        sample, tenant = stand_in.state.sample, stand_in.state.tenant_id
        assert error_of(answer) == (
            403,
            "Forbidden",
            "ForbiddenByPolicy",
            f"The user, group or application 'appid={sample.client_id};oid={sample.object_id};"
            f"iss=https://sts.windows.net/{tenant}/' does not have secrets {permission} permission "
            "on key vault 'kv-quickstart;location=eastus'. For help resolving this issue, please "
            "see https://go.microsoft.com/fwlink/?linkid=2125287",
        )
        stand_in.vault.access_policies.clear()
        on_no_policy = error_of(vault(method, path, json={"value": "hunter2"}))
        assert on_no_policy == (*error_of(answer)[:2], "AccessDenied", error_of(answer)[3])
        stand_in.vault.access_policies.append(
            {"objectId": sample.object_id, "permissions": {"secrets": [permission]}}
        )
        assert vault(method, path, json={"value": "hunter2"}).status_code != 403

    def test_vault_at_the_start_grants_what_the_tutorial_grants(self, stand_in):
        granted = stand_in.vault.permissions(stand_in.state.sample.object_id)
        assert granted == {"delete", "get", "list", "set"}


class TestSet:
    def test_answers_with_the_bundle(self, vault):
        answer = put(vault)

        assert answer.status_code == 200
        bundle = answer.json()
        assert bundle["value"] == "hunter2"
        assert re.fullmatch(f"{URL}/secrets/my-secret/[0-9a-f]{{32}}", bundle["id"])
        attributes = bundle["attributes"]
        assert attributes["enabled"] is True
        assert attributes["created"] == attributes["updated"] > 1_600_000_000
        assert attributes["recoveryLevel"] == "Recoverable+Purgeable"
        assert attributes["recoverableDays"] == 90

    def test_seven_days_of_retention_are_called_customized(self, vault, stand_in):
        stand_in.vault.retention_days = 7
        attributes = put(vault).json()["attributes"]

        assert attributes["recoveryLevel"] == "CustomizedRecoverable+Purgeable"
        assert attributes["recoverableDays"] == 7

    def test_empty_value_is_accepted(self, vault):
        assert put(vault, value="").json()["value"] == ""

    def test_second_one_adds_a_version(self, vault):
        first, second = put(vault, value="1"), put(vault, value="2")

        assert version_of(first) != version_of(second)
        assert len(vault("GET", "/secrets/my-secret/versions").json()["value"]) == 2

    @pytest.mark.parametrize("name", ["my_secret", "a b", "né", "n" * 128])
    def test_invalid_name(self, vault, name):
        message = f"The request URI contains an invalid name: {name}"
        assert error_of(put(vault, name)) == (400, "BadParameter", None, message)

    def test_empty_name(self, vault):
        assert error_of(put(vault, "")) == (405, "MethodNotAllowed", None, "HTTP PUT not allowed")

    def test_value_of_25_kb_at_the_most(self, vault):
        assert put(vault, value="v" * 25 * 1024).status_code == 200
        assert error_of(put(vault, value="v" * 25 * 1024 + "v"))[:2] == (400, "BadParameter")
        assert error_of(put(vault, value="é" * 25 * 1024))[:2] == (400, "BadParameter")

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"value": 1}', b"\xff"])
    def test_body_without_a_value(self, vault, stand_in, body):
        answer = vault("PUT", "/secrets/my-secret", data=body)

        assert error_of(answer)[:2] == (400, "BadParameter")
        assert not stand_in.vault.secrets


class TestGet:
    def test_newest_version_with_and_without_the_slash(self, vault):
        put(vault, value="1")
        put(vault, value="2")

        assert vault("GET", "/secrets/my-secret/").json()["value"] == "2"
        assert vault("GET", "/secrets/my-secret").json()["value"] == "2"

    def test_version_by_its_digits(self, vault):
        first = version_of(put(vault, value="1"))
        put(vault, value="2")

        assert vault("GET", f"/secrets/my-secret/{first}").json()["value"] == "1"
        assert vault("GET", f"/secrets/my-secret/{'0' * 32}").status_code == 404

    def test_names_differ_in_case_only_for_show(self, vault):
        put(vault, "My-Secret")

        answer = vault("GET", "/secrets/MY-secret/")
        assert answer.json()["value"] == "hunter2"
        assert f"{URL}/secrets/My-Secret/" in answer.json()["id"]

    def test_no_such_secret(self, vault):
        assert error_of(vault("GET", "/secrets/my-secret/")) == (
            404,
            "SecretNotFound",
            None,
            "A secret with (name/id) my-secret was not found in this key vault. If you recently "
            "deleted this secret you may be able to recover it using the correct recovery command. "
            "For help resolving this issue, please see "
            "https://go.microsoft.com/fwlink/?linkid=2125182",
        )

    def test_disabled_secret(self, vault, stand_in):
        stand_in.vault.add_secret("my-secret", "hunter2", enabled=False)

        message = "Operation get is not allowed on a disabled secret."
        expected = (403, "Forbidden", "SecretDisabled", message)
        assert error_of(vault("GET", "/secrets/my-secret/")) == expected


class TestLists:
    def test_versions_come_without_values(self, vault):
        versions = [version_of(put(vault, value=value)) for value in "12"]
        answer = vault("GET", "/secrets/my-secret/versions")

        assert answer.status_code == 200
        assert answer.json()["nextLink"] is None
        bundles = answer.json()["value"]
        assert sorted(bundle["id"].rpartition("/")[2] for bundle in bundles) == sorted(versions)
        assert all("value" not in bundle and "attributes" in bundle for bundle in bundles)

    def test_versions_of_no_secret_are_an_empty_list(self, vault):
        answer = vault("GET", "/secrets/my-secret/versions")
        assert (answer.status_code, answer.json()) == (200, {"value": [], "nextLink": None})

    def test_secrets_and_deleted_secrets_are_listed_apart(self, vault):
        put(vault, "kept")
        put(vault, "gone")
        vault("DELETE", "/secrets/gone")

        (kept,) = vault("GET", "/secrets").json()["value"]
        (gone,) = vault("GET", "/deletedsecrets").json()["value"]
        assert kept["id"] == f"{URL}/secrets/kept"
        assert gone["recoveryId"] == f"{URL}/deletedsecrets/gone"


class TestDelete:
    def test_answers_with_what_recovers_it(self, vault):
        put(vault)
        answer = vault("DELETE", "/secrets/my-secret")

        assert answer.status_code == 200
        bundle = answer.json()
        assert "value" not in bundle
        assert bundle["recoveryId"] == f"{URL}/deletedsecrets/my-secret"
        assert bundle["scheduledPurgeDate"] - bundle["deletedDate"] == 90 * DAY

    def test_no_such_secret(self, vault):
        assert error_of(vault("DELETE", "/secrets/my-secret"))[1] == "SecretNotFound"

    def test_takes_all_versions_out_of_sight_at_once(self, vault, stand_in):
        stand_in.vault.deletion_seconds = math.inf
        put(vault, value="1")
        put(vault, value="2")
        vault("DELETE", "/secrets/my-secret")

        assert vault("GET", "/secrets/my-secret/").status_code == 404
        assert vault("GET", "/secrets/my-secret/versions").json()["value"] == []

    def test_takes_a_moment(self, vault, stand_in):
        stand_in.vault.deletion_seconds = math.inf
        put(vault)
        vault("DELETE", "/secrets/my-secret")

        answer = vault("GET", "/deletedsecrets/my-secret")
        message = "Deleted Secret not found: my-secret"
        assert error_of(answer) == (404, "SecretNotFound", None, message)
        assert error_of(put(vault))[:3] == (409, "Conflict", "ObjectIsBeingDeleted")

        stand_in.vault.deletion_seconds = 0
        answer = vault("GET", "/deletedsecrets/MY-SECRET")
        assert answer.status_code == 200
        assert answer.json()["recoveryId"] == f"{URL}/deletedsecrets/my-secret"

    def test_name_of_a_deleted_secret_stays_taken(self, vault):
        put(vault)
        vault("DELETE", "/secrets/my-secret")

        assert error_of(put(vault)) == (
            409,
            "Conflict",
            "ObjectIsDeletedButRecoverable",
            "Secret my-secret is currently in a deleted but recoverable state, and its name cannot "
            "be reused; in this state, the secret can only be recovered or purged.",
        )


@pytest.mark.usefixtures("all_permissions")
class TestRecoverAndPurge:
    def test_recovered_secret_has_its_versions_back(self, vault):
        put(vault, value="1")
        put(vault, value="2")
        vault("DELETE", "/secrets/my-secret")
        answer = vault("POST", "/deletedsecrets/my-secret/recover")

        assert answer.status_code == 200
        assert "value" not in answer.json()
        assert vault("GET", "/secrets/my-secret/").json()["value"] == "2"
        assert len(vault("GET", "/secrets/my-secret/versions").json()["value"]) == 2
        assert vault("GET", "/deletedsecrets/my-secret").status_code == 404

    def test_purged_secret_leaves_its_name(self, vault):
        put(vault)
        vault("DELETE", "/secrets/my-secret")
        answer = vault("DELETE", "/deletedsecrets/my-secret")

        assert (answer.status_code, answer.content) == (204, b"")
        assert vault("GET", "/deletedsecrets/my-secret").status_code == 404
        assert put(vault).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/deletedsecrets/my-secret/recover"),
            ("DELETE", "/deletedsecrets/my-secret"),
        ],
    )
    def test_only_what_is_deleted(self, vault, stand_in, method, path):
        put(vault)
        assert error_of(vault(method, path))[:2] == (404, "SecretNotFound")

        stand_in.vault.deletion_seconds = math.inf
        vault("DELETE", "/secrets/my-secret")
        assert error_of(vault(method, path))[2] == "ObjectIsBeingDeleted"


class TestRefusals:
    def test_rbac_vault_goes_by_roles(self, vault, stand_in):
        stand_in.vault.is_rbac = True
        sample, tenant = stand_in.state.sample, stand_in.state.tenant_id
        status, code, inner_code, message = error_of(put(vault))

        assert (status, code, inner_code) == (403, "Forbidden", "ForbiddenByRbac")
        lines = message.splitlines()
        assert lines[0] == "Caller is not authorized to perform action on resource."
        assert f"Caller: appid={sample.client_id};oid={sample.object_id};" in message
        assert f"iss=https://sts.windows.net/{tenant}/" in message
        assert "Action: 'Microsoft.KeyVault/vaults/secrets/setSecret/action'" in lines
        assert "Vault: kv-quickstart;location=eastus" in lines

    def test_firewall_keeps_other_addresses_out(self, vault, stand_in):
        stand_in.vault.network_acls = {"defaultAction": "Deny", "ipRules": []}
        status, code, inner_code, message = error_of(put(vault))

        assert (status, code, inner_code) == (403, "Forbidden", "ForbiddenByFirewall")
        assert message.startswith(
            "Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1"
        )
        stand_in.vault.network_acls["ipRules"] = [{"value": "127.0.0.1/32"}]
        assert put(vault).status_code == 200

    def test_public_access_can_be_disabled(self, vault, stand_in):
        stand_in.vault.public_network_access = "Disabled"
        status, code, inner_code, message = error_of(put(vault))

        assert (status, code, inner_code) == (403, "Forbidden", "ForbiddenByConnection")
        assert message.startswith("Public network access is disabled")


class TestFaults:
    def test_answer_is_given_so_often_and_no_work_is_done(self, vault, stand_in):
        throttled = error(429, "Throttled", "Too many requests.", headers={"Retry-After": "7"})
        stand_in.faults.answer("PUT /secrets/my-secret", throttled, times=2)
        answers = [put(vault) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [429, 429, 200]
        assert answers[0].headers["Retry-After"] == "7"
        assert len(stand_in.vault.find("my-secret").versions) == 1

    def test_reset_does_no_work(self, vault, stand_in):
        stand_in.faults.reset("PUT /secrets/my-secret")
        with pytest.raises(requests.exceptions.ConnectionError):
            put(vault)
        assert not stand_in.vault.secrets

    def test_lost_answer_does_the_work(self, vault, stand_in):
        stand_in.faults.lose_answer("PUT /secrets/my-secret")
        with pytest.raises(requests.exceptions.ConnectionError):
            put(vault)
        assert stand_in.vault.find("my-secret").versions[0].value == "hunter2"

    def test_held_answer_comes_when_it_is_let_go(self, vault, stand_in):
        held = stand_in.faults.hold("PUT /secrets/my-secret")
        with ThreadPoolExecutor() as executor:
            answer = executor.submit(put, vault)
            held.reached.wait()
            assert stand_in.vault.find("my-secret")
            assert not answer.done()
            held.release()
            assert answer.result().status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", "/secrets/my-secret", 405),
        ("POST", "/secrets", 405),
        ("BREW", "/deletedsecrets/my-secret", 405),
        ("GET", "/keys", 404),
        ("GET", "/", 404),
    ],
)
def test_unknown_request_gets_an_error(vault, method, path, status):
    assert vault(method, path).status_code == status
