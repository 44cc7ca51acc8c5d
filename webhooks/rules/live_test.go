package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// row is a member of the placement centre in service.
func row(ordinal int) v1alpha1.MemberStatus {
	return v1alpha1.MemberStatus{
		Pod: fmt.Sprintf("my-cluster-placement-center-%d", ordinal), Ordinal: int32(ordinal), NodeID: int64(1 + ordinal), Role: v1alpha1.RolePlacementCenter,
		InService: true, VoterIn: []string{"data_0", "metadata_0"}, Marker: "Joined", Gate: "Open", Server: "Running", Volume: "Initialised",
	}
}

// stands is a founded cluster with n members, all in service.
func stands(n int32) *cluster {
	c := valid(members(n))
	c.Status.Founded, c.Status.Version = true, c.Spec.Version
	c.Status.PlacementCenter = v1alpha1.RoleStatus{Desired: n, Replicas: n, Ready: n}
	for i := range n {
		c.Status.Members = append(c.Status.Members, row(int(i)))
	}
	c.Status.Members = append(c.Status.Members, v1alpha1.MemberStatus{Pod: "my-cluster-mqtt-broker-0", Role: v1alpha1.RoleMQTTBroker, NodeID: 1001})
	return c
}

// degraded is such a cluster of which the last voter is down.
func degraded(n int32) *cluster {
	c := stands(n)
	last := &c.Status.Members[n-1]
	last.InService, last.Server, last.Gate = false, "Unknown", "Unknown"
	return c
}

func restoring(clusterName string) restore {
	return restore{
		ObjectMeta: metav1.ObjectMeta{Name: "undo", Namespace: "default"},
		Spec:       v1alpha1.RobustMQRestoreSpec{ClusterName: clusterName, Source: v1alpha1.RestoreSource{BackupName: "saved"}},
		Status:     v1alpha1.RobustMQRestoreStatus{Stage: v1alpha1.RestoreTransferring},
	}
}

func TestThePlacementCentreDoesNotShrinkWhileAVoterIsMissingOrSomebodyIsOnTheWayIn(t *testing.T) {
	last := func(change func(*v1alpha1.MemberStatus)) func(*cluster) {
		return func(c *cluster) { change(&c.Status.Members[4]) }
	}
	for what, c := range map[string]struct {
		change  func(*cluster)
		refused string
	}{
		"all are in service": {func(*cluster) {}, ""},
		"a voter's pod is gone": {last(func(m *v1alpha1.MemberStatus) {
			m.InService, m.Server, m.Gate, m.Volume = false, "Missing", "Missing", "Missing"
		}), "voter my-cluster-placement-center-4"},
		"a voter's agent does not answer": {last(func(m *v1alpha1.MemberStatus) { m.InService, m.Server, m.Gate = false, "Unknown", "Unknown" }), "voter my-cluster-placement-center-4"},
		"one votes in one group only":     {last(func(m *v1alpha1.MemberStatus) { m.InService, m.VoterIn = false, []string{"data_0"} }), "voter my-cluster-placement-center-4"},
		"one is joining":                  {last(func(m *v1alpha1.MemberStatus) { m.InService, m.VoterIn = false, nil }), "my-cluster-placement-center-4 is joining"},
		"one is being seeded":             {last(func(m *v1alpha1.MemberStatus) { m.InService, m.VoterIn, m.Marker = false, nil, "Seeded" }), "is being seeded"},
		"one was let in and starts":       {last(func(m *v1alpha1.MemberStatus) { m.InService, m.VoterIn, m.Server = false, nil, "Stopped" }), "is joining"},
		"one crashes while it joins": {last(func(m *v1alpha1.MemberStatus) {
			m.InService, m.VoterIn, m.Gate, m.Server = false, nil, "Held", "Exited"
		}), "is joining"},
		"one could never be scheduled": {last(func(m *v1alpha1.MemberStatus) {
			m.InService, m.VoterIn, m.Gate, m.Server, m.Marker = false, nil, "Missing", "Missing", "Missing"
		}), ""},
		"one waits at its gate": {last(func(m *v1alpha1.MemberStatus) {
			m.InService, m.VoterIn, m.Gate, m.Server, m.Marker = false, nil, "AwaitsOrder", "Stopped", "None"
		}), ""},
		"there is no leader, so nobody is known to vote": {func(c *cluster) {
			for i := range c.Status.Members {
				c.Status.Members[i].InService, c.Status.Members[i].VoterIn, c.Status.Members[i].Gate, c.Status.Members[i].Server = false, nil, "Unknown", "Unknown"
			}
		}, "nobody knows who votes"},
		"nothing was seen yet": {func(c *cluster) { c.Status.Members = nil }, "nobody knows who votes"},
		"it was never founded": {func(c *cluster) { c.Status.Founded, c.Status.Members = false, nil }, ""},
		"a broker is down":     {func(c *cluster) { c.Status.Members[5].Server = "Exited" }, ""},
	} {
		was := stands(5)
		c.change(was)
		is := was.DeepCopy()
		is.Spec.PlacementCenter.Replicas = 3
		vs := Denied(Cluster(was, is, Context{Operation: Update}))
		if c.refused == "" {
			if len(vs) != 0 {
				t.Errorf("%s: %s", what, Summary(vs))
			}
			continue
		}
		if len(vs) != 1 || vs[0].Rule != "NoShrinkWhileDegraded" || vs[0].Field.String() != "spec.placementCenter.replicas" || vs[0].Value != int32(3) ||
			!strings.Contains(vs[0].Message, c.refused) || !strings.Contains(vs[0].WayOut, "QuorumHealthy") {
			t.Errorf("%s: %s; want %q", what, Summary(vs), c.refused)
		}
		if live := LiveCluster(was, is, nil); len(live) != 1 || live[0].Text() != vs[0].Text() {
			t.Errorf("%s: before acting it is %s", what, Summary(live))
		}
	}
}

