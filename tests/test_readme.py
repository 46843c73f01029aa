"""README.md cannot rot: what it shows is run, and what it says is looked up."""

import re
import shlex
from dataclasses import dataclass

import pexpect
import pytest
from conftest import ROOT
from test_demo import borrow_environment, copy_of_the_project
from test_problems import delete_earlier, sign_out

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
REAL = "<!-- needs a real subscription -->"
SHELLS = {"bash": r"\$(\w+)", "bat": r"%(\w+)%", "powershell": r"\$env:(\w+)"}


@dataclass
class Block:
    """A fenced block: its language, its heading, whether it is marked as needing Azure, its text."""

    language: str
    heading: str
    is_real: bool
    text: str


def blocks():
    heading, found = "", []
    pattern = re.compile(
        rf"^#+ (?P<heading>[^\n]*)$|(?P<real>{REAL}\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
        re.M | re.S,
    )
    for each in pattern.finditer(TEXT):
        heading = each["heading"] or heading
        if each["heading"] is None:
            found.append(Block(each["language"], heading, bool(each["real"]), each["text"]))
    return found


def az_commands(language):
    """The az commands in the blocks of a language, with ``$NAME`` for every shell's variable."""
    return [
        re.sub(SHELLS[language], r"$\1", line)
        for block in blocks()
        if block.language == language
        for line in block.text.splitlines()
        if line.startswith("az ")
    ]


def on_terminal(command, arguments, environment, answers, **options):
    """What a command shows on a terminal where somebody answers each prompt as it comes."""
    terminal = pexpect.spawn(
        str(command),
        arguments,
        env=environment,
        encoding="utf-8",
        timeout=120,
        dimensions=(50, 250),
        **options,
    )
    shown = ""
    prompts = list(answers)
    while (found := terminal.expect([*prompts, pexpect.EOF])) < len(prompts):
        shown += terminal.before + terminal.after
        terminal.sendline(answers[prompts[found]]())
    shown += terminal.before
    return terminal.wait(), shown.replace("\r\n", "\n")


ANSWERS = {
    "a name for your secret > ": lambda: "my-secret",
    "a value for your secret > ": lambda: "hunter2",
}


def test_there_is_no_block_that_no_test_reads():
    assert {block.language for block in blocks()} == {"bash", "bat", "powershell", "python", "text"}
    assert TEXT.count("\n```") == 2 * len(blocks())


@pytest.mark.parametrize(
    "block", [one for one in blocks() if one.language == "python"], ids=lambda one: one.heading
)
def test_code_is_made_of_lines_of_the_sample(block):
    lines = [line.strip() for line in (ROOT / "kv_secrets.py").read_text(encoding="utf-8").splitlines()]
    places = [lines.index(line) for line in block.text.splitlines()]
    assert places == sorted(places)


def transcripts():
    return [block.text for block in blocks() if block.language == "text"]


def test_transcript_of_a_run(stand_in):
    command, _, shown = transcripts()[0].partition("\n")
    assert command == "$ python kv_secrets.py"
    environment = stand_in.environment()
    assert on_terminal(ROOT / "scripts/demo.sh", [], environment, ANSWERS) == (0, shown)


def test_transcript_of_a_trace(stand_in):
    environment = stand_in.environment() | {"NO_COLOR": "1"}
    shown = on_terminal(ROOT / "scripts/demo.sh", ["--trace"], environment, ANSWERS)
    assert shown == (0, transcripts()[1])


@pytest.mark.parametrize("other", ["by hand", "with the script"])
def test_tutorial_can_be_walked_and_leaves_nothing(cloud, tmp_path, other):
    # There are two ways to make the vault and to clean up; a walk takes one of them.
    project = copy_of_the_project(tmp_path / "project")
    for name in ("sample", "packages"):
        borrow_environment(project, name)
    walk = [
        block.text
        for block in blocks()
        if block.language == "bash" and not block.is_real and not block.heading.endswith(other)
    ]
    script = tmp_path / "walk.sh"
    script.write_text("set -ex\n" + "".join(walk))
    environment = cloud.environment | {
        "HOME": str(tmp_path),
        # As demo.sh --az has it, where no package index can be reached.
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": (project / ".demo/packages").as_uri(),
    }
    answers = ANSWERS | {r"\(y/n\): ": lambda: "y", r"\(stand-in for Azure\) [^\n]*[#$] ": lambda: "exit"}
    status, shown = on_terminal("bash", [str(script)], environment, answers, cwd=str(project))

    assert status == 0, shown
    assert shown.count("Your secret is 'hunter2'.") == 3
    assert (cloud.state.groups, cloud.state.vaults, cloud.state.deleted_vaults) == ({}, {}, {})
    assert any(str(one).startswith("PUT /secrets/my-secret 200") for one in cloud.stand_in.log)


def test_every_az_command_is_one_that_az_knows(cloud):
    commands = {command for language in SHELLS for command in az_commands(language)}
    assert len(commands) >= 7
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
        assert len(az_commands(language)) == 2
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
    for name in names:
        assert (ROOT / name).exists(), name


def messages():
    """The messages in the table of what can go wrong."""
    return re.findall(r"^\| `([^`]+)` \|", TEXT, re.M)


def lose_permission(sample, stand_in):
    stand_in.vault.access_policies.clear()


def go_by_roles(sample, stand_in):
    stand_in.vault.is_rbac = True


def have_deleted(sample, stand_in):
    delete_earlier(stand_in)


def have_in_use(sample, stand_in):
    stand_in.vault.add_secret("my-secret", "an earlier value")


def go_offline(sample, stand_in):
    sample.environment["HTTPS_PROXY"] = "http://127.0.0.1:1"


def nobody_signs_in(sample, stand_in):
    sign_out(sample)
    sample.environment["PATH"] = ""


def close_the_network(sample, stand_in):
    stand_in.vault.public_network_access = "Disabled"


SITUATIONS = [
    *(lose_permission, go_by_roles, have_deleted, have_in_use, go_offline, nobody_signs_in),
    close_the_network,
]


@pytest.mark.parametrize("number", range(len(SITUATIONS)), ids=[one.__name__ for one in SITUATIONS])
def test_messages_in_the_table_are_those_that_the_sample_prints(sample, stand_in, number):
    SITUATIONS[number](sample, stand_in)
    ended = sample.run()

    assert len(messages()) == len(SITUATIONS)
    assert ended.stderr.startswith(messages()[number])
