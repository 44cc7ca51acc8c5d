package restore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// seen is an observation of a restore in a stage: three members and two brokers whose servers run, and a backup of theirs that was looked at.
func seen(stage v1alpha1.RestoreStage, change ...func(*observation)) *observation {
	x := newRestore(func(x *v1alpha1.RobustMQRestore) {
		x.Status.Stage, x.Status.StartTime = stage, metav1.NewTime(noon)
		if stopped(stage) {
			x.Status.Generation, x.Status.Term, x.Status.StoppedTime = 2, 4, metav1.NewTime(noon.Add(time.Minute))
			found := foundBackup()
			x.Status.Source = *chosen(&found)
		}
	})
	found := foundBackup()
	o := &observation{now: noon.Add(2 * time.Minute), since: noon.Add(2 * time.Minute), restore: x, cluster: newCluster(), domain: "cluster.local", place: x.Spec.Source.Destination, found: &found}
	for i := range uint64(3) {
		o.members = append(o.members, running3(i+1))
	}
	for i := range uint64(2) {
		m := member{pod: fmt.Sprintf("c-mqtt-broker-%d", i), role: v1alpha1.RoleMQTTBroker, nodeID: 1001 + i, wanted: true, exists: true, address: "10.0.1.1"}
		started := noon
		m.state = &protocol.State{Pod: m.pod, NodeID: m.nodeID, Gate: protocol.GateState{Open: true, Reason: protocol.GateOpen}, Volume: protocol.VolumeState{Phase: protocol.VolumeInitialised},
			Server: protocol.ServerState{Phase: protocol.ServerRunning, Started: &started, MQTTOpen: true}}
		o.nodes = append(o.nodes, m)
	}
	for _, f := range change {
		f(o)
	}
	return o
}

// running3 is a member of three whose server runs; node 1 leads.
func running3(node uint64) member {
	m := member{pod: fmt.Sprintf("c-placement-center-%d", node-1), role: v1alpha1.RolePlacementCenter, nodeID: node, wanted: true, exists: true, address: fmt.Sprintf("10.0.0.%d", node)}
	m.state = &protocol.State{
		Pod: m.pod, NodeID: node, Generation: 1, Gate: protocol.GateState{Open: true, Reason: protocol.GateOpen}, Server: protocol.ServerState{Phase: protocol.ServerRunning}, Raft: robustmq.ClusterStatus{},
		Volume: protocol.VolumeState{Phase: protocol.VolumeInitialised, FreeBytes: 1 << 30, Marker: &protocol.Marker{ClusterUID: clusterUID, NodeID: node, Generation: 1, Origin: protocol.OriginJoined, HasData: true}},
	}
	for _, group := range robustmq.Groups {
		g := robustmq.GroupState{Running: true, ID: node, Term: 3, State: "Follower", CurrentLeader: 1, LastApplied: &robustmq.LogID{Term: 3, NodeID: 1, Index: 50}, Configs: [][]uint64{{1, 2, 3}}}
		if node == 1 {
			fresh := uint64(5)
			g.State, g.MillisSinceQuorumAck = "Leader", &fresh
		}
		m.state.Raft[group] = g
	}
	return m
}

// down3 stops the servers of all pods.
func down3(o *observation) {
	for _, list := range [][]member{o.members, o.nodes} {
		for i := range list {
			list[i].state.Server, list[i].state.Raft = protocol.ServerState{Phase: protocol.ServerStopped}, nil
			list[i].state.Gate = protocol.GateState{Reason: protocol.GateHeld}
		}
	}
}

// placed3 gives every member the backup in a phase.
func placed3(phase protocol.PlacementPhase) func(*observation) {
	return func(o *observation) {
		down3(o)
		for i := range o.members {
			s := o.members[i].state
			s.Generation = 2
			s.Images.Placement = &protocol.Placement{ID: placementID(o.restore), Phase: phase, Origin: protocol.OriginRestored, Generation: 2, Received: imageBytes, Total: imageBytes}
			if phase == protocol.PlacementPlaced || phase == protocol.PlacementOpen {
				s.Images.Placement.SHA256 = digits
				s.Volume.Marker = &protocol.Marker{ClusterUID: clusterUID, NodeID: o.members[i].nodeID, Generation: 2, Origin: protocol.OriginRestored, HasData: true}
			}
		}
	}
}

