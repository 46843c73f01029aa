"""The picture of an exchange for an audience: one line for each request and its answer."""

import os
import re

# What an exchange was, by its host, method, path, status and error code; the first that fits.
NOTES = [
    (r"CONNECT .* 403", "no such host"),
    (r"vault\.azure\.net .* 401", "the challenge: who are you?"),
    (r"/openid-configuration 200", "where to get a token"),
    (r"/token 200", "the token"),
    (r"/token 4", "no token"),
    (r"GET /secrets/[^/]+/versions 200", "is the name free?"),
    (r"PUT /secrets/[^/]+ 200", "the secret is set"),
    (r"GET /secrets/[^/]+/\S* 200", "the secret is retrieved"),
    (r"DELETE /secrets/[^/]+ 200", "its deletion begins"),
    (r"GET /deletedsecrets/[^/]+ 404", "not deleted yet"),
    (r"GET /deletedsecrets/[^/]+ 200", "now it is deleted"),
    (r"POST /deletedsecrets/[^/]+/recover 200", "the secret is recovered"),
    (r"DELETE /deletedsecrets/[^/]+ 204", "the secret is purged"),
    (r" 404 ResourceNotFound", "not there yet"),
    (r"PUT /subscriptions/[^ ]*/vaults/[^/]+ 20", "the vault, as asked"),
    (r"PUT /subscriptions/[^ ]*/resourcegroups/[^/]+ 20", "the resource group"),
]
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GREEN, YELLOW, RED = 32, 33, 31
WIDTH = 44  # of a path, in characters: the longest one of a good run


class Trace:
    """Writes exchanges to a stream as they happen.

    Colour is for terminals, and there only without ``NO_COLOR`` (https://no-color.org). Nothing of
    headers, queries and bodies is shown; identifiers in paths, which differ from run to run, are
    shown as ``{id}``.
    """

    def __init__(self, stream):
        self.stream = stream
        self.has_colour = stream.isatty() and not os.environ.get("NO_COLOR")

    def show(self, exchange):
        """Write the line of one exchange."""
        path = UUID.sub("{id}", exchange.path)
        if len(path) > WIDTH:
            path = f"{path[:12]}...{path[15 - WIDTH :]}"
        status = str(exchange.status or "lost")
        if self.has_colour:
            colour = {"2": GREEN, "4": YELLOW}.get(status[0], RED)
            status = f"\033[{colour}m{status}\033[0m"
        line = f"{exchange.host:<30} {exchange.method:<7} {path:<{WIDTH}} {status}  {note(exchange)}"
        print(line.rstrip(), file=self.stream, flush=True)


def note(exchange):
    """What an exchange was, in a few words; an error that is not expected is named by its code."""
    text = f"{exchange.host} {exchange} {exchange.error_code}"
    return next((words for pattern, words in NOTES if re.search(pattern, text)), exchange.error_code)
