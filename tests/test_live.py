"""provision.sh and the sample against Azure itself: ``python3 scripts/test.py --live``.

It uses the Azure CLI on the PATH and its sign-in, and takes some minutes.
"""

import os
import secrets
import subprocess
import sys
import time

import pytest
from conftest import ROOT, SAMPLE, tutorial

MINUTES = 10  # that new access, a deletion, or a purge may take


def az(*arguments):
    """What an az command prints as tab-separated values. Raises CalledProcessError if it fails."""
    command = ["az", *arguments, "--output", "tsv"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def provision(*options, **environment):
    """The name of the vault that provision.sh prints."""
    command = ["bash", str(ROOT / "scripts/provision.sh"), *options]
    environment = os.environ | environment
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return ended.stdout.strip().removeprefix("export KEY_VAULT_NAME=")


def run_sample(vault, name):
    """The ended sample. It is run again while Azure refuses, as new access takes a while."""
    for _ in range(MINUTES * 6):
        ended = subprocess.run(
            [sys.executable, str(SAMPLE)],
            **{"env": os.environ | {"KEY_VAULT_NAME": vault}, "input": f"{name}\nhunter2\n"},
            **{"capture_output": True, "text": True},
        )
        if "permission on key vault" not in ended.stderr and "not authorized" not in ended.stderr:
            return ended
        time.sleep(10)
    raise TimeoutError(ended.stderr)


@pytest.mark.timeout(3600)
def test_azure_itself(pytestconfig):
    group, role_vault = f"kv-live-{secrets.token_hex(4)}", f"kv-live-{secrets.token_hex(6)}"
    print(f"\nThis creates the resource group {group} with two vaults, and deletes it, in the subscription:")
    print(*az("account", "show", "--query", "[name, id]"))
    if not pytestconfig.getoption("--yes") and input("Continue? (y/n): ") != "y":
        pytest.exit("Nothing was created.", returncode=1)
    vaults = []
    try:
        vaults.append(provision(RESOURCE_GROUP=group, KEY_VAULT_NAME=""))
        assert provision(RESOURCE_GROUP=group, KEY_VAULT_NAME="") == vaults[0]
        ended = run_sample(vaults[0], "greeting")
        assert (ended.stdout, ended.stderr) == (tutorial("greeting", "hunter2", vaults[0]), "")
        assert "in a deleted but recoverable state" in run_sample(vaults[0], "greeting").stderr
        az("keyvault", "secret", "set", "--vault-name", vaults[0], "--name", "in-use", "--value", "kept")
        assert "'in-use' is already in use" in run_sample(vaults[0], "in-use").stderr

        vaults.append(provision("--rbac", RESOURCE_GROUP=group, KEY_VAULT_NAME=role_vault))
        assert run_sample(role_vault, "greeting").stdout == tutorial("greeting", "hunter2", role_vault)
    finally:
        if az("group", "exists", "--resource-group", group) == ["true"]:
            vaults = az("keyvault", "list", "--resource-group", group, "--query", "[].name")
            az("group", "delete", "--resource-group", group, "--yes")
        for vault in vaults:
            az("keyvault", "purge", "--name", vault)
        assert az("group", "exists", "--resource-group", group) == ["false"]
        deleted = az("keyvault", "list-deleted", "--resource-type", "vault", "--query", "[].name")
        assert not set(vaults) & set(deleted)
