"""Set a secret in Azure Key Vault, retrieve it, and delete it: main() is the whole story."""

import logging
import os
import re
import sys
from traceback import walk_tb

try:
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient
except ImportError:
    sys.exit("The packages that this needs are not installed. Type:\npip install -r requirements.txt")


def main():
    vault_name = os.environ.get("KEY_VAULT_NAME", "")
    check(re.fullmatch("(?=.{3,24}$)[A-Za-z](-?[A-Za-z0-9])*", vault_name), "not a vault name")
    vault_url = f"https://{vault_name}.vault.azure.net"

    # Authenticate and create a client.
    credential = DefaultAzureCredential()
    client = SecretClient(vault_url=vault_url, credential=credential)

    secret_name = input("Input a name for your secret > ")
    check(re.fullmatch("[A-Za-z0-9-]{1,127}", secret_name), "not a secret name")
    secret_value = input("Input a value for your secret > ")

    # Save a secret. Its name must be free: set_secret would add a version to a secret that is there.
    print(f"Creating a secret in {vault_name} called '{secret_name}' with the value '{secret_value}' ...")
    versions = list(client.list_properties_of_secret_versions(secret_name))
    check(not versions, "name in use")
    created_secret = client.set_secret(secret_name, secret_value)
    print(" done.")

    # Retrieve a secret.
    print(f"Retrieving your secret from {vault_name}.")
    retrieved_secret = client.get_secret(secret_name)
    check((retrieved_secret.id, retrieved_secret.value) == (created_secret.id, secret_value), "not yours")
    print(f"Your secret is '{retrieved_secret.value}'.")  # Only a demonstration prints a secret.

    # Delete a secret. result() tells what is being deleted; only wait() waits until it is.
    print(f"Deleting your secret from {vault_name} ...")
    poller = client.begin_delete_secret(secret_name)
    deleted_secret = poller.result()
    poller.wait()
    print(" done.")
    return deleted_secret


def check(is_fine, problem):
    if not is_fine:
        raise ValueError(problem)


