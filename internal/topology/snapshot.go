package topology

import (
	"slices"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Snapshot is everything that one pass knows. It is never changed once built.
type Snapshot struct {
	Wanted  Wanted
	Members []Member // sorted by role (placement centre, brokers, journal servers), then ordinal; every wanted ordinal and every existing pod
	Limits  Limits
	// Seen says for how long each symptom has been seen without a break, up to this pass (see Symptoms and Tracker).
	Seen map[Symptom]time.Duration
	// Drain are the segments of the messages; gathered only while somebody leaves (see Leaving).
	Drain Drain
	// Present is how many pods each role's StatefulSet has been told to keep; while there is none, how many there are.
	Present map[v1alpha1.Role]int32
	// RollHeld says why no pod may be restarted or made anew for a change of the spec; nil: nothing forbids it.
	RollHeld *Wait
	// SetsBehind are the roles whose StatefulSet does not make its pods from the wanted template yet.
	SetsBehind map[v1alpha1.Role]bool
	// Replicated: messages have copies in this version, so a pod is taken down only while all are in sync.
	Replicated bool
	// TransferFailedAgo is how long ago the last transfer of leadership failed; 0 when none did.
	TransferFailedAgo time.Duration
	// Rounds are the last two rounds in which the members' data was counted, the older one first.
	Rounds []Round
	// RoundAgo is how long ago the last of them ended.
	RoundAgo time.Duration
	// Faults are what earlier passes found and what is not known to be over.
	Faults []Fault
	// SeedTries are the seeds that failed, by pod.
	SeedTries map[string]SeedTries
	// Pace is how fast the log of each raft group grows, in entries per second, by the leaders' positions; a group that is not there does not grow. PaceUnknown: it was not measured yet.
	Pace        map[string]float64
	PaceUnknown bool
	// Machines are the Kubernetes nodes that carry pods, or volumes of pods that cannot be scheduled, by name. Of one that is not here nothing is known.
	Machines map[string]Machine
	// Registrations are those of the nodes, by id, as the metadata leader has them; Duplicates what was found by them.
	Registrations map[uint64]Registration
	Duplicates    map[uint64]Duplicate
	// Clients are those that are connected by MQTT; nil: not every broker said, or nobody was asked because the log of the metadata grows no faster than it should.
	Clients *int
	// OtherVolumes are the volume claims of the placement centre that were a member's and that no pod has, sorted: nobody can look into them.
	OtherVolumes []string
}

// Wanted is what the user wants and what was recorded because it cannot be observed again.
type Wanted struct {
	ClusterUID string
	Generation int64
	// Founded: the status or a volume claim says that this cluster was founded. It is never founded again.
	Founded bool
	// Static formation (RobustMQ up to 0.4.3): every member is configured from the start and all start together; otherwise member 0 founds and the others join one at a time.
	Static bool
	// Islands (0.3.0 to 0.3.7): every broker is a single node of its own.
	Islands bool
	// Groups are the raft groups that every member of the placement centre is a voter of.
	Groups   []string
	Replicas map[v1alpha1.Role]int32
	// Adopt names the pods whose foreign volumes the user said to take over.
	Adopt []string
	// LeadOn names the pod that shall lead every raft group, as the user said; empty: whoever does.
	LeadOn string
	// Decommission: this version can move the copies of a node's messages away (RobustMQ 0.4.5 and later).
	Decommission bool
	// VolumesGo: the volume of a node that was taken away is deleted once nothing counts on it any more; otherwise it stays, empty.
	VolumesGo bool
	// Sources are the hashes of the configuration that the pods of each role shall have; empty while none is given out.
	Sources map[v1alpha1.Role]string
	// Refused are the kinds of settings that a server refused, and in which configuration: they wait for another.
	Refused map[string]string
	// NoSeeds says why no member of this version can be filled with another's metadata; empty: it can.
	NoSeeds string
	// Restore is the restore of this cluster that is under way.
	Restore Restore
	// Bootstrap is the backup that the cluster begins with; nil: it begins empty. Rescue is what answers the loss of every copy.
	Bootstrap *Bootstrap
	Rescue    Rescue
	// One is how a placement centre of several members may come down to one.
	One One
}

// Limits are the times after which something that looks wrong is acted on. The sources of the defaults are seen times of RobustMQ 0.4.11.
type Limits struct {
	// HalfJoin: a running member that is not a voter of every group. A join takes 0.1 to 0.8 s, the server's own attempt gives up after 15 s.
	HalfJoin time.Duration
	// JoinRollback: a join that JoinCluster could not finish either.
	JoinRollback time.Duration
	// FoundRollback: a founder that does not lead every group. Founding takes 0.5 to 2 s.
	FoundRollback time.Duration
	// Founding: how long the start of the only voter may take until somebody else is started anyway. The first takes 5.4 to 6.6 s (seen), of which it waits 3 s for its caches; later ones as long.
	Founding time.Duration
	// NodeStart: how long one starting broker or journal server holds back the next. A start takes 4 to 7 s.
	NodeStart time.Duration
	// ListIncomplete: a node whose own list lacks another running node.
	ListIncomplete time.Duration
	// RegistryShort: a running node that the metadata leader does not list.
	RegistryShort time.Duration
	// LeadersApart: raft groups led by different members while somebody waits to join.
	LeadersApart time.Duration
	// Hold: how long a leader is held so that another takes its groups. An election comes 31 to 38 s after the loss of a leader, and after 80 s at the latest: 20 s of lease, 10 to 20 s
	// of timer, and 40 s more for a member that once saw a longer log than its own. Of two voters the other can win only when the held one is back, and only if it has stood for election
	// meanwhile: released sooner, the former leader goes on in its old term, and nothing has changed.
	Hold time.Duration
	// PodPending: a pod that does not run, for a reason that somebody has to mend.
	PodPending time.Duration
	// LoginRefused: a broker that does not accept the MQTT user which its Secret names. Right after the user was made a broker may not know it for a moment.
	LoginRefused time.Duration
	// StaleLeader: a member that calls itself leader of a group that nobody leads, while a quorum of its voters serves. An election takes 38 s at the most, and 80 s after a longer log was seen.
	StaleLeader time.Duration
	// RaftDead: a member whose raft core has stopped while its process lives.
	RaftDead time.Duration
	// Unregister: how long after its server's end a node may still be unregistered. The metadata leader forgets it after 27 to 30 s by itself, and then the call is an empty success.
	Unregister time.Duration
	// Stranded: a stopped node that is no longer registered while segments still name it. The work behind UnRegisterNode takes 1 to 2 s.
	Stranded time.Duration
	// Quiesce: how long a broker that is about to be stopped is given to leave the client Services. Its readiness is asked every 2 s, and fails at the third time.
	Quiesce time.Duration
	// CopiesMissing: segments that lack a copy in sync while somebody waits to leave. Nearly empty ones are copied in 2 to 5 s.
	CopiesMissing time.Duration
	// Lag: by how many entries a voter may be behind its leader and still count as caught up: when another is taken down, and when one joins. The answers of one pass are up to a few
	// seconds apart, in which the fastest writer seen added some 70 entries a second; a member that lacks more than about 1000 would be given a snapshot, which loses data.
	Lag uint64
	// TransferRetry: after a transfer of leadership that failed. Each costs a pause of metadata writes, and what made it fail lasts.
	TransferRetry time.Duration
	// StartSettle: a server that is stopped for a transfer, or taken down for a change, was started longer ago. One that is still starting takes 20 s to end (seen), a started one 0.2 to 1 s.
	StartSettle time.Duration
	// Diverged: a leader whose followers have a longer log in its own term. Questions to members are up to half a second apart, the passes some seconds.
	Diverged time.Duration
	// Counted: for how long a count of the members' data says that they are equal. A follower that falls back by the 1000 entries behind which it would be given a snapshot without them takes longer.
	Counted time.Duration
	// MajorityLost: a majority of the voters whose volumes are seen empty, before a survivor's data is put into them.
	MajorityLost time.Duration
	// TotalLoss: every volume of the placement centre is seen empty, before a backup is put into them. What mends by itself, a mount that was wrong for a moment say, has mended by then.
	TotalLoss time.Duration
	// MachineLost: a pod whose machine is proven dead. Kubernetes waits 40 s before it removes pods of a Node that was deleted; one that was deleted by mistake is made again by its kubelet.
	MachineLost time.Duration
	// VolumeLost: a volume that was on a machine which no longer exists.
	VolumeLost time.Duration
	// Duplicate: for how long registrations are compared. Two processes of one node id take turns every 6 s (seen).
	Duplicate time.Duration
	// LogGrowth is by how many entries a second the log of the metadata may grow while no client is connected, and LogStorm how long faster growth is watched. An idle cluster writes next to nothing;
	// storms of 16 to 70 were seen. Definitions that somebody imports by the admin API look the same for as long as that takes.
	LogGrowth float64
	LogStorm  time.Duration
	// SeedPause is waited after a seed that failed, twice as long after each further one up to SeedPauseMax.
	SeedPause, SeedPauseMax time.Duration
	// SeedStall: how long one phase of a seed may take in which nothing else tells that it goes on. An image of 600 MB of write-ahead log took 4 s.
	SeedStall time.Duration
	// RestartAway and ReplaceAway are how long a member is away at most when it is restarted in place (2 to 5 s) or its pod is made anew with images that are there (2 to 11 s).
	RestartAway, ReplaceAway time.Duration
	// Calm: how long a change waits for a moment in which less is written. A burst (clients that all connect again, a tenant that is set up) is over by then, a load is not.
	Calm time.Duration
	// Pace: over how long it is measured at least. Passes may follow one another within milliseconds.
	Pace time.Duration
}

// DefaultLimits are the limits at real speed.
func DefaultLimits() Limits {
	return Limits{
		HalfJoin: 20 * time.Second, JoinRollback: 60 * time.Second, FoundRollback: 30 * time.Second, Founding: 20 * time.Second, NodeStart: 60 * time.Second,
		ListIncomplete: 15 * time.Second, RegistryShort: 45 * time.Second, RaftDead: 15 * time.Second, LoginRefused: 10 * time.Second, StaleLeader: 90 * time.Second,
		LeadersApart: 15 * time.Second, Hold: 100 * time.Second, PodPending: 10 * time.Second,
		Unregister: 25 * time.Second, Stranded: 15 * time.Second, Quiesce: 15 * time.Second, CopiesMissing: 2 * time.Minute, Lag: 200, TransferRetry: 30 * time.Second, StartSettle: 15 * time.Second,
		Diverged: 10 * time.Second, Counted: 30 * time.Second, MajorityLost: 2 * time.Minute, TotalLoss: 2 * time.Minute, MachineLost: 40 * time.Second, VolumeLost: 2 * time.Minute, Duplicate: time.Minute, LogGrowth: 10, LogStorm: 2 * time.Minute,
		SeedPause: 10 * time.Second, SeedPauseMax: 5 * time.Minute, SeedStall: 10 * time.Minute,
		RestartAway: 5 * time.Second, ReplaceAway: 15 * time.Second, Calm: 5 * time.Minute, Pace: 5 * time.Second,
	}
}

// Scale divides every limit by speed, for tests in hurried time.
func (l Limits) Scale(speed float64) Limits {
	s := func(d time.Duration) time.Duration { return time.Duration(float64(d) / speed) }
	return Limits{
		HalfJoin: s(l.HalfJoin), JoinRollback: s(l.JoinRollback), FoundRollback: s(l.FoundRollback), Founding: s(l.Founding), NodeStart: s(l.NodeStart),
		ListIncomplete: s(l.ListIncomplete), RegistryShort: s(l.RegistryShort), RaftDead: s(l.RaftDead), LoginRefused: s(l.LoginRefused), StaleLeader: s(l.StaleLeader),
		LeadersApart: s(l.LeadersApart), Hold: s(l.Hold), PodPending: s(l.PodPending),
		Unregister: s(l.Unregister), Stranded: s(l.Stranded), Quiesce: s(l.Quiesce), CopiesMissing: s(l.CopiesMissing), Lag: l.Lag, TransferRetry: s(l.TransferRetry), StartSettle: s(l.StartSettle),
		Diverged: s(l.Diverged), Counted: s(l.Counted), MajorityLost: s(l.MajorityLost), TotalLoss: s(l.TotalLoss), MachineLost: s(l.MachineLost), VolumeLost: s(l.VolumeLost), Duplicate: s(l.Duplicate), LogGrowth: l.LogGrowth * speed, LogStorm: s(l.LogStorm),
		SeedPause: s(l.SeedPause), SeedPauseMax: s(l.SeedPauseMax), SeedStall: s(l.SeedStall),
		RestartAway: s(l.RestartAway), ReplaceAway: s(l.ReplaceAway), Calm: s(l.Calm), Pace: s(l.Pace),
	}
}

// PodState is what Kubernetes says of a pod.
type PodState string

// The states of a pod.
const (
	PodMissing     PodState = "Missing"
	PodPending     PodState = "Pending" // not scheduled, image not there, volume not bound, container not started
	PodRunning     PodState = "Running"
	PodTerminating PodState = "Terminating"
)

// Member is one pod, wanted or existing.
type Member struct {
	Role    v1alpha1.Role
	Ordinal int32
	NodeID  uint64
	Pod     string
	// Addr is the member's raft address, host:port.
	Addr string
	// Host is the name under which its server registers; empty when that is not known.
	Host string

	State PodState
	// Reason and Message say what a pod that does not run waits for: a reason of the closed set in the API, and the object's name in the message.
	Reason, Message string
	Restarts        int32
	// TemplateStale: the pod was made from a pod template that differs from the one that is wanted now in what its server depends on.
	TemplateStale bool
	// OnlyImage: all that differs is the image of its server, which can be changed in the pod.
	OnlyImage bool
	// ImagePending: the pod was given another image, and its container still is the one of before.
	ImagePending bool

	// ClaimFounded: the pod's volume claim carries the founded mark.
	ClaimExists, ClaimFounded bool

	// Agent is nil while the pod's agent cannot be asked; AgentError says why.
	Agent      *Agent
	AgentError string

	// Ready: Kubernetes counts the pod among those that client Services lead to.
	Ready bool
	// RevisionStale: the pod was made from another template than the StatefulSet has, if only in the agent's image; TemplateStale: in what its server depends on.
	RevisionStale bool
	// Node is the machine that it runs on; Pull is how far the images of its new template are there.
	Node string
	Pull Pull
	// ClaimTerminating: the volume claim goes as soon as the pod does.
	ClaimTerminating bool
	// Local is the volume of a pod that cannot be scheduled, where it can be reached on one machine alone; otherwise nil.
	Local *LocalVolume
}

// Agent is what a pod's agent said.
type Agent struct {
	VolumeEmpty, VolumeInitialised bool
	VolumeMessage                  string
	Marker                         *Marker

	GateOpen    bool
	GateReason  string // protocol.Gate...
	GateMessage string

	Server      ServerPhase
	ServerExit  string // how it ended last, in words
	MQTTOpen    bool
	Fenced      bool
	Terminating bool
	ConfigStale bool   // the mounted configuration differs from the one that the server was started with
	ConfigFault string // why the mounted configuration cannot be started with

	// Groups is this member's own view of the raft groups; nil when its server does not answer or has none.
	Groups map[string]Group
	// Registry are the node ids registered at this member (placement centre); nil when it was not asked.
	Registry []uint64
	// Registrations are what is registered under those ids.
	Registrations map[uint64]Registration
	// Nodes is this node's own list, a cache that can stay wrong; nil when it was not asked.
	Nodes []uint64
	// StoppedFor is how long ago its server ended; 0 while one runs, or when that is not known (then it ended before the agent was started).
	StoppedFor time.Duration
	// Placing: an image of metadata is being put in place here. Staging: one of this server's is being taken; Streaming: one is there and is being read.
	Placing, Staging, Streaming bool
	// Quiesced: the server runs, and the pod is no longer ready: clients are led elsewhere.
	Quiesced bool
	// Source is the hash of the configuration that is mounted; LivePending are the kinds of settings of which the running server goes by something else than what is mounted.
	Source      string
	LivePending []string
	// Transfer is a transfer of leadership that is under way here; WALBytes the size of the database's write-ahead logs, 0 when not known.
	Transfer *Transfer
	WALBytes int64
	// StartedFor is how long ago its server was started; 0 while none runs, or when that is not known.
	StartedFor time.Duration
	// LoginRefused: a broker that does not accept the MQTT user of its mounted credentials.
	LoginRefused bool
	// Founding: the only voter, and its start has not come to its end: it may still give up.
	Founding bool
	// RestoreStopped: it is held, and its server ended before a restore of the cluster did, which may be what stopped it: nothing was moved off it.
	RestoreStopped bool
	// EmptySnapshot are the raft groups that took a snapshot without its entries into the present data, sorted.
	EmptySnapshot []string
	// Announced: the server has registered itself since it was started. Before that it can tell nobody of a change of the registry.
	Announced bool
	// Starts is how often the server was started since its agent was.
	Starts int
	// Seed is what its agent was ordered to receive of another member; nil: nothing, or the member is whole since.
	Seed *Seed
}

// Marker is the record in a volume of whose data it holds.
type Marker struct {
	ClusterUID string
	NodeID     uint64
	Generation int64
	Origin     string // Founded, Joined, Seeded, Restored, Adopted
	// Member: the node has been a voter of every group beside others. Before that its volume holds nothing that anybody else counts on.
	Member bool
	// Life changes when the volume gets other data.
	Life string
}

// Origins of a volume's data.
const (
	OriginFounded  = "Founded"
	OriginJoined   = "Joined"
	OriginSeeded   = "Seeded"
	OriginRestored = "Restored"
	OriginAlone    = "Alone"
	OriginAdopted  = "Adopted"
)

// Reasons of a closed gate that decisions are made on (the agent's protocol has the same words).
const (
	GateAwaitsOrder = "AwaitsOrder"
	GateForeign     = "Foreign"
	GateHeld        = "Held"
	// GateTransferring: leadership is being moved; it opens by itself within 20 s.
	GateTransferring  = "Transferring"
	GateDataLost      = "DataLost"      // the volume is empty, and its marker saw data
	GateOldGeneration = "OldGeneration" // the volume is older than the last restore
	GatePlacing       = "Placing"       // an image is being received or put in place, or waits to be opened
)

// ServerPhase is the state of a pod's server process.
type ServerPhase string

// The phases of a server.
const (
	ServerStopped  ServerPhase = "Stopped"
	ServerStarting ServerPhase = "Starting"
	ServerRunning  ServerPhase = "Running"
	ServerHung     ServerPhase = "Hung"
	ServerExited   ServerPhase = "Exited"
)

// Group is one raft group as one member sees it.
type Group struct {
	Running     bool     // the raft core runs
	Voters      []uint64 // sorted; nil while the membership changes or before it exists
	Changing    bool     // a joint configuration
	Members     []uint64 // every id in any of the configurations, sorted
	Leads       bool     // it leads, and a quorum acknowledged that within 3 s
	Claims      bool     // it calls itself leader, with or without a quorum
	Leader      uint64   // whom it follows; 0 when unknown
	Term        uint64
	LastLog     uint64
	LastApplied uint64
	Purged      uint64 // 0: the log is whole from its first entry
	// Configs are the configurations of a membership that is being changed; nil otherwise.
	Configs [][]uint64
	// Vote is whom the member voted for last; 0 when that is not known.
	Vote uint64
}

// uniform reports whether the group has exactly one configuration.
func (g Group) uniform() bool { return !g.Changing && len(g.Voters) > 0 }

// configs are the configurations that each need a quorum: one, or two while the membership is being changed; none before there is a membership.
func (g Group) configs() [][]uint64 {
	if g.uniform() {
		return [][]uint64{g.Voters}
	}
	return g.Configs
}

// of returns the members of one role. They are the snapshot's own, not to be changed: members stand role by role, and what decides asks for them dozens of times.
func (s Snapshot) of(role v1alpha1.Role) []Member {
	is := func(m Member) bool { return m.Role == role }
	from := slices.IndexFunc(s.Members, is)
	if from < 0 {
		return nil
	}
	to := from + 1
	for to < len(s.Members) && is(s.Members[to]) {
		to++
	}
	if !slices.ContainsFunc(s.Members[to:], is) {
		return s.Members[from:to:to]
	}
	var out []Member
	for _, m := range s.Members {
		if m.Role == role {
			out = append(out, m)
		}
	}
	return out
}

// node returns the member with that node id.
func (s Snapshot) node(id uint64) (Member, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.NodeID == id })
	if i < 0 {
		return Member{}, false
	}
	return s.Members[i], true
}

