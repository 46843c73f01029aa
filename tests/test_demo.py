"""scripts/demo.py: the sample, or another command, with no Azure subscription, and nothing leaves this machine."""

import contextlib
import ensurepip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import pytest
from conftest import (
    HOME,
    ROOT,
    SEARCH,
    assert_page_has_a_row_for,
    clean_environment,
    copy_of_the_project,
    run_demo,
    tutorial,
)
from pexpect.replwrap import REPLWrapper

TYPED = "my-secret\nhunter2\n"
DEMO = str(ROOT / "scripts/demo.py")
INSTALLING = "Installing the demo (52 MB) in .demo, once ...\n"
# There, pip reads no file of the reader's, and asks nobody.
OFFLINE = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0"}


class TestSample:
    def test_settings_for_python_do_not_reach_it(self, tmp_path):
        (tmp_path / "azure.py").write_text("raise SystemExit('of the reader')")
        settings = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
        ended = subprocess.run(
            [sys.executable, "-I", DEMO],
            **{"env": clean_environment(**settings), "cwd": tmp_path, "input": TYPED},
            **{"capture_output": True, "text": True},
        )

        assert (ended.stdout, ended.stderr, ended.returncode) == (tutorial("my-secret", "hunter2"), "", 0)

    @pytest.mark.parametrize("minor", range(10, 16))
    def test_every_python(self, minor):
        pyenv = Path(os.environ.get("PYENV_ROOT") or HOME / ".pyenv")
        found = [*pyenv.glob(f"versions/3.{minor}.*/bin/python"), shutil.which(f"python3.{minor}")]
        if found[0] is None:
            pytest.skip(f"There is no Python 3.{minor}.")
        self.check_installed_demo(found[0], ROOT)

    def test_oldest_packages(self, tmp_path):
        project = copy_of_the_project(tmp_path / "project")
        oldest = (ROOT / "requirements.txt").read_text().replace("~=", "==")
        (project / "requirements.txt").write_text(oldest)
        (project / ".demo").symlink_to(ROOT / ".demo")
        self.check_installed_demo(sys.executable, project)

    def check_installed_demo(self, python, root):
        """Run the demo, which is installed first if all tests run."""
        installs = {} if os.environ.get("INSTALL") else OFFLINE
        ended = subprocess.run(
            [python, root / "scripts/demo.py"],
            **{
                "env": clean_environment(HOME=str(HOME), **installs),
                "input": TYPED,
                "capture_output": True,
                "text": True,
            },
        )
        if installs and ended.stderr.startswith(INSTALLING):
            pytest.skip("It is not installed: python3 scripts/test.py, without arguments, installs it.")
        assert (ended.stdout, ended.returncode) == (tutorial("my-secret", "hunter2"), 0)


