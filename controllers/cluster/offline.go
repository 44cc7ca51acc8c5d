package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// An upgrade between versions that cannot run side by side stops everything: brokers and journal servers first, so that nothing is written any more; then, when every member has applied the whole log
// and what they hold is saved, the members. No entry of a raft log is left then that a server of the new version would have to read. What has been done is seen in the StatefulSets, which
// sleep as those of a cluster that hibernates, in the pods and in the backup. Recorded in the status is what cannot be seen: which backup is this attempt's, and that the new version may have been started.

// hopFacts are what is known of a change of version that cannot roll.
type hopFacts struct {
	from, to string
	// record is status.upgrade; nil: nothing was begun.
	record *v1alpha1.OfflineUpgrade
	// hindrance says why it cannot be done, with the way out; empty: it can.
	hindrance string
	// restore of the cluster that has begun and not ended.
	restore topology.Restore
	// nodes are the pods of brokers and journal servers that are there, members those of the placement centre. A role is at rest when its StatefulSet was put to sleep and its controller has no pod left.
	nodes, members         []string
	nodesRest, membersRest bool
	// membersAsleep: the placement centre was put to sleep, whether or not its pods are gone.
	membersAsleep bool
	// behind says why the members are not proven to have applied the whole log, and all the same; empty: they are.
	behind string
	// backup of this attempt; nil: it was not made yet. noBackup says why there can be none; empty: there can.
	backup     *v1alpha1.RobustMQBackup
	backupName string
	noBackup   string
}

// hop is what a pass does about a change of version that cannot roll. The zero value: there is none.
type hop struct {
	from, to string
	// pending: spec.version asks for a version that cannot run beside the one that runs. No pod gets another form then, whatever else the spec asks for.
	pending bool
	// frozen: something else goes first, and nothing moves in either direction.
	frozen bool
	// ready: everything is there that has to be before it begins; begins: it begins now.
	ready, begins bool
	// stopNodes and stopMembers say who is stopped, or stays so; save has the backup made; opens: from now on the pods are those of the new version.
	stopNodes, save, stopMembers, opens bool
	// wait is what is told.
	wait topology.Wait
}

// decideHop says how far such an upgrade is and what comes next. It goes on only from what is seen now, so it may be asked anew at any moment, by an operator that knows nothing of the last one.
func decideHop(f hopFacts) hop {
	h := hop{from: f.from, to: f.to, pending: true}
	begun := f.record != nil && !f.record.Opened
	switch {
	case f.record != nil && f.record.Opened:
		h.tell(v1alpha1.ReasonVersionPending, "the upgrade to RobustMQ %s is not over, and the next one begins after it: %s", f.from, f.wayBack())
		return h
	case f.hindrance != "":
		h.tell(v1alpha1.ReasonVersionPending, "%s", f.hindrance)
		return h
	case !begun && f.restore.UnderWay():
		h.tell(v1alpha1.ReasonChangeHeld, "the restore %s of this cluster is under way, and the upgrade from RobustMQ %s to %s begins after it", f.restore.Name, f.from, f.to)
		return h
	case !begun:
		h.ready = true
		return h
	}
	h.stopNodes = true
	switch b := f.backup; {
	case !f.membersAsleep && f.restore.UnderWay():
		h.tell(v1alpha1.ReasonChangeHeld, "the restore %s of this cluster is under way, and the upgrade goes on after it", f.restore.Name)
	case !f.nodesRest:
		h.tell(v1alpha1.ReasonUpgradeStopping, "brokers and journal servers are being stopped: %s", orNone(f.nodes))
	case f.noBackup != "":
		h.trouble(v1alpha1.ReasonSafetyBackupFailed, "%s; %s", f.noBackup, f.wayBack())
	case b == nil && f.behind != "":
		h.tell(v1alpha1.ReasonUpgradeSaving, "brokers and journal servers are stopped; the metadata is saved when every member has applied the whole log: %s; %s", f.behind, f.wayBack())
	case b == nil:
		h.save = true
		h.tell(v1alpha1.ReasonUpgradeSaving, "brokers and journal servers are stopped, and backup %s saves the metadata as RobustMQ %s leaves it", f.backupName, f.from)
	case b.Labels[v1alpha1.LabelUpgrade] == "" || b.CreationTimestamp.Time.Before(f.record.StartTime.Time):
		h.trouble(v1alpha1.ReasonNameTaken, "a backup %s exists that is not of this upgrade: delete it, and its own is made; %s", b.Name, f.wayBack())
	case b.Ended() && !b.Restorable():
		h.trouble(v1alpha1.ReasonSafetyBackupFailed, "backup %s has failed%s: the members go on, and nothing else is stopped. Delete it (kubectl delete rmqb %s) and it is made again; %s", b.Name, inBrackets(b), b.Name, f.wayBack())
	case !b.Restorable():
		h.tell(v1alpha1.ReasonUpgradeSaving, "brokers and journal servers are stopped, and backup %s saves the metadata as RobustMQ %s leaves it%s; %s", b.Name, f.from, inBrackets(b), f.wayBack())
	case !f.membersAsleep && f.behind != "":
		h.tell(v1alpha1.ReasonUpgradeStopping, "backup %s is complete; the members are stopped when all have applied the whole log: %s; %s", b.Name, f.behind, f.wayBack())
	default:
		h.stopMembers = true
		h.opens = f.membersRest
		if h.opens {
			h.tell(v1alpha1.ReasonUpgradeStarting, "every server of RobustMQ %s has stopped; the pods are made for %s", f.from, f.to)
			break
		}
		h.tell(v1alpha1.ReasonUpgradeStopping, "backup %s is complete, and the members are being stopped: %s", b.Name, orNone(f.members))
	}
	return h
}

