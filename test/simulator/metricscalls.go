package simulator

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

// called is a call by RobustMQ's names.
type called struct{ service, method string }

// RobustMQ's other services, whose calls the simulator has under names of its own.
const (
	mqttServiceName   = "meta.service.mqtt.MqttService"
	brokerServiceName = "broker.BrokerService"
)

// writesOf are the calls that put and delete a thing of a kind; loadsOf those that list it.
var (
	writesOf = map[string]called{
		kindTenant: {metaservice.ServiceName, "Tenant"}, kindUser: {mqttServiceName, "User"}, kindTopic: {mqttServiceName, "Topic"}, kindSession: {mqttServiceName, "Session"},
		kindACL: {mqttServiceName, "Acl"}, kindConnector: {mqttServiceName, "Connector"},
	}
	loadsOf = map[string]called{
		kindNode: {metaservice.ServiceName, "NodeList"}, kindTenant: {metaservice.ServiceName, "ListTenant"}, kindUser: {mqttServiceName, "ListUser"}, kindTopic: {mqttServiceName, "ListTopic"},
		kindShard: {metaservice.EngineServiceName, "ListShard"}, kindSegment: {metaservice.EngineServiceName, "ListSegment"}, kindConfig: {metaservice.ServiceName, "GetResourceConfig"},
		kindConnector: {mqttServiceName, "ListConnectors"}, kindACL: {mqttServiceName, "ListAcl"}, kindOffset: {metaservice.ServiceName, "GetOffsetData"},
	}
)

// callsOf are the calls of RobustMQ that one of the simulator's stands for. Raft's are none: they have families of their own.
func callsOf(full string, body func() []byte) []called {
	service, method, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	switch service {
	case nodeService:
		return []called{{brokerServiceName, "UpdateCache"}}
	case raftService:
		return nil
	case dataService:
	default:
		return []called{{service, method}}
	}
	var q struct {
		Key   string   `json:"key"`
		Kinds []string `json:"kinds"`
	}
	switch method {
	case "Register":
		return []called{{metaservice.ServiceName, "RegisterNode"}}
	case "ConnectorHeartbeat":
		return []called{{mqttServiceName, method}}
	case "CreateShard", "UpdateSegmentIsr":
		return []called{{metaservice.EngineServiceName, method}}
	case "Load":
		_ = json.Unmarshal(body(), &q) // of the simulator's own
		var all []called
		for _, kind := range q.Kinds {
			all = append(all, loadsOf[kind])
		}
		return all
	}
	_ = json.Unmarshal(body(), &q)
	kind, _, _ := strings.Cut(q.Key, "/")
	c, known := writesOf[kind+"/"]
	verb := "Create"
	if method == "Delete" {
		verb = "Delete"
	}
	if kind+"/" == kindOffset {
		return []called{{metaservice.ServiceName, "SaveOffsetData"}}
	}
	if !known { // plain keys
		return []called{{metaservice.ServiceName, map[string]string{"Create": "Set", "Delete": "Delete"}[verb]}}
	}
	return []called{{c.service, verb + c.method}}
}

func bodyOf(request any) func() []byte {
	return func() []byte {
		if p, ok := request.(*packet); ok {
			return p.Body
		}
		return nil
	}
}

// served counts a call that this node has answered.
func (m *metrics) served(ctx context.Context, request any, begin time.Time, err error) {
	full, _ := grpc.Method(ctx)
	for _, c := range callsOf(full, bodyOf(request)) {
		m.add("grpc_requests", 1, c.service, c.method)
		m.took("grpc_request_duration_ms", begin, c.service, c.method)
		if err != nil {
			m.add("grpc_errors", 1, c.service, c.method, screaming(status.Code(err)))
		}
	}
}

// screaming is a status code as RobustMQ writes it: FAILED_PRECONDITION.
func screaming(c codes.Code) string {
	var b strings.Builder
	for i, r := range c.String() {
		if i > 0 && r >= 'A' && r <= 'Z' && !strings.HasPrefix(c.String(), "OK") {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// made observes a call that this node has made. The client has short names, and calls the meta service by an older one.
func (m *metrics) made(full string, body func() []byte, begin time.Time) {
	for _, c := range callsOf(full, body) {
		service := c.service[strings.LastIndexByte(c.service, '.')+1:]
		if c.service == metaservice.ServiceName {
			service = "PlacementService"
		}
		m.took("grpc_client_call_duration_ms", begin, service, c.method)
	}
}

// exchanged counts a message of raft that this node has sent.
func (m *metrics) exchanged(machine, kind string, begin time.Time, err error) {
	m.add("raft_rpc_requests", 1, machine, kind)
	m.took("raft_rpc_duration_ms", begin, machine, kind)
	if err != nil {
		m.add("raft_rpc_failures", 1, machine, kind)
		return
	}
	m.add("raft_rpc_success", 1, machine, kind)
}

// wrote counts a write that this member was asked for. One that is refused because another member leads is a failure, too.
func (m *metrics) wrote(machine string, begin time.Time, err error) {
	m.add("raft_write_requests", 1, machine)
	m.took("raft_write_duration_ms", begin, machine)
	if err != nil {
		m.add("raft_write_failures", 1, machine)
		return
	}
	m.add("raft_write_success", 1, machine)
	for _, name := range []string{"raft_log_append_batch_duration_ms", "raft_apply_batch_duration_ms"} {
		m.took(name, begin, machine)
	}
}

// visited counts a request to the admin API, with the status of its answer.
func (m *metrics) visited(method, uri string, code int, begin time.Time) {
	m.add("http_requests", 1, method, uri)
	m.took("http_request_duration_ms", begin, method, uri)
	if code >= 400 {
		m.add("http_errors", 1, method, uri, strconv.Itoa(code))
	}
}

// operated counts an operation of the storage engine.
func (m *metrics) operated(operation string, begin time.Time, err error) {
	m.add("storage_engine_ops", 1, operation)
	m.took("storage_engine_ops_duration_ms", begin, operation)
	if err != nil {
		m.add("storage_engine_ops_fail", 1, operation)
	}
}
