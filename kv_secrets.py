"""Set a secret in Azure Key Vault, retrieve it, and delete it: main() tells the whole story."""

import contextlib
import logging
import os
import re
import sys

try:
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
        ResourceNotFoundError,
        ServiceRequestError,
    )
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient
except ImportError as error:
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    install = f"To install the packages:\n{python} -m pip install -r requirements.txt"
    sys.exit(f"{error}\n{install}\nIf that does not help, see README.md, under Troubleshooting.")


def main():
    vault_name = os.environ.get("KEY_VAULT_NAME")
    check_vault_name(vault_name)
    vault_url = f"https://{vault_name}.vault.azure.net"

    # Authenticate and create a client.
    credential = DefaultAzureCredential()
    client = SecretClient(vault_url=vault_url, credential=credential)

    secret_name = input("Input a name for your secret > ")
    check_secret_name(secret_name)
    secret_value = input("Input a value for your secret > ")

    # Save the secret. If one of that name existed, set_secret would add a version to it.
    print(f"Creating a secret in {vault_name} called '{secret_name}' with the value '{secret_value}' ...")
    check_name_is_free(client, vault_name, secret_name)
    with naming_what_may_be_left(vault_name, secret_name):
        created_secret = client.set_secret(secret_name, secret_value)
        print(" done.")

        # Retrieve the secret. Print a value only in a demonstration like this one.
        print(f"Retrieving your secret from {vault_name}.")
        retrieved_secret = client.get_secret(secret_name)
        check_is_unchanged(created_secret, retrieved_secret)
        print(f"Your secret is '{retrieved_secret.value}'.")

        # Delete the secret. result() returns as soon as the deletion has started.
        print(f"Deleting your secret from {vault_name} ...")
        poller = client.begin_delete_secret(secret_name)
        deleted_secret = poller.result()

    # Wait until the secret is deleted.
    with saying_deletion_has_started(vault_name, secret_name):
        poller.wait()
    print(" done.")
    return deleted_secret


# The rest is for when something goes wrong.

PAGE = "Look up the words above in README.md, under Troubleshooting."
# Any other exception is a bug, and Python reports it.
EXPECTED = (AzureError, OSError, ValueError, RuntimeError, EOFError, KeyboardInterrupt)


class Problem(Exception):
    """A problem that the sample itself finds. Its text says what to do."""


def check_vault_name(vault_name):
    if vault_name is None or not re.fullmatch("(?=.{3,24}$)[A-Za-z](-?[A-Za-z0-9])*", vault_name):
        found = "is not set" if vault_name is None else f"is {vault_name!r}, which is not a vault name"
        example = "Set it to a name such as kv-quickstart. See README.md, under Create a vault."
        raise Problem(f"The environment variable KEY_VAULT_NAME {found}.\n{example}")


def check_secret_name(secret_name):
    if not re.fullmatch("[A-Za-z0-9-]{1,127}", secret_name):
        rule = "A secret name consists of 1 to 127 letters (A to Z), digits, and hyphens."
        raise Problem(f"{secret_name!r} is not a secret name.\n{rule}")


def check_name_is_free(client, vault_name, secret_name):
    try:
        versions = list(client.list_properties_of_secret_versions(secret_name))
    except ResourceNotFoundError as error:
        if key_vault_code(error) != "SecretNotFound":
            raise
        versions = []
    if versions:
        in_use = f"'{secret_name}' is already in use in {vault_name}. It was not changed."
        raise Problem(f"{in_use}\nChoose a different name.")


def check_is_unchanged(created_secret, retrieved_secret):
    if retrieved_secret.id != created_secret.id:
        theirs = f"Someone else set '{created_secret.name}' at the same time."
        raise Problem(f"{theirs} Their value was neither shown nor deleted.\nChoose a different name.")


