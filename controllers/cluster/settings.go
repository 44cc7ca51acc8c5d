package cluster

import (
	"context"
	"fmt"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// wantSettings tells the plan which configuration the pods shall have, where running servers take settings in and the spec is carried out.
func wantSettings(p *pass) error {
	p.snapshot.Wanted.Refused = p.memory.refused
	if p.upkeepOnly || p.templatesHeld || !p.traits.DynamicConfig {
		return nil
	}
	p.snapshot.Wanted.Sources = map[v1alpha1.Role]string{}
	for _, view := range p.desired.Spec.Roles() {
		source, err := manifests.ConfigSource(p.desired, p.inputs, view.Role)
		if err != nil {
			return fmt.Errorf("configuration of %s: %w", view.Role, err)
		}
		p.snapshot.Wanted.Sources[view.Role] = source
	}
	return nil
}

// giveSettings has a pod give one kind of its settings to the running servers, and remembers what was refused, so that it is not offered again and again.
func (r *Reconciler) giveSettings(ctx context.Context, p *pass, agent agentclient.Client, step topology.Step) error {
	source := p.observed.states[step.Pod].Config.Source
	_, err := agent.Settings(ctx, protocol.SettingsOrder{Kind: step.Setting, Source: source})
	if agentclient.Reason(err) == protocol.ReasonServerFailed {
		if p.memory.refused == nil {
			p.memory.refused = map[string]string{}
		}
		p.memory.refused[step.Setting] = source
	}
	return err
}
