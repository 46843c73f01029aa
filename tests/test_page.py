"""README.md cannot rot: what it shows is run, and what it says is looked up."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pexpect
import pytest
from conftest import (
    ROOT,
    SAMPLE,
    SEARCH,
    assert_page_has_a_row_for,
    borrow,
    clean_environment,
    copy_of_the_project,
)
from stand_in import trace
from stand_in.state import OFFICER_ROLE

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL, TROUBLESHOOTING = TEXT.split("\n## Troubleshooting\n")
SHELLS = {"bash": r"\$(\w+)", "bat": r"%(\w+)%", "powershell": r"\$env:(\w+)"}
CONTINUATIONS = {"bash": "\\", "bat": "^", "powershell": "`"}
ANSWERS = {
    "a name for your secret > ": "greeting",
    "a value for your secret > ": "hello",
    "(y/n): ": "y",
}


@dataclass
class Block:
    """A fenced block: its language, its heading, the summary of the fold that it is in or "", its text."""

    language: str
    heading: str
    fold: str
    text: str

    @property
    def commands(self):
        """The commands, each on one line."""
        continuation = CONTINUATIONS.get(self.language, "\\")
        return self.text.replace(f"{continuation}\n ", "").splitlines()


def blocks():
    heading, fold, found = "", "", []
    pattern = re.compile(
        r"^#+ (?P<heading>[^\n]*)$|^<summary>(?P<fold>[^\n]*)</summary>$|^(?P<end></details>)$"
        r"|^```(?P<language>\w*)\n(?P<text>.*?)^```$",
        re.M | re.S,
    )
    for each in pattern.finditer(TEXT):
        if each["heading"]:
            heading = each["heading"]
        elif each["fold"] or each["end"]:
            fold = each["fold"] or ""
        else:
            found.append(Block(each["language"], heading, fold, each["text"]))
    return found


BLOCKS = blocks()


def find(language, heading, fold=""):
    """The blocks of a language under a heading, of those shown or of a fold."""
    found = [one for one in BLOCKS if (one.language, one.heading, one.fold) == (language, heading, fold)]
    assert found, (language, heading, fold)
    return found


def test_there_is_no_block_that_no_test_reads():
    assert {block.language for block in BLOCKS} == {*SHELLS, "python", "text", "mermaid"}
    assert TEXT.count("\n```") == 2 * len(BLOCKS)


def test_nothing_scrolls_sideways():
    assert max(len(line) for block in BLOCKS for line in block.text.splitlines()) <= 81


def run(commands, folder, **options):
    """Shell commands, run in a folder as a reader would type them."""
    return subprocess.run(
        ["bash", "-euc", commands],
        **{"cwd": folder, "env": clean_environment(), "capture_output": True, "text": True, "timeout": 300},
        **options,
    )


def test_first_commands_are_all_that_a_fresh_machine_needs(tmp_path):
    (block,) = find("bash", "Try it now")
    (transcript,) = find("text", "Try it now")
    commands = block.text.replace("REPOSITORY-URL", shlex.quote(str(ROOT)))
    clone, demo = commands.split("\n", 1)
    assert run(clone, tmp_path).returncode == 0
    borrow(tmp_path / "key-vault-quickstart", "demo")
    ended = run(demo, tmp_path, input="greeting\nhello\n")

    assert ended.stdout.endswith(transcript.text.partition("hello\n")[2])
    assert ended.returncode == 0
    status = ["git", "-C", tmp_path / "key-vault-quickstart", "status", "--porcelain"]
    assert subprocess.run(status, capture_output=True, check=True).stdout == b""


def test_nine_lines_are_a_program(tmp_path):
    (program,) = find("python", "The program in nine lines")
    command, install = find("bash", "The program in nine lines")
    assert len([line for line in program.text.splitlines() if line]) == 9
    project = copy_of_the_project(tmp_path / "project")
    borrow(project, "demo")
    (project / "my.py").write_text(program.text)
    ended = run(command.text, project)

    assert (ended.stdout, ended.stderr, ended.returncode) == ("hunter2\n", "", 0)
    packages = re.findall(r"^\w[\w-]*", (ROOT / "requirements.txt").read_text(), re.M)
    assert install.text.split()[-2:] == packages


def test_snippets_are_lines_of_the_sample_in_its_order():
    details = [one for one in BLOCKS if one.language == "python"][1:]
    lines = [line for block in details for line in block.text.splitlines()]
    of_the_sample = [line.strip() for line in SAMPLE.read_text(encoding="utf-8").splitlines()]

    assert len(details) == 4
    assert [line for line in of_the_sample if line in lines] == lines


def test_log_of_the_libraries_shows_requests_and_nothing_secret(sample, stand_in, tmp_path):
    line, replaced = re.search(r"`(logging\.basic[^`]*)` in place of `([^`]*)`", TROUBLESHOOTING).groups()
    source = SAMPLE.read_text(encoding="utf-8")
    assert replaced in source
    sample.command[1] = str(tmp_path / "kv_secrets.py")
    (tmp_path / "kv_secrets.py").write_text(source.replace(replaced, line), encoding="utf-8")
    ended = sample.run()

    assert "Request method: 'PUT'" in ended.stderr
    for secret in ("hunter2", "eyJ", stand_in.state.sample.client_secret):
        assert secret not in ended.stderr


def test_transcript_of_a_trace_on_a_terminal_of_80_columns():
    (transcript,) = [block.text for block in BLOCKS if block.language == "text" and block.fold]
    settings = {"cwd": str(ROOT), "encoding": "utf-8", "dimensions": (50, 80), "timeout": 60}
    environment = clean_environment(NO_COLOR="1", TERM="dumb")
    terminal = pexpect.spawn(sys.executable, ["scripts/demo.py", "--trace"], env=environment, **settings)
    shown, prompts = "", list(ANSWERS)
    while (found := terminal.expect_exact([*prompts, pexpect.EOF])) < len(prompts):
        shown += terminal.before + terminal.after
        terminal.sendline(ANSWERS[prompts[found]])
    shown = (shown + terminal.before).replace("\r\n", "\n")

    assert (terminal.wait(), shown) == (0, transcript)
    assert max(len(line) for line in shown.splitlines()) <= 80


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
    (diagram,) = [block.text for block in BLOCKS if block.language == "mermaid"]
    assert [line.strip() for line in diagram.splitlines()[4:]] == expected


# The tutorial, in the shell that the page names for it, each block pasted whole.


class Walk:
    """A person at ``python3 scripts/demo.py --az bash`` who pastes the page's blocks and answers its prompts."""

    PROMPT = "(stand-in) $ "

    def __init__(self, project, environment):
        self.terminal = pexpect.spawn(
            sys.executable,
            [str(project / "scripts/demo.py"), "--az", "bash"],
            **{"env": environment, "cwd": str(project), "encoding": "utf-8", "timeout": 180},
            dimensions=(50, 400),
        )
        self.terminal.expect_exact(self.PROMPT)
        self.type("trap 'echo FAILED' ERR")

    def paste(self, block, values=()):
        """What a block shows, with ``values`` in place of what stands there; every command must succeed."""
        text = block.text
        for words, value in dict(values).items():
            text = text.replace(words, value)
        shown = self.type(text.rstrip("\n"), len(block.commands))
        assert "FAILED" not in shown, shown
        return shown

    def type(self, text, count=1):
        """What ``count`` commands show until the last prompt of the shell."""
        self.terminal.sendline(text)
        shown, prompts = "", list(ANSWERS)
        while count:
            found = self.terminal.expect_exact([*prompts, self.PROMPT])
            shown += self.terminal.before
            if found < len(prompts):
                self.terminal.sendline(ANSWERS[prompts[found]])
            else:
                count -= 1
        return shown.replace("\r\n", "\n")


