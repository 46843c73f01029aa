"""What the tests share: the stand-in, the sample as a process, and requests over the wire."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pexpect
import pytest
import requests
from stand_in import StandIn, tokens

ROOT = Path(__file__).resolve().parent.parent
HOME = Path.home()  # of whoever runs the tests
SAMPLE = ROOT / "kv_secrets.py"

VAULT = "kv-quickstart"
DELETE_COMMAND = f"az keyvault secret delete --vault-name {VAULT} --name=my-secret"
SEARCH = "Search README.md, Troubleshooting, for this message.\n"

# The requests of a run, as faults name them.
HOST = f"{VAULT}.vault.azure.net"
LIST = f"GET /secrets/my-secret/versions {HOST}"
SET = f"PUT /secrets/my-secret {HOST}"
GET = f"GET /secrets/my-secret/ {HOST}"
DELETE = f"DELETE /secrets/my-secret {HOST}"
POLL = f"GET /deletedsecrets/my-secret {HOST}"
TOKEN = "/oauth2/v2.0/token"
# With this header in an answer, the library repeats a request at once.
AT_ONCE = {"retry-after-ms": "1"}

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="try many more fuzzed inputs and answers")
    parser.addoption("--live", action="store_true", help="run tests/test_live.py in your Azure subscription")
    parser.addoption("--yes", action="store_true", help="with --live, do not ask")


def pytest_configure(config):
    config.addinivalue_line("markers", "az: this test runs the Azure CLI, which takes seconds")


def pytest_collection_modifyitems(items):
    for item in items:
        if {"signed_in", "azure"} & set(item.fixturenames):
            item.add_marker("az")


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory, pytestconfig):
    """A home folder for what the libraries and the shells write, and a python3 that is the Python of the tests."""
    if pytestconfig.getoption("--live"):
        return
    home = tmp_path_factory.mktemp("home")
    (home / "bin").mkdir()
    python = shlex.quote(os.path.realpath(sys.executable))
    (home / "bin/python3").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    (home / "bin/python3").chmod(0o755)
    os.environ["HOME"] = str(home)


@pytest.fixture
def stand_in():
    """Azure on this machine, with deletions that are through at once."""
    with StandIn() as stand_in:
        stand_in.vault.deletion_seconds = 0
        yield stand_in


class Sample:
    """The sample, run as its users run it: a process, its input, its output, its exit status.

    ``environment`` is what it runs in; a test may change it first.
    """

    def __init__(self, environment):
        self.command = [sys.executable, str(SAMPLE)]
        self.environment = environment

    def start(self, **options):
        """The running process, with pipes for its input, output and errors."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(self.command, env=self.environment, **(pipes | options))

    def run(self, name="my-secret", value="hunter2", *, typed=None):
        """The ended process, its output as text.

        ``typed`` is the whole input as bytes, when it is not a line for the name and another one
        for the value.
        """
        if typed is None:
            typed = f"{name}\n{value}\n".encode()
        ended = subprocess.run(
            self.command, env=self.environment, input=typed, capture_output=True, timeout=120
        )
        ended.stdout = ended.stdout.decode()
        ended.stderr = ended.stderr.decode()
        return ended

    def on_terminal(self):
        """The sample on a terminal of its own, as pexpect gives it."""
        command, *arguments = self.command
        return pexpect.spawn(
            command, arguments, env=self.environment, encoding="utf-8", echo=False, timeout=60
        )


def tutorial(name, value, vault="kv-quickstart"):
    """What the 2020 quickstart's script prints."""
    return (
        "Input a name for your secret > Input a value for your secret > "
        f"Creating a secret in {vault} called '{name}' with the value '{value}' ...\n"
        " done.\n"
        f"Retrieving your secret from {vault}.\n"
        f"Your secret is '{value}'.\n"
        f"Deleting your secret from {vault} ...\n"
        " done.\n"
    )


def type_both(process):
    """Type a name and a value into the running sample."""
    process.stdin.write(b"my-secret\nhunter2\n")
    process.stdin.flush()


def assert_page_has_a_row_for(stderr):
    """Assert that a message whose reader is sent to Troubleshooting is found there.

    A row has it when a code span of its first column stands in the message as it was printed.
    """
    message, search, _ = stderr.partition(SEARCH)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    first_columns = re.findall(r"^\| (.*?) \|", page.partition("\n## Troubleshooting\n")[2], re.M)
    pieces = re.findall("`(.+?)`", "\n".join(first_columns))
    assert not search or any(piece in message for piece in pieces), message


def live_secrets(stand_in):
    """The values of the secrets that are in the vault and not deleted, by name."""
    return {
        secret.name: [version.value for version in secret.versions]
        for secret in stand_in.vault.secrets.values()
        if secret.deleted_at is None
    }


