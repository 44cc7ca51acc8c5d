package simulator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// boot is the server's start, phase by phase (robustmq-server.md 3.5, times of seen-formation.md 1).
func (n *Node) boot() {
	if !n.configure() || !n.openData() || !n.openFront() {
		return
	}
	if n.file.role("meta") {
		n.spawn(func() {
			if err := n.rafts.start(n.ctx); err != nil && n.ctx.Err() == nil {
				n.die("broker_server::meta", "Meta service failed to start: %v", err)
			}
		})
		n.meta.serve()
	}
	if !n.awaitMeta() {
		return
	}
	n.log.info("broker_server::load_cache", "Starting to load metadata cache...")
	if err := n.cache.load(n.ctx); err != nil {
		n.die("broker_server::server", "Failed to load metadata cache: %v", err)
		return
	}
	if !n.t.sleep(n.ctx, 50*time.Millisecond) || !n.registerAtStart() {
		return
	}
	n.spawn(n.heartbeats)
	n.spawn(n.offsets.commitInBackground)
	if !n.startEngine() {
		return
	}
	if n.gen.islands {
		// MQTT opens before the inner topics exist (seen-v0.3.0.md 1); a timeout there still ends the process.
		if !n.startProtocols() {
			return
		}
		n.running.Store(true)
		n.initialiseTopics()
		return
	}
	n.connectors.serve()
	if !n.initialiseTopics() || !n.startProtocols() {
		return
	}
	n.running.Store(true)
	n.log.info("broker_server::server", "Broker status: Running")
}

const panicConfig = "src/common/config/src/broker.rs:30:84"

// configure reads the files. What is wrong with them is a panic: exit 101, with the reason on stderr.
func (n *Node) configure() bool {
	if !n.t.sleep(n.ctx, 100*time.Millisecond) {
		return false
	}
	content, err := readConfigFile(n.o.path(n.o.ConfigPath))
	if err == nil {
		n.file, err = parseConfig(content, n.gen, n.o.Environ)
	}
	if err != nil {
		n.panicked(panicConfig, err.Error())
		return false
	}
	logConfig := n.file.text("log.log_config")
	content, err = readConfigFile(n.o.path(logConfig))
	if err != nil {
		n.panicked("src/common/base/src/logging/mod.rs:45:9", fmt.Sprintf("Logging configuration file %q does not exist", logConfig))
		return false
	}
	if err := n.log.configure(content); err != nil {
		n.panicked("src/cmd/src/broker-server/server.rs:39:36", err.Error())
		return false
	}
	if err := os.MkdirAll(n.o.path(n.file.text("log.log_path")), 0o755); err != nil {
		n.panicked("src/common/config/src/broker.rs:34:17", err.Error())
		return false
	}
	n.id = uint64(n.file.number("broker_id"))
	for _, a := range n.file.metaAddrs() {
		if a.id == fmt.Sprint(n.id) {
			n.addr = a.addr
		}
	}
	n.host = n.brokerIP()
	n.log.info("common_base::version::logo", "\n    RobustMQ SIMULATOR: a test program with the outer behaviour of broker-server, without RobustMQ in it\n")
	n.log.info("common_base::version::logo", "version: %s (simulator)", n.version)
	n.log.info("broker_server::common", "broker config:%s", n.shownConfig())
	if n.file.number("cluster_limit.max_network_connection_rate") == 0 {
		n.panicked("src/broker-server/src/lib.rs:182:37", "Failed to create GlobalRateLimiterManager: Rate limit value must be greater than 0, parameter name: connection_rate")
		return false
	}
	return true
}

// brokerIP is what the node advertises: the file's, ROBUSTMQ_BROKER_IP when the file has none, or an address of the machine.
func (n *Node) brokerIP() string {
	if ip := n.file.text("broker_ip"); ip != "" {
		return ip
	}
	for _, e := range n.o.Environ {
		if v, ok := strings.CutPrefix(e, "ROBUSTMQ_BROKER_IP="); ok && net.ParseIP(v) != nil {
			return v
		}
	}
	if n.o.ListenHost != "0.0.0.0" {
		return n.o.ListenHost
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil && !ip.IsLoopback() {
			return ip.String()
		}
	}
	return "127.0.0.1"
}

// dataPath is where something of the metadata lies.
func (n *Node) dataPath(name string) string {
	return filepath.Join(n.o.path(n.file.text("data_path")), name)
}

