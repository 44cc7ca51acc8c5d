package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// parallelHeads are how many objects are asked for at a time: an answer is small, and takes as long as the way to the store and back.
const parallelHeads = 8

// Present asks the store whether every object of a backup is there, with the size that the manifest says and, where both know it, the checksum of the whole. Nothing is read. What is wrong are
// *BrokenError, each naming its object, joined; other errors are of the way there.
func (a *Archive) Present(ctx context.Context, m Manifest) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	objects := m.Objects()
	problems := make([]error, len(objects))
	var next, broken atomic.Int64
	var group sync.WaitGroup
	for range min(parallelHeads, len(objects)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(objects)) && broken.Load() < maxProblems && ctx.Err() == nil; i = next.Add(1) - 1 {
				err := a.sized(ctx, objects[i])
				switch {
				case isBroken(err):
					problems[i] = err
					broken.Add(1)
				case err != nil:
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return wrap(context.Cause(ctx), "looking for the objects of the backup")
	}
	err := errors.Join(problems...)
	if broken.Load() >= maxProblems {
		err = errors.Join(err, errors.New("there may be more"))
	}
	return err
}

// sized compares what the store says of an object with the manifest. A checksum of parts says nothing to who does not know the parts: a copy in another bucket may have others.
func (a *Archive) sized(ctx context.Context, o Object) error {
	key := a.Key(o.Key)
	info, err := a.store.Head(ctx, key)
	switch {
	case store.Is(err, store.KindNotFound):
		return &BrokenError{Key: key, Problem: "it is missing"}
	case err != nil:
		return err
	case info.Size != o.Size:
		return &BrokenError{Key: key, Problem: fmt.Sprintf("it has %d bytes, the manifest says %d", info.Size, o.Size)}
	case info.Checksum != "" && o.Checksum != "" && info.Checksum != o.Checksum && !strings.Contains(info.Checksum+o.Checksum, "-"):
		return &BrokenError{Key: key, Problem: fmt.Sprintf("the store has the checksum %s of it, the manifest %s", info.Checksum, o.Checksum)}
	}
	return nil
}
