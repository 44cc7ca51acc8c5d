package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
)

// maxNamed clusters or backups in one sentence.
const maxNamed = 10

// chooseCluster finds whose backups are asked for, and opens them as the Job's archive. ID is the backup's, if the request says which.
func (w *work) chooseCluster(ctx context.Context) (id string, err error) {
	i, prefix := w.request.Inspect, w.request.Destination.Prefix
	uid, id := i.Source.ClusterUID, i.Source.ID
	if i.Key != "" {
		var of string
		if of, id, err = parseKey(prefix, i.Key); err != nil {
			return "", fail(DestinationInvalid, err, "write the key as status.key of the RobustMQBackup has it: <prefix>/<cluster UID>/backups/<ID>/manifest.json, where <prefix> is destination.prefix")
		}
		if uid != "" && uid != of {
			return "", fail(ForeignOwner, fmt.Errorf("the backup %s is of the cluster with UID %s, and source.clusterUID asks for one of %s", i.Key, of, uid), "leave source.clusterUID out, or choose a backup of that cluster")
		}
		uid = of
	}
	if uid == "" {
		if uid, err = w.onlyCluster(ctx); err != nil {
			return "", err
		}
	}
	if w.archive, err = archive.New(w.store, prefix, uid); err != nil {
		return "", fail(DestinationInvalid, err, "")
	}
	return id, w.belongs(ctx, uid)
}

// parseKey takes the key of a manifest, or that of its folder, apart.
func parseKey(prefix, key string) (uid, id string, err error) {
	rest := key
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		var below bool
		if rest, below = strings.CutPrefix(key, prefix+"/"); !below {
			return "", "", fmt.Errorf("the key %q is not below the destination's prefix %q", key, prefix)
		}
	}
	parts := strings.Split(strings.TrimSuffix(strings.TrimSuffix(rest, "/manifest.json"), "/"), "/")
	if len(parts) != 3 || !uidForm.MatchString(parts[0]) || parts[1] != "backups" || !idForm.MatchString(parts[2]) {
		return "", "", fmt.Errorf("the key %q is not that of a backup's manifest", key)
	}
	return parts[0], parts[2], nil
}

// onlyCluster that has backups in the destination.
func (w *work) onlyCluster(ctx context.Context) (string, error) {
	prefix := w.request.Destination.Prefix
	uids, err := archive.Clusters(ctx, w.store, prefix)
	switch {
	case err != nil:
		return "", err
	case len(uids) == 1:
		return uids[0], nil
	case len(uids) == 0:
		return "", fail(BackupMissing, fmt.Errorf("no cluster has backups in %s below the prefix %q", w.store, prefix), "correct source.destination: bucket, prefix and endpoint are those of the cluster that was saved")
	}
	return "", fail(BackupMissing, fmt.Errorf("%d clusters have backups in %s below the prefix %q, and source.clusterUID does not say which is meant: %s", len(uids), w.store, prefix, w.namesOf(ctx, uids)),
		"write the UID of one of them as source.clusterUID")
}

