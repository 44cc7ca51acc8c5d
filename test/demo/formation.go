package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// formation shows a cluster form: a table that is written over itself on a terminal, one line a change elsewhere.
type formation struct {
	n       *narrator
	lines   int // of the table on the terminal
	last    string
	members map[string]string
	reason  string // of the condition Ready
}

func (f *formation) see(c *v1alpha1.RobustMQCluster) {
	if f.n.terminal {
		f.draw(c)
		return
	}
	f.tell(c)
}

// draw writes the table over the former one.
func (f *formation) draw(c *v1alpha1.RobustMQCluster) {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s%s\n", indent, strings.Join(live.MemberColumns, "\t"))
	for _, m := range c.Status.Members {
		fmt.Fprintf(t, "%s%s\n", indent, strings.Join(live.MemberRow(m), "\t"))
	}
	_ = t.Flush()
	table := b.String() + indent + cut(waiting(c), 150) + "\n"
	if table == f.last {
		return
	}
	if f.lines > 0 {
		fmt.Fprintf(f.n.out, "\x1b[%dA\x1b[J", f.lines) // up, and erase what is below
	}
	_, _ = io.WriteString(f.n.out, table)
	f.last, f.lines = table, strings.Count(table, "\n")
}

// tell writes a line for each member that changed, and for each new thing that is waited for.
func (f *formation) tell(c *v1alpha1.RobustMQCluster) {
	if f.members == nil {
		f.members = map[string]string{}
	}
	for _, m := range c.Status.Members {
		if m.Server == "Missing" || m.Server == "Unknown" {
			continue // no agent has said anything yet, or it is silent: what is waited for tells it
		}
		now := fmt.Sprintf("volume %s, gate %s, server %s", m.Volume, m.Gate, m.Server)
		if m.Role == v1alpha1.RolePlacementCenter {
			now += fmt.Sprintf(", voter in %d raft groups", len(m.VoterIn))
		}
		if m.InService {
			now += ", in service"
		}
		if f.members[m.Pod] != now {
			f.members[m.Pod] = now
			f.n.say("  %s: %s", m.Pod, now)
		}
	}
	// Its message moves with every pod; a new reason is news.
	if condition := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady); condition != nil && condition.Reason != f.reason {
		f.reason = condition.Reason
		f.n.say("  %s", cut(waiting(c), 200))
	}
}

// waiting is what the condition Ready says.
func waiting(c *v1alpha1.RobustMQCluster) string {
	condition := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	if condition == nil {
		return "Ready: not said yet"
	}
	return fmt.Sprintf("Ready %s: %s: %s", condition.Status, condition.Reason, condition.Message)
}

// cut keeps a line of the table on one line of the terminal: what wraps would be counted wrong.
func cut(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}

// form waits until the cluster is Ready.
func form(ctx context.Context, n *narrator, k *live.Kubernetes, key client.ObjectKey, timeout time.Duration) (*v1alpha1.RobustMQCluster, error) {
	f := &formation{n: n}
	return k.AwaitCluster(ctx, "Ready", key, timeout, f.see, live.IsReady)
}
