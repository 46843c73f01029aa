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


def issue(state, principal, audience, *, lifetime=LIFETIME):
    """A signed token for ``principal``, valid at ``audience`` for ``lifetime`` seconds.

    ``principal`` is a User or a ServicePrincipal, ``audience`` the service's URL.
    """
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{state.tenant_id}/",
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "appid": principal.client_id,
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": state.tenant_id,
        "ver": "1.0",
    }
    return jwt.encode(claims, state.signing_key, ALGORITHM)


def check(state, request, audience):
    """The claims of the request's bearer token.

    Raises ``jwt.InvalidTokenError`` for a token that is missing, made up, changed, or expired, and of that
    kind ``jwt.InvalidAudienceError``, with the audience as its argument, for one for another service.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise jwt.InvalidTokenError("no bearer token")
    claims = jwt.decode(token, state.signing_key, [ALGORITHM], options={"verify_aud": False})
    # Clients write the name of a service with and without the slash.
    found = claims.get("aud", "")
    if found.rstrip("/") != audience.rstrip("/"):
        raise jwt.InvalidAudienceError(found)
    return claims
