"""Entra ID, login.microsoftonline.com: where the token endpoint is, and tokens.

Service principals sign in with a client secret, users with a password or a device code. The discovery
document and a service principal's token are as in
sdk/keyvault/keyvault-secrets/recordings/node/secrets_client__long_running_operations__recoverdelete of
https://github.com/Azure/azure-sdk-for-js. Error codes are those of
https://learn.microsoft.com/entra/identity-platform/reference-error-codes. Three messages are quoted in
https://github.com/Azure/azure-powershell/issues/9156 (AADSTS700016),
https://github.com/Azure/Commercial-Marketplace-SaaS-Accelerator/issues/830 (AADSTS7000229), and
https://support.nylas.com/hc/en-us/articles/10579701551005 (AADSTS9002313).
"""

import base64
import hmac
import json
import re
import time

import jwt

from . import tokens
from .messages import Answer, Refusal, find_route, unknown
from .state import find

HOST = "login.microsoftonline.com"

# Grants that Entra ID knows and the stand-in does not.
OTHER_GRANTS = ("authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer")


def answer(state, request):
    """The answer to one request to Entra ID. Raises Refusal."""
    route, parts = find_route(ROUTES, request)
    if route is None:
        raise _unknown(request)
    tenant = parts.pop("tenant", state.tenant_id)
    # Users sign in to "organizations" when they name no tenant.
    if tenant not in (state.tenant_id, "organizations"):
        raise _refusal(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.")
    return route[2](state, request, **parts)


def _refusal(status, code, description):
    number = re.match("AADSTS([0-9]+)", description)
    numbers = [int(number[1])] if number else []
    document = {"error": code, "error_description": description, "error_codes": numbers}
    return Refusal(Answer(status, document))


def _unknown(what):
    return _refusal(501, "not_implemented", unknown(what))


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
    grants = {
        "client_credentials": _by_client_secret,
        "password": _by_password,
        "refresh_token": _by_refresh_token,
        "urn:ietf:params:oauth:grant-type:device_code": _by_device_code,
    }
    grant = form.get("grant_type")
    if grant in OTHER_GRANTS or "client_assertion" in form:
        raise _unknown("this way to sign in")
    if grant not in grants:
        message = "AADSTS70003: The app requested an unsupported grant type."
        raise _refusal(400, "unsupported_grant_type", message)
    principal = grants[grant](state, form)
    # The device code is the scope that it was asked for with.
    scope = form.get("scope") or form.get("device_code", "")
    if not scope:
        message = "AADSTS900144: The request body must contain the following parameter: 'scope'."
        raise _refusal(400, "invalid_request", message)
    resource = re.match(r"(\S+)/\.default(\s|$)", scope)
    if not resource:
        message = f"AADSTS1002012: The provided value for scope {scope} is not valid."
        raise _refusal(400, "invalid_scope", message)
    document = {
        "token_type": "Bearer",
        "expires_in": tokens.LIFETIME,
        "ext_expires_in": tokens.LIFETIME,
        "access_token": tokens.issue(state, principal, resource[1]),
    }
    if principal in state.users:
        document |= _tokens_of_user(state, principal, form, scope)
    return Answer(200, document)


def _by_client_secret(state, form):
    client_id = form.get("client_id", "")
    application = find(state.applications, client_id=client_id)
    if application is None:
        message = (
            f"AADSTS700016: Application with identifier '{client_id}' was not found in the directory "
            "'Contoso'. This can happen if the application has not been installed by the administrator of the "
            "tenant or consented to by any user in the tenant. You may have sent your authentication request "
            "to the wrong tenant."
        )
        raise _refusal(400, "unauthorized_client", message)
    principal = find(state.service_principals, client_id=client_id)
    if principal is None:
        message = (
            f"AADSTS7000229: The client application {client_id} is missing service principal in the tenant "
            f"{state.tenant_id}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"
        )
        raise _refusal(400, "unauthorized_client", message)
    client_secrets = application.client_secrets + principal.client_secrets
    if not any(_equal(form.get("client_secret"), one.value) for one in client_secrets):
        message = (
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
            "request is the client secret value, not the client secret ID, for a secret added to "
            f"app '{client_id}'."
        )
        raise _refusal(401, "invalid_client", message)
    return principal


def _by_password(state, form):
    user = find(state.users, name=form.get("username"))
    if user is None or not _equal(form.get("password"), user.password):
        message = "AADSTS50126: Error validating credentials due to invalid username or password."
        raise _refusal(400, "invalid_grant", message)
    return user


def _by_refresh_token(state, form):
    try:
        claims = jwt.decode(form.get("refresh_token", ""), state.signing_key, [tokens.ALGORITHM])
    except jwt.InvalidTokenError:
        claims = {}
    user = find(state.users, object_id=claims.get("refreshes"))
    if user is None:
        message = "AADSTS9002313: Invalid request. Request is malformed or invalid."
        raise _refusal(400, "invalid_grant", message)
    return user


def _by_device_code(state, form):
    # There is no page on which to enter the code, so that it is always accepted.
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


def _tokens_of_user(state, user, form, scope):
    """What a user's client gets besides the access token: who has signed in, and a refresh token."""
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
        "scope": scope,
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
