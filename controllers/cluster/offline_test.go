package cluster

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// begunAt is the record of an upgrade that has begun.
func begunAt(opened bool) *v1alpha1.OfflineUpgrade {
	return &v1alpha1.OfflineUpgrade{Version: "0.4.11", StartTime: metav1.NewTime(noon), BackupName: "c-upgrade-1", Opened: opened}
}

// savedAs is the backup of that upgrade in a stage; one that has ended says why.
func savedAs(stage v1alpha1.BackupStage) *v1alpha1.RobustMQBackup {
	b := &v1alpha1.RobustMQBackup{ObjectMeta: metav1.ObjectMeta{Name: "c-upgrade-1", CreationTimestamp: metav1.NewTime(noon), Labels: map[string]string{v1alpha1.LabelUpgrade: "true"}}}
	b.Status.Stage = stage
	status, reason := metav1.ConditionFalse, v1alpha1.ReasonBackupUploading
	switch stage {
	case v1alpha1.BackupComplete:
		status, reason = metav1.ConditionTrue, v1alpha1.ReasonBackupComplete
	case v1alpha1.BackupFailed:
		reason = v1alpha1.ReasonAccessDenied
	}
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: status, Reason: reason, Message: "words"}}
	return b
}

func TestAnUpgradeThatCannotRollGoesOnFromWhatIsSeenAlone(t *testing.T) {
	older := savedAs(v1alpha1.BackupComplete)
	older.CreationTimestamp = metav1.NewTime(noon.Add(-time.Second))
	stranger := savedAs(v1alpha1.BackupComplete)
	stranger.Labels = nil
	nodes, members := []string{"c-mqtt-broker-0"}, []string{"c-placement-center-0"}
	type does struct{ ready, stopNodes, save, stopMembers, opens bool }
	for what, c := range map[string]struct {
		change func(f *hopFacts)
		want   does
		reason string
		words  string
	}{
		"not begun":               {func(f *hopFacts) { f.record = nil }, does{ready: true}, "", ""},
		"hindered":                {func(f *hopFacts) { f.record, f.hindrance = nil, "no destination" }, does{}, v1alpha1.ReasonVersionPending, "no destination"},
		"hindered since it began": {func(f *hopFacts) { f.hindrance = "no destination" }, does{}, v1alpha1.ReasonVersionPending, "no destination"},
		"a restore, and not begun": {func(f *hopFacts) {
			f.record, f.restore = nil, topology.Restore{Name: "r", Stage: v1alpha1.RestoreWaiting}
		}, does{}, v1alpha1.ReasonChangeHeld, "restore r"},
		"a restore that has ended": {func(f *hopFacts) {
			f.record, f.restore = nil, topology.Restore{Name: "r", Stage: v1alpha1.RestoreComplete}
		}, does{ready: true}, "", ""},
		"the former one is not over":      {func(f *hopFacts) { f.record = begunAt(true) }, does{}, v1alpha1.ReasonVersionPending, "c-upgrade-1"},
		"brokers stop":                    {func(f *hopFacts) { f.nodes, f.nodesRest = nodes, false }, does{stopNodes: true}, v1alpha1.ReasonUpgradeStopping, "c-mqtt-broker-0"},
		"brokers stop, a backup is there": {func(f *hopFacts) { f.nodes, f.nodesRest, f.backup = nodes, false, savedAs(v1alpha1.BackupComplete) }, does{stopNodes: true}, v1alpha1.ReasonUpgradeStopping, "c-mqtt-broker-0"},
		"a restore since it began":        {func(f *hopFacts) { f.restore = topology.Restore{Name: "r", Stage: v1alpha1.RestoreSaving} }, does{stopNodes: true}, v1alpha1.ReasonChangeHeld, "restore r"},
		"a restore, members asleep": {func(f *hopFacts) {
			f.restore = topology.Restore{Name: "r", Stage: v1alpha1.RestoreValidating}
			f.backup, f.membersAsleep, f.members = savedAs(v1alpha1.BackupComplete), true, members
		}, does{stopNodes: true, stopMembers: true}, v1alpha1.ReasonUpgradeStopping, "c-placement-center-0"},
		"a member has not applied all": {func(f *hopFacts) { f.behind = "c-placement-center-2 has applied 3" }, does{stopNodes: true}, v1alpha1.ReasonUpgradeSaving, "has applied 3"},
		"all have":                     {func(*hopFacts) {}, does{stopNodes: true, save: true}, v1alpha1.ReasonUpgradeSaving, "c-upgrade-1"},
		"the kind is missing":          {func(f *hopFacts) { f.noBackup = "no RobustMQBackup" }, does{stopNodes: true}, v1alpha1.ReasonSafetyBackupFailed, "no RobustMQBackup"},
		"the backup is made":           {func(f *hopFacts) { f.backup = savedAs(v1alpha1.BackupUploading) }, does{stopNodes: true}, v1alpha1.ReasonUpgradeSaving, "words"},
		"the backup has not begun":     {func(f *hopFacts) { f.backup = savedAs(""); f.backup.Status.Conditions = nil }, does{stopNodes: true}, v1alpha1.ReasonUpgradeSaving, "c-upgrade-1"},
		"the backup has failed":        {func(f *hopFacts) { f.backup = savedAs(v1alpha1.BackupFailed) }, does{stopNodes: true}, v1alpha1.ReasonSafetyBackupFailed, "kubectl delete rmqb c-upgrade-1"},
		"a backup of before":           {func(f *hopFacts) { f.backup = older }, does{stopNodes: true}, v1alpha1.ReasonNameTaken, "c-upgrade-1"},
		"somebody else's backup":       {func(f *hopFacts) { f.backup = stranger }, does{stopNodes: true}, v1alpha1.ReasonNameTaken, "c-upgrade-1"},
		"saved, and written since": {func(f *hopFacts) {
			f.backup, f.behind = savedAs(v1alpha1.BackupComplete), "c-placement-center-2 has applied 3"
		}, does{stopNodes: true}, v1alpha1.ReasonUpgradeStopping, "has applied 3"},
		"saved": {func(f *hopFacts) { f.backup, f.members = savedAs(v1alpha1.BackupComplete), members }, does{stopNodes: true, stopMembers: true}, v1alpha1.ReasonUpgradeStopping, "c-placement-center-0"},
		"members stop": {func(f *hopFacts) {
			f.backup, f.membersAsleep, f.members, f.behind = savedAs(v1alpha1.BackupComplete), true, members, "x does not answer"
		}, does{stopNodes: true, stopMembers: true}, v1alpha1.ReasonUpgradeStopping, "c-placement-center-0"},
		"members are stopped": {func(f *hopFacts) {
			f.backup, f.membersAsleep, f.membersRest, f.behind = savedAs(v1alpha1.BackupComplete), true, true, "x does not answer"
		}, does{stopNodes: true, stopMembers: true, opens: true}, v1alpha1.ReasonUpgradeStarting, "made for 0.4.11"},
		"stopped, and the backup is gone": {func(f *hopFacts) { f.membersAsleep, f.membersRest, f.behind = true, true, "x does not answer" }, does{stopNodes: true}, v1alpha1.ReasonUpgradeSaving, "does not answer"},
	} {
		f := hopFacts{from: "0.4.8", to: "0.4.11", record: begunAt(false), nodesRest: true, backupName: "c-upgrade-1"}
		c.change(&f)
		h := decideHop(f)
		got := does{h.ready, h.stopNodes, h.save, h.stopMembers, h.opens}
		if got != c.want || !h.pending || h.wait.Reason != c.reason || !strings.Contains(h.wait.Message, c.words) {
			t.Errorf("%s: %+v, %s: %s\nwant %+v, %s: …%s…", what, got, h.wait.Reason, h.wait.Message, c.want, c.reason, c.words)
		}
		if trouble := c.reason == v1alpha1.ReasonSafetyBackupFailed || c.reason == v1alpha1.ReasonNameTaken; h.wait.Trouble != trouble {
			t.Errorf("%s: trouble %t", what, h.wait.Trouble)
		}
		if h.wait.Trouble && !strings.Contains(h.wait.Message, `spec.version "0.4.8"`) {
			t.Errorf("%s: the way back is not told: %s", what, h.wait.Message)
		}
	}
}

