"""Microsoft Graph, graph.microsoft.com: users, service principals, applications, and client secrets.

It knows the requests of the Azure CLI 2.91.0. The fields are those of
https://learn.microsoft.com/graph/api/resources/serviceprincipal, .../user, .../application, and
.../passwordcredential. A recording of the real service is
src/azure-cli/azure/cli/command_modules/role/tests/latest/recordings/test_create_for_rbac_password.yaml of
https://github.com/Azure/azure-cli
"""

import re

import jwt

from . import tokens
from .messages import Answer, Refusal, error, find_route, not_implemented
from .state import Application, ClientSecret, ServicePrincipal, find

HOST = "graph.microsoft.com"


def answer(state, request):
    """The answer to one request to Microsoft Graph. Raises Refusal."""
    try:
        request.claims = tokens.check(state, request, tokens.GRAPH)
    except jwt.InvalidTokenError:
        message = "Access token is empty or not valid."
        raise Refusal(error(401, "InvalidAuthenticationToken", message)) from None
    route, parts = find_route(ROUTES, request)
    if route is None:
        return not_implemented(request)
    return route[2](state, request, **parts)


def _user(user):
    return {
        "@odata.type": "#microsoft.graph.user",
        "id": user.object_id,
        "displayName": user.name,
        "userPrincipalName": user.name,
    }


def _service_principal(principal):
    return {
        "@odata.type": "#microsoft.graph.servicePrincipal",
        "id": principal.object_id,
        "appId": principal.client_id,
        "displayName": principal.name,
        "servicePrincipalNames": [principal.client_id],
        "servicePrincipalType": "Application",
        "passwordCredentials": _credentials(principal),
    }


def _application(application):
    return {
        "id": application.object_id,
        "appId": application.client_id,
        "displayName": application.name,
        "identifierUris": [],
        "passwordCredentials": _credentials(application),
        "keyCredentials": [],
    }


def _credentials(bearer):
    return [{"keyId": one.key_id, "displayName": "rbac"} for one in bearer.client_secrets]


def _kind(state, kind):
    """The objects of a kind, and the function that turns one into a document."""
    return {
        "users": (state.users, _user),
        "applications": (state.applications, _application),
        "serviceprincipals": (state.service_principals, _service_principal),
    }[kind.lower()]


def _find(state, kind, object_id):
    """An object of a kind by its ID, or a user by name. Raises Refusal where there is none."""
    objects, _ = _kind(state, kind)
    found = find(objects, object_id=object_id)
    if found is None and kind.lower() == "users":
        found = find(objects, name=object_id)
    if found is None:
        raise Refusal(error(404, "Request_ResourceNotFound", f"Resource '{object_id}' does not exist."))
    return found


def _bad_request(message):
    return Refusal(error(400, "Request_BadRequest", message))


def _me(state, request):
    user = find(state.users, object_id=request.claims["oid"])
    if user is None:
        # In the Azure CLI's own words, it is what a service principal gets.
        message = "/me request is only valid with delegated authentication flow."
        raise Refusal(error(400, "BadRequest", message))
    return Answer(200, _user(user))


def _list(state, request, kind):
    """Those with an ID or a name that stands in quotes in the filter; all of them without a filter."""
    objects, document = _kind(state, kind)
    wanted = set(re.findall("'([^']*)'", request.query.get("filter", "")))
    found = [one for one in objects if not wanted or wanted & {one.client_id, one.name}]
    return Answer(200, {"value": [document(one) for one in found]})


def _by_ids(state, request):
    wanted = request.json().get("ids", [])
    found = [_user(one) for one in state.users]
    found += [_service_principal(one) for one in state.service_principals]
    return Answer(200, {"value": [one for one in found if one["id"] in wanted]})


def _get(state, request, kind, object_id):
    _, document = _kind(state, kind)
    return Answer(200, document(_find(state, kind, object_id)))


def _add_application(state, request):
    application = Application(request.json()["displayName"])
    state.applications.append(application)
    return Answer(201, _application(application))


def _add_service_principal(state, request):
    client_id = request.json()["appId"]
    application = find(state.applications, client_id=client_id)
    if application is None:
        raise _bad_request(f"The appId '{client_id}' does not reference a valid application object.")
    principal = ServicePrincipal(application)
    state.service_principals.append(principal)
    return Answer(201, _service_principal(principal))


def _delete(state, request, kind, object_id):
    """Delete an application with its service principal, or a service principal alone."""
    deleted = _find(state, kind, object_id)
    objects, _ = _kind(state, kind)
    objects.remove(deleted)
    state.service_principals = [
        one for one in state.service_principals if one.application in state.applications
    ]
    return Answer(204)


def _add_password(state, request, kind, object_id):
    secret = ClientSecret()
    _find(state, kind, object_id).client_secrets.append(secret)
    return Answer(200, {"keyId": secret.key_id, "secretText": secret.value})


def _remove_password(state, request, kind, object_id):
    bearer = _find(state, kind, object_id)
    secret = find(bearer.client_secrets, key_id=request.json()["keyId"])
    if secret is None:
        raise _bad_request("No credentials found to be removed.")
    bearer.client_secrets.remove(secret)
    return Answer(204)


_KIND = "/v1.0/(?P<kind>users|applications|servicePrincipals)"
_ONE = f"{_KIND}/(?P<object_id>[^/]+)"
_BEARER = "/v1.0/(?P<kind>applications|servicePrincipals)/(?P<object_id>[^/]+)"

# Method, path, and what it does.
ROUTES = [
    ("GET", "/v1.0/me", _me),
    ("GET", _KIND, _list),
    ("GET", _ONE, _get),
    ("POST", "/v1.0/directoryObjects/getByIds", _by_ids),
    ("POST", "/v1.0/applications", _add_application),
    ("POST", "/v1.0/servicePrincipals", _add_service_principal),
    ("DELETE", _BEARER, _delete),
    ("POST", f"{_BEARER}/addPassword", _add_password),
    ("POST", f"{_BEARER}/removePassword", _remove_password),
]
