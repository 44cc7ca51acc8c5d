package agent

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pelletier/go-toml/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/robustmq/robustmq-operator/internal/agent/process"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

// behaviour is what a fake server does.
type behaviour struct {
	exit       int    // at once, with this code, when not 0
	words      string // written to stdout at the start
	deaf       bool   // SIGTERM and SIGINT do nothing
	hung       bool   // HTTP accepts and never answers
	silentInfo bool   // /api/info never answers
	metrics    string // of /metrics, or of [prometheus] port before 0.4.1; empty: there are none
	cutMetrics bool   // the connection breaks after them
	noMetrics  bool   // they are asked for and never come
	closedMQTT bool
	voters     []uint64
	nodes      []uint64 // own node list; nil: itself
	stopCode   int      // exit code after a soft stop
	refuseJoin string
	leader     uint64 // of every group; 0: the lowest voter
	term       uint64 // of every group; 0: the first
	last       uint64 // index of the last log entry of every group; 0: 7, which is applied
	learners   []uint64
	snapshot   uint64   // index of the last snapshot; the log is purged up to the entry before it
	segments   [][]byte // records, of all members alike
	clients    int      // MQTT clients; below 0: it does not say
	version    string   // that its page reports
	users      []string // MQTT users of the tenant "default"
}

// script holds a behaviour, which may be changed while the server runs.
type script struct {
	mu sync.Mutex
	b  behaviour
}

func (s *script) set(change func(*behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.b)
}

func (s *script) get() behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.b
	b.voters, b.nodes = slices.Clone(b.voters), slices.Clone(b.nodes)
	return b
}

// fakeServer is a RobustMQ server as an agent sees one.
type fakeServer struct {
	w      *world
	script *script
	id     uint64
	host   string
	end    chan process.ExitStatus
	close  func()
	// metricsPort is where this version has its metrics.
	metricsPort int

	mu      sync.Mutex
	signals []os.Signal
	beats   map[uint64]time.Time // heartbeats that reached it
	joins   []string
	tokens  []string
	calls   int // of either kind
}

type serverTOML struct {
	BrokerID   uint64   `toml:"broker_id"`
	Roles      []string `toml:"roles"`
	GRPCPort   int      `toml:"grpc_port"`
	HTTPPort   int      `toml:"http_port"`
	DataPath   string   `toml:"data_path"`
	Prometheus struct {
		Port int `toml:"port"`
	} `toml:"prometheus"`
	MetaAddrs   map[string]string `toml:"meta_addrs"`
	MQTTRuntime struct {
		Server struct {
			TCPPort int `toml:"tcp_port"`
		} `toml:"server"`
	} `toml:"mqtt_runtime"`
	MQTTServer struct {
		TCPPort int `toml:"tcp_port"`
	} `toml:"mqtt_server"`
	RocksDB struct {
		DataPath string `toml:"data_path"`
	} `toml:"rocksdb"`
}

// launch starts a fake server at host; it makes RocksDB's CURRENT as a real one does.
func (w *world) launch(host string, spec process.Spec) (process.Process, error) {
	raw, err := os.ReadFile(spec.Conf)
	if err != nil {
		return nil, err
	}
	var c serverTOML
	if err := toml.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	s := &fakeServer{w: w, script: w.script(c.BrokerID), id: c.BrokerID, host: host, end: make(chan process.ExitStatus, 8), beats: map[uint64]time.Time{}}
	behave := s.script.get()
	if behave.words != "" {
		fmt.Fprint(spec.Stdout, behave.words)
	}
	w.started(s)
	if behave.exit != 0 {
		s.close = func() {}
		s.end <- process.ExitStatus{Code: behave.exit}
		return s, nil
	}
	data := filepath.Join(c.DataPath, "_rocksdb")
	if c.DataPath == "" {
		data = filepath.Join(c.RocksDB.DataPath, "_data")
	}
	if _, err := os.Stat(filepath.Join(data, "CURRENT")); err != nil { // one that is there stays: images of it are taken
		if err := errors.Join(os.MkdirAll(data, 0o755), os.WriteFile(filepath.Join(data, "CURRENT"), nil, 0o644)); err != nil {
			return nil, err
		}
	}
	if err := s.serve(c, max(c.MQTTRuntime.Server.TCPPort, c.MQTTServer.TCPPort)); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *fakeServer) serve(c serverTOML, mqttPort int) error {
	var open []io.Closer
	listen := func(port int) (net.Listener, error) {
		l, err := net.Listen("tcp", net.JoinHostPort(s.host, strconv.Itoa(port)))
		if err == nil {
			open = append(open, l)
		}
		return l, err
	}
	web, err1 := listen(c.HTTPPort)
	rpc, err2 := listen(c.GRPCPort)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if slices.Contains(c.Roles, "broker") && !s.script.get().closedMQTT {
		mqtt, err := listen(mqttPort)
		if err != nil {
			return err
		}
		go func() {
			for {
				conn, err := mqtt.Accept()
				if err != nil {
					return
				}
				_ = conn.Close()
			}
		}()
	}
	httpServer := &http.Server{Handler: http.HandlerFunc(s.http)}
	s.metricsPort = c.HTTPPort
	if c.Prometheus.Port != 0 {
		s.metricsPort = c.Prometheus.Port
		l, err := listen(c.Prometheus.Port)
		if err != nil {
			return err
		}
		go httpServer.Serve(l) //nolint:errcheck // ends with the server
	}
	go httpServer.Serve(web) //nolint:errcheck // ends with the server
	grpcServer := grpc.NewServer(grpc.ForceServerCodec(metaservice.Codec), grpc.UnknownServiceHandler(s.grpc))
	if slices.Contains(c.Roles, "meta") {
		go grpcServer.Serve(rpc) //nolint:errcheck // ends with the server
	}
	var once sync.Once
	s.close = func() {
		once.Do(func() {
			_ = httpServer.Close()
			grpcServer.Stop()
			for _, l := range open {
				_ = l.Close()
			}
		})
	}
	return nil
}

