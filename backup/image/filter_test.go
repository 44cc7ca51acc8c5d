package image

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// twoWALs is a live database whose first WAL is closed and has a growing successor.
func twoWALs(t testing.TB) *crashFS {
	t.Helper()
	fsys := liveFS(t)
	b := rocksdb.Batch{Sequence: 2458, Ops: []rocksdb.Op{{Kind: rocksdb.Put, Family: 3, Key: []byte("key"), Value: []byte("value")}}}
	var file bytesBuffer
	_ = rocksdb.NewLogWriter(&file).Append(b.Append(nil))
	fsys.files[liveDir+"/000049.log"] = &inode{data: file}
	return fsys
}

func TestAClosedWALIsReadOnceAndThenTakenFromTheCache(t *testing.T) {
	fsys := twoWALs(t)
	cache := Cache{Dir: "/data/cache"}
	image := func() int {
		t.Helper()
		reads := 0
		s := take(t, fsys)
		fsys.before = func(operation, name string) {
			if operation == "open" && strings.HasSuffix(name, "000047.log") {
				reads++
			}
		}
		out := fmt.Sprintf("/data/out%d", fsys.operations)
		if _, err := s.Extract(context0, out, cache); err != nil {
			t.Fatal(err)
		}
		fsys.before = nil
		want := mustContents(t, OS{}, unpack(t, "follower-300users-metaonly"))
		f := want[FamilyMetadata]
		f.Operations = append(f.Operations, "5 6b6579 76616c7565")
		want[FamilyMetadata] = f
		sameContents(t, mustContents(t, fsys, out), want)
		return reads
	}
	first, second := image(), image()
	if first != 2 || second != 1 { // once for its first block, which tells what it is, and once for all of it
		t.Errorf("read %d times, then %d times", first, second)
	}
	kept := fsys.list("/data/cache")
	if !strings.HasPrefix(kept, "000047-") || strings.Contains(kept, " ") {
		t.Errorf("cache has %s", kept)
	}
	// Damaged or cut, it is made anew.
	for _, change := range []func(*inode){func(i *inode) { i.data[50] ^= 1 }, func(i *inode) { i.data = i.data[:len(i.data)-5] }, func(i *inode) { i.data = nil }} {
		change(fsys.files["/data/cache/"+kept])
		if again := image(); again != 2 {
			t.Errorf("read %d times after the cache was damaged", again)
		}
	}
	// Another database with a WAL of the same number, size and time is not mistaken for it.
	closed := fsys.files[liveDir+"/000047.log"]
	fsys.files[liveDir+"/000047.log"] = &inode{data: otherMessage(t, closed.data), modified: closed.modified}
	if again := image(); again != 2 {
		t.Errorf("read %d times when it was another WAL", again)
	}
	if kept := fsys.list("/data/cache"); strings.Contains(kept, " ") {
		t.Errorf("the cache is not pruned: %s", kept)
	}
}

// otherMessage returns the WAL with one byte of a message changed, which nothing that is kept shows.
func otherMessage(t testing.TB, wal []byte) []byte {
	t.Helper()
	var out bytesBuffer
	w := rocksdb.NewLogWriter(&out)
	first := true
	keepAll := func(uint32) bool { return true }
	err := readBatches(context0, &sliceReader{wal}, keepAll, func(b *rocksdb.Batch) error {
		for i := range b.Ops {
			if op := &b.Ops[i]; first && op.Family > 3 && op.Kind == rocksdb.Put && len(op.Value) > 0 {
				op.Value[0] ^= 1 // a message, which is not kept
				first = false
			}
		}
		return w.Append(b.Append(nil))
	})
	if err != nil || first || len(out) != len(wal) {
		t.Fatal("no other WAL made: ", err)
	}
	return out
}

type sliceReader struct{ b []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}
