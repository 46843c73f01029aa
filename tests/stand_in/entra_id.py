"""Entra ID, login.microsoftonline.com: where the token endpoint is, and tokens.

Recorded: the discovery documents, the token, AADSTS7000215. The other codes are those of
https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

import hmac

from . import tokens
from .messages import Answer, find_route

HOST = "login.microsoftonline.com"


def answer(state, request):
    """The answer to one request to Entra ID."""
    route, parts = find_route(ROUTES, request)
    if route is None:
        # Not recorded.
        return _error(404, "not_found", f"There is no {request.method} {request.path}.")
    if parts.get("tenant", state.tenant_id) != state.tenant_id:
        message = f"AADSTS90002: Tenant '{parts['tenant']}' not found."
        return _error(400, "invalid_tenant", message)
    return route[2](state, request)


def _error(status, code, description):
    return Answer(status, {"error": code, "error_description": description})


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
    if form.get("grant_type") != "client_credentials":
        message = "AADSTS70003: The app requested an unsupported grant type."
        return _error(400, "unsupported_grant_type", message)
    client_id = form.get("client_id", "")
    principal = state.find_principal(client_id=client_id)
    if principal is None:
        message = f"AADSTS700016: Application with identifier '{client_id}' was not found."
        return _error(400, "unauthorized_client", message)
    client_secret = form.get("client_secret", "")
    if not hmac.compare_digest(client_secret.encode(), principal.client_secret.encode()):
        message = (
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the "
            "request is the client secret value, not the client secret ID, for a secret added to "
            f"app '{client_id}'."
        )
        return _error(401, "invalid_client", message)
    resource, _, rest = form.get("scope", "").rpartition("/.default")
    if not resource or rest:
        message = "AADSTS1002012: The provided value for scope is not valid."
        return _error(400, "invalid_scope", message)
    return Answer(
        200,
        {
            "token_type": "Bearer",
            "expires_in": tokens.LIFETIME,
            "ext_expires_in": tokens.LIFETIME,
            "access_token": tokens.issue(state, principal, resource),
        },
    )


def _url(state, path):
    return f"https://{HOST}/{state.tenant_id}{path}"


ROUTES = [
    ("GET", "/common/discovery/instance", _discovery),
    ("GET", r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration", _configuration),
    ("POST", r"/(?P<tenant>[^/]+)/oauth2/v2\.0/token", _token),
]