func (s *fakeServer) http(w http.ResponseWriter, r *http.Request) {
	behave := s.script.get()
	if behave.hung || behave.silentInfo && r.URL.Path == "/api/info" || behave.noMetrics && r.URL.Path == "/metrics" {
		<-r.Context().Done()
		return
	}
	s.mu.Lock()
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	s.calls++
	s.mu.Unlock()
	switch r.URL.Path {
	case "/api/info", "/api/mqtt/overview", "/api":
		ids := behave.nodes
		if ids == nil {
			ids = []uint64{s.id}
		}
		nodes := []map[string]any{}
		for _, id := range ids {
			nodes = append(nodes, map[string]any{"node_id": id, "node_ip": "x"})
		}
		answer(w, map[string]any{"code": 0, "data": map[string]any{"broker_node_list": nodes, "version": behave.version}, "error": nil})
	case "/api/mqtt/client/list":
		if behave.clients < 0 {
			http.NotFound(w, r)
			return
		}
		answer(w, map[string]any{"code": 0, "data": map[string]any{"data": []any{}, "total_count": behave.clients}, "error": nil})
	case "/api/cluster/user/list":
		rows := []map[string]any{}
		for _, name := range behave.users {
			rows = append(rows, map[string]any{"tenant": "default", "username": name})
		}
		answer(w, map[string]any{"code": 0, "data": map[string]any{"data": rows, "total_count": len(rows)}, "error": nil})
	case "/api/echo":
		body, _ := io.ReadAll(r.Body)
		answer(w, map[string]any{"code": 0, "data": map[string]any{"method": r.Method, "query": r.URL.RawQuery, "body": string(body)}, "error": nil})
	case "/metrics":
		if behave.metrics == "" || !strings.HasSuffix(r.Host, ":"+strconv.Itoa(s.metricsPort)) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, behave.metrics)
		if behave.cutMetrics {
			panic(http.ErrAbortHandler)
		}
	case "/api/fail":
		answer(w, map[string]any{"code": 100, "data": "", "error": "Tenant acme already exists"})
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, body any) {
	_ = json.NewEncoder(w).Encode(body)
}

func (s *fakeServer) grpc(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	behave := s.script.get()
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	switch method[strings.LastIndexByte(method, '/')+1:] {
	case "ClusterStatus":
		return reply(stream, &metaservice.Empty{}, &metaservice.ClusterStatusReply{Content: s.status(behave)})
	case "NodeList":
		return reply(stream, &metaservice.Empty{}, &metaservice.NodeListReply{Nodes: [][]byte{record(s.id)}})
	case "ListSegment":
		var list metaservice.ListSegmentRequest
		if err := stream.RecvMsg(&list); err != nil {
			return err
		}
		for _, record := range behave.segments {
			if err := stream.SendMsg(&metaservice.ListSegmentReply{Segment: record}); err != nil {
				return err
			}
		}
		return nil
	case "Heartbeat":
		var beat metaservice.HeartbeatRequest
		if err := stream.RecvMsg(&beat); err != nil {
			return err
		}
		s.mu.Lock()
		s.beats[beat.NodeID] = time.Now()
		s.mu.Unlock()
		return stream.SendMsg(&metaservice.Empty{})
	case "JoinCluster":
		var join metaservice.JoinClusterRequest
		if err := stream.RecvMsg(&join); err != nil {
			return err
		}
		s.mu.Lock()
		s.joins = append(s.joins, fmt.Sprint(join.NodeID, " ", join.RPCAddr))
		s.mu.Unlock()
		if behave.refuseJoin != "" {
			return status.Error(codes.Internal, behave.refuseJoin)
		}
		return stream.SendMsg(&metaservice.Empty{})
	}
	return status.Error(codes.Unimplemented, method)
}