// silence makes a member's agent one that does not answer.
func silence(node int) func(*observation) {
	return func(o *observation) { o.members[node-1].state, o.members[node-1].problem = nil, "timeout" }
}

func at3(node int, change func(*protocol.State)) func(*observation) {
	return func(o *observation) { change(o.members[node-1].state) }
}

// ordered are the orders of a kind, by pod.
func ordered(v verdict, do action) []string {
	var out []string
	for _, o := range v.orders {
		if o.do == do {
			out = append(out, strings.TrimPrefix(strings.TrimPrefix(o.pod, "c-placement-center-"), "c-mqtt-"))
		}
	}
	slices.Sort(out)
	return out
}

func TestARestoreWaitsForWhatMustBeThereFirst(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*observation)
		stage  v1alpha1.RestoreStage
		reason string
		says   string
	}{
		"nothing is in its way":                 {func(*observation) {}, v1alpha1.RestoreValidating, v1alpha1.ReasonRestoreValidating, "Job r-inspect"},
		"there is no cluster":                   {func(o *observation) { o.cluster = nil }, v1alpha1.RestoreWaiting, v1alpha1.ReasonWaitingForCluster, "spec.clusterName"},
		"the cluster is being deleted":          {func(o *observation) { o.cluster.DeletionTimestamp = &metav1.Time{Time: noon} }, v1alpha1.RestoreWaiting, v1alpha1.ReasonWaitingForCluster, "is being deleted"},
		"the cluster has no identity":           {func(o *observation) { o.cluster.Status.ClusterUID = "" }, v1alpha1.RestoreWaiting, v1alpha1.ReasonWaitingForCluster, "identity"},
		"the cluster is paused":                 {func(o *observation) { o.cluster.Spec.Paused = true }, v1alpha1.RestoreWaiting, v1alpha1.ReasonPaused, "spec.paused"},
		"the cluster sleeps":                    {func(o *observation) { o.cluster.Spec.Hibernated = true }, v1alpha1.RestoreWaiting, v1alpha1.ReasonHibernated, "spec.hibernated"},
		"another restore goes first":            {func(o *observation) { o.turn = &wait{v1alpha1.ReasonRestoreRunning, "restore a"} }, v1alpha1.RestoreWaiting, v1alpha1.ReasonRestoreRunning, "restore a"},
		"a Secret is missing":                   {func(o *observation) { o.missing = &wait{v1alpha1.ReasonWaitingForSecret, "Secret s"} }, v1alpha1.RestoreWaiting, v1alpha1.ReasonWaitingForSecret, "Secret s"},
		"a rule forbids it":                     {func(o *observation) { o.forbidden = []string{"RestoreSameVersion: no"} }, v1alpha1.RestoreFailed, v1alpha1.ReasonRestoreRefused, "nothing was stopped"},
		"it is not wanted any more":             {func(o *observation) { o.restore.Annotations = map[string]string{v1alpha1.AnnotationAbort: "true"} }, v1alpha1.RestoreAborted, v1alpha1.ReasonRestoreAborted, "nothing was stopped"},
		"it is deleted":                         {func(o *observation) { o.restore.DeletionTimestamp = &metav1.Time{Time: noon} }, v1alpha1.RestoreAborted, v1alpha1.ReasonRestoreAborted, "deleted"},
		"an annotation says not to abort":       {func(o *observation) { o.restore.Annotations = map[string]string{v1alpha1.AnnotationAbort: "false"} }, v1alpha1.RestoreValidating, v1alpha1.ReasonRestoreValidating, ""},
		"where the backup is, is not known yet": {func(o *observation) { o.unplaced = &wait{v1alpha1.ReasonNoDestination, "where"} }, v1alpha1.RestoreWaiting, v1alpha1.ReasonNoDestination, "where"},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreWaiting, c.change), DefaultTimings())
			if v.stage != c.stage || v.reason != c.reason || !strings.Contains(v.message, c.says) {
				t.Errorf("%s, %s: %s", v.stage, v.reason, v.message)
			}
			if len(v.orders) > 0 || v.push || v.save {
				t.Errorf("something was done: %+v", v)
			}
		})
	}
}

