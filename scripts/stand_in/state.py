"""What the stand-in knows: a tenant, who may sign in, and vaults with their secrets."""

import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv4Network

DAY = 24 * 60 * 60  # seconds

# Key Vault Secrets Officer, which may do everything with secrets:
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security
OFFICER_ROLE = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"


def timestamp(seconds):
    """Seconds since 1970 as Azure Resource Manager writes them, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def covers(scope, path):
    """Whether a path of Azure Resource Manager is that of a scope or below it, whatever the case."""
    return f"{path}/".lower().startswith(f"{scope.rstrip('/')}/".lower())


SECRET_PERMISSIONS = {"backup", "delete", "get", "list", "purge", "recover", "restore", "set"}


@dataclass
class ClientSecret:
    """A client secret of an application, or of its service principal alone.

    The value is random; ``key_id`` names it.
    """

    value: str = field(default_factory=lambda: secrets.token_hex(20))
    key_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_of_application: bool = True


@dataclass
class ServicePrincipal:
    """An application, and its service principal, which can sign in with a client secret.

    ``is_in_tenant`` is whether there is the service principal, and not just the application.
    """

    name: str
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    application_object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_secrets: list = field(default_factory=lambda: [ClientSecret()])
    is_in_tenant: bool = True

    @property
    def client_secret(self):
        """The value of the first client secret."""
        return self.client_secrets[0].value


@dataclass
class User(ServicePrincipal):
    """Somebody who signs in with a password. ``client_id`` means nothing then."""

    @property
    def password(self):
        """The password, random as a client secret is."""
        return self.client_secret


@dataclass
class RoleAssignment:
    """A role that an identity has on a scope, which is the path of a resource, and below."""

    name: str
    scope: str
    role_definition_id: str
    object_id: str


@dataclass
class Version:
    """One version of a secret; times in seconds since 1970, 0 for one that was never updated.

    ``validity`` has ``nbf`` and ``exp``, ``extras`` have ``contentType`` and ``tags``, if they are set.
    """

    value: str
    enabled: bool = True
    validity: dict = field(default_factory=dict)
    extras: dict = field(default_factory=dict)
    identifier: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))
    updated: int = 0


@dataclass
class Secret:
    """A secret and its versions, the newest last.

    ``deleted_at`` is None until it is deleted, ``recovered_at`` until it is recovered.
    """

    name: str
    versions: list = field(default_factory=list)
    deleted_at: float | None = None
    recovered_at: float | None = None


@dataclass
class Vault:
    """A vault.

    ``access_policies``, ``network_acls``, ``tags``, and ``extras``, which are other properties, are kept
    as Azure Resource Manager writes them; ``purged`` has the time of the last purge by the secret's name
    in lower case. A deletion is through ``deletion_seconds`` after it was asked for: 2 s in one public
    test recording of an Azure SDK, 5 s in another; 1.8 s here, so that the client library's first poll
    finds nothing yet, even on a machine that is busy, and its second one, 2 s later, ends the wait.
    Recoveries and purges take as long.
    """

    name: str
    resource_group: str
    location: str = "eastus"
    retention_days: int = 90
    is_rbac: bool = False
    is_purge_protected: bool = False
    public_network_access: str = "Enabled"
    network_acls: dict | None = None
    tags: dict = field(default_factory=dict)
    extras: dict = field(default_factory=dict)
    deletion_seconds: float = 1.8
    access_policies: list = field(default_factory=list)
    secrets: dict = field(default_factory=dict)
    purged: dict = field(default_factory=dict)
    deleted_at: float | None = None

    def permissions(self, object_id):
        """What the access policies let this identity do with secrets, in lower case."""
        granted = {
            permission.lower()
            for policy in self.access_policies
            if policy.get("objectId") == object_id
            for permission in (policy.get("permissions") or {}).get("secrets") or []
        }
        return SECRET_PERMISSIONS if "all" in granted else granted

    def lets_in(self, address):
        """Whether the rules of the vault's firewall let an address in."""
        rules = self.network_acls or {}
        allowed = [IPv4Network(rule["value"], strict=False) for rule in rules.get("ipRules", [])]
        return rules.get("defaultAction") != "Deny" or any(IPv4Address(address) in one for one in allowed)

    def add_secret(self, name, *values, enabled=True):
        """Put a secret there as if somebody had set each of these values in turn."""
        versions = [Version(value, enabled) for value in values]
        self.secrets[name.lower()] = Secret(name, versions)

    def find(self, name):
        """The secret of that name, whatever its case, deleted or not; None where there is none."""
        return self.secrets.get(name.lower())

    def condition(self, name):
        """What has become of the secret of that name, whatever its case.

        It is "live", "being deleted", "deleted", "being recovered", "being purged", or None where
        there is none.
        """
        secret = self.find(name)
        if secret is None:
            purged_at = self.purged.get(name.lower())
            return None if purged_at is None or self._is_through(purged_at) else "being purged"
        if secret.deleted_at is not None:
            return "deleted" if self._is_through(secret.deleted_at) else "being deleted"
        if secret.recovered_at is not None and not self._is_through(secret.recovered_at):
            return "being recovered"
        return "live"

    def _is_through(self, asked_at):
        return time.time() >= asked_at + self.deletion_seconds


