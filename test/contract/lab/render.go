package lab

import (
	"fmt"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// Ports of every server of the lab: the defaults.
const (
	GRPC       = 1228
	HTTP       = 58080
	Engine     = 1778
	MQTT       = 1883
	MQTTS      = 1885
	WS         = 8083
	WSS        = 8085
	Prometheus = 9091
	Kafka      = 9092
	AMQP       = 5672
	NATS       = 4222
)

func (n *Node) metaAddrs() string {
	var b strings.Builder
	for _, id := range n.Lab.MetaHosts {
		fmt.Fprintf(&b, "%d = \"n%d.lab:%d\"\n", id, id, GRPC)
	}
	return b.String()
}

func quoted(list []string) string { return `"` + strings.Join(list, `", "`) + `"` }

// Render is the node's server.toml in the dialect of the lab's version.
func (n *Node) Render() string {
	v, err := robustmq.ParseVersion(n.Lab.Version)
	if err != nil {
		n.Lab.T.Fatal(err)
	}
	top := fmt.Sprintf("cluster_name = \"lab\"\nbroker_id = %d\nbroker_ip = %q\nroles = [%s]\ngrpc_port = %d\nhttp_port = %d\n%s", n.ID, n.Name, quoted(n.Roles), GRPC, HTTP, n.Top)
	if robustmq.Lookup(v).Dialect == robustmq.DialectA {
		return top + fmt.Sprintf(`
[meta_addrs]
%s
[prometheus]
enable = true
port = %d
[log]
log_config = "./config/logger.toml"
log_path = "./logs"
[rocksdb]
data_path = "./data"
max_open_files = 10000
[storage_runtime]
tcp_port = %d
max_segment_size = 1073741824
io_thread_num = 4
data_path = ["./data/engine"]
[runtime]
tls_cert = "./config/certs/cert.pem"
tls_key = "./config/certs/key.pem"
[mqtt_runtime]
default_user = %q
default_password = %q
max_connection_num = 1000
durable_sessions_enable = false
%s`, n.metaAddrs(), Prometheus, Engine, MQTTUser, MQTTPassword, n.Sections)
	}
	storage := ""
	if !strings.Contains(n.Sections, "[storage_runtime]") {
		storage = fmt.Sprintf("[storage_runtime]\ntcp_port = %d\ndata_path = [\"./data/engine\"]\n", Engine)
	}
	server := ""
	if !strings.Contains(n.Sections, "[mqtt_runtime.server]") {
		server = fmt.Sprintf("[mqtt_runtime.server]\ntcp_port = %d\ntls_port = %d\nwebsocket_port = %d\nwebsockets_port = %d\nquic_port = %d\n", MQTT, MQTTS, WS, WSS, MQTTS)
	}
	network := ""
	if !strings.Contains(n.Sections, "[broker_network]") {
		network = "[broker_network]\nqueue_size = 5000\ntls_cert = \"./config/certs/cert.pem\"\ntls_key = \"./config/certs/key.pem\"\n"
	}
	return top + "data_path = \"./data/meta\"\n" + fmt.Sprintf(`
[meta_addrs]
%s
[log]
log_config = "./config/logger.toml"
log_path = "./logs"
[runtime]
default_topic_partition_num = 1
default_topic_replica_num = %d
server_worker_threads = 4
%s%s%s
[mqtt_runtime.auth]
default_user = %q
default_password = %q
[admin]
username = %q
password = %q
jwt_secret = %q
token_ttl_hours = 1
%s`, n.metaAddrs(), min(len(n.Lab.MetaHosts), 2), network, storage, server, MQTTUser, MQTTPassword, AdminUser, AdminPassword, JWTSecret, n.Sections)
}
