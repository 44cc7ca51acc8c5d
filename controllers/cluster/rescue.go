package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// noKind is why no restore can be made where its kind is missing.
const noKind = "this Kubernetes has no RobustMQRestore: install the operator's CRDs"

// wantRestores tells the plan which backup the cluster begins with, and what answers the loss of every copy.
func (r *Reconciler) wantRestores(p *pass) {
	p.snapshot.Wanted.Bootstrap = bootstrapOf(p, r.Restores != nil)
	p.snapshot.Wanted.Rescue = rescueOf(p, r.Restores != nil)
	if b := p.snapshot.Wanted.Bootstrap; b != nil {
		b.Refused = p.memory.restoreRefused
	}
	p.snapshot.Wanted.Rescue.Refused = p.memory.restoreRefused
}

// bootstrapOf is the backup that the cluster begins with; nil when it begins empty, by its spec or because it was given up and begins anew.
func bootstrapOf(p *pass, installed bool) *topology.Bootstrap {
	from := p.desired.Spec.Bootstrap
	if from == nil || from.RestoreFrom == nil || p.id.founded || p.id.emptied {
		return nil
	}
	b := &topology.Bootstrap{Restore: topology.Restore{Name: manifests.BootstrapRestoreName(p.desired)}}
	if made := restoreNamed(p, b.Restore.Name); made != nil {
		b.Restore = restoreOf(made)
		if !metav1.IsControlledBy(made, p.cluster) {
			b.Restore.Stage, b.Hindrance = "", fmt.Sprintf("the RobustMQRestore %s exists, and is not the one of this cluster: delete it", made.Name)
		}
	}
	if !installed {
		b.Hindrance = noKind
	}
	return b
}

// rescueOf is what answers the loss of every copy of this generation.
func rescueOf(p *pass, installed bool) topology.Rescue {
	out := topology.Rescue{
		Restore:    topology.Restore{Name: manifests.LossRestoreName(p.desired, p.id.generation)},
		StartEmpty: p.cluster.Annotations[v1alpha1.AnnotationStartEmpty] == strconv.FormatInt(p.id.generation, 10),
	}
	if made := restoreNamed(p, out.Restore.Name); made != nil {
		out.Restore = restoreOf(made)
	}
	plan := p.desired.Spec.Backup
	switch {
	case !installed:
		out.Hindrance = noKind
	case plan == nil:
		out.Hindrance = "spec.backup names no destination to restore it from"
	case plan.AutoRestore == v1alpha1.AutoRestoreDisabled:
		out.Hindrance = "spec.backup.autoRestore is Disabled"
	case plan.Encryption != nil && plan.Encryption.IdentitySecretName == "":
		out.Hindrance = "its backups are encrypted, and spec.backup.encryption.identitySecretName names nothing to read them with"
	}
	return out
}

func restoreNamed(p *pass, name string) *v1alpha1.RobustMQRestore {
	i := slices.IndexFunc(p.restores, func(r v1alpha1.RobustMQRestore) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &p.restores[i]
}

// beginRestore makes the restore that the step asks for. One that is there already is the same one.
func (r *Reconciler) beginRestore(ctx context.Context, p *pass, step topology.Step) error {
	// Of the spec as it was written: the rules compare the two.
	var restore *v1alpha1.RobustMQRestore
	if step.Trigger == v1alpha1.RestoreBootstrap {
		restore = manifests.BootstrapRestore(p.cluster)
	} else {
		restore = manifests.LossRestore(p.cluster, p.inputs)
	}
	err := r.Create(ctx, restore, client.FieldOwner(FieldManager))
	p.memory.restoreRefused = ""
	if err != nil && !apierrors.IsAlreadyExists(err) {
		p.memory.restoreRefused = err.Error()
		return fmt.Errorf("making the RobustMQRestore %s: %w", restore.Name, err)
	}
	return nil
}

// startEmpty records, on the first of the placement centre's claims and in one write, that a new generation begins and that it was not founded. All other records are older from then on, and follow
// (recordGeneration): whoever dies in between is followed by one that goes on. Before it, brokers and journal servers let go of what they know.
func (r *Reconciler) startEmpty(ctx context.Context, p *pass, step topology.Step) error {
	if err := forget(ctx, p, step.Reason); err != nil {
		return err
	}
	for _, claim := range p.metadataClaims() {
		if claim.DeletionTimestamp != nil {
			continue
		}
		begun := claim.DeepCopy()
		if begun.Annotations == nil {
			begun.Annotations = map[string]string{}
		}
		begun.Annotations[v1alpha1.AnnotationClusterUID] = p.id.uid
		begun.Annotations[v1alpha1.AnnotationGeneration] = strconv.FormatInt(p.id.generation+1, 10)
		begun.Annotations[v1alpha1.AnnotationFounded] = notFounded
		if err := r.Patch(ctx, begun, client.MergeFromWithOptions(claim, client.MergeFromWithOptimisticLock{})); err != nil {
			return fmt.Errorf("recording on volume claim %s that the cluster begins empty: %w", claim.Name, err)
		}
		return nil
	}
	return errors.New("the placement centre has no volume claim that it could be recorded on")
}

// forget restarts the server of every broker and journal server. RobustMQ reads the metadata into its caches once, at its start (load_cache.rs): one that went on running would list, and let in, users
// that the cluster no longer has. One whose agent cannot be asked is waited for, as long as its pod exists.
func forget(ctx context.Context, p *pass, reason string) error {
	for _, m := range p.snapshot.Members {
		if m.Role == v1alpha1.RolePlacementCenter || p.observed.pods[m.Pod] == nil {
			continue
		}
		state, answers := p.observed.states[m.Pod]
		if !answers {
			return fmt.Errorf("the server of %s may run on what was lost, and its agent does not answer: see to the pod, or delete it", m.Pod)
		}
		if state.Server.Started == nil || state.Server.Phase == protocol.ServerStopped {
			continue
		}
		agent, err := p.agent(m.Pod)
		if err == nil {
			_, err = agent.Server(ctx, protocol.ServerOrder{Action: protocol.ServerRestart, Reason: reason, IfStarted: state.Server.Started})
		}
		if err != nil {
			return fmt.Errorf("restarting the server of %s, which runs on what was lost: %w", m.Pod, err)
		}
	}
	return nil
}

// eventOfRestore names the event of a step that brings metadata from elsewhere, or does without.
func eventOfRestore(step topology.Step) (eventType, reason string, ok bool) {
	switch {
	case step.Kind == topology.StepStartEmpty:
		return corev1.EventTypeWarning, v1alpha1.ReasonStartedEmpty, true
	case step.Kind == topology.StepRestore && step.Trigger == v1alpha1.RestoreTotalLoss:
		return corev1.EventTypeWarning, v1alpha1.ReasonAutoRestore, true
	case step.Kind == topology.StepRestore:
		return corev1.EventTypeNormal, v1alpha1.ReasonRestoring, true
	}
	return "", "", false
}
