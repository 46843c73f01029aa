"""scripts/provision.sh: a resource group, a vault, and access to its secrets."""

import re
import shlex
import shutil
import subprocess

import pexpect
import pytest
from conftest import ROOT
from stand_in.state import OFFICER_ROLE

GROUP = "KeyVault-PythonQS-rg"
TUTORIAL = {"delete", "get", "list", "set"}
RUN_SAMPLE = "printf 'my-secret\\nhunter2\\n' | python kv_secrets.py"


def writes(cloud):
    """What was sent to Azure Resource Manager that changes something."""
    sent = [one for one in cloud.stand_in.log if one.host == "management.azure.com"]
    return [str(one) for one in sent if one.method not in ("GET", "HEAD")]


def put_before_az(cloud, folder, script):
    """Put a program az first on the PATH, a bash script in which "$AZ" is the real one."""
    az = shutil.which("az", path=cloud.environment["PATH"])
    (folder / "az").write_text(f"#!/bin/bash\nAZ={shlex.quote(az)}\n{script}\n")
    (folder / "az").chmod(0o755)
    cloud.environment["PATH"] = f"{folder}:{cloud.environment['PATH']}"


class TestWithTheAzureCli:
    def test_for_a_service_principal_and_again_in_a_new_terminal(self, cloud):
        sample = cloud.state.sample
        first = cloud.run("provision.sh")
        (vault,) = cloud.state.vaults.values()

        assert (first.stdout, first.returncode) == (f"export KEY_VAULT_NAME={vault.name}\n", 0)
        assert first.stderr.splitlines() == [
            f"Subscription: The stand-in's subscription ({cloud.state.subscription_id})",
            f"Identity: kv-quickstart-sample ({sample.object_id})",
            f"Creating the resource group {GROUP} ...",
            f"Creating the vault {vault.name} ...",
            f"Granting access to the vault {vault.name} ...",
        ]
        assert (vault.resource_group, vault.location, vault.retention_days) == (GROUP, "eastus", 7)
        assert vault.permissions(sample.object_id) == TUTORIAL
        assert "purge" in vault.permissions(cloud.state.admin.object_id), "whoever creates it for another"

        written = writes(cloud)
        again = cloud.type(f'eval "$(scripts/provision.sh --rbac)"; {RUN_SAMPLE}')
        assert "This vault uses access policies: --rbac has no effect.\n" in again.stderr
        assert (
            f"Your secret is 'hunter2'.\nDeleting your secret from {vault.name} ...\n done." in again.stdout
        )
        assert writes(cloud) == written

    @pytest.mark.parametrize("option", ["", "--rbac"])
    def test_for_the_user_who_is_signed_in(self, cloud, option):
        user = cloud.state.user
        cloud.az("login", "--username", user.name, "--password", user.password)
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
            del cloud.environment[name]
        ended = cloud.type(f'eval "$(scripts/provision.sh {option})"; {RUN_SAMPLE}')
        (vault,) = cloud.state.vaults.values()

        assert f"Identity: somebody@example.com ({user.object_id})\n" in ended.stderr
        assert "Your secret is 'hunter2'." in ended.stdout
        assert vault.is_rbac == bool(option)
        roles = [
            (one.object_id, one.scope, one.role_definition_id[-36:]) for one in cloud.state.role_assignments
        ]
        assert roles == ([(user.object_id, cloud.state.path_of(vault), OFFICER_ROLE)] if option else [])
        assert vault.permissions(user.object_id) == (set() if option else TUTORIAL)

    def test_again_after_each_command_that_changes_something_has_failed(self, cloud, tmp_path):
        changes = ["group create", "keyvault create", "keyvault set-policy"]
        fail = f'if [ "$1 $2" = "$(cat {tmp_path}/failing)" ]; then exit 3; fi; exec "$AZ" "$@"'
        put_before_az(cloud, tmp_path, fail)
        for change in changes:
            (tmp_path / "failing").write_text(change)
            ended = cloud.run("provision.sh")
            assert (ended.stdout, ended.returncode) == ("", 3)
        (tmp_path / "failing").write_text("")
        ended = cloud.type(f'eval "$(scripts/provision.sh)"; {RUN_SAMPLE}')

        assert "Your secret is 'hunter2'." in ended.stdout
        assert len(cloud.state.vaults) == 1

    def test_nothing_that_is_there_is_taken_away(self, cloud):
        vault = cloud.state.add_vault("kv-tutorial")
        policy = vault.access_policies[0]
        policy["objectId"] = policy["objectId"].upper()
        policy["permissions"] = {"secrets": ["Get", "Purge"], "keys": ["sign"]}
        ended = cloud.run("provision.sh", KEY_VAULT_NAME="KV-Tutorial", RESOURCE_GROUP=GROUP.upper())

        assert (ended.stdout, ended.returncode) == ("export KEY_VAULT_NAME=KV-Tutorial\n", 0)
        assert writes(cloud) == []

    def test_settings_of_az_and_what_else_it_prints_change_nothing(self, cloud, tmp_path):
        cloud.az("config", "set", "core.output=table", "defaults.group=another-rg")
        carriage_returns = 'set -o pipefail\necho "not found: touch harm"\n"$AZ" "$@" | sed "s/$/\\r/"'
        put_before_az(cloud, tmp_path, carriage_returns)
        settings = {"KEY_VAULT_NAME": "kv-mine", "RESOURCE_GROUP": "-büro.(new)", "LOCATION": "westeurope"}
        ended = cloud.run("provision.sh", **settings)
        (vault,) = cloud.state.vaults.values()

        assert (ended.stdout, ended.returncode) == ("export KEY_VAULT_NAME=kv-mine\n", 0)
        assert (vault.resource_group, vault.location) == ("-büro.(new)", "westeurope")
        assert list(cloud.state.groups.values()) == ["westeurope"]
        assert vault.permissions(cloud.state.sample.object_id) == TUTORIAL

    def test_words_of_az_are_whole(self, cloud):
        cloud.state.delete_vault(cloud.state.add_vault("kv-tutorial"))
        ended = cloud.run("provision.sh", KEY_VAULT_NAME="kv-tutorial")

        assert (ended.stdout, ended.returncode != 0) == ("", True)
        assert (
            "A vault with the same name already exists in deleted state. You need to either" in ended.stderr
        )

    @pytest.mark.parametrize("nobody", [{}, {"AZURE_CLIENT_ID": "11111111-2222-3333-4444-555555555555"}])
    def test_identity_that_is_not_there_stops_before_anything_is_created(self, cloud, nobody):
        if not nobody:
            cloud.az("account", "clear")
        ended = cloud.run("provision.sh", **nobody)

        assert (ended.stdout, ended.returncode != 0, writes(cloud)) == ("", True, [])
        assert ("does not exist" if nobody else "az login") in ended.stderr


