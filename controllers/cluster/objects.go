package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// FieldManager owns the fields that the operator applies.
const FieldManager = "robustmq-operator"

// inputs gathers what the builders need beside the spec.
func (r *Reconciler) inputs(p *pass) manifests.Inputs {
	in := manifests.Inputs{
		ClusterUID: p.id.uid, Generation: p.id.generation,
		ServerImage: manifests.ServerImage(p.desired, r.ServerImage), AgentImage: r.AgentImage, AgentMounted: p.mayMount && p.mounted(),
		ClusterDomain: r.ClusterDomain, OperatorNamespace: r.OperatorNamespace, DisableRelay: r.DisableRelay,
		Replicas: map[v1alpha1.Role]int32{},
		Traits:   manifests.Traits{Islands: p.traits.Tier == robustmq.TierIslands, PrometheusPort: !p.traits.MetricsOnHTTP},
	}
	for _, view := range p.desired.Spec.Roles() {
		// Never fewer than there are: who may be taken away is known only when the members were asked (resize).
		in.Replicas[view.Role] = view.Replicas
		if set := p.observed.sets[view.Role]; set != nil && set.Spec.Replicas != nil {
			in.Replicas[view.Role] = max(view.Replicas, *set.Spec.Replicas)
		}
	}
	in.Members = in.Replicas[v1alpha1.RolePlacementCenter]
	return in
}

// resize gives every StatefulSet the size that it has in this pass.
func (p *pass) resize(health topology.Health) {
	p.inputs.Replicas = topology.Sizes(p.snapshot, health)
	p.inputs.Members = p.inputs.Replicas[v1alpha1.RolePlacementCenter]
}

// applyObjects brings every object that the cluster consists of to its form, and removes those that the spec no longer asks for. What already is as wanted costs no write, and where nothing changed
// it is not built again.
func (r *Reconciler) applyObjects(ctx context.Context, p *pass) error {
	origin, err := p.originOfObjects()
	if err != nil {
		return err
	}
	if unchanged, err := r.stillSettled(ctx, p, origin); unchanged || err != nil {
		return err
	}
	p.memory.objects = settledObjects{}
	wanted, err := manifests.Objects(p.desired, p.inputs)
	if err != nil {
		return fmt.Errorf("building the objects of cluster %s: %w", p.cluster.Name, err)
	}
	found := settledObjects{origin: origin}
	present := map[ref]bool{}
	all := true // every object is as it is wanted
	for _, object := range wanted {
		set, isSet := object.(*appsv1.StatefulSet)
		asItIs := isSet && p.hop != nil && p.hop.pending && !p.upkeepOnly // it may be put to sleep, or woken
		if p.templatesHeld && shapesPods(object) && !asItIs || p.upkeepOnly && !p.keepsUp(object) {
			continue
		}
		if isSet {
			if beingRemade(p, set.Name) {
				p.waits = append(p.waits, topology.Wait{Reason: v1alpha1.ReasonVolumeGrowing, Message: fmt.Sprintf("StatefulSet %s is made anew for larger volumes; its pods go on", set.Name)})
				all = false
				continue
			}
			if asItIs {
				if may, err := r.keepTemplate(ctx, p, set); err != nil {
					return err
				} else if !may {
					continue
				}
			}
			p.noteTemplate(set)
			r.keepImmutable(p, set)
		}
		same, err := r.apply(ctx, p, object)
		if err != nil {
			wait, told := toldOf(object, err)
			if !told {
				return err
			}
			p.waits = append(p.waits, wait)
		}
		all = all && same
		present[refOf(object)] = true
	}
	if p.upkeepOnly {
		return nil
	}
	for _, object := range manifests.Absent(p.desired, p.inputs) {
		absent := refOf(object)
		gone, err := r.remove(ctx, p, absent)
		if err != nil {
			return err
		}
		all = all && gone
		found.absent = append(found.absent, absent)
	}
	if all && p.mayRest() {
		found.templates = p.templates
		p.memory.objects = found
		maps.DeleteFunc(p.memory.compared, func(of ref, _ comparison) bool { return !present[of] })
	}
	return nil
}