func TestABackupThatDoesNotFitIsRefusedBeforeAnythingStops(t *testing.T) {
	found := func(change func(*job.Result)) func(*observation) { return func(o *observation) { change(o.found) } }
	for name, c := range map[string]struct {
		change func(*observation)
		says   string // "": it is not refused
	}{
		"it fits":                    {func(*observation) {}, ""},
		"another cluster's, by hand": {found(func(r *job.Result) { r.Inspected.ClusterUID = "other" }), ""},
		"another cluster's, after a loss": {func(o *observation) {
			o.restore.Spec.Trigger, o.found.Inspected.ClusterUID = v1alpha1.RestoreTotalLoss, "other"
		}, "only its own comes back by itself"},
		"not the cluster that was named": {func(o *observation) { o.restore.Spec.Source.ClusterUID = "wanted" }, "spec.source.clusterUID"},
		"not what the backup's object says": {func(o *observation) {
			o.named = &v1alpha1.RobustMQBackup{}
			o.named.Status.ManifestSHA256 = strings.Repeat("a", 64)
		}, "is not the one that was written"},
		"a newer version":      {found(func(r *job.Result) { r.Inspected.Version = "0.4.12" }), "does not read"},
		"no version":           {found(func(r *job.Result) { r.Inspected.Version = "new" }), "no version"},
		"a cluster of islands": {func(o *observation) { o.cluster.Status.Version, o.found.Inspected.Version = "0.3.0", "0.3.0" }, "cannot be proven"},
		"more brokers":         {found(func(r *job.Result) { r.Inspected.Nodes.MQTTBroker = 3 }), "spec.mqttBroker.replicas"},
		"journal servers":      {found(func(r *job.Result) { r.Inspected.Nodes.JournalServer = 1 }), "spec.journalServer"},
		"more brokers, knowingly": {func(o *observation) {
			o.found.Inspected.Nodes.MQTTBroker = 3
			o.restore.Spec.Unsafe = append(o.restore.Spec.Unsafe, v1alpha1.AllowFewerNodes)
		}, ""},
		"more voters": {found(voters(1, 2, 3, 4, 5)), "placement centre has the nodes"},
		"more voters, knowingly": {func(o *observation) {
			voters(1, 2, 3, 4, 5)(o.found)
			o.restore.Spec.Unsafe = append(o.restore.Spec.Unsafe, v1alpha1.AllowFewerNodes)
		}, ""},
		"voters that are not ours":  {found(voters(8, 9)), "none of the backup's voters"},
		"groups that differ":        {found(func(r *job.Result) { r.Inspected.Groups[2].Membership.Voters = []uint64{1, 2} }), "different voters"},
		"no room at one member":     {at3(2, func(s *protocol.State) { s.Volume.FreeBytes = imageBytes + reserve - 1 }), "c-placement-center-1 has"},
		"just room enough":          {at3(2, func(s *protocol.State) { s.Volume.FreeBytes = imageBytes + reserve }), ""},
		"a volume of somebody else": {at3(3, func(s *protocol.State) { s.Gate = protocol.GateState{Reason: protocol.GateForeign} }), "not this member's"},
		"a volume that is unusable": {at3(3, func(s *protocol.State) { s.Volume.Phase = protocol.VolumeUnusable }), "cannot be used"},
		"no place to be saved to":   {func(o *observation) { o.restore.Spec.Unsafe, o.cluster.Spec.Backup = nil, nil }, "SkipSafetyBackup"},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreValidating, c.change), DefaultTimings())
			if c.says == "" {
				if v.stage != v1alpha1.RestoreStopping || v.generation != 2 || v.term != 4 || v.source == nil || !v.stopping || len(v.orders) > 0 {
					t.Errorf("%+v", v)
				}
				return
			}
			if v.stage != v1alpha1.RestoreFailed || v.reason != v1alpha1.ReasonRestoreRefused || !strings.Contains(v.message, c.says) || !strings.Contains(v.message, "nothing was stopped") || len(v.orders) > 0 {
				t.Errorf("%s, %s: %s", v.stage, v.reason, v.message)
			}
		})
	}
}

