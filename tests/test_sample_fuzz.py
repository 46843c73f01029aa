"""What nobody thought of: any input, and any answer that a service, a proxy, or a sign-in page may give.

Some rules hold for every run. ``scripts/test.py --long`` tries many more cases.
"""

import subprocess
import sys

import pytest
from conftest import DELETE, GET, LIST, POLL, SAMPLE, SET, TOKEN, VAULT, live_secrets
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from stand_in import StandIn
from stand_in.messages import Answer, error

pytestmark = pytest.mark.timeout(3600)
KEPT = "an earlier value that stays"


@pytest.fixture(scope="module")
def world():
    """One stand-in for many cases."""
    with StandIn() as stand_in:
        stand_in.state.tenant_id = "11111111-2222-3333-4444-555555555555"
        yield stand_in


@pytest.fixture
def try_all(pytestconfig):
    """A function that tries cases, always the same ones, and finds the smallest one that fails."""

    def try_all(strategy, function):
        count = 1000 if pytestconfig.getoption("--long") else 8
        one = {"max_examples": count, "database": None, "deadline": None, "print_blob": False}
        phases = [Phase.generate, Phase.shrink]
        seed(0)(
            settings(**one, phases=phases, suppress_health_check=list(HealthCheck))(given(strategy)(function))
        )()

    return try_all


def check(stand_in, typed):
    """Run the sample on this input, with a secret in the vault and what faults there are, and check the rules."""
    stand_in.vault.secrets.clear()
    stand_in.vault.add_secret("kept", KEPT)
    stand_in.vault.deletion_seconds = 0
    # With nothing on the PATH, no az or pwsh of this machine is run.
    environment = stand_in.environment() | {"LC_ALL": "C.UTF-8", "PATH": ""}
    command = [sys.executable, str(SAMPLE)]
    ended = subprocess.run(command, env=environment, input=typed, capture_output=True, timeout=120)
    stdout, stderr = ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")

    assert ended.returncode in (0, 1)
    assert (stderr == "") == (ended.returncode == 0)
    for hidden in ("Traceback", KEPT, stand_in.state.sample.client_secret):
        assert hidden not in stdout + stderr
    live = live_secrets(stand_in)
    assert live.pop("kept") == [KEPT]
    for name in live:
        assert f"az keyvault secret delete --vault-name {VAULT} --name={name}\n" in stderr
    if ended.returncode == 0:
        (secret,) = [one for one in stand_in.vault.secrets.values() if one.name != "kept"]
        assert secret.deleted_at is not None


# Lone surrogates stand for bytes that are no text.
TEXTS = [
    *("my-secret", "kept", "KEPT", "-x", "--help", "", " ", "{secret_name}", "%s", "$(id)", "@/etc/passwd"),
    *("\x1b[31mred", "a" * 127, "a" * 128, "v" * 25_600, "v" * 26_000, "é" * 20_000, "\udcff", "../.."),
]
TEXT = st.one_of(st.sampled_from(TEXTS), st.text(st.characters(), max_size=20))
NAMES = st.one_of(TEXT, st.from_regex("[A-Za-z0-9-]{1,20}", fullmatch=True))


def test_input(try_all, world):
    world.faults.clear()

    def try_input(case):
        name, value = case
        check(world, f"{name}\n{value}\n".encode("utf-8", "surrogatepass"))

    try_all(st.tuples(NAMES, TEXT), try_input)


REQUESTS = ["CONNECT ", "/openid-configuration", TOKEN, LIST, SET, GET, DELETE, POLL]
# Not 409: as the answer to a DELETE, it means that the secret is being deleted or recovered by someone else.
STATUSES = [*range(400, 409), *range(410, 419), 421, 422, 423, 426, 429, 431, 451, *range(500, 506), 511, 599]
CODES = ["Forbidden", "ObjectIsBeingDeleted", "SecretNotFound", "invalid_client", "invalid_grant", ""]
MESSAGES = st.one_of(
    st.sampled_from(["\x1b[31mred", "a\r\nb", "a" * 5000, "%s {0}", "", "AADSTS50076: az login --tenant x"]),
    st.text(st.characters(), max_size=40),
)
HEADERS = st.fixed_dictionaries(
    {"retry-after-ms": st.just("1")},
    optional={
        "WWW-Authenticate": st.sampled_from(["Basic", 'Bearer authorization="https://login.evil.example/"']),
        "Location": st.sampled_from(["https://evil.example/", "/secrets/my-secret", ""]),
        "Content-Encoding": st.sampled_from(["gzip", "x"]),
    },
)
ANSWERS = st.one_of(
    st.builds(error, st.sampled_from(STATUSES), st.sampled_from(CODES), MESSAGES, headers=HEADERS),
    st.builds(
        lambda status, code, words, headers: Answer(
            status, {"error": code, "error_description": words}, headers
        ),
        *(st.sampled_from(STATUSES), st.sampled_from(CODES), MESSAGES, HEADERS),
    ),
    st.builds(
        lambda status, text, headers: Answer(status, f"<html>{text}</html>".encode(), headers),
        *(st.sampled_from([200, 302, *STATUSES]), st.text(max_size=30), HEADERS),
    ),
    # Not HTTP at all.
    st.builds(lambda text: Answer(200, raw=text.encode()), st.text(max_size=40)),
)


def test_answers(try_all, world):
    def try_answer(case):
        wanted, times, answer = case
        world.faults.clear()
        world.faults.answer(wanted, answer, times)
        check(world, b"my-secret\nhunter2\n")

    try_all(st.tuples(st.sampled_from(REQUESTS), st.sampled_from([1, 99]), ANSWERS), try_answer)