# Commands of an az that answers at once: the AT-th one fails, or waits for Ctrl-C and handles it itself.
ANSWERS = r"""#!/bin/bash
printf '%s\n' "$@" -- >>"$ARGUMENTS"
if [ "$(grep -c '^--$' "$ARGUMENTS")" = "${AT-}" ]; then
  if [ -n "${FAILS-}" ]; then exit 3; fi
  trap 'exit 1' INT
  echo waiting >&2
  while :; do read -r -t 1; done
fi
case "$*" in
account*) echo "found: ${SUBSCRIPTION-1 Mine}" ;;
ad*) echo "found: ${IDENTITY-2 Somebody}" ;;
"group exists"*) echo 'found: false' ;;
*enableRbac*) echo "found: ${IS_RBAC-false}" ;;
"keyvault show"*) echo "found: ${POLICIES-[]}" ;;
"keyvault list"*) echo 'found: ["kv-another"]' ;;
esac
"""
HARM = [
    *("$(touch harm)", "`touch harm`", "x; touch harm", "x\ntouch harm", "x' || touch harm '", "a  b"),
    *("--help", "--yes", "-o json", "' || 'a' == 'a", "[?name=='x']", "@/etc/passwd", "x" * 5000, "*", "\\"),
]
COMMANDS = 9  # of the first run


