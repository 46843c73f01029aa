"""scripts/cleanup.sh with the real Azure CLI: what was provisioned goes away."""

import pexpect
import pytest
from conftest import ROOT
from stand_in.messages import error

GROUP = "KeyVault-PythonQS-rg"
PURGE = "az keyvault purge --name kv-tutorial"


@pytest.fixture
def provisioned(cloud):
    """A cloud with the vault kv-tutorial in the tutorial's resource group."""
    cloud.state.add_vault("kv-tutorial").retention_days = 7
    cloud.environment["KEY_VAULT_NAME"] = "kv-tutorial"
    return cloud


def test_deletes_the_group_after_listing_what_is_in_it(provisioned):
    ended = provisioned.run("cleanup.sh", "--yes")

    assert (ended.stdout, ended.returncode) == ("", 0)
    listed, deleted = (ended.stderr.index(text) for text in ("kv-tutorial\t", f"{GROUP}: deleted."))
    assert listed < deleted
    assert provisioned.state.groups == {}
    assert list(provisioned.state.deleted_vaults) == ["kv-tutorial"]


def test_name_stays_taken_and_the_command_that_it_gives_frees_it(provisioned):
    ended = provisioned.run("cleanup.sh", "--yes")

    assert "kv-tutorial stays taken until 20" in ended.stderr
    assert ended.stderr.splitlines()[-1] == PURGE
    assert provisioned.type(PURGE).returncode == 0
    assert provisioned.state.deleted_vaults == {}


def test_purge_frees_the_name_at_once(provisioned):
    ended = provisioned.run("cleanup.sh", "--purge", "--yes")

    assert ended.returncode == 0
    assert "Vault kv-tutorial: purged." in ended.stderr
    assert PURGE not in ended.stderr
    assert provisioned.state.deleted_vaults == {}


def test_purge_finishes_what_an_earlier_run_left(provisioned):
    provisioned.run("cleanup.sh", "--yes")
    ended = provisioned.run("cleanup.sh", "--purge")

    assert ended.returncode == 0
    assert f"There is no resource group {GROUP}." in ended.stderr
    assert provisioned.state.deleted_vaults == {}


def test_purge_leaves_other_vaults_alone(provisioned):
    other = provisioned.state.add_vault("kv-other")
    elsewhere = provisioned.state.add_vault("kv-elsewhere", resource_group="elsewhere-rg")
    provisioned.state.delete_vault(elsewhere)
    provisioned.run("cleanup.sh", "--yes", "--purge")
    ended = provisioned.run("cleanup.sh", "--yes", "--purge", KEY_VAULT_NAME="kv-elsewhere")

    assert ended.returncode == 0
    assert "no vault kv-elsewhere to purge" in ended.stderr
    assert provisioned.state.deleted_vaults == {"kv-other": other, "kv-elsewhere": elsewhere}


@pytest.mark.parametrize("name", ["", "kv-unknown"])
def test_nothing_there_is_said_and_is_no_error(cloud, name):
    ended = cloud.run("cleanup.sh", "--yes", "--purge", KEY_VAULT_NAME=name)

    assert ended.returncode == 0
    assert f"There is no resource group {GROUP}." in ended.stderr
    assert "no vault" in ended.stderr


def test_other_group(provisioned):
    provisioned.state.add_vault("kv-other", resource_group="other-rg")
    provisioned.run("cleanup.sh", "--yes", RESOURCE_GROUP="other-rg")

    assert list(provisioned.state.vaults) == ["kv-tutorial"]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_az_asks_on_a_terminal(provisioned, answer):
    terminal = pexpect.spawn(
        str(ROOT / "scripts/cleanup.sh"), env=provisioned.environment, encoding="utf-8", timeout=60
    )
    terminal.expect_exact("(y/n): ")
    assert "kv-tutorial" in terminal.before
    terminal.sendline(answer)
    terminal.expect(pexpect.EOF)

    assert (terminal.wait() == 0) == (answer == "y")
    assert (provisioned.state.groups == {}) == (answer == "y")
    assert ("was not deleted" in terminal.before) == (answer == "n")


def test_without_a_terminal_nothing_is_deleted_without_yes(provisioned):
    ended = provisioned.run("cleanup.sh")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("scripts/cleanup.sh --yes")
    assert list(provisioned.state.vaults) == ["kv-tutorial"]


def test_nobody_is_signed_in(provisioned):
    provisioned.az("account", "clear")
    ended = provisioned.run("cleanup.sh", "--yes")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "az login"
    assert list(provisioned.state.vaults) == ["kv-tutorial"]


def test_deleted_vaults_that_cannot_be_listed_are_no_silence(provisioned):
    refusal = error(403, "AuthorizationFailed", "You may not do that.")
    provisioned.stand_in.faults.answer("/providers/Microsoft.KeyVault/deletedVaults", refusal, times=9)
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    assert ended.returncode == 1
    assert "You may not do that." in ended.stderr
    assert ended.stderr.splitlines()[-1] == "az keyvault list-deleted --resource-type vault"


def test_help_tells_what_it_does(cloud):
    ended = cloud.run("cleanup.sh", "--help")

    assert ended.returncode == 0
    for name in ("--yes", "--purge", "RESOURCE_GROUP", "KEY_VAULT_NAME"):
        assert name in ended.stdout
