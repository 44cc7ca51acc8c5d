package restore

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/controllers/backup/outcome"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// observation is what one pass saw. It is never changed once made.
type observation struct {
	now     time.Time
	restore *v1alpha1.RobustMQRestore
	// cluster that is restored, read past the cache, with the defaults of its spec; nil: there is none.
	cluster *v1alpha1.RobustMQCluster
	// domain is the DNS domain of the Kubernetes cluster.
	domain string

	// What only a restore that has not begun depends on: turn is what goes first, missing a Secret that is not there or lacks a key, forbidden are the rules against it.
	turn, missing *wait
	forbidden     []string

	// place is where the backup is; nil: unplaced says why that is not known.
	place    *v1alpha1.S3Destination
	unplaced *wait
	// named is the RobustMQBackup that the spec names, if it names one and that is there.
	named *v1alpha1.RobustMQBackup
	// inspect is the Job that looks at the backup, found what it found of the backup that is restored; nil: not known (yet).
	inspect jobFacts
	found   *job.Result
	// safety is the backup that is made of the cluster first; nil: there is none.
	safety *v1alpha1.RobustMQBackup
	// push is the Job that sends the backup to the members, pushed what it was asked for.
	push   jobFacts
	pushed *job.RestoreRequest

	// members are those of the placement centre by node id: the ones that the spec asks for, and others whose pods exist. nodes are the brokers and journal servers likewise.
	members, nodes []member
	// counted are the members' censuses of this pass by node id, asked for once their raft groups are as they shall be; nil: they were not.
	counted map[uint64]protocol.Census
	// before and after are what a broker said that the cluster holds: before it was stopped, as far as this operator saw it, and now that all serve again. nil: not known. They are for words alone.
	before, after *inventory
	// since is when this operator first saw the restore in its stage. It is for words alone.
	since time.Time
}

// jobFacts are a Job of the restore and how it is going; job is nil when there is none.
type jobFacts struct {
	job *batchv1.Job
	run outcome.Outcome
}

// wait is why something does not go on, with a reason of the API's closed set.
type wait struct{ reason, message string }

// member is a pod of the cluster, and what its agent said.
type member struct {
	pod    string
	role   v1alpha1.Role
	nodeID uint64
	// wanted: the spec asks for it. exists: Kubernetes has the pod.
	wanted, exists bool
	address        string // the pod's, without port; empty: it has none
	// state is nil while the agent does not answer; problem says why.
	state   *protocol.State
	problem string
}

// placement is that of this restore in the member's volume; nil: there is none, as far as is known.
func (o *observation) placement(m member) *protocol.Placement {
	if m.state == nil {
		return nil
	}
	if p := m.state.Images.Placement; p != nil && p.ID == placementID(o.restore) {
		return p
	}
	return nil
}

// leftover is a placement of somebody else.
func (o *observation) leftover(m member) *protocol.Placement {
	if m.state == nil {
		return nil
	}
	if p := m.state.Images.Placement; p != nil && p.ID != placementID(o.restore) {
		return p
	}
	return nil
}

// placementID names the image at every agent: one for each restore, for ever.
func placementID(r *v1alpha1.RobustMQRestore) string { return "restore-" + string(r.UID) }

// unwanted reports whether somebody wants what was there before.
func (o *observation) unwanted() bool {
	return !o.restore.DeletionTimestamp.IsZero() || o.restore.Annotations[v1alpha1.AnnotationAbort] == "true"
}

// overwrites reports whether the restore may go into volumes that hold data.
func (o *observation) overwrites() bool {
	return o.restore.Spec.Trigger == v1alpha1.RestoreManual || o.restore.Spec.Trigger == ""
}

func (o *observation) allows(e v1alpha1.RestoreEscape) bool {
	return slices.Contains(o.restore.Spec.Unsafe, e)
}

// mode is where the agent's server stands.
func (m member) stopped() bool {
	if m.state == nil {
		return false
	}
	s := m.state
	return s.Server.Phase == protocol.ServerStopped && s.Server.Waiting == "" && !s.Gate.Open && s.Gate.Reason != protocol.GateTransferring && s.Gate.Reason != protocol.GateUnsettled
}

// held reports whether nothing but an order keeps the server from starting.
func (m member) held() bool { return m.state != nil && m.state.Gate.Reason == protocol.GateHeld }

// silent says why the member's agent cannot be asked; empty: it answers.
func (m member) silent() string {
	switch {
	case m.state != nil:
		return ""
	case !m.exists:
		return fmt.Sprintf("pod %s does not exist", m.pod)
	}
	return fmt.Sprintf("the agent of %s does not answer (%s)", m.pod, m.problem)
}

// empty reports whether the volume holds no data.
func (m member) empty() bool { return m.state != nil && m.state.Volume.Phase == protocol.VolumeEmpty }

// silentOf lists why members cannot be asked.
func silentOf(members []member) string {
	var out []string
	for _, m := range members {
		if why := m.silent(); why != "" {
			out = append(out, why)
		}
	}
	return strings.Join(out, "; ")
}

// present are the members whose pods exist or are wanted: all of them. Those that neither exist nor are wanted are none.
func present(all []member) []member {
	return slices.DeleteFunc(slices.Clone(all), func(m member) bool { return !m.wanted && !m.exists })
}

func names(members []member) string {
	out := make([]string, 0, len(members))
	for _, m := range members {
		out = append(out, m.pod)
	}
	return strings.Join(out, ", ")
}
