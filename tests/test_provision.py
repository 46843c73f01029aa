"""scripts/provision.sh: a resource group, a vault, and access to its secrets."""

import re
import shlex
import shutil
import subprocess

import pexpect
import pytest
from conftest import ROOT

GROUP = "KeyVault-PythonQS-rg"
TUTORIAL = {"delete", "get", "list", "set"}
RUN_SAMPLE = "printf 'my-secret\\nhunter2\\n' | python kv_secrets.py"


def put_before_az(cloud, folder, script):
    """Put a program az first on the PATH, a bash script in which "$AZ" is the real one."""
    az = shutil.which("az", path=cloud.environment["PATH"])
    (folder / "az").write_text(f"#!/bin/bash\nAZ={shlex.quote(az)}\n{script}\n")
    (folder / "az").chmod(0o755)
    cloud.environment["PATH"] = f"{folder}:{cloud.environment['PATH']}"


class TestWithTheAzureCli:
    """Against the stand-in. What is to hold in Azure itself, too, is in test_live.py."""

    def test_for_a_service_principal(self, cloud):
        sample = cloud.state.sample
        ended = cloud.run("provision.sh")
        (vault,) = cloud.state.vaults.values()

        assert (ended.stdout, ended.returncode) == (f"export KEY_VAULT_NAME={vault.name}\n", 0)
        for shown in (cloud.state.subscription_id, sample.object_id, f"the vault {vault.name}"):
            assert shown in ended.stderr
        assert (vault.resource_group, vault.location, vault.retention_days) == (GROUP, "eastus", 7)
        assert vault.permissions(sample.object_id) == TUTORIAL
        assert "purge" in vault.permissions(cloud.state.admin.object_id), "of whoever created it"

    def test_again_after_each_command_that_changes_something_has_failed(self, cloud, tmp_path):
        fail = f'if [ "$1 $2" = "$(cat {tmp_path}/failing)" ]; then exit 3; fi; exec "$AZ" "$@"'
        put_before_az(cloud, tmp_path, fail)
        for change in ("group create", "keyvault create", "keyvault set-policy"):
            (tmp_path / "failing").write_text(change)
            ended = cloud.run("provision.sh")
            assert (ended.stdout, ended.returncode) == ("false\n", 3)
        (tmp_path / "failing").write_text("")
        ended = cloud.type(f'eval "$(scripts/provision.sh)"; {RUN_SAMPLE}')

        assert "Your secret is 'hunter2'." in ended.stdout
        assert len(cloud.state.vaults) == 1

    def test_settings_of_az_and_carriage_returns_change_nothing(self, cloud, tmp_path):
        cloud.az("config", "set", "core.output=table", "defaults.group=another-rg")
        put_before_az(cloud, tmp_path, 'set -o pipefail\n"$AZ" "$@" | sed "s/$/\\r/"')
        settings = {"KEY_VAULT_NAME": "kv-mine", "RESOURCE_GROUP": "-büro.(new)", "LOCATION": "westeurope"}
        cloud.run("provision.sh", **settings)
        ended = cloud.run("provision.sh", **settings)
        (vault,) = cloud.state.vaults.values()

        assert (ended.stdout, ended.returncode) == ("export KEY_VAULT_NAME=kv-mine\n", 0)
        assert "LOCATION has no effect" in ended.stderr
        assert (vault.resource_group, vault.location) == ("-büro.(new)", "westeurope")
        assert vault.permissions(cloud.state.sample.object_id) == TUTORIAL

    @pytest.mark.parametrize("client_id", [None, "11111111-2222-3333-4444-555555555555"])
    def test_identity_that_is_not_there_stops_before_anything_is_created(self, cloud, client_id):
        if not client_id:
            cloud.az("account", "clear")
        ended = cloud.run("provision.sh", **({"AZURE_CLIENT_ID": client_id} if client_id else {}))

        assert (ended.stdout, ended.returncode != 0) == ("false\n", True)
        assert ("does not exist" if client_id else "az login") in ended.stderr
        assert not cloud.state.groups


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
account*) echo "${SUBSCRIPTION-Mine 1}" ;;
ad*) echo "${IDENTITY-Somebody b-2}" ;;
"group exists"*) echo "${GROUP_EXISTS-false}" ;;
"keyvault list"*) echo "${VAULTS-["kv-another"]}" ;;
*enableRbac*) printf '%b\n' "${ACCESS-false}" ;;
"keyvault show"*) echo "${SCOPE-/vault}" ;;
esac
"""
HARM = [
    "$(touch harm)",
    "x\ntouch harm",
    "x' || touch harm '",
    "a  b",
    "--help",
    "' || 'a' == 'a",
    "@/etc/passwd",
    "*",
]
ROLES = {"ACCESS": "true"}
COMMANDS = 8  # of the first run, and one more with roles


@pytest.fixture
def fake(tmp_path):
    """A function that gives a command and what to run it with, and has an az on the PATH that answers at once.

    The command runs the script in a folder of its own, in which nothing else is to appear; its path has
    a space. ``fake.arguments()`` are those that az was called with, a list a call.
    """
    programs, work = tmp_path / "my bin", tmp_path / "my work"
    programs.mkdir()
    work.mkdir()
    (programs / "az").write_text(ANSWERS.replace('["kv-another"]', r"[\"kv-another\"]"))
    (programs / "az").chmod(0o755)
    shutil.copy(ROOT / "scripts/provision.sh", programs)
    noted = tmp_path / "arguments"

    def prepare(settings):
        noted.write_text("")
        home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}  # for what fish writes
        return {"PATH": f"{programs}:/usr/bin:/bin", "ARGUMENTS": str(noted)} | home | settings

    def run(*arguments, shell=None, **settings):
        command = shell or [str(programs / "provision.sh"), *arguments]
        ended = subprocess.run(
            command,
            **{"env": prepare(settings), "cwd": work, "stdin": subprocess.DEVNULL},
            **{"capture_output": True, "text": True},
        )
        assert list(work.iterdir()) == [], "something was run"
        return ended

    def on_terminal(line, **settings):
        return pexpect.spawn("bash", ["-c", line], env=prepare(settings), cwd=str(work), encoding="utf-8")

    run.on_terminal = on_terminal
    run.arguments = lambda: [one.splitlines() for one in noted.read_text().split("\n--\n")[:-1]]
    return run


class TestWithAnAzThatAnswersAtOnce:
    @pytest.mark.parametrize("access", [{}, ROLES])
    def test_failure_of_any_command_ends_it_and_fails_in_eval(self, fake, access):
        assert fake(**access).returncode == 0
        commands = len(fake.arguments())
        assert commands == COMMANDS + bool(access)
        for number in range(1, commands + 1):
            ended = fake(AT=str(number), FAILS="yes", **access)
            assert (ended.stdout, ended.returncode, len(fake.arguments())) == ("false\n", 3, number)

    @pytest.mark.parametrize(
        "answer", ["SUBSCRIPTION", "IDENTITY", "GROUP_EXISTS", "VAULTS", "ACCESS", "SCOPE"]
    )
    def test_answer_that_is_missing_is_no_success(self, fake, answer):
        ended = fake(**ROLES | {answer: ""})

        assert (ended.stdout, ended.returncode) == ("false\n", 1)
        assert "az did not answer" in ended.stderr
        assert fake.arguments()[-1][1] in ("show", "signed-in-user", "exists", "list"), (
            "nothing is changed then"
        )

    def test_ctrl_c_at_any_command_ends_it(self, fake):
        for number in range(1, COMMANDS + 1):
            terminal = fake.on_terminal("trap : INT; shown=$(provision.sh); echo $?$shown", AT=str(number))
            terminal.expect_exact("waiting")
            terminal.sendintr()
            terminal.expect(pexpect.EOF)
            assert terminal.before.replace("^C", "").split() == ["130false"]
            assert len(fake.arguments()) == number

    def test_every_command_names_its_output_and_group(self, fake):
        for settings in ({}, {"AZURE_CLIENT_ID": "3"}, ROLES):
            fake(**settings)
            for words in fake.arguments():
                assert "--output" in words
                if words[0] in ("group", "keyvault"):
                    assert f"--resource-group={GROUP}" in words

    @pytest.mark.parametrize(
        ("settings", "name", "creates"),
        [
            ({}, r"kv-quickstart-\d{2,10}", True),
            ({"VAULTS": '["kv-1","KV-quickstart-12"]'}, "KV-quickstart-12", False),
            ({"VAULTS": '["kv-quickstart-12"]', "KEY_VAULT_NAME": "kv-mine"}, "kv-mine", True),
            ({"KEY_VAULT_NAME": "KV-Another"}, "KV-Another", False),
            ({"KEY_VAULT_NAME": "kv-anoth"}, "kv-anoth", True),
        ],
    )
    def test_vault_is_the_one_that_is_set_or_the_groups_or_a_new_one(self, fake, settings, name, creates):
        assert re.fullmatch(f"export KEY_VAULT_NAME={name}\n", fake(**settings).stdout)
        assert (["keyvault", "create"] in [words[:2] for words in fake.arguments()]) == creates

    @pytest.mark.parametrize(
        ("access", "granted"),
        [
            ("false", TUTORIAL),
            ("null", TUTORIAL),
            ("false\nB-2 Get purge\nb-3 backup", {*TUTORIAL, "Get", "purge"}),
            ("false\nb-2 all", None),
        ],
    )
    def test_permissions_are_completed_and_none_is_taken_away(self, fake, access, granted):
        assert fake(ACCESS=access).returncode == 0
        *_, last = fake.arguments()
        if granted is None:
            assert "set-policy" not in last
        else:
            assert "--object-id=b-2" in last
            assert set(last[last.index("--secret-permissions") + 1 : last.index("--output")]) == granted

    @pytest.mark.parametrize(("client_id", "kind"), [("", "User"), ("3", "ServicePrincipal")])
    def test_role_is_for_the_kind_of_identity(self, fake, client_id, kind):
        ended = fake(AZURE_CLIENT_ID=client_id, **ROLES)

        assert {f"--assignee-principal-type={kind}", "--scope=/vault"} <= set(fake.arguments()[-1])
        assert "a few minutes" in ended.stderr

    def test_location_is_the_groups_unless_it_is_set(self, fake):
        for settings, expected in (({}, ["eastus"]), ({"LOCATION": "a b"}, ["a b", "a b"])):
            fake(**settings)
            words = [word for call in fake.arguments() for word in call]
            assert [word for word in words if "location" in word] == [f"--location={one}" for one in expected]

    @pytest.mark.parametrize(("options", "is_rbac"), [([], "false"), (["--rbac"], "true")])
    def test_vault_uses_access_policies_unless_roles_are_asked_for(self, fake, options, is_rbac):
        ended = fake(*options)
        (create,) = [words for words in fake.arguments() if words[:2] == ["keyvault", "create"]]

        assert create[create.index("--enable-rbac-authorization") + 1] == is_rbac
        assert ("--rbac has no effect" in ended.stderr) == bool(options), (
            "the answer is that it uses policies"
        )

    @pytest.mark.parametrize("setting", ["KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID"])
    def test_settings_are_names_and_nothing_else(self, fake, setting):
        for value in HARM:
            ended = fake(**{setting: value})
            words = [word for call in fake.arguments() for word in call]
            assert not {"--help", value} & set(words), "an option, or a word by itself"
            echo = ["bash", "-c", f'{ended.stdout}printf %s "${setting}"']

            assert (fake(shell=echo, **{setting: value}).stdout, ended.returncode) == (value, 0)

    @pytest.mark.parametrize("shell", ["bash", "sh", "zsh", "fish"])
    def test_every_shell_takes_what_it_prints(self, fake, shell):
        if not shutil.which(shell):
            pytest.skip(f"There is no {shell}.")
        line = 'eval "$(provision.sh)" && echo $KEY_VAULT_NAME'
        assert fake(shell=[shell, "-c", line], KEY_VAULT_NAME="kv-mine").stdout == "kv-mine\n"
        assert (
            fake(shell=[shell, "-c", line], KEY_VAULT_NAME="of yesterday", AT="3", FAILS="yes").stdout == ""
        )

    @pytest.mark.parametrize(
        ("line", "status"),
        [("provision.sh", 2), ("shown=$(provision.sh --purge)", 2), ("shown=$(provision.sh --help)", 0)],
    )
    def test_says_how_to_run_it(self, fake, line, status):
        terminal = fake.on_terminal(line)
        terminal.expect(pexpect.EOF)

        shown = terminal.before.replace("\r\n", "\n")
        assert shown.startswith('usage: eval "$(scripts/provision.sh [--rbac])"\n\n')
        assert max(map(len, shown.splitlines())) <= 80
        for name in ("--rbac", "KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID"):
            assert f"\n{name} " in shown
        assert not shown.endswith("false\n")
        assert terminal.wait() == status
        assert fake.arguments() == []


def test_checkout_on_windows_has_the_line_endings_that_bash_needs(tmp_path):
    clone = ["git", "clone", "--quiet", "--config", "core.autocrlf=true", ROOT, tmp_path / "clone"]
    subprocess.run(clone, check=True)

    assert b"\r\n" in (tmp_path / "clone/README.md").read_bytes()
    for script in ("scripts/provision.sh", ".ci/run"):
        assert b"\r" not in (tmp_path / "clone" / script).read_bytes(), script
