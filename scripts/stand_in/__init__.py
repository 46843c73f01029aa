"""A stand-in for Azure on this machine, for the sample, its tests and its demonstrations.

It is an HTTPS proxy on the loopback that answers for Azure's hosts itself, so that the real
client libraries run against it unchanged. What each host answers is in the module named after it:

- ``entra_id``: login.microsoftonline.com, which hands out tokens
- ``key_vault``: {vault}.vault.azure.net, which keeps secrets
- ``resource_manager``: management.azure.com, which makes resource groups and vaults
- ``graph``: graph.microsoft.com, which knows who is who

``state`` is what they share, ``proxy`` passes requests on to them, and ``environment`` has the settings
with which a command uses the proxy. ``az`` runs the Azure CLI, ``faults`` lets a test say what goes
wrong, and ``trace`` shows each request and its answer to an audience.
``python scripts/stand_in COMMAND`` runs COMMAND in that environment.
"""

from .environment import StandIn

__all__ = ["StandIn"]
