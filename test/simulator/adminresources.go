package simulator

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

const success = "success"

// addResources are tenants, users, topics, messages, configuration and membership.
func (a *adminServer) addResources() {
	a.add("GET", "/api/cluster/config/get", a.configGet)
	a.add("POST", "/api/cluster/config/set", a.configSet)
	a.add("POST", "/api/cluster/node/leave", a.leave)
	a.add("GET", "/api/cluster/tenant/list", func(r *http.Request, _ []byte) (any, error) {
		return page(decodeAll[tenant](a.n.cache.each, kindTenant), r.URL.Query()), nil
	})
	a.add("POST", "/api/cluster/tenant/create", a.tenantCreate)
	a.add("POST", "/api/cluster/tenant/update", a.tenantUpdate)
	a.add("POST", "/api/cluster/tenant/delete", func(r *http.Request, body []byte) (any, error) {
		var q struct {
			Name string `json:"tenant_name"`
		}
		if err := decodeBody(body, &q, "tenant_name"); err != nil {
			return nil, err
		}
		return a.remove(r.Context(), kindTenant+q.Name)
	})
	a.add("GET", "/api/cluster/user/list", a.userList)
	a.add("POST", "/api/cluster/user/create", a.userCreate)
	a.add("POST", "/api/cluster/user/delete", func(r *http.Request, body []byte) (any, error) {
		var q user
		if err := decodeBody(body, &q, "tenant", "username"); err != nil {
			return nil, err
		}
		return a.remove(r.Context(), userKey(q.Tenant, q.Username))
	})
	a.add("GET", "/api/cluster/topic/list", a.topicList)
	a.add("GET", "/api/cluster/topic/detail", a.topicDetail)
	a.add("POST", "/api/cluster/topic/create", a.topicCreate)
	a.add("POST", "/api/cluster/topic/delete", a.topicDelete)
	a.add("POST", "/api/cluster/message/send", a.messageSend)
	a.add("POST", "/api/cluster/message/read", a.messageRead)
	a.add("GET", "/api/mqtt/client/list", a.clientList)
	for _, path := range []string{"/api/mqtt/session/list", "/api/mqtt/subscribe/list", "/api/mqtt/system-alarm/list", "/api/mqtt/ban-log/list", "/api/cluster/blacklist/list", "/api/cluster/schema/list"} {
		a.add("GET", path, func(r *http.Request, _ []byte) (any, error) { return page([]any{}, r.URL.Query()), nil })
	}
	a.add("GET", "/api/mqtt/monitor/data", func(*http.Request, []byte) (any, error) {
		// One sample each half minute; the last is enough for whoever asks whether there are any.
		return []map[string]any{{"date": a.n.now(), "value": len(a.n.mqtt.clients())}}, nil
	})
	a.addGeneric("acl", kindACL, "name")
	a.addConnectors()
}

// addGeneric is a resource that is only stored and listed.
func (a *adminServer) addGeneric(name, kind, nameKey string) {
	key := func(body []byte) (string, map[string]any, error) {
		var q map[string]any
		if err := decodeBody(body, &q, "tenant", nameKey); err != nil {
			return "", nil, err
		}
		return fmt.Sprintf("%s%v/%v", kind, q["tenant"], q[nameKey]), q, nil
	}
	a.add("GET", "/api/cluster/"+name+"/list", func(r *http.Request, _ []byte) (any, error) {
		return page(decodeAll[map[string]any](a.n.cache.each, kind), r.URL.Query()), nil
	})
	a.add("POST", "/api/cluster/"+name+"/create", func(r *http.Request, body []byte) (any, error) {
		k, q, err := key(body)
		if err != nil {
			return nil, err
		}
		return a.store(r.Context(), putRequest{Key: k, Value: mustJSON(q)})
	})
	a.add("POST", "/api/cluster/"+name+"/delete", func(r *http.Request, body []byte) (any, error) {
		k, _, err := key(body)
		if err != nil {
			return nil, err
		}
		return a.remove(r.Context(), k)
	})
}