@pytest.fixture
def walk(cloud, tmp_path):
    project = copy_of_the_project(tmp_path / "my project")
    borrow(project, "demo", "az", "packages")
    walk = Walk(project, clean_environment(HOME=str(tmp_path), TERM="dumb"))
    yield walk
    for command in ("az group list", "az keyvault list", "az keyvault list-deleted --resource-type vault"):
        assert "[]" in walk.type(command).split(), command
    walk.terminal.sendline("exit")
    walk.terminal.expect(pexpect.EOF)
    assert walk.terminal.wait() == 0


def test_tutorial_can_be_followed_and_leaves_nothing(walk):
    sign_in, *create = find("bash", "2. Sign in") + find("bash", "3. Create a vault")
    shown = "".join(walk.paste(block) for block in [sign_in, *create, *find("bash", "4. Install")])
    assert "Creating the resource group anna-rg" in shown
    run, list_deleted = find("bash", "5. Run")
    assert "Your secret is 'hello'." in walk.paste(run)
    assert '"greeting"' in walk.paste(list_deleted)
    show = re.search("`(az keyvault secret show [^`]*)`", TEXT)[1].replace("NAME", "greeting")
    assert "was not found in this key vault" in walk.type(
        show.replace("$KEY_VAULT_greeting", "$KEY_VAULT_NAME")
    )

    ANSWERS["a name for your secret > "] = "another"
    take_away, give_back, *_ = find("bash", "Show it in a workshop")
    walk.paste(take_away)
    assert "does not have secrets list permission" in walk.type(run.text.strip())
    walk.paste(give_back)
    assert "Your secret is 'hello'." in walk.paste(run)
    shown = "".join(walk.paste(block) for block in find("bash", "6. Clean up"))
    assert "kv-quickstart-" in shown


