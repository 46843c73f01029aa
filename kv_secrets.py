"""Set a secret in Azure Key Vault, retrieve it, and delete it: main() is the whole story."""

import os
import signal
import sys


def stop(*_):
    """Answer Ctrl-C while Python imports the libraries. Nothing has been sent by then."""
    os.write(2, b"\nStopped.\n")
    os._exit(130)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)

try:
    import contextlib
    import logging
    import re
    import threading

    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (importing it is enough to make the arrow keys work)
except Exception as error:
    # Python's words name the module that it took from a file of that name.
    folder = os.path.dirname(os.path.abspath(__file__))
    files = [file for file in os.listdir(folder) if "'" + file.replace(".py", "'") in str(error)]
    match files:  # A SyntaxError here? The sample needs Python 3.10 or newer.
        case [file, *_]:
            sys.exit(
                f"Python imported {file} from this folder in place of a library:\n  {error}\n"
                f"Rename {os.path.join(folder, file)}, and run the sample again:\n"
                "python kv_secrets.py"
            )
        case []:
            sys.exit(
                f"Required packages are missing or cannot be imported:\n  {error}\n"
                "To install them, with Python 3.10 or newer:\n"
                "python -m pip install -r requirements.txt"
            )


def main():
    vault_name = os.environ.get("KEY_VAULT_NAME", "")
    check_vault_name(vault_name)
    vault_url = f"https://{vault_name}.vault.azure.net"

    # Authenticate and create a client.
    with settings_explained():
        credential = DefaultAzureCredential()
        client = SecretClient(vault_url=vault_url, credential=credential)

    secret_name = input("Input a name for your secret > ")
    check_secret_name(secret_name)
    secret_value = input("Input a value for your secret > ")

    # Save a secret. Its name must be free: set_secret would add a version to an existing secret.
    print(f"Creating a secret in {vault_name} called '{secret_name}' with the value '{secret_value}' ...")
    check_name_is_free(client, vault_name, secret_name)
    with secret_left_explained(vault_name, secret_name):
        created_secret = client.set_secret(secret_name, secret_value)
        print(" done.")

        # Retrieve a secret. Only a demonstration prints its value.
        print(f"Retrieving your secret from {vault_name}.")
        retrieved_secret = client.get_secret(secret_name)
        check_is_unchanged(created_secret, retrieved_secret, secret_name, secret_value)
        print(f"Your secret is '{retrieved_secret.value}'.")

        # Delete a secret. result() tells what is being deleted; only wait() waits for the deletion.
        print(f"Deleting your secret from {vault_name} ...")
        poller = client.begin_delete_secret(secret_name)
        deleted_secret = poller.result()
        check_can_be_recovered(deleted_secret)
    with deletion_explained(vault_name, secret_name):
        poller.wait()
        print(" done.")
    return deleted_secret


# The rest handles what can go wrong, in the order in which it can.


class Problem(Exception):
    """What went wrong and what to type, line by line. The exit status 2 stands for bad input."""

    def __init__(self, *lines, exit_status=1):
        super().__init__("\n".join(lines))
        self.exit_status = exit_status


RUN_AGAIN = "python kv_secrets.py"
LIST_VAULTS = 'az keyvault list --query "[].name" --output tsv'


def check_vault_name(vault_name):
    if not re.fullmatch("(?=.{3,24}$)[A-Za-z](-?[A-Za-z0-9])*", vault_name):
        raise Problem(
            "KEY_VAULT_NAME is missing or invalid. Use the vault's name, not its URL.",
            "To list your vaults:",
            LIST_VAULTS,
            "To set the variable:",
            set_variable("KEY_VAULT_NAME", "your-vault"),
            exit_status=2,
        )


