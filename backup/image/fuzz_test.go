package image

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func FuzzDecodeFiltered(f *testing.F) {
	dir := f.TempDir()
	b := &rocksdb.Batch{Sequence: 7, Ops: []rocksdb.Op{{Kind: rocksdb.Put, Family: 3, Key: []byte("key"), Value: []byte("value")}}}
	_, err := writeLog(OS{}, dir, "one", 0, func(log *rocksdb.LogWriter) error {
		if err := log.Append(b.Append(nil)); err != nil {
			return err
		}
		return log.Append([]byte(trailerMagic + `{"key":"1/2","summary":{"Number":4,"First":7,"Next":8}}`))
	})
	if err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(dir, "one"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:30])
	f.Fuzz(func(t *testing.T, file []byte) {
		passed := 0
		end, err := decodeFiltered(context0, bytes.NewReader(file), func(*rocksdb.Batch) error { passed++; return nil })
		if (end == nil) == (err == nil) {
			t.Fatalf("%v, %v", end, err)
		}
		quick, quickErr := decodeFiltered(context0, bytes.NewReader(file), nil)
		if err == nil && (quickErr != nil || quick.Key != end.Key) {
			t.Fatalf("%v, %v and %v", err, quickErr, quick)
		}
	})
}

// A membership is understood and then written the same again, or not understood.
func FuzzDecodeMembership(f *testing.F) {
	for _, m := range []Membership{
		{LogID: &robustmq.LogID{Term: 1, NodeID: 1, Index: 15}, Addresses: map[uint64]string{1: "n1.lab:1228", 2: "n2.lab:1228", 3: "n3.lab:1228"}}, {Addresses: map[uint64]string{7: ""}}, {},
	} {
		value := SetMembership(robustmq.GroupData, m).Value
		f.Add(value)
		f.Add(append(value, 0))
		f.Add(value[:len(value)/2])
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		m := decodeMembership(value)
		if m == nil {
			return
		}
		again := SetMembership(robustmq.GroupData, *m).Value
		if len(again) != len(value) || !reflect.DeepEqual(decodeMembership(again), m) {
			t.Fatalf("%x is %+v, written again %x", value, m, again)
		}
	})
}

// A folder in which every file is somebody else's: whatever is in it, opening and replaying it ends with a result or an error.
func FuzzExtract(f *testing.F) {
	dir := unpack(f, "fresh-1node")
	manifest, err := os.ReadFile(filepath.Join(dir, "MANIFEST-000005"))
	if err != nil {
		f.Fatal(err)
	}
	wal, err := os.ReadFile(filepath.Join(dir, "000004.log"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(manifest, wal, wal[:5000])
	f.Add(manifest, wal[:5000], []byte{})
	f.Fuzz(func(t *testing.T, manifest, first, second []byte) {
		fsys := newCrashFS()
		root := &inode{dir: true}
		fsys.files["/db"] = root
		for name, data := range map[string][]byte{"CURRENT": rocksdb.Current("MANIFEST-000005"), "MANIFEST-000005": manifest, "000004.log": first, "000006.log": second} {
			fsys.files["/db/"+name] = &inode{data: data}
		}
		result, err := Extract(context0, fsys, "/db", "/out", MetadataFamilies)
		if err != nil {
			if fsys.files["/out"] != nil {
				t.Fatal("something is left")
			}
			return
		}
		// What was built is understood, and says the same.
		i, err := Inspect(context0, fsys, "/out")
		if err != nil {
			t.Fatal(err)
		}
		if i.MaxSequence != result.MaxSequence {
			t.Fatalf("sequence %d, built %d", i.MaxSequence, result.MaxSequence)
		}
		again, err := Extract(context0, fsys, "/out", "/again", MetadataFamilies)
		if err != nil || again.Operations != result.Operations {
			t.Fatalf("%+v and %+v, %v", again, result, err)
		}
	})
}
