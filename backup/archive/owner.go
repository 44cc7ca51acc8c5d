package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	kjson "sigs.k8s.io/json"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// Owner is whose backups these are.
type Owner struct {
	ClusterUID string `json:"clusterUID"`
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	// Installation tells Kubernetes clusters apart that have the same objects, as after etcd was copied: the UID of the namespace kube-system serves.
	Installation string `json:"installation,omitempty"`
}

// ownerFile is owner.json. Its hash tells a bit that flipped from another owner.
type ownerFile struct {
	Owner `json:",inline"`
	// SHA256 of the owner alone, as encoding/json writes it.
	SHA256 string `json:"sha256"`
}

const maxOwner = 1 << 16

func (o Owner) marshal() ([]byte, error) {
	plain, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	return json.Marshal(ownerFile{o, hex.EncodeToString(sum[:])})
}

// parseOwner reads what marshal writes, to the byte.
func parseOwner(b []byte) (Owner, error) {
	var f ownerFile
	if strict, err := kjson.UnmarshalStrict(b, &f); err != nil || len(strict) > 0 {
		return Owner{}, errors.Join(append(strict, err)...)
	}
	again, err := f.Owner.marshal()
	if err != nil {
		return Owner{}, err
	}
	if f.ClusterUID == "" || !bytes.Equal(again, b) {
		return Owner{}, errors.New("its content and its checksum do not fit")
	}
	return f.Owner, nil
}

// OwnerError is a place that belongs to another cluster.
type OwnerError struct{ Place, Problem string }

// Error names the owner.
func (e *OwnerError) Error() string {
	return e.Place + " " + e.Problem + ": two clusters must not write to one place; choose another prefix or bucket"
}

func (a *Archive) ownerKey() string { return a.base + "owner.json" }

// Owner is who claimed the place. A record that is not what was written, or is of another cluster, is a *BrokenError; where nobody claimed it there is a store's KindNotFound.
func (a *Archive) Owner(ctx context.Context) (Owner, error) {
	o, err := a.readOwner(ctx)
	if err == nil && o.ClusterUID != a.uid {
		err = &BrokenError{Key: a.ownerKey(), Problem: fmt.Sprintf("it is of the cluster %s, its place is that of %s", o.ClusterUID, a.uid)}
	}
	return o, err
}

func (a *Archive) readOwner(ctx context.Context) (Owner, error) {
	there, err := store.ReadAll(ctx, a.store, a.ownerKey(), maxOwner)
	if store.Is(err, store.KindInvalid) {
		err = &BrokenError{Key: a.ownerKey(), Problem: "it is too large to be what was written"}
	}
	if err != nil {
		return Owner{}, err
	}
	o, err := parseOwner(there)
	if err != nil {
		return Owner{}, &BrokenError{Key: a.ownerKey(), Problem: "it is not what was written: " + err.Error()}
	}
	return o, nil
}

// Claim makes the place the cluster's, or finds that it is already. A place of another owner is an *OwnerError.
func (a *Archive) Claim(ctx context.Context, o Owner) error {
	if o.ClusterUID != a.uid {
		return fmt.Errorf("claiming %s: it is for the cluster %s and not for %s", a.base, a.uid, o.ClusterUID)
	}
	body, err := o.marshal()
	if err != nil {
		return fmt.Errorf("claiming %s: %w", a.base, err)
	}
	_, err = a.store.Create(ctx, a.ownerKey(), body)
	if !store.Is(err, store.KindExists) {
		return wrap(err, "claiming "+a.base)
	}
	owner, err := a.readOwner(ctx)
	switch {
	case isBroken(err):
		return &OwnerError{Place: a.ownerKey(), Problem: "cannot be read, so nobody knows whose it is"}
	case err != nil:
		return wrap(err, "claiming "+a.base)
	case owner != o:
		return &OwnerError{Place: a.ownerKey(), Problem: fmt.Sprintf("belongs to %s/%s with UID %s of installation %q, not to %s/%s with UID %s of installation %q",
			owner.Namespace, owner.Name, owner.ClusterUID, owner.Installation, o.Namespace, o.Name, o.ClusterUID, o.Installation)}
	}
	return nil
}
