package simulated

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// forge writes another backup into the bucket: the one called "first" with a changed manifest, and returns its key.
func (r *rescue) forge(id string, change func(*archive.Manifest)) string {
	r.Helper()
	key := backupOf(r.T, r.w, "first").Status.Key
	text, ok := r.bucket.Object(key)
	if !ok {
		r.Fatalf("the bucket has no %s", key)
	}
	m, err := archive.Parse(text)
	if err != nil {
		r.Fatal(err)
	}
	change(&m)
	if text, err = m.Marshal(); err != nil {
		r.Fatal(err)
	}
	folder := path.Join(path.Dir(path.Dir(key)), id)
	r.bucket.Put(path.Join(folder, "manifest.json"), text)
	sum := sha256.Sum256(text)
	r.bucket.Put(path.Join(folder, "manifest.sha256"), []byte(hex.EncodeToString(sum[:])+"  manifest.json\n"))
	return path.Join(folder, "manifest.json")
}

// from makes a restore's source a place in the bucket.
func (r *rescue) from(change func(*v1alpha1.RestoreSource)) func(*v1alpha1.RobustMQRestoreSpec) {
	return func(s *v1alpha1.RobustMQRestoreSpec) {
		d := r.w.Cluster("c").Spec.Backup.Destination
		s.Source = v1alpha1.RestoreSource{Destination: &d}
		s.Unsafe = append(s.Unsafe, v1alpha1.RestoreInsecureS3)
		change(&s.Source)
	}
}

