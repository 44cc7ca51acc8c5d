package simulator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

// record is this node as it registers itself: every address is broker_ip and a port.
func (n *Node) record() nodeRecord {
	f := n.file
	at := func(path string) string { return fmt.Sprintf("%s:%d", n.host, f.number(path)) }
	r := nodeRecord{
		Roles: f.list("roles"), NodeID: n.id, NodeIP: n.host, GRPCAddr: at("grpc_port"), EngineAddr: at("storage_runtime.tcp_port"),
		StartTime: n.started.Unix(), RegisterTime: n.now(), StorageFold: f.list("storage_runtime.data_path"),
	}
	r.Extend.MQTT = mqttAddrs{
		at("grpc_port"), at("mqtt_runtime.server.tcp_port"), at("mqtt_runtime.server.tls_port"),
		at("mqtt_runtime.server.websocket_port"), at("mqtt_runtime.server.websockets_port"), at("mqtt_runtime.server.quic_port"),
	}
	since := func(minor, patch int) bool {
		return !n.gen.version.Less(robustmq.Version{Minor: minor, Patch: patch})
	}
	if since(4, 4) {
		r.HTTPAddr = at("http_port")
	}
	if since(4, 0) {
		r.Extend.NATS = &natsAddrs{at("nats_runtime.tcp_port"), at("nats_runtime.tls_port"), at("nats_runtime.ws_port"), at("nats_runtime.wss_port")}
		r.Extend.Kafka = &kafkaAddrs{at("kafka_runtime.tcp_port")}
	}
	if r.StorageFold == nil {
		r.StorageFold = []string{}
	}
	return r
}

func (n *Node) registerOnce() error {
	r := n.record()
	reply, err := dataCall[registerReply](n.ctx, n, "Register", true, r)
	if err != nil {
		return err
	}
	n.epoch.Store(reply.BrokerEpoch)
	n.cache.update(change{Key: nodeKey(n.id), Value: mustJSON(r)})
	return nil
}

// registerAtStart tries 30 times, 2 s apart, as long as the refusal is one of a cluster that is not ready; any other one is a panic.
func (n *Node) registerAtStart() bool {
	var err error
	for range 30 {
		if err = n.registerOnce(); err == nil {
			n.log.info("broker_core::heartbeat", "Node %d has been successfully registered", n.id)
			return true
		}
		if n.ctx.Err() != nil {
			return false
		}
		if text := err.Error(); !strings.Contains(text, "not initialized") && !strings.Contains(text, "not retried") {
			break
		}
		if !n.t.sleep(n.ctx, 2*time.Second) {
			return false
		}
	}
	n.panicked("src/broker-core/src/heartbeat.rs:68:21", fmt.Sprintf("Node %d registration failed: %v", n.id, err))
	return false
}

// heartbeats goes to every member in the order of meta_addrs, every 3 s, with 3 s for all together: a first address that hangs eats them all.
func (n *Node) heartbeats() {
	n.t.every(n.ctx, 3*time.Second, func() {
		n.frozen.wait(n.ctx)
		limit, cancel := context.WithTimeout(n.ctx, n.t.patience(3*time.Second, 400*time.Millisecond))
		defer cancel()
		acked, refused, reached := false, false, false
		leader := n.leaderHint()
		var last error
		for _, addr := range n.metaTargets() {
			begin := time.Now()
			err := n.calls.call(limit, []string{addr}, "PlacementService/Heartbeat", false, func(ctx context.Context, conn *grpc.ClientConn) error {
				return metaservice.NewClient(conn).Heartbeat(ctx, n.id)
			})
			n.metrics.made("/"+metaservice.ServiceName+"/Heartbeat", nil, begin)
			if err == nil {
				acked = true
				reached = reached || addr == leader
				continue
			}
			last = err
			refused = refused || strings.Contains(err.Error(), "does not exist")
			if limit.Err() != nil {
				break
			}
		}
		n.engine.sound(reached && !refused)
		switch {
		case n.ctx.Err() != nil:
		case limit.Err() != nil:
			n.log.error("broker_core::heartbeat", "Heartbeat timeout (3s) for node %d (%s:%d), Meta Service may be unresponsive", n.id, n.host, n.file.number("grpc_port"))
		case acked:
			// One member that confirms is enough, even when the leader has just refused: nobody registers again.
		case last != nil && strings.Contains(last.Error(), "does not exist"):
			if err := n.registerOnce(); err != nil {
				n.log.error("broker_core::heartbeat", "Failed to re-register node %d after heartbeat failure: %v", n.id, err)
			} else {
				n.log.info("broker_core::heartbeat", "Node %d successfully re-registered", n.id)
			}
		default:
			n.log.error("broker_core::heartbeat", "Heartbeat failed for node %d (%s:%d): %v", n.id, n.host, n.file.number("grpc_port"), last)
		}
	})
}

// leaderHint is the address of the metadata leader as far as this node knows: its own group's, or the one that took its last write.
func (n *Node) leaderHint() string {
	if n.file.role("meta") {
		if s := n.rafts.metadata().Status(); s.CurrentLeader != nil {
			return s.MembershipConfig.Membership.Nodes[*s.CurrentLeader].RPCAddr
		}
	}
	if addr := n.calls.leader("PlacementService/Register"); addr != "" {
		return addr
	}
	return n.metaTargets()[0]
}
