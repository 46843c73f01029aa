"""scripts/demo.py --trace: each request and its answer, one line each."""

import os
import re
import shlex
import sys

import pexpect
from conftest import ROOT, SAMPLE, run_demo, tutorial

LINE = re.compile(r"(Key Vault|Entra ID |Proxy    ) ([A-Z]+) +(\S+) +(\d{3}) (.+)")
LONG_NAME = "n" * 127
FETCH = "python -c \"import urllib.request as u; u.urlopen('https://{}')\" 2> /dev/null"
AZ_UPDATES = "azcliprod.blob.core.windows.net"


def test_each_request_has_a_line_that_shows_no_secret_and_the_output_stays_the_samples():
    sample = f"python {shlex.quote(str(SAMPLE))}; echo $AZURE_CLIENT_SECRET"
    fetches = f"{FETCH.format(AZ_UPDATES)}; {FETCH.format('no-such-vault.vault.azure.net')}"
    ended = run_demo("--trace", "sh", "-c", f"{sample}; {fetches}", input=f"{LONG_NAME}\nhunter2\n")

    output, client_secret, _ = ended.stdout.rsplit("\n", 2)
    assert f"{output}\n" == tutorial(LONG_NAME, "hunter2")
    lines = [LINE.fullmatch(line) for line in ended.stderr.splitlines()]
    assert [f"{line[2]} {line[4]} {line[5]}" for line in lines] == [
        "GET 401 challenge: who are you?",
        "GET 200 where to get a token",
        "POST 200 a token",
        "GET 200 no versions",
        "PUT 200 secret set",
        "GET 200 secret retrieved",
        "DELETE 200 deletion started",
        "GET 404 not deleted yet",
        "GET 200 deleted",
        "CONNECT 403 no such host",
    ]
    assert lines[-1][3] == "no-suc...t.vault.azure.net:443"
    # The columns are aligned, whatever is too long for them.
    assert {tuple(line.start(number) for number in range(1, 6)) for line in lines} == {(0, 10, 18, 49, 53)}
    assert len(client_secret) > 20
    assert not re.search(f"hunter2|eyJ|{client_secret}", ended.stderr)


def test_lines_appear_in_color_and_as_it_happens_on_a_terminal():
    arguments = [str(ROOT / "scripts/demo.py"), "--trace"]
    environment = os.environ | {"NO_COLOR": ""}
    terminal = pexpect.spawn(sys.executable, arguments, env=environment, encoding="utf-8", timeout=60)
    terminal.sendline("my-secret\nhunter2")
    for shown in (
        "Creating a secret",
        *("\033[1;33m401\033[0m challenge", "\033[1;32m200\033[0m secret set"),
        *("Retrieving", "secret retrieved", "Your secret"),
    ):
        terminal.expect_exact(shown)
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 0
