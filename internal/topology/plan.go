package topology

import (
	"cmp"
	"fmt"
	"slices"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// StepKind is what a step does.
type StepKind string

// The kinds of steps.
const (
	StepFound       StepKind = "Found"       // order: this empty volume becomes the founder's
	StepMarkFounded StepKind = "MarkFounded" // record on every volume claim and in the status that the cluster was founded
	StepOrderJoin   StepKind = "OrderJoin"   // order: this empty volume joins what exists
	StepAdopt       StepKind = "Adopt"       // order: this foreign volume is taken over as it is, as the user said
	StepJoin        StepKind = "Join"        // JoinCluster on the common leader: finish a half-done join
	StepLeave       StepKind = "Leave"       // LeaveCluster on the metadata leader: roll a half-done join back
	StepStop        StepKind = "Stop"        // stop the server and hold it
	StepStart       StepKind = "Start"       // let a held server go
	StepRestart     StepKind = "Restart"     // restart the server in place
	StepReplace     StepKind = "Replace"     // delete a pod, so that it is made anew from the present template
	StepChangeImage StepKind = "ChangeImage" // give a pod the image of the present template: its container is started again, the pod stays
	StepWipe        StepKind = "Wipe"        // empty the volume of a stopped member that never was a whole member, or that nothing counts on any more

	StepQuiesce       StepKind = "Quiesce"       // the broker runs on, and clients are led elsewhere
	StepDrain         StepKind = "Drain"         // stop the server of a node that is taken away, and hold it
	StepUnregister    StepKind = "Unregister"    // UnRegisterNode on the metadata leader: the copies of a stopped node move to others
	StepReleaseVolume StepKind = "ReleaseVolume" // delete the volume claim of a node that nothing counts on any more; it goes with the pod
)

// StepSettings gives one kind of the mounted settings to the running servers.
const StepSettings StepKind = "Settings"

// StepLogin has a broker make its MQTT user anew, with the password of its Secret.
const StepLogin StepKind = "Login"

// StepPull has the images of a pod's new template pulled on its node.
const StepPull StepKind = "Pull"

// Step is one thing to do.
type Step struct {
	Kind StepKind
	// Pod is the pod that is changed (StepMarkFounded: none).
	Pod string
	// Via is the pod whose server is asked (StepJoin, StepLeave, StepUnregister).
	Via    string
	NodeID uint64
	Addr   string
	// Reason is a sentence for the event.
	Reason string
	// Setting is the kind of settings (StepSettings).
	Setting string
	// Cures names the symptom whose time starts anew when the step is done.
	Cures SymptomKind
	// Planned: the user asked for it; nothing had gone wrong.
	Planned bool
	// Trigger is what the restore is for (StepRestore).
	Trigger v1alpha1.RestoreTrigger
	// Transfer is the ID of a transfer of leadership (StepEndTransfer).
	Transfer string
	// Without is the other voter (StepAlone).
	Without uint64
	// Terms by raft group, of a StepSeed while nobody leads: the votes in the image are replaced by one for nobody in this term.
	Terms map[string]uint64
	// Changing: the image of a StepSeed may be of a membership that is being changed, or of groups with different ones. Via was needed for everything that was agreed upon in each of them.
	Changing bool
}

// Symptom is the one whose time starts anew when the step is done.
func (s Step) Symptom() Symptom {
	if s.Cures == SymptomLeadersApart || s.Cures == SymptomTotalLoss {
		return Symptom{Kind: s.Cures}
	}
	return Symptom{s.Cures, s.Pod}
}

// Wait says why something is not done yet. Waiting is not an error.
type Wait struct {
	// Reason is one of the API's condition reasons.
	Reason string
	// Message names the pod and the rule.
	Message string
	// Trouble: it will not end by itself in the usual time; a person or a later step must act.
	Trouble bool
	// Background: what is served is not touched by it, so the cluster is as Ready as it was.
	Background bool
}

// Plan is what to do now, and why the rest waits.
type Plan struct {
	Steps []Step
	Waits []Wait
	// Roll is how far a change is that takes one pod after another.
	Roll Roll
	// AskSegments: the next step depends on the segments of the messages (Snapshot.Drain), which were not gathered. With them the decision is made anew.
	AskSegments bool
}

// Settled reports whether there is nothing to do and nothing to wait for.
func (p Plan) Settled() bool { return len(p.Steps) == 0 && len(p.Waits) == 0 }

// Serves reports whether nothing that is to be done or waited for touches what is served.
func (p Plan) Serves() bool {
	return !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind != StepSettings && s.Kind != StepLogin && s.Kind != StepPull }) && !slices.ContainsFunc(p.Waits, func(w Wait) bool { return !w.Background })
}

// Takes reports whether the step, whatever it was decided for, is in the plan.
func (p Plan) Takes(step Step) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == step.Kind && s.Pod == step.Pod && s.NodeID == step.NodeID })
}

