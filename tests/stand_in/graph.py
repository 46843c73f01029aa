"""Microsoft Graph, graph.microsoft.com: who is signed in, and who a service principal is.

Recorded: which requests the Azure CLI 2.91.0 sends, and that /me is refused to a service principal
with 400. The fields are those of https://learn.microsoft.com/graph/api/resources/serviceprincipal,
.../user, .../application and .../passwordcredential. An application and its service principal are
made together here.
"""

import re

import jwt

from . import tokens
from .messages import Answer, error, find_route
from .state import ClientSecret, ServicePrincipal, User

HOST = "graph.microsoft.com"


def answer(state, request):
    """The answer to one request to Microsoft Graph: first who asks is checked."""
    try:
        claims = tokens.check(state, request, tokens.GRAPH)
    except jwt.InvalidTokenError:
        return error(401, "InvalidAuthenticationToken", "Access token is empty or not valid.")
    route, parts = find_route(ROUTES, request)
    if route is None:
        return error(404, "Request_ResourceNotFound", f"Resource '{request.path}' does not exist.")
    return route[2](state, request, claims, **parts)


def _document(principal):
    if isinstance(principal, User):
        return {
            "@odata.type": "#microsoft.graph.user",
            "id": principal.object_id,
            "displayName": principal.name,
            "userPrincipalName": principal.name,
        }
    return {
        "@odata.type": "#microsoft.graph.servicePrincipal",
        "id": principal.object_id,
        "appId": principal.client_id,
        "displayName": principal.name,
        "servicePrincipalNames": [principal.client_id],
        "servicePrincipalType": "Application",
    }


def _application(principal):
    return {
        "id": principal.application_object_id,
        "appId": principal.client_id,
        "displayName": principal.name,
        "identifierUris": [],
        "passwordCredentials": [{"keyId": one.key_id} for one in principal.client_secrets],
        "keyCredentials": [],
    }


def _me(state, request, claims):
    user = state.find_principal(object_id=claims["oid"])
    if not isinstance(user, User):
        message = "/me request is only valid with delegated authentication flow."
        return error(400, "BadRequest", message)
    return Answer(200, _document(user))


def _service_principals(state, request, claims):
    return _filtered(state, request, of_users=False)


def _users(state, request, claims):
    return _filtered(state, request, of_users=True)


def _filtered(state, request, of_users):
    """Those who bear one of the texts that stand in quotes in the filter."""
    wanted = re.findall("'([^']*)'", request.query.get("filter", ""))
    found = [
        _document(one)
        for one in state.principals
        if isinstance(one, User) == of_users and {one.client_id, one.name, one.object_id} & set(wanted)
    ]
    return Answer(200, {"value": found})


def _one(state, request, claims, object_id):
    principal = state.find_principal(object_id=object_id)
    if principal is None:
        message = f"Resource '{object_id}' does not exist."
        return error(404, "Request_ResourceNotFound", message)
    return Answer(200, _document(principal))


def _by_ids(state, request, claims):
    wanted = (request.json({}) or {}).get("ids", [])
    return Answer(200, {"value": [_document(one) for one in state.principals if one.object_id in wanted]})


def _applications(state, request, claims):
    wanted = re.findall("'([^']*)'", request.query.get("filter", ""))
    found = [
        _application(one)
        for one in state.principals
        if not isinstance(one, User) and {one.client_id, one.name} & set(wanted)
    ]
    return Answer(200, {"value": found})


def _add_application(state, request, claims):
    name = (request.json({}) or {}).get("displayName", "")
    principal = ServicePrincipal(name, client_secrets=[])
    state.principals.append(principal)
    return Answer(201, _application(principal))


def _delete_application(state, request, claims, object_id):
    principal = state.find_principal(application_object_id=object_id)
    if principal is None:
        message = f"Resource '{object_id}' does not exist."
        return error(404, "Request_ResourceNotFound", message)
    state.principals.remove(principal)
    return Answer(204)


def _add_service_principal(state, request, claims):
    client_id = (request.json({}) or {}).get("appId", "")
    principal = state.find_principal(client_id=client_id)
    if principal is None:
        message = f"The appId '{client_id}' does not reference a valid application object."
        return error(400, "Request_BadRequest", message)
    return Answer(201, _document(principal))


def _add_password(state, request, claims, object_id):
    principal = state.find_principal(object_id=object_id) or state.find_principal(
        application_object_id=object_id
    )
    if principal is None:
        message = f"Resource '{object_id}' does not exist."
        return error(404, "Request_ResourceNotFound", message)
    secret = ClientSecret()
    principal.client_secrets.append(secret)
    return Answer(200, {"keyId": secret.key_id, "secretText": secret.value})


# Method, path, and what it does.
ROUTES = [
    ("GET", "/v1.0/me", _me),
    ("GET", "/v1.0/servicePrincipals", _service_principals),
    ("GET", "/v1.0/users", _users),
    ("GET", "/v1.0/(servicePrincipals|users|directoryObjects)/(?P<object_id>[^/]+)", _one),
    ("POST", "/v1.0/directoryObjects/getByIds", _by_ids),
    ("GET", "/v1.0/applications", _applications),
    ("POST", "/v1.0/applications", _add_application),
    ("DELETE", "/v1.0/applications/(?P<object_id>[^/]+)", _delete_application),
    ("POST", "/v1.0/servicePrincipals", _add_service_principal),
    ("POST", "/v1.0/(applications|servicePrincipals)/(?P<object_id>[^/]+)/addPassword", _add_password),
]
