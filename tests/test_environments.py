"""scripts/environments.py: what the demo needs is installed once, and found again wherever the folder goes."""

import os
import re
import socket
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import pytest
from conftest import ROOT, run_demo
from test_demo import borrow_environment, clean_environment, copy_of_the_project

# There, pip reads no file of the reader's, and asks nobody.
OFFLINE = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0"}
INSTALLING = "Installing what the demo needs (54 MB, some seconds) in .demo, once ...\n"


def test_made_by_two_at_once_and_again_only_when_its_python_is_gone(tmp_path):
    project = copy_of_the_project(tmp_path / "my project")
    # It needs nothing but pip, so that its environment is made in no time.
    (project / "requirements.txt").write_text("pip\n")
    (project / "tests/stand_in/requirements.txt").write_text("")
    (project / "tests/stand_in/__main__.py").write_text("import pip; print(pip.__file__)")
    target = str(tmp_path / "target")
    environment = clean_environment(**OFFLINE, PIP_USER="1", PIP_TARGET=target)
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: run_demo(root=project, environment=environment), range(2)))
    (name,) = os.listdir(project / ".demo")
    for ended in both:
        assert ended.stdout.startswith(f"{project}/.demo/{name}/")
        assert (ended.stderr, ended.returncode) == (f"{INSTALLING}Installed.\n", 0)

    moved = project.rename(tmp_path / "moved")
    ended = run_demo(root=moved, environment=environment)
    assert (ended.stdout.startswith(f"{moved}/.demo/{name}/"), ended.stderr) == (True, "")

    (moved / ".demo" / name / "bin/python").unlink()
    ended = run_demo(root=moved, environment=environment)
    assert ended.stdout.startswith(f"{moved}/.demo/{name}/")
    assert ended.stderr == f"{INSTALLING}Installed.\n"
    assert os.listdir(moved / ".demo") == [name]


def test_pips_words_are_shown_when_it_fails_and_the_earlier_environment_is_kept(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    borrow_environment(project)
    before = set(os.listdir(project / ".demo"))
    (project / "requirements.txt").write_text("no-such-package\n")
    ended = run_demo("true", root=project, environment=clean_environment(**OFFLINE))

    assert (ended.stdout, ended.returncode) == ("", 1)
    assert ended.stderr.startswith(INSTALLING)
    assert "No matching distribution found for no-such-package\n" in ended.stderr
    assert ended.stderr.endswith("\nLook up the words above in README.md, under Troubleshooting.\n")
    assert set(os.listdir(project / ".demo")) == before


def test_ctrl_c_while_pip_asks_the_readers_index_leaves_nothing_half_made(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    borrow_environment(project)
    borrow_environment(project, "az")
    before = set(os.listdir(project / ".demo"))
    with socket.create_server(("127.0.0.1", 0)) as index:
        url = f"http://127.0.0.1:{index.getsockname()[1]}/"
        environment = clean_environment(**OFFLINE | {"PIP_INDEX_URL": url})
        arguments = [str(project / "scripts/demo.py"), "--az", "true"]
        terminal = pexpect.spawn(sys.executable, arguments, env=environment, encoding="utf-8", timeout=60)
        _connection = index.accept()
        terminal.sendintr()
        terminal.expect(pexpect.EOF)

    assert terminal.before.replace("^C", "") == "\r\nStopped.\r\n"
    assert terminal.wait() == 1
    assert set(os.listdir(project / ".demo")) == before


def start(python, **environment):
    command = [python, str(ROOT / "scripts/demo.py")]
    return subprocess.run(command, env=clean_environment(**environment), capture_output=True, text=True)


def test_older_python_is_told_which_one_is_required():
    older = sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python"))
    if not older:
        pytest.skip("There is no older Python.")
    ended = start(older[0])

    assert (ended.stdout, ended.returncode) == ("", 1)
    sentence = "Python 3.10 or newer is required, and this is Python 3.[6-9]. To install it, see https://.*\n"
    assert re.fullmatch(sentence, ended.stderr)


def test_python_without_its_venv_module_is_told_what_to_install(tmp_path):
    # As Debian has it: all of the standard library except ensurepip.
    library = Path(sysconfig.get_path("stdlib"))
    (tmp_path / "lib" / library.name).mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name != "ensurepip":
            (tmp_path / "lib" / library.name / entry.name).symlink_to(entry)
    ended = start(os.path.realpath(sys.executable), PYTHONHOME=str(tmp_path))

    missing = "Python's venv module is missing. On Debian and Ubuntu: sudo apt install python3-venv\n"
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", missing, 1)
