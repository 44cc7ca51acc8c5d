package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// Policy keeps a backup while either holds.
type Policy struct {
	// KeepLast good ones; less than 1 counts as 1.
	KeepLast int
	// MaxAge keeps those that are younger. Zero: age keeps none.
	MaxAge time.Duration
}

// Candidate is what retention looks at.
type Candidate struct {
	ID       string
	Schedule string
	// Time of its recovery point.
	Time time.Time
	// Good means that it can be restored, as far as is known.
	Good bool
	// Unreadable ones are kept: nobody knows what they are.
	Unreadable bool
}

// CandidateOf is a listed backup; damaged are the IDs of those that a verification found wrong.
func CandidateOf(b Backup, damaged map[string]bool) Candidate {
	return Candidate{ID: b.ID, Schedule: b.Manifest.Schedule, Time: b.Manifest.RecoveryPoint, Good: b.Good() && !damaged[b.ID], Unreadable: !b.Good()}
}

// Expired are the backups that no policy keeps, the oldest first. Backups without schedule, and those of schedules without policy, are kept; so is the newest good one of every
// schedule, and with that the newest good one at all. Only good ones count for KeepLast, and one that is not good goes when enough newer good ones are there.
func Expired(candidates []Candidate, policies map[string]Policy, now time.Time) []Candidate {
	newest := slices.Clone(candidates)
	slices.SortFunc(newest, func(a, b Candidate) int { return cmp.Or(b.Time.Compare(a.Time), strings.Compare(b.ID, a.ID)) })
	var expired []Candidate
	good := map[string]int{} // of each schedule, newer than the one that is looked at
	for _, c := range newest {
		policy, has := policies[c.Schedule]
		rank := good[c.Schedule]
		keep := c.Unreadable || c.Schedule == "" || !has || rank < max(policy.KeepLast, 1) || (policy.MaxAge > 0 && now.Sub(c.Time) < policy.MaxAge)
		if c.Good {
			good[c.Schedule]++
		}
		if !keep {
			expired = append(expired, c)
		}
	}
	slices.Reverse(expired)
	return expired
}

// GraceTime is how long what no manifest names is left alone, by the store's clock.
const GraceTime = 24 * time.Hour

// Garbage is what may go.
type Garbage struct {
	// Keys below the archive.
	Keys []string
	// Bytes that they have.
	Bytes int64
	// Blocked says why tables are kept although no manifest names them; empty if nothing keeps them.
	Blocked string
}

// Collectable finds what no backup needs: tables that no manifest names, leftovers of backups that have none, old locks and probes; each only when older than GraceTime.
// Objects have keys below the archive. A manifest that cannot be read names tables that we cannot know: then all tables stay.
func Collectable(objects []store.Info, backups []Backup, now time.Time) Garbage {
	var g Garbage
	named := map[string]bool{}
	for _, b := range backups {
		if !b.Good() {
			g.Blocked = fmt.Sprintf("the manifest of the backup %s cannot be read, so its tables are not known (%s): delete that backup, or use a version that reads it", b.ID, b.Broken)
			continue
		}
		for _, o := range b.Manifest.Objects() {
			named[o.Key] = true
		}
	}
	alive := map[string]bool{} // folders of backups that have a manifest, or something young
	for _, o := range objects {
		if parts := strings.SplitN(o.Key, "/", 3); len(parts) == 3 && parts[0] == "backups" && (parts[2] == "manifest.json" || now.Sub(o.Modified) < GraceTime) {
			alive[parts[1]] = true
		}
	}
	for _, o := range objects {
		folder, rest, _ := strings.Cut(o.Key, "/")
		id, _, _ := strings.Cut(rest, "/")
		old := now.Sub(o.Modified) >= GraceTime
		var goes bool
		switch folder {
		case "tables":
			goes = old && !named[o.Key] && g.Blocked == ""
		case "backups":
			goes = old && !named[o.Key] && !alive[id]
		case "locks", "probe":
			goes = old
		}
		if goes {
			g.Keys = append(g.Keys, o.Key)
			g.Bytes += o.Size
		}
	}
	return g
}

