"""scripts/provision.sh with the real Azure CLI: a resource group, a vault, and the permission."""

import re
import shlex
import shutil
import subprocess

import pexpect
import pytest
from conftest import ROOT
from stand_in.messages import error
from stand_in.state import OFFICER_ROLE

GROUP = "KeyVault-PythonQS-rg"
EXPORT = "export KEY_VAULT_NAME=kv-tutorial\n"
TUTORIAL = {"delete", "get", "list", "set"}
SOMEBODY = "11111111-2222-3333-4444-555555555555"
# Settings of az that would change what it prints, or what a command is about.
SETTINGS = ["core.output=none defaults.group=another-rg", "core.output=table"]
HARM = [
    *("$(touch harm)", "`touch harm`", "x; touch harm", "x\ntouch harm", "x' || touch harm '"),
    *("--help", "--yes", "-o json", "' || 'a' == 'a", "[?name=='x']", "@/etc/passwd", "x" * 5000, "*", "\\"),
]


def permissions(cloud, principal, kind="secrets", vault="kv-tutorial"):
    """What the access policies of a vault grant a principal."""
    policies = cloud.state.find_vault(vault).access_policies
    granted = [
        one["permissions"].get(kind) or [] for one in policies if one["objectId"] == principal.object_id
    ]
    return {permission.lower() for each in granted for permission in each}


def roles(cloud):
    return [
        (one.object_id, one.role_definition_id.rpartition("/")[2]) for one in cloud.state.role_assignments
    ]


def writes(cloud):
    """What was sent to Azure Resource Manager that changes something."""
    sent = [one for one in cloud.stand_in.log if one.host == "management.azure.com"]
    return [str(one) for one in sent if one.method not in ("GET", "HEAD")]


def windows_az(cloud, folder):
    """Put an az first on the cloud's PATH whose lines end as those of az on Windows do."""
    az = shutil.which("az", path=cloud.environment["PATH"])
    (folder / "az").write_text(f'#!/bin/bash\nset -o pipefail\n{shlex.quote(az)} "$@" | sed "s/$/\\r/"\n')
    (folder / "az").chmod(0o755)
    cloud.environment["PATH"] = f"{folder}:{cloud.environment['PATH']}"


@pytest.fixture
def provision(cloud):
    """A function that runs the script for the vault kv-tutorial, with changes to the environment."""

    def provision(*arguments, **environment):
        return cloud.run("provision.sh", *arguments, **({"KEY_VAULT_NAME": "kv-tutorial"} | environment))

    return provision


def test_first_run_creates_what_the_tutorial_needs_and_the_second_changes_nothing(provision, cloud):
    first = provision()
    sample = cloud.state.sample
    vault = cloud.state.find_vault("kv-tutorial")

    assert (first.stdout, first.returncode) == (EXPORT, 0)
    assert first.stderr.splitlines() == [
        f"Creating the resource group {GROUP} ...",
        f"Creating the vault kv-tutorial in {GROUP} ...",
        f"Granted to {sample.object_id}: delete get list set.",
        "It can take some minutes to take effect.",
    ]
    assert (vault.resource_group, vault.location, vault.retention_days) == (GROUP, "eastus", 7)
    assert not vault.is_rbac
    assert permissions(cloud, sample) == TUTORIAL
    assert permissions(cloud, cloud.state.admin) == {"all"}, "whoever creates it for another"

    written = writes(cloud)
    second = provision(KEY_VAULT_NAME="KV-Tutorial", RESOURCE_GROUP="elsewhere-rg")
    assert (second.stdout, second.returncode) == ("export KEY_VAULT_NAME=KV-Tutorial\n", 0)
    assert second.stderr.splitlines() == [
        "Using the vault KV-Tutorial.",
        f"{sample.object_id} already has the permissions.",
    ]
    assert writes(cloud) == written

    run = cloud.type(f"{first.stdout}printf 'my-secret\\nhunter2\\n' | python kv_secrets.py")
    assert "Your secret is 'hunter2'.\nDeleting your secret from kv-tutorial ...\n done.\n" in run.stdout


