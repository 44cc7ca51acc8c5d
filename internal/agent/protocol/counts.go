package protocol

// CountPaths are the lists of RobustMQ's admin API that are counted for a backup, by the names that they have in its manifest: the only calls of that API that a Job may make, and
// it may only read. Since RobustMQ 0.3.9 all of them are below /api/cluster. They hold names and no passwords (seen on 0.4.11).
var CountPaths = map[string]string{
	"tenants":    "/api/cluster/tenant/list",
	"users":      "/api/cluster/user/list",
	"acls":       "/api/cluster/acl/list",
	"blacklists": "/api/cluster/blacklist/list",
	"topics":     "/api/cluster/topic/list",
	"schemas":    "/api/cluster/schema/list",
	"connectors": "/api/cluster/connector/list",
}
