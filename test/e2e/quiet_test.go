//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// TestAConvergedClusterIsLeftAlone counts what is written to the API server while nothing happens. Kubernetes' own signs of life are left out: leases (the
// operator's lease of leadership among them), the nodes' status, and checks of tokens.
func TestAConvergedClusterIsLeftAlone(t *testing.T) {
	onlyLong(t)
	quiet := lasting(t, "E2E_QUIET", 10*time.Minute)
	s := newScene(t, "quiet")
	s.apply(small("quiet"))
	s.ready(3 * time.Minute)
	s.quietFor(20 * time.Second) // the last events and statuses of the formation

	versions, writes := s.versions(), s.writes()
	s.quietFor(quiet)
	for object, version := range s.versions() {
		if versions[object] != version {
			t.Errorf("%s: resourceVersion %s, before %s", object, version, versions[object])
		}
	}
	total := 0
	for what, count := range s.writes() {
		if more := count - writes[what]; more > 0 {
			total += more
			t.Errorf("%d times: %s", more, what)
		}
	}
	figures.add(fmt.Sprintf("writes to the API server for a converged cluster in %s, leases aside", quiet), "%d; %d objects unchanged", total, len(versions))
}

// quietFor lets time pass. There is no condition to wait for: that nothing happens is what is looked at.
func (s *scene) quietFor(d time.Duration) {
	s.Helper()
	begin := time.Now()
	s.must(live.Until(s.Context(), "time to pass", time.Second, d+time.Minute, func(context.Context) (bool, string, error) { return time.Since(begin) >= d, "", nil }))
}

// versions are the resourceVersions of everything in the namespace, leases aside.
func (s *scene) versions() map[string]string {
	s.Helper()
	out, err := k8s.Kubectl(s.Context(), nil, "get", "-n", s.name.Namespace, "-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`,
		"robustmqclusters,statefulsets,controllerrevisions,pods,services,endpointslices,secrets,configmaps,serviceaccounts,persistentvolumeclaims,poddisruptionbudgets,networkpolicies,ingresses,events")
	s.must(err)
	versions := map[string]string{}
	for line := range strings.Lines(out) {
		object, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions[object] = version
	}
	if len(versions) < 20 {
		s.Fatalf("only %v", slices.Sorted(maps.Keys(versions)))
	}
	return versions
}

var (
	requestLine  = regexp.MustCompile(`^apiserver_request_total\{(.*)\} (\S+)$`)
	requestLabel = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// writes counts the API server's requests that change something, by what they change.
func (s *scene) writes() map[string]int {
	s.Helper()
	out, err := k8s.Kubectl(s.Context(), nil, "get", "--raw", "/metrics")
	s.must(err)
	counts := map[string]int{}
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := requestLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		label := map[string]string{}
		for _, l := range requestLabel.FindAllStringSubmatch(m[1], -1) {
			label[l[1]] = l[2]
		}
		switch label["resource"] {
		case "leases", "nodes", "csinodes", "tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectreviews", "":
			continue
		}
		switch label["verb"] {
		case "POST", "PUT", "PATCH", "DELETE", "DELETECOLLECTION", "APPLY":
		default:
			continue
		}
		if label["subresource"] == "token" || label["dry_run"] != "" {
			continue
		}
		n, err := strconv.ParseFloat(m[2], 64)
		s.must(err)
		counts[fmt.Sprintf("%s %s/%s (%s)", label["verb"], label["resource"], label["subresource"], label["code"])] += int(n)
	}
	if len(counts) == 0 {
		s.Fatal("the API server counts no writes at all")
	}
	return counts
}
