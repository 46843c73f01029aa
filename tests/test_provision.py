"""scripts/provision.sh with the real Azure CLI: a resource group, a vault and an access policy."""

import re
import shutil
import subprocess

import pexpect
import pytest
from conftest import ROOT, windows_az
from stand_in.messages import Answer, error
from stand_in.state import OFFICER_ROLE

GROUP = "KeyVault-PythonQS-rg"
# As bash quotes it.
SCRIPT = str(ROOT / "scripts/provision.sh").replace(" ", "\\ ")
VAULT_NAME = re.compile("(?=.{3,24}$)[A-Za-z](-?[A-Za-z0-9])*")
TUTORIAL = {"delete", "get", "list", "set"}


def export(name="kv-tutorial"):
    return f"export KEY_VAULT_NAME='{name}'\n"


def policy(vault, object_id):
    """The permissions that one identity has in a vault, by kind, without the kinds of none."""
    (found,) = [one for one in vault.access_policies if one["objectId"] == object_id]
    return {kind: set(granted) for kind, granted in found["permissions"].items() if granted}


def writes(cloud):
    """What was sent to Azure Resource Manager that changes something."""
    return [
        str(one)
        for one in cloud.stand_in.log
        if one.host == "management.azure.com" and one.method not in ("GET", "HEAD")
    ]


def put_vault(cloud):
    """How a request begins that creates a vault in the tutorial's resource group."""
    return f"PUT /subscriptions/{cloud.state.subscription_id}/resourceGroups/{GROUP}/providers"


def check_refusal(ended, cloud, *words):
    """Nothing was changed and nothing is for eval; the message has these words."""
    assert (ended.stdout, ended.returncode) == ("", 1)
    for word in words:
        assert word in ended.stderr
    assert writes(cloud) == []


@pytest.fixture
def provision(cloud):
    """A function that runs the script for the vault kv-tutorial, with changes to the environment."""

    def provision(**environment):
        return cloud.run("provision.sh", **({"KEY_VAULT_NAME": "kv-tutorial"} | environment))

    return provision


def test_first_run_makes_what_the_tutorial_needs(provision, cloud):
    ended = provision()

    assert (ended.stdout, ended.returncode) == (export(), 0)
    vault = cloud.state.find_vault("kv-tutorial")
    assert (vault.resource_group, vault.location) == (GROUP, "eastus")
    assert cloud.state.groups == {GROUP.lower(): "eastus"}
    assert not vault.is_rbac
    assert vault.retention_days == 7
    assert policy(vault, cloud.state.sample.object_id) == {"secrets": TUTORIAL}
    steps = ended.stderr.splitlines()
    assert steps == [
        "Looking up the subscription ...",
        f"Subscription: The stand-in's subscription ({cloud.state.subscription_id}), "
        f"as {cloud.state.admin.client_id}.",
        f"Resource group {GROUP}: created in eastus.",
        "Creating the vault kv-tutorial ...",
        "Vault kv-tutorial: created.",
        f"Access policy for {cloud.state.sample.object_id}: delete get list set on secrets.",
    ]


def test_second_run_changes_nothing(provision, cloud):
    provision()
    before, written = repr(cloud.state.vaults), len(writes(cloud))
    ended = provision()

    assert (ended.stdout, ended.returncode) == (export(), 0)
    assert [line.rpartition(" ")[2] for line in ended.stderr.splitlines()[2:]] == ["exists."] * 3
    assert repr(cloud.state.vaults) == before
    assert len(writes(cloud)) == written


@pytest.mark.parametrize("wanted", ["PUT /subscriptions/", "/vaults/kv-tutorial ", "PUT .*policy"])
def test_half_way_run_is_finished_by_the_next(provision, cloud, wanted):
    if wanted == "PUT .*policy":
        provision()
        cloud.state.find_vault("kv-tutorial").access_policies.clear()
    else:
        refusal = error(400, "BadRequest", "Not today.")
        cloud.stand_in.faults.answer(wanted, refusal, times=2)
        first = provision()
        cloud.stand_in.faults.clear()
        assert (first.stdout, first.returncode != 0) == ("", True)
        assert "Not today." in first.stderr
    ended = provision()

    assert (ended.stdout, ended.returncode) == (export(), 0)
    vault = cloud.state.find_vault("kv-tutorial")
    assert policy(vault, cloud.state.sample.object_id) == {"secrets": TUTORIAL}


