package cluster

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// lackingFor is how long a kind that this Kubernetes did not have is not looked for again, for whichever cluster: what nobody wants is removed later by that much where somebody installs the kind meanwhile.
const lackingFor = time.Minute

// lacking are the kinds that this Kubernetes was seen not to have, and when.
type lacking struct {
	mu   sync.Mutex
	seen map[schema.GroupVersionKind]time.Time
}

func (l *lacking) note(kind schema.GroupVersionKind, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[schema.GroupVersionKind]time.Time{}
	}
	l.seen[kind] = now
}

func (l *lacking) recently(kind schema.GroupVersionKind, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.seen[kind]
	return ok && now.Sub(at) < lackingFor
}