@pytest.fixture
def fake(tmp_path):
    """A function that gives a command and what to run it with, and has an az on the PATH that answers at once.

    The command runs the script in a folder of its own, in which nothing else is to appear; its path has
    a space. ``fake.arguments()`` are those that az was called with, a list a call.
    """
    programs, work = tmp_path / "my bin", tmp_path / "my work"
    programs.mkdir()
    work.mkdir()
    (programs / "az").write_text(ANSWERS)
    (programs / "az").chmod(0o755)
    shutil.copy(ROOT / "scripts/provision.sh", programs)
    noted = tmp_path / "arguments"

    def run(*arguments, shell=None, **settings):
        noted.write_text("")
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "ARGUMENTS": str(noted)} | settings
        command = shell or [str(programs / "provision.sh"), *arguments]
        ended = subprocess.run(
            command, env=environment, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert list(work.iterdir()) == [], "something was run"
        return ended

    def on_terminal(line, **settings):
        noted.write_text("")
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "ARGUMENTS": str(noted)} | settings
        return pexpect.spawn("bash", ["-c", line], env=environment, cwd=str(work), encoding="utf-8")

    run.on_terminal = on_terminal
    run.arguments = lambda: [one.splitlines() for one in noted.read_text().split("\n--\n")[:-1]]
    return run