def test_vault_with_roles(provision, cloud):
    assert provision("--rbac").stdout == EXPORT

    vault = cloud.state.find_vault("kv-tutorial")
    assert (vault.is_rbac, vault.retention_days) == (True, 7)
    assert roles(cloud) == [(cloud.state.sample.object_id, OFFICER_ROLE)]
    written = writes(cloud)
    assert "already has a role" in provision().stderr
    assert writes(cloud) == written


def test_generated_names_differ_and_are_said_before_the_vault_is_created(cloud):
    refusal = error(400, "BadRequest", "Not today.")
    cloud.stand_in.faults.answer("/vaults/kv-quickstart-", refusal, times=9)
    names = []
    for _ in range(2):
        ended = cloud.run("provision.sh")
        assert (ended.stdout, ended.returncode) == ("", 1)
        assert "Not today." in ended.stderr
        names += re.findall("Creating the vault (kv-quickstart-[0-9a-f]{8}) ", ended.stderr)
    assert len(set(names)) == 2


def test_other_group_and_location(provision, cloud):
    provision(RESOURCE_GROUP="-mein_büro.(new)", LOCATION="westeurope")

    vault = cloud.state.find_vault("kv-tutorial")
    assert (vault.resource_group, vault.location) == ("-mein_büro.(new)", "westeurope")


def test_location_is_the_vaults_where_the_group_exists(provision, cloud):
    cloud.state.groups[GROUP.lower()] = "francecentral"
    provision(LOCATION="westeurope")

    assert cloud.state.groups == {GROUP.lower(): "francecentral"}
    assert cloud.state.find_vault("kv-tutorial").location == "westeurope"


def test_settings_of_az_change_nothing(provision, cloud):
    cloud.state.groups[GROUP.lower()] = "francecentral"
    cloud.az("config", "set", *SETTINGS[0].split())

    assert provision().stdout == EXPORT
    assert cloud.state.find_vault("kv-tutorial").location == "francecentral"
    assert "Using the vault kv-tutorial." in provision().stderr
    assert permissions(cloud, cloud.state.sample) == TUTORIAL


def test_carriage_returns_of_az_on_windows_do_no_harm(provision, cloud, tmp_path):
    windows_az(cloud, tmp_path)

    assert provision(AZURE_CLIENT_ID="").stdout == EXPORT
    assert permissions(cloud, cloud.state.admin) == TUTORIAL


class TestWhoGetsThePermission:
    def test_user_who_is_signed_in_though_graph_is_closed(self, provision, cloud):
        user = cloud.state.user
        cloud.az("login", "--username", user.name, "--password", user.password)
        closed = error(
            403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
        )
        cloud.stand_in.faults.answer("graph.microsoft.com", closed, times=99)

        assert provision(AZURE_CLIENT_ID="").stdout == EXPORT
        assert permissions(cloud, user) == TUTORIAL
        assert len(cloud.state.find_vault("kv-tutorial").access_policies) == 1

    def test_service_principal_that_is_not_there_stops_before_anything_is_created(self, provision, cloud):
        ended = provision(AZURE_CLIENT_ID=SOMEBODY)

        assert (ended.stdout, ended.returncode != 0, writes(cloud)) == ("", True, [])
        assert f"'{SOMEBODY}' does not exist" in ended.stderr

    @pytest.mark.parametrize("is_rbac", [False, True])
    def test_object_id_in_the_vault_that_is_there(self, provision, cloud, is_rbac):
        vault = cloud.state.add_vault("kv-tutorial", resource_group="elsewhere-rg")
        vault.is_rbac = is_rbac
        before = repr(vault.access_policies)
        assert provision("--object-id", SOMEBODY).stdout == EXPORT

        if is_rbac:
            assert roles(cloud) == [(SOMEBODY, OFFICER_ROLE)]
            assert repr(vault.access_policies) == before
        else:
            assert vault.permissions(SOMEBODY) == TUTORIAL
        assert list(cloud.state.groups) == ["elsewhere-rg"]

    def test_object_id_creates_nothing(self, provision, cloud):
        ended = provision("--object-id", SOMEBODY)

        assert (ended.stdout, ended.returncode != 0, writes(cloud)) == ("", True, [])
        assert "The Vault 'kv-tutorial' not found within subscription." in ended.stderr
        assert "KEY_VAULT_NAME: is not set" in cloud.run("provision.sh", "--object-id", SOMEBODY).stderr


