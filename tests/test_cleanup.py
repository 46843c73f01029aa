"""scripts/cleanup.sh with the real Azure CLI: what was provisioned goes away, and nothing else does."""

import pexpect
import pytest
from stand_in.messages import error
from test_provision import SETTINGS, on_terminal, windows_az

GROUP = "KeyVault-PythonQS-rg"
DELETED = f"Deleted the resource group {GROUP}.\n"
RESERVED = "The vault name kv-tutorial stays reserved until 20"


@pytest.fixture
def provisioned(cloud):
    """A cloud with the vaults kv-tutorial and kv-other in the tutorial's resource group."""
    cloud.state.add_vault("kv-other")
    cloud.state.add_vault("kv-tutorial")
    cloud.environment["KEY_VAULT_NAME"] = "KV-Tutorial"
    return cloud


def answer(cloud, line, answer):
    """What a line shows on a terminal before its question is answered, and after, and its exit status."""
    terminal = on_terminal(cloud, line)
    terminal.expect_exact("Delete all of this? (y/n): ")
    before = terminal.before.replace("\r\n", "\n")
    if answer:
        terminal.sendline(answer)
    else:
        terminal.sendintr()
    terminal.expect(pexpect.EOF)
    return before, terminal.before.replace("\r\n", "\n"), terminal.wait()


def test_names_what_it_deletes_and_until_when_the_names_stay_reserved(provisioned):
    ended = provisioned.run("cleanup.sh", "--yes")

    assert (ended.stdout, ended.returncode) == ("", 0)
    listed, _, deleted = ended.stderr.partition(f"Deleting the resource group {GROUP} ...\n")
    assert f"Subscription: The stand-in's subscription, {provisioned.state.subscription_id}\n" in listed
    assert f"In the resource group {GROUP}:\nkv-other\tMicrosoft.KeyVault/vaults\n" in listed
    assert deleted.startswith(DELETED)
    assert RESERVED in deleted
    assert provisioned.state.groups == {}
    assert set(provisioned.state.deleted_vaults) == {"kv-tutorial", "kv-other"}


def test_with_yes_only_the_vault_that_is_named_is_purged_even_later(provisioned):
    elsewhere = provisioned.state.add_vault("kv-elsewhere", resource_group="elsewhere-rg")
    provisioned.state.delete_vault(elsewhere)
    provisioned.run("cleanup.sh", "--yes")
    not_its_own = provisioned.run("cleanup.sh", "--yes", "--purge", KEY_VAULT_NAME="kv-elsewhere")
    nothing = f"There is nothing to purge: KEY_VAULT_NAME does not name a vault of {GROUP}.\n"
    assert nothing in not_its_own.stderr
    assert len(provisioned.state.deleted_vaults) == 3
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    assert ended.returncode == 0
    assert f"There is no resource group {GROUP}.\n" in ended.stderr
    assert "Purged the vault kv-tutorial.\n" in ended.stderr
    assert "The vault name kv-other stays reserved until 20" in ended.stderr
    assert set(provisioned.state.deleted_vaults) == {"kv-other", "kv-elsewhere"}


def test_question_names_what_is_purged(provisioned):
    before, after, status = answer(provisioned, "scripts/cleanup.sh --purge", "y")

    assert before.endswith("To be purged, with all their secrets, for good:\nkv-other\nkv-tutorial\n")
    assert DELETED in after
    assert "Purged the vault kv-other.\n" in after
    assert status == 0
    assert provisioned.state.deleted_vaults == {}


@pytest.mark.parametrize(("typed", "status"), [("n", 1), (None, 130)])
def test_nothing_is_deleted_without_a_yes(provisioned, typed, status):
    assert answer(provisioned, "scripts/cleanup.sh --purge", typed)[1:] == (
        "^C\nStopped. Nothing was deleted.\n" if typed is None else "n\nNothing was deleted.\n",
        status,
    )
    assert len(provisioned.state.vaults) == 2


def test_without_a_terminal_nothing_is_deleted_without_yes(provisioned):
    ended = provisioned.run("cleanup.sh", "--purge")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("scripts/cleanup.sh --purge --yes")
    assert len(provisioned.state.vaults) == 2


def test_other_group(provisioned):
    provisioned.state.add_vault("kv-else", resource_group="other-rg")
    provisioned.run("cleanup.sh", "--yes", RESOURCE_GROUP="OTHER-rg")

    assert set(provisioned.state.vaults) == {"kv-tutorial", "kv-other"}
    assert list(provisioned.state.deleted_vaults) == ["kv-else"]


@pytest.mark.parametrize("setting", [*SETTINGS, "carriage returns"])
def test_settings_of_az_change_nothing(provisioned, tmp_path, setting):
    if setting == "carriage returns":
        windows_az(provisioned, tmp_path)
    else:
        provisioned.az("config", "set", *setting.split())
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    assert ended.returncode == 0
    assert (provisioned.state.groups, list(provisioned.state.deleted_vaults)) == ({}, ["kv-other"])


@pytest.mark.parametrize(
    "wanted", ["HEAD /subscriptions/", "DELETE /subscriptions/", "Microsoft.KeyVault/deletedVaults"]
)
def test_words_of_az_are_whole_and_nothing_is_said_to_be_deleted(provisioned, wanted):
    words = "The scope 'x' cannot perform delete operation because following scope(s) are locked: 'x'."
    provisioned.stand_in.faults.answer(wanted, error(409, "ScopeLocked", words), times=99)
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    # az has no words of its own for an answer to HEAD, which has no body.
    assert ("HEAD" in wanted) or words in ended.stderr
    assert ended.returncode != 0
    assert "Deleted" not in ended.stderr
    assert "There is no" not in ended.stderr
    assert len(provisioned.state.vaults) == 2


def test_sign_in_that_has_expired_is_no_empty_cloud(provisioned):
    provisioned.az("account", "clear")
    ended = provisioned.run("cleanup.sh", "--yes")

    assert ended.returncode == 1
    assert "az login" in ended.stderr
    assert "There is no" not in ended.stderr


def test_purge_that_is_refused_is_none(provisioned):
    provisioned.state.find_vault("kv-tutorial").is_purge_protected = True
    ended = provisioned.run("cleanup.sh", "--yes", "--purge")

    assert ended.returncode == 1
    assert "Operation 'DeletedVaultPurge' is not allowed." in ended.stderr
    assert "Purged" not in ended.stderr
    assert RESERVED in ended.stderr


def test_help_names_the_options(cloud):
    ended = cloud.run("cleanup.sh", "--help")

    assert ended.returncode == 0
    for name in ("--yes", "--purge", "RESOURCE_GROUP", "KEY_VAULT_NAME"):
        assert name in ended.stdout