// wayBack is how the former version is had again, as long as no other has been started.
func (f hopFacts) wayBack() string {
	if f.record != nil && f.record.Opened {
		return fmt.Sprintf("what RobustMQ %s cannot make sense of is in backup %s as it was before, for a new cluster of that version (spec.bootstrap.restoreFrom)", f.from, f.record.BackupName)
	}
	return fmt.Sprintf("with spec.version %q everything starts again as it was", f.from)
}

func (h *hop) tell(reason, format string, args ...any) {
	h.wait = topology.Wait{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func (h *hop) trouble(reason, format string, args ...any) {
	h.tell(reason, format, args...)
	h.wait.Trouble = true
}

// recorded is what stands in the status after the pass: was before it, and the name of the backup where the upgrade begins at that time.
func (h *hop) recorded(was *v1alpha1.OfflineUpgrade, now time.Time, backupName func(time.Time) string) *v1alpha1.OfflineUpgrade {
	switch {
	case h == nil || h.frozen || was != nil && was.Opened: // an opened one ends when every server runs its version (computeStatus)
		return was
	case h.begins:
		at := metav1.NewTime(now.Truncate(time.Second)) // as the API server keeps it
		return &v1alpha1.OfflineUpgrade{Version: h.to, StartTime: at, BackupName: backupName(at.Time)}
	case h.stopNodes:
		next := was.DeepCopy()
		next.Version, next.Opened = h.to, h.opens // another version than at first changes nothing in what was saved
		return next
	}
	return nil
}

// unproven says why it is not proven that every member has applied all that is in its log, and that their logs are the same; empty: it is. Only then is there nothing in them that
// the next start would have to read as an entry of the log.
func unproven(s topology.Snapshot, health topology.Health) string {
	if problem := health.QuorumProblem(); problem != "" {
		return problem
	}
	for _, group := range s.Wanted.Groups {
		leader, ok := health.Leader(group)
		if !ok {
			return fmt.Sprintf("raft group %s has no leader", group)
		}
		end := leader.Agent.Groups[group]
		for _, m := range s.Members {
			if m.Role != v1alpha1.RolePlacementCenter || m.Ordinal >= s.Wanted.Replicas[m.Role] {
				continue
			}
			if m.Agent == nil || m.Agent.Server != topology.ServerRunning {
				return m.Pod + " does not answer"
			}
			g := m.Agent.Groups[group]
			if g.Term != end.Term || g.LastLog != end.LastLog || g.LastApplied != end.LastLog {
				return fmt.Sprintf("%s has applied %d of the %d entries of raft group %s", m.Pod, g.LastApplied, max(end.LastLog, g.LastLog), group)
			}
		}
	}
	return ""
}

// inBrackets is " (<why>)" of what keeps a backup from being complete; empty where nothing has said it yet.
func inBrackets(b *v1alpha1.RobustMQBackup) string {
	if why := b.WhyIncomplete(); why != "" {
		return " (" + why + ")"
	}
	return ""
}

func orNone(pods []string) string {
	if len(pods) == 0 {
		return "the last of them is going"
	}
	return strings.Join(slices.Sorted(slices.Values(pods)), ", ")
}
