"""The stand-in's Entra ID, over the wire: each line of "Entra ID" in the recordings, and misuse."""

import jwt
import pytest
from conftest import Wire

SCOPE = "https://vault.azure.net/.default"


def ask(login, stand_in, **changes):
    form = {
        "grant_type": "client_credentials",
        "client_id": stand_in.state.sample.client_id,
        "client_secret": stand_in.state.sample.client_secret,
        "scope": SCOPE,
    }
    path = f"/{changes.pop('tenant', stand_in.state.tenant_id)}/oauth2/v2.0/token"
    return login("POST", path, data=form | changes)


def test_libraries_old_and_new_find_the_token_endpoint(login, stand_in):
    tenant = stand_in.state.tenant_id
    instance = login("GET", "/common/discovery/instance?api-version=1.1").json()
    assert "login.microsoftonline.com" in instance["metadata"][0]["aliases"]

    answer = login("GET", f"/{tenant}/v2.0/.well-known/openid-configuration")
    endpoint = answer.json()["token_endpoint"]
    assert endpoint == f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"


def test_token_is_signed_for_the_service_that_was_asked_for(login, stand_in):
    answer = ask(login, stand_in)

    assert answer.status_code == 200
    claims = jwt.decode(
        answer.json()["access_token"],
        stand_in.state.signing_key,
        ["HS256"],
        audience="https://vault.azure.net",
    )
    assert claims["iss"] == f"https://sts.windows.net/{stand_in.state.tenant_id}/"
    assert claims["appid"] == stand_in.state.sample.client_id
    assert claims["exp"] - claims["iat"] == answer.json()["expires_in"]


def test_whoever_signs_in_with_a_device_code_is_the_user(login, stand_in):
    scope = "https://graph.microsoft.com/.default"
    path = "/organizations/oauth2/v2.0"
    code = login("POST", f"{path}/devicecode", data={"scope": scope}).json()["device_code"]
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": code}
    token = login("POST", f"{path}/token", data=form).json()["access_token"]

    answer = Wire(stand_in, "graph.microsoft.com", token)("GET", "/v1.0/me")
    assert answer.json()["userPrincipalName"] == stand_in.state.user.name


@pytest.mark.parametrize(
    ("changes", "status", "error", "description"),
    [
        ({"client_secret": "x"}, 401, "invalid_client", "AADSTS7000215: Invalid client secret provided. "),
        ({"client_id": "somebody"}, 400, "unauthorized_client", "AADSTS700016: "),
        ({"tenant": "elsewhere"}, 400, "invalid_tenant", "AADSTS90002: "),
        ({"grant_type": "magic"}, 400, "unsupported_grant_type", "AADSTS70003: "),
        ({"scope": "https://vault.azure.net"}, 400, "invalid_scope", "AADSTS1002012: "),
        # What Entra ID knows and the stand-in does not, it says itself.
        ({"grant_type": "authorization_code"}, 501, "not_implemented", "The stand-in for Azure "),
        ({"client_assertion": "x"}, 501, "not_implemented", "The stand-in for Azure "),
        ({"tenant": "a/b"}, 501, "not_implemented", "The stand-in for Azure does not know POST /a/b/oauth2/"),
    ],
)
def test_refusals(login, stand_in, changes, status, error, description):
    answer = ask(login, stand_in, **changes)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"].startswith(description)