func TestARestoreThatCannotBeGoodIsRefusedBeforeAnythingIsStopped(t *testing.T) {
	t.Parallel()
	r := rescued(t, world.Options{})
	w := r.w
	key := backupOf(t, w, "first").Status.Key
	settle(t, w)
	before, starts := allTerms(t, w), map[string]int{}
	for _, pod := range w.AllPods(w.Cluster("c")) {
		starts[pod] = len(w.Starts(pod))
	}
	orders := len(w.Operator().Orders())
	keyed := func(key string) func(*v1alpha1.RestoreSource) {
		return func(s *v1alpha1.RestoreSource) { s.Key = key }
	}
	for name, x := range map[string]struct {
		spec  func(*v1alpha1.RobustMQRestoreSpec)
		words string // in the message
	}{
		"newer-version": {spec: r.from(keyed(r.forge("20260101T000000Z-newer", func(m *archive.Manifest) { m.RobustMQ.Version = "0.5.2" }))), words: "0.5.2"},
		"broken-table": {spec: r.from(keyed(r.forge("20260101T000001Z-broken", func(m *archive.Manifest) {
			gone := strings.Repeat("0", 64)
			m.Tables = append(slices.Clone(m.Tables), archive.Table{
				Entry: archive.Entry{Name: "999999.sst", Size: 1, SHA256: gone}, Object: archive.Object{Key: "tables/" + gone, Size: 1, SHA256: gone},
			})
		}))), words: "tables/" + strings.Repeat("0", 64)},
		"broken-files":    {spec: r.from(keyed(r.forge("20260101T000002Z-short", func(m *archive.Manifest) { m.Files.Object.Size++ }))), words: "files"},
		"no-such-backup":  {spec: r.from(keyed(path.Join(path.Dir(path.Dir(key)), "20260101T000003Z-none", "manifest.json"))), words: "20260101T000003Z-none"},
		"foreign-key":     {spec: r.from(keyed(strings.Replace(key, "eu/", "us/", 1))), words: "us/"},
		"foreign-cluster": {spec: r.from(func(s *v1alpha1.RestoreSource) { s.ClusterUID = "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55" }), words: "0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55"},
		"foreign-prefix":  {spec: r.from(func(s *v1alpha1.RestoreSource) { s.Destination.Prefix = "us" }), words: "us"},
		"before-any": {spec: r.from(func(s *v1alpha1.RestoreSource) {
			s.Before = &metav1.Time{Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
		}), words: "2020"},
		"too-few-brokers": {spec: r.from(keyed(r.forge("20260101T000004Z-more", func(m *archive.Manifest) { m.Nodes.MQTTBroker = 5 }))), words: "5"},
		"too-few-members": {spec: r.from(keyed(r.forge("20260101T000005Z-many", func(m *archive.Manifest) { m.Nodes.PlacementCenter = 5 }))), words: "5"},
		"no-journal":      {spec: r.from(keyed(r.forge("20260101T000006Z-journal", func(m *archive.Manifest) { m.Nodes.JournalServer = 1 }))), words: "1"},
	} {
		r.restore(name, x.spec)
		ended := awaitRestore(t, w, name, v1alpha1.RestoreFailed, v1alpha1.RestoreComplete)
		if c := sayRestore(ended); ended.Status.Stage != v1alpha1.RestoreFailed || !strings.Contains(c, x.words) || !ended.Status.StoppedTime.IsZero() || ended.Status.Generation != 0 || ended.Status.SafetyBackupName != "" {
			t.Errorf("%s, stopped %v, generation %d, safety backup %q: want refused for %q, and nothing done", c, ended.Status.StoppedTime, ended.Status.Generation, ended.Status.SafetyBackupName, x.words)
		} else {
			t.Log(c)
		}
	}

	// A manifest that is not the one whose checksum its object's status tells.
	was, _ := r.bucket.Object(key)
	was = slices.Clone(was)
	r.bucket.Corrupt(key, func(text []byte) []byte {
		return []byte(strings.Replace(string(text), `"name": "first"`, `"name": "worst"`, 1))
	})
	r.restore("manifest-altered")
	if x := awaitRestore(t, w, "manifest-altered", v1alpha1.RestoreFailed); !x.Status.StoppedTime.IsZero() {
		t.Errorf("%s, stopped %v", sayRestore(x), x.Status.StoppedTime)
	}
	r.bucket.Put(key, was)

	// No room on one member.
	w.Amend(func(pod string, s *protocol.State) {
		if pod == "c-placement-center-1" {
			s.Volume.FreeBytes = 300 << 20
		}
	})
	r.restore("no-room", func(s *v1alpha1.RobustMQRestoreSpec) {
		r.from(keyed(r.forge("20260101T000007Z-big", func(m *archive.Manifest) {
			big := strings.Repeat("1", 64)
			m.Tables = append(slices.Clone(m.Tables), archive.Table{
				Entry: archive.Entry{Name: "999999.sst", Size: 1 << 30, SHA256: big}, Object: archive.Object{Key: "tables/" + big, Size: 1 << 30, SHA256: big},
			})
			r.bucket.Put(path.Join(path.Dir(path.Dir(path.Dir(key))), "tables", big), nil)
		})))(s)
	})
	if x := awaitRestore(t, w, "no-room", v1alpha1.RestoreFailed); !x.Status.StoppedTime.IsZero() {
		t.Errorf("%s, stopped %v", sayRestore(x), x.Status.StoppedTime)
	}
	w.Amend(nil)

	if now := w.Operator().Orders()[orders:]; len(now) > 0 {
		t.Errorf("agents were ordered %v", now)
	}
	for pod, n := range starts {
		if now := len(w.Starts(pod)); now != n {
			t.Errorf("%s was started %d times more", pod, now-n)
		}
	}
	if now := allTerms(t, w); !maps.Equal(now, before) {
		t.Errorf("terms were %v and are %v", before, now)
	}
	r.untouched(1)
}

// What a live cluster would be overwritten with needs a quorum to be saved first, or the user's word.
func TestARestoreOfAClusterThatCannotBeSavedFirstWaitsOrSaysWhatIsMissing(t *testing.T) {
	long(t)
	t.Parallel()
	r := rescued(t, world.Options{})
	w := r.w
	away := []string{"c-placement-center-1", "c-placement-center-2"}
	w.Poison(func(pod, _, _ string) bool { return slices.Contains(away, pod) })
	for _, pod := range away {
		w.Kubelet.Crash(pod)
	}
	// A leader whose quorum went away leads for a few seconds more, and is a good source until then.
	w.AwaitCondition("c", v1alpha1.ConditionQuorumHealthy, "False", v1alpha1.ReasonMembersMissing, "no leader with a quorum")
	r.restore("unsaved")
	w.Await("it to say what it lacks", func() (bool, string) {
		x := restoreOf(t, w, "unsaved")
		text := sayRestore(x)
		return strings.Contains(text, string(v1alpha1.SkipSafetyBackup)) && x.Status.StoppedTime.IsZero(), text
	})
	w.Poison(nil)
}
