"""The stand-in, started, and the environment that leads a command to it."""

import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .proxy import Proxy
from .state import State

# Settings with which the libraries would use other proxies, other certificates, or other identities.
OTHER_SETTINGS = re.compile(
    r"(?i)(https?|all|no)_proxy|curl_ca_bundle|ssl_cert_dir"
    r"|azure_.*|key_vault_name|identity_(endpoint|header)|msi_(endpoint|secret)|imds_endpoint"
    # Settings with which a shell runs something first, and functions of the reader's shell, such as an az.
    r"|bash_env|env|prompt_command|bash_func_.*"
)


class StandIn:
    """Azure on this machine, until the context ends: nothing is left behind then.

    ``folder`` is a temporary one with its certificates, and for the Azure CLI's own files.
    ``state`` is what Azure holds, ``vault`` the vault that is there at the start, ``proxy`` the way
    in, ``log`` what was asked of it, ``faults`` what is to go wrong.
    """

    def __init__(self, vault_name="kv-quickstart"):
        self.state = State()
        self.vault = self.state.add_vault(vault_name)
        self.proxy = Proxy(self.state)
        self.log = self.proxy.log
        self.faults = self.proxy.faults

    def __enter__(self):
        with ExitStack() as stack:
            # Python from the Microsoft Store gives a path that other programs cannot see.
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stand-in-"))).resolve()
            self.certificates = self.folder / "certificates.pem"
            self.proxy.authority.cert_pem.write_to_path(self.certificates)
            self.azure_config = self.folder / "azure"
            (self.folder / "netrc").touch()
            stack.enter_context(self.proxy)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def reset(self):
        """Empty Azure. The tenant, the subscription, the identities, and the signing key stay the same."""
        self.state.reset()
        self.faults.clear()
        self.log.clear()

    def environment(self):
        """A copy of this process's environment in which the stand-in is Azure."""
        kept = {k: v for k, v in os.environ.items() if not OTHER_SETTINGS.fullmatch(k)}
        sample = self.state.sample
        certificates = str(self.certificates)
        return kept | {
            "HTTPS_PROXY": self.proxy.url,
            # The proxy refuses plain HTTP. In lower case, because curl takes no other.
            "http_proxy": self.proxy.url,
            # The probe for a metadata service, below, must find nobody, the proxy included.
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": certificates,
            "SSL_CERT_FILE": certificates,
            "NODE_EXTRA_CA_CERTS": certificates,
            # A default entry in the reader's file would replace the token.
            "NETRC": str(self.folder / "netrc"),
            # A shell without its start-up files would cut the reader's history to its own default length.
            "HISTFILE": "",
            "fish_history": "",
            "AZURE_TENANT_ID": self.state.tenant_id,
            "AZURE_CLIENT_ID": sample.client_id,
            "AZURE_CLIENT_SECRET": sample.client_secret,
            "KEY_VAULT_NAME": self.vault.name,
            # The Azure CLI's own folder, so that nobody's sign-in is read or changed.
            "AZURE_CONFIG_DIR": str(self.azure_config),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            # Windows' account broker would sign in to Azure itself.
            "AZURE_CORE_ENABLE_BROKER_ON_WINDOWS": "no",
            # There is one subscription, so that az need not ask which.
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            # Nobody answers there, so that no credential asks beyond the loopback.
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1",
        }