// voters makes a backup one of these voters.
func voters(ids ...uint64) func(*job.Result) {
	return func(r *job.Result) {
		for i := range r.Inspected.Groups {
			r.Inspected.Groups[i].Membership.Voters = ids
		}
	}
}

func TestAMemberThatCannotBeAskedForItsSpaceIsWaitedFor(t *testing.T) {
	v := decide(seen(v1alpha1.RestoreValidating, silence(2)), DefaultTimings())
	if v.stage != v1alpha1.RestoreValidating || !strings.Contains(v.awaits, "c-placement-center-1") || v.source == nil {
		t.Errorf("%+v", v)
	}
}

func TestTheInspectionIsTriedAgainWhereThatMayHelp(t *testing.T) {
	with := func(reason string, result bool, ago time.Duration) func(*observation) {
		return func(o *observation) {
			o.found = nil
			o.inspect = jobFacts{job: &batchv1.Job{}, run: outcome.Outcome{Phase: outcome.Ended, Since: o.now.Add(-ago), Reason: reason, Message: "why"}}
			if result {
				o.inspect.run.Result = &job.Result{Kind: job.Inspect, Reason: job.Reason(reason)}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*observation)
		stage  v1alpha1.RestoreStage
		remove bool
	}{
		"the store did not answer, a moment ago": {with(string(job.StoreUnavailable), true, time.Second), v1alpha1.RestoreValidating, false},
		"the store did not answer":               {with(string(job.StoreUnavailable), true, time.Minute), v1alpha1.RestoreValidating, true},
		"its pod was evicted":                    {with(v1alpha1.ReasonEvicted, false, time.Minute), v1alpha1.RestoreValidating, true},
		"the backup is broken":                   {with(string(job.BackupBroken), true, time.Minute), v1alpha1.RestoreFailed, false},
		"for too long": {func(o *observation) {
			with(string(job.StoreUnavailable), true, time.Minute)(o)
			o.now = noon.Add(time.Hour)
		}, v1alpha1.RestoreFailed, false},
	} {
		t.Run(name, func(t *testing.T) {
			if v := decide(seen(v1alpha1.RestoreValidating, c.change), DefaultTimings()); v.stage != c.stage || v.removeInspect != c.remove {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestTheClusterIsSavedFirst(t *testing.T) {
	careful := func(o *observation) { o.restore.Spec.Unsafe = nil }
	v := decide(seen(v1alpha1.RestoreValidating, careful), DefaultTimings())
	if v.stage != v1alpha1.RestoreSaving || v.safetyName != "r-safety" || v.generation != 0 {
		t.Fatalf("%+v", v)
	}
	safety := func(stage v1alpha1.BackupStage, change ...func(*v1alpha1.RobustMQBackup)) func(*observation) {
		return func(o *observation) {
			careful(o)
			o.safety = &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Name: "r-safety", Labels: map[string]string{v1alpha1.LabelRestore: "r"}, CreationTimestamp: metav1.NewTime(noon.Add(time.Second))}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "c"}}
			o.safety.Status.Stage = stage
			if stage == v1alpha1.BackupComplete {
				o.safety.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
			}
			for _, f := range change {
				f(o.safety)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*observation)
		stage  v1alpha1.RestoreStage
		save   bool
	}{
		"none was made":        {careful, v1alpha1.RestoreSaving, true},
		"it is being made":     {safety(v1alpha1.BackupUploading), v1alpha1.RestoreSaving, false},
		"it is complete":       {safety(v1alpha1.BackupComplete), v1alpha1.RestoreStopping, false},
		"it failed":            {safety(v1alpha1.BackupFailed), v1alpha1.RestoreFailed, false},
		"somebody else's":      {safety(v1alpha1.BackupComplete, func(b *v1alpha1.RobustMQBackup) { b.Labels = nil }), v1alpha1.RestoreFailed, false},
		"an earlier restore's": {safety(v1alpha1.BackupComplete, func(b *v1alpha1.RobustMQBackup) { b.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour)) }), v1alpha1.RestoreFailed, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreSaving, c.change), DefaultTimings())
			if v.stage != c.stage || v.save != c.save || len(v.orders) > 0 || v.stage == v1alpha1.RestoreFailed && v.reason != v1alpha1.ReasonSafetyBackupFailed {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestASafetyBackupThatWaitsSaysWhyAndTheWayOut(t *testing.T) {
	v := decide(seen(v1alpha1.RestoreSaving, func(o *observation) {
		o.restore.Spec.Unsafe = nil
		o.safety = &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Name: "r-safety", Labels: map[string]string{v1alpha1.LabelRestore: "r"}, CreationTimestamp: metav1.NewTime(noon.Add(time.Second))}, Spec: v1alpha1.RobustMQBackupSpec{ClusterName: "c"}}
		o.safety.Status.Stage = v1alpha1.BackupWaiting
		o.safety.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonQuorumLost, Message: "no member leads"}}
	}), DefaultTimings())
	for _, want := range []string{"r-safety (Waiting)", v1alpha1.ReasonQuorumLost, "no member leads", string(v1alpha1.SkipSafetyBackup)} {
		if v.stage != v1alpha1.RestoreSaving || !strings.Contains(v.message, want) {
			t.Errorf("%s does not say %q: %s", v.stage, want, v.message)
		}
	}
}