class TestCommand:
    def test_has_the_environments_python_and_says_itself_how_it_ends(self):
        code = "import os, sys; print(sys.prefix, os.getenv('PYTHONPATH'), *sys.argv[1:]); sys.exit(7)"
        environment = clean_environment(PYTHONPATH="mine")
        ended = run_demo("python", "-c", code, "--az", "--trace", environment=environment)

        assert re.fullmatch(rf"{re.escape(str(ROOT))}/\.demo/demo-\w+ None --az --trace\n", ended.stdout)
        assert (ended.stderr, ended.returncode) == ("", 7)

    def test_environment_has_the_stand_in_and_none_of_the_readers_own_settings_for_azure(self):
        proxies = ("NO_PROXY", "no_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY")
        certificates = ("SSL_CERT_DIR", "CURL_CA_BUNDLE", "AZURE_CLIENT_CERTIFICATE_PATH")
        identities = ("AZURE_TOKEN_CREDENTIALS", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT")
        outside = dict.fromkeys(proxies + certificates + identities, "https://elsewhere.example")
        show = "import json, os; print(json.dumps(dict(os.environ)))"
        outside |= dict.fromkeys(("ENV", "IDENTITY_HEADER", "NETRC", "HISTFILE"), "https://elsewhere.example")
        environment = clean_environment(**outside, MY_ENV="kept", ENVIRONMENT="kept", PYTHONUTF8="1")
        inside = json.loads(run_demo("python", "-c", show, environment=environment).stdout)

        assert "https://elsewhere.example" not in inside.values()
        assert [inside[name] for name in ("MY_ENV", "ENVIRONMENT", "PYTHONUTF8")] == ["kept", "kept", "1"]
        assert inside["NO_PROXY"] == "127.0.0.1"
        assert re.fullmatch(r"http://stand-in:[\w-]{20,}@127\.0\.0\.1:\d+", inside["HTTPS_PROXY"])
        assert inside["REQUESTS_CA_BUNDLE"] == inside["SSL_CERT_FILE"] == inside["NODE_EXTRA_CA_CERTS"]
        assert inside["AZURE_POD_IDENTITY_AUTHORITY_HOST"] == "http://127.0.0.1:1"
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "KEY_VAULT_NAME"):
            assert inside[name]

    @pytest.mark.parametrize("url", ["https://example.com", "http://example.com"])
    def test_nothing_gets_out(self, url):
        ended = run_demo("python", "-c", f"import urllib.request as u; u.urlopen({url!r})")

        assert (ended.returncode, "403" in ended.stderr) == (1, True)

    @pytest.mark.parametrize(("line", "status"), [("exit 7", 7), ("kill -9 $$", 128 + 9)])
    def test_nothing_is_left_of_it(self, tmp_path, line, status):
        ended = run_demo("sh", "-c", line, environment=clean_environment(TMPDIR=str(tmp_path)))

        assert (ended.stderr, ended.returncode) == ("", status)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("command", "words", "status"),
        [("no-such-command", "No such file or directory", 127), ("/etc/passwd", "Permission denied", 126)],
    )
    def test_that_cannot_be_run(self, command, words, status):
        ended = run_demo(command)

        assert (ended.stderr, ended.returncode) == (f"{command}: {words}\n", status)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_ends_with_the_demo(self, tmp_path, number):
        wait = "import signal; print('ready', flush=True); signal.pause()"
        process = subprocess.Popen(
            [sys.executable, DEMO, "python", "-c", wait],
            stdout=subprocess.PIPE,
            env=clean_environment(TMPDIR=str(tmp_path)),
            start_new_session=True,
        )
        with process:
            try:
                assert process.stdout.readline() == b"ready\n"
                assert [folder.stat().st_mode & 0o777 for folder in tmp_path.iterdir()] == [0o700]
                process.send_signal(number)
                # The output ends when the command, which has it open as well, has ended.
                assert process.communicate(timeout=60) == (b"", None)
                assert process.returncode == 128 + number
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert list(tmp_path.iterdir()) == []

    def test_program_without_python_before_it_is_explained(self):
        ended = run_demo("my.py")

        assert "python my.py" in ended.stderr
        assert ended.returncode == 2

    def test_without_a_temporary_folder_is_a_sentence(self):
        # The folders in which Python looks are closed to a process that may open nothing for writing.
        limited = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", sys.executable, DEMO]
        environment = clean_environment(PYTHONDONTWRITEBYTECODE="1")
        ended = subprocess.run(limited, env=environment, capture_output=True, text=True)

        assert "No usable temporary directory found" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_history_of_the_readers_shell_stays(self, tmp_path):
        history = "".join(f"{number}\n" for number in range(3000))
        (tmp_path / ".bash_history").write_text(history)
        terminal = pexpect.spawn(
            *(sys.executable, [DEMO, "bash"]),
            **{"env": clean_environment(HOME=str(tmp_path)), "timeout": 60},
        )
        terminal.expect_exact("(stand-in) $ ")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)

        assert (tmp_path / ".bash_history").read_text() == history

    def test_decides_what_ctrl_c_means(self):
        script = "trap 'echo caught; exit 42' INT; echo ready; while :; do read line; done"
        terminal = pexpect.spawn(
            sys.executable, [DEMO, "bash", "-c", script], env=clean_environment(), timeout=60
        )
        terminal.expect_exact("ready")
        terminal.sendintr()
        terminal.expect_exact("caught")
        terminal.expect(pexpect.EOF)
        assert terminal.wait() == 42


@pytest.fixture
def project(tmp_path):
    """A copy of the project that needs nothing but pip, so that it is installed in no time."""
    project = copy_of_the_project(tmp_path / "my project")
    (project / "requirements.txt").write_text("pip\n")
    (project / "scripts/stand_in/requirements.txt").write_text("")
    main = "import os, pip; print(pip.__file__, os.environ['STAND_IN_AZ'])"
    (project / "scripts/stand_in/__main__.py").write_text(main)
    change(project, "azure.identity, azure.keyvault.secrets, jwt, trustme", "pip")
    change(project, '["azure-cli==2.91.0"], "azure.cli"', '["pip"], "pip"')
    return project


def change(project, old, new):
    """Change scripts/environments.py, which makes what is in .demo."""
    text = (project / "scripts/environments.py").read_text(encoding="utf-8")
    assert old in text
    (project / "scripts/environments.py").write_text(text.replace(old, new), encoding="utf-8")


def left_in(project):
    """What is in .demo, apart from the file that locks it."""
    return [name for name in os.listdir(project / ".demo") if name != "lock"]