def test_names_that_are_made_up_are_valid_and_differ(cloud):
    names = []
    for _ in range(2):
        ended = cloud.run("provision.sh")
        (name,) = re.findall("^export KEY_VAULT_NAME='(.*)'$", ended.stdout)
        assert VAULT_NAME.fullmatch(name)
        assert cloud.state.find_vault(name)
        names.append(name)
    assert names[0] != names[1]


def test_other_group_and_location(provision, cloud):
    ended = provision(RESOURCE_GROUP="-mein_büro.(new)", LOCATION="westeurope")

    assert "Resource group -mein_büro.(new): created in westeurope." in ended.stderr
    vault = cloud.state.find_vault("kv-tutorial")
    assert (vault.resource_group, vault.location) == ("-mein_büro.(new)", "westeurope")


def test_group_that_exists_is_used_in_its_own_location(provision, cloud):
    cloud.state.groups[GROUP.lower()] = "francecentral"
    ended = provision()

    assert f"Resource group {GROUP}: exists." in ended.stderr
    assert cloud.state.groups == {GROUP.lower(): "francecentral"}
    assert cloud.state.find_vault("kv-tutorial").location == "francecentral"


class TestRoles:
    def roles(self, cloud):
        return [
            (one.object_id, one.role_definition_id.rpartition("/")[2]) for one in cloud.state.role_assignments
        ]

    def test_rbac_vault_that_exists_gets_the_role_and_keeps_all_else(self, provision, cloud):
        vault = cloud.state.add_vault("kv-tutorial")
        vault.is_rbac = True
        before = repr(vault)
        ended = provision()

        assert ended.stdout == export()
        assert repr(vault) == before
        assert self.roles(cloud) == [(cloud.state.sample.object_id, OFFICER_ROLE)]
        assert "takes a few minutes" in ended.stderr

    def test_rbac_vault_that_will_do_is_used(self, provision, cloud):
        cloud.state.add_vault("kv-tutorial").is_rbac = True
        provision()
        written = len(writes(cloud))
        ended = provision()

        assert ended.stdout == export()
        assert f"Role for {cloud.state.sample.object_id}: exists." in ended.stderr
        assert len(writes(cloud)) == written

    def test_on_request(self, provision, cloud, sample):
        ended = cloud.run("provision.sh", "--rbac", KEY_VAULT_NAME="kv-tutorial")

        assert ended.stdout == export()
        vault = cloud.state.find_vault("kv-tutorial")
        assert (vault.is_rbac, vault.retention_days) == (True, 7)
        sample.environment["KEY_VAULT_NAME"] = "kv-tutorial"
        assert sample.run().returncode == 0

    def test_where_the_organization_forbids_access_policies(self, provision, cloud):
        message = (
            "Resource 'kv-tutorial' was disallowed by policy. Reasons: 'Azure Key Vault should use RBAC "
            "permission model'."
        )
        cloud.stand_in.faults.answer(put_vault(cloud), error(403, "RequestDisallowedByPolicy", message))
        ended = provision()

        assert ended.stdout == export()
        assert message in ended.stderr
        assert "Trying a vault that uses roles" in ended.stderr
        assert cloud.state.find_vault("kv-tutorial").is_rbac
        assert self.roles(cloud) == [(cloud.state.sample.object_id, OFFICER_ROLE)]

    def test_another_policy_of_the_organization(self, provision, cloud):
        refusal = error(403, "RequestDisallowedByPolicy", "Resource 'kv-tutorial' was disallowed: no tags.")
        cloud.stand_in.faults.answer(put_vault(cloud), refusal, times=9)
        ended = provision()

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert "no tags." in ended.stderr
        assert "Ask an administrator" in ended.stderr


