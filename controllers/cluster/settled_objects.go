package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// settledObjects are the objects of a cluster that were all seen as they are wanted. To build them, only to compare them with what is there, is most of a pass over a cluster at rest: as long as neither
// what they are built from nor one of the living changes, none is built.
type settledObjects struct {
	// origin is the hash of what they are built from; 0: none are known.
	origin uint64
	// absent are those that are not wanted, and are not there. Those that are, and how each was seen, are memory.compared.
	absent []ref
	// templates are the hashes of the pods' templates, by the StatefulSet's name.
	templates map[string]string
}

// originOfObjects is the hash of everything that the objects are built from: manifests.Objects and manifests.Absent read nothing else.
func (p *pass) originOfObjects() (uint64, error) {
	text, err := json.Marshal(struct {
		Metadata metav1.ObjectMeta
		Spec     v1alpha1.RobustMQClusterSpec
		Inputs   manifests.Inputs
	}{
		metav1.ObjectMeta{Namespace: p.desired.Namespace, Name: p.desired.Name, UID: p.desired.UID, Labels: p.desired.Labels, Annotations: p.desired.Annotations},
		p.desired.Spec, p.inputs,
	})
	if err != nil {
		return 0, fmt.Errorf("cluster %s: %w", p.cluster.Name, err)
	}
	return maphash.Bytes(seed, text), nil
}

// mayRest reports whether the pass holds no object back and remakes none: only then is all that is wanted looked at.
func (p *pass) mayRest() bool {
	return !p.templatesHeld && !p.upkeepOnly && (p.hop == nil || !p.hop.pending) && len(p.remade) == 0
}

// stillSettled reports whether all objects are known to be as they are wanted, without building one.
func (r *Reconciler) stillSettled(ctx context.Context, p *pass, origin uint64) (bool, error) {
	known := p.memory.objects
	if known.origin == 0 || known.origin != origin || !p.mayRest() {
		return false, nil
	}
	for object, was := range p.memory.compared {
		live, err := r.live(ctx, p, object)
		if err != nil {
			return false, err
		}
		if live == nil || live.GetDeletionTimestamp() != nil {
			return false, nil
		}
		if seen, err := seenOf(live); err != nil || seen != was.seen {
			return false, err
		}
	}
	for _, object := range known.absent {
		if gone, err := r.remove(ctx, p, object); !gone || err != nil {
			return false, err
		}
	}
	p.templates = known.templates
	return true, nil
}
