"""Set a secret in Azure Key Vault, retrieve it, and delete it."""

import os

from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient


def main():
    vault_name = os.environ["KEY_VAULT_NAME"]
    vault_url = f"https://{vault_name}.vault.azure.net"

    # Authenticate and create a client.
    credential = DefaultAzureCredential()
    client = SecretClient(vault_url=vault_url, credential=credential)

    secret_name = input("Input a name for your secret > ")
    secret_value = input("Input a value for your secret > ")

    # Save a secret.
    print(
        f"Creating a secret in {vault_name} called '{secret_name}' with the value '{secret_value}' ..."
    )
    client.set_secret(secret_name, secret_value)
    print(" done.")

    # Retrieve a secret.
    print(f"Retrieving your secret from {vault_name}.")
    retrieved_secret = client.get_secret(secret_name)
    # Only a demonstration prints a secret.
    print(f"Your secret is '{retrieved_secret.value}'.")

    # Delete a secret.
    print(f"Deleting your secret from {vault_name} ...")
    poller = client.begin_delete_secret(secret_name)
    deleted_secret = poller.result()
    # result() tells what is being deleted, but does not wait until it is: wait() does.
    poller.wait()
    print(" done.")
    return deleted_secret


if __name__ == "__main__":
    main()
