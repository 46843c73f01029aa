"""What the stand-in knows: a tenant and its identities, resource groups, and vaults with their secrets."""

import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone

DAY = 24 * 60 * 60  # seconds

# Key Vault Secrets Officer, which may do everything with secrets:
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security
OFFICER_ROLE = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
SECRET_PERMISSIONS = {"backup", "delete", "get", "list", "purge", "recover", "restore", "set"}


def timestamp(seconds):
    """Seconds since 1970 as Azure Resource Manager writes them, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def covers(scope, path):
    """Whether a path of Azure Resource Manager is a scope itself or below it, whatever the case."""
    return f"{path}/".lower().startswith(f"{scope.rstrip('/')}/".lower())


def new_id():
    """A random ID, as Azure gives them to identities, subscriptions, and keys."""
    return str(uuid.uuid4())


@dataclass
class ClientSecret:
    """A client secret: its random value, and the ID that Microsoft Graph knows it by."""

    value: str = field(default_factory=lambda: secrets.token_hex(20))
    key_id: str = field(default_factory=new_id)


@dataclass
class Application:
    """An application. Its service principal, if there is one, signs in with these client secrets."""

    name: str
    client_id: str = field(default_factory=new_id)
    object_id: str = field(default_factory=new_id)
    client_secrets: list = field(default_factory=list)


@dataclass
class ServicePrincipal:
    """The service principal of an application. It can have client secrets of its own, too."""

    application: Application
    object_id: str = field(default_factory=new_id)
    client_secrets: list = field(default_factory=list)

    type = "ServicePrincipal"

    @property
    def name(self):
        """The application's name."""
        return self.application.name

    @property
    def client_id(self):
        """The application's client ID, which Microsoft Graph calls appId."""
        return self.application.client_id

    @property
    def client_secret(self):
        """The value of the application's first client secret."""
        return self.application.client_secrets[0].value


@dataclass
class User:
    """Somebody who signs in with a password, or with a device code, through the Azure CLI."""

    name: str
    password: str = field(default_factory=lambda: secrets.token_hex(20))
    object_id: str = field(default_factory=new_id)

    type = "User"
    # The Azure CLI's, AZURE_CLI_CLIENT_ID in its azure/cli/core/auth/constants.py.
    client_id = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


@dataclass
class RoleAssignment:
    """A role that an identity has on a scope, which is the path of a resource, and below."""

    name: str
    scope: str
    role_definition_id: str
    object_id: str
    principal_type: str


@dataclass
class Group:
    """A resource group. ``tags`` is None for a group that was created without any."""

    name: str
    location: str = "eastus"
    tags: dict | None = None


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

    ``access_policies``, ``tags``, and ``extras``, which are other properties, are kept as Azure Resource
    Manager writes them. ``purged`` has the time of the last purge by the secret's name in lower case.

    A deletion takes ``deletion_seconds``, and so do a recovery and a purge. In a recording of the real
    service, it took 2 seconds (``test_example_secrets_recover_7_3``, see ``key_vault``). Here it is 1.8,
    so that the client library's first poll finds nothing yet, even on a busy machine, and its second one,
    2 seconds later, ends the wait.
    """

    name: str
    resource_group: str
    location: str = "eastus"
    retention_days: int = 90
    is_rbac: bool = False
    is_purge_protected: bool = False
    tags: dict = field(default_factory=dict)
    extras: dict = field(default_factory=dict)
    deletion_seconds: float = 1.8
    access_policies: list = field(default_factory=list)
    secrets: dict = field(default_factory=dict)
    purged: dict = field(default_factory=dict)
    deleted_at: float | None = None

    def policies_of(self, object_id):
        """The access policies for an identity, whatever the case of its object ID.

        One that has an application ID, too, is for the identity only when it uses that application.
        """
        return [
            one
            for one in self.access_policies
            if one.get("objectId", "").lower() == object_id.lower() and not one.get("applicationId")
        ]

    def permissions(self, object_id):
        """What the access policies let an identity do with secrets, in lower case."""
        granted = {
            permission.lower()
            for policy in self.policies_of(object_id)
            for permission in (policy.get("permissions") or {}).get("secrets") or []
        }
        return SECRET_PERMISSIONS if "all" in granted else granted

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
            return "being purged" if self._is_recent(self.purged.get(name.lower())) else None
        if secret.deleted_at is not None:
            return "being deleted" if self._is_recent(secret.deleted_at) else "deleted"
        return "being recovered" if self._is_recent(secret.recovered_at) else "live"

    def _is_recent(self, asked_at):
        return asked_at is not None and time.time() < asked_at + self.deletion_seconds


class State:
    """All that the hosts share. ``lock`` is held while one request is answered.

    ``sample`` is the service principal that the sample runs as, ``admin`` the one that creates vaults,
    ``user`` the one person there is.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.tenant_id = new_id()
        self.signing_key = secrets.token_bytes(32)
        self.subscription_id = new_id()
        self.sample, self.admin = (
            ServicePrincipal(Application(name, client_secrets=[ClientSecret()]))
            for name in ("kv-quickstart-sample", "kv-quickstart-admin")
        )
        self.user = User("somebody@example.com")
        self.reset()

    def reset(self):
        """Forget everything but the tenant, the subscription, the signing key, and the three identities."""
        self.applications = [self.sample.application, self.admin.application]
        self.service_principals = [self.sample, self.admin]
        self.users = [self.user]
        self.groups = {}  # by the name in lower case, like the vaults
        self.vaults = {}
        self.deleted_vaults = {}
        self.role_assignments = []

    def add_vault(self, name, *, resource_group="KeyVault-PythonQS-rg"):
        """A new vault as the tutorial makes it, in a resource group that is made if need be.

        Its access policies grant the sample's service principal what the tutorial grants, and the
        vault's creator everything.
        """
        self.groups.setdefault(resource_group.lower(), Group(resource_group))
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
        """Whether a role assignment lets an identity work with the secrets of a vault that uses roles."""
        return any(
            one.object_id.lower() == object_id.lower() and covers(one.scope, self.path_of(vault))
            for one in self.role_assignments
        )

    def find_vault(self, name):
        """The vault of that name, whatever its case; None where there is none."""
        return self.vaults.get(name.lower())

    def find_principal(self, object_id):
        """The user or service principal with an object ID, whatever its case; None where there is none."""
        return find([*self.users, *self.service_principals], object_id=object_id)


def find(objects, **attribute):
    """The first of some objects whose one named attribute is this text, whatever its case, or None."""
    ((name, text),) = attribute.items()
    return next((one for one in objects if getattr(one, name).lower() == (text or "").lower()), None)