class TestWordsOfAz:
    """An az command that fails leaves its own words, then what they mean and what to type."""

    @pytest.mark.parametrize(
        ("wanted", "refusal", "cure"),
        [
            (
                "PUT /subscriptions/",
                error(
                    403,
                    "AuthorizationFailed",
                    "The client 'x' does not have authorization to perform action "
                    "'Microsoft.Resources/subscriptions/resourcegroups/write' over scope '/subscriptions/y'.",
                ),
                'az group list --query "[].name" --output tsv\nTo use one of them:\nexport RESOURCE_GROUP=',
            ),
            (
                "/vaults/kv-tutorial ",
                error(
                    409,
                    "MissingSubscriptionRegistration",
                    "The subscription is not registered to use namespace 'Microsoft.KeyVault'. See "
                    "https://aka.ms/rps-not-found for how to register subscriptions.",
                ),
                "az provider register --namespace Microsoft.KeyVault --wait",
            ),
            (
                "/vaults/kv-tutorial ",
                error(
                    403,
                    "RequestDisallowedByAzure",
                    "Resource 'kv-tutorial' was disallowed by Azure: This policy maintains a set of best "
                    "available regions where your subscription can deploy resources.",
                ),
                "export LOCATION=westeurope",
            ),
            (
                "graph.microsoft.com",
                error(
                    403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
                ),
                "az login --service-principal",
            ),
        ],
        ids=["no right to create a group", "not registered", "region", "Graph is closed"],
    )
    def test_mean_something_and_have_a_cure(self, provision, cloud, wanted, refusal, cure):
        cloud.stand_in.faults.answer(wanted, refusal, times=99)
        ended = provision()

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert refusal.document["error"]["message"] in ended.stderr
        assert f"\n{cure}" in ended.stderr
        assert ended.stderr.splitlines()[-1] == f'eval "$({SCRIPT})"'
        assert "Traceback" not in ended.stderr

    def test_cure_for_closed_graph_works(self, provision, cloud):
        # The deed of someone else: the service principal may create a vault here.
        refusal = error(
            403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
        )
        cloud.stand_in.faults.answer("graph.microsoft.com", refusal, times=99)
        (login,) = [line for line in provision().stderr.splitlines() if line.startswith("az login")]

        assert cloud.type(login).returncode == 0
        assert provision().stdout == export()


def test_location_is_respected_though_the_group_exists(provision, cloud):
    cloud.state.groups[GROUP.lower()] = "francecentral"
    provision(LOCATION="westeurope")

    assert cloud.state.groups == {GROUP.lower(): "francecentral"}
    assert cloud.state.find_vault("kv-tutorial").location == "westeurope"


def test_graph_is_not_needed_for_whoever_is_signed_in(provision, cloud):
    refusal = error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    cloud.stand_in.faults.answer("graph.microsoft.com", refusal, times=99)

    assert provision(AZURE_CLIENT_ID="").stdout == export()
    assert policy(cloud.state.find_vault("kv-tutorial"), cloud.state.admin.object_id) == {"secrets": TUTORIAL}


def test_account_without_a_subscription(provision, cloud):
    cloud.az("account", "clear")
    cloud.stand_in.faults.answer("GET /subscriptions", Answer(200, {"value": []}), times=99)
    admin = cloud.state.admin
    login = cloud.az(
        *("login", "--service-principal", "--allow-no-subscriptions", "--tenant", cloud.state.tenant_id),
        *("--username", admin.client_id, "--password", admin.client_secret),
    )
    assert login.returncode == 0, login.stderr
    ended = provision()

    check_refusal(ended, cloud, "has no subscription", "https://azure.microsoft.com/free/")
    assert "Nobody is signed in" not in ended.stderr


def test_carriage_returns_of_az_on_windows_do_no_harm(provision, cloud, tmp_path):
    windows_az(cloud, tmp_path)
    assert provision().stdout == export()
    written = len(writes(cloud))
    assert provision().stdout == export()
    assert len(writes(cloud)) == written


def test_something_is_said_before_the_first_answer(cloud, tmp_path):
    # An az that never answers: whoever waits for it has been told what for.
    (tmp_path / "az").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "az").chmod(0o755)
    environment = cloud.environment | {"PATH": f"{tmp_path}:{cloud.environment['PATH']}"}
    process = subprocess.Popen([ROOT / "scripts/provision.sh"], env=environment, stderr=subprocess.PIPE)
    with process:
        assert process.stderr.readline() == b"Looking up the subscription ...\n"
        subprocess.run(["pkill", "-f", f"{tmp_path}/az|sleep 600", "-P", str(process.pid)])
        process.terminate()


