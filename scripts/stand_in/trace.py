"""An exchange, shown to an audience: one line of at most 80 columns for each request and its answer."""

import os
import re

# A note for an exchange, by a pattern for its service, method, path, status, and error code; the first that fits.
NOTES = [
    (r"CONNECT .* 403", "no such host"),
    (r"Key Vault .* 401", "challenge: who are you?"),
    (r"/openid-configuration 200", "where to get a token"),
    (r"/devicecode 200", "a code to sign in with"),
    (r"/token 200", "a token"),
    (r"/token 4", "no token"),
    (r"PUT /secrets/[^/]+ 200", "secret set"),
    (r"GET /secrets/[^/]+/\S* 200", "secret retrieved"),
    (r"PATCH /secrets/[^/]+/\S* 200", "secret updated"),
    (r"DELETE /secrets/[^/]+ 200", "deletion started"),
    (r"GET /deletedsecrets/[^/]+ 404", "not deleted yet"),
    (r"GET /deletedsecrets/[^/]+ 200", "deleted"),
    (r"POST /secrets/[^/]+/backup 200", "secret backed up"),
    (r"POST /secrets/restore 200", "secret restored"),
    (r"POST /deletedsecrets/[^/]+/recover 200", "recovery started"),
    (r"DELETE /deletedsecrets/[^/]+ 204", "secret purged"),
    (r" 404 ResourceNotFound", "not there yet"),
    (r"PUT /subscriptions/[^ ]*/vaults/[^/]+ 20", "vault created or updated"),
    (r"PUT /subscriptions/[^ ]*/resourcegroups/[^/]+ 20", "resource group created"),
]
SERVICES = {
    "login.microsoftonline.com": "Entra ID",
    "management.azure.com": "Resources",
    "graph.microsoft.com": "Graph",
}
# Where az looks for its updates. It goes on without an answer, so a refusal there is no failure.
AZ_UPDATES = "azcliprod.blob.core.windows.net"
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GREEN, YELLOW, RED = 32, 33, 31
# In columns. No path of a run without errors is longer, and the longest note fits into what is left of 80.
PATH_WIDTH = 30
NOTE_WIDTH = 27


class Trace:
    """Writes exchanges to a stream as they happen.

    Color is for terminals, and there only without ``NO_COLOR`` (https://no-color.org). Nothing of
    headers, queries and bodies is shown; identifiers in paths, which differ from run to run, are
    shown as ``{id}``.
    """

    def __init__(self, stream):
        self.stream = stream
        self.has_color = stream.isatty() and not os.environ.get("NO_COLOR")

    def show(self, exchange):
        """Write the line of one exchange, unless az has only looked for its updates."""
        if exchange.host == AZ_UPDATES:
            return
        is_tunnel = exchange.method == "CONNECT"
        path = UUID.sub("{id}", exchange.host + exchange.path if is_tunnel else exchange.path)
        path = "".join(character if character.isprintable() else "?" for character in path)
        if len(path) > PATH_WIDTH:
            path = f"{path[:6]}...{path[9 - PATH_WIDTH :]}"
        status = str(exchange.status or "???")
        if self.has_color:
            color = {"2": GREEN, "4": YELLOW}.get(status[0], RED)
            # Bold, because yellow and green alone are hard to read on a light projector.
            status = f"\033[1;{color}m{status}\033[0m"
        line = f"{service(exchange):<9} {exchange.method:<7} {path:<{PATH_WIDTH}} {status} {note(exchange)}"
        print(line.rstrip(), file=self.stream, flush=True)


def service(exchange):
    """The name of the service that was asked."""
    if exchange.method == "CONNECT":
        return "Proxy"
    return SERVICES.get(exchange.host, "Key Vault")


def note(exchange):
    """What an exchange was, in a few words; an error that is not expected is named by its code."""
    text = f"{service(exchange)} {exchange} {exchange.error_code}"
    found = next((words for pattern, words in NOTES if re.search(pattern, text)), exchange.error_code)
    return str(exchange.note or found)[:NOTE_WIDTH]
