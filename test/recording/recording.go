package recording

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"

	"github.com/robustmq/robustmq-operator/monitoring/alerts"
)

// Target is what was scraped: the labels that rules go by.
type Target map[string]string

// Server and Agent are the targets of a pod of the cluster, as the ServiceMonitors label them; the pod is <cluster>-<role>-<ordinal>.
func (r *Recording) Server(role string, ordinal int) Target {
	return r.ofPod("robustmq-server", role, ordinal)
}

// Agent see Server.
func (r *Recording) Agent(role string, ordinal int) Target {
	return r.ofPod("robustmq-agent", role, ordinal)
}

func (r *Recording) ofPod(job, role string, ordinal int) Target {
	member := fmt.Sprintf("%s-%d", role, ordinal)
	return Target{"job": job, "namespace": r.namespace, "cluster": r.cluster, "role": role, "member": member, "pod": r.cluster + "-" + member}
}

// Operator is the target of a replica of the operator. Its samples may say whose they are: labels of theirs stand.
func Operator() Target {
	return Target{"job": "robustmq-operator", "namespace": "robustmq-operator-system", "pod": "robustmq-operator-0"}
}

type scrape struct {
	At          float64 `json:"at"`
	Target      Target  `json:"target"`
	HonorLabels bool    `json:"honorLabels"`
	Text        *string `json:"text"`
}

// Recording is filled by a test, also by several of its goroutines.
type Recording struct {
	t                  testing.TB
	namespace, cluster string

	mu      sync.Mutex
	scrapes []scrape
}

// New is an empty one, of a cluster with a name that does not matter.
func New(t testing.TB) *Recording { return Of(t, "apps", "orders") }

// Of is an empty one, which is judged by the rules of this cluster and those of the operator.
func Of(t testing.TB, namespace, cluster string) *Recording {
	return &Recording{t: t, namespace: namespace, cluster: cluster}
}

// Add notes an answer of a target.
func (r *Recording) Add(at time.Time, of Target, text string) { r.add(at, of, &text) }

// Silent notes that a target did not answer.
func (r *Recording) Silent(at time.Time, of Target) { r.add(at, of, nil) }

func (r *Recording) add(at time.Time, of Target, text *string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scrapes = append(r.scrapes, scrape{float64(at.UnixMilli()) / 1000, of, of["job"] == "robustmq-operator", text})
}

// Scrape asks a handler for its metrics and notes the answer.
func (r *Recording) Scrape(at time.Time, of Target, metrics http.Handler) {
	r.t.Helper()
	answer := httptest.NewRecorder()
	metrics.ServeHTTP(answer, httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		r.Silent(at, of)
		return
	}
	r.Add(at, of, answer.Body.String())
}

// Get asks an address for metrics and notes the answer, or that there was none.
func (r *Recording) Get(at time.Time, of Target, client *http.Client, url string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		r.Silent(at, of)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		r.Silent(at, of)
		return
	}
	r.Add(at, of, string(text))
}

// Alert is one that was active. Times are since the first scrape of the recording.
type Alert struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	// Active is when its condition began to hold.
	Active time.Duration
	// Fired is when it had held long enough; nil: it never had.
	Fired *time.Duration
	// Ended is when it held no more; nil: it held until the last scrape.
	Ended *time.Duration
}

// Judge has the rules of these alerts evaluated over what was recorded. hurry replaces what they wait for where that is longer; zero is that they wait as long as they say.
func (r *Recording) Judge(hurry time.Duration, names ...string) []Alert {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	question := struct {
		Every   float64 `json:"every"`
		Rules   any     `json:"rules"`
		Scrapes any     `json:"scrapes"`
	}{r.step(), r.rules(hurry, names), r.scrapes}
	in, err := json.Marshal(question)
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), program(r.t))
	var out, trouble bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &trouble
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("evaluate the alerts: %v: %s", err, trouble.String())
	}
	var all []Alert
	first := r.first()
	since := func(at *float64) *time.Duration {
		if at == nil {
			return nil
		}
		return new((time.Duration((*at-first)*1000) * time.Millisecond).Round(time.Millisecond))
	}
	decode := json.NewDecoder(&out)
	for decode.More() {
		var a struct {
			Alert               string
			Labels, Annotations map[string]string
			Active              float64
			Fired, Ended        *float64
		}
		if err := decode.Decode(&a); err != nil {
			r.t.Fatal(err)
		}
		all = append(all, Alert{a.Alert, a.Labels, a.Annotations, *since(&a.Active), since(a.Fired), since(a.Ended)})
	}
	return all
}