func TestServersStopInOrderAndAreWaitedFor(t *testing.T) {
	stopped := func(list []member, keep ...int) {
		for i := range list {
			if !slices.Contains(keep, i) && list[i].state != nil {
				list[i].state.Server, list[i].state.Raft, list[i].state.Gate = protocol.ServerState{Phase: protocol.ServerStopped}, nil, protocol.GateState{Reason: protocol.GateHeld}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*observation)
		stops  []string
		stage  v1alpha1.RestoreStage
		awaits string
	}{
		"brokers first":                          {func(*observation) {}, []string{"broker-0", "broker-1"}, v1alpha1.RestoreStopping, "brokers"},
		"then the followers":                     {func(o *observation) { stopped(o.nodes) }, []string{"1", "2"}, v1alpha1.RestoreStopping, "followers"},
		"the leader last":                        {func(o *observation) { stopped(o.nodes); stopped(o.members, 0) }, []string{"0"}, v1alpha1.RestoreStopping, "the leader"},
		"all are down":                           {down3, nil, v1alpha1.RestoreTransferring, ""},
		"a member that cannot be asked may run":  {func(o *observation) { down3(o); silence(2)(o) }, nil, v1alpha1.RestoreStopping, "c-placement-center-1"},
		"a member without a pod":                 {func(o *observation) { down3(o); silence(2)(o); o.members[1].exists = false }, nil, v1alpha1.RestoreStopping, "does not exist"},
		"a broker that cannot be asked":          {func(o *observation) { down3(o); o.nodes[0].state = nil; o.now = noon.Add(90 * time.Second) }, nil, v1alpha1.RestoreStopping, "c-mqtt-broker-0"},
		"a broker that cannot be asked for long": {func(o *observation) { down3(o); o.nodes[0].state = nil; o.now = noon.Add(10 * time.Minute) }, nil, v1alpha1.RestoreTransferring, ""},
		"a gate that opens again by itself":      {func(o *observation) { down3(o); o.members[0].state.Gate.Reason = protocol.GateTransferring }, []string{"0"}, v1alpha1.RestoreStopping, ""},
		"a start that is on its way":             {func(o *observation) { down3(o); o.members[0].state.Server.Waiting = "its name" }, []string{"0"}, v1alpha1.RestoreStopping, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := decide(seen(v1alpha1.RestoreStopping, c.change), DefaultTimings())
			if got := ordered(v, stop); v.stage != c.stage || !slices.Equal(got, c.stops) || !strings.Contains(v.awaits, c.awaits) {
				t.Errorf("%s, stops %v, awaits %q", v.stage, got, v.awaits)
			}
		})
	}
}