func (a *adminServer) store(ctx context.Context, r putRequest) (any, error) {
	if err := a.n.put(ctx, r); err != nil {
		return nil, err
	}
	return success, nil
}

func (a *adminServer) remove(ctx context.Context, key string) (any, error) {
	if _, err := dataCall[nothing](ctx, a.n, "Delete", true, putRequest{Key: key, Must: true}); err != nil {
		return nil, err
	}
	return success, nil
}

func (a *adminServer) configGet(r *http.Request, _ []byte) (any, error) {
	if id := r.URL.Query().Get("broker_id"); id != "" {
		number, _ := strconv.ParseUint(id, 10, 64)
		if _, known := a.n.cache.node(number); !known {
			return nil, say("Broker node %s not found", id)
		}
		// It asks over the network and sends no token, also when the node is itself.
		return nil, say("Failed to fetch config from broker %s: Server returned error: code=401, message={\"code\":401,\"data\":null,\"message\":\"Missing Authorization header\"}", id)
	}
	return a.dynamic.shown(), nil
}

func (a *adminServer) configSet(r *http.Request, body []byte) (any, error) {
	var q struct {
		Type   string `json:"config_type"`
		Config string `json:"config"`
	}
	if err := decodeBody(body, &q, "config_type", "config"); err != nil {
		return nil, err
	}
	if _, known := dynamicTypes[q.Type]; !known {
		return nil, say("Unknown config_type: %s", q.Type)
	}
	err := a.n.calls.call(r.Context(), a.n.metaTargets(), "PlacementService/SetResourceConfig", true, func(ctx context.Context, conn *grpc.ClientConn) error {
		return metaservice.NewClient(conn).SetResourceConfig(ctx, []string{"cluster", q.Type}, []byte(q.Config))
	})
	if err != nil {
		return nil, err
	}
	// It is stored by now, whatever it is.
	if err := a.dynamic.overlay(q.Type, q.Config, false); err != nil {
		return nil, say("Failed to update in-memory config: %w", err)
	}
	return success, nil
}

func (a *adminServer) leave(r *http.Request, body []byte) (any, error) {
	var q struct {
		NodeID uint64 `json:"node_id"`
		Force  bool   `json:"force"`
	}
	if err := decodeBody(body, &q, "node_id"); err != nil {
		return nil, err
	}
	if q.NodeID < 1 {
		return nil, &invalid{"Parameter validation failed: node_id must be greater than or equal to 1"}
	}
	if _, listed := a.n.cache.node(q.NodeID); listed && !q.Force {
		return nil, say("Node %d is still registered (alive). Stop its process first, or pass force=true. Removing a live node would orphan it.", q.NodeID)
	}
	err := a.n.calls.call(r.Context(), a.n.metaTargets(), "PlacementService/LeaveCluster", true, func(ctx context.Context, conn *grpc.ClientConn) error {
		return metaservice.NewClient(conn).LeaveCluster(ctx, q.NodeID)
	})
	if err != nil {
		return nil, err
	}
	return success, nil
}

type tenantRequest struct {
	Name   string        `json:"tenant_name"`
	Desc   string        `json:"desc"`
	Config *tenantLimits `json:"config"`
}

// limits fills what is not given, or is zero, with the defaults.
func (q tenantRequest) limits() tenantLimits {
	l := tenantLimits{10000000, 10000, 5000000, 50000000, 10000}
	if q.Config == nil {
		return l
	}
	for from, to := range map[*int64]*int64{
		&q.Config.MaxConnectionsPerNode: &l.MaxConnectionsPerNode, &q.Config.MaxCreateRate: &l.MaxCreateRate, &q.Config.MaxTopics: &l.MaxTopics,
		&q.Config.MaxSessions: &l.MaxSessions, &q.Config.MaxPublishRate: &l.MaxPublishRate,
	} {
		if *from != 0 {
			*to = *from
		}
	}
	return l
}