class TestWithAnAzThatAnswersAtOnce:
    @pytest.mark.parametrize("is_rbac", ["true", "false"])
    def test_failure_of_any_command_ends_it_with_its_exit_status(self, fake, is_rbac):
        assert fake(IS_RBAC=is_rbac).returncode == 0
        assert len(fake.arguments()) == COMMANDS
        for number in range(1, COMMANDS + 1):
            ended = fake(AT=str(number), FAILS="yes", IS_RBAC=is_rbac)
            assert (ended.stdout, ended.returncode, len(fake.arguments())) == ("", 3, number)

    @pytest.mark.parametrize("answer", ["IDENTITY", "POLICIES"])
    def test_answer_that_is_missing_is_no_success(self, fake, answer):
        ended = fake(**{answer: ""})

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert "set-policy" not in [word for call in fake.arguments() for word in call]

    def test_ctrl_c_at_any_command_ends_it(self, fake):
        for number in range(1, COMMANDS + 1):
            terminal = fake.on_terminal("trap : INT; shown=$(provision.sh); echo $?$shown", AT=str(number))
            terminal.expect_exact("waiting")
            terminal.sendintr()
            terminal.expect(pexpect.EOF)
            assert terminal.before.replace("^C", "").split() == ["130"]
            assert len(fake.arguments()) == number

    def test_every_command_names_its_output_and_group(self, fake):
        for settings in ({}, {"AZURE_CLIENT_ID": "3"}, {"IS_RBAC": "true"}):
            fake(**settings)
            for words in fake.arguments():
                assert "--output" in words
                if words[0] in ("group", "keyvault"):
                    assert f"--resource-group={GROUP}" in words

    def test_name_depends_on_subscription_group_and_identity_alone(self, fake):
        name = fake().stdout
        assert re.fullmatch(r"export KEY_VAULT_NAME=kv-quickstart-\d{1,10}\n", name)
        for same in (
            {"RESOURCE_GROUP": GROUP.upper(), "LOCATION": "westeurope", "KEY_VAULT_NAME": ""},
            {"SUBSCRIPTION": "1 Renamed", "IDENTITY": "2 Renamed"},
        ):
            assert fake(**same).stdout == name
        others = [{"RESOURCE_GROUP": "other-rg"}, {"IDENTITY": "4 Somebody"}, {"SUBSCRIPTION": "5 Mine"}]
        assert len({name, *(fake(**other).stdout for other in others)}) == 4

    def test_vault_is_there_only_under_its_whole_name(self, fake):
        for name in ("kv-anoth", "v-another", "*"):
            fake(KEY_VAULT_NAME=name)
            assert len(fake.arguments()) == COMMANDS
        fake(KEY_VAULT_NAME="KV-Another")
        assert len(fake.arguments()) == COMMANDS - 1

    def test_location_is_the_groups_unless_it_is_set(self, fake):
        for settings, expected in (({}, ["eastus"]), ({"LOCATION": "a b"}, ["a b", "a b"])):
            fake(**settings)
            words = [word for call in fake.arguments() for word in call]
            assert [word for word in words if "location" in word] == [f"--location={one}" for one in expected]

    @pytest.mark.parametrize(("client_id", "kind"), [("", "User"), ("3", "ServicePrincipal")])
    def test_role_is_for_the_kind_of_identity(self, fake, client_id, kind):
        fake(AZURE_CLIENT_ID=client_id, IS_RBAC="true")
        assert f"--assignee-principal-type={kind}" in fake.arguments()[-1]

    def test_vault_that_does_not_say_what_it_uses_has_access_policies(self, fake):
        fake(IS_RBAC="null")
        assert "set-policy" in fake.arguments()[-1]

    def test_setting_that_is_empty_is_not_set(self, fake):
        fake()
        expected = fake.arguments()
        fake(KEY_VAULT_NAME="", RESOURCE_GROUP="", LOCATION="", AZURE_CLIENT_ID="")
        assert fake.arguments() == expected

    @pytest.mark.parametrize("setting", ["KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID"])
    def test_settings_are_names_and_nothing_else(self, fake, setting):
        for value in HARM:
            ended = fake(**{setting: value})
            words = [word for call in fake.arguments() for word in call]
            assert not {"--help", "--yes", "-o json", value} & set(words), "an option, or one by itself"
            echo = ["bash", "-c", f'{ended.stdout}printf %s "${setting}"']
            shown = fake(shell=echo, **{setting: value}).stdout

            assert (shown, ended.returncode) == (value, 0)

    @pytest.mark.parametrize("shell", ["bash", "sh", "zsh", "fish"])
    def test_every_shell_takes_what_it_prints(self, fake, shell):
        if not shutil.which(shell):
            pytest.skip(f"There is no {shell}.")
        ended = fake(shell=[shell, "-c", 'eval "$(provision.sh)"; echo $KEY_VAULT_NAME'])
        assert ended.stdout == fake().stdout.partition("=")[2]

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            ("provision.sh", 2),
            ("provision.sh --rbac", 2),
            ("shown=$(provision.sh --purge)", 2),
            ("shown=$(provision.sh --rbac x)", 2),
            ("shown=$(provision.sh --help)", 0),
        ],
    )
    def test_says_how_to_run_it(self, fake, line, status):
        terminal = fake.on_terminal(line)
        terminal.expect(pexpect.EOF)

        shown = terminal.before.replace("\r\n", "\n")
        assert shown.startswith('usage: eval "$(scripts/provision.sh [--rbac])"\n\n')
        assert max(map(len, shown.splitlines())) <= 80
        for name in ("--rbac", "KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID"):
            assert f"\n{name} " in shown
        assert terminal.wait() == status
        assert fake.arguments() == []


def test_checkout_on_windows_has_the_line_endings_that_bash_needs(tmp_path):
    clone = ["git", "clone", "--quiet", "--config", "core.autocrlf=true", ROOT, tmp_path / "clone"]
    subprocess.run(clone, check=True)

    assert b"\r\n" in (tmp_path / "clone/README.md").read_bytes()
    for script in ("scripts/provision.sh", ".ci/run"):
        assert b"\r" not in (tmp_path / "clone" / script).read_bytes(), script
