"""Access tokens: handed out by Entra ID, checked by every service.

The claims are those of an Entra ID v1.0 access token
(https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference).
"""

import time

import jwt

ALGORITHM = "HS256"
LIFETIME = 3600  # seconds

KEY_VAULT = "https://vault.azure.net"
RESOURCE_MANAGER = "https://management.core.windows.net/"
GRAPH = "https://graph.microsoft.com/"


def issuer(tenant_id):
    """The issuer of a tenant's tokens."""
    return f"https://sts.windows.net/{tenant_id}/"


def issue(state, principal, audience, *, tenant_id=None, lifetime=LIFETIME):
    """A signed token for ``principal``, valid at ``audience`` for ``lifetime`` seconds.

    ``principal`` is a User or a ServicePrincipal, ``audience`` the service's URL, ``tenant_id`` the
    stand-in's own tenant unless a test asks for another one.
    """
    tenant_id = tenant_id or state.tenant_id
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": issuer(tenant_id),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "appid": principal.client_id,
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": tenant_id,
        "ver": "1.0",
    }
    return jwt.encode(claims, state.signing_key, ALGORITHM)


def check(state, request, audience):
    """The claims of the request's bearer token.

    Raises ``jwt.InvalidTokenError`` for a token that is missing, made up, changed, or expired, and of that
    kind ``jwt.InvalidAudienceError`` for one for another service, and ``jwt.InvalidIssuerError`` for one of
    another tenant. The argument of these two is what was found.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise jwt.InvalidTokenError("no bearer token")
    claims = jwt.decode(token, state.signing_key, [ALGORITHM], options={"verify_aud": False})
    # Clients write the name of a service with and without the slash.
    found = claims.get("aud", "")
    if found.rstrip("/") != audience.rstrip("/"):
        raise jwt.InvalidAudienceError(found)
    if claims["iss"] != issuer(state.tenant_id):
        raise jwt.InvalidIssuerError(claims["iss"])
    return claims