func TestADegradedPlacementCentreMayGrowStayAndChangeOtherwise(t *testing.T) {
	was := degraded(5)
	for what, change := range map[string]func(*cluster){
		"more members":       members(7),
		"the same":           members(5),
		"more brokers":       func(c *cluster) { c.Spec.MQTTBroker.Replicas = 7 },
		"another log":        setting("log", "log_level", `"info"`),
		"a deletion of keys": func(c *cluster) { c.Spec.Config = nil },
	} {
		is := was.DeepCopy()
		change(is)
		for _, v := range Denied(Cluster(was, is, Context{Operation: Update})) {
			if v.Rule == "NoShrinkWhileDegraded" {
				t.Errorf("%s: %s", what, v.Text())
			}
		}
	}
}

// A cluster whose spec shrank while no webhook was there must still be mended: the guard would leave it alone, the live check holds back only the shrink.
func TestADegradedClusterThatShallShrinkIsNotLeftAlone(t *testing.T) {
	was, is := degraded(5), degraded(5)
	is.Spec.PlacementCenter.Replicas = 3
	if vs := GuardCluster(was, is); len(vs) != 0 {
		t.Errorf("the guard: %s", Summary(vs))
	}
	if vs := LiveCluster(was, is, nil); len(vs) != 1 {
		t.Errorf("before acting: %s", Summary(vs))
	}
	if vs := LiveCluster(nil, is, nil); len(vs) != 0 {
		t.Errorf("nothing exists yet: %s", Summary(vs))
	}
}

func TestTheLiveCheckAsksTheRulesOfTheTableThatAnswerForTheLivingClusterAndNoOther(t *testing.T) {
	for _, name := range slices.Concat(live, onlyLive) {
		if !slices.ContainsFunc(Clusters, func(r Rule[cluster]) bool { return r.Name == name }) {
			t.Errorf("there is no rule %s", name)
		}
	}
	for what, c := range map[string]struct {
		was, is *cluster
		want    string
	}{
		"7 to 3":           {stands(7), valid(members(3)), "NoShrinkBelowQuorum"},
		"3 to 1":           {stands(3), valid(members(1)), "NoShrinkBelowQuorum"},
		"too many brokers": {stands(3), valid(func(c *cluster) { c.Spec.MQTTBroker.Replicas = 1001 }), "BrokersWithinScale"},
		"too few for copies": {stands(3), valid(func(c *cluster) {
			c.Spec.MQTTBroker.Replicas = 1
			setting("runtime", "default_topic_replica_num", "5")(c)
		}), "BrokersWithinScale"},
		"a version of nothing": {stands(3), valid(version("newest")), "VersionKnown"},
		"an older version":     {stands(3), valid(version("0.4.9")), "VersionForward"},
		"a hop":                {func() *cluster { c := stands(3); c.Spec.Version, c.Status.Version = "0.3.0", "0.3.0"; return c }(), valid(version("0.4.11")), "VersionHop"},
		"smaller volumes":      {func() *cluster { c := stands(3); c.Spec.PlacementCenter.Storage = quantity("20Gi"); return c }(), valid(), ""},
		"a reserved key":       {stands(3), valid(setting("", "broker_id", "1")), ""},
	} {
		var got []string
		for _, v := range LiveCluster(c.was, c.is, nil) {
			got = append(got, v.Rule)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v; want %q", what, got, c.want)
		}
	}
}