func (a *adminServer) tenantCreate(r *http.Request, body []byte) (any, error) {
	var q tenantRequest
	if err := decodeBody(body, &q, "tenant_name"); err != nil {
		return nil, err
	}
	if err := between("Tenant name", q.Name, 1, 128); err != nil {
		return nil, err
	}
	return a.store(r.Context(), putRequest{Key: kindTenant + q.Name, Value: mustJSON(tenant{q.Name, q.Desc, q.limits(), a.n.now()}), Create: true})
}

func (a *adminServer) tenantUpdate(r *http.Request, body []byte) (any, error) {
	var q tenantRequest
	if err := decodeBody(body, &q, "tenant_name"); err != nil {
		return nil, err
	}
	have, _ := cachedValue[tenant](a.n.cache, kindTenant+q.Name)
	return a.store(r.Context(), putRequest{Key: kindTenant + q.Name, Value: mustJSON(tenant{q.Name, q.Desc, q.limits(), have.CreateTime}), Must: true})
}

func (a *adminServer) userList(r *http.Request, _ []byte) (any, error) {
	rows := decodeAll[user](a.n.cache.each, kindUser)
	wanted, part := r.URL.Query().Get("tenant"), r.URL.Query().Get("user_name")
	rows = slices.DeleteFunc(rows, func(u user) bool { return wanted != "" && u.Tenant != wanted || !strings.Contains(u.Username, part) })
	for i := range rows {
		rows[i].Password = ""
	}
	return page(rows, r.URL.Query()), nil
}

func (a *adminServer) userCreate(r *http.Request, body []byte) (any, error) {
	var q user
	if err := decodeBody(body, &q, "username", "password"); err != nil {
		return nil, err
	}
	if q.Tenant == "" {
		q.Tenant = defaultTenant
	}
	if err := between("Username", q.Username, 1, 64); err != nil {
		return nil, err
	}
	if err := between("Password", q.Password, 1, 128); err != nil {
		return nil, err
	}
	q.CreateTime = a.n.now()
	return a.store(r.Context(), putRequest{Key: userKey(q.Tenant, q.Username), Value: mustJSON(q), Create: true})
}

func (a *adminServer) topicList(r *http.Request, _ []byte) (any, error) {
	q := r.URL.Query()
	rows := slices.DeleteFunc(decodeAll[topic](a.n.cache.each, kindTopic), func(t topic) bool {
		return q.Get("topic_name") != "" && t.TopicName != q.Get("topic_name") || q.Get("tenant") != "" && t.Tenant != q.Get("tenant")
	})
	return page(rows, q), nil
}

var storageTypes = []string{"EngineMemory", "EngineRocksDB", "EngineSegment"}

func (a *adminServer) topicCreate(r *http.Request, body []byte) (any, error) {
	var q struct {
		Tenant      string `json:"tenant"`
		TopicName   string `json:"topic_name"`
		StorageType string `json:"storage_type"`
		Source      string `json:"source"`
		Partition   int    `json:"partition"`
		Replication int    `json:"replication"`
	}
	if err := decodeBody(body, &q, "tenant", "topic_name", "storage_type", "source"); err != nil {
		return nil, err
	}
	if err := between("Topic name", q.TopicName, 1, 256); err != nil {
		return nil, err
	}
	if !slices.Contains(storageTypes, q.StorageType) {
		return nil, say("Invalid storage_type '%s', must be one of: %s", q.StorageType, strings.Join(storageTypes, ", "))
	}
	f := a.n.file
	if q.Partition == 0 {
		q.Partition = max(int(f.number("runtime.default_topic_partition_num")), 1)
	}
	if q.Replication == 0 {
		q.Replication = max(int(f.number("runtime.default_topic_replica_num")), 1)
	}
	return a.n.createTopic(r.Context(), topicRequest{Tenant: q.Tenant, Name: q.TopicName, StorageType: q.StorageType, Source: q.Source, Partition: q.Partition, Replication: q.Replication})
}

