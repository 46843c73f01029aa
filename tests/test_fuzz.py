"""What nobody thought of: fuzzed input and answers, silence, load. Some rules always hold.

``scripts/test.sh`` tries some cases, always the same ones; ``scripts/test.sh --long`` tries many more
and prints how many of each kind. A failure prints its smallest case as a command that runs it again.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import SAMPLE
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from stand_in import StandIn
from stand_in.messages import Answer
from test_good_run import tutorial
from test_problems import WAITING

# The long run takes minutes for each of these tests.
pytestmark = pytest.mark.timeout(3600)

VAULT = "kv-quickstart"
KEPT = "an earlier value that stays"


def run(stand_in, typed=b"my-secret\nhunter2\n", **changes):
    """The sample's exit status, output and errors, when it is run in an environment with ``changes``.

    A change to None takes a variable away. If the sample says that it waits, and goes on waiting, it is
    stopped as Ctrl-C stops it. If it neither ends nor says so, its exit status is that of a killed process.
    """
    environment = stand_in.environment() | {"LC_ALL": "C.UTF-8"} | changes
    environment = {name: value for name, value in environment.items() if value is not None}
    process = subprocess.Popen(
        [sys.executable, str(SAMPLE)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    with process, ThreadPoolExecutor(2) as pool:
        stdout = pool.submit(process.stdout.read)
        pool.submit(write_and_close, process.stdin, typed)
        errors = []
        for line in process.stderr:
            errors.append(line.decode(errors="replace"))
            if errors[-1] == WAITING:
                try:
                    process.wait(2)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
    watchdog.cancel()
    return process.returncode, stdout.result().decode(errors="replace"), "".join(errors)


def write_and_close(stream, text):
    """Write to a process that may end before it has read everything."""
    with contextlib.suppress(OSError):
        stream.write(text)
        stream.close()


def check(stand_in, ended, typed=b""):
    """The rules that hold for every run, whatever was typed, set and answered."""
    status, stdout, stderr = ended
    output = stdout + stderr
    assert status in (0, 1, 2, 130)
    assert "Traceback" not in output
    assert "Exception ignored" not in output
    assert (stderr.replace(WAITING, "") == "") == (status == 0)
    if b"\x1b" not in typed:
        assert "\x1b" not in output
    assert stand_in.state.sample.client_secret not in output
    assert "eyJ" not in output or b"eyJ" in typed
    assert KEPT not in output
    live = {one.name: one for one in stand_in.vault.secrets.values() if one.deleted_at is None}
    assert [version.value for version in live.pop("kept").versions] == [KEPT]
    for name in live:
        command = f"az keyvault secret delete --vault-name {VAULT} --name"
        assert f"{command} {name}\n" in stderr or f"{command}={name}\n" in stderr


def reset(stand_in):
    """A stand-in in which nothing has happened yet but a secret that was there before."""
    stand_in.faults.release_all()
    stand_in.faults.clear()
    stand_in.vault.secrets.clear()
    stand_in.vault.add_secret("kept", KEPT)
    stand_in.vault.deletion_seconds = 0


@pytest.fixture(scope="module")
def world():
    """One stand-in for many cases."""
    with StandIn() as stand_in:
        yield stand_in


PARTS = 4  # of the cases of one kind, so that they can be tried at the same time


def pytest_generate_tests(metafunc):
    if "part" in metafunc.fixturenames:
        metafunc.parametrize("part", range(PARTS if metafunc.config.getoption("--long") else 1))


class Fuzz:
    """Tries cases of one kind: as many as asked for, or the one that the command line names."""

    def __init__(self, config, name, part, record_property):
        self.record_property = record_property
        self.name = name
        self.part = part
        self.is_long = config.getoption("--long")
        self.case = config.getoption("--case")
        self.count = 0

    def __call__(self, strategy, function, *, some, many):
        if self.case:
            kind, case = json.loads(self.case)
            if kind != self.name:
                pytest.skip("the case is of another kind")
            return function(case)

        @seed(self.part)
        @settings(
            max_examples=many // PARTS if self.is_long else some,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            print_blob=False,
            report_multiple_bugs=False,
        )
        @given(strategy)
        def try_one(case):
            self.count += 1
            if self.is_long and self.count % 50 == 0:
                progress = f"{self.name}, part {self.part + 1} of {PARTS}: {self.count} cases"
                print(progress, file=sys.__stderr__, flush=True)
            try:
                function(case)
            except AssertionError as error:
                again = shlex.quote(json.dumps([self.name, case]))
                raise AssertionError(
                    f"{error}\nTo run this case again:\nscripts/test.sh --case {again}"
                ) from error

        try:
            try_one()
        finally:
            self.record_property(f"cases of fuzzed {self.name}", self.count)


@pytest.fixture
def fuzz(request, part, record_property):
    """A ``Fuzz`` named after the test."""
    return Fuzz(request.config, request.node.originalname.removeprefix("test_"), part, record_property)


# Input. Lone surrogates stand for bytes that are no text.

TEXT = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(), max_size=20),
    st.text("\x00\x07\x1b[]0;m\x9b\r\t\udcff\ud800{}%$`\"'\\;|&<>*?!()#@~^ é🔑-", max_size=20),
    st.sampled_from(
        [
            *("my-secret", "kept", "KEPT", "-x", "--help", "", " ", "{secret_name}", "%s", "$(id)", "`id`"),
            *("@/etc/passwd", "\x1b[31mred", "\x1b]0;title\x07", "a" * 127, "a" * 128, "v" * 25_600),
            *("v" * 26_000, "é" * 20_000, "\udcff", "null", "../..", "a/b?c=d#e", "%2e%2e", "eyJhbGciOi"),
        ]
    ),
)
NAMES = st.one_of(TEXT, st.from_regex("[A-Za-z0-9-]{1,20}", fullmatch=True))
# Each leads to the loopback, or to nothing at all.
PROXIES = st.sampled_from(
    [
        *("http://127.0.0.1:1", "127.0.0.1:1", "https://127.0.0.1:1", "socks5://127.0.0.1:1", "http://[::1"),
        *(
            "http://127.0.0.1:99999",
            "http://127.0.0.1:x",
            "://",
            "http://",
            "http://u:p@127.0.0.1:1",
            "\x1b[31m",
        ),
        *("http://127.0.0.1:1/\x1b[31m", "ftp://127.0.0.1:1", "http://127.0.0.1:1\n", " http://127.0.0.1:1"),
    ]
)
FREE_VARIABLES = [
    *("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"),
    *(
        "AZURE_CLIENT_CERTIFICATE_PASSWORD",
        "AZURE_TOKEN_CREDENTIALS",
        "AZURE_AUTHORITY_HOST",
        "AZURE_USERNAME",
    ),
    *("AZURE_FEDERATED_TOKEN_FILE", "AZURE_REGIONAL_AUTHORITY_NAME", "AZURE_CONFIG_DIR", "AZURE_SDK_TRACING"),
    *("AZURE_HTTP_USER_AGENT", "AZURE_LOG_LEVEL", "AZURE_CORE_OUTPUT", "KEY_VAULT_NAME"),
]
VARIABLES = st.one_of(
    st.just({}),
    st.dictionaries(st.sampled_from(FREE_VARIABLES), st.one_of(st.none(), TEXT), max_size=2),
    st.dictionaries(st.sampled_from(["HTTPS_PROXY", "https_proxy"]), PROXIES, max_size=1),
    st.dictionaries(
        st.sampled_from(["REQUESTS_CA_BUNDLE"]),
        st.sampled_from(["/nowhere", "/", "/dev/null", str(SAMPLE), "\x1b[31m"]),
        max_size=1,
    ),
)


def as_environment(text):
    """What an environment variable can hold of a text: bytes other than NUL."""
    return text if text is None else text.replace("\0", "").encode("utf-8", "surrogatepass")


def test_input(fuzz, world):
    def try_input(case):
        name, value, variables = case
        reset(world)
        typed = f"{name}\n{value}\n".encode("utf-8", "surrogatepass")
        changes = {key: as_environment(each) for key, each in variables.items()}
        check(world, run(world, typed, **changes), typed + b"".join(filter(None, changes.values())))

    fuzz(st.tuples(NAMES, TEXT, VARIABLES), try_input, some=24, many=1000)


# Answers.

REQUESTS = [
    *("GET /secrets/my-secret/versions", "PUT /secrets/my-secret", "GET /secrets/my-secret/ "),
    *("DELETE /secrets/my-secret", "GET /deletedsecrets/my-secret"),
    *("/openid-configuration", "/oauth2/v2.0/token", "CONNECT "),
]
STATUSES = [
    *(
        200,
        201,
        202,
        204,
        206,
        300,
        301,
        302,
        303,
        307,
        308,
        304,
        400,
        401,
        402,
        403,
        404,
        405,
        407,
        408,
        409,
    ),
    *(410, 411, 412, 413, 418, 421, 422, 423, 426, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511, 599),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2**40),
    st.text(max_size=10),
    st.sampled_from(
        [
            *(
                "\x1b[31mred\x1b]0;title\x07",
                "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.x",
                "Bearer",
                "a" * 5000,
            ),
            *("https://evil.vault.azure.net/secrets/my-secret/1", "https://kv-quickstart.vault.azure.net/"),
            *(
                "Forbidden",
                "AccessDenied",
                "ForbiddenByRbac",
                "ForbiddenByFirewall",
                "Conflict",
                "BadParameter",
            ),
            *("ObjectIsBeingDeleted", "ObjectIsDeletedButRecoverable", "SecretNotFound", "invalid_client"),
            *(
                "AKV10032: Invalid issuer. Expected one of https://x/$(id)/",
                "AADSTS50076: az login --tenant x;id",
            ),
            "The client secret is CLIENT-SECRET",
        ]
    ),
)
KEYS = st.sampled_from(
    [
        *("error", "code", "message", "innererror", "value", "id", "attributes", "nextLink", "recoveryId"),
        *("access_token", "expires_in", "token_type", "token_endpoint", "issuer", "error_description"),
        *("authorization_endpoint", "enabled", "created", "error_codes", "tags", "contentType", "kid"),
    ]
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Retry-After", "WWW-Authenticate", "Location", "X-Huge", "Content-Encoding", "retry-after-ms"]
    ),
    st.sampled_from(
        [
            *(
                "0",
                "-1",
                "x",
                "99999",
                "Bearer",
                'Bearer authorization="https://evil.example/t"',
                "gzip",
                "h" * 60_000,
            ),
            'Bearer authorization="https://login.microsoftonline.com/TENANT", resource="https://evil.example"',
            'Bearer authorization="https://graph.microsoft.com/TENANT", resource="https://vault.azure.net"',
            'Bearer authorization="https://login.microsoftonline.com/other", resource="https://vault.azure.net"',
            'Bearer authorization="https://login.microsoftonline.com/TENANT", resource="https://vault.azure.net", '
            'error="insufficient_claims", claims="eyJhIjoxfQ=="',
            *(
                "https://evil.example/",
                "https://graph.microsoft.com/v1.0/me",
                "http://kv-quickstart.vault.azure.net/",
            ),
            *(
                "https://kv-other.vault.azure.net/secrets/my-secret/",
                "/secrets/my-secret",
                "//evil.example",
                "::",
            ),
        ]
    ),
    max_size=2,
)
ANSWERS = st.one_of(
    st.tuples(st.just("document"), st.sampled_from(STATUSES), DOCUMENTS, HEADERS),
    st.tuples(st.just("page"), st.sampled_from(STATUSES), st.text(max_size=30), HEADERS),
    # The first bytes of the true answer, then a reset; or the true answer with another length.
    st.tuples(st.just("cut"), st.integers(0, 400), st.none(), st.none()),
    st.tuples(st.just("length"), st.sampled_from(["0", "1", "99999", "-1", "x"]), st.none(), st.none()),
    st.tuples(st.just("garbage"), st.none(), st.text(max_size=40), st.none()),
    st.tuples(st.just("lost"), st.none(), st.none(), st.none()),
)


@contextlib.contextmanager
def watched(stand_in):
    """What has been sent to hosts other than the vault and Entra ID, as (host, header or body)."""
    sent = []
    respond = stand_in.proxy.respond

    def watch(request):
        if request.host not in (f"{VAULT}.vault.azure.net", "login.microsoftonline.com"):
            sent.append((request.host, request.headers.get("Authorization"), request.body))
        return respond(request)

    stand_in.proxy.respond = watch
    try:
        yield sent
    finally:
        stand_in.proxy.respond = respond


def answer_of(stand_in, kind, first, second, headers):
    """The Answer that a case describes."""

    def fill(text):
        text = text.replace("TENANT", stand_in.state.tenant_id)
        return text.replace("CLIENT-SECRET", stand_in.state.sample.client_secret)

    headers = {name: fill(value) for name, value in (headers or {}).items()}
    if kind == "document":
        return Answer(first, json.loads(fill(json.dumps(second))), headers)
    if kind == "page":
        return Answer(first, second.encode("utf-8", "replace"), headers)
    if kind == "garbage":
        return Answer(0, raw=second.encode("utf-8", "replace"))
    body = json.dumps(
        {"value": "hunter2", "id": f"https://{VAULT}.vault.azure.net/secrets/my-secret/1"}
    ).encode()
    length = first if kind == "length" else len(body)
    whole = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
        + body
    )
    return Answer(0, raw=whole[:first] if kind == "cut" else whole)


def test_answers(fuzz, world):
    world.state.add_vault("kv-other")

    def try_answer(case):
        reset(world)
        for wanted, times, (kind, first, second, headers) in case:
            if kind == "lost" and wanted != "CONNECT ":
                world.faults.lose_answer(wanted, times=times)
            elif kind == "lost":
                world.faults.answer(wanted, Answer(502), times=times)
            else:
                world.faults.answer(wanted, answer_of(world, kind, first, second, headers), times=times)
        with watched(world) as sent:
            ended = run(world)
        check(world, ended)
        for host, authorization, body in sent:
            assert not authorization, host
            assert b"hunter2" not in body, host
        other = world.state.find_vault("kv-other")
        assert other.secrets == {}

    faults = st.tuples(st.sampled_from(REQUESTS), st.sampled_from([1, 1, 2, 99]), ANSWERS)
    fuzz(st.lists(faults, min_size=1, max_size=2), try_answer, some=12, many=500)


# Silence.

STAGES = {
    "CONNECT ": False,
    "HANDSHAKE ": False,
    "/openid-configuration": False,
    "/oauth2/v2.0/token": False,
    "GET /secrets/my-secret/versions": False,
    "PUT /secrets/my-secret": True,
    "GET /secrets/my-secret/ ": True,
    "DELETE /secrets/my-secret": True,
    "GET /deletedsecrets/my-secret": None,
}


def test_silence_at_every_stage():
    def stop_in(stage):
        with StandIn() as stand_in:
            reset(stand_in)
            stand_in.faults.hold(stage)
            started = time.monotonic()
            ended = run(stand_in)
            check(stand_in, ended)
            return ended, time.monotonic() - started

    with ThreadPoolExecutor(len(STAGES)) as pool:
        for (stage, may_be_left), ((status, _, stderr), _) in zip(
            STAGES.items(), pool.map(stop_in, STAGES), strict=True
        ):
            assert (status, stderr.startswith(WAITING)) == (130, True), stage
            assert ("To delete it:\naz keyvault secret delete" in stderr) == (may_be_left is True), stage
            assert ("has already started" in stderr) == (may_be_left is None), stage


# Load.


def footprint():
    """This process's memory in KiB and its open files; the stand-in is in it."""
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024, len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="there is no /proc here")
def test_many_runs_at_once_and_after_each_other(request, record_property):
    is_long = request.config.getoption("--long")
    rounds, at_once = (12, 40) if is_long else (1, 40)
    seconds = []

    with StandIn() as stand_in:
        stand_in.vault.deletion_seconds = 0

        def run_once(number):
            started = time.monotonic()
            status, stdout, stderr = run(stand_in, f"secret-{number}\nhunter2\n".encode())
            seconds.append(time.monotonic() - started)
            assert (status, stderr.replace(WAITING, "")) == (0, "")
            assert stdout == tutorial(f"secret-{number}", "hunter2")

        for number in range(10):
            run_once(number)
        before = footprint()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(run_once, range(1000, 1000 + rounds * at_once)))
        for number in range(2000, 2010):
            run_once(number)
        # What a run leaves in the vault is some hundred bytes; threads that have ended leave nothing.
        after = footprint()
    figures = (
        f"load: {len(seconds)} runs, {at_once} at once; memory {before[0]} to {after[0]} KiB, open files "
        f"{before[1]} to {after[1]}; median of the first ten runs {sorted(seconds[:10])[5]:.2f} s, of the last ten "
        f"{sorted(seconds[-10:])[5]:.2f} s"
    )
    record_property("figures", figures)
    assert after[1] <= before[1] + 5, figures
    assert after[0] <= before[0] + 30_000, figures
