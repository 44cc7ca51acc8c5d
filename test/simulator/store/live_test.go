package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
)

// A writer in the order of raft (log, data, applied) flushes and compacts all the time. Every image that is taken meanwhile must open, be one moment of the writer, and go forward.
func TestEveryImageOfABusyDatabaseIsOneMoment(t *testing.T) {
	const images = 60
	root := t.TempDir()
	dir := filepath.Join(root, "_rocksdb")
	s := mustOpen(t, dir, Options{Buffer: 20000, Trigger: 4})
	ctx, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	var failed error
	number := func(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }
	log := func(i uint64) []byte { return append([]byte("L"), number(i)...) }
	writer.Go(func() {
		pad := make([]byte, 200)
		pace := time.NewTicker(time.Millisecond / 2) // a writer that never rests leaves nothing of a small machine for the images
		defer pace.Stop()
		for i := uint64(1); ctx.Err() == nil && failed == nil; i++ {
			<-pace.C
			write := func(r ...Record) {
				if failed == nil {
					failed = s.Write(r...)
				}
			}
			write(Record{Family: FamilyRaft, Key: log(i), Value: pad}, Record{Family: FamilyStorage, Key: number(i % 500), Value: make([]byte, 400)})
			write(Record{Family: FamilyMetadata, Key: []byte("counter"), Value: number(i)})
			write(Record{Family: FamilyData, Key: fmt.Appendf(nil, "topic%d", i*7919%300), Value: append(number(i), pad...)})
			write(Record{Family: FamilyRaft, Key: []byte("applied"), Value: number(i)})
			if i%50 == 0 && i > 200 {
				write(Record{Family: FamilyRaft, Key: log(0), Until: log(i - 200)})
			}
		}
	})
	cache := image.Cache{Dir: filepath.Join(root, "cache")}
	var before uint64
	tables, attempts := 0, 0
	for n := range images {
		out := filepath.Join(root, "out", fmt.Sprint(n))
		staged, err := image.Taker{Reserve: 1 << 20}.Take(ctx, dir, filepath.Join(root, "stage"), image.MetadataFamilies)
		if err != nil {
			t.Fatal(err)
		}
		result, err := staged.Extract(ctx, out, cache)
		if err != nil {
			t.Fatalf("image %d: %v", n, err)
		}
		if err := staged.Release(); err != nil {
			t.Fatal(err)
		}
		tables, attempts = tables+len(result.Tables), attempts+staged.Attempts
		copied := mustOpen(t, out, Options{})
		m := contents(t, copied)
		if err := copied.Close(); err != nil {
			t.Fatal(err)
		}
		counter, applied := decoded(m[FamilyMetadata+"/counter"]), decoded(m[FamilyRaft+"/applied"])
		if applied < before || counter < applied || counter > applied+1 {
			t.Fatalf("image %d: counter %d, applied %d after %d", n, counter, applied, before)
		}
		before = applied
		last := applied
		for last < counter+1 && m[FamilyRaft+"/"+string(log(last+1))] != "" {
			last++
		}
		for i := last; i > 0 && i+199 > last; i-- {
			if m[FamilyRaft+"/"+string(log(i))] == "" {
				t.Fatalf("image %d: entry %d of %d is missing", n, i, last)
			}
		}
		for i := range uint64(300) {
			if v := m[FamilyData+"/"+fmt.Sprintf("topic%d", i)]; v != "" && decoded(v[:8]) > counter {
				t.Fatalf("image %d: a topic of %d, counter %d", n, decoded(v[:8]), counter)
			}
			if m[FamilyStorage+"/"+string(number(i))] != "" {
				t.Fatalf("image %d has messages", n)
			}
		}
	}
	stop()
	writer.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	if before == 0 || tables == 0 {
		t.Error("nothing was written or flushed: the test does not test")
	}
	t.Logf("%d images in %d attempts, %d tables an image, writer at %d", images, attempts, tables/images, before)
}

func decoded(v string) uint64 {
	if len(v) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(v))
}