// namesOf clusters for people: the first of them.
func (w *work) namesOf(ctx context.Context, uids []string) string {
	var names []string
	for _, uid := range uids[:min(len(uids), maxNamed)] {
		name := uid
		if a, err := archive.New(w.store, w.request.Destination.Prefix, uid); err == nil {
			if o, err := a.Owner(ctx); err == nil {
				name = fmt.Sprintf("%s (%s/%s)", uid, cut(o.Namespace, 63), cut(o.Name, 63))
			}
		}
		names = append(names, name)
	}
	if more := len(uids) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// belongs refuses a place that is another's. One whose record is lost or damaged is read: every manifest says, under a checksum, whose it is.
func (w *work) belongs(ctx context.Context, uid string) error {
	owner, err := w.archive.Owner(ctx)
	var broken *archive.BrokenError
	ours := w.owner()
	switch {
	case store.Is(err, store.KindNotFound):
		w.warn("%s is missing: whose backups these are, their manifests alone say", w.archive.Key("owner.json"))
		return nil
	case errors.As(err, &broken) && owner.ClusterUID == "":
		w.warn("%s is damaged (%s): whose backups these are, their manifests alone say", broken.Key, broken.Problem)
		return nil
	case errors.As(err, &broken):
		return fail(ForeignOwner, err, "somebody copied it there: give the folder the name of the cluster that it is of")
	case err != nil:
		return err
	case uid == ours.ClusterUID && owner != ours:
		return fail(ForeignOwner, fmt.Errorf("%s belongs to %s/%s of installation %q, and not to %s/%s of installation %q, although they have one UID", w.archive.Key("owner.json"),
			owner.Namespace, owner.Name, owner.Installation, ours.Namespace, ours.Name, ours.Installation),
			"one of them is a copy of the other. If this cluster is the one whose backups these are, moved to another name or Kubernetes, and the former one is gone for good, remove that object")
	}
	return nil
}

// candidate is a backup that may be the one.
type candidate struct {
	id       string
	recovers time.Time
}

// candidates are the readable backups that were taken before a time, if one is given, the newest first.
func (w *work) candidates(ctx context.Context) ([]candidate, error) {
	i := w.request.Inspect
	var good []candidate
	var others []archive.Backup
	for b, err := range w.archive.Each(ctx) {
		switch {
		case err != nil:
			return nil, err
		case !b.Good():
			others = append(others, archive.Backup{ID: b.ID, Broken: b.Broken, Unknown: b.Unknown})
		case !i.Before.IsZero() && b.Manifest.RecoveryPoint.After(i.Before):
		case slices.Contains(i.Damaged, b.ID):
			others = append(others, archive.Backup{ID: b.ID, Broken: "a verification found it damaged"})
		default:
			good = append(good, candidate{b.ID, b.Manifest.RecoveryPoint})
		}
	}
	slices.SortFunc(good, func(a, b candidate) int { return cmp.Or(b.recovers.Compare(a.recovers), cmp.Compare(b.id, a.id)) })
	return good, w.passedOver(good, others)
}

// passedOver says which backups would have been chosen if they could be read. One whose format is a newer operator's is not lost, so nothing older takes its place unasked.
func (w *work) passedOver(good []candidate, others []archive.Backup) error {
	before := w.request.Inspect.Before
	for _, b := range others {
		started, err := time.Parse(archive.IDTime, strings.SplitN(b.ID, "-", 2)[0])
		if err != nil || !before.IsZero() && started.After(before) || len(good) > 0 && !started.After(good[0].recovers) {
			continue
		}
		if b.Unknown {
			return fail(BackupBroken, fmt.Errorf("the backup %s is newer than all that can be read: %s", b.ID, b.Broken), "or choose an older one by its key")
		}
		w.warn("the backup %s is newer and was passed over: %s", b.ID, cut(b.Broken, 300))
	}
	return nil
}

// nothing says that there is no backup to choose.
func (w *work) nothing() error {
	at := ""
	if before := w.request.Inspect.Before; !before.IsZero() {
		at = " from before " + before.UTC().Format(time.RFC3339)
	}
	return fail(BackupMissing, fmt.Errorf("there is no backup%s that can be read in %s at %s", at, w.store, w.archive.Key("backups/")), "look at the warnings of this Job, and at the bucket, prefix and clusterUID of the source")
}

// missing names what is there in the place of a backup that is not.
func (w *work) missing(ctx context.Context, id string) error {
	var ids []string
	for b, err := range w.archive.Each(ctx) {
		if err != nil {
			return err
		}
		ids = append(ids, b.ID)
	}
	there := "none"
	if len(ids) > 0 {
		there = strings.Join(ids[max(0, len(ids)-maxNamed):], ", ")
	}
	return fail(BackupMissing, fmt.Errorf("there is no backup %s in %s at %s; those that are there, or the newest of them: %s", id, w.store, w.archive.Key("backups/"), there),
		"it was deleted, has expired, or never became complete; choose one that is there")
}
