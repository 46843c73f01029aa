"""What Azure itself must answer: provision.sh and the sample on two days, with access policies and roles.

These tests run against the stand-in each time. ``python3 scripts/test.py --live`` runs the same ones against
Azure: it uses the Azure CLI on the PATH and its sign-in, and takes some 15 minutes.
"""

import os
import secrets
import subprocess
import sys
import time

import pytest
from conftest import ROOT, SAMPLE, tutorial
from stand_in.messages import error

ATTEMPTS = 60  # as new access, or the end of it, may take 10 minutes
pytestmark = pytest.mark.timeout(3600)


class Azure:
    """Azure, and the environment in which az, provision.sh, and the sample run there.

    ``group`` is a resource group of the test's own, ``pause`` how many seconds to wait before another attempt.
    """

    pause = 10

    def __init__(self, environment):
        self.group = f"kv-live-{secrets.token_hex(4)}"
        self.environment = environment | {"RESOURCE_GROUP": self.group, "KEY_VAULT_NAME": ""}

    def new_access_takes_a_while(self, vault, name):
        """Nothing needs to be done for it in Azure."""

    def run(self, *command, typed="", **settings):
        """The ended process of a command."""
        return subprocess.run(
            command, env=self.environment | settings, input=typed, capture_output=True, text=True
        )

    def az(self, *arguments):
        """What an az command prints as tab-separated values, split into words."""
        ended = self.run("az", *arguments, "--output", "tsv")
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.split()

    def provision(self, *options, **settings):
        """The name of the vault that provision.sh leaves for eval, and what it says on standard error."""
        ended = self.run("bash", str(ROOT / "scripts/provision.sh"), *options, **settings)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip().removeprefix("export KEY_VAULT_NAME="), ended.stderr

    def sample(self, vault, name, until=lambda ended: "permission on" not in ended.stderr):
        """The ended sample. It is run again until it is as it is to be; it takes a while until access changes."""
        for _ in range(ATTEMPTS):
            ended = self.run(*(sys.executable, str(SAMPLE)), typed=f"{name}\nhunter2\n", KEY_VAULT_NAME=vault)
            if until(ended):
                return ended
            time.sleep(self.pause)
        raise TimeoutError(ended.stderr)

    def clean_up(self):
        """Delete the group, and purge its vaults."""
        if self.az("group", "exists", "--resource-group", self.group) == ["true"]:
            self.az("group", "delete", "--resource-group", self.group, "--yes")
        query = f"[?contains(properties.vaultId, '/{self.group}/')].name"
        vaults = self.az("keyvault", "list-deleted", "--resource-type", "vault", "--query", query)
        for vault in vaults:
            self.az("keyvault", "purge", "--name", vault)
        assert self.az("group", "exists", "--resource-group", self.group) == ["false"]
        assert self.az("keyvault", "list-deleted", "--resource-type", "vault", "--query", query) == []


class AzureHere(Azure):
    """The stand-in, which is as slow with new access as Azure when it is told to be."""

    pause = 0

    def __init__(self, cloud):
        super().__init__(cloud.environment)
        self.faults = cloud.stand_in.faults

    def new_access_takes_a_while(self, vault, name):
        message = "The user, group or application '…' does not have secrets list permission on key vault '…'."
        wanted = f"GET /secrets/{name}/versions {vault}"
        self.faults.answer(wanted, error(403, "Forbidden", message, "AccessDenied"), times=2)


def pytest_generate_tests(metafunc):
    is_live = metafunc.config.getoption("--live")
    metafunc.parametrize("azure", ["cloud", "live"][is_live : is_live + 1], indirect=True)


@pytest.fixture(scope="session")
def consent(pytestconfig):
    """Ask once before anything is created in Azure."""
    subprocess.run(["az", "account", "show", "--query", "[name, id]"], check=True)
    question = "This creates three resource groups in this subscription, and deletes them. Continue? (y/n): "
    if not pytestconfig.getoption("--yes") and input(question) != "y":
        pytest.exit("Nothing was created.", returncode=1)


@pytest.fixture
def azure(request):
    if request.param == "live":
        request.getfixturevalue("consent")
    azure = (
        Azure(dict(os.environ)) if request.param == "live" else AzureHere(request.getfixturevalue("cloud"))
    )
    try:
        yield azure
    finally:
        azure.clean_up()


def test_first_day_and_second_day(azure):
    vault, _ = azure.provision()
    assert azure.provision()[0] == vault
    azure.new_access_takes_a_while(vault, "greeting")
    ended = azure.sample(vault, "greeting")
    assert (ended.stdout, ended.stderr) == (tutorial("greeting", "hunter2", vault), "")
    assert "in a deleted but recoverable state" in azure.sample(vault, "greeting").stderr
    secret = ["--vault-name", vault, "--name", "in-use"]
    azure.az("keyvault", "secret", "set", *secret, "--value", "kept")
    assert "in-use" in azure.sample(vault, "in-use").stderr
    assert azure.az("keyvault", "secret", "show", *secret, "--query", "value") == ["kept"]

    azure.az("group", "delete", "--resource-group", azure.group, "--yes")
    another, _ = azure.provision()
    assert another != vault
    assert azure.sample(another, "greeting").stdout == tutorial("greeting", "hunter2", another)
    script = ["bash", str(ROOT / "scripts/provision.sh")]
    ended = azure.run(*script, KEY_VAULT_NAME=vault)
    assert (ended.stdout, ended.returncode != 0) == ("false\n", True)
    assert "already exists in deleted state" in ended.stderr


def test_policy_that_lacks_permissions_is_completed(azure):
    vault, said = azure.provision()
    object_id = next(line for line in said.splitlines() if line.startswith("Identity: ")).split()[-1]
    of_vault = ["--name", vault, "--resource-group", azure.group]
    identity = ["--object-id", object_id, "--output", "none"]
    azure.run("az", "keyvault", "set-policy", *of_vault, *identity, "--secret-permissions", "get", "purge")
    azure.sample(vault, "greeting", until=lambda ended: "does not have secrets list" in ended.stderr)

    azure.provision()
    assert azure.sample(vault, "greeting").stdout == tutorial("greeting", "hunter2", vault)
    query = f"properties.accessPolicies[?objectId=='{object_id}'].permissions.secrets[]"
    permissions = azure.az("keyvault", "show", *of_vault, "--query", query)
    assert sorted(one.lower() for one in permissions) == ["delete", "get", "list", "purge", "set"]


def test_role_that_is_taken_away_and_given_back(azure):
    def is_refused(ended):
        return "Caller is not authorized to perform action on resource." in ended.stderr

    vault, said = azure.provision("--rbac")
    object_id = next(line for line in said.splitlines() if line.startswith("Identity: ")).split()[-1]
    ended = azure.sample(vault, "greeting", until=lambda ended: not is_refused(ended))
    assert ended.stdout == tutorial("greeting", "hunter2", vault)
    (scope,) = azure.az("keyvault", "show", "--name", vault, "--resource-group", azure.group, "--query", "id")
    azure.az("role", "assignment", "delete", "--assignee", object_id, "--scope", scope)
    azure.sample(vault, "hello", until=is_refused)
    azure.provision()
    ended = azure.sample(vault, "hello", until=lambda ended: not is_refused(ended))
    assert ended.stdout == tutorial("hello", "hunter2", vault)