# A pattern for an error's text, status or class; what went wrong; what to type (after a colon: this again).
PROBLEMS = {
    "not a vault name": """KEY_VAULT_NAME takes the name of a vault alone: 3 to 24 letters, digits, single
hyphens, a letter first, no hyphen last. Set it, for example to one of those that the list has:
az keyvault list --query "[].name" --output tsv
export KEY_VAULT_NAME=your-vault""",
    "not a secret name": "A secret's name has 1 to 127 letters, digits and hyphens. Choose such a name:",
    "name in use": "'{secret_name}' is in use in {vault_name}, and stays as it is. Choose a different name:",
    "not yours|[(]SecretNotFound": "'{secret_name}' is not there as you stored it; somebody else may use it. Choose a different name:",
    '["(]ObjectIsDeletedBut': """'{secret_name}' is deleted but recoverable. Choose a different name, or recover or purge it:
az keyvault secret recover --vault-name {vault_name} --name {secret_name}
az keyvault secret purge --vault-name {vault_name} --name {secret_name}""",
    '["(]ObjectIsBeingDeleted': "'{secret_name}' is still being deleted. Wait a little, or choose a different name:",
    "[(]BadParameter|status 413": "Key Vault takes values of 25 KB at the most. Choose a shorter one:",
    "status (429|5)": "Key Vault is too busy, or not well. Wait a minute, and try again:",
    '(oid=(?P<oid>[^;]+).*)?["(]AccessDenied': """You lack a permission in {vault_name}. This gives all that the sample needs:
az keyvault set-policy --name {vault_name} {identity} --secret-permissions delete get list set""",
    '(oid=(?P<oid>[^;]+).*)?["(]ForbiddenByRbac': """You lack a role in {vault_name}. This gives it; it takes some minutes to work:
az role assignment create --role "Key Vault Secrets Officer" --assignee {oid} --scope "$(az keyvault show --name {vault_name} --query id --output tsv)\"""",
    '(address: (?P<address>[0-9.]+).*)?["(]ForbiddenBy': """The network of {vault_name} is closed to this machine. Work inside it, or open it to your address:
az keyvault update --name {vault_name} --public-network-access Enabled --default-action Deny
az keyvault network-rule add --name {vault_name} --ip-address {address}""",
    "(AKV10032:.*?net/|tokens for tenant )(?P<tenant>[^/.]+)": """You are not in {vault_name}'s tenant. Sign in there, or set AZURE_TENANT_ID to it:
az login --tenant {tenant}""",
    "AADSTS70002..:": """Azure refuses your client secret. Set AZURE_CLIENT_SECRET to its value, not its ID:
export AZURE_CLIENT_SECRET=your-client-secret""",
    "CERTIFICATE_VERIFY_FAILED|CA certificate bundle": """The certificate that answers is not trusted: a company's proxy, as a rule. Name its PEM file:
export REQUESTS_CA_BUNDLE=/path/to/certificates.pem""",
    "'ClientAuth": """Azure could not sign you in. Sign in, or check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET:
az login""",
    "'ServiceRe": """The vault '{vault_name}' cannot be reached: no such vault, or no network. These are your vaults:
az keyvault list --query "[].name" --output tsv""",
    "'EOFError|'RuntimeError": "\nThe input ended before a name and a value. Type both:",
    "'UnicodeError": "That is not text, or none that this terminal can show. Choose another value:",
    "'OSError": "What this prints cannot be written; as a rule, nobody reads it. Try again:",
    "'KeyboardInterrupt": "\nStopped.",
    "'ValueError.*'vault_url'[]]$": "AZURE_TENANT_ID, AZURE_CLIENT_ID or AZURE_CLIENT_SECRET is wrong. Set all, or none:",
    "'Exception": "That was no answer of Key Vault's ({kind}). Is there a proxy in between? Try again:",
}


def explain(error):
    """Say what went wrong, what to type, and what is left in the vault; return the exit status."""
    story = next((f.f_locals for f, _ in walk_tb(error.__traceback__) if f.f_code is main.__code__), {})
    status = getattr(error, "status_code", None) or 0
    text = f"{error} status {status} {[kind.__name__ for kind in type(error).__mro__]} {list(story)}"
    found = next(filter(None, (re.search(pattern, text, re.DOTALL) for pattern in PROBLEMS)))
    message = re.sub(":$", ":\npython kv_secrets.py", PROBLEMS[found.re.pattern])
    if "deleted_secret" in story or ("retrieved_secret" in story and status in (404, 409)):
        message += "\nThe deletion of '{secret_name}' from {vault_name} is under way already."
    elif "created_secret" in story or (story.get("versions") == [] and not 400 <= status < 500):
        message += "\n'{secret_name}' may still be in {vault_name}. This deletes it:\naz keyvault secret delete --vault-name {vault_name} --name {secret_name}"
    facts = found.groupdict("YOURS") | {"kind": type(error).__name__}
    client_id = os.environ.get("AZURE_CLIENT_ID")
    identity = f"--spn {client_id}" if client_id else f"--object-id {facts.get('oid')}"
    try:
        print(end="", flush=True)
    except OSError:
        sys.stdout = None  # Python would try once more at the end, and complain.
    message = message.format(**story, **facts, identity=identity)
    print(message.replace("--name -", "--name=-"), file=sys.stderr)  # az takes "-x" for an option.
    bad_setting = type(error) is ValueError and "secret_value" not in story
    return 130 if isinstance(error, KeyboardInterrupt) else 2 if bad_setting else 1


if __name__ == "__main__":
    logging.basicConfig(handlers=[logging.NullHandler()])  # Not the libraries' own lines.
    try:
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="strict")  # Bytes that are not text are an error.
        main()
        print(end="", flush=True)
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(explain(error))
