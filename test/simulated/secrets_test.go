package simulated

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// The planted secrets. The others (the key of the tokens, the keys of the certificates) are made by the operator, and read from its Secrets.
const (
	plantedAdmin = "sentinel-of-the-admin-4e1f"
	plantedMQTT  = "sentinel-of-the-mqtt-user-9b7c"
)

// plantSecrets makes the Secrets that a user can name, and returns the lines of the manifest that name them.
func plantSecrets(t *testing.T, w *world.World, bucket *world.Bucket) (more, identity string) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	plantCredentials(t, w)
	for name, data := range map[string]map[string]string{
		"admin": {"username": "admin", "password": plantedAdmin}, "mqtt": {"username": "mqtt", "password": plantedMQTT}, "age": {"identity": key.String()},
	} {
		if err := w.Client.Create(w.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.Namespace}, StringData: data}); err != nil {
			t.Fatal(err)
		}
	}
	where := strings.TrimSuffix(strings.TrimSpace(destination(bucket)), "}")
	return fmt.Sprintf("  auth: {adminSecretName: admin, mqttSecretName: mqtt}\n  %s, encryption: {recipients: [%s], identitySecretName: age}}\n", where, key.Recipient()), key.String()
}

// needles are what must be nowhere, by what it is. Of a key in PEM its second line is enough: no log line would hold all of it.
func needles(t *testing.T, w *world.World) map[string]string {
	t.Helper()
	var secrets corev1.SecretList
	if err := w.Client.List(w.Context(), &secrets, client.InNamespace(w.Namespace)); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, s := range secrets.Items {
		for key, value := range s.Data {
			if key == "username" || key == "accessKey" || key == corev1.TLSCertKey || key == "ca.crt" || key == "config.json" || len(value) < 12 {
				continue // public, or too short to be told from other words
			}
			needle := string(value)
			if lines := strings.Split(needle, "\n"); len(lines) > 2 {
				needle = lines[1]
			}
			all[key+" of Secret "+s.Name] = needle
		}
	}
	return all
}

// places are where anybody who may not read Secrets can look: logs, objects with status, events, environment and arguments, and what is scraped.
func places(t *testing.T, w *world.World) map[string]string {
	t.Helper()
	all := w.Objects()
	for name, text := range w.Logs() {
		all["log "+name] = text
	}
	scrape := httptest.NewRecorder()
	promhttp.HandlerFor(w.Operator().Metrics, promhttp.HandlerOpts{}).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	all["metrics of the operator"] = scrape.Body.String()
	c := w.Cluster("c")
	listeners := c.Spec.Listeners.Effective()
	admin := listeners[slices.IndexFunc(listeners, func(l v1alpha1.Listener) bool { return l.Name == "admin" })].Port
	for _, name := range w.AllPods(c) {
		ip := pod(t, w, name).Status.PodIP
		for what, url := range map[string]string{
			"agent": fmt.Sprintf("http://%s:%d/metrics", ip, protocol.PublicPort), "agent's health": fmt.Sprintf("http://%s:%d/healthz", ip, protocol.PublicPort),
			"server": fmt.Sprintf("http://%s:%d/metrics", ip, admin),
		} {
			all[what+" of "+name] = got(w, url)
		}
	}
	return all
}

// got waits for an answer: a server that was crashed is being started.
func got(w *world.World, url string) (text string) {
	w.T.Helper()
	w.Await("an answer of "+url, func() (bool, string) {
		answer, err := http.Get(url) //nolint:gosec,noctx // of this test's own pods
		if err != nil {
			return false, err.Error()
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		text = string(body)
		return err == nil && answer.StatusCode == http.StatusOK && text != "", fmt.Sprint(answer.Status, err)
	})
	return text
}

// A cluster whose every secret is planted or known lives through a formation, backups that succeed and fail, a restore and crashes, and its servers print their configuration at each start, as a real one does that is
// not told to be silent.
func TestNoSecretIsInAnyLogEventObjectOrMetric(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{LoudServers: true})
	bucket := w.NewBucket()
	more, identity := plantSecrets(t, w, bucket)
	form(t, w, manifest(newest, 3, 2, more))
	back(t, w, "good")
	completed(t, w, "good")
	bucket.Faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return s3test.Echo // a proxy that repeats what it was sent
		}
		return s3test.None
	})
	back(t, w, "bad")
	failedWith(t, w, "bad", v1alpha1.ReasonAccessDenied)
	bucket.Faults.Choose(func(*http.Request) s3test.Fault { return s3test.None })
	spec := v1alpha1.RobustMQRestoreSpec{ClusterName: "c", Source: v1alpha1.RestoreSource{BackupName: "good"}}
	quick(&spec)
	if err := w.Client.Create(w.Context(), &v1alpha1.RobustMQRestore{ObjectMeta: metav1.ObjectMeta{Name: "undo", Namespace: w.Namespace}, Spec: spec}); err != nil {
		t.Fatal(err)
	}
	awaitRestore(t, w, "undo", v1alpha1.RestoreComplete)
	w.CrashServer("c-mqtt-broker-0")
	formed(t, w)

	look, find := places(t, w), needles(t, w)
	for _, planted := range []string{plantedAdmin, plantedMQTT, world.BucketSecretKey, identity} {
		if !slices.Contains(slices.Collect(maps.Values(find)), planted) {
			t.Errorf("%s is not looked for", planted)
		}
	}
	if len(find) < 9 {
		t.Errorf("only %d secrets are looked for: %v", len(find), slices.Sorted(maps.Keys(find)))
	}
	for what, needle := range find {
		for place, text := range look {
			if strings.Contains(text, needle) {
				t.Errorf("%s holds the key %s", place, what)
			}
		}
	}
	// Where nothing is printed nothing can be found: the servers did print, and the agents blotted out.
	blotted := 0
	for place, text := range look {
		if strings.HasPrefix(place, "log ") && strings.Contains(text, "broker config:") && strings.Contains(text, "***") {
			blotted++
		}
	}
	if blotted < 5 {
		t.Errorf("%d of 5 servers printed their configuration, blotted out", blotted)
	}
}

// decision is a line of the operator's log.
type decision struct {
	Msg     string `json:"msg"`
	Cluster string `json:"cluster"`
	Step    string `json:"step"`
	Reason  string `json:"reason"`
	Pod     string `json:"pod"`
}

func TestTheLogIsOneJSONObjectALineAndEveryDecisionNamesClusterStepAndReason(t *testing.T) {
	t.Parallel()
	w := env.New(t, world.Options{})
	form(t, w, manifest(newest, 3, 2, ""))
	settle(t, w)
	steps := map[string]int{}
	lines := func() []string { return strings.Split(strings.TrimSpace(w.Logs()["operator.manager.log"]), "\n") }
	for _, line := range lines() {
		var d decision
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch d.Msg {
		case "step done", "step failed", "waiting", "changed":
			if d.Cluster != w.Namespace+"/c" || d.Step == "" || d.Reason == "" {
				t.Errorf("a decision without cluster, step or reason: %s", line)
			}
			steps[d.Step]++
		}
	}
	if steps["Found"] != 1 || steps["MarkFounded"] < 1 || steps["OrderJoin"] < 2 || steps["none"] < 5 {
		t.Errorf("a formation founds once and lets two members join: %v", steps)
	}
	before := len(lines())
	w.Stays(time.Minute, "no line in the log", func() (bool, string) {
		now := lines()
		return len(now) == before, strings.Join(now[before:], "\n")
	})
}
