package protocol

// PathAlone makes one of the last two voters of the placement centre its only voter, which RobustMQ itself cannot do: it takes nobody out of two. Only the operator may call it.
//
//	POST /v1/alone  AloneOrder -> State
//
// The agent asks its running server who votes, stops it, and rewrites its stopped database. The server then is held until a ServerOrder Start. Until the volume's marker is of the new generation
// nothing has changed, and when the order fails the server starts again as it was. Given again it does what is left to be done, once the server runs.
const PathAlone = "/v1/alone"

// AloneOrder is for the voter that stays. The other one is stopped before.
type AloneOrder struct {
	ClusterUID string `json:"clusterUID"`
	NodeID     uint64 `json:"nodeID"`
	// Without is the other voter. What it has on its volume is of an older generation from then on, and never starts again.
	Without uint64 `json:"without"`
	// Generation is the one that begins: the one after the mounted configuration's.
	Generation int64 `json:"generation"`
}