@contextlib.contextmanager
def naming_what_may_be_left(vault_name, secret_name):
    """If the run ends between setting and deleting the secret, name the command that deletes it."""
    try:
        yield
    except EXPECTED as error:
        if refused_to_set(error):
            raise
        # With an equals sign, az takes a name that begins with a hyphen.
        delete = f"az keyvault secret delete --vault-name {vault_name} --name={secret_name}"
        left = f"'{secret_name}' may still be in {vault_name}. To delete it:\n{delete}"
        raise Problem(f"{explain(error)}\n{left}") from error


@contextlib.contextmanager
def saying_deletion_has_started(vault_name, secret_name):
    try:
        yield
    except EXPECTED as error:
        started = f"The deletion of '{secret_name}' from {vault_name} has already started."
        raise Problem(f"{explain(error)}\n{started}") from error


def refused_to_set(error):
    """Whether Key Vault itself refused. After 408 and 429, an earlier attempt may have succeeded."""
    if not key_vault_code(error) or error.response.request.method != "PUT":
        return False
    return 400 <= error.status_code < 500 and error.status_code not in (408, 429)


def key_vault_code(error):
    """The most specific code in Key Vault's answer, or None if the answer is not Key Vault's."""
    match error:
        case HttpResponseError(error=answer) if answer and answer.code and answer.message:
            return (answer.innererror or {}).get("code") or answer.code
    return None


def explain(error):
    """What to print: the words of whoever knows the cause, then what to do."""
    match error:
        case Problem():
            return str(error)
        case KeyboardInterrupt():
            return "\nStopped."
        case EOFError():
            return "\nThe input ended. The sample needs a name and a value."
        case HttpResponseError() if code := key_vault_code(error):
            message = error.error.message
            return f"Key Vault: {message}\n{what_to_do(code, message)}"
        case ClientAuthenticationError(response=None):
            return explain_sign_in(str(error))
        case ServiceRequestError():
            host = f"{os.environ['KEY_VAULT_NAME']}.vault.azure.net"
            check = "Check KEY_VAULT_NAME and your network. To list your vaults:"
            vaults = 'az keyvault list --query "[].name" --output tsv'
            return f"{host} cannot be reached:\n{error}\n{check}\n{vaults}\n{PAGE}"
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{words[:500]}\n{PAGE}"


def what_to_do(code, message):
    match code:
        case "AccessDenied" | "ForbiddenByPolicy" | "ForbiddenByRbac":
            if found := re.search("oid=([0-9a-f-]+)", message):
                grant = f'eval "$(scripts/provision.sh --object-id {found[1]})"'
                return f"To grant the permission:\n{grant}\nThis can take some minutes.\n{PAGE}"
        case (
            "ObjectIsDeletedButRecoverable"
            | "ObjectIsBeingDeleted"
            | "ObjectIsBeingRecovered"
            | "SecretManagedByKeyVault"
        ):
            return "Choose a different name."
    return PAGE


def explain_sign_in(words):
    service_principal = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    # If more words follow the period, a metadata service did answer.
    no_managed_identity = "no response from the IMDS endpoint.\n" in words
    if no_managed_identity and not any(os.environ.get(name) for name in service_principal):
        if "Please run 'az login' to set up an account" in words:
            return "Please run 'az login' to set up an account:\naz login"
        if "Azure CLI not found on path" in words:
            return f"Azure CLI not found on path\n{PAGE}"
    words = re.sub(r"eyJ[\w.-]*", "eyJ…", words)
    if "az login --" in words:
        return f"{words}\n{PAGE}"
    if "AzureCliCredential" in words:
        return f"{words}\n{PAGE}\nTo sign in again:\naz login"
    use_azure_cli = "export AZURE_TOKEN_CREDENTIALS=AzureCliCredential\naz login"
    return f"{words}\n{PAGE}\nTo use the Azure CLI instead:\n{use_azure_cli}"


def visible(text):
    """The text with control characters, which a terminal might obey, as Python writes them."""
    text = text.replace("\r\n", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


if __name__ == "__main__":
    logging.basicConfig(handlers=[logging.NullHandler()])  # Leaves out the libraries' log.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (makes the arrow keys work; Windows does without)
    try:
        main()
    except (Problem, *EXPECTED) as error:
        sys.exit(visible(explain(error)))
