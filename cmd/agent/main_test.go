package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/agent/volume"
)

// TestMain plays four programs: the tests, the agent as a process of its own, the server that the agent starts, and a backup Job.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "--conf=") {
		os.Exit(playServer())
	}
	if root := os.Getenv("AGENT_TEST_ROOT"); root != "" {
		os.Exit(run(os.Stdout, os.Stderr, func(o *agent.Options) {
			o.PodName, o.PodIP, o.ListenHost, o.Loopback = "demo-placement-center-0", os.Getenv("AGENT_TEST_IP"), os.Getenv("AGENT_TEST_IP"), os.Getenv("AGENT_TEST_IP")
			o.Paths = agent.PathsUnder(root)
			o.Paths.ServerBinary, o.Paths.ServerDir = os.Args[0], root
			o.Resolve = func(context.Context, string) ([]string, error) { return []string{o.PodIP}, nil }
			o.Timings = agent.DefaultTimings().Scale(10)
		}))
	}
	if root := os.Getenv("AGENT_TEST_JOB_ROOT"); root != "" {
		os.Exit(backup(os.Args[1:], os.Stderr, filepath.Join(root, "message"), func(o *job.Options) { o.Root = root }))
	}
	os.Exit(m.Run())
}

// playServer answers HTTP, leaves an orphan behind, tells of SIGUSR1 and ends with 7 on SIGTERM.
func playServer() int {
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("AGENT_TEST_IP"), "58080"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go http.Serve(l, http.NotFoundHandler()) //nolint:errcheck,gosec // ends with the process
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	if err := exec.Command("/bin/sh", "-c", "(exec >/dev/null 2>&1; sleep 0.2) & exit 0").Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("serving with", os.Getenv("ROBUST_MQ_SERVER_BROKER_ID"))
	for s := range signals {
		if s == syscall.SIGTERM {
			return 7
		}
		fmt.Println("got", s)
	}
	return 0
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// prepare makes a pod's folders with a volume whose gate opens by itself.
func prepare(t *testing.T, ip string) string {
	t.Helper()
	root := t.TempDir()
	paths := agent.PathsUnder(root)
	host := "demo-placement-center-0.svc"
	raw, err := json.Marshal(protocol.Config{
		Cluster: "demo", Namespace: "ns", ClusterUID: "uid", Version: "0.4.11", Role: "PlacementCenter", BaseID: 1, HostSuffix: ".svc", Engines: 1, WorkerThreads: 4,
		Members: []protocol.Member{{NodeID: 1, Pod: "demo-placement-center-0", Host: host}},
		Ports: protocol.Ports{
			GRPC: 1228, HTTP: 58080, Engine: 1778, MQTT: 1883, MQTTS: 1885, WS: 8083, WSS: 8085, Kafka: 9092, AMQP: 5672, NATS: 4222, NATSTLS: 4223, NATSWS: 4080, NATSWSS: 4443,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, paths.ConfigFile, raw)
	for _, file := range []string{"admin/username", "admin/password", "mqtt/username", "mqtt/password", "jwt/secret"} {
		put(t, filepath.Join(paths.CredentialsDir, file), []byte("value-of-"+filepath.Base(file)))
	}
	cert, key := certificate(t)
	put(t, filepath.Join(paths.ServerTLSDir, "tls.crt"), cert)
	put(t, filepath.Join(paths.ServerTLSDir, "tls.key"), key)
	put(t, filepath.Join(paths.VolumeDir, "data", "_rocksdb", "CURRENT"), nil)
	marker := protocol.Marker{ClusterUID: "uid", NodeID: 1, Role: "PlacementCenter", Origin: protocol.OriginFounded, HasData: true}
	if err := volume.At(paths.VolumeDir).WriteMarker(marker); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(paths.RunDir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Logf("pod %s", ip)
	return root
}

func eventually(t *testing.T, what string, show func() string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s\n%s", what, show())
		}
	}
}

// children of a process, with their states.
func children(t *testing.T, pid int) map[int]string {
	t.Helper()
	found := map[int]string{}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		raw, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(raw)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
			if err != nil {
				continue
			}
			after := string(stat[bytes.LastIndexByte(stat, ')')+1:])
			found[child] = strings.Fields(after)[0]
		}
	}
	return found
}

func TestTheAgentIsAProcessOneWithARealServer(t *testing.T) {
	ip := fmt.Sprintf("127.%d.%d.7", 100+os.Getpid()>>8&15, os.Getpid()&255)
	root := prepare(t, ip)
	out := &output{}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AGENT_TEST_ROOT="+root, "AGENT_TEST_IP="+ip, "ROBUST_MQ_SERVER_BROKER_ID=9")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	up := func() bool {
		response, err := http.Get("http://" + ip + ":7480/metrics")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(body), "robustmq_server_up 1")
	}
	eventually(t, "the server is up", out.String, up)
	// An override of the configuration in the environment does not reach the server.
	eventually(t, "the server serves with its file alone", out.String, func() bool { return strings.Contains(out.String(), "serving with \n") })
	// Other signals are passed on.
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server gets SIGUSR1", out.String, func() bool { return strings.Contains(out.String(), "got user defined signal 1") })
	// The orphan that the server left is reaped; only the server is left, and it is no zombie.
	eventually(t, "orphans are reaped", out.String, func() bool {
		left := children(t, cmd.Process.Pid)
		for _, state := range left {
			if state == "Z" {
				return false
			}
		}
		return len(left) == 1
	})
	// A server that is killed is started again.
	var first int
	for pid := range children(t, cmd.Process.Pid) {
		first = pid
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another server runs", out.String, func() bool {
		left := children(t, cmd.Process.Pid)
		_, old := left[first]
		return len(left) == 1 && !old && strings.Count(out.String(), "serving with") == 2 && up()
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 {
			t.Errorf("%v\n%s", err, out)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("the agent does not end\n%s", out)
	}
}

func TestTheProgramInstallsItselfWhole(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{dir, filepath.Join(dir, "agent"), filepath.Join(dir, "agent")} {
		var stderr bytes.Buffer
		if code := dispatch([]string{"install", target}, io.Discard, &stderr); code != 0 {
			t.Fatal(code, stderr.String())
		}
		got, err := os.Stat(filepath.Join(dir, "agent"))
		if err != nil || got.Mode().Perm() != 0o755 || got.Size() != want.Size() {
			t.Errorf("%v, %v", got, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
	if code := dispatch([]string{"install", filepath.Join(dir, "missing", "agent")}, io.Discard, io.Discard); code != 1 {
		t.Errorf("installed into nothing: %d", code)
	}
}

func TestTheCommandLineIsChecked(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"run", "x"}, {"install"}, {"backup"}} {
		var stderr bytes.Buffer
		if code := dispatch(args, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), "usage") {
			t.Errorf("%v: %d %s", args, code, stderr.String())
		}
	}
	var stdout bytes.Buffer
	if code := dispatch([]string{"version"}, &stdout, io.Discard); code != 0 || !strings.HasPrefix(stdout.String(), version) {
		t.Errorf("%d %s", code, stdout.String())
	}
	if code := dispatch([]string{"run"}, io.Discard, io.Discard); code != 1 {
		t.Errorf("runs without a pod: %d", code)
	}
}
