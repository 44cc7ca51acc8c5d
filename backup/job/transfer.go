package job

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// lanes are how many objects travel at a time: while the members read one file back, the next is under way.
const lanes = 4

// transfer brings the files of a backup to all members. Each object is read once for all of them; one whose call fails gets what it lacks when the others have the object.
type transfer struct {
	source   *archive.Source
	objects  []object
	targets  []*target
	watch    *watch
	court    *atomic.Int64 // calls that wait for their members
	patience Patience
}

// object in the bucket, and the files that are in it.
type object struct {
	table *archive.Table // nil: the archive of the files that are no tables
	files []string
}

func newTransfer(source *archive.Source, m archive.Manifest, targets []*target, court *atomic.Int64, w *work) *transfer {
	t := &transfer{source: source, targets: targets, watch: w.watch, court: court, patience: w.Patience}
	rest := object{}
	for _, e := range m.Files.Entries {
		rest.files = append(rest.files, e.Name)
	}
	t.objects = append(t.objects, rest)
	for i := range m.Tables {
		t.objects = append(t.objects, object{table: &m.Tables[i], files: []string{m.Tables[i].Name}})
	}
	return t
}

// run until every member has everything.
func (t *transfer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beat sync.WaitGroup
	beat.Go(func() { t.beat(ctx) })
	defer beat.Wait()
	defer cancel(nil)
	if err := t.each(ctx, func(ctx context.Context, m *target) error { return m.begin(ctx) }); err != nil {
		return err
	}
	for {
		if err := t.send(ctx); err != nil {
			return err
		}
		var missing atomic.Bool
		err := t.each(ctx, func(ctx context.Context, m *target) error {
			done, err := m.finish(ctx)
			if !done {
				missing.Store(true)
			}
			return err
		})
		if err != nil || !missing.Load() {
			return err
		}
	}
}

// beat keeps the Job alive while a member is waited for: how long that may be is counted for each of them, and names the pod.
func (t *transfer) beat(ctx context.Context) {
	for pause.For(ctx, t.watch.limit/4) == nil {
		if t.court.Load() > 0 {
			t.watch.moved()
		}
	}
}

// each does something with all members at once. The first error ends the others.
func (t *transfer) each(ctx context.Context, do func(context.Context, *target) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for _, m := range t.targets {
		group.Go(func() {
			if err := do(ctx, m); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// send the objects, several at a time. The first error ends the others.
func (t *transfer) send(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan object)
	var group sync.WaitGroup
	for range min(lanes, len(t.objects)) {
		group.Go(func() {
			free := newBlocks()
			for o := range next {
				if err := t.object(ctx, free, o); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, o := range t.objects {
		select {
		case next <- o:
		case <-ctx.Done():
		}
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// object to all members that lack something of it.
func (t *transfer) object(ctx context.Context, free chan *block, o object) error {
	for round := 0; ; round++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if round > 0 && t.needed(o) { // somebody's call has failed
			t.court.Add(1)
			err := pause.For(ctx, t.patience.backoff(round))
			t.court.Add(-1)
			if err != nil {
				return err
			}
		}
		err := t.each(ctx, func(ctx context.Context, m *target) error { return m.refresh(ctx) })
		if err != nil {
			return err
		}
		if !t.needed(o) {
			return nil
		}
		if err := t.pass(ctx, free, o); err != nil {
			return err
		}
	}
}

// needed says whether a member lacks something of an object, as far as is known.
func (t *transfer) needed(o object) bool {
	return slices.ContainsFunc(o.files, func(f string) bool { return len(t.lacking(f)) > 0 })
}

// need of one member: a file from an offset on.
type need struct {
	target *target
	offset int64
}

func (t *transfer) lacking(file string) []need {
	var list []need
	for _, m := range t.targets {
		if offset, lacks := m.lacks(file); lacks {
			list = append(list, need{m, offset})
		}
	}
	return list
}

// pass reads an object once.
func (t *transfer) pass(ctx context.Context, free chan *block, o object) error {
	if o.table != nil {
		list := t.lacking(o.table.Name)
		lowest := lowest(list)
		if lowest == o.table.Size && lowest > 0 { // it is all there, and was not verified yet
			return t.tee(ctx, free, o.table.Name, empty{}, lowest, list)
		}
		// The members compare every file with its hash. Only where one found a difference is it compared here too, which tells a broken bucket from what happened on the way.
		read := t.source.TableUnproven
		if t.doubted(o.table.Name) {
			read = t.source.TableFrom
		}
		r, err := read(ctx, *o.table, lowest)
		if err != nil {
			return err
		}
		defer r.Close()
		return t.tee(ctx, free, o.table.Name, r, lowest, list)
	}
	return t.source.Files(ctx, func(e archive.Entry, content io.Reader) error {
		list := t.lacking(e.Name)
		if len(list) == 0 {
			return nil
		}
		lowest := lowest(list)
		if _, err := io.CopyN(io.Discard, content, lowest); err != nil {
			return err
		}
		return t.tee(ctx, free, e.Name, content, lowest, list)
	})
}

// doubted reports whether a member received something else under that name than was announced.
func (t *transfer) doubted(file string) bool {
	return slices.ContainsFunc(t.targets, func(m *target) bool { return m.doubts(file) })
}

func lowest(list []need) int64 {
	low := list[0].offset
	for _, n := range list {
		low = min(low, n.offset)
	}
	return low
}

type empty struct{}

// Read implements io.Reader.
func (empty) Read([]byte) (int, error) { return 0, io.EOF }

// tee sends a file, of which r has everything from an offset on, to all who lack something of it. An error is of the source, or one that no repetition mends.
func (t *transfer) tee(ctx context.Context, free chan *block, name string, r io.Reader, offset int64, list []need) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	var broken atomic.Bool
	legs := make([]*leg, 0, len(list))
	for _, n := range list {
		call, l := n.target.watched(ctx, name, n.offset)
		legs = append(legs, l)
		group.Go(func() {
			if err := n.target.send(call, name, n.offset, l, func() bool { return broken.Load() || ctx.Err() != nil }); err != nil {
				cancel(err)
			}
		})
	}
	err := handOut(ctx, free, r, offset, legs, func() { broken.Store(true) })
	group.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errLegEnded):
		return nil
	}
	return err
}