// wantedOf reports whether the member's ordinal is wanted.
func (s Snapshot) wantedOf(m Member) bool { return m.Ordinal < s.Wanted.Replicas[m.Role] }

// ours reports whether the volume's marker names this cluster and this node.
func (s Snapshot) ours(m Member) bool {
	return m.Agent != nil && m.Agent.Marker != nil && m.Agent.Marker.ClusterUID == s.Wanted.ClusterUID && m.Agent.Marker.NodeID == m.NodeID
}

// awaitsOrder reports whether the pod's gate is shut because its volume is empty and nobody said yet what it shall become.
func awaitsOrder(m Member) bool {
	return m.State == PodRunning && m.Agent != nil && !m.Agent.Terminating && m.Agent.VolumeEmpty && !m.Agent.GateOpen && m.Agent.GateReason == GateAwaitsOrder
}

// held reports whether the pod's server is stopped because it was ordered to.
func held(m Member) bool {
	return m.Agent != nil && !m.Agent.GateOpen && m.Agent.GateReason == GateHeld && m.Agent.Server == ServerStopped
}

// serving reports whether the pod's server answers.
func serving(m Member) bool { return m.Agent != nil && m.Agent.Server == ServerRunning }

func (m Member) registry() []uint64 {
	if m.Agent == nil {
		return nil
	}
	return m.Agent.Registry
}
