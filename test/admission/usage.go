package admission

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

// Usage is the processor time that an API server, its etcd and this process (the replicas of the webhooks, and the load) have used, user's and system's, and what the API server has
// allocated, in bytes. Unlike latencies, a busy neighbour hardly changes them. Elsewhere is what everything else on the machine used, and what its host took away: it says how far a latency
// that was measured meanwhile can be trusted.
type Usage struct {
	APIServer, Etcd, Own time.Duration
	Elsewhere            time.Duration
	// Took is the time in which all that was used.
	Took      time.Duration
	Allocated float64
}

// per is what one of n requests used between two moments.
func (u Usage) per(n int, before Usage) Usage {
	each := time.Duration(n)
	return Usage{
		APIServer: (u.APIServer - before.APIServer) / each, Etcd: (u.Etcd - before.Etcd) / each, Own: (u.Own - before.Own) / each,
		Elsewhere: (u.Elsewhere - before.Elsewhere) / each, Took: (u.Took - before.Took) / each,
		Allocated: (u.Allocated - before.Allocated) / float64(n),
	}
}

// At is how many of the machine's processors a rate of requests would keep busy, when u is what one of them uses.
func (u Usage) At(rate int) float64 { return (u.APIServer + u.Etcd + u.Own).Seconds() * float64(rate) }

// Processors is how many of the machine's processors were busy with it, and with something else.
func (u Usage) Processors() (with, elsewhere float64) {
	return float64(u.APIServer+u.Etcd+u.Own) / float64(u.Took), float64(u.Elsewhere) / float64(u.Took)
}

// userHZ is the unit of the times in /proc: a hundredth of a second on every architecture that Kubernetes runs on.
const userHZ = 10 * time.Millisecond

// everything in the map of processes is all that the machine's processors did.
const everything = "everything"

// processes reads what the children of this process, by their names, and it itself have used, and everything together.
func processes() (map[string]time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%d processes in /proc: processor time is measured on Linux only: %w", len(files), err)
	}
	out := map[string]time.Duration{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		pid, rest, _ := strings.Cut(string(text), " (")
		name, rest, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(rest) // from the third: state, parent …
		if len(fields) < 13 {
			continue
		}
		switch strconv.Itoa(os.Getpid()) {
		case pid:
			name = "own"
		case fields[1]:
		default:
			continue
		}
		user, err := strconv.ParseInt(fields[11], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		system, err := strconv.ParseInt(fields[12], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out[name] += time.Duration(user+system) * userHZ
	}
	if out[everything], err = busy(); err != nil {
		return nil, err
	}
	if out["kube-apiserver"] == 0 || out["etcd"] == 0 {
		return nil, fmt.Errorf("no API server and etcd among this process' children: %v", out)
	}
	return out, nil
}

// busy is what all processors have done since the machine's start, and what was stolen from them by other machines of the same host.
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal guest guest_nice, of which user has the guests in it
	var sum time.Duration
	for i := 1; i < min(len(fields), 9); i++ {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 4 && i != 5 {
			sum += time.Duration(ticks) * userHZ
		}
	}
	return sum, nil
}

const allocated = "go_memstats_alloc_bytes_total"

// allocated reads what the API server has allocated since its start.
func (w *World) allocated(ctx context.Context) (float64, error) {
	c, err := rest.HTTPClientFor(w.Config)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(w.Config.Host, "/")+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), allocated+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.New("the API server's metrics have no " + allocated + ": " + resp.Status)
}

// Measure is what each of n requests uses while something runs that makes them.
func (w *World) Measure(ctx context.Context, run func() (n int, err error)) (Usage, error) {
	before, err := w.allocated(ctx)
	if err != nil {
		return Usage{}, err
	}
	begin, err := processes()
	if err != nil {
		return Usage{}, err
	}
	started := time.Now()
	n, err := run()
	if err != nil {
		return Usage{}, err
	}
	took := time.Since(started)
	end, err := processes()
	if err != nil {
		return Usage{}, err
	}
	after, err := w.allocated(ctx)
	if err != nil || n == 0 {
		return Usage{}, fmt.Errorf("%d requests: %w", n, err)
	}
	usage := func(of map[string]time.Duration, bytes float64) Usage {
		u := Usage{APIServer: of["kube-apiserver"], Etcd: of["etcd"], Own: of["own"], Allocated: bytes}
		u.Elsewhere = of[everything] - u.APIServer - u.Etcd - u.Own
		return u
	}
	all := usage(end, after)
	all.Took = took
	return all.per(n, usage(begin, before)), nil
}

// Burst makes n requests, two at a time, each when one before has been answered: a machine that is too busy for a rate only takes longer.
func Burst(ctx context.Context, a Asker, n int) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		all.Go(func() {
			for at := next.Add(1); at <= int64(n) && errs[i] == nil; at = next.Add(1) {
				errs[i] = a.ask(ctx, int(at))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
