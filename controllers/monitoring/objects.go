package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/cluster"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// mark is an object as it was when it was last as it is wanted. Without one, after a start of the operator say, it is read whole and compared, once.
type mark struct {
	uid string
	// version changes whenever somebody changes what the object says: its generation, or the resource version of a kind that has none.
	version string
	wanted  uint64
}

func versionOf(o metav1.Object) string {
	if g := o.GetGeneration(); g > 0 {
		return strconv.FormatInt(g, 10)
	}
	return "v" + o.GetResourceVersion()
}

// seed makes hashes that mean something in this process only.
var seed = maphash.MakeSeed()

func hashOf(o client.Object) (uint64, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return 0, fmt.Errorf("encoding %s: %w", keyOf(o), err)
	}
	return maphash.Bytes(seed, text), nil
}

// keeper brings objects to their form and removes them, and remembers which were seen so.
type keeper struct {
	client client.Client
	reader client.Reader // past the cache: these kinds are in none

	mu    sync.Mutex
	marks map[string]mark // by kind, namespace and name
}

func keyOf(o client.Object) string {
	return o.GetObjectKind().GroupVersionKind().Kind + " " + client.ObjectKeyFromObject(o).String()
}

func (k *keeper) marked(key string) mark {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.marks[key]
}

func (k *keeper) note(key string, m mark) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.marks == nil {
		k.marks = map[string]mark{}
	}
	k.marks[key] = m
}

func (k *keeper) forget(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.marks, key)
}

// takenError is about an object of somebody else that has a name of ours.
type takenError struct{ kind, name, owner string }

func (e *takenError) Error() string {
	return fmt.Sprintf("%s %q exists and belongs to %s: rename or remove it", e.kind, e.name, e.owner)
}

// errLeaving: an object of an earlier cluster of the same name is being collected.
var errLeaving = errors.New("an object of an earlier cluster of this name is being removed")

// keep brings an object to its form, unless seen, what a follower knows of it, says that it has it.
func (k *keeper) keep(ctx context.Context, wanted client.Object, seen *metav1.PartialObjectMetadata) error {
	key := keyOf(wanted)
	hash, err := hashOf(wanted)
	if err != nil {
		return err
	}
	if seen != nil && seen.DeletionTimestamp == nil && k.marked(key) == (mark{string(seen.UID), versionOf(seen), hash}) && carries(seen, wanted) {
		return nil
	}
	applied, err := manifests.Applied(wanted)
	if err != nil {
		return err
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(wanted.GetObjectKind().GroupVersionKind())
	switch err := k.reader.Get(ctx, client.ObjectKeyFromObject(wanted), live); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("reading %s: %w", key, err)
	default:
		if err := mine(live, wanted); err != nil {
			return err
		}
		same, err := manifests.Equal(live, applied, cluster.FieldManager)
		if err != nil {
			return fmt.Errorf("comparing %s: %w", key, err)
		}
		if same {
			k.note(key, mark{string(live.GetUID()), versionOf(live), hash})
			return nil
		}
	}
	if err := k.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(cluster.FieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying %s: %w", key, err)
	}
	k.note(key, mark{string(applied.GetUID()), versionOf(applied), hash})
	return nil
}

// carries reports whether an object has the labels and the owner that are wanted: no generation tells when somebody takes them.
func carries(seen, wanted metav1.Object) bool {
	for name, value := range wanted.GetLabels() {
		if have, ok := seen.GetLabels()[name]; !ok || have != value {
			return false
		}
	}
	have, want := metav1.GetControllerOfNoCopy(seen), metav1.GetControllerOfNoCopy(wanted)
	return want == nil || have != nil && have.UID == want.UID
}

// mine returns an error unless an object may be taken for the operator's own: the cluster controls it, or nobody does and it has the operator's label. Who had made a ServiceMonitor of
// this name himself, before the operator did, keeps it.
func mine(live, wanted client.Object) error {
	kind := wanted.GetObjectKind().GroupVersionKind().Kind
	have, want := metav1.GetControllerOfNoCopy(live), metav1.GetControllerOfNoCopy(wanted)
	switch {
	case have == nil && live.GetLabels()[v1alpha1.LabelManaged] == v1alpha1.ManagedBy:
		return nil
	case have == nil:
		return &takenError{kind, live.GetName(), "nobody that the operator knows"}
	case want != nil && have.UID == want.UID:
		return nil
	case want != nil && have.Kind == want.Kind && have.Name == want.Name:
		return errLeaving
	}
	return &takenError{kind, live.GetName(), have.Kind + " " + have.Name}
}

// remove deletes an object that is the operator's own.
func (k *keeper) remove(ctx context.Context, of kind, seen *metav1.PartialObjectMetadata) error {
	gone := &unstructured.Unstructured{}
	gone.SetGroupVersionKind(of.GroupVersionKind)
	gone.SetNamespace(seen.Namespace)
	gone.SetName(seen.Name)
	k.forget(keyOf(gone))
	uid := seen.UID
	if err := k.client.Delete(ctx, gone, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil && !meta.IsNoMatchError(err) {
		return fmt.Errorf("deleting %s: %w", keyOf(gone), err)
	}
	return nil
}
