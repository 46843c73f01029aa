"""The stand-in's Entra ID and Microsoft Graph, over the wire."""

import jwt
import pytest
from conftest import TOKEN, Wire
from stand_in import tokens

USER = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "https://graph.microsoft.com/.default"


def sign_in(login, stand_in, **changes):
    """The answer to the sample's request for a token, with these changes to its form or tenant."""
    sample, tenant = stand_in.state.sample, changes.pop("tenant", stand_in.state.tenant_id)
    form = {"grant_type": "client_credentials", "scope": "https://vault.azure.net/.default"}
    form |= {"client_id": sample.client_id, "client_secret": sample.client_secret}
    return login("POST", f"/{tenant}{TOKEN}", data=form | changes)


def test_token_is_signed_for_the_service_that_was_asked_for(login, stand_in):
    answer = sign_in(login, stand_in).json()
    key, audience = stand_in.state.signing_key, "https://vault.azure.net"
    claims = jwt.decode(answer["access_token"], key, ["HS256"], audience=audience)
    assert claims["iss"] == f"https://sts.windows.net/{stand_in.state.tenant_id}/"
    assert claims["appid"] == stand_in.state.sample.client_id
    assert claims["exp"] - claims["iat"] == answer["expires_in"]


def test_user_signs_in_with_a_device_code_and_stays_signed_in(login, stand_in):
    code = login("POST", "/organizations/oauth2/v2.0/devicecode", data={"scope": SCOPE}).json()
    answer = sign_in(login, stand_in, grant_type=USER, device_code=code["device_code"], scope="").json()
    answer = sign_in(
        login, stand_in, grant_type="refresh_token", refresh_token=answer["refresh_token"], scope=SCOPE
    )
    me = Wire(stand_in, "graph.microsoft.com", answer.json()["access_token"])("GET", "/v1.0/me")
    assert me.json()["userPrincipalName"] == stand_in.state.user.name


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"client_secret": "x"}, "401 invalid_client", "AADSTS7000215: Invalid client secret provided. "),
        ({"client_id": "somebody"}, "400 unauthorized_client", "AADSTS700016: "),
        ({"tenant": "elsewhere"}, "400 invalid_tenant", "AADSTS90002: "),
        ({"grant_type": "magic"}, "400 unsupported_grant_type", "AADSTS70003: "),
        ({"scope": "https://vault.azure.net"}, "400 invalid_scope", "AADSTS1002012: "),
        ({"scope": ""}, "400 invalid_request", "AADSTS900144: "),
        ({"grant_type": "password", "username": "x"}, "400 invalid_grant", "AADSTS50126: "),
        ({"grant_type": "refresh_token"}, "400 invalid_grant", "AADSTS9002313: "),
        ({"grant_type": "refresh_token", "refresh_token": "{}"}, "400 invalid_grant", "AADSTS9002313: "),
        # What Entra ID knows and the stand-in does not, the stand-in says in its own name.
        ({"grant_type": "authorization_code"}, "501 not_implemented", "The stand-in for Azure "),
        ({"client_assertion": "x"}, "501 not_implemented", "The stand-in for Azure "),
        ({"tenant": "a/b"}, "501 not_implemented", f"The stand-in for Azure does not know POST /a/b{TOKEN}"),
    ],
)
def test_refusals(login, stand_in, changes, error, description):
    access_token = tokens.issue(stand_in.state, stand_in.state.user, tokens.GRAPH)
    changes = {name: access_token if value == "{}" else value for name, value in changes.items()}
    answer = sign_in(login, stand_in, **changes)
    assert f"{answer.status_code} {answer.json()['error']}" == error
    assert answer.json()["error_description"].startswith(description)


def test_application_outlives_its_service_principal(login, stand_in):
    token = tokens.issue(stand_in.state, stand_in.state.admin, tokens.GRAPH)
    graph = Wire(stand_in, "graph.microsoft.com", token)
    application = graph("POST", "/v1.0/applications", json={"displayName": "mine"}).json()
    principal = graph("POST", "/v1.0/servicePrincipals", json={"appId": application["appId"]}).json()
    of_application = f"/v1.0/applications/{application['id']}"
    of_principal = f"/v1.0/servicePrincipals/{principal['id']}"
    for bearer in (of_application, of_principal):
        password = graph("POST", f"{bearer}/addPassword").json()
        client = {"client_id": application["appId"], "client_secret": password["secretText"]}
        assert sign_in(login, stand_in, **client).status_code == 200
        graph("POST", f"{bearer}/removePassword", json={"keyId": password["keyId"]})
        assert sign_in(login, stand_in, **client).status_code == 401
    graph("DELETE", of_principal)
    assert graph("GET", of_principal).status_code == 404
    assert "AADSTS7000229: " in sign_in(login, stand_in, **client).json()["error_description"]
    assert graph("GET", of_application).json()["appId"] == application["appId"]