@pytest.mark.parametrize("cure", ["az keyvault recover", "az keyvault purge"])
@pytest.mark.parametrize("group_is_there", [True, False])
def test_deleted_vault_can_be_recovered_or_purged(provision, cloud, cure, group_is_there):
    vault = cloud.state.add_vault("kv-tutorial")
    vault.add_secret("kept", "precious")
    cloud.state.delete_vault(vault)
    if not group_is_there:
        cloud.state.groups.clear()
    ended = provision()

    check_refusal(ended, cloud, "deleted vault that is not purged", "different name")
    commands = [line for line in ended.stderr.splitlines() if line.startswith("az ")]
    assert [one.startswith("az group create ") for one in commands].count(True) == (not group_is_there)
    for command in commands:
        if command.startswith(("az group create ", cure)):
            assert cloud.type(command).returncode == 0, command
    assert provision().stdout == export()
    kept = cloud.state.find_vault("kv-tutorial").find("kept")
    assert (kept is not None) == (cure == "az keyvault recover")


def test_name_that_is_taken_in_another_group(provision, cloud):
    vault = cloud.state.add_vault("kv-tutorial", resource_group="elsewhere-rg")
    before = repr(vault)
    ended = provision()

    check_refusal(ended, cloud, "another resource group, elsewhere-rg", "different name")
    assert "export RESOURCE_GROUP='elsewhere-rg'" in ended.stderr
    assert repr(vault) == before
    assert provision(RESOURCE_GROUP="ELSEWHERE-rg").stdout == export()


def test_name_that_is_taken_out_of_sight(provision, cloud):
    taken = error(409, "VaultAlreadyExists", "The vault name 'kv-tutorial' is already in use.")
    cloud.stand_in.faults.answer(put_vault(cloud), taken)
    ended = provision()

    assert (ended.stdout, ended.returncode != 0) == ("", True)
    assert "already in use" in ended.stderr


def test_who_may_not_list_the_deleted_vaults_can_still_make_one(provision, cloud):
    refusal = error(403, "AuthorizationFailed", "You may not do that.")
    cloud.stand_in.faults.answer("/providers/Microsoft.KeyVault/deletedVaults", refusal, times=9)
    assert provision().stdout == export()


