package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

var roles = []v1alpha1.Role{v1alpha1.RolePlacementCenter, v1alpha1.RoleMQTTBroker, v1alpha1.RoleJournalServer}

// newSnapshot turns what was observed into the value that decisions are made on.
func newSnapshot(p *pass, limits topology.Limits) topology.Snapshot {
	cluster, o := p.desired, p.observed
	s := topology.Snapshot{
		Wanted: topology.Wanted{
			ClusterUID: p.id.uid, Generation: p.id.generation, Founded: p.id.founded,
			Static: p.traits.Formation == robustmq.FormationStatic, Islands: p.traits.Tier == robustmq.TierIslands,
			Groups: p.traits.StatusGroups, Replicas: map[v1alpha1.Role]int32{},
			Decommission: p.traits.Decommission, VolumesGo: volumesGo(cluster),
			Restore: underWay(p.restores),
		},
		Limits: limits, Machines: o.machines,
	}
	if len(p.traits.StatusGroups) < len(p.traits.RaftGroups) {
		s.Wanted.NoSeeds = fmt.Sprintf("RobustMQ %s tells of its metadata group only, so whom its other raft groups voted for cannot be seen in an image", p.version)
	}
	s.Wanted.LeadOn = cluster.Annotations[v1alpha1.AnnotationLeadOn]
	if pod := cluster.Annotations[v1alpha1.AnnotationAdoptVolume]; pod != "" {
		s.Wanted.Adopt = []string{pod}
	}
	for _, view := range cluster.Spec.Roles() {
		s.Wanted.Replicas[view.Role] = view.Replicas
	}
	s.Present = map[v1alpha1.Role]int32{}
	for _, role := range roles {
		base := manifests.WorkloadName(cluster, role) + "-"
		s.Present[role] = existing(o, base) // a set that is being made anew has left its pods
		if set := o.sets[role]; set != nil && set.Spec.Replicas != nil {
			s.Present[role] = manifests.Present(set)
		}
		for ordinal := range max(s.Wanted.Replicas[role], s.Present[role], existing(o, base)) {
			pod := base + strconv.Itoa(int(ordinal))
			m := topology.Member{
				Role: role, Ordinal: ordinal, NodeID: role.BaseNodeID() + uint64(ordinal), Pod: pod,
				Addr: manifests.RaftAddress(cluster, p.inputs, ordinal), // meaningful for the placement centre
				Host: manifests.PodHost(cluster, p.inputs, role, ordinal),
			}
			describePod(o, &m)
			if found := o.pods[pod]; found != nil {
				m.Node = found.Spec.NodeName
			}
			m.Local = o.local[pod]
			if found, set := o.pods[pod], o.sets[role]; found != nil && set != nil {
				m.RevisionStale, m.TemplateStale = revisionStale(found, set), templateStale(found, set, manifests.TemplateHash(set))
			}
			if claim := o.claims[pod]; claim != nil {
				m.ClaimExists, m.ClaimFounded = true, claim.Annotations[v1alpha1.AnnotationFounded] == "true"
				m.ClaimTerminating = claim.DeletionTimestamp != nil
			}
			if state, ok := o.states[pod]; ok {
				m.Agent = newAgent(state)
				m.ImagePending = imagePending(o.pods[pod], state.Template)
			} else if err := o.errs[pod]; err != nil {
				m.AgentError = err.Error()
			} else {
				m.AgentError = "the pod has no address yet"
			}
			s.Members = append(s.Members, m)
		}
	}
	s.OtherVolumes = otherVolumes(p, s.Members)
	noteRegistrations(&s)
	return s
}

// imagePending reports whether a pod's container was started from another template than the pod has: before it was given another image. An agent of a release that was told of no template cannot say.
func imagePending(pod *corev1.Pod, startedFrom string) bool {
	return pod != nil && startedFrom != "" && pod.Annotations[v1alpha1.AnnotationTemplate] != startedFrom
}