@pytest.fixture
def sample(stand_in):
    """The sample, in an environment where the stand-in is Azure."""
    environment = stand_in.environment() | {"LC_ALL": "C.UTF-8"}
    # It would flush every line, where a user's Python does not.
    environment.pop("PYTHONUNBUFFERED", None)
    return Sample(environment)


class Wire:
    """Requests to one of Azure's hosts through the stand-in's proxy, with a bearer token."""

    def __init__(self, stand_in, host, token=None):
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.proxies = {"https": stand_in.proxy.url}
        self.session.verify = str(stand_in.certificates)
        self.url = f"https://{host}"
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method, path, **options):
        """The answer to one request."""
        return self.session.request(method, self.url + path, timeout=30, **options)


def assert_error(answer, expected):
    """Assert what error an answer is: "STATUS CODE INNER-CODE: MESSAGE", where * is any text."""
    error = answer.json()["error"]
    codes = [str(answer.status_code), error["code"], *error.get("innererror", {}).values()]
    assert fnmatchcase(f"{' '.join(codes)}: {error['message']}", expected)


@pytest.fixture
def vault(stand_in):
    """Requests to the vault, with the token of the sample's service principal."""
    token = tokens.issue(stand_in.state, stand_in.state.sample, tokens.KEY_VAULT)
    return Wire(stand_in, f"{stand_in.vault.name}.vault.azure.net", token)


@pytest.fixture
def login(stand_in):
    """Requests to Entra ID."""
    return Wire(stand_in, "login.microsoftonline.com")


class Cloud:
    """The stand-in with the Azure CLI signed in to it, and the project's scripts run in it.

    ``environment`` is what they run in; a test may change it first.
    """

    def __init__(self, stand_in):
        self.stand_in = stand_in
        self.state = stand_in.state
        self.environment = stand_in.environment()
        del self.environment["KEY_VAULT_NAME"]

    def run(self, script, *arguments, **environment):
        """A script, run to its end without a terminal, in the environment with these changes."""
        return self._run([str(ROOT / "scripts" / script), *arguments], environment)

    def az(self, *arguments):
        """An az command, run to its end."""
        return self._run(["az", *arguments], {})

    def type(self, line, **environment):
        """A line of a message, typed into a shell as it stands, in the project's folder."""
        return self._run(["bash", "-euc", line], environment)

    def _run(self, command, environment):
        return subprocess.run(
            command,
            env=self.environment | environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture(scope="session")
def signed_in():
    """A stand-in that the Azure CLI is signed in to. That takes a second, so many tests share it."""
    if not os.environ.get("STAND_IN_AZ"):
        pytest.skip(
            "The Azure CLI is not installed: python3 scripts/test.py, without arguments, installs it."
        )
    with StandIn() as stand_in:
        admin = stand_in.state.admin
        login = [
            "az",
            "login",
            "--service-principal",
            "--tenant",
            stand_in.state.tenant_id,
            "--output",
            "none",
        ]
        identity = ["--username", admin.client_id, "--password", admin.client_secret]
        subprocess.run([*login, *identity], env=stand_in.environment(), check=True)
        shutil.copytree(stand_in.azure_config, stand_in.folder / "signed in")
        yield stand_in


@pytest.fixture
def cloud(signed_in):
    """Azure with nothing in it yet; whoever is signed in to az is not who runs the sample."""
    signed_in.reset()
    shutil.rmtree(signed_in.azure_config)
    shutil.copytree(signed_in.folder / "signed in", signed_in.azure_config)
    return Cloud(signed_in)


def run_demo(*arguments, root=ROOT, environment=None, **options):
    """scripts/demo.py, run to its end, its output as text; by default, in a reader's clean environment."""
    return subprocess.run(
        [sys.executable, str(root / "scripts/demo.py"), *arguments],
        env=clean_environment() if environment is None else environment,
        **({"capture_output": True, "text": True, "timeout": 300} | options),
    )


def clean_environment(**changes):
    """What a reader's shell has, without the environment that the tests run in, but with its ``python3``."""
    home = os.environ["HOME"]
    path = [folder for folder in os.environ["PATH"].split(":") if not folder.startswith(f"{ROOT}/.demo/")]
    return {"HOME": home, "PATH": ":".join([f"{home}/bin", *path])} | changes


def copy_of_the_project(folder):
    """The project's files without its environments."""
    return shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))


def borrow(project, *names):
    """Let a copy of the project use what is in .demo here under these names, without installing it."""
    (project / ".demo").mkdir(exist_ok=True)
    for name in names:
        for folder in (ROOT / ".demo").glob(f"{name}-*"):
            (project / ".demo" / folder.name).symlink_to(folder)