@pytest.mark.parametrize("granted", [["Get", "Purge"], ["all"]])
def test_permissions_that_are_there_already_stay(provision, cloud, granted):
    sample = cloud.state.sample
    vault = cloud.state.add_vault("kv-tutorial")
    vault.access_policies[0]["permissions"] = {"secrets": granted, "keys": ["sign"]}
    others = repr(vault.access_policies[1:])
    ended = provision("--rbac")

    assert "--rbac changes nothing: this vault uses access policies." in ended.stderr
    assert permissions(cloud, sample) >= {one.lower() for one in granted}
    assert vault.permissions(sample.object_id) >= TUTORIAL
    assert permissions(cloud, sample, "keys") == {"sign"}
    assert repr(vault.access_policies[1:]) == others
    assert not vault.is_rbac


@pytest.mark.parametrize("cure", ["az keyvault recover", "az keyvault purge"])
def test_deleted_vault_can_be_recovered_or_purged(provision, cloud, cure):
    vault = cloud.state.add_vault("kv-tutorial")
    vault.add_secret("kept", "precious")
    cloud.state.delete_vault(vault)
    ended = provision()

    assert (ended.stdout, ended.returncode) == ("", 1)
    assert "already exists in deleted state" in ended.stderr
    (command,) = [line for line in ended.stderr.splitlines() if line.startswith(cure)]
    assert cloud.type(command).returncode == 0
    assert provision().stdout == EXPORT
    kept = cloud.state.find_vault("kv-tutorial").find("kept")
    assert (kept is not None) == (cure == "az keyvault recover")


class TestWordsOfAz:
    """A failing az command leaves its own words, and the script stops: nothing is for eval."""

    @pytest.mark.parametrize(
        "wanted",
        ["GET /subscriptions/", "PUT /subscriptions/", "/vaults/kv-tutorial "],
    )
    def test_are_whole(self, provision, cloud, wanted):
        words = "The client does not have authorization to perform action 'x' over scope 'y'."
        cloud.stand_in.faults.answer(wanted, error(403, "AuthorizationFailed", words), times=99)
        ended = provision()

        assert (ended.stdout, ended.returncode != 0) == ("", True)
        assert words in ended.stderr
        assert not cloud.state.vaults

    def test_nobody_is_signed_in(self, provision, cloud):
        cloud.az("account", "clear")
        ended = provision()

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert "az login" in ended.stderr


def on_terminal(cloud, line, **environment):
    """A line typed into bash on a terminal, in the project's folder."""
    environment = cloud.environment | environment
    return pexpect.spawn("bash", ["-c", line], env=environment, cwd=str(ROOT), encoding="utf-8", timeout=60)


def test_ctrl_c_says_how_to_continue_with_the_same_vault(cloud):
    held = cloud.stand_in.faults.hold("PUT /subscriptions/")
    terminal = on_terminal(cloud, 'eval "$(scripts/provision.sh --rbac)"; echo "${KEY_VAULT_NAME-none}"')
    assert held.reached.wait(60)
    terminal.sendintr()
    terminal.expect_exact("Stopped. To continue with the same vault:\r\n")
    terminal.expect(r"export KEY_VAULT_NAME=(kv-quickstart-[0-9a-f]{8})\r\n")
    name = terminal.match[1]
    terminal.expect_exact('eval "$(scripts/provision.sh --rbac)"\r\n')
    held.release()
    terminal.expect(pexpect.EOF)

    again = cloud.type('eval "$(scripts/provision.sh --rbac)"; echo $KEY_VAULT_NAME', KEY_VAULT_NAME=name)
    assert again.stdout == f"{name}\n"
    assert list(cloud.state.vaults) == [name]