func earlier(a, b scrape) int { return cmp.Compare(a.At, b.At) }

func (r *Recording) first() float64 { return slices.MinFunc(r.scrapes, earlier).At }

// step is the time between two evaluations: some hundreds over the whole recording, never closer than a tenth of a second nor wider than half a minute.
func (r *Recording) step() float64 {
	if len(r.scrapes) == 0 {
		r.t.Fatal("nothing was recorded")
	}
	last := slices.MaxFunc(r.scrapes, earlier).At
	return min(30, max(0.1, (last-r.first())/400))
}

// Fires fails the test unless the alert fired, and not before the condition was made, at cause; and unless it ended after the condition was taken back, at cure (zero: it is not taken back, or the alert looks back over more time).
// All are times since the first scrape. What it saw is logged, for a table.
func (r *Recording) Fires(name string, hurry, cause, cure time.Duration) Alert {
	r.t.Helper()
	var fired *Alert
	for _, a := range r.Judge(hurry, name) {
		if a.Fired == nil {
			continue
		}
		if *a.Fired < cause {
			r.t.Errorf("%s %v fires %s after the begin, and its condition was made at %s", name, a.Labels, *a.Fired, cause)
		}
		if fired == nil || *a.Fired < *fired.Fired {
			fired = &a
		}
	}
	if fired == nil {
		r.t.Fatalf("%s does not fire: %+v", name, r.Judge(hurry, name))
	}
	end := "is not taken back"
	if cure > 0 {
		if fired.Ended == nil || *fired.Ended < cure {
			r.t.Errorf("%s fired, and did not end after %s: %v", name, cure, fired.Ended)
		} else {
			end = fmt.Sprintf("ended %.0f s after", (*fired.Ended - cure).Seconds())
		}
	}
	r.t.Logf("alert %s fires after %.0f s; %s; it says %q", name, (*fired.Fired - cause).Seconds(), end, fired.Annotations["summary"])
	return *fired
}

// Quiet fails the test if an alert fires.
func (r *Recording) Quiet(hurry time.Duration, names ...string) {
	r.t.Helper()
	for _, a := range r.Judge(hurry, names...) {
		if a.Fired != nil {
			r.t.Errorf("%s fires: %v", a.Name, a.Annotations)
		}
	}
}

func (r *Recording) rules(hurry time.Duration, names []string) []monitoringv1.Rule {
	r.t.Helper()
	ofCluster, err := alerts.ForCluster(r.namespace, r.cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	ofOperator, err := alerts.ForOperator()
	if err != nil {
		r.t.Fatal(err)
	}
	var found []monitoringv1.Rule
	for _, g := range slices.Concat(ofCluster, ofOperator) {
		for _, rule := range g.Rules {
			if !slices.Contains(names, rule.Alert) {
				continue
			}
			if rule.For != nil && hurry > 0 {
				rule.For = new(monitoringv1.Duration(hurry.String()))
			}
			found = append(found, rule)
		}
	}
	if len(found) != len(names) {
		r.t.Fatalf("%d of the alerts %v exist", len(found), names)
	}
	return found
}

var built = sync.OnceValues(func() (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output() // of whatever package is being tested
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(module)))
	cmd := exec.Command(filepath.Join(root, "test", "tools", "run"), "--path", "firing")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

func program(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatalf("build the program that evaluates alerts: %v", err)
	}
	return path
}
