"""README.md cannot rot: what it shows is run, and what it says is looked up."""

import ast
import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass

import pexpect
import pytest
from conftest import ROOT, SAMPLE
from stand_in import trace
from test_demo import TYPED, borrow_environment, clean_environment, copy_of_the_project
from test_good_run import tutorial

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SHELLS = {"bash": r"\$(\w+)", "bat": r"%(\w+)%", "powershell": r"\$env:(\w+)"}
MOST_LINES_SHOWN = 348 // 2  # half of what the page had when everything was shown


@dataclass
class Block:
    """A fenced block: its language, its heading, the summary of the folded part it is in, its text."""

    language: str
    heading: str
    folded: str
    text: str


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
            found.append(Block(each["language"], heading, folded, each["text"]))
    return found


def bash(heading, folded=""):
    """The lines of the bash blocks under a heading, of those shown or of a folded part."""
    return [
        line
        for block in blocks()
        if (block.language, block.heading) == ("bash", heading) and block.folded.startswith(folded)
        if bool(block.folded) == bool(folded)
        for line in block.text.splitlines()
    ]


def az_commands(language):
    """The az commands in the blocks of a language, with ``$NAME`` for every shell's variable."""
    return [
        re.sub(SHELLS[language], r"$\1", line)
        for block in blocks()
        if block.language == language
        for line in block.text.splitlines()
        if line.startswith("az ")
    ]


def test_there_is_no_block_that_no_test_reads():
    assert {block.language for block in blocks()} == {*SHELLS, "python", "text", "mermaid"}
    assert TEXT.count("\n```") == 2 * len(blocks())


def test_what_is_shown_to_everybody_is_half_of_what_it_was():
    shown = re.sub(r"<details>.*?</details>", "", TEXT, flags=re.S)
    assert len(re.sub(r"\n\n+", "\n\n", shown).splitlines()) <= MOST_LINES_SHOWN


