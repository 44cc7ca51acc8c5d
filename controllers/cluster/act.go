package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/topology"
	"github.com/robustmq/robustmq-operator/monitoring"
)

// act performs the plan's steps in order and stops at the first that fails: what an order that was not answered did is seen by the next pass.
func (r *Reconciler) act(ctx context.Context, p *pass, plan topology.Plan) error {
	for _, step := range plan.Steps {
		switch restore, handed, err := r.handedOver(ctx, p); {
		case err != nil:
			return err
		case handed:
			p.log.Info("step left out, a restore has the members now", "step", step.Kind, "pod", step.Pod, "restore", restore.Name)
			return nil
		}
		if step.Kind == topology.StepMarkFounded {
			if err := r.markFounded(ctx, p); err != nil {
				return err
			}
			monitoring.Changed(ctx)
			p.memory.converging.Took(p.seen, step, p.snapshot)
			p.log.Info("step done", "step", step.Kind, "reason", step.Reason)
			continue
		}
		do := r.order
		switch step.Kind {
		case topology.StepReplace:
			do = r.replace
		case topology.StepChangeImage:
			do = r.changeImage
		case topology.StepReleaseVolume:
			do = r.releaseVolume
		case topology.StepForceDelete:
			do = r.forceDelete
		case topology.StepRenewVolume:
			do = r.renewVolume
		case topology.StepPull:
			do = r.pull
		case topology.StepRestore:
			do = r.beginRestore
		case topology.StepStartEmpty:
			do = r.startEmpty
		case topology.StepAlone:
			do = r.goAlone
		case topology.StepSave:
			do = r.save
		case topology.StepTransfer, topology.StepEndTransfer:
			do = func(ctx context.Context, p *pass, s topology.Step) (err error) {
				step.Reason, err = r.moveLeadership(ctx, p, s)
				return err
			}
		default:
			if isSeedStep(step.Kind) {
				do = r.seedOrder
			}
		}
		if err := do(ctx, p, step); err != nil {
			r.event(p.cluster, step.Pod, corev1.EventTypeWarning, v1alpha1.ReasonStepFailed, ofPod(step, fmt.Sprintf("%s failed: %v", step.Kind, err)))
			return &failedStep{step, err}
		}
		monitoring.Changed(ctx)
		p.memory.converging.Took(p.seen, step, p.snapshot)
		p.memory.tracker.Forget(step.Symptom())
		if seed := p.observed.states[step.Pod].Images.Seed; step.Kind == topology.StepWipe && seed != nil {
			p.memory.seeds.Failed(step.Pod, step.Reason, donorOf(seed), r.Now())
		}
		p.log.Info("step done", "step", step.Kind, "pod", step.Pod, "reason", step.Reason)
		kind, reason := eventOf(step.Kind)
		if step.Planned {
			kind, reason = corev1.EventTypeNormal, eventOfPlanned(step.Kind, reason)
		}
		if eventType, event, ok := eventOfSeed(step); ok {
			kind, reason = eventType, event
		}
		if eventType, event, ok := eventOfRestore(step); ok {
			kind, reason = eventType, event
		}
		r.event(p.cluster, step.Pod, kind, reason, ofPod(step, step.Reason))
	}
	return nil
}

// ofPod puts the pod that a step is about before what is told of it.
func ofPod(step topology.Step, text string) string {
	if step.Pod == "" {
		return text
	}
	return step.Pod + ": " + text
}

// eventOf names the event of a step that was done. Steps that repair something are warnings: something had gone wrong before.
func eventOf(kind topology.StepKind) (eventType, reason string) {
	switch kind {
	case topology.StepFound:
		return corev1.EventTypeNormal, v1alpha1.ReasonFounding
	case topology.StepOrderJoin:
		return corev1.EventTypeNormal, v1alpha1.ReasonJoining
	case topology.StepAdopt:
		return corev1.EventTypeNormal, v1alpha1.ReasonVolumeAdopted
	case topology.StepStart:
		return corev1.EventTypeNormal, v1alpha1.ReasonServerReleased
	case topology.StepJoin:
		return corev1.EventTypeWarning, v1alpha1.ReasonJoinFinished
	case topology.StepLeave:
		return corev1.EventTypeWarning, v1alpha1.ReasonJoinRolledBack
	case topology.StepStop:
		return corev1.EventTypeWarning, v1alpha1.ReasonServerStopped
	case topology.StepRestart:
		return corev1.EventTypeWarning, v1alpha1.ReasonServerRestarted
	case topology.StepTransfer:
		return corev1.EventTypeNormal, v1alpha1.ReasonLeadershipMoved
	case topology.StepEndTransfer:
		return corev1.EventTypeWarning, v1alpha1.ReasonTransferEnded
	case topology.StepReplace:
		return corev1.EventTypeNormal, v1alpha1.ReasonPodReplaced
	case topology.StepChangeImage:
		return corev1.EventTypeNormal, v1alpha1.ReasonImageChanged
	case topology.StepForceDelete:
		return corev1.EventTypeWarning, v1alpha1.ReasonPodForceDeleted
	case topology.StepRenewVolume:
		return corev1.EventTypeWarning, v1alpha1.ReasonVolumeRenewed
	case topology.StepLogin:
		return corev1.EventTypeNormal, v1alpha1.ReasonPasswordRenewed
	case topology.StepPull:
		return corev1.EventTypeNormal, v1alpha1.ReasonPullingImages
	case topology.StepSettings:
		return corev1.EventTypeNormal, v1alpha1.ReasonSettingsGiven
	case topology.StepAlone, topology.StepSave:
		return corev1.EventTypeNormal, v1alpha1.ReasonGoingAlone
	default:
		return corev1.EventTypeWarning, v1alpha1.ReasonVolumeWiped
	}
}

