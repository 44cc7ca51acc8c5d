package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
)

func FuzzEveryManifestIsRefusedOrReadTheSameTwice(f *testing.F) {
	good := marshal(f, sample())
	f.Add(good)
	for _, e := range edits {
		f.Add(bytes.Replace(good, []byte(e.from), []byte(e.to), 1))
	}
	f.Add([]byte(`{"format":"robustmq.io/backup/9.9"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := archive.Parse(b)
		if err != nil {
			return
		}
		again, err := m.Marshal()
		if err != nil {
			t.Fatalf("it was read and cannot be written: %v", err)
		}
		second, err := archive.Parse(again)
		if err != nil || second.Size() != m.Size() || len(second.Objects()) != len(m.Objects()) || !reflect.DeepEqual(second.Files, m.Files) {
			t.Fatalf("%v: read again it is another one", err)
		}
	})
}

// Whatever lies there instead of an owner's record, it is read as it was written, to the byte, or refused as damaged.
func FuzzEveryOwnersRecordIsWhatWasWrittenOrRefused(f *testing.F) {
	a, d, _ := dir(f)
	if err := a.Claim(f.Context(), owner); err != nil {
		f.Fatal(err)
	}
	good, err := store.ReadAll(f.Context(), d, a.Key("owner.json"), 1<<16)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(bytes.Replace(good, []byte("prod"), []byte("test"), 1))
	f.Add([]byte(`{"clusterUID":"` + uid + `"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := open(t, one{Store: d, body: b}).Owner(t.Context())
		var broken *archive.BrokenError
		switch {
		case err != nil && !errors.As(err, &broken):
			t.Fatalf("%v says nothing of the object", err)
		case err == nil && o == owner && !bytes.Equal(b, good):
			t.Fatalf("%s was read as %s", b, good)
		case bytes.Equal(b, good) && (err != nil || o != owner):
			t.Fatalf("%v: what was written is not read", err)
		}
	})
}

// Whatever lies in the bucket, hashed rightly by whoever put it there: it is read as the manifest says or refused, and never more of it than that.
func FuzzEveryFilesArchiveIsRefusedOrWhatTheManifestSays(f *testing.F) {
	a, d, _ := dir(f)
	r := request("one", noon, 1)
	w := write(f, a, r)
	good, err := store.ReadAll(f.Context(), d, a.Key(w.Manifest.Files.Object.Key), 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(append(bytes.Clone(good), good...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := w.Manifest
		sum := sha256.Sum256(b)
		m.Files.Object.Size, m.Files.Object.SHA256 = int64(len(b)), hex.EncodeToString(sum[:])
		s, err := open(t, one{Store: d, body: b}).Open(m, "")
		if err != nil {
			t.Fatal(err)
		}
		read := int64(0)
		err = s.Files(t.Context(), func(e archive.Entry, content io.Reader) error {
			n, err := io.Copy(io.Discard, content)
			if n > e.Size {
				t.Fatalf("%s gave %d bytes", e.Name, n)
			}
			read += n
			return err
		})
		var broken *archive.BrokenError
		if err != nil && !errors.As(err, &broken) {
			t.Fatalf("%v says nothing of the object", err)
		}
		want := int64(0)
		for _, e := range m.Files.Entries {
			want += e.Size
		}
		if err == nil && read != want {
			t.Fatalf("%d bytes of %d were read, and nothing is wrong", read, want)
		}
	})
}

// one is a store whose every object is the same.
type one struct {
	store.Store
	body []byte
}

// Get implements store.Store.
func (o one) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(o.body)), nil
}
