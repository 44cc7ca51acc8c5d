package cluster

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// wantTemplates completes the snapshot with what was applied in this pass: which pods were made from another template than the one that is wanted now. The StatefulSets that were
// observed before may not have it yet; their controller makes no pod from it until it has seen it.
func wantTemplates(p *pass) {
	p.snapshot.SetsBehind = map[v1alpha1.Role]bool{}
	wanted := map[v1alpha1.Role]string{}
	for _, view := range p.desired.Spec.Roles() {
		set := p.observed.sets[view.Role]
		if set == nil {
			p.snapshot.SetsBehind[view.Role] = true
			continue
		}
		wanted[view.Role] = manifests.TemplateHash(set)
		if !p.templatesHeld && !p.upkeepOnly {
			wanted[view.Role] = p.wantedTemplate(view.Role)
		}
		p.snapshot.SetsBehind[view.Role] = manifests.TemplateHash(set) != wanted[view.Role] || !observedByItsController(set)
	}
	for i := range p.snapshot.Members {
		m := &p.snapshot.Members[i]
		pod := p.observed.pods[m.Pod]
		if pod == nil {
			continue
		}
		m.TemplateStale = templateStale(pod, p.observed.sets[m.Role], wanted[m.Role]) || p.cannotMount(pod)
		m.OnlyImage = m.TemplateStale && m.State == topology.PodRunning && manifests.OnlyImageDiffers(manifests.StatefulSet(p.desired, p.inputs, m.Role), pod)
	}
}

// noteTemplate remembers the template that was built, so that it is not built again in this pass.
func (p *pass) noteTemplate(set *appsv1.StatefulSet) {
	if p.templates == nil {
		p.templates = map[string]string{}
	}
	p.templates[set.Name] = manifests.TemplateHash(set)
}

// wantedTemplate is the hash of the template that a role's pods shall be made from.
func (p *pass) wantedTemplate(role v1alpha1.Role) string {
	if hash, ok := p.templates[manifests.WorkloadName(p.desired, role)]; ok {
		return hash
	}
	return manifests.TemplateHash(manifests.StatefulSet(p.desired, p.inputs, role))
}

// observedByItsController reports whether the pods that are made from now on are made from the set's template.
func observedByItsController(set *appsv1.StatefulSet) bool {
	return set.DeletionTimestamp == nil && set.Status.ObservedGeneration >= set.Generation
}

// templateStale reports whether the pod was made from a template that differs from the wanted one in what its server depends on. A pod that carries no hash was made before there
// was one: then every difference counts.
func templateStale(pod *corev1.Pod, set *appsv1.StatefulSet, wanted string) bool {
	hash := pod.Annotations[v1alpha1.AnnotationTemplate]
	if hash == "" || wanted == "" {
		return revisionStale(pod, set)
	}
	return hash != wanted
}

// revisionStale reports whether the pod was made from another template than the StatefulSet has now, whatever the difference.
func revisionStale(pod *corev1.Pod, set *appsv1.StatefulSet) bool {
	if pod == nil || set == nil || !observedByItsController(set) || set.Status.UpdateRevision == "" {
		return false
	}
	revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	return revision != "" && revision != set.Status.UpdateRevision
}

// decide plans, and plans once more where the next step depends on something that is only asked for when it matters.
func (r *Reconciler) decide(ctx context.Context, p *pass, health topology.Health) (topology.Plan, error) {
	wantTemplates(p)
	if p.aside() {
		return topology.Decide(p.snapshot), nil
	}
	if err := r.observePulls(ctx, p); err != nil {
		return topology.Plan{}, err
	}
	holdRoll(p)
	p.snapshot.Replicated = p.traits.Decommission
	plan := topology.Decide(p.snapshot)
	if !plan.AskSegments {
		if p.memory.survey != nil && len(p.memory.survey.leaving) == 0 {
			p.memory.survey = nil // what it had seen is old when it is asked for again
		}
		return plan, nil
	}
	r.survey(ctx, p, health, nil)
	return topology.Decide(p.snapshot), nil
}

// holdRoll notes what forbids to restart or replace anything for the sake of a change.
func holdRoll(p *pass) {
	if i := slices.IndexFunc(p.waits, func(w topology.Wait) bool { return w.Reason == v1alpha1.ReasonWaitingForSecret }); i >= 0 {
		p.snapshot.RollHeld = &topology.Wait{Reason: v1alpha1.ReasonWaitingForSecret, Message: "a pod that is made anew could not start: " + p.waits[i].Message}
		return
	}
	changing := slices.ContainsFunc(p.snapshot.Members, func(m topology.Member) bool { return m.TemplateStale || m.Agent != nil && m.Agent.ConfigStale })
	if restore := p.snapshot.Wanted.Restore; changing && restore.UnderWay() {
		p.snapshot.RollHeld = &topology.Wait{Reason: v1alpha1.ReasonChangeHeld, Message: fmt.Sprintf("the restore %s of this cluster is under way", restore.Name)}
	}
}
