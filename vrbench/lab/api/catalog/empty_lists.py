"""Lists of what the zone has none of: their parameters are checked, and their answer is empty."""

from __future__ import annotations

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.state.entities import Json

KINDS = (
    "AffinityGroups", "Annotations", "AutoScalePolicies", "AutoScaleVmGroups", "AutoScaleVmProfiles",
    "BackupOfferings", "Backups", "Buckets", "Capacity", "Conditions", "DedicatedClusters", "DedicatedHosts",
    "DedicatedPods", "DedicatedZones", "GlobalLoadBalancerRules", "HostTags", "InstanceGroups",
    "InternalLoadBalancerVMs", "Ipv6FirewallRules", "Isos", "KubernetesClusters", "KubernetesSupportedVersions",
    "LdapConfigurations", "LoadBalancers", "ObjectStoragePools", "PortableIpRanges", "PrivateGateways",
    "ProjectInvitations", "RemoteAccessVpns", "ResourceDetails", "SecondaryStagingStores", "Snapshots",
    "SslCerts", "StaticRoutes", "StorageNetworkIpRange", "StorageTags", "UsageRecords", "VMSnapshot",
    "VpnConnections", "VpnCustomerGateways", "VpnGateways", "VpnUsers", "Webhooks",
)  # fmt: skip


def nothing(call: Call) -> Json:
    """Return an empty list; refuse who must not look into what is named."""
    call.scope()
    return {}


COMMANDS = {f"list{kind}": nothing for kind in KINDS}