class TestInstallation:
    def test_by_two_at_once_after_one_that_was_killed_and_never_again(self, project, tmp_path):
        (project / ".demo/new-killed/demo").mkdir(parents=True)
        (tmp_path / "pip.conf").write_text(f"[global]\ntarget = {tmp_path}/target\n")
        settings = OFFLINE | {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_USER": "1"}
        environment = clean_environment(**settings)
        with ThreadPoolExecutor() as pool:
            both = list(pool.map(lambda _: run_demo(root=project, environment=environment), range(2)))
        (name,) = left_in(project)
        for ended in both:
            assert ended.stdout.startswith(f"{project}/.demo/{name}/")
            assert ended.returncode == 0
        assert sorted(ended.stderr for ended in both) == ["", INSTALLING]

        moved = project.rename(tmp_path / "moved")
        ended = run_demo(root=moved, environment=environment)
        assert (ended.stdout.startswith(f"{moved}/.demo/{name}/"), ended.stderr) == (True, "")

        change(moved, "SAMPLE + STAND_IN, DEMO_IMPORTS", "SAMPLE + SAMPLE, DEMO_IMPORTS")
        assert run_demo(root=moved, environment=environment).stderr == INSTALLING
        assert len(left_in(moved)) == 2

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            (
                'DEMO_IMPORTS = "pip"',
                'DEMO_IMPORTS = "no_such_module"',
                "ModuleNotFoundError: No module named 'no_such_module'\n",
            ),
            (
                "*options, *packages",
                "*options, 'no-such-package'",
                "No matching distribution found for no-such-package\n",
            ),
        ],
    )
    def test_that_fails_shows_why_and_leaves_nothing(self, project, old, new, words):
        change(project, old, new)
        ended = run_demo(root=project, environment=clean_environment(**OFFLINE))

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert ended.stderr.startswith(INSTALLING)
        assert ended.stderr.endswith(f"{words}{SEARCH}")
        if "pip" not in old:
            assert_page_has_a_row_for(ended.stderr)
        assert left_in(project) == []

    def test_shows_that_it_goes_on_and_leaves_nothing_after_ctrl_c(self, project):
        change(project, "*options, *packages", "*options, 'no-such-package'")
        with socket.create_server(("127.0.0.1", 0)) as index:
            url = f"http://127.0.0.1:{index.getsockname()[1]}/"
            temporary = project.parent / "temporary"
            temporary.mkdir()
            environment = clean_environment(**OFFLINE | {"PIP_INDEX_URL": url, "TMPDIR": str(temporary)})
            terminal = pexpect.spawn(
                sys.executable, [str(project / "scripts/demo.py")], env=environment, encoding="utf-8"
            )
            _connection = index.accept()
            terminal.expect_exact("once ...\r\n.")
            assert list(temporary.iterdir()) == [], "where pip's files would stay if it were killed"
            terminal.sendintr()
            terminal.expect(pexpect.EOF)

        assert terminal.before.replace("^C", "").endswith("\r\n\r\nStopped.\r\n")
        assert terminal.wait() == 1
        assert left_in(project) == []

    @pytest.mark.parametrize(("refusals", "status"), [(2, 0), (99, 1)])
    def test_rename_that_is_refused_is_tried_again_and_then_named(self, project, refusals, status):
        refuse = (
            f"if seconds > 3 - {refusals}: raise PermissionError('in use')\n            return old.rename"
        )
        change(project, "return old.rename", refuse)
        change(project, "seconds=10", "seconds=3")
        ended = run_demo(root=project, environment=clean_environment(**OFFLINE))

        assert (ended.stderr.removeprefix(INSTALLING), ended.returncode) == ("in use\n" * status, status)
        assert len(left_in(project)) == 1 - status

    def test_folder_that_cannot_be_written_is_named_in_one_line(self, project):
        (project / ".demo").write_text("")
        ended = run_demo(root=project, environment=clean_environment(**OFFLINE))

        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
        assert str(project / ".demo") in ended.stderr

    def test_another_az_is_never_run(self, project, tmp_path):
        environment = clean_environment(**OFFLINE)
        run_demo(root=project, environment=environment)
        (az,) = project.glob(".demo/demo-*/bin/az")
        az.chmod(0o644)
        (tmp_path / "az").write_text("#!/bin/sh\necho mine\n")
        (tmp_path / "az").chmod(0o755)
        environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
        ended = run_demo("az", root=project, environment=environment)

        assert (ended.stdout, ended.returncode) == ("", 1)
        assert ended.stderr == (
            f"The az in {az.parent} cannot be run, and another one could connect to Azure itself.\n"
        )

    def test_older_python_is_told_which_one_is_required(self):
        older = sorted(HOME.glob(".pyenv/versions/3.[6-9].*/bin/python"))
        if not older:
            pytest.skip("There is no older Python.")
        ended = subprocess.run([older[-1], DEMO], env=clean_environment(), capture_output=True, text=True)

        sentence = (
            "Python 3.10 or later is required, and this is Python 3.[6-9]. To install it, see https://.*\n"
        )
        assert re.fullmatch(sentence, ended.stderr)
        assert (ended.stdout, ended.returncode) == ("", 1)

    def test_python_without_its_venv_module_is_told_what_to_install(self, tmp_path):
        # As Debian has it: all of the standard library except ensurepip.
        library = Path(sysconfig.get_path("stdlib"))
        (tmp_path / "lib" / library.name).mkdir(parents=True)
        for entry in library.iterdir():
            if entry.name != "ensurepip":
                (tmp_path / "lib" / library.name / entry.name).symlink_to(entry)
        environment = clean_environment(PYTHONHOME=str(tmp_path))
        command = [os.path.realpath(sys.executable), DEMO]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)

        missing = "Python's venv module is missing. On Debian and Ubuntu: sudo apt install python3-venv\n"
        assert (ended.stdout, ended.stderr, ended.returncode) == ("", missing, 1)