func reply(stream grpc.ServerStream, request, answer any) error {
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	return stream.SendMsg(answer)
}

// status is what the node says of its groups: the lowest voter leads.
func (s *fakeServer) status(behave behaviour) string {
	groups, nodes, last := map[string]any{}, map[string]any{}, uint64(7)
	for _, id := range slices.Concat(behave.voters, behave.learners) {
		nodes[strconv.FormatUint(id, 10)] = map[string]any{"rpc_addr": "x"}
	}
	if behave.last != 0 {
		last = behave.last
	}
	for _, name := range []string{"metadata_0", "offset_0", "data_0"} {
		g := map[string]any{
			"running_state": map[string]any{"Ok": nil}, "id": s.id, "current_term": 1, "last_log_index": last, "state": "Follower",
			"last_applied": map[string]any{"leader_id": map[string]any{"term": 1, "node_id": 1}, "index": 7},
			"membership_config": map[string]any{
				"log_id": map[string]any{"leader_id": map[string]any{"term": 1, "node_id": 1}, "index": 5}, "membership": map[string]any{"configs": [][]uint64{behave.voters}, "nodes": nodes},
			},
			"vote": map[string]any{"leader_id": map[string]any{"term": 1, "node_id": 1}, "committed": true},
		}
		if behave.snapshot > 0 {
			for key, index := range map[string]uint64{"snapshot": behave.snapshot, "purged": behave.snapshot - 1} {
				g[key] = map[string]any{"leader_id": map[string]any{"term": 1, "node_id": 1}, "index": index}
			}
		}
		if len(behave.voters) > 0 {
			leader, term := slices.Min(behave.voters), max(behave.term, 1)
			if behave.leader != 0 {
				leader = behave.leader
			}
			g["current_leader"], g["current_term"] = leader, term
			g["vote"] = map[string]any{"leader_id": map[string]any{"term": term, "node_id": leader}, "committed": true}
			if leader == s.id {
				g["state"], g["millis_since_quorum_ack"] = "Leader", 3
			}
		}
		groups[name] = g
	}
	raw, _ := json.Marshal(groups)
	return string(raw)
}

// record is a node as NodeList has it.
func record(id uint64) []byte {
	var b []byte
	number := func(n uint64) { b = binary.LittleEndian.AppendUint64(b, n) }
	text := func(s string) { number(uint64(len(s))); b = append(b, s...) }
	number(1)
	text("meta")
	number(id)
	text("h")
	for range 3 {
		text("h:1")
	}
	number(1)
	number(2)
	number(0)
	return b
}

// PID implements process.Process.
func (s *fakeServer) PID() int { return int(s.id) }

// Signal implements process.Process.
func (s *fakeServer) Signal(sig os.Signal) error {
	s.mu.Lock()
	s.signals = append(s.signals, sig)
	s.mu.Unlock()
	behave := s.script.get()
	switch {
	case sig == syscall.SIGKILL:
		s.finish(process.ExitStatus{Code: 137, Signal: syscall.SIGKILL})
	case (sig == syscall.SIGTERM || sig == syscall.SIGINT) && !behave.deaf:
		s.finish(process.ExitStatus{Code: behave.stopCode})
	}
	return nil
}

// finish ends the server.
func (s *fakeServer) finish(status process.ExitStatus) {
	s.close()
	select {
	case s.end <- status:
	default:
	}
}

// Wait implements process.Process.
func (s *fakeServer) Wait() process.ExitStatus {
	status := <-s.end
	s.close()
	s.w.gone(s)
	return status
}

func (s *fakeServer) received() []os.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.signals)
}

func (s *fakeServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *fakeServer) lastBeat(id uint64) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beats[id]
}

// launcherAt starts fake servers at a pod's address.
func (w *world) launcherAt(host string) process.Launcher {
	return process.LauncherFunc(func(_ context.Context, spec process.Spec) (process.Process, error) { return w.launch(host, spec) })
}
