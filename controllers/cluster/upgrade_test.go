package cluster

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/tools/events"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// hopping is a pass over a cluster of 0.4.8 whose spec asks for 0.4.11, with a place for backups.
func hopping(t *testing.T) *pass {
	t.Helper()
	p := savable(standing(t, nil))
	p.cluster.Status.Version, p.cluster.Status.Founded = "0.4.8", true
	p.desired.Spec.Version, p.version = "0.4.8", robustmq.Version{Major: 0, Minor: 4, Patch: 8}
	p.traits = robustmq.Lookup(p.version)
	for name, st := range p.observed.states {
		st.Server.Version = "0.4.8"
		p.observed.states[name] = st
	}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	p.inputs.Replicas = map[v1alpha1.Role]int32{v1alpha1.RolePlacementCenter: 3, v1alpha1.RoleMQTTBroker: 2}
	return level(p)
}

func look(t *testing.T, p *pass) *hop {
	t.Helper()
	r, _ := stored(t, p)
	if err := r.observeHop(t.Context(), p, topology.Assess(p.snapshot)); err != nil {
		t.Fatal(err)
	}
	return p.hop
}

func TestWhatTheSpecAsksForDecidesWhetherAnUpgradeIsOneThatCannotRoll(t *testing.T) {
	for what, c := range map[string]struct {
		change func(p *pass)
		want   hop
		words  string
	}{
		"it cannot roll":            {func(*pass) {}, hop{pending: true, ready: true}, ""},
		"it can":                    {func(p *pass) { p.cluster.Status.Version = "0.4.9" }, hop{}, ""},
		"nothing changes":           {func(p *pass) { p.cluster.Spec.Version = "0.4.8" }, hop{}, ""},
		"it goes back":              {func(p *pass) { p.cluster.Spec.Version = "0.4.7" }, hop{}, ""},
		"it is not founded":         {func(p *pass) { p.id.founded = false }, hop{}, ""},
		"there is no place to save": {func(p *pass) { p.cluster.Spec.Backup = nil }, hop{pending: true}, "add spec.backup.destination"},
		"it would begin empty":      {func(p *pass) { p.cluster.Status.Version = "0.4.0" }, hop{pending: true}, "_rocksdb"},
		"it sleeps":                 {func(p *pass) { p.cluster.Spec.Hibernated = true }, hop{pending: true, frozen: true}, "awake"},
		"a restore has the members": {func(p *pass) {
			p.snapshot.Wanted.Restore = topology.Restore{Name: "r", Stage: v1alpha1.RestoreStopping}
		}, hop{pending: true, frozen: true}, "restore"},
		"the new one was started": {func(p *pass) { p.cluster.Status.Upgrade = begunAt(true) }, hop{}, ""},
	} {
		p := hopping(t)
		c.change(p)
		got := *look(t, p)
		if got.pending != c.want.pending || got.ready != c.want.ready || got.frozen != c.want.frozen || !strings.Contains(got.wait.Message, c.words) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestTheNewVersionIsBuiltForOnceItMayHaveBeenStarted(t *testing.T) {
	cluster := sample("0.4.11")
	cluster.Status.Version = "0.4.8"
	for _, c := range []struct {
		record *v1alpha1.OfflineUpgrade
		spec   string
		want   string
	}{
		{nil, "0.4.11", "0.4.8"}, {begunAt(false), "0.4.11", "0.4.8"}, {begunAt(true), "0.4.11", "0.4.11"},
		{begunAt(true), "0.4.12", "0.4.12"}, // which may run beside the one that was started
		{begunAt(true), "0.4.8", "0.4.11"},
	} {
		cluster.Status.Upgrade, cluster.Spec.Version = c.record, c.spec
		if got := targetVersion(cluster); got != c.want {
			t.Errorf("%+v, spec.version %s: %s, want %s", c.record, c.spec, got, c.want)
		}
	}
}

func TestWhileAnUpgradeThatCannotRollIsWantedNothingElseOfTheSpecReachesTheServers(t *testing.T) {
	p := hopping(t)
	for role, set := range running(p.desired).sets {
		p.observed.sets[role] = set
	}
	p.desired.Spec.PlacementCenter.Replicas, p.desired.Spec.MQTTBroker.Replicas = 5, 4
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	look(t, p)
	p.resize(topology.Assess(p.snapshot))
	p.holdForHop()
	if !p.templatesHeld || !p.storageHeld[v1alpha1.RoleMQTTBroker] || p.inputs.Replicas[v1alpha1.RolePlacementCenter] != 3 || p.inputs.Replicas[v1alpha1.RoleMQTTBroker] != 2 || p.snapshot.Wanted.Replicas[v1alpha1.RoleMQTTBroker] != 2 || p.inputs.Members != 3 {
		t.Errorf("%+v, wanted %v, held %t %v", p.inputs.Replicas, p.snapshot.Wanted.Replicas, p.templatesHeld, p.storageHeld)
	}
	p = hopping(t)
	p.cluster.Spec.Version = "0.4.8"
	look(t, p)
	if p.holdForHop(); p.templatesHeld {
		t.Error("it is held although no such upgrade is wanted")
	}
}

func TestAnUpgradeThatCannotRollBeginsOnlyWhenNothingElseIsToBeDoneAndTheImagesAreThere(t *testing.T) {
	pulled := func(phase topology.PullPhase) func(p *pass) {
		return func(p *pass) {
			for i := range p.snapshot.Members {
				p.snapshot.Members[i].Pull.Phase = phase
			}
		}
	}
	for what, c := range map[string]struct {
		change func(p *pass)
		plan   topology.Plan
		begins bool
		words  string
	}{
		"all is well":              {pulled(topology.PullDone), topology.Plan{}, true, "brokers and journal servers are stopped first"},
		"something is done":        {pulled(topology.PullDone), topology.Plan{Steps: []topology.Step{{Kind: topology.StepRestart, Pod: "c-mqtt-broker-0"}}}, false, "c-mqtt-broker-0"},
		"something is waited for":  {pulled(topology.PullDone), topology.Plan{Waits: []topology.Wait{{Message: "a voter is missing"}}}, false, "a voter is missing"},
		"an object is waited for":  {func(p *pass) { pulled(topology.PullDone)(p); p.waits = []topology.Wait{{Message: "no Secret"}} }, topology.Plan{}, false, "no Secret"},
		"images are to be pulled":  {pulled(topology.PullWanted), topology.Plan{}, false, "images are being pulled"},
		"images are being pulled":  {pulled(topology.PullRunning), topology.Plan{}, false, "images are being pulled"},
		"an image cannot be had":   {pulled(topology.PullFailed), topology.Plan{}, false, "no pod is taken down"},
		"there is no place for it": {func(p *pass) { pulled(topology.PullDone)(p); p.cluster.Spec.Backup = nil }, topology.Plan{}, false, "spec.backup.destination"},
	} {
		p := hopping(t)
		c.change(p)
		look(t, p)
		plan := p.prepareHop(c.plan)
		if p.hop.begins != c.begins || !strings.Contains(p.hop.wait.Message, c.words) || len(plan.Waits) == 0 {
			t.Errorf("%s: begins %t: %s", what, p.hop.begins, p.hop.wait.Message)
		}
		if !c.begins && len(c.plan.Steps)+len(c.plan.Waits) == 0 && !plan.Serves() && what != "an image cannot be had" && what != "an object is waited for" {
			t.Errorf("%s: the cluster is not Ready while it waits", what)
		}
	}
}

func TestBrokersStopBeforeMembersAndBothSleepForAnUpgradeThatCannotRoll(t *testing.T) {
	for what, c := range map[string]struct {
		hop             *hop
		members, broker int32
	}{
		"it waits":       {&hop{pending: true}, 3, 2},
		"brokers stop":   {&hop{pending: true, stopNodes: true}, 3, 0},
		"everybody does": {&hop{pending: true, stopNodes: true, stopMembers: true}, 0, 0},
	} {
		p := hopping(t)
		p.hop = c.hop
		p.rest(topology.Assess(p.snapshot))
		if got := p.inputs.Replicas; got[v1alpha1.RolePlacementCenter] != c.members || got[v1alpha1.RoleMQTTBroker] != c.broker {
			t.Errorf("%s: %v", what, got)
		}
		if c.broker == 0 && p.inputs.Asleep[v1alpha1.RoleMQTTBroker] != 2 {
			t.Errorf("%s: how many brokers there were is not kept: %v", what, p.inputs.Asleep)
		}
	}
}

func TestARoleIsAtRestOnlyWhenItsControllerHasNoPodAndMakesNone(t *testing.T) {
	p := hopping(t)
	p.inputs.Replicas[v1alpha1.RoleMQTTBroker], p.inputs.Asleep = 0, map[v1alpha1.Role]int32{v1alpha1.RoleMQTTBroker: 2}
	asleep := func() *appsv1.StatefulSet {
		set := manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker)
		set.Generation, set.Status.ObservedGeneration = 2, 2
		return set
	}
	for what, c := range map[string]struct {
		change func(set *appsv1.StatefulSet)
		want   bool
	}{
		"it sleeps":                       {func(*appsv1.StatefulSet) {}, true},
		"its controller has not seen it":  {func(set *appsv1.StatefulSet) { set.Status.ObservedGeneration = 1 }, false},
		"its controller has a pod":        {func(set *appsv1.StatefulSet) { set.Status.Replicas = 1 }, false},
		"it was scaled to 0, not asleep":  {func(set *appsv1.StatefulSet) { set.Annotations = nil }, false},
		"it is asleep in name, and has 2": {func(set *appsv1.StatefulSet) { *set.Spec.Replicas = 2 }, false},
	} {
		set := asleep()
		if c.change(set); atRest(set) != c.want {
			t.Errorf("%s: %t", what, !c.want)
		}
	}
	if atRest(nil) {
		t.Error("one that does not exist")
	}
}

func TestAnUpgradeThatCannotRollIsOverWhenEveryServerRunsIt(t *testing.T) {
	p := formed(t)
	p.cluster.Status.Version, p.cluster.Status.Founded, p.cluster.Status.Upgrade = "0.4.8", true, begunAt(true)
	p.hop = &hop{}
	st := p.observed.states["c-mqtt-broker-1"]
	st.Server.Phase = "Exited"
	p.observed.states["c-mqtt-broker-1"] = st
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	health := topology.Assess(p.snapshot)
	plan := opened(p, health, topology.Decide(p.snapshot))
	status := computeStatus(p, health, plan, noon)
	if status.Version != "0.4.8" || status.Upgrade == nil || !strings.Contains(waitText(plan.Waits), `for a new cluster of version "0.4.8"`) {
		t.Errorf("%q %+v: %s", status.Version, status.Upgrade, waitText(plan.Waits))
	}
	st.Server.Phase = "Running"
	p.observed.states["c-mqtt-broker-1"] = st
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
	health = topology.Assess(p.snapshot)
	if plan := opened(p, health, topology.Plan{}); len(plan.Waits) != 0 {
		t.Errorf("%+v", plan.Waits)
	}
	if status := computeStatus(p, health, topology.Plan{}, noon); status.Version != "0.4.11" || status.Upgrade != nil {
		t.Errorf("%q %+v", status.Version, status.Upgrade)
	}
}

func TestThePhasesOfAnUpgradeThatCannotRollAreTold(t *testing.T) {
	of := func(version string, u *v1alpha1.OfflineUpgrade) v1alpha1.RobustMQClusterStatus {
		return v1alpha1.RobustMQClusterStatus{Version: version, Upgrade: u}
	}
	for what, c := range map[string]struct {
		before, after v1alpha1.RobustMQClusterStatus
		want          string
	}{
		"begun":      {of("0.4.8", nil), of("0.4.8", begunAt(false)), v1alpha1.ReasonUpgradeStopping},
		"going on":   {of("0.4.8", begunAt(false)), of("0.4.8", begunAt(false)), ""},
		"opened":     {of("0.4.8", begunAt(false)), of("0.4.8", begunAt(true)), v1alpha1.ReasonUpgradeStarting},
		"over":       {of("0.4.8", begunAt(true)), of("0.4.11", nil), v1alpha1.ReasonUpgraded},
		"taken back": {of("0.4.8", begunAt(false)), of("0.4.8", nil), v1alpha1.ReasonUpgradeTakenBack},
	} {
		got := ""
		for _, told := range transitions(c.before, c.after) {
			got += told.reason
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

func TestTheBackupBeforeAnUpgradeIsMadeOnceAndBelongsToNobody(t *testing.T) {
	p := hopping(t)
	p.cluster.Status.Upgrade = begunAt(false)
	look(t, p)
	r, _ := stored(t, p)
	told := events.NewFakeRecorder(4)
	r.Events = told
	for range 2 {
		if err := r.saveBeforeHop(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	var all v1alpha1.RobustMQBackupList
	if err := r.List(t.Context(), &all); err != nil || len(all.Items) != 1 {
		t.Fatalf("%d backups, %v", len(all.Items), err)
	}
	b := all.Items[0]
	if b.Name != "c-upgrade-1" || len(b.OwnerReferences) != 0 || b.Labels[v1alpha1.LabelSchedule] != "" || b.Labels[v1alpha1.LabelUpgrade] == "" || b.Spec.ClusterName != "c" {
		t.Errorf("%+v", b)
	}
	if n := len(told.Events); n != 1 {
		t.Errorf("it was told of %d times", n)
	}
}

func TestForAnUpgradeThatCannotRollAStatefulSetIsPutToSleepWithTheTemplateThatItHas(t *testing.T) {
	p := hopping(t)
	p.inputs.ServerImage = "robustmq:0.4.8"
	there := manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker)
	p.observed.sets = map[v1alpha1.Role]*appsv1.StatefulSet{v1alpha1.RoleMQTTBroker: there}
	r, _ := stored(t, p)
	if err := r.Create(t.Context(), there.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	r.Reader = r.Client
	build := func(replicas int32) *appsv1.StatefulSet {
		p.inputs.ServerImage, p.inputs.Replicas[v1alpha1.RoleMQTTBroker] = "robustmq:0.4.11", replicas
		return manifests.StatefulSet(p.desired, p.inputs, v1alpha1.RoleMQTTBroker)
	}
	if may, err := r.keepTemplate(t.Context(), p, build(2)); may || err != nil {
		t.Errorf("nothing is to be applied: %t %v", may, err)
	}
	set := build(0)
	if may, err := r.keepTemplate(t.Context(), p, set); !may || err != nil || manifests.TemplateHash(set) != manifests.TemplateHash(there) || *set.Spec.Replicas != 0 {
		t.Errorf("%t %v: %s", may, err, set.Spec.Template.Spec.Containers[0].Image)
	}
	// One that is missing is made anew for the version that runs, where its image is known to be that version's.
	if err := r.Delete(t.Context(), there.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	p.observed.sets = nil
	if may, err := r.keepTemplate(t.Context(), p, build(2)); !may || err != nil {
		t.Errorf("it is missing: %t %v", may, err)
	}
	p.desired.Spec.Image = "robustmq:0.4.11"
	if may, err := r.keepTemplate(t.Context(), p, build(2)); may || err != nil || len(p.waits) != 1 || !p.waits[0].Trouble {
		t.Errorf("it is missing, and spec.image is of who knows which version: %t %v %+v", may, err, p.waits)
	}
}
