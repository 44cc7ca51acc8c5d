package job

import (
	"maps"
	"slices"
)

// countPaths are the lists of RobustMQ's admin API that are counted, by the names that they have in a manifest. Since 0.3.9 they are all below /api/cluster.
var countPaths = map[string]string{
	"tenants":    "/api/cluster/tenant/list",
	"users":      "/api/cluster/user/list",
	"acls":       "/api/cluster/acl/list",
	"blacklists": "/api/cluster/blacklist/list",
	"topics":     "/api/cluster/topic/list",
	"schemas":    "/api/cluster/schema/list",
	"connectors": "/api/cluster/connector/list",
}

// Countable are the names of what can be counted, in order.
func Countable() []string { return slices.Sorted(maps.Keys(countPaths)) }
