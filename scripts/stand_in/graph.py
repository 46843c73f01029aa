"""Microsoft Graph, graph.microsoft.com: who is signed in, and who a service principal is.

It knows the requests of the Azure CLI 2.91.0. That /me is refused to a service principal with 400 is what the
Azure CLI reports; the fields are those of
https://learn.microsoft.com/graph/api/resources/serviceprincipal, .../user, .../application, and
.../passwordcredential.
"""

import re

import jwt

from . import tokens
from .messages import Answer, error, find_route, unknown
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
        return error(501, "NotImplemented", unknown(request))
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
        "passwordCredentials": _credentials(principal, of_application=False),
    }


def _credentials(principal, of_application):
    found = [one for one in principal.client_secrets if one.is_of_application == of_application]
    return [{"keyId": one.key_id, "displayName": "rbac"} for one in found]


def _application(principal):
    return {
        "id": principal.application_object_id,
        "appId": principal.client_id,
        "displayName": principal.name,
        "identifierUris": [],
        "passwordCredentials": _credentials(principal, of_application=True),
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
    """Those who bear one of the texts that stand in quotes in the filter; all without a filter."""
    found = [one for one in state.principals if isinstance(one, User) == of_users and one.is_in_tenant]
    return _matching(request, found, _document)


def _matching(request, principals, document):
    wanted = set(re.findall("'([^']*)'", request.query.get("filter", "")))
    found = [
        document(one) for one in principals if not wanted or wanted & {one.client_id, one.name, one.object_id}
    ]
    return Answer(200, {"value": found})


def _not_found(object_id):
    return error(404, "Request_ResourceNotFound", f"Resource '{object_id}' does not exist.")


def _bad_request(message="The request body is not as documented."):
    return error(400, "Request_BadRequest", message)


def _find(state, object_id):
    principal = state.find_principal(object_id=object_id)
    return principal if principal and principal.is_in_tenant else None


def _one(state, request, claims, object_id):
    principal = _find(state, object_id)
    return Answer(200, _document(principal)) if principal else _not_found(object_id)


def _user(state, request, claims, name):
    """A user, by object ID or user principal name."""
    for one in state.principals:
        if isinstance(one, User) and name.lower() in (one.object_id, one.name.lower()):
            return Answer(200, _document(one))
    return _not_found(name)


def _by_ids(state, request, claims):
    wanted = (request.json({"ids": [str]}) or {}).get("ids") or []
    found = [one for one in state.principals if one.object_id in wanted and one.is_in_tenant]
    return Answer(200, {"value": [_document(one) for one in found]})


def _applications(state, request, claims):
    found = [one for one in state.principals if not isinstance(one, User)]
    return _matching(request, found, _application)


def _one_application(state, request, claims, object_id):
    principal = state.find_principal(application_object_id=object_id)
    return Answer(200, _application(principal)) if principal else _not_found(object_id)


def _add_application(state, request, claims):
    name = (request.json({"displayName": str}) or {}).get("displayName")
    if not name:
        return _bad_request()
    principal = ServicePrincipal(name, client_secrets=[], is_in_tenant=False)
    state.principals.append(principal)
    return Answer(201, _application(principal))


def _delete_application(state, request, claims, object_id):
    principal = state.find_principal(application_object_id=object_id)
    if principal is None:
        return _not_found(object_id)
    state.principals.remove(principal)
    return Answer(204)


def _add_service_principal(state, request, claims):
    client_id = (request.json({"appId": str}) or {}).get("appId")
    principal = state.find_principal(client_id=client_id)
    if principal is None:
        return _bad_request(f"The appId '{client_id}' does not reference a valid application object.")
    principal.is_in_tenant = True
    return Answer(201, _document(principal))


def _delete_service_principal(state, request, claims, object_id):
    principal = _find(state, object_id)
    if principal is None or isinstance(principal, User):
        return _not_found(object_id)
    principal.is_in_tenant = False
    principal.client_secrets = [one for one in principal.client_secrets if one.is_of_application]
    return Answer(204)


def _find_bearer(state, object_id):
    """Whose client secrets are meant, and whether the application or the service principal bears them."""
    principal = state.find_principal(application_object_id=object_id)
    return (principal, True) if principal else (_find(state, object_id), False)


def _add_password(state, request, claims, object_id):
    principal, of_application = _find_bearer(state, object_id)
    if principal is None:
        return _not_found(object_id)
    secret = ClientSecret(is_of_application=of_application)
    principal.client_secrets.append(secret)
    return Answer(200, {"keyId": secret.key_id, "secretText": secret.value})


def _remove_password(state, request, claims, object_id):
    principal, _ = _find_bearer(state, object_id)
    if principal is None:
        return _not_found(object_id)
    key_id = (request.json({"keyId": str}) or {}).get("keyId")
    if key_id not in [one.key_id for one in principal.client_secrets]:
        return _bad_request("No credentials found to be removed.")
    principal.client_secrets = [one for one in principal.client_secrets if one.key_id != key_id]
    return Answer(204)


_BEARER = "/v1.0/(applications|servicePrincipals)/(?P<object_id>[^/]+)"

# Method, path, and what it does.
ROUTES = [
    ("GET", "/v1.0/me", _me),
    ("GET", "/v1.0/servicePrincipals", _service_principals),
    ("GET", "/v1.0/users", _users),
    ("GET", "/v1.0/users/(?P<name>[^/]+)", _user),
    ("GET", "/v1.0/(servicePrincipals|directoryObjects)/(?P<object_id>[^/]+)", _one),
    ("POST", "/v1.0/directoryObjects/getByIds", _by_ids),
    ("GET", "/v1.0/applications", _applications),
    ("POST", "/v1.0/applications", _add_application),
    ("GET", "/v1.0/applications/(?P<object_id>[^/]+)", _one_application),
    ("DELETE", "/v1.0/applications/(?P<object_id>[^/]+)", _delete_application),
    ("POST", "/v1.0/servicePrincipals", _add_service_principal),
    ("DELETE", "/v1.0/servicePrincipals/(?P<object_id>[^/]+)", _delete_service_principal),
    ("POST", f"{_BEARER}/addPassword", _add_password),
    ("POST", f"{_BEARER}/removePassword", _remove_password),
]
