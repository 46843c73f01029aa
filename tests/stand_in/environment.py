"""The stand-in, started, and the environment that leads a command to it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .proxy import Proxy
from .state import State

# What else the libraries would go by: other proxies, other certificates, other identities.
LEADS_ELSEWHERE = re.compile(
    r"(?i)(https?|all|no)_proxy|curl_ca_bundle|ssl_cert_dir"
    r"|azure_.*|key_vault_name|identity_(endpoint|header)|msi_(endpoint|secret)|imds_endpoint"
    # What a shell reads or runs first, and an az that is a function of the reader's shell.
    r"|bash_env|env|prompt_command|bash_func_.*"
)


FOLDER_PREFIX = "stand-in-"


def remove_abandoned_folders():
    """Remove the temporary folders that stand-ins have left which were killed."""
    if os.name == "nt":
        return  # There, os.kill ends the process that it is to look for.
    for mark in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*/process"):
        try:
            if mark.stat().st_uid == os.getuid():
                os.kill(int(mark.read_text()), 0)
        except ProcessLookupError:
            shutil.rmtree(mark.parent, ignore_errors=True)
        except (OSError, ValueError):
            continue  # It is being made or removed right now.


def write_az(folder, az):
    """Write the program ``az`` into a new folder: az.py, beside this module, with the real az."""
    folder.mkdir()
    python = az if Path(az).stem.startswith("python") else sys.executable
    command = [str(python), "-I", str(Path(__file__).parent / "az.py"), str(az)]
    (folder / "az").write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    (folder / "az").chmod(0o755)
    (folder / "az.cmd").write_text(f"@{subprocess.list2cmdline(command)} %*\n")  # For Windows.


class StandIn:
    """Azure on this machine, until the context ends: nothing is left behind then.

    ``az`` is the Azure CLI to put on the PATH: its program, or a Python that has it.
    ``folder`` is a temporary one with its certificates, and with what a command needs to reach it.
    ``state`` is what Azure holds, ``vault`` the vault that is there at the start, ``proxy`` the way
    in, ``log`` what was asked of it, ``faults`` what is to go wrong.
    """

    def __init__(self, vault_name="kv-quickstart", az=None):
        self.az = az
        self.state = State()
        self.vault = self.state.add_vault(vault_name)
        self.proxy = Proxy(self.state)
        self.log = self.proxy.log
        self.faults = self.proxy.faults

    def __enter__(self):
        remove_abandoned_folders()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX)))
            (folder / "process").write_text(str(os.getpid()))
            self.folder = folder
            self.certificates = folder / "certificates.pem"
            self.proxy.authority.cert_pem.write_to_path(self.certificates)
            self.azure_config = folder / "azure"
            self.programs = folder / "programs"
            if self.az:
                write_az(self.programs, self.az)
            stack.enter_context(self.proxy)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def sign_in_to_az(self, principal):
        """Sign ``principal`` in to the Azure CLI, with the folder that the environment gives it.

        Raises ``subprocess.CalledProcessError`` when az does not do it; it says why on its own.
        """
        identity = ["--username", principal.client_id, "--password", principal.client_secret]
        command = ["az", "login", "--service-principal", *identity, "--tenant", self.state.tenant_id]
        subprocess.run([*command, "--output", "none"], env=self.environment(), check=True)

    def environment(self):
        """A copy of this process's environment in which the stand-in is Azure."""
        kept = {k: v for k, v in os.environ.items() if not LEADS_ELSEWHERE.fullmatch(k)}
        sample = self.state.sample
        certificates = str(self.certificates)
        return kept | {
            "HTTPS_PROXY": self.proxy.url,
            # Refused there. In lower case, the only one that curl takes.
            "http_proxy": self.proxy.url,
            # The probe for a metadata service, below, must find nobody, the proxy included.
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": certificates,
            "SSL_CERT_FILE": certificates,
            "NODE_EXTRA_CA_CERTS": certificates,
            "AZURE_TENANT_ID": self.state.tenant_id,
            "AZURE_CLIENT_ID": sample.client_id,
            "AZURE_CLIENT_SECRET": sample.client_secret,
            "KEY_VAULT_NAME": self.vault.name,
            "PATH": os.pathsep.join([str(self.programs), kept.get("PATH", os.defpath)]),
            # The Azure CLI's own folder, so that nobody's sign-in is read or changed.
            "AZURE_CONFIG_DIR": str(self.azure_config),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            # There is one subscription, so that az need not ask which.
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            # Nobody answers there, so that no credential asks beyond the loopback.
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1",
        }
