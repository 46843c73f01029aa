"""What the stand-in knows: a tenant, who may sign in, and vaults with their secrets."""

import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field

DAY = 24 * 60 * 60  # seconds


@dataclass
class ServicePrincipal:
    """Somebody who can sign in with a client secret; the secret is random."""

    name: str
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(30))


@dataclass
class Version:
    """One version of a secret; times in seconds since 1970."""

    value: str
    enabled: bool = True
    extras: dict = field(default_factory=dict)
    identifier: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))


@dataclass
class Secret:
    """A secret and its versions, the newest last; ``deleted_at`` is None until it is deleted."""

    name: str
    versions: list = field(default_factory=list)
    deleted_at: float | None = None


@dataclass
class Vault:
    """A vault.

    ``access_policies`` are kept as Azure Resource Manager writes them. A deletion is through
    ``deletion_seconds`` after it was asked for: 2 s in one recording, 5 s in another; 1 s here,
    so that the client library's first poll finds nothing yet and its second one ends the wait.
    """

    name: str
    location: str = "eastus"
    retention_days: int = 90
    is_rbac: bool = False
    deletion_seconds: float = 1
    access_policies: list = field(default_factory=list)
    secrets: dict = field(default_factory=dict)

    def permissions(self, object_id):
        """What the access policies let this identity do with secrets, in lower case."""
        return {
            permission.lower()
            for policy in self.access_policies
            if policy["objectId"] == object_id
            for permission in policy["permissions"].get("secrets") or []
        }

    def add_secret(self, name, *values, enabled=True):
        """Put a secret there as if somebody had set each of these values in turn."""
        versions = [Version(value, enabled) for value in values]
        self.secrets[name.lower()] = Secret(name, versions)

    def find(self, name):
        """The secret of that name, whatever its case, deleted or not; None where there is none."""
        return self.secrets.get(name.lower())

    def is_deletion_through(self, secret):
        """Whether a deleted secret has arrived among the deleted ones."""
        return time.time() >= secret.deleted_at + self.deletion_seconds


class State:
    """All that the hosts share. ``lock`` is held while one request is answered."""

    def __init__(self):
        self.lock = threading.RLock()
        self.tenant_id = str(uuid.uuid4())
        self.signing_key = secrets.token_bytes(32)
        self.sample = ServicePrincipal("kv-quickstart-sample")
        self.principals = [self.sample]
        self.vaults = {}

    def add_vault(self, name, *, secret_permissions=("delete", "get", "list", "set")):
        """A new vault whose access policy grants the sample's service principal these."""
        vault = Vault(name)
        vault.access_policies.append(
            {
                "tenantId": self.tenant_id,
                "objectId": self.sample.object_id,
                "permissions": {"secrets": list(secret_permissions)},
            }
        )
        self.vaults[name.lower()] = vault
        return vault

    def find_vault(self, name):
        """The vault of that name, whatever its case; None where there is none."""
        return self.vaults.get(name.lower())

    def find_principal(self, **attribute):
        """The service principal whose one named attribute has this value, or None."""
        ((name, value),) = attribute.items()
        return next((one for one in self.principals if getattr(one, name) == value), None)
