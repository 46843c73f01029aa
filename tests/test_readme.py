"""README.md cannot rot: what it shows is run, and what it says is looked up."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pexpect
import pytest
from conftest import ROOT, SAMPLE
from stand_in import trace
from test_demo import clean_environment, copy_of_the_project
from test_provision import on_terminal

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL, TROUBLESHOOTING = TEXT.split("\n## Troubleshooting\n")
SHELLS = {"bash": r"\$(\w+)", "bat": r"%(\w+)%", "powershell": r"\$env:(\w+)"}
ANSWERS = {
    "a name for your secret > ": "greeting",
    "a value for your secret > ": "hello",
    "(y/n): ": "y",
}


@dataclass
class Block:
    """A fenced block: its language, its heading, the summary of the folded part it is in, its lines."""

    language: str
    heading: str
    folded: str
    lines: list


def blocks():
    heading, folded, found = "", "", []
    pattern = re.compile(
        r"^#+ (?P<heading>[^\n]*)$|^<summary>(?P<folded>[^\n]*)</summary>$|^(?P<end></details>)$"
        r"|^```(?P<language>\w*)\n(?P<text>.*?)^```$",
        re.M | re.S,
    )
    for each in pattern.finditer(TEXT):
        if each["heading"]:
            heading = each["heading"]
        elif each["folded"] or each["end"]:
            folded = each["folded"] or ""
        else:
            found.append(Block(each["language"], heading, folded, each["text"].splitlines()))
    return found


BLOCKS = blocks()


def bash(heading, folded=""):
    """The lines of the bash blocks under a heading, of those shown or of a folded part."""
    return [
        line
        for block in BLOCKS
        if (block.language, block.heading) == ("bash", heading)
        if block.folded.startswith(folded) and bool(block.folded) == bool(folded)
        for line in block.lines
    ]


def texts(language):
    return ["".join(f"{line}\n" for line in block.lines) for block in BLOCKS if block.language == language]


def test_there_is_no_block_that_no_test_reads():
    assert {block.language for block in BLOCKS} == {*SHELLS, "python", "text", "mermaid"}
    assert TEXT.count("\n```") == 2 * len(BLOCKS)


def test_it_is_read_in_five_minutes():
    assert len(TUTORIAL.split()) <= 1900
    assert len(re.sub(r"<details>.*?</details>", "", TUTORIAL, flags=re.S).split()) <= 1400


def test_first_commands_are_all_that_a_fresh_machine_needs(tmp_path):
    folder = tmp_path / "with a space"
    folder.mkdir()
    commands = "\n".join(bash("Try it now")).replace("REPOSITORY-URL", shlex.quote(str(ROOT)))
    ended = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=clean_environment(),
        input="greeting\nhello\n",
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert ended.stdout.endswith(texts("text")[0].partition("hello\n")[2])
    assert ended.returncode == 0
    status = ["git", "-C", folder / "key-vault-quickstart", "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


def test_program_is_main_of_the_sample():
    program, log = texts("python")
    source = SAMPLE.read_text(encoding="utf-8")

    assert program in source
    assert program.startswith("def main():\n")
    assert program.endswith('    print(" done.")\n')
    assert log.startswith("logging.basicConfig(level=")


def test_log_of_the_libraries_shows_requests_and_nothing_secret(sample, stand_in, tmp_path):
    source = SAMPLE.read_text(encoding="utf-8")
    changed = re.sub(r"logging\.disable\(.*", texts("python")[1].strip(), source)
    sample.command[1] = str(tmp_path / "kv_secrets.py")
    (tmp_path / "kv_secrets.py").write_text(changed, encoding="utf-8")
    ended = sample.run()

    assert "Request method: 'PUT'" in ended.stderr
    for secret in ("hunter2", "eyJ", stand_in.state.sample.client_secret):
        assert secret not in ended.stderr


@pytest.mark.parametrize(("number", "arguments"), [(0, ""), (1, " --trace")])
def test_transcript_on_a_terminal_of_80_columns(number, arguments):
    environment = clean_environment(NO_COLOR="1", TERM="dumb")
    command = ["scripts/demo.py", *arguments.split()]
    settings = {"env": environment, "cwd": str(ROOT), "encoding": "utf-8", "dimensions": (50, 80)}
    terminal = pexpect.spawn(sys.executable, command, timeout=60, **settings)
    shown, prompts = "", list(ANSWERS)
    while (found := terminal.expect_exact([*prompts, pexpect.EOF])) < len(prompts):
        shown += terminal.before + terminal.after
        terminal.sendline(ANSWERS[prompts[found]])
    shown = (shown + terminal.before).replace("\r\n", "\n")

    assert (terminal.wait(), shown) == (0, texts("text")[number])
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert f"`python3 scripts/demo.py{arguments}`" in TEXT or not arguments


def test_diagram_is_the_trace_of_a_run_arrow_by_arrow(sample, stand_in):
    stand_in.vault.deletion_seconds = 1.8
    sample.run("greeting", "hello")

    expected = []
    for exchange in stand_in.log:
        letter = {"Key Vault": "V", "Entra ID": "E"}[trace.service(exchange)]
        path = exchange.path.replace(f"/{stand_in.state.tenant_id}", "").replace("/v2.0/.well", "/.well")
        expected += [
            f"S->>{letter}: {exchange.method} {path}",
            f"{letter}-->>S: {exchange.status} {trace.note(exchange)}",
        ]
    (diagram,) = [block.lines for block in BLOCKS if block.language == "mermaid"]
    assert [line.strip() for line in diagram[4:]] == expected


# The tutorial, line by line, in the shell that the page names for it.


class Walk:
    """A person at ``python3 scripts/demo.py --az bash`` who types the page's lines and answers its prompts."""

    PROMPT = "(stand-in) $ "

    def __init__(self, project, environment):
        self.terminal = pexpect.spawn(
            sys.executable,
            [str(ROOT / "scripts/demo.py"), "--az", "bash"],
            env=environment,
            cwd=str(project),
            encoding="utf-8",
            timeout=180,
            dimensions=(50, 400),
        )
        self.terminal.expect_exact(self.PROMPT)

    def type(self, line):
        """What a line shows until the next prompt of the shell; it must succeed."""
        shown = self.answer(line)
        assert self.answer('echo "=$?="').rstrip().endswith("=0="), f"{line}\n{shown}"
        return shown

    def answer(self, line):
        self.terminal.sendline(line)
        self.terminal.expect_exact(line)
        shown, prompts = "", list(ANSWERS)
        while (found := self.terminal.expect_exact([*prompts, self.PROMPT])) < len(prompts):
            shown += self.terminal.before
            self.terminal.sendline(ANSWERS[prompts[found]])
        # Without the prompt of an activated environment, "(.venv) ".
        return (shown + self.terminal.before).replace("\r\n", "\n").rpartition("\n")[0]


