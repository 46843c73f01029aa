"""scripts/cleanup.sh with the real Azure CLI: what was provisioned goes away."""

import shlex

import pexpect
import pytest
from conftest import ROOT, windows_az
from stand_in.messages import error

GROUP = "KeyVault-PythonQS-rg"
# As bash quotes it.
SCRIPT = str(ROOT / "scripts/cleanup.sh").replace(" ", "\\ ")
PURGE = "az keyvault purge --name kv-tutorial"


@pytest.fixture
def provisioned(cloud):
    """A cloud with the vault kv-tutorial in the tutorial's resource group."""
    cloud.state.add_vault("kv-tutorial").retention_days = 7
    cloud.environment["KEY_VAULT_NAME"] = "kv-tutorial"
    return cloud


def cloud_of(provisioned):
    return f"Subscription: The stand-in's subscription ({provisioned.state.subscription_id})"


def test_deletes_the_group_after_listing_what_is_in_it(provisioned):
    ended = provisioned.run("cleanup.sh", "--yes")

    assert (ended.stdout, ended.returncode) == ("", 0)
    listed, deleted = (
        ended.stderr.index(text)
        for text in ("  kv-tutorial                Microsoft.KeyVault/vaults\n", f"{GROUP}: deleted.")
    )
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
    assert "No deleted vault kv-elsewhere of" in ended.stderr
    assert provisioned.state.deleted_vaults == {"kv-other": other, "kv-elsewhere": elsewhere}


@pytest.mark.parametrize("name", ["", "kv-unknown"])
def test_nothing_there_is_said_and_is_no_error(cloud, name):
    ended = cloud.run("cleanup.sh", "--yes", "--purge", KEY_VAULT_NAME=name)

    assert ended.returncode == 0
    assert f"There is no resource group {GROUP}." in ended.stderr
    assert "No deleted vault" in ended.stderr


def test_other_group(provisioned):
    provisioned.state.add_vault("kv-other", resource_group="other-rg")
    provisioned.run("cleanup.sh", "--yes", RESOURCE_GROUP="other-rg")

    assert list(provisioned.state.vaults) == ["kv-tutorial"]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_it_asks_on_a_terminal(provisioned, answer):
    terminal = pexpect.spawn(
        shlex.quote(str(ROOT / "scripts/cleanup.sh")),
        env=provisioned.environment,
        encoding="utf-8",
        timeout=60,
    )
    terminal.expect_exact("(y/n): ")
    assert "kv-tutorial" in terminal.before
    assert cloud_of(provisioned) in terminal.before
    terminal.sendline(answer)
    terminal.expect(pexpect.EOF)

    assert (terminal.wait() == 0) == (answer == "y")
    assert (provisioned.state.groups == {}) == (answer == "y")
    assert ("Nothing was deleted." in terminal.before) == (answer == "n")
    assert "--yes" not in terminal.before


def test_ctrl_c_at_the_question_deletes_nothing(provisioned):
    terminal = pexpect.spawn(
        str(ROOT / "scripts/cleanup.sh"),
        ["--purge"],
        env=provisioned.environment,
        encoding="utf-8",
        timeout=60,
    )
    terminal.expect_exact("(y/n): ")
    terminal.sendintr()
    terminal.expect_exact("Nothing was deleted.")
    terminal.expect(pexpect.EOF)

    assert terminal.wait() == 130
    assert list(provisioned.state.vaults) == ["kv-tutorial"]


def test_what_it_prints_keeps_its_options(provisioned):
    ended = provisioned.run("cleanup.sh", "--purge")

    assert ended.stderr.splitlines()[-1] == f"{SCRIPT} --purge --yes"


def test_carriage_returns_of_az_on_windows_do_no_harm(provisioned, tmp_path):
    windows_az(provisioned, tmp_path)
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    assert ended.returncode == 0
    assert (provisioned.state.groups, provisioned.state.deleted_vaults) == ({}, {})


def test_lock_is_named_and_the_command_that_it_gives_removes_it(provisioned):
    provisioned.state.locks[GROUP.lower()] = ["keep-me"]
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    assert ended.returncode == 1
    assert "Please remove the lock and try again." in ended.stderr
    (command,) = [line for line in ended.stderr.splitlines() if line.startswith("az lock delete ")]
    assert command == f"az lock delete --resource-group='{GROUP}' --name='keep-me'"
    assert ended.stderr.splitlines()[-1] == f"{SCRIPT} --yes --purge"
    assert provisioned.type(command).returncode == 0
    assert provisioned.run("cleanup.sh", "--yes", "--purge").returncode == 0


def test_purge_that_is_refused_says_until_when_the_name_stays_taken(provisioned):
    refusal = error(403, "AuthorizationFailed", "You may not purge.")
    provisioned.stand_in.faults.answer("/purge", refusal, times=9)
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    assert ended.returncode == 1
    assert "You may not purge." in ended.stderr
    assert "kv-tutorial stays taken until 20" in ended.stderr


def test_group_whose_deletion_fails(provisioned):
    refusal = error(403, "AuthorizationFailed", "You may not delete.")
    provisioned.stand_in.faults.answer("DELETE /subscriptions", refusal, times=9)
    ended = provisioned.run("cleanup.sh", "--yes")

    assert ended.returncode == 1
    assert "You may not delete." in ended.stderr
    assert "You are not allowed to do this." in ended.stderr


def test_without_a_terminal_nothing_is_deleted_without_yes(provisioned):
    ended = provisioned.run("cleanup.sh")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("scripts/cleanup.sh --yes")
    assert list(provisioned.state.vaults) == ["kv-tutorial"]


def test_nobody_is_signed_in(provisioned):
    provisioned.az("account", "clear")
    ended = provisioned.run("cleanup.sh", "--yes")

    assert ended.returncode == 1
    assert "\naz login\n" in ended.stderr
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
