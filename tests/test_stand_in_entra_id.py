"""The stand-in's Entra ID and Microsoft Graph, over the wire."""

import jwt
import pytest
from conftest import TOKEN, Wire
from stand_in import tokens


@pytest.fixture
def graph(stand_in):
    """Requests to Microsoft Graph, with the token of a service principal."""
    token = tokens.issue(stand_in.state, stand_in.state.admin, tokens.GRAPH)
    return Wire(stand_in, "graph.microsoft.com", token)


def sign_in(login, stand_in, **changes):
    """The answer to the sample's request for a token, with these changes to its form or tenant."""
    sample, tenant = stand_in.state.sample, changes.pop("tenant", stand_in.state.tenant_id)
    form = {"grant_type": "client_credentials", "scope": "https://vault.azure.net/.default"}
    form |= {"client_id": sample.client_id, "client_secret": sample.client_secret}
    return login("POST", f"/{tenant}{TOKEN}", data=form | changes)


def test_libraries_old_and_new_find_the_token_endpoint(login, stand_in):
    instance = login("GET", "/common/discovery/instance?api-version=1.1").json()
    assert "login.microsoftonline.com" in instance["metadata"][0]["aliases"]

    tenant = f"/{stand_in.state.tenant_id}"
    answer = login("GET", f"{tenant}/v2.0/.well-known/openid-configuration").json()
    assert answer["token_endpoint"] == f"https://login.microsoftonline.com{tenant}{TOKEN}"


def test_token_is_signed_for_the_service_that_was_asked_for(login, stand_in):
    answer = sign_in(login, stand_in).json()
    key, audience = stand_in.state.signing_key, "https://vault.azure.net"
    claims = jwt.decode(answer["access_token"], key, ["HS256"], audience=audience)
    assert claims["iss"] == f"https://sts.windows.net/{stand_in.state.tenant_id}/"
    assert claims["appid"] == stand_in.state.sample.client_id
    assert claims["exp"] - claims["iat"] == answer["expires_in"]


def test_whoever_signs_in_with_a_device_code_is_the_user(login, stand_in):
    form = {"scope": "https://graph.microsoft.com/.default"}
    code = login("POST", "/organizations/oauth2/v2.0/devicecode", data=form).json()["device_code"]
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": code}
    token = login("POST", f"/organizations{TOKEN}", data=form).json()["access_token"]

    answer = Wire(stand_in, "graph.microsoft.com", token)("GET", "/v1.0/me")
    assert answer.json()["userPrincipalName"] == stand_in.state.user.name


def test_refusals(login, stand_in):
    for changes, error, description in (
        ({"client_secret": "x"}, "401 invalid_client", "AADSTS7000215: Invalid client secret provided. "),
        ({"client_id": "somebody"}, "400 unauthorized_client", "AADSTS700016: "),
        ({"tenant": "elsewhere"}, "400 invalid_tenant", "AADSTS90002: "),
        ({"grant_type": "magic"}, "400 unsupported_grant_type", "AADSTS70003: "),
        ({"scope": "https://vault.azure.net"}, "400 invalid_scope", "AADSTS1002012: "),
        # What Entra ID knows and the stand-in does not, it says itself.
        ({"grant_type": "authorization_code"}, "501 not_implemented", "The stand-in for Azure "),
        ({"client_assertion": "x"}, "501 not_implemented", "The stand-in for Azure "),
        ({"tenant": "a/b"}, "501 not_implemented", f"The stand-in for Azure does not know POST /a/b{TOKEN}"),
    ):
        answer = sign_in(login, stand_in, **changes)
        assert f"{answer.status_code} {answer.json()['error']}" == error
        assert answer.json()["error_description"].startswith(description)


def test_user_by_name_or_object_id(graph, stand_in):
    user, sample = stand_in.state.user, stand_in.state.sample
    for name in ("somebody@example.com", "Somebody@Example.com", user.object_id):
        assert graph("GET", f"/v1.0/users/{name}").json()["id"] == user.object_id
    assert graph("GET", f"/v1.0/users/{sample.object_id}").status_code == 404
    assert graph("GET", "/v1.0/me").status_code == 400, "of a service principal"


def test_application_outlives_its_service_principal(graph, login, stand_in):
    application = graph("POST", "/v1.0/applications", json={"displayName": "mine"}).json()
    principal = graph("POST", "/v1.0/servicePrincipals", json={"appId": application["appId"]}).json()
    of_application = f"/v1.0/applications/{application['id']}"
    of_principal = f"/v1.0/servicePrincipals/{principal['id']}"
    password = graph("POST", f"{of_application}/addPassword").json()
    client = {"client_id": application["appId"], "client_secret": password["secretText"]}
    assert sign_in(login, stand_in, **client).status_code == 200
    graph("POST", f"{of_application}/removePassword", json={"keyId": password["keyId"]})
    assert sign_in(login, stand_in, **client).status_code == 401
    graph("DELETE", of_principal)
    assert graph("GET", of_principal).status_code == 404
    assert sign_in(login, stand_in, **client).status_code == 400
    assert graph("GET", of_application).json()["appId"] == application["appId"]
    graph("DELETE", of_application)
    assert graph("GET", of_application).status_code == 404
