package simulator

import (
	"context"
	"encoding/json"
	"time"
)

// beat is what a node says of a connector that it runs: when it last read messages, be there any or not.
type beat struct {
	Name   string    `json:"connector_name"`
	Broker uint64    `json:"broker_id"`
	At     time.Time `json:"heartbeat_time"`
}

type beatRequest struct {
	Beats []beat `json:"heartbeats"`
}

// connectorBeats notes what a node says of its connectors. As with the nodes' own heartbeats it is this member that knows it, and no other.
func (m *metaService) connectorBeats(r beatRequest) {
	for _, b := range r.Beats {
		if c, exists := m.connector(b.Name); exists && c.Broker == b.Broker {
			m.mu.Lock()
			m.beats[b.Name] = b.At
			m.mu.Unlock()
		}
	}
}

func (m *metaService) connector(name string) (connector, bool) {
	raw, exists := m.n.state.get(connector{Name: name}.key())
	if !exists {
		return connector{}, false
	}
	var c connector
	return c, json.Unmarshal(raw, &c) == nil
}

// placeConnectors is the leader's loop: a connector that was heard of and is silent now loses its node (of one that was never heard of nobody notices anything), and every one without a node gets the one that has the fewest. Any registered node
// will do, also one without the role of a broker: every server runs what it is given (meta-service/src/controller/connector_scheduler.rs, 0.4.11).
func (m *metaService) placeConnectors() {
	n := m.n
	n.frozen.wait(n.ctx)
	if !n.rafts.metadata().IsLeader() {
		return
	}
	for _, name := range m.silentConnectors() {
		if c, exists := m.connector(name); exists {
			m.unplace(c)
		}
	}
	all := m.connectors()
	load := map[uint64]int{}
	for _, node := range m.nodes() {
		load[node.NodeID] = 0
	}
	for i, c := range all {
		if c.Broker == 0 && c.Status == connectorRunning {
			m.unplace(c)
			all[i].Status = "" // its turn is the next one
		}
		if c.Broker != 0 {
			load[c.Broker]++
		}
	}
	for _, c := range all {
		if c.Status != connectorIdle {
			continue
		}
		if c.Broker == 0 {
			if c.Broker = n.leastLoaded(load); c.Broker == 0 {
				n.log.warn("meta_service::controller::connector_scheduler", "No available broker for connector %s", c.Name)
				continue
			}
			load[c.Broker]++
		}
		c.Status = connectorRunning
		if err := m.putConnector(c); err != nil {
			return
		}
		n.log.info("meta_service::controller::connector_scheduler", "Connector %s assigned to Broker %d (load: %d)", c.Name, c.Broker, load[c.Broker])
	}
}

// silentConnectors are those whose last sign of life is too old. What no connector belongs to is forgotten.
func (m *metaService) silentConnectors() []string {
	limit := m.n.t.patience(time.Duration(m.n.file.number("meta_runtime.heartbeat_timeout_ms"))*time.Millisecond, 1200*time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	var silent []string
	for _, name := range sortedKeys(m.beats) {
		if _, exists := m.connector(name); !exists {
			delete(m.beats, name)
		} else if time.Since(m.beats[name]) > limit {
			silent = append(silent, name)
		}
	}
	return silent
}

func (m *metaService) unplace(c connector) {
	c.Status, c.Broker = connectorIdle, 0
	_ = m.putConnector(c) // the next round tries again
}

func (m *metaService) putConnector(c connector) error {
	ctx, cancel := context.WithTimeout(m.n.ctx, m.n.t.patience(callTimeout, time.Second))
	defer cancel()
	return m.put(ctx, c.key(), mustJSON(c))
}

func (m *metaService) connectors() []connector {
	return decodeAll[connector](m.n.state.each, kindConnector)
}

// leastLoaded is one of the nodes that have the fewest, whichever; 0 when there are none.
func (n *Node) leastLoaded(load map[uint64]int) uint64 {
	var least []uint64
	for id, count := range load {
		if len(least) > 0 && count > load[least[0]] {
			continue
		}
		if len(least) > 0 && count < load[least[0]] {
			least = least[:0]
		}
		least = append(least, id)
	}
	if len(least) == 0 {
		return 0
	}
	return least[n.draw(len(least))]
}