// toldOf is what people are told of an object that could not be applied. The others are applied all the same, and members are looked after: a quota for Services must not keep a quorum from
// being repaired. Not told is what the next pass may find gone: a conflict, an API server that is busy or away.
func toldOf(object client.Object, err error) (topology.Wait, bool) {
	kind := object.GetObjectKind().GroupVersionKind()
	wait := topology.Wait{Reason: v1alpha1.ReasonApplyFailed, Trouble: true}
	var taken *takenError
	switch {
	case meta.IsNoMatchError(err):
		wait.Message = fmt.Sprintf("%s %q cannot be made: this Kubernetes has no %s; install what brings it, or take it out of the spec", kind.Kind, object.GetName(), kind.GroupKind())
	case errors.As(err, &taken):
		wait.Reason, wait.Message = v1alpha1.ReasonNameTaken, err.Error()
	case Refused(err):
		wait.Message = fmt.Sprintf("%v; the API server is asked again in a while", err)
	default:
		return topology.Wait{}, false
	}
	return wait, true
}

// Refused reports an answer of the API server that the same request gets again until somebody changes something: a quota, a policy, a webhook of others, no address left.
func Refused(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) &&
		!apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsTooManyRequests(err) && !apierrors.IsServiceUnavailable(err)
}

// takenError is about an object of somebody else that has a name of ours.
type takenError struct{ kind, name, owner string }

func (e *takenError) Error() string {
	return fmt.Sprintf("%s %s belongs to %s: rename this cluster, or remove that object", e.kind, e.name, e.owner)
}

// denial is a refusal of the API server, and when it was given.
type denial struct {
	at  time.Time
	err error
}

// beingRemade reports whether a StatefulSet is on its way out, so that applying it now would be lost with it.
func beingRemade(p *pass, name string) bool {
	for _, live := range p.observed.sets {
		if live.Name == name && live.DeletionTimestamp != nil {
			return true
		}
	}
	return slices.Contains(p.remade, name)
}

// shapesPods reports whether pods are made of an object.
func shapesPods(object client.Object) bool {
	switch object.(type) {
	case *appsv1.StatefulSet, *corev1.Secret:
		return true
	}
	return false
}

// keepImmutable puts back what the API server would refuse to change, and says so.
func (r *Reconciler) keepImmutable(p *pass, set *appsv1.StatefulSet) {
	for _, live := range p.observed.sets {
		if live.Name == set.Name {
			for _, field := range manifests.KeepImmutable(live, set) {
				p.log.V(1).Info("field cannot be changed on a living StatefulSet", "statefulSet", set.Name, "field", field)
			}
		}
	}
}

// apply is a server-side apply that is skipped when the live object already has every field that we own as we want it: then it reports so.
func (r *Reconciler) apply(ctx context.Context, p *pass, object client.Object) (same bool, err error) {
	this := refOf(object)
	delete(p.memory.absent, this) // whatever becomes of this, it may exist from now on
	live, err := r.live(ctx, p, this)
	if err != nil {
		return false, err
	}
	seen, err := comparisonOf(live, object)
	if err != nil {
		return false, err
	}
	if live != nil && p.memory.compared[this] == seen {
		return true, nil
	}
	if _, ok := live.(*appsv1.StatefulSet); ok {
		if live, err = r.whole(ctx, object); err != nil {
			return false, err
		}
		if seen, err = comparisonOf(live, object); err != nil {
			return false, err
		}
	}
	wanted, err := manifests.Applied(object)
	if err != nil {
		return false, fmt.Errorf("%s: %w", this, err)
	}
	if live != nil {
		if owner := metav1.GetControllerOf(live); owner != nil && len(object.GetOwnerReferences()) > 0 && owner.UID != object.GetOwnerReferences()[0].UID {
			return false, &takenError{wanted.GetKind(), object.GetName(), owner.Kind + " " + owner.Name}
		}
		if same, err = manifests.Equal(live, wanted, FieldManager); err != nil {
			return false, fmt.Errorf("comparing %s: %w", this, err)
		}
		if same {
			p.memory.same(this, seen)
			return true, nil
		}
	}
	if d, ok := p.memory.denied[this]; ok && r.Now().Sub(d.at) < r.Timings.Refused {
		return false, d.err
	}
	delete(p.memory.denied, this)
	if err := r.Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted), client.FieldOwner(FieldManager), client.ForceOwnership); err != nil {
		err = fmt.Errorf("applying %s: %w", this, err)
		if Refused(err) {
			if p.memory.denied == nil {
				p.memory.denied = map[ref]denial{}
			}
			p.memory.denied[this] = denial{r.Now(), err}
		}
		return false, err
	}
	return false, nil
}

// comparison is one object as it was seen, and as it was wanted. Comparing the two field by field is most of the work of a pass over a cluster at rest, and its answer stays true as long as
// neither changes.
type comparison struct {
	seen   uint64 // what seenOf says of the living object
	wanted uint64 // hash of the form that it shall have
}