@contextlib.contextmanager
def settings_explained():
    """DefaultAzureCredential reads its settings, and the files that they name, when it is created."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise Problem(
            "An environment variable for signing in (AZURE_...) is invalid:",
            quote(error),
            "Correct it. Then run the sample again:",
            RUN_AGAIN,
            exit_status=2,
        ) from error


def check_secret_name(secret_name):
    if not re.fullmatch("[A-Za-z0-9-]{1,127}", secret_name):
        raise Problem(
            "A secret name consists of 1 to 127 letters, digits, and hyphens. Choose another name:",
            RUN_AGAIN,
            exit_status=2,
        )


def check_name_is_free(client, vault_name, secret_name):
    if list(client.list_properties_of_secret_versions(secret_name)):
        raise Problem(
            f"'{secret_name}' is in use in {vault_name}. It was not changed. Choose a different name:",
            RUN_AGAIN,
        )


def check_is_unchanged(created_secret, retrieved_secret, secret_name, secret_value):
    if (retrieved_secret.id, retrieved_secret.value) != (created_secret.id, secret_value):
        raise Problem(
            f"'{secret_name}' is no longer as you set it. Someone else may use it, so it was not deleted.",
            "Choose a different name:",
            RUN_AGAIN,
        )


@contextlib.contextmanager
def secret_left_explained(vault_name, secret_name):
    """Whatever happens between setting and deleting the secret, say that it may still be there."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        problem = explain(error, vault_name, secret_name)
        response = getattr(error, "response", None)
        match response and (response.request.method, response.status_code):
            case "PUT", 400 | 401 | 403 | 404 | 405 | 409 | 413:
                raise problem from error  # Key Vault refused to set it.
            case "DELETE", 404 | 409 if error.error:
                left = f"The deletion of '{secret_name}' from {vault_name} has already started."
            case _:
                left = f"'{secret_name}' may still be in {vault_name}. To delete it:\n" + delete_command(
                    vault_name, secret_name
                )
        raise Problem(str(problem), left, exit_status=problem.exit_status) from error


def check_can_be_recovered(deleted_secret):
    if not deleted_secret.recovery_id:
        raise Problem("Key Vault did not confirm the deletion.", NOT_FROM_AZURE, RUN_AGAIN)


