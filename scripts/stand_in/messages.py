"""A request and an answer, as the modules of the hosts see them."""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote


@dataclass
class Request:
    """One request, after the proxy and TLS.

    ``target`` is the request line's path and query as sent, ``headers`` a mapping that ignores case,
    ``claims`` those of its access token, once a host has checked it.
    """

    method: str
    host: str
    target: str
    headers: object
    body: bytes = b""
    claims: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.method} {self.path}"

    @property
    def path(self):
        """The path without the query, percent-encoding undone."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self):
        """The query's first values by name, without the leading ``$`` that OData puts there."""
        pairs = parse_qs(self.target.partition("?")[2])
        return {name.lstrip("$"): values[0] for name, values in pairs.items()}

    @property
    def form(self):
        """The first values of a form in the body, by name; empty when there is none."""
        return {name: values[0] for name, values in parse_qs(self.body.decode("latin-1")).items()}

    def json(self, shape=None):
        """The JSON object in the body, if it has the shape (any by default); None for anything else."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) and fits(document, shape or {}) else None


def fits(document, shape):
    """Whether a JSON document has a shape.

    A shape is a type, or a dict of the shapes of an object's members, each of which may be missing or
    null. ``{str: shape}`` is for all members.
    """
    if isinstance(shape, dict):
        return isinstance(document, dict) and all(
            fits(member, shape.get(name, shape.get(str)))
            for name, member in document.items()
            if member is not None and (name in shape or str in shape)
        )
    return type(document) is shape


@dataclass
class Answer:
    """An answer: a status, a document, and headers.

    The document is sent as JSON; None is no body, and bytes are a page as they stand. ``raw``, if a
    test gives it, is sent in place of all that, and the connection is reset after it. ``note`` is what
    the trace says of it.
    """

    status: int
    document: object = None
    headers: dict = field(default_factory=dict)
    raw: bytes | None = None
    note: str = ""

    @property
    def body(self):
        """The document as bytes."""
        if self.document is None:
            return b""
        if isinstance(self.document, bytes):
            return self.document
        return json.dumps(self.document).encode()

    @property
    def content_type(self):
        """The media type of the body."""
        if isinstance(self.document, bytes):
            return "text/html"
        return "application/json; charset=utf-8"

    @property
    def error_code(self):
        """The code that names an error best, the inner one if there is one; "" for none."""
        error = self.document.get("error", "") if isinstance(self.document, dict) else ""
        if isinstance(error, dict):
            return error.get("innererror", error).get("code", "")
        return error


class Refusal(Exception):
    """Raised wherever a request cannot be fulfilled. ``answer`` is what the client gets."""

    def __init__(self, answer):
        super().__init__(answer)
        self.answer = answer


def error(status, code, message, inner_code=None, headers=None):
    """The Answer with an error as Key Vault, Azure Resource Manager, and Microsoft Graph write it.

    ``inner_code`` goes into ``innererror`` when it is given.
    """
    document = {"code": code, "message": message}
    if inner_code:
        document["innererror"] = {"code": inner_code}
    return Answer(status, {"error": document}, headers or {})


def unknown(what):
    """The stand-in's own message for something that Azure knows and the stand-in does not."""
    return (
        f"The stand-in for Azure does not know {what}. It is for trying out and testing the quickstart for "
        "Key Vault secrets, and knows what that needs."
    )


def not_implemented(what):
    """The Answer to a request for something that the stand-in does not know."""
    return error(501, "NotImplemented", unknown(what))


def find_route(routes, request):
    """The first of ``routes`` that takes the request's method and path, and the path's parts.

    A route is a tuple that begins with a method and a pattern for the whole path, whose case does
    not count. The parts are the pattern's named groups, percent-encoding undone, so that they may have
    slashes. (None, {}) when no route fits.
    """
    for route in routes:
        found = re.fullmatch(route[1], request.target.partition("?")[0], re.IGNORECASE)
        if request.method == route[0] and found:
            return route, {name: part and unquote(part) for name, part in found.groupdict().items()}
    return None, {}
