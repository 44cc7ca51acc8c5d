// Command demo brings up a RobustMQ cluster from nothing, sends messages through it, backs it up and restores it: `make demo`.
//
// It compiles what it needs, starts a Kubernetes of several nodes and MinIO on this machine (test/bed), installs the operator as users do, applies a sample, shows the
// cluster form, uses it, takes a backup, deletes a user by mistake, and restores. A second run finds everything in place. Settings, in the environment:
//
//	DEMO_CLUSTER=current    use the cluster of the current kubectl context, and published images, instead of a bed
//	DEMO_SAMPLE=path        the RobustMQCluster to apply (config/samples/quickstart.yaml)
//	DEMO_TIMEOUT=10m        how long the cluster may take to become Ready (5m; 10m with DEMO_CLUSTER=current, where images are pulled)
//	ROBUSTMQ_BIN=path       a broker-server on this machine to run instead of the simulator, and ROBUSTMQ_VERSION if it is not 0.4.11
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// settings are what the environment asks for, and what the second half of the demo has to know of the first: they run as two processes, since only the second
// one is inside the bed's network.
type settings struct {
	Sample  string
	Current bool // DEMO_CLUSTER=current
	Server  string
	Timeout time.Duration

	Archives  []string
	Began     time.Time
	Compiling time.Duration
}

func main() {
	inside := flag.String("inside", "", "settings of the half that runs inside the bed's network (not for users)")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, *inside); err != nil {
		var shown *shownError
		if !errors.As(err, &shown) {
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context, inside string) error {
	var s settings
	if inside != "" {
		if err := json.Unmarshal([]byte(inside), &s); err != nil {
			return fmt.Errorf("-inside: %w", err)
		}
		return show(ctx, s, narrate(os.Stdout, s.Began))
	}
	s, err := read(os.Getenv)
	if err != nil {
		return err
	}
	cluster, err := live.ReadCluster(s.Sample)
	if err != nil {
		return err
	}
	// What `make` compiled before this program could run counts.
	s.Began = time.Now()
	if ns, err := strconv.ParseInt(os.Getenv("DEMO_BEGAN"), 10, 64); err == nil {
		s.Began = time.Unix(0, ns)
		s.Compiling = time.Since(s.Began)
	}
	n := narrate(os.Stdout, s.Began)
	if s.Current {
		return show(ctx, s, n)
	}
	nodes := live.NodesFor(cluster, runtime.NumCPU())
	return prepare(ctx, s, n, nodes)
}

func read(env func(string) string) (settings, error) {
	s := settings{Sample: env("DEMO_SAMPLE"), Server: env("ROBUSTMQ_BIN"), Timeout: 5 * time.Minute}
	if s.Sample == "" {
		s.Sample = filepath.Join("config", "samples", "quickstart.yaml")
	}
	switch cluster := env("DEMO_CLUSTER"); cluster {
	case "":
	case "current":
		s.Current, s.Timeout = true, 10*time.Minute
	default:
		return s, fmt.Errorf("DEMO_CLUSTER=%s: say \"current\" for the cluster of the current kubectl context, or nothing for one that is made", cluster)
	}
	if s.Current && s.Server != "" {
		return s, errors.New("ROBUSTMQ_BIN and DEMO_CLUSTER=current exclude each other: a local binary can be loaded into the bed only; name its image in spec.image of the sample instead")
	}
	if timeout := env("DEMO_TIMEOUT"); timeout != "" {
		d, err := time.ParseDuration(timeout)
		if err != nil || d <= 0 {
			return s, fmt.Errorf("DEMO_TIMEOUT=%s: a duration such as 10m", timeout)
		}
		s.Timeout = d
	}
	return s, nil
}

// shownError was already told at length.
type shownError struct{ err error }

func (e *shownError) Error() string { return e.err.Error() }
func (e *shownError) Unwrap() error { return e.err }
