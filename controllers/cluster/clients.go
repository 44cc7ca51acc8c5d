package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// observeClients asks the brokers whether anybody is connected, while the log of the metadata grows faster than an idle cluster's: clients are a reason for that.
func (r *Reconciler) observeClients(ctx context.Context, p *pass) {
	if p.snapshot.Wanted.Islands || !p.traits.Decommission || !p.snapshot.GrowsFast() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Observe)
	defer cancel()
	clients := 0
	for _, m := range p.snapshot.Members {
		if m.Role != v1alpha1.RoleMQTTBroker || m.Agent == nil || m.Agent.Server != topology.ServerRunning {
			continue
		}
		agent, err := p.agent(m.Pod)
		if err == nil {
			var n int
			n, err = connected(ctx, agent)
			clients += n
		}
		if err != nil {
			p.log.Info("the log of the metadata grows fast, and whether clients are connected is not known", "pod", m.Pod, "perSecond", p.snapshot.Pace, "error", err.Error())
			return
		}
		if clients > 0 {
			break
		}
	}
	p.snapshot.Clients = &clients
}

// connected is how many MQTT clients a broker serves, by connection_num of its overview; the metric mqtt_connections_count counts its connections with other nodes, too.
func connected(ctx context.Context, agent agentclient.Client) (int, error) {
	data, err := agent.Admin(ctx, "GET", "/api/mqtt/overview", nil)
	if err != nil {
		return 0, err
	}
	return parseConnected(data)
}

func parseConnected(data []byte) (int, error) {
	var overview struct {
		ConnectionNum *int `json:"connection_num"`
	}
	if err := json.Unmarshal(data, &overview); err != nil {
		return 0, fmt.Errorf("overview: %w", err)
	}
	if overview.ConnectionNum == nil || *overview.ConnectionNum < 0 {
		return 0, fmt.Errorf("overview: connection_num is missing or negative")
	}
	return *overview.ConnectionNum, nil
}