func (a *adminServer) topicDelete(r *http.Request, body []byte) (any, error) {
	var q struct {
		Tenant    string `json:"tenant"`
		TopicName string `json:"topic_name"`
	}
	if err := decodeBody(body, &q, "tenant", "topic_name"); err != nil {
		return nil, err
	}
	t, exists := a.n.cache.topic(q.Tenant, q.TopicName)
	if !exists {
		return nil, say("Topic %s does not exist", q.TopicName)
	}
	for _, name := range t.StorageNameList {
		for _, key := range []string{kindSegment + name + "/0", kindShard + name} {
			if _, err := dataCall[nothing](r.Context(), a.n, "Delete", true, putRequest{Key: key}); err != nil {
				return nil, err
			}
		}
	}
	return a.remove(r.Context(), topicKey(q.Tenant, q.TopicName))
}

func (a *adminServer) topicDetail(r *http.Request, _ []byte) (any, error) {
	q := r.URL.Query()
	t, exists := a.n.cache.topic(q.Get("tenant"), q.Get("topic_name"))
	if !exists {
		return nil, say("Topic %s does not exist", q.Get("topic_name"))
	}
	storage := map[string]any{}
	for p, name := range t.StorageNameList {
		info, err := a.shardInfo(r.Context(), name)
		if err != nil {
			return nil, err
		}
		storage[p] = info
	}
	return map[string]any{"topic_info": t, "retain_message": nil, "sub_list": []any{}, "storage_list": storage}, nil
}

func (a *adminServer) messageSend(r *http.Request, body []byte) (any, error) {
	var q struct {
		Tenant  string `json:"tenant"`
		Topic   string `json:"topic"`
		Payload string `json:"payload"`
	}
	if err := decodeBody(body, &q, "topic", "payload"); err != nil {
		return nil, err
	}
	if q.Tenant == "" {
		q.Tenant = defaultTenant
	}
	offset, err := a.n.storeMessage(r.Context(), message{Payload: []byte(q.Payload), Timestamp: a.n.now(), QoS: 1, Topic: q.Topic, Tenant: q.Tenant})
	if err != nil {
		return nil, err
	}
	return map[string]any{"offsets": []uint64{offset}}, nil
}

func (a *adminServer) messageRead(r *http.Request, body []byte) (any, error) {
	var q struct {
		Tenant string `json:"tenant"`
		Topic  string `json:"topic"`
	}
	if err := decodeBody(body, &q, "topic"); err != nil {
		return nil, err
	}
	if q.Tenant == "" {
		q.Tenant = defaultTenant
	}
	t, exists := a.n.cache.topic(q.Tenant, q.Topic)
	if !exists {
		return nil, say("Topic %s does not exist", q.Topic)
	}
	type row struct {
		Offset    uint64 `json:"offset"`
		Content   string `json:"content"`
		Timestamp int64  `json:"timestamp"`
	}
	rows := []row{}
	for _, p := range sortedKeys(t.StorageNameList) {
		stored, err := a.n.engine.rows(r.Context(), t.StorageNameList[p])
		if err != nil {
			return nil, err
		}
		for _, m := range stored {
			rows = append(rows, row{m.Offset, string(m.Payload), m.Timestamp})
		}
	}
	return map[string]any{"messages": rows}, nil
}

func (a *adminServer) clientList(r *http.Request, _ []byte) (any, error) {
	rows := []map[string]any{}
	for _, c := range a.n.mqtt.clients() {
		rows = append(rows, map[string]any{"client_id": c.ID, "connection_id": 0, "tenant": defaultTenant, "protocol": fmt.Sprintf("MQTT%d", c.Properties.ProtocolVersion), "source_addr": c.Net.Remote})
	}
	return page(rows, r.URL.Query()), nil
}