@contextlib.contextmanager
def deletion_explained(vault_name, secret_name):
    """Whatever happens from here on, the secret is being deleted."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        problem = explain(error, vault_name, secret_name)
        raise Problem(
            str(problem),
            f"The deletion of '{secret_name}' from {vault_name} has already started.",
            exit_status=problem.exit_status,
        ) from error


def explain(error, vault_name, secret_name=""):
    """The Problem that an exception stands for, in the words of whoever knows the cause."""
    match error:
        case Problem():
            return error
        case KeyboardInterrupt():
            return Problem("\nStopped.", exit_status=130)
        case EOFError():
            return Problem("\nThe input ended before a name and a value. Type both:", RUN_AGAIN)
        case UnicodeError():
            return Problem(
                "Some text cannot be read, shown, or sent:",
                quote(error),
                "If it is the name or the value, choose a different one:",
                RUN_AGAIN,
            )
        case BrokenPipeError():
            return Problem(
                "The output cannot be written, because nothing reads it. Run the sample again:", RUN_AGAIN
            )
        case ClientAuthenticationError(status_code=None):
            return explain_sign_in(str(error), vault_name)
        case ServiceRequestError() | ServiceResponseError():
            return explain_network(str(error), vault_name)
        case HttpResponseError(status_code=int()):
            return explain_key_vault(error, vault_name, secret_name)
        case OSError() if "certificate" in str(error):
            return explain_network(str(error), vault_name)  # The library did not find REQUESTS_CA_BUNDLE.
        case OSError():
            return Problem("The system reports an error:", quote(error), "Run the sample again:", RUN_AGAIN)
    return Problem("The sample cannot continue:", quote(repr(error)), NOT_FROM_AZURE, RUN_AGAIN)


NOT_FROM_AZURE = (
    "If a proxy or a Wi-Fi sign-in page answers in place of Azure, sign in to it. Then try again:"
)


def explain_sign_in(text, vault_name):
    """Why nobody could be signed in: the libraries say it as text, a paragraph for each credential."""
    if re.search("CERTIFICATE|407 Proxy", text):
        return explain_network(text, vault_name)
    said = re.findall(r"^\t(\w+: .*?)(?=^\t\w+: |^To mitigate|\Z)", text, re.DOTALL | re.MULTILINE)
    not_configured = (
        "not fully configured|not installed|not found on path|could not be found|No accounts were found"
        "|no response from the IMDS endpoint|requires the|package is required"
    )
    tried = [words.strip() for words in said if not re.search(not_configured, words)]
    quoted = "\n".join(quote(words) for words in tried or said or [text])
    all_tried = "\n".join(tried)

    other_tenant = re.search(r"acquire tokens for tenant ([\w-]+)", text)
    if other_tenant:
        return explain_tenant(quoted, vault_name, other_tenant[1])
    if re.search("AADSTS53[0-9]+", all_tried):
        return Problem(
            "Your organization's Conditional Access policies do not allow you to sign in from here:",
            quoted,
            "Ask an administrator, or use a device that your organization manages. To try again:",
            RUN_AGAIN,
        )
    expired = re.search(r"EnvironmentCredential: .*AADSTS7000222.* app '([\w-]+)'", text)
    if expired:
        return Problem(
            "The client secret has expired:",
            quoted,
            "To create a new one:",
            f"az ad sp credential reset --append --id {expired[1]}",
            "To use the password that this prints:",
            set_variable("AZURE_CLIENT_SECRET", "the-password"),
        )
    if "EnvironmentCredential: " in all_tried:
        return Problem(
            "The service principal in your environment variables could not be signed in:",
            quoted,
            "If one of the variables is wrong, to correct it:",
            set_variable("AZURE_TENANT_ID", "your-tenant"),
            set_variable("AZURE_CLIENT_ID", "your-client-id"),
            set_variable("AZURE_CLIENT_SECRET", "your-client-secret"),
            "To sign in as yourself instead:",
            unset_service_principal(),
            "az login",
        )
    command_of_az = re.search(r'az login( --[a-z-]+ ("[\w./:=+-]+"|[\w./:=+-]+))+', text)
    if command_of_az:
        return Problem("Azure asks you to sign in again:", quoted, "To sign in:", command_of_az[0])
    if "AzureCliCredential: Failed to invoke the Azure CLI" in all_tried:
        return Problem(
            "The Azure CLI did not answer, or not within 10 seconds:",
            quoted,
            "It often starts faster the second time. To try again:",
            RUN_AGAIN,
            "To give it more time, change this line of the sample:",
            "credential = DefaultAzureCredential(process_timeout=60)",
        )
    if "AzureCliCredential: Azure CLI not found on path" in text and not tried:
        return Problem(
            "Nobody is signed in, and the Azure CLI is not installed, or not on the PATH. To install it:",
            "https://learn.microsoft.com/cli/azure/install-azure-cli",
            "Then sign in:",
            "az login",
        )
    if tried == ["AzureCliCredential: Please run 'az login' to set up an account"]:
        return Problem("Nobody is signed in to the Azure CLI. Sign in:", "az login")
    if "AzureCliCredential" not in text:
        return Problem(
            "Azure could not sign you in, and the Azure CLI was not asked to:",
            quoted,
            "To sign in with the Azure CLI, and nothing else:",
            set_variable("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential"),
            "az login",
        )
    return Problem(
        "Azure could not sign you in:",
        quoted,
        "To sign in:",
        "az login",
        f"To sign in to the tenant of {vault_name}, if that is not your own:",
        "az login --tenant YOUR-TENANT",
    )


def explain_tenant(quoted, vault_name, tenant):
    return Problem(
        f"You are signed in to another tenant than that of {vault_name}:",
        quoted,
        "To sign in to its tenant:",
        f"az login --tenant {tenant}",
        "If you use a service principal, it must be one of that tenant:",
        set_variable("AZURE_TENANT_ID", tenant),
    )


def explain_network(text, vault_name):
    """Why there is no connection: the libraries say it as text, too."""
    if "NO_CERTIFICATE_OR_CRL_FOUND" in text:
        return Problem(
            "The file that REQUESTS_CA_BUNDLE names has no certificate in PEM format:",
            quote(text),
            "To convert a certificate from DER format:",
            "openssl x509 -inform der -in corp.cer -out corp.pem",
            "To use the result:",
            set_variable("REQUESTS_CA_BUNDLE", "corp.pem"),
        )
    if "certificate" in text.lower():
        return Problem(
            "The server's TLS certificate cannot be verified:",
            quote(text),
            "If your company's proxy replaces certificates, name the file with your company's, in PEM format:",
            set_variable("REQUESTS_CA_BUNDLE", "/path/to/certificates.pem"),
            "For other causes, see README.md, under Troubleshooting.",
        )
    if "407 Proxy Authentication Required" in text:
        return Problem(
            "The proxy requires a user name and a password:",
            quote(text),
            "To set them:",
            set_variable("HTTPS_PROXY", "http://USER:PASSWORD@PROXY:PORT"),
        )
    return Problem(
        f"{vault_name}.vault.azure.net cannot be reached:",
        quote(text),
        "Check KEY_VAULT_NAME and your network. To list your vaults:",
        LIST_VAULTS,
        "For Azure Government and Azure China, see README.md, under Troubleshooting.",
    )


def explain_key_vault(error, vault_name, secret_name):
    """Key Vault answered with an error: its status and its inner code tell which."""
    code, message = getattr(error.error, "code", None), str(getattr(error.error, "message", None))
    quoted = quote(f"{code}: {message}" if code else error.message)
    object_id = (re.findall("oid=([0-9a-f-]+)", message) or ["YOUR-OBJECT-ID"])[0]
    address = (re.findall("Client address: ([0-9a-f.:]+)", message) or ["YOUR-IP-ADDRESS"])[0]
    secret = f"--vault-name {vault_name} {name_option(secret_name)}"

    match error.status_code, getattr(error.error, "innererror", None):
        case 401, _:
            if expected := re.search(r"AKV10032: .*?Expected one of https://[\w.]+/([\w-]+)", message):
                return explain_tenant(quoted, vault_name, expected[1])
            return Problem(
                "Key Vault rejected the token that you got when you signed in:",
                quoted,
                "Check the clock of your machine. To try again:",
                RUN_AGAIN,
            )
        case 403, {"code": "AccessDenied" | "ForbiddenByPolicy"}:
            return Problem(
                f"No access policy in {vault_name} gives you this permission:",
                quoted,
                "To add the permissions that the sample needs to those that you have:",
                set_policy_command(vault_name, object_id),
            )
        case 403, {"code": "ForbiddenByRbac"}:
            return Problem(
                f"You have no role in {vault_name} that allows this:",
                quoted,
                "To assign one, which takes a few minutes to take effect:",
                assign_role_command(vault_name, object_id),
            )
        case 403, {"code": "ForbiddenByFirewall"}:
            return Problem(
                f"The firewall of {vault_name} does not let you in:",
                quoted,
                "To let your address in:",
                f"az keyvault network-rule add --name {vault_name} --ip-address {address}",
            )
        case 403, {"code": "ForbiddenByConnection"}:
            return Problem(
                f"{vault_name} can only be reached from its private network:",
                quoted,
                "To let in your address, and no other public address:",
                f"az keyvault network-rule add --name {vault_name} --ip-address {address}",
                f"az keyvault update --name {vault_name} --public-network-access Enabled --default-action Deny",
            )
        case 409, {"code": "ObjectIsDeletedButRecoverable"}:
            return Problem(
                f"'{secret_name}' is deleted but recoverable. Choose a different name:",
                RUN_AGAIN,
                "To recover it:",
                f"az keyvault secret recover {secret}",
                "To delete it for good:",
                f"az keyvault secret purge {secret}",
            )
        case 409, {"code": "ObjectIsBeingDeleted"}:
            return Problem(
                f"'{secret_name}' is being deleted. Wait a moment, or choose a different name:", RUN_AGAIN
            )
        case 400 | 413, _:
            return Problem(
                "Key Vault rejected the request. A value can be at most 25 KB:",
                quoted,
                "To try a different value:",
                RUN_AGAIN,
            )
        case 429 | 500 | 502 | 503 | 504, _:
            return Problem(
                "Key Vault is busy or unavailable:",
                quoted,
                "Wait a minute, and run the sample again:",
                RUN_AGAIN,
            )
    return Problem(
        f"{vault_name}.vault.azure.net answered with status {error.status_code}:",
        quoted,
        NOT_FROM_AZURE,
        RUN_AGAIN,
    )


def quote(words):
    """Somebody else's words: short, on one line, and without what must never be shown."""
    words = "".join(character if character.isprintable() else " " for character in str(words))
    words = re.sub(r"eyJ[\w.-]+", "(token)", words)
    if client_secret := os.environ.get("AZURE_CLIENT_SECRET"):
        words = words.replace(client_secret, "(client secret)")
    words = " ".join(words.split())
    return f"  {words[:500]} ..." if len(words) > 500 else f"  {words}"


