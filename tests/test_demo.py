"""scripts/demo.sh: the sample with no Azure account, in one command."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest
from conftest import ROOT, run_script
from test_good_run import tutorial

TYPED = "my-secret\nhunter2\n"


def copy_of_the_project(folder):
    """The project's files without its environments."""
    environments = shutil.ignore_patterns(".*", "__pycache__")
    return shutil.copytree(ROOT, folder, ignore=environments)


def borrow_environment(project, name="sample"):
    """Give a copy of the project the environment that the tests run in, without installing it."""
    folder = project / ".demo" / name
    shutil.copytree(ROOT / ".demo" / name, folder, symlinks=True)
    if (folder / "made-for.txt").exists():
        made_for = (folder / "made-for.txt").read_text()
        (folder / "made-for.txt").write_text(made_for.replace(str(ROOT), str(project), 1))


def fake_python(folder, script):
    """A directory for the PATH with little more than bash and a ``python3`` that runs a script."""
    folder.mkdir()
    for tool in ("bash", "basename", "cat", "dirname", "env", "mktemp", "readlink", "rm"):
        (folder / tool).symlink_to(shutil.which(tool))
    (folder / "python3").write_text(f"#!{shutil.which('bash')}\n{script}\n")
    (folder / "python3").chmod(0o755)
    return {"PATH": str(folder)}


def test_prints_what_the_tutorial_prints_and_nothing_else():
    ended = run_script("demo.sh", input=TYPED)

    assert ended.stdout == tutorial("my-secret", "hunter2")
    assert (ended.stderr, ended.returncode) == ("", 0)


