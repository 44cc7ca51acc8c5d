package protocol

import (
	"time"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Ports of the agent in every pod.
const (
	// Port serves the calls below over mutual TLS.
	Port = 7443
	// PublicPort serves /healthz, /readyz and /metrics in clear: the kubelet comes without a client certificate.
	PublicPort = 7480
	// MetricsPort serves metrics over TLS, with the agents' certificate and to callers without one. No pod template lists it: pods would be made anew for it.
	MetricsPort = 7481
)

// Paths at MetricsPort.
const (
	PathMetrics       = "/metrics"        // the agent's
	PathServerMetrics = "/server/metrics" // the server's, passed on as it has them: so nobody who scrapes has to reach the port of its admin API
)

// Paths of the calls.
const (
	PathState      = "/v1/state"            // GET -> State
	PathGate       = "/v1/gate"             // POST GateOrder -> State
	PathServer     = "/v1/server"           // POST ServerOrder -> State
	PathWipe       = "/v1/wipe"             // POST WipeOrder -> State
	PathJoin       = "/v1/raft/join"        // POST MembershipOrder -> State (JoinCluster on this pod's server)
	PathLeave      = "/v1/raft/leave"       // POST MembershipOrder -> State (LeaveCluster on this pod's server)
	PathUnregister = "/v1/nodes/unregister" // POST MembershipOrder -> State (UnRegisterNode on this pod's server)
	PathSettings   = "/v1/settings"         // POST SettingsOrder -> State (a whole kind of the mounted configuration is given to the running servers)
	PathLogin      = "/v1/login"            // POST LoginOrder -> State (the MQTT user is made anew with the mounted password)
	PathAdmin      = "/v1/admin/"           // any method: the server's admin API over loopback, the agent adds the token
	PathPeer       = "/v1/peer"             // GET -> Peer: what another agent asks before it stops its server
)

// HeaderAdminStatus is on every answer that comes from the server's admin API and carries its HTTP status; a failure of the agent itself has no such header.
const HeaderAdminStatus = "X-RobustMQ-Admin-Status"

// Error is the body of every answer that is not 2xx.
type Error struct {
	// Reason is a CamelCase word of a closed set: see the Reason constants.
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Reasons of refused or failed calls.
const (
	ReasonBadRequest   = "BadRequest"
	ReasonForbidden    = "Forbidden"
	ReasonConflict     = "Conflict"     // the order does not fit the present state (e.g. found on an initialised volume)
	ReasonServerDown   = "ServerDown"   // the server does not run or does not answer
	ReasonServerFailed = "ServerFailed" // the server answered with an error; a membership call may have changed something
	ReasonNotFound     = "NotFound"     // no image or placement of that ID, or no file of that name in it
	ReasonBusy         = "Busy"         // another image, or too many streams: later it may be possible
	ReasonNoSpace      = "NoSpace"      // the volume has not enough free space
	ReasonBadData      = "BadData"      // a received file has another SHA-256 than was announced: it must be sent again from offset 0
	ReasonInternal     = "Internal"
)

// State is everything an agent knows about its pod.
type State struct {
	AgentVersion string `json:"agentVersion"`
	Pod          string `json:"pod"`
	NodeID       uint64 `json:"nodeID"`
	Role         string `json:"role"` // PlacementCenter, MQTTBroker, JournalServer
	ClusterUID   string `json:"clusterUID"`
	// Generation of the cluster's metadata by the mounted configuration; 0 while none can be read. It follows the operator's word by the time that the kubelet takes.
	Generation int64 `json:"generation,omitempty"`
	// BootID changes with every start of the agent process.
	BootID string `json:"bootID"`
	// Template is the hash of the pod template that this agent's container was started from, empty where its release was given none.
	Template    string `json:"template,omitempty"`
	Terminating bool   `json:"terminating,omitempty"`

	Volume VolumeState `json:"volume"`
	Gate   GateState   `json:"gate"`
	Server ServerState `json:"server"`
	Config ConfigState `json:"config"`

	// Raft is this pod's own view of the raft groups; nil when the server does not run, does not answer, or has no meta role.
	Raft      robustmq.ClusterStatus `json:"raft,omitempty"`
	RaftError string                 `json:"raftError,omitempty"`
	// Nodes are the ids in this pod's own node list (/api/info broker_node_list): a cache that can stay wrong, which is what is looked for.
	Nodes      []uint64 `json:"nodes,omitempty"`
	NodesError string   `json:"nodesError,omitempty"`
	// Registry are the ids registered at this member (gRPC NodeList), for placement-centre members.
	Registry []uint64 `json:"registry,omitempty"`
	// Registrations are what is registered under those ids.
	Registrations []Registration `json:"registrations,omitempty"`
	// Fenced: the server is stopped because too few members can be reached, or because the pod's name leads to another pod of the same node.
	Fenced bool `json:"fenced,omitempty"`
	// Images are the image that is being taken of this pod, and the one that is being put in place.
	Images ImagesState `json:"images,omitzero"`
	// Transfer is the transfer of leadership that is under way here, if any.
	Transfer *Transfer `json:"transfer,omitempty"`
	// Census is what the server's database was counted to hold last; nil when it never was.
	Census *Census `json:"census,omitempty"`
}

// Registration is what a node is registered as.
type Registration struct {
	NodeID uint64 `json:"nodeID"`
	Host   string `json:"host"` // broker_ip of the process that registered last
	At     uint64 `json:"at"`   // Unix seconds of the last registration
}

// VolumeState describes the data volume.
type VolumeState struct {
	// Phase is Empty, Initialised or Unusable.
	Phase                string  `json:"phase"`
	Message              string  `json:"message,omitempty"` // why it is unusable: not writable, no space, marker unreadable
	Marker               *Marker `json:"marker,omitempty"`
	UsedBytes, FreeBytes int64   `json:",omitempty"`
	CapacityBytes        int64   `json:",omitempty"` // what is neither used nor free is kept for root
}

// Phases of a volume.
const (
	VolumeEmpty       = "Empty"
	VolumeInitialised = "Initialised"
	VolumeUnusable    = "Unusable"
)

// Marker is the file robustmq-operator.json in the data volume, written and fsynced before the server's first start.
type Marker struct {
	ClusterUID string `json:"clusterUID"`
	NodeID     uint64 `json:"nodeID"`
	Role       string `json:"role"`
	Generation int64  `json:"generation"`
	Origin     Origin `json:"origin"`
	// Member: this node was seen as a voter of every raft group beside others. The agent adds it by itself. Until then a start could still found a second cluster,
	// so a Joined volume without it starts only after another member's gRPC port has accepted a connection; with it the member restarts freely, also when all are down.
	Member bool `json:"member,omitempty"`
	// HasData: data was seen in the volume after the marker was written. The agent adds it by itself. An empty volume with it has lost its data and must not start,
	// one without it was never started: the order that the marker stands for is still to be carried out.
	HasData bool `json:"hasData,omitempty"`
	// EmptySnapshot are the raft groups that took a snapshot without its entries into this data, with its index (0: not known): the member holds less than its position claims. The agent adds
	// it by itself when it sees it, because the signs fade; it ends with the data.
	EmptySnapshot map[string]uint64 `json:"emptySnapshot,omitempty"`
	// Placement is the ID of the image that is being put in place, or is in place and not opened yet: the gate is shut. Empty otherwise.
	Placement string    `json:"placement,omitempty"`
	Written   time.Time `json:"written"`
}

// Origin says how a volume came by its data.
type Origin string

// The origins.
const (
	OriginFounded  Origin = "Founded" // this member founded the cluster
	OriginJoined   Origin = "Joined"  // joined empty while the log was young, or (broker, journal server) registered
	OriginSeeded   Origin = "Seeded"
	OriginRestored Origin = "Restored"
	OriginAdopted  Origin = "Adopted" // foreign volume taken over by an explicit annotation
	OriginAlone    Origin = "Alone"   // made the only voter of a new generation, when the placement centre came down to one (PathAlone)
)

// GateState says whether the server may start.
type GateState struct {
	Open    bool   `json:"open"`
	Reason  string `json:"reason"` // closed set below
	Message string `json:"message,omitempty"`
}

// Reasons of a gate.
const (
	GateOpen           = "Open"
	GateAwaitsOrder    = "AwaitsOrder" // empty volume: found, join, seed or restore?
	GateForeign        = "Foreign"     // marker of another cluster or node, or data without a marker
	GateOldGeneration  = "OldGeneration"
	GateVolumeUnusable = "VolumeUnusable"
	GateConfigInvalid  = "ConfigInvalid" // a pre-check failed: the server would only die of it
	GateHeld           = "Held"          // stopped by order (ServerOrder Stop)
	// GateNewerGeneration: the volume is newer than the configuration, which is about to arrive (or the resource lost its status).
	GateNewerGeneration = "NewerGeneration"
	// GateDataLost: the marker says that there was data, and the volume is empty: wipe, then join or seed.
	GateDataLost = "DataLost"
	// GatePlacing: an image is being put in place, or is in place and waits for the word to open.
	GatePlacing = "Placing"
	// GateTransferring: the leadership of raft groups is moved to another member, or to this one; it takes seconds.
	GateTransferring = "Transferring"
	// GateUnsettled: what a power cut interrupted while an image was put in place cannot be finished or undone.
	GateUnsettled = "Unsettled"
)

// ServerState describes the child process.
type ServerState struct {
	// Phase is Stopped, Starting (no HTTP answer yet), Running (answers HTTP), Hung (ran, answers no more), Exited (will be started again after a back-off).
	Phase    string     `json:"phase"`
	PID      int        `json:"pid,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	Restarts int        `json:"restarts"`
	LastExit *Exit      `json:"lastExit,omitempty"`
	Version  string     `json:"version,omitempty"` // what the agent was told it runs
	MQTTOpen bool       `json:"mqttOpen,omitempty"`
	// LoginRefused: this broker does not accept the MQTT user of the mounted credentials.
	LoginRefused bool `json:"loginRefused,omitempty"`
	// Founding: it is the only voter of its placement centre, and its start, at whose end it may still give up, has not come to its end.
	Founding bool `json:"founding,omitempty"`
	// Waiting says what an open gate still waits for before the server is started: its name in DNS, a peer to join, the end of a back-off.
	Waiting string `json:"waiting,omitempty"`
	// Quiesced: the pod is not ready although the server runs, by order: clients are led elsewhere. It ends with a Start or Stop, and with the agent.
	Quiesced bool `json:"quiesced,omitempty"`
}

// Phases of the server.
const (
	ServerStopped  = "Stopped"
	ServerStarting = "Starting"
	ServerRunning  = "Running"
	ServerHung     = "Hung"
	ServerExited   = "Exited"
)

// Reasons of an exit.
const (
	ExitOrdered     = "Ordered"     // ServerOrder Stop or Restart
	ExitTerminating = "Terminating" // the pod is being stopped
	ExitFenced      = "Fenced"      // too few members could be reached, or another pod has this one's name and node id
	ExitHung        = "Hung"        // it answered once and then no more
	ExitConfigPanic = "ConfigPanic" // 101: RobustMQ panics on a configuration that it cannot read, and on a data directory that it cannot open
	ExitStartFailed = "StartFailed" // 1: everything else that RobustMQ gives up on; its last error line is often lost
	ExitCrashed     = "Crashed"     // a signal of its own: segmentation fault, abort
	ExitKilled      = "Killed"      // SIGKILL by somebody else
	ExitOOMKilled   = "OOMKilled"   // SIGKILL, and the control group counted an out-of-memory kill
	ExitEnded       = "Ended"       // 0 without an order
	ExitUnknown     = "Unknown"     // any other code
	ExitNotStarted  = "NotStarted"  // the program could not be executed
)

// Exit is how the server ended last.
type Exit struct {
	Code    int       `json:"code"` // exit code, or 128+signal
	Signal  string    `json:"signal,omitempty"`
	Reason  string    `json:"reason"`            // Ordered, ConfigPanic (101), StartFailed (1), Killed, OOMKilled, Hung, Fenced, ...
	Message string    `json:"message,omitempty"` // last error line, if there was one, without secrets
	At      time.Time `json:"at"`
}

// ConfigState says which configuration is mounted and which one the running server was started with.
type ConfigState struct {
	// Mounted is the hash of the pod's rendered server.toml (secrets included, so salted by the cluster UID) but for what a running server takes in, and of the listeners' certificate.
	Mounted string `json:"mounted"`
	Running string `json:"running,omitempty"` // the same at the start of the server that runs
	// Live is the hash of the settings that a running server takes in, as mounted; LiveRunning the same at the start of the server that runs.
	Live        string `json:"live,omitempty"`
	LiveRunning string `json:"liveRunning,omitempty"`
	// LiveChecked is Live as it was when the running server was last asked what it goes by, empty before that; LivePending are the kinds (catalogue.Kind) of which it then went by
	// something else than what is mounted, sorted. The agent looks again after every start, every change of what is mounted, and every five minutes.
	LiveChecked string   `json:"liveChecked,omitempty"`
	LivePending []string `json:"livePending,omitempty"`
	// Source is the hash of the mounted ConfigFile as it is: the operator tells by it whether a change has arrived in the pod yet.
	Source  string `json:"source,omitempty"`
	Problem string `json:"problem,omitempty"` // a pre-check that fails: field, value, rule
	// Warning is what the server lives with though users may not: an expired certificate.
	Warning string `json:"warning,omitempty"`
	// Ignored are keys of the user's configuration without effect in this version, each with its reason.
	Ignored []string `json:"ignored,omitempty"`
}

// GateOrder tells an agent with a closed gate what its volume shall become. Refused with Conflict unless the volume fits: Found and Join need an empty one.
type GateOrder struct {
	Action     GateAction `json:"action"`
	ClusterUID string     `json:"clusterUID"`
	NodeID     uint64     `json:"nodeID"`
	Generation int64      `json:"generation"`
}

// GateAction is what shall become of a volume.
type GateAction string

// The gate's actions.
const (
	GateFound GateAction = "Found" // member 0 of the placement centre, once
	GateJoin  GateAction = "Join"  // empty member, young log; brokers and journal servers; static formation
	GateAdopt GateAction = "Adopt" // initialised volume that the user said to take over: marker is (re)written
)

// ServerOrder stops, starts or restarts the server in place.
type ServerOrder struct {
	Action ServerAction `json:"action"`
	Reason string       `json:"reason"`
	// IfStarted makes a Restart safe to repeat: it is done only while the server that was started at this moment (ServerState.Started) still runs.
	IfStarted *time.Time `json:"ifStarted,omitempty"`
}

// ServerAction is what to do with the server.
type ServerAction string

// The server's actions. Stop holds the gate shut until Start. Quiesce lets the server run and makes the pod unready, so that new clients are led to others; a member of the placement
// centre refuses it, as its name would vanish from DNS.
const (
	ServerStart   ServerAction = "Start"
	ServerStop    ServerAction = "Stop"
	ServerRestart ServerAction = "Restart"
	ServerQuiesce ServerAction = "Quiesce"
)

// WipeOrder empties the volume of a stopped server whose marker is the one named: the roll-back of a half-done join, or a rogue member.
// The agent moves the data aside and deletes it; it refuses while the server runs, or when the marker differs.
type WipeOrder struct {
	Marker Marker `json:"marker"`
	Reason string `json:"reason"`
}

// SettingsOrder has a pod give one kind of its mounted configuration to its running server, which stores it for all and passes it on. It is refused with Conflict while another
// configuration is mounted than the one that is meant. What the server refuses is taken out of its store again: a stored value that it cannot read ends every later start.
type SettingsOrder struct {
	Kind   string `json:"kind"`   // catalogue.Kind
	Source string `json:"source"` // ConfigState.Source of the configuration that is meant
}

// LoginOrder has a broker make the MQTT user of its mounted credentials anew, when it refuses it. Repeating it is harmless.
type LoginOrder struct {
	Reason string `json:"reason"`
}

// MembershipOrder names the node to join, leave or unregister through this pod's server.
type MembershipOrder struct {
	NodeID uint64 `json:"nodeID"`
	Addr   string `json:"addr,omitempty"`
}

// Peer is what one agent tells another.
type Peer struct {
	NodeID      uint64 `json:"nodeID"`
	Terminating bool   `json:"terminating"`
	// Serving: the server answers, and its raft groups run.
	Serving bool `json:"serving"`
	// Voters of the metadata group as this member sees them.
	Voters []uint64 `json:"voters,omitempty"`
	// ClusterUID and Generation are those of this pod's volume: who takes an image of it must know whose it is. Empty without a marker.
	ClusterUID string `json:"clusterUID,omitempty"`
	Generation int64  `json:"generation,omitempty"`
}