@pytest.mark.parametrize(
    "name",
    [
        *("1vault", "a--b", "ab", "a" * 25, "kv_1", "kv-", "kv;touch x", "$(touch x)", "`touch x`"),
        *("kv\ntouch x", "välut", "' || touch x", "https://kv.vault.azure.net", "-kv"),
    ],
)
def test_bad_name_is_refused_before_anything_is_sent(tmp_path, name):
    ended = subprocess.run(
        [ROOT / "scripts/provision.sh"],
        env={"PATH": "/usr/bin:/bin", "KEY_VAULT_NAME": name},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert (ended.stdout, ended.returncode) == ("", 1)
    assert "3 to 24 letters, digits, and single hyphens" in ended.stderr
    assert "export KEY_VAULT_NAME=" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_in_a_setting_is_executed(provision, cloud, tmp_path):
    harm = f"$(touch {tmp_path}/x)`touch {tmp_path}/x`;touch {tmp_path}/x'"
    for name in ("RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID"):
        provision(**{name: harm})

    assert list(tmp_path.iterdir()) == []


def test_nobody_is_signed_in(provision, cloud):
    cloud.az("account", "clear")
    ended = provision()

    check_refusal(
        ended, cloud, "has no subscription", "\naz login\n", "\naz login --allow-no-subscriptions\n"
    )


def test_there_is_no_az(provision, cloud, tmp_path):
    for tool in ("bash", "cat", "dirname", "env", "mktemp", "od", "readlink", "rm", "tr"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    ended = provision(PATH=str(tmp_path))

    check_refusal(ended, cloud, "az, is not installed", "https://learn.microsoft.com/")


def test_service_principal_that_does_not_exist(provision, cloud):
    ended = provision(AZURE_CLIENT_ID="11111111-2222-3333-4444-555555555555")

    assert (ended.stdout, ended.returncode != 0) == ("", True)
    assert "11111111-2222-3333-4444-555555555555" in ended.stderr
    assert writes(cloud) == []


def test_without_a_client_id_the_policy_is_for_the_signed_in_service_principal(provision, cloud):
    assert provision(AZURE_CLIENT_ID="").returncode == 0

    vault = cloud.state.find_vault("kv-tutorial")
    assert policy(vault, cloud.state.admin.object_id) == {"secrets": TUTORIAL}
    assert len(vault.access_policies) == 1


def test_without_a_client_id_the_policy_is_for_the_signed_in_user(provision, cloud):
    cloud.az("account", "clear")
    user = cloud.state.user
    login = cloud.az("login", "--username", user.name, "--password", user.password)
    assert login.returncode == 0, login.stderr
    assert provision(AZURE_CLIENT_ID="").returncode == 0

    vault = cloud.state.find_vault("kv-tutorial")
    assert policy(vault, user.object_id) == {"secrets": TUTORIAL}


def test_sample_principal_that_provisions_for_itself_gets_no_more_than_the_tutorial_gives(provision, cloud):
    cloud.stand_in.sign_in_to_az(cloud.state.sample)
    assert provision().returncode == 0

    vault = cloud.state.find_vault("kv-tutorial")
    assert policy(vault, cloud.state.sample.object_id) == {"secrets": TUTORIAL}


def test_whoever_makes_the_vault_for_another_keeps_all_permissions(provision, cloud):
    provision()

    vault = cloud.state.find_vault("kv-tutorial")
    assert policy(vault, cloud.state.admin.object_id)["secrets"] == {"all"}


def test_permissions_that_are_there_already_stay(provision, cloud):
    vault = cloud.state.add_vault("kv-tutorial")
    vault.access_policies[0]["permissions"]["secrets"] = ["Get", "Purge"]
    provision()

    assert policy(vault, cloud.state.sample.object_id)["secrets"] == TUTORIAL | {"purge"}


def test_errors_of_az_are_shown_and_its_json_is_not(provision, cloud):
    ended = provision(LOCATION="")
    assert "{" not in ended.stderr

    cloud.state.groups.clear()
    ended = provision(KEY_VAULT_NAME="kv-other", LOCATION=" ")
    assert ended.returncode != 0
    assert "ERROR" in ended.stderr


def test_sample_runs_in_what_was_provisioned(provision, sample):
    line = provision().stdout
    sample.command = ["bash", "-c", line + 'exec "$@"', "bash", *sample.command]
    ended = sample.run()

    assert (ended.stderr, ended.returncode) == ("", 0)
    assert "from kv-tutorial ..." in ended.stdout


def test_eval_of_its_output_sets_the_name(provision, cloud):
    ended = cloud.type(provision().stdout + "echo $KEY_VAULT_NAME")
    assert ended.stdout == "kv-tutorial\n"


def test_help_names_the_settings(cloud):
    ended = cloud.run("provision.sh", "--help")

    # On a terminal it goes to standard output; elsewhere that may be what eval takes.
    assert (ended.stdout, ended.returncode) == ("", 0)
    for name in ("KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID", "--rbac"):
        assert name in ended.stderr


def test_eval_of_the_help_evaluates_nothing(cloud):
    line = f'eval "$({SCRIPT} --help)"; echo "status $?"'
    ended = cloud.type(line)

    assert (ended.stdout, ended.stderr.startswith("usage: eval")) == ("status 0\n", True)


def test_help_on_a_terminal_is_standard_output(cloud):
    terminal = pexpect.spawn(
        "bash", ["-c", f"{SCRIPT} --help 2>/dev/null"], env=cloud.environment, timeout=60
    )
    terminal.expect_exact("usage: eval")
    terminal.expect(pexpect.EOF)


def test_argument_that_it_does_not_know(cloud):
    ended = cloud.run("provision.sh", "--purge")

    assert (ended.stdout, ended.returncode) == ("", 2)
    assert "provision.sh --help" in ended.stderr