def test_first_commands_are_all_that_a_fresh_machine_needs(tmp_path):
    commands = "\n".join(bash("Try it now")).replace("REPOSITORY-URL", shlex.quote(str(ROOT)))
    ended = subprocess.run(
        ["bash", "-euc", commands],
        cwd=tmp_path,
        env=clean_environment(),
        input=TYPED,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert (ended.stdout, ended.returncode) == (tutorial("my-secret", "hunter2"), 0)
    status = ["git", "-C", tmp_path / "key-vault-quickstart", "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_code_is_made_of_lines_of_the_sample(number):
    snippets = [one for one in blocks() if one.language == "python"]
    assert len(snippets) == 3
    block = snippets[number]
    lines = [line.strip() for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    places = [lines.index(line) for line in block.text.splitlines()]
    assert places == sorted(places)


# Transcripts and the diagram.

ANSWERS = {
    "a name for your secret > ": "my-secret",
    "a value for your secret > ": "hunter2",
    "(y/n): ": "y",
}


def on_terminal(arguments, environment):
    """What scripts/demo.sh shows on a terminal of 80 columns where somebody answers its prompts."""
    terminal = pexpect.spawn(
        "bash",
        [str(ROOT / "scripts/demo.sh"), *arguments],
        env=environment | {"NO_COLOR": "1", "TERM": "dumb"},
        encoding="utf-8",
        timeout=120,
        dimensions=(50, 80),
    )
    shown = ""
    prompts = list(ANSWERS)
    while (found := terminal.expect_exact([*prompts, pexpect.EOF])) < len(prompts):
        shown += terminal.before + terminal.after
        terminal.sendline(ANSWERS[prompts[found]])
    shown += terminal.before
    return terminal.wait(), shown.replace("\r\n", "\n")


def transcripts():
    return [block.text for block in blocks() if block.language == "text"]


@pytest.mark.parametrize(("number", "arguments"), [(0, []), (1, ["--trace"])])
def test_transcript(stand_in, number, arguments):
    assert len(transcripts()) == 2
    assert on_terminal(arguments, stand_in.environment()) == (0, transcripts()[number])


def test_diagram_is_the_trace_of_a_run_arrow_by_arrow(sample, stand_in):
    stand_in.vault.deletion_seconds = 1.8
    sample.run()

    expected = []
    for exchange in stand_in.log:
        letter = {"Key Vault": "V", "Entra ID": "E"}[trace.service(exchange)]
        path = exchange.path.replace(f"/{stand_in.state.tenant_id}", "").replace("/v2.0/.well", "/.well")
        expected += [
            f"S->>{letter}: {exchange.method} {path}",
            f"{letter}-->>S: {exchange.status} {trace.note(exchange)}",
        ]
    (diagram,) = [block.text for block in blocks() if block.language == "mermaid"]
    kind, *lines = [line.strip() for line in diagram.splitlines()]
    participants = [
        f"participant {name}" for name in ("S as kv_secrets.py", "V as Key Vault", "E as Entra ID")
    ]
    assert (kind, lines[:3]) == ("sequenceDiagram", participants)
    assert lines[3:] == expected


def test_trace_and_help_fit_a_default_terminal(sample, stand_in):
    shown = on_terminal(["--trace"], stand_in.environment())[1]
    lines = [line for line in shown.splitlines() if line.startswith(("Key Vault ", "Entra ID "))]
    assert len(lines) == 9
    for script in ("demo.sh", "test.sh", "provision.sh", "cleanup.sh"):
        ended = subprocess.run(
            [ROOT / "scripts" / script, "--help"], capture_output=True, text=True, check=True
        )
        lines += (ended.stdout + ended.stderr).splitlines()
    assert len(lines) > 50
    assert [line for line in lines if len(line) > 80] == []


# The tutorial, line by line, in the shell that the page names for it.


class Walk:
    """A person at ``scripts/demo.sh --az bash`` who types the page's lines and answers its prompts."""

    def __init__(self, project, home):
        (home / ".bashrc").write_text("PS1='READY> '\n")
        environment = clean_environment(HOME=str(home), TERM="dumb")
        # The Azure CLI that the tests use.
        environment["PATH"] = os.environ["PATH"]
        self.terminal = pexpect.spawn(
            str(ROOT / "scripts/demo.sh"),
            ["--az", "bash"],
            env=environment,
            cwd=str(project),
            encoding="utf-8",
            timeout=180,
            dimensions=(50, 400),
        )
        self.terminal.expect_exact("READY> ")

    def type(self, line):
        """What a line shows until the next prompt of the shell; it must succeed."""
        shown = self._answer(line)
        assert self._answer('echo "=$?="').rstrip().endswith("=0="), f"{line}\n{shown}"
        return shown

    def _answer(self, line):
        self.terminal.sendline(line)
        self.terminal.expect_exact(line)
        shown, prompts = "", list(ANSWERS)
        while (found := self.terminal.expect_exact([*prompts, "READY> "])) < len(prompts):
            shown += self.terminal.before
            self.terminal.sendline(ANSWERS[prompts[found]])
        # Without the mark that precedes the prompt.
        return (shown + self.terminal.before).replace("\r\n", "\n").rpartition("\n")[0]


@pytest.fixture
def walk(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    borrow_environment(project, "packages")
    (tmp_path / "home").mkdir()
    walk = Walk(project, tmp_path / "home")
    yield walk
    walk.terminal.close(force=True)


def check_nothing_is_left(walk):
    for command in ("az group list", "az keyvault list", "az keyvault list-deleted --resource-type vault"):
        assert walk.type(command).split() == ["[]"], command


def test_tutorial_can_be_followed_and_leaves_nothing(walk):
    shown = ""
    for heading in ("Sign in", "Create a vault", "Install and run", "Code details", "Clean up"):
        assert bash(heading)
        for line in bash(heading):
            shown += walk.type(line) + "\n"

    assert "Your secret is 'hunter2'." in shown
    assert shown.index("my-secret\n", shown.index(" done.\nRetr")) < shown.index("good day\n")
    check_nothing_is_left(walk)


def test_tutorial_can_be_followed_by_hand_and_leaves_nothing(walk):
    parts = [
        ("Sign in", "Use a service principal"),
        ("Create a vault", "Create the vault by hand"),
        ("Install and run", ""),
        ("Clean up", "Clean up by hand"),
        ("Clean up", "Delete the service principal"),
    ]
    values, shown = {}, ""
    for heading, folded in parts:
        assert bash(heading, folded)
        for line in bash(heading, folded):
            for words, value in values.items():
                line = line.replace(f'"{words}"', shlex.quote(value))
            shown = walk.type(line)
            if line == "az ad sp create-for-rbac":
                printed = json.loads(shown[shown.index("{") :])
                values = {f"the {name}": printed[name] for name in ("tenant", "appId", "password")}
            if line == "python kv_secrets.py":
                assert "Your secret is 'hunter2'." in shown
    assert values
    (deleted,) = [line for line in bash("Clean up", "Delete the service principal") if "delete" in line]
    assert "az ad app delete" in deleted
    check_nothing_is_left(walk)
    assert "does not exist" in walk._answer(f"az ad sp show --id {values['the appId']}")


def test_every_az_command_is_one_that_az_knows(cloud):
    commands = {command for language in SHELLS for command in az_commands(language)}
    assert len(commands) >= 10
    for command in commands:
        words = shlex.split(command)
        options = [word for word in words if word.startswith("--")]
        first = words.index(options[0]) if options else len(words)
        help_text = cloud.az(*words[1:first], "--help")
        assert help_text.returncode == 0, command
        for option in options:
            assert re.search(rf"{option}\b", help_text.stdout), f"{option} in {command}"


def test_az_commands_are_the_same_in_every_shell():
    in_bash = az_commands("bash")
    for language in ("bat", "powershell"):
        assert len(az_commands(language)) == 4
        assert set(az_commands(language)) <= set(in_bash)


def test_variables_are_set_in_each_shells_own_way():
    names = {"KEY_VAULT_NAME", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}
    ways = {
        "bash": r'export (\w+)="[^"]+"',
        "bat": r'set (\w+)=[^"\s][^"]*',
        "powershell": r'\$env:(\w+) = "[^"]+"',
    }
    for language, way in ways.items():
        lines = [line for one in blocks() if one.language == language for line in one.text.splitlines()]
        found = [re.fullmatch(way, line) for line in lines]
        assert {each[1] for each in found if each} == names
        setting = [line for line in lines if line.startswith(("export ", "set ", "$env:"))]
        assert len(setting) == len(names)


def test_relative_links_lead_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in re.findall("^#+ (.*)$", TEXT, re.M)
    }
    links = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert links
    for link in links:
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            assert (ROOT / path).exists(), link
            assert not anchor or anchor in headings, link


def test_files_that_it_names_are_there():
    names = re.findall(r"(?<![\w/.-])((?:scripts|tests)/[\w./]+\w|\w+\.(?:py|txt))", TEXT)
    assert len(set(names)) >= 5
    for name in set(names) - {"azure.py", "json.py"}:
        assert (ROOT / name).exists(), name


# The tables of messages: all that the sources hold, and nothing else. … stands for what varies.


def rows(summary):
    """What stands in the first column of the table in a folded part, without the quoting."""
    (part,) = re.findall(rf"<summary>{summary}</summary>\n(.*?)</details>", TEXT, re.S)
    return re.findall(r"^\| `(.*?)` \|", part, re.M)


def as_shown(node):
    """The first line of a string in Python's syntax tree; None where it is put together elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    else:
        return None
    return text.strip("\n").partition("\n")[0]


def test_messages_of_the_sample_are_those_of_the_page():
    calls = [
        node for node in ast.walk(ast.parse(SAMPLE.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    messages = {
        as_shown(call.args[0])
        for call in calls
        if ast.unparse(call.func) in ("Problem", "sys.exit", "print") and call.args
    }
    # The story's own lines, and what a constant holds.
    story = ("Creating ", "Retrieving ", "Your secret ", "Deleting ", " done.")
    messages = {message for message in messages if message and not message.startswith(story)}
    table = rows("Messages of the sample")
    assert len(table) == len(set(table))
    assert set(table) == messages


def script_messages():
    """The first line of each message of the scripts that says what went wrong."""
    text = "".join(path.read_text() for path in sorted((ROOT / "scripts").glob("*.sh")))
    quoted = r"""('[^']*'|"(?:\\.|[^"])*")"""
    found = re.findall(rf"\bfail {quoted}", text)
    # A say that goes on with a command to type, and those that explain what az has said.
    found += re.findall(rf"\bsay {quoted} (?:\\\n|['\"])", text)
    found += re.findall(rf"\bsay {quoted}\n +ask_az lock", text)
    (explaining,) = re.findall(r"^explain_az_words\(\) \{\n(.*?)^\}", text, re.M | re.S)
    found += re.findall(rf"\bsay {quoted}", explaining)
    return {re.sub(r"\$\{[^}]*\}|\$\([^)]*\)|\$\w+", "…", one[1:-1]) for one in found}


def test_messages_of_the_scripts_are_those_of_the_page():
    progress = {"", "Then run this again:"}
    messages = {one for one in script_messages() if not one.startswith("az ")} - progress
    table = rows("Messages of the scripts")
    assert len(table) == len(set(table))
    assert {one.replace("….", "…") for one in table} == {one.replace("….", "…") for one in messages}


def test_words_that_are_passed_on_are_explained():
    words = " ".join(rows("Words that the sample and the scripts pass on"))
    for each in (
        *("AADSTS50020", "AADSTS50076", "AADSTS53003", "AADSTS700016", "AADSTS7000215", "AADSTS7000222"),
        *("Basic Constraints of CA cert not marked critical", "not found within subscription", "SyntaxError"),
        *("running scripts is disabled", "C:/Program Files/Git/subscriptions/", "Failed to resolve"),
    ):
        assert each in words