def test_on_a_terminal():
    terminal = pexpect.spawn(shlex.quote(str(ROOT / "scripts/demo.sh")), timeout=60, encoding="utf-8")
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
    path = os.environ["PATH"].replace(f"{ROOT}/.demo/sample/bin:", "")
    bare = {"HOME": os.environ["HOME"], "PATH": path}
    ended = run_script("demo.sh", root=clone, environment=bare, input=TYPED)

    assert (ended.stdout, ended.returncode) == (tutorial("my-secret", "hunter2"), 0)
    status = ["git", "-C", clone, "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


def test_from_any_directory_and_with_spaces_in_the_path(tmp_path):
    project = copy_of_the_project(tmp_path / "my project")
    borrow_environment(project)
    ended = run_script("demo.sh", root=project, input=TYPED, cwd=tmp_path)

    assert (ended.stdout, ended.returncode) == (tutorial("my-secret", "hunter2"), 0)


def test_runs_any_command_and_ends_with_its_status():
    code = "import sys; print(sys.prefix); sys.exit(7)"
    ended = run_script("demo.sh", "python", "-c", code)

    assert (ended.stdout, ended.returncode) == (f"{ROOT}/.demo/sample\n", 7)


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
    assert not (project / ".demo").exists()


@pytest.fixture
def project(tmp_path):
    """A copy of the project whose environment has pip alone in it, so that it is made in no time."""
    project = copy_of_the_project(tmp_path / "my project")
    (project / "requirements.txt").write_text("pip\n")
    (project / "tests/requirements.txt").write_text("")
    set_up = project / "scripts/set_up.sh"
    modules = "azure.identity azure.keyvault.secrets trustme jwt pexpect pytest"
    assert modules in set_up.read_text()
    set_up.write_text(set_up.read_text().replace(modules, "pip"))
    # In place of the stand-in, which needs more.
    shutil.rmtree(project / "tests/stand_in")
    (project / "tests/stand_in").mkdir()
    (project / "tests/stand_in/__main__.py").write_text(
        "import pip, subprocess, sys; print(pip.__file__); sys.exit(subprocess.call(sys.argv[1:]))"
    )
    return project


def clean_environment(**changes):
    """What a reader's shell has, without the environment that the tests run in."""
    path = os.environ["PATH"].replace(f"{ROOT}/.demo/sample/bin:", "")
    return {"HOME": os.environ["HOME"], "PATH": path} | changes


def demo(project, *arguments, **options):
    settings = {"environment": clean_environment()} | options
    return run_script("demo.sh", *(arguments or ("true",)), root=project, **settings)


class TestSetUp:
    def test_second_run_installs_nothing(self, project):
        first, second = demo(project), demo(project)

        assert "Installing" in first.stderr
        assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")

    @pytest.mark.parametrize("damage", ["no python", "no packages", "folder was moved", "half removed"])
    def test_broken_environment_is_made_again(self, project, tmp_path, damage):
        demo(project)
        folder = project / ".demo/sample"
        if damage == "no python":
            (folder / "bin/python").unlink()
            (folder / "bin/python").symlink_to("/nowhere")
        elif damage == "no packages":
            shutil.rmtree(next(folder.glob("lib/*/site-packages/pip")))
        elif damage == "half removed":
            (folder / "made-for.txt").unlink()
        else:
            project = project.rename(tmp_path / "moved")
        again, third = demo(project), demo(project)

        assert (again.returncode, "Installing" in again.stderr) == (0, True)
        assert again.stdout.startswith(str(project / ".demo/sample"))
        assert (third.returncode, third.stderr) == (0, "")

    def test_two_first_runs_at_once(self, project):
        with ThreadPoolExecutor() as pool:
            runs = list(pool.map(lambda _: demo(project), range(4)))

        for ended in runs:
            assert (ended.returncode, ended.stdout.startswith(str(project / ".demo/sample"))) == (0, True)
        assert [entry.name for entry in (project / ".demo").iterdir()] == ["sample"]
        assert not list((project / ".demo/sample").glob("*.new.*"))

    def test_readers_own_environment_is_left_alone(self, project):
        (project / ".venv/bin").mkdir(parents=True)
        (project / ".venv/precious.txt").write_text("mine")
        before = sorted(project.glob(".venv/**/*"))
        demo(project)

        assert sorted(project.glob(".venv/**/*")) == before

    def test_settings_of_the_reader_change_nothing(self, project, tmp_path):
        for name in ("pip", "azure", "typing"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
        environment = clean_environment(
            PYTHONPATH=str(tmp_path),
            PIP_USER="1",
            PIP_TARGET=str(tmp_path / "target"),
            PIP_REQUIRE_VIRTUALENV="1",
            CDPATH=f".:{tmp_path}:/",
        )
        ended = demo(project, environment=environment, cwd=project.parent)

        assert (ended.returncode, ended.stdout.startswith(str(project / ".demo/sample"))) == (0, True)
        assert not (tmp_path / "target").exists()

    def test_scripts_folder_of_windows(self, project, tmp_path):
        programs = tmp_path / "programs"
        programs.mkdir()
        python = programs / "python3"
        real = shutil.which("python3", path=clean_environment()["PATH"])
        python.write_text(
            f'#!/bin/sh\n{shlex.quote(real)} "$@" || exit\n'
            'if [ "$2" = venv ]; then mv "$3/bin" "$3/Scripts"; fi\n'
        )
        python.chmod(0o755)
        path = f"{programs}:{clean_environment()['PATH']}"
        runs = [demo(project, environment=clean_environment(PATH=path)) for _ in range(2)]

        assert [ended.returncode for ended in runs] == [0, 0]
        assert (project / ".demo/sample/Scripts/python").exists()
        assert runs[1].stderr == ""

    @pytest.mark.parametrize("way", ["sh", "link", "no HOME", "help"])
    def test_other_ways_to_start_it(self, project, tmp_path, way):
        script, environment = str(project / "scripts/demo.sh"), clean_environment()
        command = [script, "true"]
        if way == "sh":
            command = ["sh", *command]
        elif way == "link":
            (tmp_path / "demo").symlink_to(script)
            command[0] = str(tmp_path / "demo")
        elif way == "no HOME":
            del environment["HOME"]
        else:
            command[1] = "help"
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

        assert ended.returncode == 0
        assert ended.stdout.startswith("usage: " if way == "help" else str(project / ".demo/sample"))

    def test_no_network_is_said(self, project):
        (project / "requirements.txt").write_text("no-such-package\n")
        nowhere = clean_environment(PIP_INDEX_URL="http://127.0.0.1:1/", PIP_CONFIG_FILE="/dev/null")
        ended = demo(project, environment=nowhere)

        assert ended.returncode == 1
        assert "There is no network" in ended.stderr
        assert ended.stderr.splitlines()[-1] == str(project / "scripts/demo.sh").replace(" ", "\\ ") + " true"
        assert list((project / ".demo").iterdir()) == []

    def test_outdated_environment_is_kept_until_there_is_a_new_one(self, project):
        demo(project)
        (project / "requirements.txt").write_text("no-such-package\n")
        nowhere = clean_environment(PIP_INDEX_URL="http://127.0.0.1:1/", PIP_CONFIG_FILE="/dev/null")
        assert demo(project, environment=nowhere).returncode == 1
        (project / "requirements.txt").write_text("pip\n")

        assert demo(project, environment=nowhere).stderr == ""

    def test_pip_shows_its_progress_on_a_terminal(self, project):
        script = str(project / "scripts/demo.sh")
        terminal = pexpect.spawn(script, ["true"], env=clean_environment(), encoding="utf-8", timeout=120)
        terminal.expect_exact("Installing what is needed into .demo/sample, once: 120 MB")
        terminal.expect("Requirement already satisfied: pip|Collecting pip")
        terminal.expect(pexpect.EOF)
        assert terminal.wait() == 0

    def test_ctrl_c_leaves_nothing_half_made(self, project):
        script = str(project / "scripts/demo.sh")
        terminal = pexpect.spawn(script, ["true"], env=clean_environment(), encoding="utf-8", timeout=120)
        terminal.expect_exact("Installing")
        terminal.sendintr()
        terminal.expect_exact("Stopped. Nothing half made is left.")
        terminal.expect(pexpect.EOF)

        assert terminal.wait() == 130
        assert "Traceback" not in terminal.before
        assert list((project / ".demo").iterdir()) == []

    def test_what_a_killed_run_left_is_removed(self, project):
        ended = subprocess.Popen(["true"])
        ended.wait()
        (project / f".demo/sample.new.{ended.pid}/bin").mkdir(parents=True)
        demo(project)

        assert [entry.name for entry in (project / ".demo").iterdir()] == ["sample"]


def test_ctrl_c_while_the_stand_in_starts():
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", str(ROOT / "tests/stand_in"), "true"], stderr=subprocess.PIPE
    )
    with process:
        for line in process.stderr:
            if line.split(b"|")[-1].strip() == b"subprocess":
                break
        process.send_signal(signal.SIGINT)
        stderr = process.stderr.read()
        assert process.wait() == 130
    assert stderr.endswith(b"\nStopped.\n")
    assert b"Traceback" not in stderr


@pytest.mark.parametrize(("name", "said"), [("not_a_name", True), ("my-secret", False)])
def test_way_out_of_a_failed_demo_is_the_demo(name, said):
    ended = run_script("demo.sh", input=f"{name}\nhunter2\n")
    script = str(ROOT / "scripts/demo.sh").replace(" ", "\\ ")

    assert ended.stderr.endswith(f"the command to run again is:\n{script}\n") == said
    assert (ended.returncode != 0) == said


LOGIN = (
    'az login --service-principal --username "$AZURE_CLIENT_ID" --password "$AZURE_CLIENT_SECRET" '
    '--tenant "$AZURE_TENANT_ID" --output none'
)


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

    def test_shell_stays_with_the_stand_in_whatever_its_start_up_file_sets(self, tmp_path):
        (tmp_path / ".bashrc").write_text(
            "export HTTPS_PROXY=http://127.0.0.1:9 NO_PROXY='*' AZURE_CONFIG_DIR=/elsewhere\n"
            "export AZURE_CLIENT_ID=mine AZURE_TOKEN_CREDENTIALS=dev KEY_VAULT_NAME=kv-real\n"
            f"export PATH={tmp_path}:$PATH PYTHONPATH={tmp_path} CDPATH=/\n"
            "alias az='echo real'; python() { echo mine; }; PS1='mine> '; MY_SETTING=kept\n"
            "PROMPT_COMMAND='PS1=\"mine> \"'\n"
        )
        for name in ("python", "python3"):
            (tmp_path / name).write_text("#!/bin/sh\necho another python\n")
            (tmp_path / name).chmod(0o755)
        self.walk_in_a_shell("bash", tmp_path)

    @pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh here")
    def test_zsh_does_as_well(self, tmp_path):
        (tmp_path / ".zshrc").write_text(
            "export HTTPS_PROXY=http://127.0.0.1:9 AZURE_CLIENT_ID=mine KEY_VAULT_NAME=kv-real\n"
            f"export PATH={tmp_path}:$PATH\nPS1='mine> '; MY_SETTING=kept; alias az='echo real'\n"
        )
        self.walk_in_a_shell("zsh", tmp_path)

    def walk_in_a_shell(self, shell, home):
        environment = os.environ | {"HOME": str(home), "TERM": "dumb"}
        terminal = pexpect.spawn(
            *(str(ROOT / "scripts/demo.sh"), ["--az", shell]),
            **{"env": environment, "encoding": "utf-8", "timeout": 60, "cwd": str(ROOT)},
        )
        terminal.expect_exact("Azure is a stand-in on this machine here")
        terminal.expect_exact("(stand-in for Azure) mine> ")
        terminal.sendline('eval "$(scripts/provision.sh)"')
        terminal.expect_exact("delete get list set on secrets.")
        terminal.sendline("echo $MY_SETTING; az account show --query name --output tsv")
        terminal.expect_exact("kept\r\n")
        terminal.expect_exact("The stand-in's subscription")
        terminal.sendline("python kv_secrets.py")
        terminal.expect_exact("(stand-in for Azure) mine> ")
        terminal.sendline("my-secret")
        terminal.sendline("hunter2")
        terminal.expect_exact("Your secret is 'hunter2'.")
        terminal.expect_exact("(stand-in for Azure) mine> ")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
        assert terminal.wait() == 0

    def test_signing_in_works_there(self, tmp_path):
        environment = os.environ | {"HOME": str(tmp_path), "TERM": "dumb"}
        terminal = pexpect.spawn(
            *(str(ROOT / "scripts/demo.sh"), ["--az", "bash"]),
            **{"env": environment, "encoding": "utf-8", "timeout": 60, "dimensions": (50, 200)},
        )
        terminal.sendline("az login --output none && az account show --query user.name --output tsv")
        terminal.expect_exact("The stand-in for Azure signs you in as somebody@example.com.")
        terminal.expect_exact("\nsomebody@example.com")
        terminal.sendline(
            'az login --output none --service-principal --username "$AZURE_CLIENT_ID" '
            '--password "$AZURE_CLIENT_SECRET" --tenant "$AZURE_TENANT_ID" && az account show --query user.type'
        )
        terminal.expect_exact('\n"servicePrincipal"')
        terminal.sendline("az ad sp create-for-rbac --query tenant --output tsv; echo $AZURE_TENANT_ID")
        terminal.expect(r"\n([0-9a-f-]{36})\r\n([0-9a-f-]{36})\r\n")
        assert terminal.match[1] == terminal.match[2]
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
        assert "Traceback" not in terminal.before

    def test_az_starts_though_the_path_has_a_space(self, tmp_path):
        project = copy_of_the_project(tmp_path / "my project")
        for name in ("sample", "az"):
            borrow_environment(project, name)
        environment = clean_environment()
        environment["PATH"] = environment["PATH"].replace(f":{ROOT}/.demo/az/command", "")
        ended = run_script("demo.sh", "--az", "az", "version", root=project, environment=environment)

        assert (ended.returncode, '"azure-cli"' in ended.stdout) == (0, True), ended.stderr

    def test_vault_of_the_sample_keeps_deleted_secrets_for_7_days(self):
        show = "az keyvault show --name kv-quickstart --query properties.softDeleteRetentionInDays"
        ended = run_script("demo.sh", "bash", "-c", f"{LOGIN} && {show}")
        assert ended.stdout == "7\n"

    def test_azure_is_empty_for_who_follows_the_tutorial(self):
        ended = run_script(
            *("demo.sh", "--az", "bash", "-c", "az group list; az keyvault list; echo ${KEY_VAULT_NAME-none}")
        )
        assert ended.stdout.split() == ["[]", "[]", "none"]

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
