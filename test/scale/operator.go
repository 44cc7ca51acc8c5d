package scale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/robustmq/robustmq-operator/test/apiserver"
)

// Operator is the operator's program as a process of its own, with the rights and the flags that config/default gives it, but for the webhooks: nobody reaches them here.
type Operator struct {
	// Profiles is the address of its pprof.
	Profiles string

	cmd   *exec.Cmd
	log   string
	ended chan error
}

// Build builds the operator's program into a folder, and returns its path.
func Build(ctx context.Context, root, dir string) (string, error) {
	program := filepath.Join(dir, "operator")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/operator")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the operator: %w\n%s", err, out)
	}
	return program, nil
}

func startOperator(program, dir, kubeconfig string, flags ...string) (*Operator, error) {
	ports, err := apiserver.FreePorts(2)
	if err != nil {
		return nil, err
	}
	o := &Operator{Profiles: fmt.Sprintf("127.0.0.1:%d", ports[1]), log: filepath.Join(dir, "operator.log"), ended: make(chan error, 1)}
	log, err := os.Create(o.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	health := fmt.Sprintf("127.0.0.1:%d", ports[0])
	o.cmd = exec.Command(program, append([]string{"--agent-image=example.org/agent:1", "--server-image=example.org/robustmq:v{version}", "--webhooks=false", "--leader-elect",
		"--leader-election-namespace=" + apiserver.OperatorNamespace, "--metrics-bind-address=0", "--health-probe-bind-address=" + health, "--pprof-bind-address=" + o.Profiles}, flags...)...)
	o.cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "POD_NAMESPACE="+apiserver.OperatorNamespace)
	o.cmd.Stdout, o.cmd.Stderr = log, log
	if err := o.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the operator: %w", err)
	}
	go func() { o.ended <- o.cmd.Wait() }()
	return o, o.ready("http://" + health + "/readyz")
}

// ready waits until the process says so.
func (o *Operator) ready(url string) error {
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get(url); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-o.ended:
			o.ended <- err
			return fmt.Errorf("the operator ended: %w\n%s", err, o.lastWords())
		case now := <-tick.C:
			if now.After(deadline) {
				return errors.New("the operator is not ready after a minute")
			}
		}
	}
}

func (o *Operator) lastWords() string {
	text, err := os.ReadFile(o.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Stop ends it as Kubernetes does.
func (o *Operator) Stop() error {
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-o.ended:
		o.ended <- err
		if err != nil {
			return fmt.Errorf("the operator ended: %w\n%s", err, o.lastWords())
		}
		return nil
	case <-time.After(40 * time.Second):
		return errors.Join(errors.New("the operator did not end within 40 s"), o.cmd.Process.Kill())
	}
}

// Memory is the operator's resident memory, now and at its highest, in bytes.
func (o *Operator) Memory() (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		switch {
		case err != nil:
			return 0, 0, fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		case fields[0] == "VmRSS:":
			resident = n << 10
		case fields[0] == "VmHWM:":
			peak = n << 10
		}
	}
	if resident == 0 || peak == 0 {
		return 0, 0, errors.New("/proc says nothing of the operator's memory")
	}
	return resident, peak, nil
}

// SaveProfiles writes what it holds in memory, the runtime's own figures of it (at the end of a text; after a collection in -lives), and what its processor time and what is allocated go into
// for 20 s each, to <path>-heap, -memory, -lives, -processor and -allocations.
func (o *Operator) SaveProfiles(ctx context.Context, path string) error {
	for _, p := range [][2]string{{"memory", "heap?debug=1"}, {"processor", "profile?seconds=20"}, {"allocations", "allocs?seconds=20"}, {"lives", "heap?gc=1&debug=1"}, {"heap", "heap?gc=1"}} {
		name, page := p[0], p[1]
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.Profiles+"/debug/pprof/"+page, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		profile, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if err := os.WriteFile(path+"-"+name, profile, 0o600); err != nil {
			return err
		}
	}
	return nil
}
