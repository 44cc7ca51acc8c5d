package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config/catalogue"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// checkedSettings is what a server process went by when it was last asked.
type checkedSettings struct {
	child   *child
	at      time.Time
	live    string // mounted.live that it was compared with
	pending []string
}

// settingsDue reports whether the server has to be asked what it goes by.
func (a *Agent) settingsDue(c *child, m mounted) bool {
	if !c.traits.DynamicConfig || len(m.rendered.Kinds) == 0 || m.problem != "" {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.settings
	return s.child != c || s.live != m.live || len(s.pending) > 0 || a.o.Now().Sub(s.at) > a.o.Timings.Settings
}

// checkSettings asks the server what it goes by and keeps which kinds differ from what is mounted. The answer holds passwords and goes nowhere.
func (a *Agent) checkSettings(ctx context.Context, c *child, m mounted) error {
	effective, err := a.admin(m).Call(ctx, http.MethodGet, "/api/cluster/config/get", nil)
	if err != nil {
		return fmt.Errorf("asking the server what it goes by: %w", err)
	}
	differing, err := m.rendered.Differing(effective)
	if err != nil {
		return err
	}
	pending := make([]string, 0, len(differing))
	for _, kind := range differing {
		pending = append(pending, string(kind))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.child != c {
		return nil
	}
	before := a.settings
	a.settings = checkedSettings{child: c, at: a.o.Now(), live: m.live, pending: pending}
	if before.child != c || before.live != m.live || !slices.Equal(before.pending, pending) {
		a.notify()
	}
	return nil
}

// orderSettings gives one kind of the mounted configuration to the running server, which stores it for the whole cluster and passes it on to the others.
func (a *Agent) orderSettings(ctx context.Context, order protocol.SettingsOrder) error {
	a.orders.Lock()
	defer a.orders.Unlock()
	a.mu.Lock()
	c, m := a.child, a.mounted
	a.mu.Unlock()
	switch {
	case c == nil:
		return fmt.Errorf("settings: %w", errServerDown)
	case m.source != order.Source:
		return conflict("another configuration is mounted than the one that is meant; it arrives within about a minute")
	}
	whole, ok := m.rendered.Kinds[catalogue.Kind(order.Kind)]
	if !ok {
		return badRequest("a server of RobustMQ %s is not given %q while it runs", m.version, order.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.OrderWait)
	defer cancel()
	_, err := a.admin(m).Call(ctx, http.MethodPost, "/api/cluster/config/set", map[string]string{"config_type": order.Kind, "config": string(whole)})
	if err != nil {
		var answered *admin.Error
		if !errors.As(err, &answered) {
			return &refusal{protocol.ReasonServerDown, err.Error()}
		}
		// It is stored before it is read (seen): whatever was refused would end every server at its next start.
		undone := "it was taken out of the store again"
		if err := a.unstore(ctx, m, order.Kind); err != nil {
			undone = "and it could not be taken out of the store again: " + err.Error()
		}
		return &refusal{protocol.ReasonServerFailed, fmt.Sprintf("the server refuses %s: %v; %s", order.Kind, answered, undone)}
	}
	return a.checkSettings(ctx, c, m)
}

// unstore deletes a stored kind at the metadata leader, whichever member that is.
func (a *Agent) unstore(ctx context.Context, m mounted, kind string) error {
	var problems []error
	for _, member := range m.config.Members {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, a.o.Timings.Probe)
			defer cancel()
			addr := hostPort(member.Host, m.config.Ports.GRPC)
			meta, err := a.peers.metaAt(addr)
			if err != nil {
				return err
			}
			err = meta.DeleteResourceConfig(ctx, kind)
			if err == nil {
				var left []byte
				if left, err = meta.StoredConfig(ctx, kind); err == nil && len(left) > 0 {
					err = errors.New("it is still stored")
				}
			}
			if metaclient.IsUnreachable(err) {
				a.peers.drop(addr, meta)
			}
			return err
		}()
		if err == nil {
			return nil
		}
		problems = append(problems, err) // a follower refuses
	}
	return errors.Join(problems...)
}