def name_option(secret_name):
    """az takes a name that begins with a hyphen for an option, unless an equals sign precedes it."""
    return f"--name={secret_name}" if secret_name.startswith("-") else f"--name {secret_name}"


def delete_command(vault_name, secret_name):
    return f"az keyvault secret delete --vault-name {vault_name} {name_option(secret_name)}"


# Commands that differ from one system to another.


def set_variable(name, value, system=os.name):
    if system == "nt":
        return f'In cmd:\nset {name}={value}\nIn PowerShell:\n$env:{name} = "{value}"'
    return f'export {name}="{value}"'


def unset_service_principal(system=os.name):
    if system == "nt":
        return (
            "In cmd:\nset AZURE_TENANT_ID=\nset AZURE_CLIENT_ID=\nset AZURE_CLIENT_SECRET=\nIn PowerShell:\n"
            "Remove-Item Env:AZURE_TENANT_ID, Env:AZURE_CLIENT_ID, Env:AZURE_CLIENT_SECRET"
        )
    return "unset AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET"


def set_policy_command(vault_name, object_id, system=os.name):
    """az keyvault set-policy takes away what it does not name, so it names what is granted already."""
    granted = f"properties.accessPolicies[?objectId=='{object_id}'].permissions.secrets[]"
    show = f"az keyvault show --name {vault_name} --output tsv --query"
    set_policy = f"az keyvault set-policy --name {vault_name} --object-id {object_id} --secret-permissions"
    if system == "nt":
        on_one_line = f"join(' ', [['delete', 'get', 'list', 'set'], {granted}][])"
        return (
            f'In cmd:\nfor /f "delims=" %i in (\'{show} "{on_one_line}"\') do {set_policy} %i\n'
            f'In PowerShell:\n{set_policy} delete get list set ({show} "{granted}")'
        )
    return f'{set_policy} delete get list set $({show} "{granted}")'


