package archive

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// parallel transfers of tables. Their memory is the store's.
const parallel = 4

// recall what earlier backups say of tables. Recipients that are others make other objects: whoever may read this backup must be able to read all of it, and nobody else.
func (w *writer) recall(ctx context.Context, encryption *Encryption) error {
	backups, err := w.List(ctx)
	if err != nil {
		return err
	}
	w.known = map[string]Object{}
	for _, b := range backups {
		e := b.Manifest.Encryption
		if !b.Good() || (e == nil) != (encryption == nil) || (e != nil && !slices.Equal(normal(e.Recipients), encryption.Recipients)) {
			continue
		}
		for _, t := range b.Manifest.Tables {
			w.known[t.SHA256] = t.Object
		}
	}
	return nil
}

// tables that differ are written once each, several at a time.
func (w *writer) tables(ctx context.Context) ([]Table, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	byHash := map[string]*Object{}
	slots := make(chan struct{}, parallel)
	var group sync.WaitGroup
	for _, f := range w.req.Tables {
		if byHash[f.SHA256] != nil {
			w.moved(f.Size)
			continue
		}
		object := &Object{}
		byHash[f.SHA256] = object
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			var err error
			if *object, err = w.table(ctx, f); err != nil {
				cancel(fmt.Errorf("saving the table %s: %w", f.Name, err))
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	tables := make([]Table, 0, len(w.req.Tables))
	for _, f := range w.req.Tables {
		tables = append(tables, Table{Entry: Entry{f.Name, f.Size, f.SHA256}, Object: *byHash[f.SHA256]})
	}
	slices.SortFunc(tables, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	return tables, nil
}

// table finds or writes one.
func (w *writer) table(ctx context.Context, f File) (Object, error) {
	there, found, err := w.there(ctx, f)
	if err != nil || found {
		w.moved(f.Size)
		return there, err
	}
	o := Object{Key: "tables/" + f.SHA256}
	if len(w.recipients) > 0 {
		o.Key += "." + w.id + ".age"
	}
	if len(w.recipients) == 0 {
		o, err := w.put(ctx, o.Key, store.Content{Open: w.opener(f, false), Size: f.Size, SHA256: f.SHA256})
		if store.Is(err, store.KindMismatch) {
			return o, w.blame(ctx, f, err)
		}
		return o, err
	}
	plain, err := w.opener(f, true)(ctx)
	if err != nil {
		return o, err
	}
	defer plain.Close()
	encrypted, err := age.EncryptReader(plain, w.recipients...)
	if err != nil {
		return o, fmt.Errorf("encrypting: %w", err)
	}
	return w.put(ctx, o.Key, store.Content{Body: encrypted, Size: store.UnknownSize})
}

// there looks for a table in the bucket. Without a manifest that vouches for it, it was left by a backup that died, and is read to see whether it is whole.
func (w *writer) there(ctx context.Context, f File) (Object, bool, error) {
	o, known := w.known[f.SHA256]
	if !known && len(w.recipients) > 0 {
		return o, false, nil
	}
	if !known {
		o = Object{Key: "tables/" + f.SHA256, Size: f.Size, SHA256: f.SHA256}
	}
	info, err := w.store.Head(ctx, w.Key(o.Key))
	switch {
	case store.Is(err, store.KindNotFound):
		return o, false, nil
	case err != nil:
		return o, false, err
	case info.Size != o.Size:
		return o, false, nil
	case known && o.Checksum != "" && info.Checksum == o.Checksum:
		return o, true, nil
	}
	sum, err := hex.DecodeString(o.SHA256)
	if err == nil && info.Checksum == base64.StdEncoding.EncodeToString(sum) {
		o.Checksum = info.Checksum
		return o, true, nil
	}
	read, err := store.Hash(ctx, w.store, w.Key(o.Key))
	o.Checksum = info.Checksum
	return o, err == nil && read == o.SHA256, err
}
