"""scripts/demo.sh: the sample with no Azure account, in one command."""

import os
import shutil
import subprocess

import pexpect
import pytest
from conftest import ROOT, run_script
from test_good_run import tutorial

TYPED = "my-secret\nhunter2\n"


def copy_of_the_project(folder):
    """The project's files without its environments."""
    environments = shutil.ignore_patterns(".*", "__pycache__")
    return shutil.copytree(ROOT, folder, ignore=environments)


def fake_python(folder, script):
    """A directory for the PATH with little more than bash and a ``python3`` that runs a script."""
    folder.mkdir()
    for tool in ("bash", "cat", "dirname", "env"):
        (folder / tool).symlink_to(shutil.which(tool))
    (folder / "python3").write_text(f"#!{shutil.which('bash')}\n{script}\n")
    (folder / "python3").chmod(0o755)
    return {"PATH": str(folder)}


def test_prints_what_the_tutorial_prints_and_nothing_else():
    ended = run_script("demo.sh", input=TYPED)

    assert ended.stdout == tutorial("my-secret", "hunter2")
    assert (ended.stderr, ended.returncode) == ("", 0)


def test_on_a_terminal():
    terminal = pexpect.spawn(str(ROOT / "scripts/demo.sh"), timeout=60, encoding="utf-8")
    terminal.expect_exact("Input a name for your secret > ")
    terminal.sendline("my-secret")
    terminal.expect_exact("Input a value for your secret > ")
    terminal.sendline("hunter2")
    terminal.expect_exact("Your secret is 'hunter2'.\r\n")
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 0


def test_fresh_clone_in_an_empty_environment(tmp_path):
    clone = tmp_path / "a clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    path = os.environ["PATH"].replace(f"{ROOT}/.venv/bin:", "")
    bare = {"HOME": os.environ["HOME"], "PATH": path}
    ended = run_script("demo.sh", root=clone, environment=bare, input=TYPED)

    assert (ended.stdout, ended.returncode) == (tutorial("my-secret", "hunter2"), 0)
    status = ["git", "-C", clone, "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


def test_from_any_directory_and_with_spaces_in_the_path(tmp_path):
    project = copy_of_the_project(tmp_path / "my project")
    (project / ".venv").symlink_to(ROOT / ".venv")
    ended = run_script("demo.sh", root=project, input=TYPED, cwd=tmp_path)

    assert (ended.stdout, ended.returncode) == (tutorial("my-secret", "hunter2"), 0)


def test_runs_any_command_and_ends_with_its_status():
    code = "import sys; print(sys.prefix); sys.exit(7)"
    ended = run_script("demo.sh", "python", "-c", code)

    assert (ended.stdout, ended.returncode) == (f"{ROOT}/.venv\n", 7)


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "http://example.com", "https://no-such-vault.vault.azure.net/secrets"],
)
def test_nothing_gets_out(url):
    code = f"import urllib.request as u; u.urlopen({url!r})"
    ended = run_script("demo.sh", "python", "-c", code)

    assert ended.returncode != 0
    assert "403" in ended.stderr


def test_help_explains_it():
    ended = run_script("demo.sh", "--help")

    assert ended.returncode == 0
    assert ended.stdout.startswith("usage: scripts/demo.sh [")


@pytest.mark.parametrize(
    ("script", "cure"),
    [
        pytest.param("exit 1", "python.org", id="too old"),
        pytest.param('case "$2" in *venv*) exit 1;; esac', "sudo apt install python3-venv", id="no venv"),
    ],
)
def test_without_a_python_that_serves_it_says_what_to_install(tmp_path, script, cure):
    project = copy_of_the_project(tmp_path / "project")
    environment = fake_python(tmp_path / "bin", script)
    ended = run_script("demo.sh", root=project, environment=environment)

    assert (ended.stdout, ended.returncode) == ("", 1)
    assert cure in ended.stderr
    assert len(ended.stderr.splitlines()) <= 4
    assert not (project / ".venv").exists()


def test_environment_is_made_again_when_its_python_is_gone(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    (project / "requirements.txt").write_text("")
    (project / "tests/requirements.txt").write_text("")
    first = run_script("demo.sh", "true", root=project)
    (project / ".venv/bin/python").unlink()
    (project / ".venv/bin/python").symlink_to("/nowhere")
    second = run_script("demo.sh", "true", root=project)
    third = run_script("demo.sh", "true", root=project)

    assert "Making" in first.stderr
    assert "Making" in second.stderr
    assert "Making" not in third.stderr


class TestAz:
    TUTORIAL = (
        'eval "$(KEY_VAULT_NAME=kv-tutorial scripts/provision.sh)" && '
        'printf "my-secret\\nhunter2\\n" | python kv_secrets.py && scripts/cleanup.sh --yes --purge'
    )

    def test_whole_tutorial_can_be_walked(self):
        ended = run_script("demo.sh", "--az", "bash", "-c", self.TUTORIAL, cwd=ROOT)

        assert ended.stdout == tutorial("my-secret", "hunter2", vault="kv-tutorial")
        assert ended.returncode == 0
        assert "Vault kv-tutorial: purged." in ended.stderr

    def test_whoever_provisions_is_not_who_runs_the_sample(self):
        show = "az account show --query user.name --output tsv; echo $AZURE_CLIENT_ID"
        provisions, runs = run_script("demo.sh", "--az", "bash", "-c", show).stdout.split()

        assert provisions != runs

    def test_nobodys_own_sign_in_is_read_or_changed(self, tmp_path):
        own = os.environ | {"AZURE_CONFIG_DIR": str(tmp_path / "own")}
        ended = run_script("demo.sh", "--az", "az", "account", "clear", environment=own)

        assert ended.returncode == 0
        assert not (tmp_path / "own").exists()

    def test_nothing_of_it_is_paid_for_without_the_option(self):
        ended = run_script("demo.sh", "bash", "-c", "ls -A $AZURE_CONFIG_DIR")
        assert ended.stdout == ""

    def test_az_without_the_option_is_signed_out(self):
        az = shutil.which("az")
        ended = run_script("demo.sh", az, "account", "show")
        assert "az login" in ended.stderr


def test_option_that_it_does_not_know():
    ended = run_script("demo.sh", "--no-such-option")

    assert (ended.stdout, ended.returncode) == ("", 2)
    assert "demo.sh --help" in ended.stderr
