package protocol

// CountPaths are the lists of RobustMQ's admin API that are counted for a backup, by the names that they have in its manifest: the only calls of that API that a Job may make, and
// it may only read (it sees nothing there that is not in the image). Since RobustMQ 0.3.9 all of them are below /api/cluster.
var CountPaths = map[string]string{
	"tenants":    "/api/cluster/tenant/list",
	"users":      "/api/cluster/user/list",
	"acls":       "/api/cluster/acl/list",
	"blacklists": "/api/cluster/blacklist/list",
	"topics":     "/api/cluster/topic/list",
	"schemas":    "/api/cluster/schema/list",
	"connectors": "/api/cluster/connector/list",
}
