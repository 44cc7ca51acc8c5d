package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaces runs real servers: each in a network namespace with a veth into the bridge of one more, the hub, because RobustMQ binds 0.0.0.0 and cannot share an address
// space with another. Nothing of it touches the machine's own network: the test enters the hub to dial. Names are found through an /etc/hosts of the lab, which "ip netns exec" mounts over the machine's.
type namespaces struct {
	lab    *Lab
	bridge string
	prefix string

	mu   sync.Mutex
	made map[uint64]bool
}

var labs atomic.Int32

func newNamespaces(l *Lab) *namespaces {
	l.T.Helper()
	if os.Geteuid() != 0 {
		l.T.Skipf("%s needs root: every server gets a network namespace", EnvBinary)
	}
	number := labs.Add(1)
	p := &namespaces{lab: l, bridge: fmt.Sprintf("rmqc%d", number), prefix: fmt.Sprintf("10.99.%d.", number), made: map[uint64]bool{}}
	p.ip("netns", "add", p.hub())
	p.ip("-n", p.hub(), "link", "add", p.bridge, "type", "bridge")
	p.ip("-n", p.hub(), "addr", "add", p.prefix+"254/24", "dev", p.bridge)
	p.ip("-n", p.hub(), "link", "set", p.bridge, "up")
	return p
}

func (p *namespaces) ip(args ...string) {
	p.lab.T.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		p.lab.T.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (p *namespaces) hub() string            { return p.bridge + "-hub" }
func (p *namespaces) space(id uint64) string { return fmt.Sprintf("%s-n%d", p.bridge, id) }
func (p *namespaces) link(id uint64) string  { return fmt.Sprintf("%sv%d", p.bridge, id) }

// address maps ids to a last byte: 1 to 99 as they are, 1001 to 101, and so on.
func (p *namespaces) address(id uint64) string {
	return fmt.Sprintf("%s%d", p.prefix, id%1000+min(id/1000, 1)*100)
}

func (p *namespaces) prepare(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.address = p.address(n.ID)
	space, link := p.space(n.ID), p.link(n.ID)
	p.ip("netns", "add", space)
	p.made[n.ID] = true
	p.ip("-n", p.hub(), "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
	p.ip("-n", p.hub(), "link", "set", link, "master", p.bridge, "up")
	p.ip("-n", space, "addr", "add", n.address+"/24", "dev", "eth0")
	p.ip("-n", space, "link", "set", "eth0", "up")
	p.ip("-n", space, "link", "set", "lo", "up")
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for _, id := range []uint64{1, 2, 3, 4, 5, 1001, 1002} {
		fmt.Fprintf(&hosts, "%s n%d.lab\n", p.address(id), id)
	}
	dir := filepath.Join("/etc/netns", space)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.lab.T.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte(hosts.String()), 0o644); err != nil {
		p.lab.T.Fatal(err)
	}
}

func (p *namespaces) start(n *Node, output *Output) (process, error) {
	binary := os.Getenv(EnvBinary)
	cmd := exec.Command("ip", "netns", "exec", p.space(n.ID), binary, "--conf", "config/server.toml")
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.Dir, output, output
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, n.Environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &realProcess{cmd: cmd, end: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			r.code = exit.ExitCode()
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				r.code = 128 + int(status.Signal())
			}
		}
		close(r.end)
	}()
	return r, nil
}

func (p *namespaces) dial(ctx context.Context, _, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var id uint64
	if _, err := fmt.Sscanf(name, "n%d.lab", &id); err != nil {
		return nil, err
	}
	return p.dialInside(ctx, net.JoinHostPort(p.address(id), port))
}

// dialInside opens the socket in the hub: a socket stays in the namespace of the thread that made it.
func (p *namespaces) dialInside(ctx context.Context, address string) (net.Conn, error) {
	runtime.LockOSThread()
	own, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer own.Close()
	inside, err := os.Open("/run/netns/" + p.hub())
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer inside.Close()
	if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter %s: %w", p.hub(), err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		return conn, err // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return conn, err
}

func (p *namespaces) hole(n *Node, closed bool) {
	state := "up"
	if closed {
		state = "down"
	}
	p.ip("-n", p.hub(), "link", "set", p.link(n.ID), state)
}

func (p *namespaces) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.made {
		_ = exec.Command("ip", "netns", "del", p.space(id)).Run()
		_ = os.RemoveAll(filepath.Join("/etc/netns", p.space(id)))
	}
	_ = exec.Command("ip", "netns", "del", p.hub()).Run()
}

type realProcess struct {
	cmd  *exec.Cmd
	end  chan struct{}
	code int
}

func (r *realProcess) signal(s os.Signal)     { _ = r.cmd.Process.Signal(s) }
func (r *realProcess) kill()                  { _ = r.cmd.Process.Kill() }
func (r *realProcess) ended() <-chan struct{} { return r.end }
func (r *realProcess) exitCode() int          { return r.code }