def test_tutorial_can_be_followed_by_hand_twice_and_leaves_nothing(walk):
    walk.paste(*find("bash", "2. Sign in"))
    create, export = find("bash", "2. Sign in", "Use a service principal")
    printed = walk.paste(create)
    values = json.loads(printed[printed.index("{") : printed.index("}") + 1])
    walk.paste(export, {f"<{name}>": values[name] for name in ("tenant", "appId", "password")})
    names, group, with_policies, policy, with_roles = find("bash", "3. Create a vault", "By hand")
    for block in [names, group, with_policies, policy, *find("bash", "4. Install")]:
        walk.paste(block)
    run, _ = find("bash", "5. Run")
    assert "Your secret is 'hello'." in walk.paste(run)
    clean_up = find("bash", "6. Clean up")
    for block in clean_up:
        walk.paste(block)
    walk.paste(*find("bash", "6. Clean up", "Delete the service principal"))
    assert "does not exist" in walk.type(f"az ad sp show --id {values['appId']}")
    for block in (names, group, with_roles):
        walk.paste(block)
    assert "Your secret is 'hello'." in walk.paste(run)
    _, _, take_away, give_back = find("bash", "Show it in a workshop")
    walk.paste(take_away)
    assert "Caller is not authorized" in walk.type(run.text.strip())
    walk.paste(give_back)
    for block in clean_up:
        walk.paste(block)


def az_commands(language):
    """The az commands in the blocks of a language, with ``$NAME`` for every shell's variable, by heading."""
    group = '"${RESOURCE_GROUP:-KeyVault-PythonQS-rg}"'
    return [
        (
            block.heading,
            re.sub(SHELLS[language], r"$\1", " ".join(command.replace(group, "$RESOURCE_GROUP").split())),
        )
        for block in BLOCKS
        for command in block.commands
        if block.language == language and command.startswith("az ")
    ]


def test_az_commands_are_the_same_in_every_shell():
    assert len(az_commands("bat")) == 8
    assert az_commands("bat") == az_commands("powershell")
    assert set(az_commands("bat")) <= set(az_commands("bash"))
    for heading, command in az_commands("bash"):
        if "--resource-group" in command:
            assert heading.startswith(("3.", "6."))
            assert "--resource-group $RESOURCE_GROUP" in command


def test_variables_are_set_in_each_shells_own_way():
    names = {"KEY_VAULT_NAME", "RESOURCE_GROUP", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}
    ways = {
        "bash": r'export (\w+)=("[^"]+"|[\w-]+)',
        "bat": r'(?:if not defined \w+ )?set (\w+)=[^"\s]+',
        "powershell": r'(?:if \(-not \$env:\w+\) \{ )?\$env:(\w+) = "[^"]+"(?: \})?',
    }
    for language, way in ways.items():
        commands = [one for block in BLOCKS if block.language == language for one in block.commands]
        assert {found[1] for one in commands if (found := re.fullmatch(way, one))} == names