def test_without_eval_it_says_how_to_run_it(cloud):
    terminal = on_terminal(cloud, "scripts/provision.sh --rbac")
    terminal.expect_exact('\neval "$(scripts/provision.sh --rbac)"\r\n')
    terminal.expect(pexpect.EOF)

    assert terminal.wait() == 2
    assert len(cloud.stand_in.log) == 0


def test_help_under_eval_evaluates_nothing(cloud):
    ended = cloud.type('eval "$(scripts/provision.sh --help)"; echo "status $?"')

    assert ended.stdout == "status 0\n"
    assert ended.stderr.startswith('usage: eval "$(scripts/provision.sh [')
    for name in ("KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID", "--rbac", "--object-id"):
        assert name in ended.stderr


@pytest.mark.parametrize("arguments", [["--purge"], ["--object-id"]])
def test_wrong_usage(cloud, arguments):
    ended = cloud.run("provision.sh", *arguments)

    assert (ended.stdout, ended.returncode) == ("", 2)
    assert ended.stderr.splitlines()[-1].endswith("provision.sh --help")


@pytest.fixture
def with_fake_az(tmp_path):
    """A function that runs a script with an az that notes its arguments, a line each, and knows nothing.

    The script is in a folder with a space in its path, and run as ``sh``. The function gives back the
    ended process and these lines.
    """
    programs, work, scripts = tmp_path / "programs", tmp_path / "work", tmp_path / "my project"
    shutil.copytree(ROOT / "scripts", scripts, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    programs.mkdir()
    work.mkdir()
    (programs / "az").write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" >>"$ARGUMENTS"\n'
        'if [ "$1 $2" = "account show" ]; then printf "Mine\\n1\\n"; exit; fi\n'
        'if [ "$1 $2" = "keyvault list" ]; then exit; fi\n'
        'if [ "$1 $2" = "account get-access-token" ]; then echo e30.eyJvaWQiOiIxLTIifQ.x; exit; fi\n'
        'if [ "$1 $2" = "group exists" ]; then echo true; exit; fi\n'
        'echo "ERROR: az was called." >&2; exit 1\n'
    )
    (programs / "az").chmod(0o755)
    noted = tmp_path / "arguments"

    def run(script, *arguments, **settings):
        noted.write_text("")
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "ARGUMENTS": str(noted)} | settings
        command = ["sh", str(scripts / script), *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        ended = subprocess.run(command, env=environment, cwd=work, **pipes)
        assert list(work.iterdir()) == [], "something was run"
        return ended, noted.read_text().splitlines()

    return run


@pytest.mark.parametrize("setting", ["KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID"])
def test_settings_are_names_and_nothing_else(with_fake_az, setting):
    for value in HARM:
        ended, arguments = with_fake_az("provision.sh", **{setting: value})

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert "ERROR: az was called." in ended.stderr
        assert not {"--help", "--yes", "-o json"} & set(arguments), "an option"


@pytest.mark.parametrize("setting", ["KEY_VAULT_NAME", "RESOURCE_GROUP"])
def test_cleanup_deletes_nothing_that_it_was_not_told(with_fake_az, setting):
    for value in HARM:
        ended, arguments = with_fake_az("cleanup.sh", "--purge", **{setting: value})

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert not {"delete", "purge"} & set(arguments)


def test_checkout_on_windows_has_the_line_ends_that_bash_needs(tmp_path):
    clone = ["git", "clone", "--quiet", "--config", "core.autocrlf=true", ROOT, tmp_path / "clone"]
    subprocess.run(clone, check=True)

    assert b"\r\n" in (tmp_path / "clone/README.md").read_bytes()
    for script in (*(tmp_path / "clone/scripts").glob("*.sh"), tmp_path / "clone/.ci/run"):
        assert b"\r" not in script.read_bytes(), script
