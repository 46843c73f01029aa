"""scripts/demo.py: the sample with no Azure account, in one command."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pexpect
import pytest
from conftest import ROOT, run_demo, tutorial
from pexpect.replwrap import REPLWrapper

TYPED = "my-secret\nhunter2\n"


def copy_of_the_project(folder):
    """The project's files without its environments."""
    return shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))


def borrow_environment(project, name="demo"):
    """Let a copy of the project use an environment of this one, without installing it."""
    (project / ".demo").mkdir(exist_ok=True)
    for folder in (ROOT / ".demo").glob(f"{name}-*"):
        (project / ".demo" / folder.name).symlink_to(folder)


def clean_environment(**changes):
    """What a reader's shell has, without the environment that the tests run in."""
    path = [folder for folder in os.environ["PATH"].split(":") if not folder.startswith(f"{ROOT}/.demo/")]
    return {"HOME": os.environ["HOME"], "PATH": ":".join(path)} | changes


def test_fresh_clone_prints_what_the_tutorial_prints_and_nothing_else(tmp_path):
    clone = tmp_path / "a clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    borrow_environment(clone)
    ended = run_demo(root=clone, environment=clean_environment(), input=TYPED, cwd=tmp_path)

    assert (ended.stdout, ended.stderr, ended.returncode) == (tutorial("my-secret", "hunter2"), "", 0)


def test_failed_demo_prints_the_command_that_runs_it_again(tmp_path):
    project = copy_of_the_project(tmp_path / "my project")
    borrow_environment(project)
    ended = run_demo("--trace", root=project, input="not_a_name\n", cwd=tmp_path)

    again = shlex.join(["python3", str(project / "scripts/demo.py"), "--trace"])
    assert ended.stderr.endswith(f"digits, and hyphens.\nTo run the demo again:\n{again}\n")
    assert ended.returncode == 1


def test_other_command_has_the_environments_python_and_says_itself_how_it_ends():
    code = "import os, sys; print(sys.prefix, os.getenv('PYTHONPATH'), *sys.argv[1:]); sys.exit(7)"
    ended = run_demo("python", "-c", code, "--az", "--trace", environment=os.environ | {"PYTHONPATH": "mine"})

    assert re.fullmatch(rf"{re.escape(str(ROOT))}/\.demo/demo-\w+ None --az --trace\n", ended.stdout)
    assert (ended.stderr, ended.returncode) == ("", 7)


def test_option_that_needs_a_command():
    ended = run_demo("--az")

    assert (ended.stdout, ended.returncode) == ("", 2)
    assert "--az needs a COMMAND, such as bash" in ended.stderr


HOSTILE = """
export HTTPS_PROXY=http://127.0.0.1:1 AZURE_CONFIG_DIR=/nowhere AZURE_CLIENT_ID=mine PATH={home}:$PATH
az() {{ echo mine; }}
PS1='mine> '
"""


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_no_setting_of_the_reader_leads_a_shell_out_of_an_azure_that_is_empty(tmp_path, name):
    if not shutil.which(name):
        pytest.skip(f"There is no {name}.")
    for start_up_file in (".bashrc", ".zshrc", "bash_env"):
        (tmp_path / start_up_file).write_text(HOSTILE.format(home=tmp_path))
    for program in ("az", "python"):
        (tmp_path / program).write_text("#!/bin/sh\necho mine\n")
        (tmp_path / program).chmod(0o755)
    environment = clean_environment(HOME=str(tmp_path), TERM="dumb")
    environment |= {"BASH_FUNC_az%%": "() { echo mine; }", "PROMPT_COMMAND": "PS1='mine> '"}
    environment |= {"BASH_ENV": str(tmp_path / "bash_env"), "AZURE_CONFIG_DIR": str(tmp_path / "own")}
    environment["BROWSER"] = "echo %s"  # By itself, az login would wait for it.
    terminal = pexpect.spawn(
        *(sys.executable, [str(ROOT / "scripts/demo.py"), "--az", name]),
        **{"env": environment, "cwd": str(ROOT), "encoding": "utf-8", "echo": False, "timeout": 120},
    )
    shell = REPLWrapper(terminal, "(stand-in) $ ", None)

    assert shell.run_command("echo ${KEY_VAULT_NAME-none} ${AZURE_CLIENT_ID-none}") == "none none\r\n"
    assert "Please run 'az login'" in shell.run_command("az account show")
    assert "as somebody@example.com" in shell.run_command("bash -c 'az login --output none'")
    assert shell.run_command("az keyvault list") == "[]\r\n"
    shell.run_command("az group create --name rg --location westus --output none")
    shell.run_command("az keyvault create --name kv-mine -g rg --enable-rbac-authorization false")
    # Only who has created the vault may do that.
    run = "printf 'my-secret\\nhunter2\\n' | KEY_VAULT_NAME=kv-mine python kv_secrets.py"
    shown = shell.run_command(run).replace("\r\n", "\n")
    assert shown == tutorial("my-secret", "hunter2", vault="kv-mine")
    install = "python -m pip install --quiet --dry-run --ignore-installed -r requirements.txt"
    assert shell.run_command(f"{install}; echo $?") == "0\r\n"

    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 0
    assert not (tmp_path / "own").exists()