// openData opens the database and the raft groups, whatever the roles are.
func (n *Node) openData() bool {
	dir := n.dataPath(n.gen.rocksDir)
	if _, err := os.Stat(filepath.Join(dir, "CURRENT")); err == nil {
		n.foundData = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		n.panicked("src/common/rocksdb-engine/src/rocksdb.rs:88:17", fmt.Sprintf("IO error: %v", err))
		return false
	}
	s, err := store.Open(dir)
	if err != nil {
		n.panicked("src/common/rocksdb-engine/src/rocksdb.rs:88:17", err.Error())
		return false
	}
	n.metrics = newMetrics(n)
	n.storage = countedStorage{s, n.metrics, func() { n.waitFor(&n.disk) }}
	if n.state, err = newState(n.storage); err != nil {
		n.panicked("src/common/rocksdb-engine/src/rocksdb.rs:88:17", err.Error())
		return false
	}
	n.calls = newPool(n.o.Dial, n.t, n.log)
	n.onEnd(n.calls.close)
	rafts, err := n.openRafts()
	if err != nil {
		n.panicked("src/meta-service/src/raft/manager.rs:120:14", err.Error())
		return false
	}
	n.mu.Lock()
	n.rafts = rafts
	n.mu.Unlock()
	n.onEnd(rafts.stop)
	n.meta = newMetaService(n)
	n.cache = newCache(n)
	n.admin = newAdminServer(n)
	n.engine, err = newEngine(n)
	if err != nil {
		n.panicked("src/storage-engine/src/lib.rs:70:10", err.Error())
		return false
	}
	n.mqtt = newMQTTBroker(n)
	n.connectors = newConnectors(n)
	n.offsets = newGroupOffsets(n)
	return true
}

// openFront opens gRPC and the admin API, half a second after the start and long before the node can serve.
func (n *Node) openFront() bool {
	// Processes that start together are never quite together: who listens when another one probes decides how a parallel start ends.
	jitter := time.Duration(n.draw(250)) * time.Millisecond
	if !n.t.sleep(n.ctx, 300*time.Millisecond+jitter) {
		return false
	}
	l, err := n.listen(n.file.number("grpc_port"))
	if err != nil {
		n.die("broker_server::grpc", "GRPC server failed to become ready on port %d, exiting: %v", n.file.number("grpc_port"), err)
		return false
	}
	server := grpc.NewServer(ServerCodec(), grpc.UnaryInterceptor(n.intercept), grpc.WaitForHandlers(false), grpc.ReadBufferSize(8<<10), grpc.WriteBufferSize(8<<10), grpc.MaxRecvMsgSize(64<<20))
	if n.file.role("meta") {
		n.meta.register(server)
	}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: nodeService, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		jsonMethod("Update", func(_ context.Context, c change) (nothing, error) {
			n.cache.update(c)
			return nothing{}, nil
		}),
	}}, n)
	n.onEnd(server.Stop)
	grpcListener := l
	n.spawn(func() { _ = server.Serve(grpcListener) })
	n.log.info("broker_server::grpc", "Broker Grpc Server start success. addr:%s:%d", n.o.ListenHost, n.file.number("grpc_port"))
	l, err = n.listen(n.file.number("http_port"))
	if err != nil {
		if n.gen.islands {
			return true // the task alone dies
		}
		if n.file.role("meta") {
			n.spawn(func() { _ = n.rafts.start(n.ctx) })
		}
		n.t.sleep(n.ctx, 300*time.Millisecond)
		n.die("broker_server::server", "Admin HTTP server failed to start on port %d: %v", n.file.number("http_port"), err)
		return false
	}
	n.admin.serve(l)
	n.log.info("admin_server::server", "Admin HTTP Server started successfully, listening port: %d, access logging and CORS enabled", n.file.number("http_port"))
	return n.openPrometheus()
}

func (n *Node) intercept(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	n.frozen.wait(n.ctx)
	begin := time.Now()
	reply, err := handler(ctx, request)
	n.metrics.served(ctx, request, begin, err)
	return reply, err
}

// awaitMeta writes a key through whichever member takes it, again and again, without end.
func (n *Node) awaitMeta() bool {
	for {
		var err error
		if n.gen.heartbeatToAll {
			err = n.put(n.ctx, putRequest{Key: kindKV + "__robustmq_raft_ping__", Value: mustJSON("1")})
		} else {
			err = n.leaderKnown()
		}
		if err == nil {
			n.log.info("broker_core::heartbeat", "Meta Service cluster is ready")
			return true
		}
		if n.ctx.Err() != nil {
			return false
		}
		n.log.info("broker_core::heartbeat", "Waiting for Meta Service cluster to be ready (%v), retrying in 1s...", err)
		if !n.t.sleep(n.ctx, time.Second) {
			return false
		}
	}
}

// leaderKnown asks the one member that old versions ask.
func (n *Node) leaderKnown() error {
	return n.calls.call(n.ctx, n.metaTargets(), "PlacementService/ClusterStatus", false, func(ctx context.Context, conn *grpc.ClientConn) error {
		content, err := metaservice.NewClient(conn).ClusterStatus(ctx)
		if err == nil && strings.Contains(content, `"current_leader":null`) {
			return say("Not found leader")
		}
		return err
	})
}