def assign_role_command(vault_name, object_id, system=os.name):
    show = f"az keyvault show --name {vault_name} --output tsv --query id"
    assign = f'az role assignment create --role "Key Vault Secrets Officer" --assignee {object_id} --scope'
    if system == "nt":
        return (
            f"In cmd:\nfor /f \"delims=\" %i in ('{show}') do {assign} %i\nIn PowerShell:\n{assign} ({show})"
        )
    return f'{assign} "$({show})"'


class StillWaiting(logging.Handler):
    """Says so when Azure has not answered for 10 seconds: the libraries log every answer.

    A 404 does not count. While a secret is being deleted, it is the answer each time wait() asks.
    """

    def __init__(self):
        super().__init__()
        self.answered = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def emit(self, record):
        if self.watcher.ident is None:
            self.watcher.start()
        if re.match("Response status: (?!404)", record.getMessage()):
            self.answered.set()

    def watch(self):
        while True:
            if not self.answered.wait(timeout=10):
                print("Still waiting for Azure after 10 seconds. Press Ctrl-C to stop.", file=sys.stderr)
                self.answered.wait()
            self.answered.clear()


def run():
    """Run the story and return the exit status. What stops it is explained on standard error."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="strict")  # Bytes that are not text are an error.
        main()
        sys.stdout.flush()
        return 0
    except (Exception, KeyboardInterrupt) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # A second Ctrl-C must not cut off the message.
        sys.unraisablehook = lambda _: None  # Nor must the libraries complain about what Ctrl-C interrupted.
        problem = explain(error, os.environ.get("KEY_VAULT_NAME"))
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes once more as it ends, and would complain (see its documentation on SIGPIPE).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(problem, file=sys.stderr)
    return problem.exit_status


if __name__ == "__main__":
    logging.basicConfig(handlers=[logging.NullHandler()])  # Not the libraries' own lines.
    http_log = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
    http_log.setLevel(logging.INFO)
    http_log.addHandler(StillWaiting())
    sys.exit(run())