func TestWhatIsRecordedOfAnUpgradeThatCannotRollIsWhatCannotBeSeen(t *testing.T) {
	named := func(at time.Time) string { return "c-upgrade-" + at.Format("150405") }
	at := noon.Add(1500 * time.Millisecond)
	for what, c := range map[string]struct {
		hop  *hop
		was  *v1alpha1.OfflineUpgrade
		want *v1alpha1.OfflineUpgrade
	}{
		"nothing was looked at":             {nil, begunAt(false), begunAt(false)},
		"there is none":                     {&hop{}, nil, nil},
		"it is frozen":                      {&hop{pending: true, frozen: true}, begunAt(false), begunAt(false)},
		"it waits":                          {&hop{pending: true, ready: true}, nil, nil},
		"it begins":                         {&hop{pending: true, ready: true, begins: true, to: "0.4.11"}, nil, &v1alpha1.OfflineUpgrade{Version: "0.4.11", StartTime: metav1.NewTime(noon.Add(time.Second)), BackupName: "c-upgrade-120001"}},
		"it goes on":                        {&hop{pending: true, stopNodes: true, to: "0.4.11"}, begunAt(false), begunAt(false)},
		"it opens":                          {&hop{pending: true, stopNodes: true, stopMembers: true, opens: true, to: "0.4.11"}, begunAt(false), begunAt(true)},
		"another version is wanted":         {&hop{pending: true, stopNodes: true, to: "0.4.12"}, begunAt(false), func() *v1alpha1.OfflineUpgrade { u := begunAt(false); u.Version = "0.4.12"; return u }()},
		"it was taken back":                 {&hop{}, begunAt(false), nil},
		"it is hindered":                    {&hop{pending: true}, begunAt(false), nil},
		"it was opened, and none is wanted": {&hop{}, begunAt(true), begunAt(true)},
	} {
		got := c.hop.recorded(c.was, at, named)
		if (got == nil) != (c.want == nil) || got != nil && (*got != *c.want) {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

// level has every member of the pass's cluster applied its whole log.
func level(p *pass) *pass {
	for i := range p.snapshot.Members {
		if m := &p.snapshot.Members[i]; m.Role == v1alpha1.RolePlacementCenter {
			for name, g := range m.Agent.Groups {
				g.LastLog, g.LastApplied = 40, 40
				m.Agent.Groups[name] = g
			}
		}
	}
	return p
}

func TestMembersAreProvenOnlyWhenAllHaveAppliedTheSameLogToItsEnd(t *testing.T) {
	set := func(member int, change func(g *topology.Group)) func(p *pass) {
		return func(p *pass) {
			g := p.snapshot.Members[member].Agent.Groups["offset_0"]
			change(&g)
			p.snapshot.Members[member].Agent.Groups["offset_0"] = g
		}
	}
	for what, c := range map[string]struct {
		change func(p *pass)
		words  string
	}{
		"level":                            {func(*pass) {}, ""},
		"a follower has not applied":       {set(2, func(g *topology.Group) { g.LastApplied = 39 }), "c-placement-center-2 has applied 39 of the 40 entries of raft group offset_0"},
		"a follower lacks an entry":        {set(1, func(g *topology.Group) { g.LastLog, g.LastApplied = 39, 39 }), "c-placement-center-1 has applied 39 of the 40"},
		"a follower has one too many":      {set(1, func(g *topology.Group) { g.LastLog = 41 }), "c-placement-center-1 has applied 40 of the 41"},
		"the leader has not applied":       {set(0, func(g *topology.Group) { g.LastApplied = 39 }), "c-placement-center-0 has applied 39"},
		"a follower is of another term":    {set(1, func(g *topology.Group) { g.Term = 2 }), "c-placement-center-1"},
		"nobody leads":                     {set(0, func(g *topology.Group) { g.Leads = false }), "offset_0"},
		"a member does not answer":         {func(p *pass) { p.snapshot.Members[2].Agent = nil }, "c-placement-center-2"},
		"a server is stopped":              {func(p *pass) { p.snapshot.Members[2].Agent.Server = topology.ServerStopped }, "c-placement-center-2"},
		"a broker does not answer, indeed": {func(p *pass) { p.snapshot.Members[3].Agent = nil }, ""},
	} {
		p := level(formed(t))
		c.change(p)
		if got := unproven(p.snapshot, topology.Assess(p.snapshot)); (got == "") != (c.words == "") || !strings.Contains(got, c.words) {
			t.Errorf("%s: %q", what, got)
		}
	}
}