@pytest.fixture
def walk(tmp_path):
    project = copy_of_the_project(tmp_path / "my project")
    walk = Walk(project, clean_environment(HOME=str(tmp_path), TERM="dumb"))
    yield walk
    walk.terminal.close(force=True)


def check_nothing_is_left(walk):
    for command in ("az group list", "az keyvault list", "az keyvault list-deleted --resource-type vault"):
        assert walk.type(command).split() == ["[]"], command


def test_tutorial_can_be_followed_and_leaves_nothing(walk):
    shown = ""
    for heading in ("Sign in", "Create a vault", "Install and run", "The program"):
        assert bash(heading)
        for line in bash(heading):
            shown += walk.type(line) + "\n"
    assert "Your secret is 'hello'." in shown
    assert "\ngreeting\n" in shown
    assert shown.endswith("good day\n")
    for line in bash("Troubleshooting"):
        walk.type(line)
    for line in bash("Clean up"):
        walk.type(line)
    check_nothing_is_left(walk)


def test_tutorial_can_be_followed_by_hand_and_leaves_nothing(walk):
    parts = [
        ("Sign in", ""),
        ("Sign in", "Use a service principal"),
        ("Create a vault", "Create a vault by hand, in bash"),
        ("Install and run", ""),
        ("Clean up", "Clean up by hand"),
    ]
    values, shown = {}, ""
    for heading, folded in parts:
        assert bash(heading, folded)
        for line in bash(heading, folded):
            for words, value in values.items():
                line = line.replace(f'"{words}"', shlex.quote(value))
            shown = walk.type(line)
            if line == "az ad sp create-for-rbac":
                printed = json.loads(shown[shown.index("{") : shown.index("}") + 1])
                values = {f"the {name}": printed[name] for name in ("tenant", "appId", "password")}
            if line == "python kv_secrets.py":
                assert "Your secret is 'hello'." in shown
    assert len(values) == 3
    check_nothing_is_left(walk)
    assert "does not exist" in walk.answer(f"az ad sp show --id {values['the appId']}")


