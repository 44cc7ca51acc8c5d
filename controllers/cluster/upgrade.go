package cluster

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// targetVersion is the version that pods are built for: the one of the spec, when its servers may run beside those of the version that runs, and else the latter.
// While an upgrade rolls, status.version is still where it came from: it changes when every server runs the new one.
func targetVersion(cluster *v1alpha1.RobustMQCluster) string {
	running := cluster.RunningVersion()
	from, fromErr := robustmq.ParseVersion(running)
	to, toErr := robustmq.ParseVersion(cluster.Spec.Version)
	if fromErr != nil || toErr != nil || to.Less(from) || !robustmq.CanRoll(from, to) {
		return running
	}
	return cluster.Spec.Version
}

// observeHop finds out whether the spec asks for a version that cannot run beside the one that runs, and how far the upgrade with everything stopped is.
func (r *Reconciler) observeHop(ctx context.Context, p *pass, health topology.Health) error {
	p.hop = &hop{}
	from, fromErr := robustmq.ParseVersion(p.cluster.RunningVersion())
	to, toErr := robustmq.ParseVersion(p.cluster.Spec.Version)
	if fromErr != nil || toErr != nil || !p.id.founded || !from.Less(to) || robustmq.CanRoll(from, to) {
		return nil
	}
	if p.cluster.Spec.Hibernated || p.aside() || p.upkeepOnly {
		p.hop = &hop{from: from.String(), to: to.String(), pending: true, frozen: true}
		p.hop.tell(v1alpha1.ReasonVersionPending, "the upgrade from RobustMQ %s to %s, with everything stopped, waits until the cluster is awake, no restore has its members and the rest of the spec is accepted", from, to)
		return nil
	}
	f := hopFactsOf(p, health, from, to)
	if f.record != nil {
		if err := r.findUpgradeBackup(ctx, p, &f); err != nil {
			return err
		}
	}
	h := decideHop(f)
	p.hop = &h
	return nil
}

// hopFactsOf gathers what a pass has seen.
func hopFactsOf(p *pass, health topology.Health, from, to robustmq.Version) hopFacts {
	f := hopFacts{from: from.String(), to: to.String(), record: p.cluster.Status.Upgrade, restore: p.snapshot.Wanted.Restore, hindrance: hopHindrance(p.cluster, from, to), nodes: p.nodes(), nodesRest: true}
	for _, m := range p.snapshot.Members {
		if m.Role == v1alpha1.RolePlacementCenter && m.State != topology.PodMissing {
			f.members = append(f.members, m.Pod)
		}
	}
	for _, view := range p.desired.Spec.Roles() {
		set := p.observed.sets[view.Role]
		if view.Role != v1alpha1.RolePlacementCenter {
			f.nodesRest = f.nodesRest && atRest(set)
			continue
		}
		f.membersAsleep, f.membersRest = set != nil && manifests.Asleep(set), atRest(set) && len(f.members) == 0
	}
	f.nodesRest = f.nodesRest && len(f.nodes) == 0
	f.behind = unproven(p.snapshot, health)
	return f
}

// hopHindrance says why an upgrade with everything stopped cannot be done, and what to do instead; empty: it can.
func hopHindrance(cluster *v1alpha1.RobustMQCluster, from, to robustmq.Version) string {
	const held = "until then no other change of the spec is carried out"
	if err := robustmq.Inherits(from, to); err != nil {
		return fmt.Sprintf("the cluster runs RobustMQ %s and cannot be upgraded to %s: %v. Set spec.version back to %q, or make a new cluster of version %q; %s", from, to, err, from, to, held)
	}
	if cluster.Spec.Backup == nil {
		return fmt.Sprintf("the cluster runs RobustMQ %s, whose servers cannot run beside those of %s. The upgrade stops everything, and begins with a backup: add spec.backup.destination, or set spec.version back to %q; %s", from, to, from, held)
	}
	return ""
}

// atRest reports whether a StatefulSet was put to sleep, and its controller has no pod left and makes none.
func atRest(set *appsv1.StatefulSet) bool {
	return set != nil && manifests.Asleep(set) && ptr.Deref(set.Spec.Replicas, 1) == 0 && observedByItsController(set) && set.Status.Replicas == 0
}

