package simulator

import "github.com/robustmq/robustmq-operator/internal/robustmq"

// generation is what decides how a version behaves. Sources: seen-v0.3.0.md, seen-*.md for 0.4.11, robustmq-server.md for what lies between.
type generation struct {
	version robustmq.Version
	dialect robustmq.Dialect
	// static: every member initialises itself with the whole of meta_addrs (to 0.4.3).
	static bool
	// islands: nodes are not told of metadata changes, one metadata group in ClusterStatus, a leader that expires a node stops applying (0.3.0 to 0.3.7).
	islands bool
	// sigterm: SIGTERM is handled, and a watchdog ends the process 20 s after it (0.4.4).
	sigterm bool
	// jwt: the admin API wants a token unless the caller is on the loopback (0.4.2).
	jwt bool
	// everyRoleNeedsEngine: every role initialises the inner topics, and fails without an engine (0.4.0).
	everyRoleNeedsEngine bool
	rocksDir             string
	metadataDir          string // dotted key of the directory above rocksDir
	groups               []string
	heartbeatToAll       bool
}

func generationOf(v robustmq.Version) generation {
	t := robustmq.Lookup(v)
	less := func(w robustmq.Version) bool { return v.Less(w) }
	g := generation{
		version: v, dialect: t.Dialect, static: t.Formation == robustmq.FormationStatic, islands: t.Tier == robustmq.TierIslands, sigterm: t.SIGTERM, jwt: t.JWT,
		everyRoleNeedsEngine: t.EngineEverywhere, rocksDir: t.RocksDBDir, heartbeatToAll: t.HeartbeatToAll, metadataDir: "data_path",
		groups: []string{robustmq.GroupMetadata, robustmq.GroupOffset, robustmq.GroupData},
	}
	if less(robustmq.Version{Major: 0, Minor: 3, Patch: 3}) {
		g.groups = []string{"metadata", "offset", "mqtt"}
	}
	return g
}

// metadata and data are the groups that writes of topology and of topics go to. Up to 0.3.2 topics went to the metadata group too.
func (g generation) metadata() string { return g.groups[0] }

// offset is the group of consumers' offsets.
func (g generation) offset() string { return g.groups[1] }

func (g generation) data() string {
	if g.groups[2] == "mqtt" {
		return g.groups[0]
	}
	return g.groups[2]
}