def az_commands(language):
    """The az commands in the blocks of a language, with ``$NAME`` for every shell's variable."""
    return [
        re.sub(SHELLS[language], r"$\1", line)
        for block in BLOCKS
        if block.language == language
        for line in block.lines
        if line.startswith("az ")
    ]


def test_az_commands_are_the_same_in_every_shell():
    assert len(az_commands("bat")) == 6
    assert az_commands("bat") == az_commands("powershell")
    assert set(az_commands("bat")) <= set(az_commands("bash"))


def test_variables_are_set_and_unset_in_each_shells_own_way():
    names = {"KEY_VAULT_NAME", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}
    ways = {
        "bash": (r'export (\w+)="[^"]+"', r"unset (.*)"),
        "bat": (r'set (\w+)=[^"\s][^"]*', r"set (\w+)="),
        "powershell": (r'\$env:(\w+) = "[^"]+"', r"Remove-Item (.*)"),
    }
    for language, ways_of_shell in ways.items():
        lines = [line for block in BLOCKS if block.language == language for line in block.lines]
        for way in ways_of_shell:
            found = " ".join(match[1] for line in lines if (match := re.fullmatch(way, line)))
            assert set(re.findall("[A-Z]+_[A-Z_]+", found)) == names, (language, way)


def test_every_az_command_in_the_text_is_one_that_az_knows(cloud):
    typed_in_the_walks = [command.partition(" --")[0] for command in az_commands("bash")]
    commands = {command for command in re.findall("`(az [a-z][^`]*)`", TEXT) if "…" not in command}
    commands = {one for one in commands if one.partition(" --")[0] not in typed_in_the_walks}
    assert len(commands) >= 10
    for command in commands:
        words = shlex.split(command)
        options = [word for word in words if word.startswith("--")]
        first = words.index(options[0]) if options else len(words)
        help_text = cloud.az(*words[1:first], "--help")
        assert help_text.returncode == 0, command
        for option in options:
            assert re.search(rf"{option}\b", help_text.stdout), f"{option} in {command}"


def test_links_and_file_names_lead_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in re.findall("^#+ (.*)$", TEXT, re.M)
    }
    links = re.findall(r"\]\(#([^)\s]+)\)", TEXT)
    assert links
    assert set(links) <= headings
    names = set(re.findall(r"(?<![\w/\\.-])((?:scripts|tests)/[\w./]+\w|\w+\.(?:py|txt))", TEXT))
    assert len(names) >= 5
    for name in names:
        assert (ROOT / name).exists(), name


def test_sections_that_the_sample_names_are_there():
    named = set(re.findall("README.md, ([A-Z][a-z ]+)", SAMPLE.read_text(encoding="utf-8")))
    assert named == {"Create a vault", "Troubleshooting"}
    for heading in named:
        assert f"\n## {heading}\n" in TEXT


@pytest.mark.parametrize("script", ["demo.py", "test.py", "provision.sh", "cleanup.sh"])
def test_help_fits_a_default_terminal(cloud, script):
    shown = ""
    if script.endswith(".py"):
        terminal = on_terminal(cloud, f"{shlex.quote(sys.executable)} scripts/{script} --help")
        terminal.expect(pexpect.EOF)
        shown = terminal.before
    else:
        ended = cloud.run(script, "--help")
        shown = ended.stdout + ended.stderr
    assert "usage: " in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []
