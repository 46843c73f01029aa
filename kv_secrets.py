"""Save a secret in Azure Key Vault, retrieve it, and delete it."""

import contextlib
import logging
import os
import sys

try:
    from azure.core.exceptions import AzureError, HttpResponseError
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient
except ImportError as error:
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    install = f"{python} -m pip install -r requirements.txt"
    message = f"{error}\nSearch README.md, Troubleshooting, for this message."
    sys.exit(f"{message}\nTo install the packages:\n{install}")


def main():
    key_vault_name = os.environ["KEY_VAULT_NAME"]
    kv_uri = f"https://{key_vault_name}.vault.azure.net"

    # Authenticate and create a client.
    credential = DefaultAzureCredential()
    client = SecretClient(vault_url=kv_uri, credential=credential)

    secret_name = input("Input a name for your secret > ")
    if not (secret_name.isascii() and secret_name.replace("-", "a").isalnum()):
        message = f"{secret_name!r} is not a valid secret name."
        sys.exit(f"{message} Use only letters (A-Z, a-z), digits, and hyphens.")
    secret_value = input("Input a value for your secret > ")

    # Save the secret. To an existing secret, set_secret would add a version.
    print(
        f"Creating a secret in {key_vault_name} called '{secret_name}'",
        f"with the value '{secret_value}' ...",
    )
    if any(client.list_properties_of_secret_versions(secret_name)):
        message = f"'{secret_name}' is already in use in {key_vault_name}."
        sys.exit(f"{message} Choose a different name.")
    with exit_on_error(may_be_left=secret_name):
        created_secret = client.set_secret(secret_name, secret_value)
        print(" done.")

        # Retrieve the secret. Print a value only in a demonstration like this.
        print(f"Retrieving your secret from {key_vault_name}.")
        retrieved_secret = client.get_secret(secret_name)
        if retrieved_secret.properties.version != created_secret.properties.version:
            message = f"Someone else set '{secret_name}' at the same time,"
            message += " and your value is now an older version of it."
            sys.exit(f"{message} Choose a different name.")
        print(f"Your secret is '{retrieved_secret.value}'.")

        # Delete the secret. Once the deletion has begun, all that remains is to wait.
        print(f"Deleting your secret from {key_vault_name} ...")
        poller = client.begin_delete_secret(secret_name)
    poller.wait()
    print(" done.")


# Any other exception is a bug, and Python reports it.
EXPECTED = (AzureError, OSError, ValueError, RuntimeError, EOFError, KeyboardInterrupt)


@contextlib.contextmanager
def exit_on_error(may_be_left=None):
    """Exit with the message of an error. If a secret may be left in the vault, say how to delete it."""
    try:
        yield
    except EXPECTED as error:
        message = str(error) or type(error).__name__
        if isinstance(error, HttpResponseError) and error.error and error.error.message:
            message = error.error.message
            # The library retries. Before a 408 or 429, an attempt may have succeeded.
            is_refusal = 400 <= error.status_code < 500 and error.status_code not in (408, 429)
            if is_refusal and error.response.request.method == "PUT":
                may_be_left = None
        message = f"{message}\nSearch README.md, Troubleshooting, for this message."
        if isinstance(error, KeyboardInterrupt):
            message = "Stopped."
        if may_be_left:
            key_vault_name = os.environ["KEY_VAULT_NAME"]
            message += f"\n'{may_be_left}' may still be in {key_vault_name}. To delete it:"
            # With an equals sign, az takes a name that begins with a hyphen.
            message += f"\naz keyvault secret delete --vault-name {key_vault_name} --name={may_be_left}"
        if "Please run 'az login'" in message:
            message += "\nTo sign in:\naz login"
        sys.exit(f"\n{message}")


if __name__ == "__main__":
    logging.disable()  # azure-identity would also log the error that is printed.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (makes the arrow keys work; not available on Windows)
    name = os.environ.get("KEY_VAULT_NAME", "")
    if not (name.isascii() and name.replace("-", "a").isalnum()):
        sys.exit(f"KEY_VAULT_NAME is {name!r}. To set it, see README.md, Create a vault.")
    with exit_on_error():
        main()
