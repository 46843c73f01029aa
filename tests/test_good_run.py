"""The sample, when all goes well."""

import math

import pexpect
import pytest


def tutorial(name, value, vault="kv-quickstart"):
    """What the 2020 quickstart's script prints."""
    return (
        "Input a name for your secret > Input a value for your secret > "
        f"Creating a secret in {vault} called '{name}' with the value '{value}' ...\n"
        " done.\n"
        f"Retrieving your secret from {vault}.\n"
        f"Your secret is '{value}'.\n"
        f"Deleting your secret from {vault} ...\n"
        " done.\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("my-secret", "hunter2", id="plain"),
        pytest.param("my-secret", """it's "quoted" \\ `so`""", id="quotes"),
        pytest.param("my-secret", "crème brûlée", id="accents"),
        pytest.param("my-secret", "🔑 schlüssel", id="emoji"),
        pytest.param("my-secret", "{braces} {0} %s $HOME", id="braces"),
        pytest.param("my-secret", " spaces around ", id="spaces"),
        pytest.param("my-secret", "", id="empty"),
        pytest.param("my-secret", "v" * 25 * 1024, id="25 KB"),
        pytest.param("n" * 127, "hunter2", id="longest name"),
        pytest.param("My-SECRET-1", "hunter2", id="capitals"),
    ],
)
def test_output_is_the_tutorials_byte_for_byte(sample, name, value):
    ended = sample.run(name, value)

    assert (ended.stdout, ended.stderr, ended.returncode) == (tutorial(name, value), "", 0)


def test_secret_is_deleted_but_recoverable_afterwards(sample, stand_in):
    sample.run("my-secret", "hunter2")

    secret = stand_in.vault.find("my-secret")
    assert [version.value for version in secret.versions] == ["hunter2"]
    assert secret.deleted_at is not None


def test_prompts_appear_before_anything_is_typed(sample):
    terminal = sample.on_terminal()

    terminal.expect_exact("Input a name for your secret > ")
    terminal.sendline("my-secret")
    terminal.expect_exact("Input a value for your secret > ")
    terminal.sendline("hunter2")
    terminal.expect_exact("Your secret is 'hunter2'.")
    terminal.expect_exact(" done.\r\n")
    assert terminal.wait() == 0


def test_last_done_waits_until_the_deletion_is_through(sample, stand_in):
    stand_in.vault.deletion_seconds = math.inf
    terminal = sample.on_terminal()
    terminal.sendline("my-secret")
    terminal.sendline("hunter2")
    terminal.expect_exact("Deleting your secret from kv-quickstart ...\r\n")

    stand_in.log.wait_for("GET /deletedsecrets/my-secret 404", count=3)
    assert terminal.expect_exact(["done", pexpect.TIMEOUT], timeout=0) == 1

    stand_in.vault.deletion_seconds = 0
    terminal.expect_exact(" done.\r\n")
    assert str(list(stand_in.log)[-1]) == "GET /deletedsecrets/my-secret 200"
    assert terminal.wait() == 0


@pytest.mark.every_python
def test_one_run_sends_eight_requests_on_two_connections(sample, stand_in):
    ended = sample.run()

    assert (ended.stdout, ended.stderr) == (tutorial("my-secret", "hunter2"), "")
    tenant = stand_in.state.tenant_id
    assert [str(exchange) for exchange in stand_in.log] == [
        "GET /secrets/my-secret/versions 401",
        f"GET /{tenant}/v2.0/.well-known/openid-configuration 200",
        f"POST /{tenant}/oauth2/v2.0/token 200",
        "GET /secrets/my-secret/versions 200",
        "PUT /secrets/my-secret 200",
        "GET /secrets/my-secret/ 200",
        "DELETE /secrets/my-secret 200",
        "GET /deletedsecrets/my-secret 200",
    ]
    assert {exchange.connection for exchange in stand_in.log} == {1, 2}
