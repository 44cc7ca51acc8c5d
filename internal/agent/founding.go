package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// founding reports that the server is the only voter and that its start has not come to its end; the lock is held.
//
// RobustMQ answers, leads and is registered before that. The last thing that it does is to make the MQTT user of its configuration where there is none, and when a broker that is starting makes it at
// the same moment, it gives up and exits with 1 (try_init_system_user, read in 0.4.11). A newcomer that is let in just then reaches nobody, and founds a second cluster.
func (a *Agent) founding() bool {
	c := a.child
	return c != nil && c.meta && !c.begun && c.traits.Formation == robustmq.FormationSequential && len(a.known.voters) == 1 && a.known.voters[0] == a.mounted.nodeID()
}

func (a *Agent) foundingNow() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.founding()
}

// checkBegun looks whether the MQTT user is there that the server makes at the end of its start.
func (a *Agent) checkBegun(ctx context.Context, c *child, m mounted) error {
	rows, err := a.admin(m).List(ctx, "/api/cluster/user/list?"+url.Values{"tenant": {robustmq.DefaultTenant}, "user_name": {c.user}}.Encode())
	if err != nil {
		return fmt.Errorf("looking for the MQTT user: %w", err)
	}
	for i, row := range rows {
		var user struct {
			Username string `json:"username"`
		}
		if err := json.Unmarshal(row, &user); err != nil {
			return fmt.Errorf("looking for the MQTT user, row %d: %w", i, err)
		}
		if user.Username == c.user {
			a.mu.Lock()
			defer a.mu.Unlock()
			c.begun = true
			a.notify()
			return nil
		}
	}
	return nil
}
