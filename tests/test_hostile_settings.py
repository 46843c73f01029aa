"""scripts/provision.sh and scripts/cleanup.sh, whatever the variables hold, and Ctrl-C at each step."""

import re
import shlex
import subprocess

import pexpect
import pytest
from conftest import ROOT

HARM = [
    *(
        "$(touch harm)",
        "`touch harm`",
        "x; touch harm",
        "x\ntouch harm",
        "x' || touch harm '",
        '"; touch harm; "',
    ),
    *(
        "--help",
        "--yes",
        "-o json",
        "' || 'a' == 'a",
        "[?name=='x']",
        "@/etc/passwd",
        "../..",
        "a\tb",
        "\x1b[31m",
    ),
    *("*", "~", "%s%n", "x" * 5000, "é" * 300, "'", '"', "\\", " ", "\r\n", "{}", "&", "|", ">harm", "<harm"),
]
SETTINGS = ["KEY_VAULT_NAME", "RESOURCE_GROUP", "LOCATION", "AZURE_CLIENT_ID"]
EXPORT = re.compile("(export KEY_VAULT_NAME='[A-Za-z0-9-]{3,24}'\n)?")


@pytest.fixture
def with_fake_az(tmp_path):
    """A function that runs a script with an az that notes its arguments, a line each, and knows nothing.

    It gives back the ended process and these lines.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "az").write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" >>"$ARGUMENTS"\n'
        'if [ "$1 $2" = "account show" ]; then printf "Mine\\n1\\n2\\nuser\\nme@example.com\\n"; exit; fi\n'
        'if [ "$1 $2" = "account get-access-token" ]; then echo e30.eyJvaWQiOiIxLTIifQ.x; exit; fi\n'
        'if [ "$1 $2" = "group exists" ]; then echo false; exit; fi\n'
        'echo "ERROR: az was called." >&2; exit 1\n'
    )
    (programs / "az").chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    arguments = tmp_path / "arguments"

    def run(script, *options, **settings):
        arguments.write_text("")
        environment = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "ARGUMENTS": str(arguments),
            "HOME": str(tmp_path),
        }
        ended = subprocess.run(
            [ROOT / "scripts" / script, *options],
            env=environment | settings,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert list(work.iterdir()) == [], "something was run"
        return ended, arguments.read_text().splitlines()

    return run


@pytest.mark.parametrize("setting", SETTINGS)
def test_nothing_is_run_and_one_message_is_clear(with_fake_az, setting):
    for value in HARM:
        ended, arguments = with_fake_az("provision.sh", **{setting: value})

        assert EXPORT.fullmatch(ended.stdout)
        assert ended.returncode in (0, 1)
        assert "\x1b" not in ended.stderr
        assert 1 <= len(ended.stderr.splitlines()) <= 8
        # A value that reaches az is one argument, and no option.
        assert not {"--help", "--yes", "-o json"} & set(arguments)


@pytest.mark.parametrize("setting", ["RESOURCE_GROUP", "KEY_VAULT_NAME"])
def test_cleanup_deletes_nothing_that_it_was_not_told(with_fake_az, setting):
    for value in HARM:
        ended, arguments = with_fake_az("cleanup.sh", "--purge", **{setting: value})

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert "\x1b" not in ended.stderr
        assert not {"delete", "purge"} & set(arguments)


def steps(request):
    every = ["PUT group", "PUT vault", "PUT policy"]
    return every if request.config.getoption("--long") else every[1:2]


def test_ctrl_c_at_each_step_and_then_again(cloud, request):
    subscription = f"/subscriptions/{cloud.state.subscription_id}/resource"
    wanted = {
        "PUT group": f"PUT {subscription}groups/KeyVault-PythonQS-rg ",
        "PUT vault": f"PUT {subscription}Groups/KeyVault-PythonQS-rg/providers",
        "PUT policy": f"PUT {subscription}Groups/KeyVault-PythonQS-rg/providers",
    }
    script = shlex.quote(str(ROOT / "scripts/provision.sh"))
    environment = cloud.environment | {"KEY_VAULT_NAME": "kv-tutorial"}
    for step in steps(request):
        cloud.state.vaults.clear()
        cloud.state.groups.clear()
        if step == "PUT policy":
            cloud.state.add_vault("kv-tutorial").access_policies.clear()
        held = cloud.stand_in.faults.hold(wanted[step])
        terminal = pexpect.spawn(script, env=environment, encoding="utf-8", timeout=60)
        assert held.reached.wait(60)
        terminal.sendintr()
        terminal.expect_exact("Stopped.")
        assert "export" not in terminal.before
        assert "Traceback" not in terminal.before
        terminal.expect(pexpect.EOF)
        assert terminal.wait() == 130
        held.release()
        cloud.stand_in.faults.clear()

        again = cloud.run("provision.sh", KEY_VAULT_NAME="kv-tutorial")
        assert (again.stdout, again.returncode) == ("export KEY_VAULT_NAME='kv-tutorial'\n", 0)
