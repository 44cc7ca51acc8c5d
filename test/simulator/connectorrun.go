package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// connectors are those that this node runs. Every server has them, whatever its roles.
type connectors struct {
	n *Node

	mu      sync.Mutex
	running map[string]context.CancelFunc // what ends them, by name; one that has stopped by itself stays until it is taken away
	beats   map[string]time.Time
}

func newConnectors(n *Node) *connectors {
	return &connectors{n: n, running: map[string]context.CancelFunc{}, beats: map[string]time.Time{}}
}

// serve runs the loops of connectors (connector/src/core.rs and heartbeat.rs, 0.4.11). Versions whose nodes are not told of changes have none here.
func (c *connectors) serve() {
	n := c.n
	if n.gen.islands {
		return
	}
	n.spawn(func() { n.t.every(n.ctx, time.Second, c.tend) })
	n.spawn(func() { n.t.every(n.ctx, time.Second, c.report) })
}

func (c *connectors) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running)
}

// tend starts what belongs here and stops what does not any more.
func (c *connectors) tend() {
	n := c.n
	n.frozen.wait(n.ctx)
	for _, wanted := range n.cache.connectors() {
		c.mu.Lock()
		_, runs := c.running[wanted.Name]
		c.mu.Unlock()
		if !runs && wanted.Broker == n.id {
			c.start(wanted)
		}
	}
	c.mu.Lock()
	running := maps.Clone(c.running)
	c.mu.Unlock()
	for _, name := range sortedKeys(running) {
		wanted, exists := n.cache.connector(name)
		if exists && wanted.Broker == n.id {
			continue
		}
		running[name]()
		c.forget(name)
		if !exists {
			n.metrics.set("mqtt_connector_up", 0, "", "unknown", name) // and what said that it is up goes on saying so (seen on 0.4.11)
			continue
		}
		n.metrics.set("mqtt_connector_up", 0, wanted.labels()...)
		wanted.Status = connectorIdle
		c.update(wanted)
	}
}

func (c *connectors) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, name)
}

func (c *connectors) update(changed connector) {
	if err := c.n.put(c.n.ctx, putRequest{Key: changed.key(), Value: mustJSON(changed), Must: true}); err != nil && c.n.ctx.Err() == nil {
		c.n.log.error("connector::core", "Failed to update connector '%s' to %s: %v", changed.Name, changed.Status, err)
	}
}

// start runs a connector that writes a file. Of other types nothing is run.
func (c *connectors) start(wanted connector) {
	n := c.n
	if wanted.Type != fileConnector {
		return
	}
	n.log.info("connector::core", "Starting connector '%s' (type: %s, topic: %s)", wanted.Name, connectorTypes[wanted.Type], wanted.Topic)
	n.metrics.set("mqtt_connector_up", 1, wanted.labels()...)
	file, err := openTarget(wanted)
	if err != nil {
		n.metrics.set("mqtt_connector_up", 0, wanted.labels()...) // the next round tries again
		n.log.error("connector::file", "Failed to start FileBridgePlugin, connector_name='%s', connector_type='%s', error=%v", wanted.Name, wanted.Type, err)
		return
	}
	ctx, stop := context.WithCancel(n.ctx)
	c.mu.Lock()
	c.running[wanted.Name] = stop
	c.mu.Unlock()
	n.spawn(func() {
		defer stop()
		defer func() { _ = file.Close() }()
		(&handing{c: c, of: wanted, file: file}).run(ctx)
	})
}

func openTarget(of connector) (*os.File, error) {
	var t fileTarget
	if err := json.Unmarshal(of.Config, &t); err != nil {
		return nil, fmt.Errorf("configuration of connector %s: %w", of.Name, err)
	}
	if err := os.MkdirAll(filepath.Dir(t.Path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(t.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// report sends every sign of life there ever was, those of connectors that are elsewhere now too.
func (c *connectors) report() {
	n := c.n
	n.frozen.wait(n.ctx)
	var r beatRequest
	c.mu.Lock()
	for _, name := range sortedKeys(c.beats) {
		r.Beats = append(r.Beats, beat{name, n.id, c.beats[name]})
	}
	c.mu.Unlock()
	if len(r.Beats) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.t.patience(callTimeout, time.Second))
	defer cancel()
	if _, err := dataCall[nothing](ctx, n, "ConnectorHeartbeat", true, r); err != nil && n.ctx.Err() == nil {
		n.log.error("connector::heartbeat", "report connector heartbeat error:%v", err)
	}
}

// group is whose offsets a connector's are: its name's.
func (c connector) group() string { return groupKey(c.Tenant, c.Name) }

// countConnectors gives every connector that a broker knows of its two counters, wherever it runs (mqtt-broker/src/core/metrics_cache.rs, 0.4.11: reading a counter makes it).
func (n *Node) countConnectors() {
	for _, c := range n.cache.connectors() {
		n.metrics.add("mqtt_connector_messages_sent_success", 0, c.labels()...)
		n.metrics.add("mqtt_connector_messages_sent_failure", 0, c.labels()...)
	}
}