HOSTILE = """
export HTTPS_PROXY=http://127.0.0.1:1 AZURE_CONFIG_DIR=/nowhere AZURE_CLIENT_ID=mine PATH={home}:$PATH
az() {{ echo mine; }}
PS1='mine> '
"""


class TestAz:
    def test_needs_a_command(self):
        ended = run_demo("--az")

        assert (ended.stdout, ended.returncode) == ("", 2)
        assert "--az needs a COMMAND, such as bash" in ended.stderr

    def test_is_missing_without_the_option(self, tmp_path):
        (tmp_path / "az").write_text("#!/bin/sh\necho mine\n")
        (tmp_path / "az").chmod(0o755)
        ended = run_demo("az", "login", environment=clean_environment(PATH=f"{tmp_path}:/usr/bin:/bin"))

        assert ended.stderr.startswith("az: not found. ")
        assert ended.stderr.endswith("\npython3 scripts/demo.py --az bash\n")
        assert (ended.stdout, ended.returncode) == ("", 127)

    @pytest.mark.parametrize(
        ("script", "is_used"),
        [
            ('touch "$AZURE_CONFIG_DIR/az.json"', True),
            ("exec env -i sh -c 'touch \"$AZURE_CONFIG_DIR/az.json\"' 2>&-", False),
        ],
    )
    def test_of_the_reader_is_used_only_if_it_takes_the_settings(self, project, tmp_path, script, is_used):
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/az").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin/az").chmod(0o755)
        bundled = str(Path(ensurepip.__file__).parent / "_bundled")
        environment = clean_environment(**OFFLINE, PIP_NO_INDEX="1", PIP_FIND_LINKS=bundled)
        environment["PATH"] = f"{tmp_path}/bin:{environment['PATH']}"
        ended = run_demo("--az", "sh", root=project, environment=environment)

        assert ended.returncode == 0, ended.stderr
        az = ended.stdout.rstrip().removeprefix(ended.stdout.partition(".py ")[0]).removeprefix(".py ")
        assert (az == f"{tmp_path}/bin/az") == is_used
        assert az.startswith(f"{project}/.demo/az-") != is_used

    @pytest.mark.parametrize("name", ["bash", "zsh"])
    def test_no_setting_of_the_reader_leads_a_shell_out_of_an_azure_that_is_empty(
        self, cloud, tmp_path, name
    ):
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
            *(sys.executable, [DEMO, "--az", name]),
            **{"env": environment, "cwd": str(ROOT), "encoding": "utf-8", "echo": False, "timeout": 120},
        )
        prompt = "(stand-in) $ "
        terminal.expect_exact(prompt)
        if name == "zsh":
            # Its line editor would mark what it prints.
            terminal.sendline("unsetopt zle prompt_cr prompt_sp")
            terminal.expect_exact(prompt)
        terminal.sendline("")
        shell = REPLWrapper(terminal, prompt, None)

        def shown(line):
            return shell.run_command(line).removeprefix(f"{line}\r\n")

        for variable in ("KEY_VAULT_NAME", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
            assert shown(f"echo ${{{variable}-none}}") == "none\r\n"
        assert "Please run 'az login'" in shown("az account show")
        assert "as somebody@example.com" in shown("bash -c 'az login --output none'")
        assert shown("az keyvault list; az group list") == "[]\r\n[]\r\n"
        install = "python -m pip install --quiet --dry-run --ignore-installed -r requirements.txt"
        assert shown(f"{install}; echo $?") == "0\r\n"

        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
        assert terminal.wait() == 0
        assert not (tmp_path / "own").exists()