func (r *Reconciler) order(ctx context.Context, p *pass, step topology.Step) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timings.Order)
	defer cancel()
	pod := step.Pod
	if step.Via != "" {
		pod = step.Via
	}
	agent, err := p.agent(pod)
	if err != nil {
		return err
	}
	switch step.Kind {
	case topology.StepFound:
		if err = r.neverFounded(ctx, p); err == nil {
			_, err = agent.Gate(ctx, p.gateOrder(protocol.GateFound, step))
		}
	case topology.StepOrderJoin:
		_, err = agent.Gate(ctx, p.gateOrder(protocol.GateJoin, step))
	case topology.StepAdopt:
		_, err = agent.Gate(ctx, p.gateOrder(protocol.GateAdopt, step))
	case topology.StepJoin:
		_, err = agent.Join(ctx, protocol.MembershipOrder{NodeID: step.NodeID, Addr: step.Addr})
	case topology.StepLeave:
		_, err = agent.Leave(ctx, protocol.MembershipOrder{NodeID: step.NodeID})
		if agentclient.Reason(err) == protocol.ReasonServerFailed {
			// Seen: with leaders apart it answers an error about one group and has left the others. The next pass sees what is true.
			p.log.Info("leaving was answered with an error; what it did is observed", "pod", step.Pod, "error", err.Error())
			err = nil
		}
	case topology.StepStop:
		_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerStop, Reason: step.Reason})
	case topology.StepStart:
		_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerStart, Reason: step.Reason})
	case topology.StepRestart:
		_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerRestart, Reason: step.Reason, IfStarted: p.observed.states[step.Pod].Server.Started})
	case topology.StepLogin:
		_, err = agent.Login(ctx, protocol.LoginOrder{Reason: step.Reason})
	case topology.StepSettings:
		err = r.giveSettings(ctx, p, agent, step)
	case topology.StepWipe:
		marker := p.observed.states[step.Pod].Volume.Marker
		if marker == nil {
			return errors.New("its volume has no marker, so it is not emptied")
		}
		if err := r.confirm(ctx, p, step); err != nil {
			return err
		}
		_, err = agent.Wipe(ctx, protocol.WipeOrder{Marker: *marker, Reason: step.Reason})
	default:
		err = r.drainOrder(ctx, p, agent, step)
	}
	return err
}

// replace deletes the very pod that was observed; the StatefulSet makes it anew. One that never ran was to be spared nothing, and nobody was asked whether it may go: where anything about it has changed
// since the cache heard of it, it may have come to run, and stays.
func (r *Reconciler) replace(ctx context.Context, p *pass, step topology.Step) error {
	pod := p.observed.pods[step.Pod]
	if pod == nil {
		return nil
	}
	only := client.Preconditions{UID: &pod.UID}
	if i := slices.IndexFunc(p.snapshot.Members, func(m topology.Member) bool { return m.Pod == step.Pod }); i >= 0 && p.snapshot.Members[i].State == topology.PodPending {
		only.ResourceVersion = &pod.ResourceVersion
	}
	return client.IgnoreNotFound(r.Delete(ctx, pod, only))
}

func (p *pass) gateOrder(action protocol.GateAction, step topology.Step) protocol.GateOrder {
	order := protocol.GateOrder{Action: action, ClusterUID: p.id.uid, NodeID: step.NodeID, Generation: firstGeneration}
	for _, m := range p.snapshot.Members {
		if m.Pod == step.Pod {
			order.Generation = p.generationIn(m.Role)
		}
	}
	return order
}

// markFounded writes the record that this cluster was founded onto every volume claim of the placement centre. The next pass finds it there, and the status gets it.
func (r *Reconciler) markFounded(ctx context.Context, p *pass) error {
	for _, m := range p.snapshot.Members {
		claim := p.observed.claims[m.Pod]
		if claim == nil || !p.snapshot.LacksMark(m) {
			continue
		}
		if err := r.mark(ctx, p, claim, true); err != nil {
			return err
		}
	}
	return nil
}
