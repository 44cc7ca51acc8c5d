//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/e2e/bed"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// What all tests share: one Kubernetes with one operator. Tests run one after another: outages are of nodes, and nodes are everybody's.
var (
	k8s    *live.Kubernetes
	theBed bed.Bed
	root   string
	// long: the tests that take minutes each.
	long = os.Getenv("E2E_LONG") != ""
	// realServer: the pods run the server that ROBUSTMQ_BIN names.
	realServer = os.Getenv("ROBUSTMQ_BIN") != ""
)

func TestMain(m *testing.M) {
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	stop := func() int { return 0 }
	every, err := operatorKilled()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	if every > 0 {
		stop = killOperators(every)
	}
	code := m.Run()
	if killed := stop(); every > 0 {
		figures.add("the operator was killed meanwhile", "%d times", killed)
	}
	if err := figures.write(os.Getenv("E2E_FIGURES")); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if root, err = filepath.Abs("../.."); err != nil {
		return err
	}
	theBed = bed.In(root)
	elsewhere := os.Getenv("E2E_KUBECONFIG") != ""
	if k8s, err = live.Connect(!elsewhere); err != nil {
		return err
	}
	if theBed.IsUp(ctx) {
		// What a demo left would take the room.
		if err := removeNamespace(ctx, "robustmq-demo"); err != nil {
			return err
		}
	}
	if err := k8s.Install(ctx, installation(), 2*time.Minute); err != nil {
		k8s.DiagnoseOperator(ctx, os.Stderr)
		return err
	}
	return nil
}

// installation of the operator under test; more arguments win over those of the folder.
func installation(args ...string) live.Install {
	in := live.Install{Root: root, Config: "config/bed", Out: os.Stderr}
	if archives := os.Getenv("E2E_ARCHIVES"); archives != "" {
		in.Archives = strings.Fields(archives)
	}
	if config := os.Getenv("E2E_CONFIG"); config != "" {
		in.Config = config
	}
	if realServer {
		in.Args = append(in.Args, "--server-image=bed.local/robustmq:v{version}")
	}
	in.Args = append(in.Args, args...)
	return in
}

// onBed skips a test that needs the nodes in its own hand.
func onBed(t *testing.T) {
	t.Helper()
	if !theBed.IsUp(t.Context()) {
		t.Skip("needs the bed: it cuts the power of nodes")
	}
}

// onlyLong skips a test that takes minutes.
func onlyLong(t *testing.T) {
	t.Helper()
	if !long {
		t.Skip("takes minutes: E2E_LONG=1")
	}
}

// lasting is a duration that the environment can shorten.
func lasting(t *testing.T, name string, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%s: a duration such as 3m", name, text)
	}
	return d
}

// A ledger collects what was measured, for one table at the end.
type ledger struct {
	mu   sync.Mutex
	rows [][2]string
}

var figures ledger

func (l *ledger) add(what, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, [2]string{what, fmt.Sprintf(format, args...)})
}

// write puts the table into a file, or on standard output where none is named.
func (l *ledger) write(path string) error {
	if len(l.rows) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintln(&b, "\n| what | seen |\n| --- | --- |")
	for _, r := range l.rows {
		fmt.Fprintf(&b, "| %s | %s |\n", r[0], r[1])
	}
	if path == "" {
		fmt.Fprint(os.Stdout, b.String())
		return nil
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
