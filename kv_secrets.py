"""Save a secret in Azure Key Vault, retrieve it, and delete it."""

import logging
import os
import re
import sys

try:
    from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient
except ImportError as error:
    sys.exit(f"{error}\nTo install the packages, see README.md, Install.")


def main():
    key_vault_name = os.environ.get("KEY_VAULT_NAME", "")
    if not re.fullmatch("[0-9A-Za-z-]+", key_vault_name):
        sys.exit(f"KEY_VAULT_NAME is {key_vault_name!r}. To set it, see README.md, Create a vault.")
    vault_url = f"https://{key_vault_name}.vault.azure.net"

    # Authenticate and create a client.
    credential = DefaultAzureCredential()
    client = SecretClient(vault_url=vault_url, credential=credential)

    secret_name = input("Input a name for your secret > ")
    if not re.fullmatch("[0-9A-Za-z-]+", secret_name):
        sys.exit(f"{secret_name!r} is not a valid secret name. Use letters (A-Z, a-z), digits, and hyphens.")
    secret_value = input("Input a value for your secret > ")

    # Save the secret. Print a secret value only in a demonstration like this one.
    print(f"Creating a secret in {key_vault_name} called '{secret_name}' with the value '{secret_value}' ...")
    # To an existing secret, set_secret would add a version. A name that isn't in use has no versions.
    if any(client.list_properties_of_secret_versions(secret_name)):
        sys.exit(f"'{secret_name}' is already in use in {key_vault_name}. Choose a different name.")
    try:
        client.set_secret(secret_name, secret_value)
        print(" done.")

        # Retrieve the secret.
        print(f"Retrieving your secret from {key_vault_name}.")
        retrieved_secret = client.get_secret(secret_name)
        print(f"Your secret is '{retrieved_secret.value}'.")

        # Delete the secret.
        print(f"Deleting your secret from {key_vault_name} ...")
        poller = client.begin_delete_secret(secret_name)
    except ResourceExistsError:
        raise  # A deleted secret reserves this name, or the deletion has already begun.
    except BaseException:  # Any error, and Ctrl-C.
        print(f"\n'{secret_name}' may still be in {key_vault_name}. To delete it:", file=sys.stderr)
        # With an equals sign, az accepts a name that begins with a hyphen.
        delete_command = f"az keyvault secret delete --vault-name {key_vault_name} --name={secret_name}"
        print(delete_command, file=sys.stderr)
        raise

    # Key Vault finishes the deletion by itself, even after Ctrl-C. Wait for it.
    poller.wait()
    print(" done.")


if __name__ == "__main__":
    logging.disable()  # azure-identity would also log the error that is printed below.
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    except (AzureError, OSError, EOFError, RuntimeError, ValueError) as error:
        # Azure, the network, files, input, and settings. Any other exception is a bug, and Python reports it.
        message = str(error) or type(error).__name__
        if isinstance(error, HttpResponseError) and error.error and error.error.message:
            message = error.error.message  # Key Vault's own message, without what the library adds.
        print(f"\n{message}\nSearch README.md, Troubleshooting, for this message.", file=sys.stderr)
        if "Please run 'az login'" in message:
            print("To sign in:\naz login", file=sys.stderr)
        sys.exit(1)