func (p *Plan) wait(reason, format string, args ...any) {
	p.Waits = append(p.Waits, Wait{Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (p *Plan) trouble(reason, format string, args ...any) {
	p.Waits = append(p.Waits, Wait{Reason: reason, Message: fmt.Sprintf(format, args...), Trouble: true})
}

func (p *Plan) step(s Step) { p.Steps = append(p.Steps, s) }

// decision looks at the snapshot and adds steps and waits to the plan; it returns false when nothing after it may change anything in this pass.
type decision func(s Snapshot, h Health, p *Plan) (goOn bool)

// Decide returns the next steps. The decisions stand in the order of their danger: what must be stopped comes before what may be started, and the quorum before the nodes that need it.
func Decide(s Snapshot) Plan {
	if wait, aside := standAside(s); aside {
		return Plan{Waits: []Wait{wait}}
	}
	h := assess(s)
	var p Plan
	noteUnreachable(s, &p)
	chain := []decision{replaceStuck, replaceLost, replaceBroken, adoptVolumes, stopRogues, stopDuplicates, finishTransfers, becomeOne, releaseHeld, freeElections, cureRaft}
	chain = append(chain, beginWithBackup)
	if s.Wanted.Static {
		chain = append(chain, foundStatic, seedMembers, cureFaults)
	} else {
		chain = append(chain, found, surviveMajority, openUnled, finishJoins, seedMembers, cureFaults, emptyOutdated, joinNext)
	}
	chain = append(chain, renewVolumes)
	if s.Wanted.Islands {
		chain = append(chain, startIslands)
	} else {
		chain = append(chain, leaveNext, startNodes, mendLists, calmLog)
	}
	chain = append(chain, drainNext, renewLogin, giveSettings, rollNext, leaveCordoned, leadAsAsked)
	for _, decide := range chain {
		if !decide(s, h, &p) {
			break
		}
	}
	// What somebody has to act upon is told before what ends by itself, and that everything is lost before what comes of it.
	slices.SortStableFunc(p.Waits, func(a, b Wait) int {
		return cmp.Or(compareBool(a.Reason != v1alpha1.ReasonDataLost, b.Reason != v1alpha1.ReasonDataLost), compareBool(!a.Trouble, !b.Trouble))
	})
	return p
}

// replaceStuck makes pods anew that never got to run and were made from an older template: an image, a resource or a node selector was corrected since, and the
// StatefulSets replace nothing by themselves (OnDelete). No server has run in them, so nothing is interrupted.
func replaceStuck(s Snapshot, _ Health, p *Plan) bool {
	for _, m := range s.Members {
		if m.State == PodPending && (m.TemplateStale || m.RevisionStale) && !s.SetsBehind[m.Role] {
			p.step(Step{Kind: StepReplace, Pod: m.Pod, NodeID: m.NodeID, Reason: "it never ran, and its template was corrected since it was made"})
		}
	}
	return true
}

// noteUnreachable says of every wanted pod that cannot be asked why not.
func noteUnreachable(s Snapshot, p *Plan) {
	for _, m := range s.Members {
		if !s.wantedOf(m) {
			if m.State != PodMissing && m.Role == v1alpha1PlacementCenter && !s.Wanted.Decommission {
				p.trouble(v1alpha1.ReasonScaleInPending, "%s is more than the %d wanted and stays: in this version of RobustMQ no member can be taken away without losing messages; set replicas back, or go to 0.4.5 or later first", m.Pod, s.Wanted.Replicas[m.Role])
			}
			continue
		}
		switch {
		case lost(s, m), volumeLost(s, m): // replaceLost and renewVolumes tell
		case noteVolume(s, m, p):
		case m.State == PodMissing || m.State == PodPending:
			reason := m.Reason
			if reason == "" {
				reason = v1alpha1.ReasonWaitingForPods
			}
			message := m.Message
			if message == "" {
				message = "not created or not started yet"
			}
			if s.Seen[Symptom{SymptomPodPending, m.Pod}] > s.Limits.PodPending {
				p.trouble(reason, "%s: %s", m.Pod, message)
			} else {
				p.wait(reason, "%s: %s", m.Pod, message)
			}
		case m.State == PodTerminating:
			p.wait(v1alpha1.ReasonWaitingForPods, "%s is being replaced", m.Pod)
		case m.Agent == nil:
			p.wait(v1alpha1.ReasonAgentUnreachable, "%s: its agent does not answer: %s", m.Pod, m.AgentError)
		case m.ImagePending:
			p.wait(v1alpha1.ReasonReplacing, "%s was given another image, and its container has not been started with its new image yet", m.Pod)
		default:
			noteGate(m, p)
		}
	}
}

// noteGate says why a reachable pod's gate is shut, where that is not the ordinary wait for an order.
func noteGate(m Member, p *Plan) {
	a := m.Agent
	switch {
	case a.GateOpen:
		switch a.Server {
		case ServerExited:
			p.trouble(v1alpha1.ReasonServerCrashing, "%s", crashText(m.Pod, a))
		case ServerHung:
			p.trouble(v1alpha1.ReasonServerHung, "%s: the server answers no more, its agent restarts it", m.Pod)
		}
		if a.Fenced {
			p.trouble(v1alpha1.ReasonFenced, "%s reaches too few members and keeps its server stopped until it does", m.Pod)
		}
	case a.GateReason == GateAwaitsOrder, a.GateReason == GateHeld, a.GateReason == GateTransferring:
	case a.Marker != nil && a.Marker.Origin == OriginAlone && a.GateReason == "NewerGeneration": // its configuration is on its way
	case a.GateReason == GatePlacing && a.Seed != nil: // seedMembers tells how far it is
	default:
		p.trouble(reasonOfGate(a.GateReason), "%s waits at its gate: %s", m.Pod, a.GateMessage)
	}
}

func reasonOfGate(gate string) string {
	switch gate {
	case GateForeign:
		return v1alpha1.ReasonForeignVolume
	case "DataLost":
		return v1alpha1.ReasonEmptyVolume
	case GateOldGeneration:
		return v1alpha1.ReasonOldGeneration
	case "VolumeUnusable":
		return v1alpha1.ReasonVolumeUnusable
	case "ConfigInvalid":
		return v1alpha1.ReasonConfigInvalid
	}
	return v1alpha1.ReasonGateClosed
}
