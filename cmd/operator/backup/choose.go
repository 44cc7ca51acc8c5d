package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
)

func convert(u *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into)
}

// saved is a cluster that has backups in a place.
type saved struct {
	archive *archive.Archive
	uid     string
	// owner, where its record can be read.
	owner archive.Owner
	// problem with that record; nil where there is none.
	problem error
}

// name of the cluster for people.
func (s *saved) name() string {
	if s.problem != nil {
		return "(its record is damaged)"
	}
	return s.owner.Namespace + "/" + s.owner.Name
}

// clusters are all that have backups in the place.
func (o *opened) clusters(ctx context.Context) ([]*saved, error) {
	uids, err := archive.Clusters(ctx, o.store, o.prefix)
	if err != nil {
		return nil, err
	}
	all := make([]*saved, 0, len(uids))
	for _, uid := range uids {
		s, err := o.of(ctx, uid)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (o *opened) of(ctx context.Context, uid string) (*saved, error) {
	a, err := archive.New(o.store, o.prefix, uid)
	if err != nil {
		return nil, err
	}
	s := &saved{archive: a, uid: uid}
	s.owner, err = a.Owner(ctx)
	if broken := (*archive.BrokenError)(nil); errors.As(err, &broken) || store.Is(err, store.KindNotFound) {
		s.problem, err = err, nil
	}
	return s, err
}

// only is the cluster that was asked for, or the only one there is.
func (o *opened) only(ctx context.Context) (*saved, error) {
	all, err := o.clusters(ctx)
	if err != nil {
		return nil, err
	}
	return o.pick(ctx, all)
}

// pick chooses among clusters, or says what there is.
func (o *opened) pick(ctx context.Context, all []*saved) (*saved, error) {
	if o.cluster == "" {
		switch len(all) {
		case 0:
			return nil, usage("there are no backups in %s%s: compare --prefix with the destination's", o.store, below(o.prefix))
		case 1:
			return all[0], nil
		}
		return nil, usage("%d clusters have backups in %s%s: choose one with --cluster: %s", len(all), o.store, below(o.prefix), names(all))
	}
	var found []*saved
	for _, s := range all {
		if s.uid == o.cluster || s.problem == nil && s.name() == o.cluster {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if s, err := o.withoutRecord(ctx); s != nil || err != nil {
			return s, err
		}
		return nil, usage("--cluster %s: it has no backups in %s%s; there are those of: %s", o.cluster, o.store, below(o.prefix), names(all))
	}
	return nil, usage("--cluster %s: %d clusters have that name, one after another: give the UID of one: %s", o.cluster, len(found), names(found))
}

// withoutRecord is a cluster whose owner.json is lost. Its backups are as good as before.
func (o *opened) withoutRecord(ctx context.Context) (*saved, error) {
	if strings.Contains(o.cluster, "/") {
		return nil, nil
	}
	s, err := o.of(ctx, o.cluster)
	if err != nil {
		return nil, usage("--cluster: %w", err)
	}
	for _, err := range o.store.List(ctx, s.archive.Key("backups/"), false) {
		return s, err
	}
	return nil, nil
}

func below(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " below " + prefix
}

func names(all []*saved) string {
	if len(all) == 0 {
		return "nobody"
	}
	list := make([]string, 0, len(all))
	for _, s := range all {
		list = append(list, s.uid+" "+s.name())
	}
	return strings.Join(list, ", ")
}

// latest is the newest good backup, in the place of an ID.
const latest = "latest"

// backup finds one by its ID, the key of its manifest, or its name.
func (s *saved) backup(ctx context.Context, want string) (archive.Backup, error) {
	id := strings.TrimSuffix(strings.TrimPrefix(want, "s3://"), "/manifest.json")
	id = id[strings.LastIndex(id, "/")+1:]
	if want != latest {
		b, err := s.archive.Read(ctx, id)
		if broken := (*archive.BrokenError)(nil); err == nil || errors.As(err, &broken) && !b.Modified.IsZero() {
			return b, nil
		} else if !store.Is(err, store.KindNotFound) && !errors.As(err, &broken) {
			return b, err
		}
	}
	all, err := s.archive.List(ctx)
	if err != nil {
		return archive.Backup{}, err
	}
	var found []archive.Backup
	for _, b := range all {
		switch {
		case want == latest && b.Good() && (len(found) == 0 || !b.Manifest.RecoveryPoint.Before(found[0].Manifest.RecoveryPoint)):
			found = []archive.Backup{b}
		case b.Good() && b.Manifest.Name == want:
			found = append(found, b)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	ids := make([]string, 0, len(all))
	for _, b := range all[max(0, len(all)-10):] {
		ids = append(ids, b.ID)
	}
	switch {
	case len(found) > 1:
		return archive.Backup{}, usage("%q: %d backups have that name: give the ID of one (robustmq-operator backup list)", want, len(found))
	case len(all) == 0:
		return archive.Backup{}, usage("%q: the cluster %s %s has no backups", want, s.uid, s.name())
	}
	return archive.Backup{}, usage("%q: there is no such backup; the newest are: %s", want, strings.Join(ids, ", "))
}

// good is one whose manifest can be read.
func (s *saved) good(ctx context.Context, want string) (archive.Backup, error) {
	b, err := s.backup(ctx, want)
	if err == nil && !b.Good() {
		err = &archive.BrokenError{Key: s.archive.ManifestKey(b.ID), Problem: b.Broken}
	}
	return b, err
}

// reading keeps collections away while a backup is read. Without the right to write it goes on without, and says so.
func (t *tool) reading(ctx context.Context, s *saved) (context.Context, func(), error) {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed machine"
	}
	lock, err := s.archive.Acquire(ctx, archive.Reading, "robustmq-operator backup on "+host)
	if store.Is(err, store.KindDenied) {
		t.note("these credentials cannot write, so nothing keeps a collection away: if one runs meanwhile, a backup that has expired may vanish while it is read")
		return ctx, func() {}, nil
	}
	if err != nil {
		return ctx, nil, fmt.Errorf("keeping collections away: %w", err)
	}
	return lock.Keep(ctx, archive.LockTTL/10), func() { lock.Release(ctx) }, nil
}
