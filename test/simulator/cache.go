package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// cache is what a node believes of the metadata: loaded once at the start from the first member that answers, then kept by notifications. Nothing repairs it.
type cache struct {
	n *Node

	mu      sync.RWMutex
	data    map[string]json.RawMessage
	changed chan struct{} // closed and replaced at every change
}

// cached are the kinds that brokers keep.
var cached = []string{kindNode, kindTenant, kindUser, kindTopic, kindShard, kindSegment, kindConfig, kindConnector, kindACL}

func newCache(n *Node) *cache {
	return &cache{n: n, data: map[string]json.RawMessage{}, changed: make(chan struct{})}
}

// load reads everything. A stored dynamic configuration that does not fit its type ends the process (seen-api.md 0.1).
func (c *cache) load(ctx context.Context) error {
	found, err := dataCall[map[string]json.RawMessage](ctx, c.n, "Load", false, loadRequest{Kinds: cached})
	if err != nil {
		return err
	}
	c.mu.Lock()
	clear(c.data)
	maps.Copy(c.data, found)
	c.mu.Unlock()
	for key, raw := range found {
		if kind, ok := strings.CutPrefix(key, kindConfig); ok {
			var text string
			_ = json.Unmarshal(raw, &text)
			if err := c.n.admin.dynamic.overlay(kind, text, true); err != nil {
				return say("Failed to load cluster config: %w", err)
			}
		}
	}
	if !c.n.gen.islands {
		if _, err := dataCall[map[string]json.RawMessage](ctx, c.n, "Load", false, loadRequest{Kinds: []string{kindACL}, Leader: true}); err != nil {
			return say("Failed to load ACLs: %w", err)
		}
	}
	return nil
}

// update is what a notification does.
func (c *cache) update(ch change) {
	c.mu.Lock()
	if ch.Value == nil {
		delete(c.data, ch.Key)
	} else {
		c.data[ch.Key] = ch.Value
	}
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	if kind, ok := strings.CutPrefix(ch.Key, kindConfig); ok && ch.Value != nil {
		var text string
		_ = json.Unmarshal(ch.Value, &text)
		_ = c.n.admin.dynamic.overlay(kind, text, false)
	}
	if name, ok := strings.CutPrefix(ch.Key, topicKey(defaultTenant, "")); ok && ch.Value != nil && c.n.mqtt != nil {
		c.n.mqtt.readings.begin(name) // for who has subscribed before it was made
	}
	// A topic that is deleted takes its messages along, at once: meta-service/src/controller/topic_delete.rs tells every engine, and storage-engine/src/core/delete.rs removes what it stored (0.4.11).
	if shard, ok := strings.CutPrefix(ch.Key, kindShard); ok && ch.Value == nil && c.n.engine != nil {
		c.n.engine.mu.Lock()
		c.n.engine.drop(shard)
		c.n.engine.mu.Unlock()
	}
}

func (c *cache) get(key string) (json.RawMessage, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.data[key]
	return v, ok
}

func (c *cache) wait() <-chan struct{} {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.changed
}

func (c *cache) each(kind string, visit func(string, json.RawMessage)) {
	c.mu.RLock()
	var keys []string
	values := map[string]json.RawMessage{}
	for k, v := range c.data {
		if strings.HasPrefix(k, kind) {
			keys = append(keys, k)
			values[k] = v
		}
	}
	c.mu.RUnlock()
	sort.Strings(keys)
	for _, k := range keys {
		visit(k, values[k])
	}
}

func (c *cache) nodes() []nodeRecord {
	all := decodeAll[nodeRecord](c.each, kindNode)
	slices.SortFunc(all, func(a, b nodeRecord) int { return int(a.NodeID) - int(b.NodeID) })
	return all
}

func (c *cache) node(id uint64) (nodeRecord, bool) {
	return cachedValue[nodeRecord](c, nodeKey(id))
}

func (c *cache) topic(tenant, name string) (topic, bool) {
	return cachedValue[topic](c, topicKey(tenant, name))
}

func (c *cache) segment(shard string) (segment, bool) {
	return cachedValue[segment](c, fmt.Sprintf("%s%s/0", kindSegment, shard))
}

func cachedValue[T any](c *cache, key string) (T, bool) {
	var v T
	raw, ok := c.get(key)
	return v, ok && json.Unmarshal(raw, &v) == nil
}

func topicKey(tenant, name string) string { return kindTopic + tenant + "/" + name }
func userKey(tenant, name string) string  { return kindUser + tenant + "/" + name }

// metaTargets are the addresses that calls go to. Up to 0.4.5 it is one alone, the second of the list (robustmq-meta.md B).
func (n *Node) metaTargets() []string {
	var all []string
	for _, a := range n.file.metaAddrs() {
		all = append(all, a.addr)
	}
	if !n.gen.heartbeatToAll && len(all) > 0 {
		return []string{all[1%len(all)]}
	}
	return all
}

// dataCall calls a member's data service.
func dataCall[R any](ctx context.Context, n *Node, name string, write bool, request any) (R, error) {
	var reply R
	begin := time.Now()
	defer func() { n.metrics.made("/"+dataService+"/"+name, func() []byte { return mustJSON(request) }, begin) }()
	err := n.calls.call(ctx, n.metaTargets(), "PlacementService/"+name, write, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		reply, err = invoke[R](ctx, conn, dataService, name, request)
		return err
	})
	return reply, err
}

// put stores one thing through the members.
func (n *Node) put(ctx context.Context, r putRequest) error {
	_, err := dataCall[nothing](ctx, n, "Put", true, r)
	return err
}