// findUpgradeBackup reads the backup that the upgrade begins with.
func (r *Reconciler) findUpgradeBackup(ctx context.Context, p *pass, f *hopFacts) error {
	f.backupName = f.record.BackupName
	var b v1alpha1.RobustMQBackup
	err := r.Get(ctx, client.ObjectKey{Namespace: p.cluster.Namespace, Name: f.backupName}, &b)
	switch {
	case apierrors.IsNotFound(err):
	case meta.IsNoMatchError(err):
		f.noBackup = "this Kubernetes has no RobustMQBackup: install the operator's CRDs"
	case err != nil:
		return fmt.Errorf("reading backup %s: %w", f.backupName, err)
	default:
		f.backup = &b
	}
	return nil
}

// advanceHop is the rest of a pass in which such an upgrade has brokers and journal servers stopped: nothing is planned for anybody, since who is missing is missing on purpose. What else
// goes wrong with a member meanwhile is mended when the former version is taken back, or by the new one.
func (r *Reconciler) advanceHop(ctx context.Context, p *pass, health topology.Health) (ctrl.Result, error) {
	result, err := r.finish(ctx, p, health, topology.Plan{Waits: []topology.Wait{p.hop.wait}})
	if err != nil || !p.hop.save {
		return result, err
	}
	if err := r.saveBeforeHop(ctx, p); err != nil {
		tellFailed(p.log, err)
	}
	return result, nil
}

// saveBeforeHop has the cluster saved. A backup that is there already is the same one.
func (r *Reconciler) saveBeforeHop(ctx context.Context, p *pass) error {
	b := manifests.SafetyBackup(p.cluster.Namespace, p.cluster.Name, p.cluster.Status.Upgrade.BackupName, map[string]string{v1alpha1.LabelUpgrade: "true"})
	err := r.Create(ctx, b, client.FieldOwner(FieldManager))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		text := fmt.Sprintf("backup %s, without which the upgrade does not go on, cannot be made: %v", b.Name, err)
		r.event(p.cluster, "", corev1.EventTypeWarning, v1alpha1.ReasonSafetyBackupFailed, text)
		return fmt.Errorf("creating backup %s: %w", b.Name, err)
	}
	if err == nil {
		r.event(p.cluster, "", corev1.EventTypeNormal, v1alpha1.ReasonUpgradeSaving, p.hop.wait.Message)
	}
	return nil
}

// holdForHop keeps everything in the form that it has while such an upgrade is wanted and the former version's servers are there: the spec may name an image and settings of the new one already.
func (p *pass) holdForHop() {
	if p.hop == nil || !p.hop.pending || p.upkeepOnly || p.aside() {
		return
	}
	p.templatesHeld, p.storageHeld = true, map[v1alpha1.Role]bool{}
	for _, view := range p.desired.Spec.Roles() {
		p.storageHeld[view.Role] = true
	}
	for role, set := range p.observed.sets {
		present := manifests.Present(set)
		p.inputs.Replicas[role], p.snapshot.Wanted.Replicas[role] = present, present
	}
	p.inputs.Members = p.inputs.Replicas[v1alpha1.RolePlacementCenter]
}

// keepTemplate gives a StatefulSet the pod template that it has: such an upgrade puts it to sleep, or wakes it, as it is. It returns false where nothing is to be applied, or may be.
func (r *Reconciler) keepTemplate(ctx context.Context, p *pass, set *appsv1.StatefulSet) (bool, error) {
	for _, seen := range p.observed.sets {
		if seen.Name == set.Name && ptr.Deref(seen.Spec.Replicas, 1) == *set.Spec.Replicas && seen.Annotations[v1alpha1.AnnotationAwake] == set.Annotations[v1alpha1.AnnotationAwake] {
			return false, nil
		}
	}
	live, err := r.whole(ctx, set)
	if err != nil {
		return false, err
	}
	if live != nil {
		set.Spec.Template = *live.(*appsv1.StatefulSet).Spec.Template.DeepCopy()
		return true, nil
	}
	if p.desired.Spec.Image == "" {
		return true, nil // made anew for the version that runs
	}
	p.waits = append(p.waits, topology.Wait{Reason: v1alpha1.ReasonVersionPending, Trouble: true,
		Message: fmt.Sprintf("StatefulSet %s is missing, and which image it had is not known (spec.image may be the new version's): set spec.version and spec.image back, and it is made anew", set.Name)})
	return false, nil
}

