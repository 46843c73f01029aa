"""Entra ID, login.microsoftonline.com: where the token endpoint is, and tokens.

Service principals sign in with a client secret, users with a password. The discovery documents, a service
principal's token, and AADSTS7000215 are as in public test recordings of the Azure SDKs. The other codes are
those of https://learn.microsoft.com/entra/identity-platform/reference-error-codes, and their texts those
that people quote.
"""

import base64
import hmac
import json
import re
import time

import jwt

from . import tokens
from .messages import Answer, find_route, unknown
from .state import User

HOST = "login.microsoftonline.com"

# Ways to sign in that Entra ID knows, and the stand-in does not.
OTHER_GRANTS = ("authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer")


def answer(state, request):
    """The answer to one request to Entra ID."""
    route, parts = find_route(ROUTES, request)
    if route is None:
        return _unknown(request)
    tenant = parts.pop("tenant", state.tenant_id)
    # Users sign in to "organizations" when they name no tenant.
    if tenant not in (state.tenant_id, "organizations"):
        return _error(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.")
    return route[2](state, request, **parts)


def _error(status, code, description):
    number = re.match("AADSTS([0-9]+)", description)
    numbers = [int(number[1])] if number else []
    return Answer(status, {"error": code, "error_description": description, "error_codes": numbers})


def _unknown(what):
    return _error(501, "not_implemented", unknown(what))


def _discovery(state, request):
    return Answer(
        200,
        {
            "tenant_discovery_endpoint": _url(state, "/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [
                {
                    "preferred_network": HOST,
                    "preferred_cache": "login.windows.net",
                    "aliases": [
                        HOST,
                        "login.windows.net",
                        "login.microsoft.com",
                        "sts.windows.net",
                    ],
                }
            ],
        },
    )


def _configuration(state, request):
    return Answer(
        200,
        {
            "token_endpoint": _url(state, "/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "issuer": _url(state, "/v2.0"),
            "authorization_endpoint": _url(state, "/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": _url(state, "/oauth2/v2.0/devicecode"),
            "tenant_region_scope": None,
            "cloud_instance_name": "microsoftonline.com",
        },
    )


def _token(state, request):
    form = request.form
    # Whoever redeems a device code has named the scope before.
    form.setdefault("scope", form.get("device_code", ""))
    grants = {
        "client_credentials": _by_client_secret,
        "password": _by_password,
        "refresh_token": _by_refresh_token,
        "urn:ietf:params:oauth:grant-type:device_code": _by_device_code,
    }
    if form.get("grant_type") in OTHER_GRANTS or "client_assertion" in form:
        return _unknown("this way to sign in")
    if form.get("grant_type") not in grants:
        message = "AADSTS70003: The app requested an unsupported grant type."
        return _error(400, "unsupported_grant_type", message)
    principal = grants[form["grant_type"]](state, form)
    if isinstance(principal, Answer):
        return principal
    resource = re.match(r"(\S+)/\.default(\s|$)", form["scope"])
    if not resource:
        message = "AADSTS1002012: The provided value for scope is not valid."
        return _error(400, "invalid_scope", message)
    answer = {
        "token_type": "Bearer",
        "expires_in": tokens.LIFETIME,
        "ext_expires_in": tokens.LIFETIME,
        "access_token": tokens.issue(state, principal, resource[1]),
    }
    if isinstance(principal, User):
        answer |= _of_user(state, principal, form)
    return Answer(200, answer)


def _by_client_secret(state, form):
    client_id = form.get("client_id", "")
    principal = state.find_principal(client_id=client_id)
    if principal is None:
        message = (
            f"AADSTS700016: Application with identifier '{client_id}' was not found in the directory "
            "'Contoso'."
        )
        return _error(400, "unauthorized_client", message)
    if not principal.is_in_tenant:
        message = (
            f"AADSTS7000229: The client application {client_id} is missing service principal in the tenant "
            f"{state.tenant_id}."
        )
        return _error(400, "unauthorized_client", message)
    given = form.get("client_secret")
    if not any(_equal(given, one.value) for one in principal.client_secrets):
        message = (
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
            "request is the client secret value, not the client secret ID, for a secret added to "
            f"app '{client_id}'."
        )
        return _error(401, "invalid_client", message)
    return principal


def _by_password(state, form):
    user = state.find_principal(name=form.get("username", ""))
    if not isinstance(user, User) or not _equal(form.get("password"), user.password):
        message = "AADSTS50126: Error validating credentials due to invalid username or password."
        return _error(400, "invalid_grant", message)
    return user


def _by_refresh_token(state, form):
    try:
        claims = jwt.decode(form.get("refresh_token", ""), state.signing_key, [tokens.ALGORITHM])
    except jwt.InvalidTokenError:
        return _error(400, "invalid_grant", "AADSTS9002313: Invalid request. It is malformed or invalid.")
    return state.find_principal(object_id=claims["refreshes"])


def _by_device_code(state, form):
    # Whoever asks has been let in already: there is no page to open.
    return state.user


def _device_code(state, request):
    return Answer(
        200,
        {
            "device_code": request.form.get("scope", ""),
            "user_code": "STAND-IN",
            "verification_uri": f"https://{HOST}/device",
            "expires_in": 900,
            "interval": 1,
            "message": (
                "The stand-in for Azure signs you in as somebody@example.com. With a real subscription, you "
                "would sign in on a page now."
            ),
        },
    )


def _equal(given, expected):
    return hmac.compare_digest((given or "").encode(), expected.encode())


def _of_user(state, user, form):
    """What else a user's client gets: who it is for, and a token to ask for more with."""
    identity = {
        "aud": form.get("client_id"),
        "iss": _url(state, "/v2.0"),
        "iat": int(time.time()),
        "exp": int(time.time()) + tokens.LIFETIME,
        "oid": user.object_id,
        "sub": user.object_id,
        "tid": state.tenant_id,
        "preferred_username": user.name,
    }
    client_info = json.dumps({"uid": user.object_id, "utid": state.tenant_id}).encode()
    return {
        "scope": form["scope"],
        "id_token": jwt.encode(identity, state.signing_key, tokens.ALGORITHM),
        "client_info": base64.urlsafe_b64encode(client_info).decode().rstrip("="),
        "refresh_token": jwt.encode({"refreshes": user.object_id}, state.signing_key, tokens.ALGORITHM),
    }


def _realm(state, request, name):
    return Answer(200, {"account_type": "Managed", "domain_name": name.partition("@")[2], "ver": "1.0"})


def _url(state, path):
    return f"https://{HOST}/{state.tenant_id}{path}"


ROUTES = [
    ("GET", "/common/discovery/instance", _discovery),
    ("GET", "/common/userrealm/(?P<name>[^/]+)", _realm),
    ("GET", r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration", _configuration),
    ("POST", r"/(?P<tenant>[^/]+)/oauth2/v2\.0/token", _token),
    ("POST", r"/(?P<tenant>[^/]+)/oauth2/v2\.0/devicecode", _device_code),
]