// Collected is what a collection did.
type Collected struct {
	// Expired backups that were deleted.
	Expired []string
	// Garbage that was deleted, and unfinished uploads that were ended.
	Garbage Garbage
	Uploads int
}

// Collect deletes backups that no policy keeps and then what no backup needs. It is alone: with a backup or a reader at work it is a *BusyError, and nothing is done.
// damaged are IDs of backups that a verification found wrong. One object that cannot be deleted does not keep the others.
func (a *Archive) Collect(ctx context.Context, holder string, policies map[string]Policy, damaged map[string]bool) (Collected, error) {
	var done Collected
	err := a.alone(ctx, holder, func(ctx context.Context, now time.Time) error {
		backups, err := a.List(ctx)
		if err != nil {
			return err
		}
		candidates := make([]Candidate, 0, len(backups))
		for _, b := range backups {
			candidates = append(candidates, CandidateOf(b, damaged))
		}
		var failed []error
		for _, c := range Expired(candidates, policies, now) {
			if err := a.remove(ctx, c.ID); err != nil {
				failed = append(failed, err)
				continue
			}
			done.Expired = append(done.Expired, c.ID)
		}
		if err := a.sweep(ctx, now, &done); err != nil {
			failed = append(failed, err)
		}
		return errors.Join(failed...)
	})
	return done, wrap(err, "collecting")
}

// sweep what no backup needs. Objects are listed before manifests: a table that is listed is older than every manifest that is read afterwards.
func (a *Archive) sweep(ctx context.Context, now time.Time, done *Collected) error {
	var objects []store.Info
	for info, err := range a.store.List(ctx, a.base, true) {
		if err != nil {
			return err
		}
		info.Key = strings.TrimPrefix(info.Key, a.base)
		objects = append(objects, info)
	}
	backups, err := a.List(ctx)
	if err != nil {
		return err
	}
	garbage := Collectable(objects, backups, now)
	done.Garbage.Blocked = garbage.Blocked
	sizes := map[string]int64{}
	for _, o := range objects {
		sizes[o.Key] = o.Size
	}
	var failed []error
	for _, key := range garbage.Keys {
		if err := a.store.Delete(ctx, a.Key(key)); err != nil {
			failed = append(failed, err)
			continue
		}
		done.Garbage.Keys = append(done.Garbage.Keys, key)
		done.Garbage.Bytes += sizes[key]
	}
	done.Uploads, err = a.store.Sweep(ctx, a.base, now.Add(-GraceTime))
	return errors.Join(append(failed, err)...)
}

// alone does something while nobody else writes or reads.
func (a *Archive) alone(ctx context.Context, holder string, work func(ctx context.Context, now time.Time) error) error {
	lock, err := a.Acquire(ctx, Collecting, holder)
	if err != nil {
		return err
	}
	defer lock.Release(ctx)
	return work(lock.Keep(ctx, LockTTL/10), lock.Now())
}

// Delete a backup. Its tables go with the next collection, unless other backups need them. One that is not there is deleted already.
func (a *Archive) Delete(ctx context.Context, id, holder string) error {
	return wrap(a.alone(ctx, holder, func(ctx context.Context, _ time.Time) error { return a.remove(ctx, id) }), "deleting the backup "+id)
}

// remove the manifest first: from then on the backup does not exist, whatever becomes of the rest.
func (a *Archive) remove(ctx context.Context, id string) error {
	if !recordName.MatchString(id) {
		return fmt.Errorf("%q is no name of a backup", id)
	}
	if err := a.store.Delete(ctx, a.ManifestKey(id)); err != nil {
		return err
	}
	for info, err := range a.store.List(ctx, a.base+"backups/"+id+"/", true) {
		if err != nil {
			return err
		}
		if err := a.store.Delete(ctx, info.Key); err != nil {
			return err
		}
	}
	return nil
}