// seed makes hashes that mean something in this process only.
var seed = maphash.MakeSeed()

func comparisonOf(live, wanted client.Object) (comparison, error) {
	text, err := json.Marshal(wanted)
	if err != nil {
		return comparison{}, fmt.Errorf("%s: %w", refOf(wanted), err)
	}
	c := comparison{wanted: maphash.Bytes(seed, text)}
	if live != nil {
		c.seen, err = seenOf(live)
	}
	return c, err
}

// seenOf is the hash of a living object's identity and version.
func seenOf(live client.Object) (uint64, error) {
	version := live.GetResourceVersion()
	if _, ok := live.(*appsv1.StatefulSet); ok {
		// Its status, which changes with every pod, is not compared. What is changes its generation, but for these.
		text, err := json.Marshal([]any{live.GetGeneration(), live.GetLabels(), live.GetAnnotations(), live.GetOwnerReferences()})
		if err != nil {
			return 0, fmt.Errorf("StatefulSet %s: %w", live.GetName(), err)
		}
		version = string(text)
	}
	return maphash.String(seed, string(live.GetUID())+" "+version), nil
}

// noteAbsent remembers that an object was seen not to exist.
func (m *memory) noteAbsent(object ref, at time.Time) {
	if m.absent == nil {
		m.absent = map[ref]time.Time{}
	}
	m.absent[object] = at
}

// same remembers that an object was seen as it is wanted.
func (m *memory) same(object ref, c comparison) {
	if m.compared == nil {
		m.compared = map[ref]comparison{}
	}
	m.compared[object] = c
}

// whole reads a StatefulSet past the cache, which does not hold its template; nil when it does not exist.
func (r *Reconciler) whole(ctx context.Context, object client.Object) (client.Object, error) {
	var set appsv1.StatefulSet
	err := r.Reader.Get(ctx, client.ObjectKeyFromObject(object), &set)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading StatefulSet %s: %w", object.GetName(), err)
	}
	set.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
	return &set, nil
}

// ref names an object of the cluster, in its namespace. Every cluster has a score of them in memory.
type ref struct {
	kind unique.Handle[schema.GroupVersionKind]
	name string
}

func refOf(object client.Object) ref {
	return ref{unique.Make(object.GetObjectKind().GroupVersionKind()), object.GetName()}
}

// String is kind and name.
func (r ref) String() string { return r.kind.Value().Kind + " " + r.name }

// live reads the object as it is now, from the cache where its kind is cached, to which it then belongs; nil when it does not exist.
func (r *Reconciler) live(ctx context.Context, p *pass, object ref) (client.Object, error) {
	kind := object.kind.Value()
	var live client.Object = &unstructured.Unstructured{}
	if typed, err := r.Scheme().New(kind); err == nil {
		live = typed.(client.Object)
	}
	live.GetObjectKind().SetGroupVersionKind(kind)
	err := r.Get(ctx, client.ObjectKey{Namespace: p.cluster.Namespace, Name: object.name}, live, client.UnsafeDisableDeepCopy)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case meta.IsNoMatchError(err):
		// A kind that this Kubernetes does not have (cert-manager's, say) has no object either; applying one says so in plain words.
		if !r.Scheme().Recognizes(kind) {
			r.lacking.note(kind, r.Now())
		}
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", object, err)
	}
	live.GetObjectKind().SetGroupVersionKind(kind)
	return live, nil
}

// remove deletes an object of ours that the spec no longer asks for, and reports whether there was none. Somebody else's object of that name is left alone.
func (r *Reconciler) remove(ctx context.Context, p *pass, absent ref) (gone bool, err error) {
	if at, ok := p.memory.absent[absent]; ok && r.Now().Sub(at) < r.Timings.Absent {
		return true, nil
	}
	kind := absent.kind.Value()
	if r.lacking.recently(kind, r.Now()) {
		return true, nil
	}
	live, err := r.live(ctx, p, absent)
	if err != nil {
		return false, err
	}
	if live == nil {
		if !r.Scheme().Recognizes(kind) {
			// Such a kind is no kind of the cache: to look is a request, or, where this Kubernetes does not have it, a discovery whose answer is made into tables of all kinds anew.
			p.memory.noteAbsent(absent, r.Now())
		}
		return true, nil
	}
	if owner := metav1.GetControllerOf(live); owner == nil || owner.UID != p.cluster.UID || !live.GetDeletionTimestamp().IsZero() {
		return true, nil
	}
	if err := r.Delete(ctx, live); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("deleting %s: %w", absent, err)
	}
	return false, nil
}