// otherVolumes are the claims that are marked as a member's and that none of the pods has. A member that left and was emptied lost the mark (forgetLeft).
func otherVolumes(p *pass, members []topology.Member) (names []string) {
	for _, claim := range p.metadataClaims() {
		pod, _ := manifests.PodOfVolumeClaim(claim.Name)
		if claim.Annotations[v1alpha1.AnnotationFounded] == "true" && !slices.ContainsFunc(members, func(m topology.Member) bool { return m.Pod == pod }) {
			names = append(names, claim.Name)
		}
	}
	return names
}

// noteRegistrations takes those that the metadata leader has.
func noteRegistrations(s *topology.Snapshot) {
	if len(s.Wanted.Groups) == 0 {
		return
	}
	if leader, ok := topology.Assess(*s).Leader(s.Wanted.Groups[0]); ok {
		s.Registrations = leader.Agent.Registrations
	}
}

// existing returns one more than the highest ordinal of the pods with that name prefix.
func existing(o *observation, base string) int32 {
	n := int32(0)
	for name := range o.pods {
		if i, ok := ordinalOf(name, base); ok && i >= n {
			n = i + 1
		}
	}
	return n
}

// ordinalOf is the ordinal in a pod's name, after the name of its StatefulSet and a dash.
func ordinalOf(pod, base string) (int32, bool) {
	rest, ok := strings.CutPrefix(pod, base)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(rest, 10, 32)
	return int32(i), err == nil && i >= 0
}

func newAgent(st protocol.State) *topology.Agent {
	a := &topology.Agent{
		VolumeEmpty: st.Volume.Phase == protocol.VolumeEmpty, VolumeInitialised: st.Volume.Phase == protocol.VolumeInitialised, VolumeMessage: st.Volume.Message,
		GateOpen: st.Gate.Open, GateReason: st.Gate.Reason, GateMessage: st.Gate.Message,
		Server: topology.ServerPhase(st.Server.Phase), MQTTOpen: st.Server.MQTTOpen, Starts: st.Server.Restarts + 1, Fenced: st.Fenced, Terminating: st.Terminating,
		ConfigStale:  st.Config.Running != "" && st.Config.Running != st.Config.Mounted,
		ConfigFault:  st.Config.Problem,
		LoginRefused: st.Server.LoginRefused, Founding: st.Server.Founding,
		Source: st.Config.Source, LivePending: st.Config.LivePending,
		Registry: st.Registry, Nodes: st.Nodes, Quiesced: st.Server.Quiesced,
	}
	if len(st.Registrations) > 0 {
		a.Registrations = make(map[uint64]topology.Registration, len(st.Registrations))
		for _, r := range st.Registrations {
			a.Registrations[r.NodeID] = topology.Registration{Host: r.Host, At: r.At}
		}
	}
	if image := st.Images.Image; image != nil {
		a.Staging, a.Streaming = image.Phase == protocol.ImageStaging, image.Phase == protocol.ImageReady
	}
	if placement := st.Images.Placement; placement != nil {
		a.Placing = placement.Phase != protocol.PlacementOpen && placement.Phase != protocol.PlacementReverted
	}
	a.Seed = newTopologySeed(st.Images)
	a.WALBytes = st.Images.WALBytes
	if t := st.Transfer; t != nil {
		a.Transfer = &topology.Transfer{ID: t.ID, Target: t.Target, Trouble: t.Message}
	}
	if exit := st.Server.LastExit; exit != nil {
		a.ServerExit = fmt.Sprintf("%s, exit code %d", exit.Reason, exit.Code)
		if exit.Message != "" {
			a.ServerExit += ": " + exit.Message
		}
	}
	if mk := st.Volume.Marker; mk != nil {
		a.Marker = &topology.Marker{ClusterUID: mk.ClusterUID, NodeID: mk.NodeID, Generation: mk.Generation, Origin: string(mk.Origin), Member: mk.Member, Life: lifeOf(mk)}
		a.EmptySnapshot = emptySnapshots(mk)
	}
	a.Announced = announced(st)
	if st.Raft != nil {
		a.Groups = make(map[string]topology.Group, len(st.Raft))
		for name, g := range st.Raft {
			a.Groups[name] = newGroup(g)
		}
	}
	return a
}