func TestNothingThatARestoreCountsOnChangesWhileItRuns(t *testing.T) {
	was := stands(3)
	was.Spec.JournalServer = &v1alpha1.JournalServerSpec{Replicas: 3}
	name := "fast"
	for what, c := range map[string]struct {
		change func(*cluster)
		field  string
	}{
		"members":          {members(5), "spec.placementCenter.replicas"},
		"brokers":          {func(c *cluster) { c.Spec.MQTTBroker.Replicas = 6 }, "spec.mqttBroker.replicas"},
		"journal servers":  {func(c *cluster) { c.Spec.JournalServer.Replicas = 4 }, "spec.journalServer.replicas"},
		"the version":      {version("0.4.12"), "spec.version"},
		"storage":          {func(c *cluster) { c.Spec.PlacementCenter.Storage = quantity("11Gi") }, "spec.placementCenter.storage"},
		"a class":          {func(c *cluster) { c.Spec.MQTTBroker.StorageClassName = &name }, "spec.mqttBroker.storageClassName"},
		"the layout":       {func(c *cluster) { c.Spec.JournalServer = nil }, "spec.journalServer"},
		"a listener":       {func(c *cluster) { off := false; c.Spec.Listeners.WS = &v1alpha1.ListenerSpec{Enabled: &off} }, ""},
		"pausing":          {func(c *cluster) { c.Spec.Paused = true }, ""},
		"the same storage": {func(c *cluster) { c.Spec.PlacementCenter.Storage = quantity("10240Mi") }, ""},
	} {
		is := was.DeepCopy()
		c.change(is)
		ended, another := restoring("my-cluster"), restoring("other")
		ended.Status.Stage = v1alpha1.RestoreAborted
		for _, around := range []*Around{nil, {}, {Restores: []restore{ended, another}}} {
			for _, v := range Cluster(was, is, Context{Operation: Update, Around: around}) {
				if v.Rule == "NoChangeDuringRestore" {
					t.Errorf("%s, while nothing restores it: %s", what, v.Text())
				}
			}
		}
		around := &Around{Restores: []restore{ended, another, restoring("my-cluster")}}
		var got []string
		for _, v := range LiveCluster(was, is, around) {
			if v.Rule == "NoChangeDuringRestore" {
				got = append(got, v.Field.String())
				if !strings.Contains(v.Text(), "restore undo") || !strings.Contains(v.Text(), "kubectl get rmqr undo -n default") {
					t.Errorf("%s: %s", what, v.Text())
				}
			}
		}
		if strings.Join(got, " ") != c.field || ChangesWhatARestoreCountsOn(was, is) != (c.field != "") {
			t.Errorf("%s: %v; want %q", what, got, c.field)
		}
	}
	is := was.DeepCopy()
	is.Spec.MQTTBroker.Replicas = 9
	if vs := Denied(Cluster(was, is, Context{Operation: Scale, Around: &Around{Restores: []restore{restoring("my-cluster")}}})); len(vs) != 1 || vs[0].Rule != "NoChangeDuringRestore" {
		t.Errorf("through scale: %s", Summary(vs))
	}
}

func TestOnlySettingsAreMeantWhereNoOtherRuleIsBroken(t *testing.T) {
	for _, name := range ofSettings {
		if !slices.ContainsFunc(Clusters, func(r Rule[cluster]) bool { return r.Name == name }) {
			t.Errorf("there is no rule %s", name)
		}
	}
	for _, r := range Clusters {
		if strings.HasPrefix(r.Name, "Config") != slices.Contains(ofSettings, r.Name) {
			t.Errorf("%s is about settings, or is called so", r.Name)
		}
	}
	for what, c := range map[string]struct {
		of   *cluster
		want bool
	}{
		"nothing is broken": {valid(), false},
		"an unknown key":    {valid(setting("runtime", "no_such_key", `1`)), true},
		"three rules":       {valid(setting("runtime", "no_such_key", `1`), setting("", "broker_id", `1`), setting("runtime", "pprof_enable", `1`)), true},
		"a size as well":    {valid(setting("runtime", "no_such_key", `1`), members(4)), false},
		"a size":            {valid(members(4)), false},
	} {
		if got := OnlySettings(GuardCluster(nil, c.of)); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}
