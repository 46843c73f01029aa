"""The stand-in's Entra ID, over the wire: each line of "Entra ID" in the recordings, and misuse."""

import jwt
import pytest

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


def test_discovery_names_the_token_endpoint(login, stand_in):
    tenant = stand_in.state.tenant_id
    answer = login("GET", f"/{tenant}/v2.0/.well-known/openid-configuration")

    assert answer.status_code == 200
    endpoint = answer.json()["token_endpoint"]
    assert endpoint == f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"


def test_older_libraries_find_the_instance(login):
    answer = login("GET", "/common/discovery/instance?api-version=1.1")

    assert answer.status_code == 200
    assert "login.microsoftonline.com" in answer.json()["metadata"][0]["aliases"]


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


def test_wrong_client_secret_is_refused(login, stand_in):
    answer = ask(login, stand_in, client_secret="guessed")

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert answer.json()["error_description"].startswith("AADSTS7000215: Invalid client secret provided. ")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "somebody"}, "AADSTS700016"),
        ({"tenant": "elsewhere"}, "AADSTS90002"),
        ({"grant_type": "magic"}, "AADSTS70003"),
        ({"scope": "https://vault.azure.net"}, "AADSTS1002012"),
    ],
)
def test_misuse_gets_the_code_that_names_it(login, stand_in, changes, code):
    answer = ask(login, stand_in, **changes)

    assert answer.status_code == 400
    assert answer.json()["error_description"].startswith(f"{code}: ")


def test_client_secrets_are_new_for_each_run(stand_in):
    with type(stand_in)() as other:
        assert other.state.sample.client_secret != stand_in.state.sample.client_secret