// prepareHop begins the upgrade when nothing else is to be done, or waited for, and every node has the images; until then it says what keeps it.
func (p *pass) prepareHop(plan topology.Plan) topology.Plan {
	h := p.hop
	if h == nil || !h.pending {
		return plan
	}
	background := func(reason, format string, args ...any) {
		h.tell(reason, format, args...)
		h.wait.Background = true
		plan.Waits = append(plan.Waits, h.wait)
	}
	switch busy := slices.Concat(p.waits, plan.Waits); {
	case !h.ready:
		background(h.wait.Reason, "%s", h.wait.Message)
		return plan
	case len(plan.Steps) > 0:
		background(v1alpha1.ReasonVersionPending, "the upgrade from RobustMQ %s to %s, with everything stopped, begins when nothing else is being done (%s)", h.from, h.to, stepText(plan.Steps[0]))
		return plan
	case len(busy) > 0:
		background(v1alpha1.ReasonVersionPending, "the upgrade from RobustMQ %s to %s, with everything stopped, begins when nothing else is waited for (%s)", h.from, h.to, busy[0].Message)
		return plan
	}
	doing := fmt.Sprintf("upgrade from RobustMQ %s to %s with everything stopped", h.from, h.to)
	if !topology.PullAhead(p.snapshot.Members, doing, &plan) {
		h.tell(v1alpha1.ReasonVersionPending, "%s", waitText(plan.Waits))
		return plan
	}
	h.begins = true
	h.tell(v1alpha1.ReasonUpgradeStopping, "%s: brokers and journal servers are stopped first", doing)
	plan.Waits = append(plan.Waits, h.wait)
	return plan
}

// opened tells, while the servers of the new version come up on the volumes of the former one, how it is left if they do not.
func opened(p *pass, health topology.Health, plan topology.Plan) topology.Plan {
	u := p.cluster.Status.Upgrade
	if u == nil || !u.Opened || allRun(p, health) {
		return plan
	}
	pods, of := notYet(p)
	wait := topology.Wait{Reason: v1alpha1.ReasonUpgradeStarting, Message: fmt.Sprintf("upgrade from RobustMQ %s to %s with everything stopped: %d of %d pods run it, on the volumes that %s left. Should they not come up: backup %s holds the metadata as it was before, for a new cluster of version %q (spec.bootstrap.restoreFrom); this one cannot go back",
		p.cluster.Status.Version, p.desired.Spec.Version, of-len(pods), of, p.cluster.Status.Version, u.BackupName, p.cluster.Status.Version)}
	at := 0
	for _, w := range plan.Waits {
		if w.Trouble {
			wait.Trouble, at = true, 1 // behind the first thing that somebody has to act upon, while the conditions have room
		}
	}
	plan.Waits = slices.Insert(plan.Waits, at, wait)
	return plan
}

// allRun reports whether every wanted pod's server is in service and is of the version that pods are built for.
func allRun(p *pass, health topology.Health) bool {
	if p.snapshot.Wanted.Replicas[v1alpha1.RolePlacementCenter] == 0 {
		return false // nothing runs at all
	}
	for _, m := range p.snapshot.Members {
		if m.Ordinal >= p.snapshot.Wanted.Replicas[m.Role] {
			continue
		}
		if m.TemplateStale || !health.InService(m) || p.observed.states[m.Pod].Server.Version != p.desired.Spec.Version {
			return false
		}
	}
	return true
}

// notYet are the wanted pods whose server is not of the version that pods are built for.
func notYet(p *pass) (pods []string, of int) {
	for _, m := range p.snapshot.Members {
		if m.Ordinal >= p.snapshot.Wanted.Replicas[m.Role] {
			continue
		}
		of++
		if p.observed.states[m.Pod].Server.Version != p.desired.Spec.Version {
			pods = append(pods, m.Pod)
		}
	}
	return pods, of
}
