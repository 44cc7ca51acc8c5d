package webhooks

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

const (
	// aroundPatience is how long an answer waits for what lives beside its object, of the five seconds that an API server gives it.
	aroundPatience = 2 * time.Second
	// absencePatience is how long a kind that is not installed, or may not be read, is not asked for again.
	absencePatience = 30 * time.Second
)

// surroundings read what lives beside an object (nil: nothing is known), for the rules that look at it. What cannot be read is not known, and refuses nothing: the same rules are asked again before anything is done.
type surroundings struct {
	// near reads past any cache: what was made a moment ago counts.
	near client.Reader
	// far lists from a cache: every cluster of a namespace can be many.
	far client.Reader

	mu     sync.Mutex
	absent map[string]time.Time // kinds that could not be listed, and until when that is believed
	now    func() time.Time
}

func newSurroundings(near, far client.Reader) *surroundings {
	return &surroundings{near: near, far: far, absent: map[string]time.Time{}, now: time.Now}
}

// ofChange reads what the rules about a cluster's change look at, and only where they do: the other clusters when it says where its backups go,
// the restores when it changes what a restore counts on.
func (s *surroundings) ofChange(ctx context.Context, was, is *v1alpha1.RobustMQCluster, namespace string) *rules.Around {
	if s == nil {
		return nil
	}
	destination, counted := rules.ChangesDestination(was, is), rules.ChangesWhatARestoreCountsOn(was, is)
	if !destination && !counted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, aroundPatience)
	defer cancel()
	var around rules.Around
	if destination {
		var list v1alpha1.RobustMQClusterList
		if s.list(ctx, s.far, "RobustMQCluster", &list, namespace) {
			around.Clusters = list.Items
		}
	}
	if counted {
		around.Restores = s.restores(ctx, namespace)
	}
	return &around
}

// ofRestore reads the cluster and the backup that a restore names, and the other restores; nil where one of them is not known.
func (s *surroundings) ofRestore(ctx context.Context, r *v1alpha1.RobustMQRestore, namespace string) *rules.Around {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, aroundPatience)
	defer cancel()
	var around rules.Around
	var known bool
	if around.Clusters, known = named[v1alpha1.RobustMQCluster](ctx, s, namespace, r.Spec.ClusterName); !known {
		return nil
	}
	if name := r.Spec.Source.BackupName; name != "" {
		if around.Backups, known = named[v1alpha1.RobustMQBackup](ctx, s, namespace, name); !known {
			return nil
		}
	}
	around.Restores = s.restores(ctx, namespace)
	return &around
}

// ofBackup reads the cluster that a backup names; nil where it is not known.
func (s *surroundings) ofBackup(ctx context.Context, b *v1alpha1.RobustMQBackup, namespace string) *rules.Around {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, aroundPatience)
	defer cancel()
	clusters, known := named[v1alpha1.RobustMQCluster](ctx, s, namespace, b.Spec.ClusterName)
	if !known {
		return nil
	}
	return &rules.Around{Clusters: clusters}
}

// ofDeletedBackup reads the restores that may read it.
func (s *surroundings) ofDeletedBackup(ctx context.Context, namespace string) *rules.Around {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, aroundPatience)
	defer cancel()
	return &rules.Around{Restores: s.restores(ctx, namespace)}
}

func (s *surroundings) restores(ctx context.Context, namespace string) []v1alpha1.RobustMQRestore {
	var list v1alpha1.RobustMQRestoreList
	s.list(ctx, s.near, "RobustMQRestore", &list, namespace)
	return list.Items
}

// named reads one object by its name: a list of it, empty when there is none, and whether that is known.
func named[T any, P interface {
	*T
	client.Object
}](ctx context.Context, s *surroundings, namespace, name string) (list []T, known bool) {
	var one T
	if err := s.near.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, P(&one)); err != nil {
		return nil, apierrors.IsNotFound(err)
	}
	return []T{one}, true
}

// list reports whether the objects could be listed. A kind that is not there or forbidden is left alone for a while: it does not come by being asked for.
func (s *surroundings) list(ctx context.Context, from client.Reader, kind string, into client.ObjectList, namespace string) bool {
	s.mu.Lock()
	gone := s.now().Before(s.absent[kind])
	s.mu.Unlock()
	if gone {
		return false
	}
	err := from.List(ctx, into, client.InNamespace(namespace))
	if meta.IsNoMatchError(err) || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		s.mu.Lock()
		s.absent[kind] = s.now().Add(absencePatience)
		s.mu.Unlock()
	}
	return err == nil
}