class State:
    """All that the hosts share. ``lock`` is held while one request is answered."""

    def __init__(self):
        self.lock = threading.RLock()
        self.tenant_id = str(uuid.uuid4())
        self.signing_key = secrets.token_bytes(32)
        self.subscription_id = str(uuid.uuid4())
        self.sample = ServicePrincipal("kv-quickstart-sample")
        self.admin = ServicePrincipal("kv-quickstart-admin")
        self.user = User("somebody@example.com")
        self.principals = [self.sample, self.admin, self.user]
        self.groups = {}  # the locations, by the name in lower case
        self.group_details = {}  # their names as they were given, and their tags
        self.vaults = {}
        self.deleted_vaults = {}
        self.role_assignments = []

    def add_vault(self, name, *, resource_group="KeyVault-PythonQS-rg"):
        """A new vault as the tutorial makes it, in a resource group that is made if need be.

        Its access policies grant the sample's service principal what the tutorial grants, and the
        one that it was made by everything.
        """
        self.groups.setdefault(resource_group.lower(), "eastus")
        vault = self.vaults[name.lower()] = Vault(name, resource_group)
        for principal, permissions in (
            (self.sample, ["delete", "get", "list", "set"]),
            (self.admin, ["all"]),
        ):
            policy = {
                "tenantId": self.tenant_id,
                "objectId": principal.object_id,
                "permissions": {"secrets": permissions},
            }
            vault.access_policies.append(policy)
        return vault

    def delete_vault(self, vault):
        """Move a vault with all that it holds to the deleted ones; its role assignments are not kept.

        See https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
        """
        path = self.path_of(vault)
        self.role_assignments = [one for one in self.role_assignments if not covers(path, one.scope)]
        vault.deleted_at = time.time()
        self.deleted_vaults[vault.name.lower()] = self.vaults.pop(vault.name.lower())

    def recover_vault(self, vault):
        """Move a deleted vault back."""
        vault.deleted_at = None
        self.vaults[vault.name.lower()] = self.deleted_vaults.pop(vault.name.lower())
        return vault

    def vaults_in(self, group):
        """The vaults of a resource group, whatever the case of its name."""
        return [one for one in self.vaults.values() if one.resource_group.lower() == group.lower()]

    def path_of(self, vault):
        """The path of a vault in Azure Resource Manager, which is its scope for roles."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{vault.resource_group}"
            f"/providers/Microsoft.KeyVault/vaults/{vault.name}"
        )

    def has_role(self, object_id, vault):
        """Whether a role assignment lets this identity work with the secrets of an RBAC vault."""
        return any(
            one.object_id == object_id
            and one.role_definition_id.lower().endswith(OFFICER_ROLE)
            and covers(one.scope, self.path_of(vault))
            for one in self.role_assignments
        )

    def find_vault(self, name):
        """The vault of that name, whatever its case; None where there is none."""
        return self.vaults.get(name.lower())

    def find_principal(self, **attribute):
        """The service principal whose one named attribute has this value, or None."""
        ((name, value),) = attribute.items()
        return next((one for one in self.principals if getattr(one, name) == value), None)