# Of those that the services, the libraries, and az were recorded to print.
MESSAGES = """
AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.
AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management.azure.com.
AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: 'eyJ'.
[TokenExpired] Error validating token: 'S2S12086'.
The user, group or application 'appid=1;oid=2' does not have secrets set permission on key vault 'kv;location=eastus'.
Client address is not authorized and caller is not a trusted service.
Public network access is disabled and request is not from a trusted service nor via an approved private link.
Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached
Secret my-secret is currently being recovered and cannot be re-created; retry later.
Operation "delete" is not allowed on this secret, since it is associated with a certificate.
Operation get is not allowed on a disabled secret.
AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.
AADSTS700016: Application with identifier '1' was not found in the directory 'Contoso'.
Azure CLI not found on path
Failed to invoke the Azure CLI
Please run "az login" with a claims-challenge
ERROR: The specified vault: kv-mine already exists
(ConflictError) A vault with the same name already exists in deleted state.
ERROR: Cannot set policies to a vault with '--enable-rbac-authorization' specified
The Vault 'kv-mine' not found within subscription.
/me request is only valid with delegated authentication flow.
Resource '1' does not exist or one of its queried reference-property objects are not present.
scripts/provision.sh: line 33: subscription: az did not answer
<urllib3.connection.HTTPSConnection object>: Failed to resolve 'kv-mine.vault.azure.net'
"""


@pytest.mark.parametrize("message", MESSAGES.strip().splitlines())
def test_message_is_found_in_troubleshooting(message):
    assert_page_has_a_row_for(f"{message}\n{SEARCH}")


def test_what_is_searched_for_stands_there_as_it_is_printed():
    for first_column in re.findall(r"^\| (.*?) \|", TROUBLESHOOTING, re.M):
        assert "…" not in first_column


def test_role_is_assigned_as_shown(cloud):
    vault = cloud.state.add_vault("kv-tutorial")
    object_id = cloud.state.user.object_id
    (block,) = find("bash", "Assign a role")
    scope = cloud.state.path_of(vault)
    ended = cloud.type(block.text.replace("SCOPE", scope).replace("OID", object_id))

    assert ended.returncode == 0, ended.stderr
    (role,) = cloud.state.role_assignments
    assert (role.object_id, role.scope) == (object_id, scope)
    assert role.role_definition_id.endswith(OFFICER_ROLE)


def test_every_az_command_in_the_text_is_one_that_az_knows(cloud):
    typed_in_the_walks = [command.partition(" --")[0] for _, command in az_commands("bash")]
    commands = {command for command in re.findall("`(az [a-z][^`]*)`", TEXT) if "…" not in command}
    commands = {one for one in commands if one.partition(" --")[0] not in typed_in_the_walks}
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)
        options = [word for word in words if word.startswith("--")]
        first = words.index(options[0]) if options else len(words)
        help_text = cloud.az(*words[1:first], "--help")
        assert help_text.returncode == 0, command
        for option in options:
            assert re.search(rf"{option}\b", help_text.stdout), f"{option} in {command}"


def test_links_and_file_names_lead_somewhere():
    headings = re.findall("^#+ (.*)$", TEXT, re.M)
    anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
    links = re.findall(r"\]\(#([^)\s]+)\)", TEXT)
    assert links
    assert set(links) <= anchors
    names = set(re.findall(r"(?<![\w/\\.-])((?:scripts|tests)/[\w./]+\w|kv_\w+\.py|requirements\.txt)", TEXT))
    assert len(names) >= 5
    for name in names:
        assert (ROOT / name).exists(), name
    named = set(re.findall("README.md, ([A-Z][a-z ]+)", SAMPLE.read_text(encoding="utf-8")))
    assert named == {"Create a vault", "Install", "Troubleshooting"}
    assert named <= {re.sub(r"^\d\. ", "", heading) for heading in headings}


@pytest.mark.parametrize("script", ["demo.py", "test.py"])
def test_help_fits_a_default_terminal(script):
    ended = run(f"{shlex.quote(sys.executable)} scripts/{script} --help", ROOT)
    assert "usage: python3 scripts/" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80
