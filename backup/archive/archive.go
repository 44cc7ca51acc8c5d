package archive

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// Archive is the backups of one cluster in a store.
type Archive struct {
	store store.Store
	base  string // ends with a slash
	uid   string
}

// New names the backups of a cluster. prefix is that of the destination, and may be empty. Nothing is asked of the store.
func New(s store.Store, prefix, clusterUID string) (*Archive, error) {
	if !recordName.MatchString(clusterUID) {
		return nil, fmt.Errorf("opening the backups of a cluster: %q is no UID", clusterUID)
	}
	base := clusterUID + "/"
	if prefix != "" {
		base = strings.Trim(prefix, "/") + "/" + base
	}
	return &Archive{store: s, base: base, uid: clusterUID}, nil
}

// Clusters are the UIDs of the clusters that have backups below a prefix, in order.
func Clusters(ctx context.Context, s store.Store, prefix string) ([]string, error) {
	if prefix != "" {
		prefix = strings.Trim(prefix, "/") + "/"
	}
	var uids []string
	for info, err := range s.List(ctx, prefix, false) {
		if err != nil {
			return nil, err
		}
		uid, folder := strings.CutSuffix(strings.TrimPrefix(info.Key, prefix), "/")
		if !folder || !recordName.MatchString(uid) {
			continue
		}
		if _, err := s.Head(ctx, prefix+uid+"/owner.json"); err == nil {
			uids = append(uids, uid)
		} else if !store.Is(err, store.KindNotFound) {
			return nil, err
		}
	}
	return uids, nil
}

// Key is the name in the store of an object of this archive.
func (a *Archive) Key(key string) string { return a.base + key }

// ManifestKey is the name in the store of the manifest of a backup, which is what people know a backup by.
func (a *Archive) ManifestKey(id string) string { return a.base + "backups/" + id + "/manifest.json" }

// sumKey is the manifest's checksum, as sha256sum writes and checks it: a bit that flips in a manifest may leave it readable.
func (a *Archive) sumKey(id string) string { return a.base + "backups/" + id + "/manifest.sha256" }

// sumNote is what stands there.
func sumNote(sum string) string { return sum + "  manifest.json\n" }

// ID of a backup: its time and name. A name alone could come again after its object was deleted.
func ID(started time.Time, name string) string {
	return started.UTC().Format(IDTime) + "-" + name
}

// IDTime is the layout of the time that an ID begins with, in UTC.
const IDTime = "20060102T150405Z"

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Backup is a backup as a list shows it.
type Backup struct {
	ID string
	// Manifest, if it could be read.
	Manifest Manifest
	// Broken says why it could not; empty if it could. Unknown: because it is of a format that this version cannot read, and nothing says that it is damaged.
	Broken  string
	Unknown bool
	// SHA256 of the manifest that was read, in lower-case hexadecimal digits.
	SHA256 string
	// Modified is when the manifest was written, by the store's clock.
	Modified time.Time
}

// Good reports whether it has a manifest that can be read.
func (b Backup) Good() bool { return b.Broken == "" }

// List is all backups, the oldest first. One whose manifest cannot be read is in it, with the reason, and hides no other.
func (a *Archive) List(ctx context.Context) ([]Backup, error) {
	var backups []Backup
	for b, err := range a.Each(ctx) {
		if err != nil {
			return nil, err
		}
		backups = append(backups, b)
	}
	return backups, nil
}

// Each is List for who needs no more than one manifest at a time in memory. An error ends it.
func (a *Archive) Each(ctx context.Context) iter.Seq2[Backup, error] {
	return func(yield func(Backup, error) bool) {
		prefix := a.base + "backups/"
		for folder, err := range a.store.List(ctx, prefix, false) {
			if err != nil {
				yield(Backup{}, wrap(err, "listing backups"))
				return
			}
			id, ok := strings.CutSuffix(strings.TrimPrefix(folder.Key, prefix), "/")
			if !ok {
				continue
			}
			b, err := a.Read(ctx, id)
			if store.Is(err, store.KindNotFound) {
				continue // not finished, or not any more
			}
			if err != nil && !isBroken(err) {
				yield(Backup{}, wrap(err, "listing backups"))
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}