// announced reports whether the server that runs has registered itself since it was started. Registrations have whole seconds.
func announced(st protocol.State) bool {
	return st.Server.Started != nil && slices.ContainsFunc(st.Registrations, func(r protocol.Registration) bool {
		return r.NodeID == st.NodeID && int64(r.At) >= st.Server.Started.Unix() //nolint:gosec // seconds since 1970
	})
}

func newGroup(g robustmq.GroupState) topology.Group {
	out := topology.Group{
		Running: g.Running, Voters: g.Voters(), Changing: len(g.Configs) > 1, Leads: g.LeadsWithQuorum(), Claims: g.State == "Leader", Leader: g.CurrentLeader,
		Term: g.Term, LastLog: g.LastLogIndex, Vote: g.VoteNode,
	}
	for _, config := range g.Configs {
		out.Members = append(out.Members, config...)
	}
	if out.Changing {
		out.Configs = g.Configs
	}
	slices.Sort(out.Members)
	out.Members = slices.Compact(out.Members)
	if g.LastApplied != nil {
		out.LastApplied = g.LastApplied.Index
	}
	if g.Purged != nil {
		out.Purged = g.Purged.Index
	}
	return out
}

// describePod says in what state the pod is and, where it does not run, what it waits for, naming the object.
func describePod(o *observation, m *topology.Member) {
	pod := o.pods[m.Pod]
	if pod == nil {
		m.State = topology.PodMissing
		return
	}
	for _, c := range pod.Status.ContainerStatuses {
		m.Restarts += c.RestartCount
	}
	m.Ready = slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
	switch {
	case pod.DeletionTimestamp != nil:
		m.State = topology.PodTerminating
		return
	case pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" && started(pod):
		m.State = topology.PodRunning
		return
	}
	m.State = topology.PodPending
	m.Reason, m.Message = pendingReason(pod, o.claims[m.Pod])
}

func started(pod *corev1.Pod) bool {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running != nil {
			return true
		}
	}
	return false
}

// pendingReason names what a pod that does not run waits for.
func pendingReason(pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) (reason, message string) {
	for _, c := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		w := c.State.Waiting
		if w == nil {
			continue
		}
		switch {
		case manifests.ImageNotPulled(w.Reason):
			return v1alpha1.ReasonImagePullFailed, fmt.Sprintf("image %s of container %s cannot be pulled (%s)", c.Image, c.Name, w.Reason)
		case manifests.ContainerNotMade(w.Reason), w.Reason == "CrashLoopBackOff":
			return v1alpha1.ReasonPodFailing, fmt.Sprintf("container %s: %s: %s", c.Name, w.Reason, w.Message)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse {
			continue
		}
		if claim != nil && claim.Status.Phase == corev1.ClaimPending && strings.Contains(c.Message, "PersistentVolumeClaim") {
			return v1alpha1.ReasonWaitingForVolume, fmt.Sprintf("volume claim %s is pending%s: %s", claim.Name, className(claim), c.Message)
		}
		return v1alpha1.ReasonUnschedulable, "no node takes the pod: " + c.Message
	}
	if claim != nil && claim.Status.Phase == corev1.ClaimPending {
		return v1alpha1.ReasonWaitingForVolume, fmt.Sprintf("volume claim %s is pending%s", claim.Name, className(claim))
	}
	return v1alpha1.ReasonWaitingForPods, "its containers are being started"
}

func className(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName == nil {
		return " without a storage class"
	}
	return fmt.Sprintf(" (storage class %s)", *claim.Spec.StorageClassName)
}