func TestWhatEarlierRestoresLeftIsEndedFirst(t *testing.T) {
	for phase, want := range map[protocol.PlacementPhase]action{
		protocol.PlacementReceiving: abandon, protocol.PlacementReceived: abandon, protocol.PlacementPlaced: revert, protocol.PlacementFailed: revert, protocol.PlacementReverting: revert,
		protocol.PlacementOpen: discard, protocol.PlacementPlacing: "", protocol.PlacementReverted: "done",
	} {
		v := decide(seen(v1alpha1.RestoreStopping, down3, at3(1, func(s *protocol.State) {
			s.Images.Placement = &protocol.Placement{ID: "restore-other", Phase: phase}
		})), DefaultTimings())
		switch {
		case want == "done":
			if v.stage != v1alpha1.RestoreTransferring {
				t.Errorf("%s: %+v", phase, v)
			}
		case want == "":
			if v.stage != v1alpha1.RestoreStopping || len(v.orders) > 0 || v.awaits == "" {
				t.Errorf("%s: %+v", phase, v)
			}
		case !reflect.DeepEqual(v.orders, []order{{pod: "c-placement-center-0", do: want, id: "restore-other"}}) || v.stage != v1alpha1.RestoreStopping:
			t.Errorf("%s: %+v", phase, v)
		}
	}
	v := decide(seen(v1alpha1.RestoreStopping, down3, at3(1, func(s *protocol.State) { s.Images.Seed = &protocol.Seed{ID: "seed-1"} })), DefaultTimings())
	if !reflect.DeepEqual(v.orders, []order{{pod: "c-placement-center-0", do: abandonSeed, id: "seed-1"}}) {
		t.Errorf("%+v", v)
	}
}

func TestOnlyAPersonOverwritesData(t *testing.T) {
	for _, trigger := range []v1alpha1.RestoreTrigger{v1alpha1.RestoreTotalLoss, v1alpha1.RestoreBootstrap} {
		by := func(o *observation) { o.restore.Spec.Trigger = trigger }
		empty := func(o *observation) {
			for i := range o.members {
				if s := o.members[i].state; s != nil {
					s.Volume.Phase = protocol.VolumeEmpty
				}
			}
		}
		one := at3(3, func(s *protocol.State) { s.Volume.Phase = protocol.VolumeInitialised })
		if v := decide(seen(v1alpha1.RestoreStopping, by, down3, empty), DefaultTimings()); v.stage != v1alpha1.RestoreTransferring {
			t.Errorf("%s into empty volumes: %+v", trigger, v)
		}
		for _, stage := range []v1alpha1.RestoreStage{v1alpha1.RestoreStopping, v1alpha1.RestoreTransferring} {
			if v := decide(seen(stage, by, down3, empty, one), DefaultTimings()); v.stage != v1alpha1.RestoreAborting || v.reason != v1alpha1.ReasonCopyLeft || !strings.Contains(v.message, "c-placement-center-2") {
				t.Errorf("%s, %s, where one volume holds data: %+v", trigger, stage, v)
			}
		}
		if v := decide(seen(v1alpha1.RestoreOpening, by, placed3(protocol.PlacementReceived), empty, one), DefaultTimings()); v.stage != v1alpha1.RestoreAborting || v.reason != v1alpha1.ReasonCopyLeft || len(ordered(v, place)) > 0 {
			t.Errorf("%s, where data came to light at the last moment: %+v", trigger, v)
		}
		if v := decide(seen(v1alpha1.RestoreStopping, by, down3, empty, silence(2)), DefaultTimings()); v.stage != v1alpha1.RestoreStopping {
			t.Errorf("%s, and a volume that cannot be seen was taken for empty: %+v", trigger, v)
		}
	}
}
