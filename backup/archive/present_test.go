package archive_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

func TestEveryObjectIsLookedForAndNoneIsRead(t *testing.T) {
	a, server, faults := bucket(t, nil)
	m := write(t, a, request("one", noon, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)).Manifest
	seen := len(server.Requests())
	if err := a.Present(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, r := range server.Requests()[seen:] {
		if !strings.HasPrefix(r, "HEAD ") {
			t.Error(r)
		}
	}
	if n := len(server.Requests()) - seen; n != len(m.Objects()) {
		t.Errorf("%d questions for %d objects", n, len(m.Objects()))
	}
	key := func(i int) string { return a.Key(m.Tables[i].Object.Key) }
	server.Remove(key(2))
	server.Corrupt(key(5), func(b []byte) []byte { return b[1:] })
	server.Put(key(7), random(99, int(m.Tables[7].Size)))
	err := a.Present(t.Context(), m)
	var broken *archive.BrokenError
	if !errors.As(err, &broken) {
		t.Fatal(err)
	}
	for _, word := range []string{key(2) + ": it is missing", key(5) + ": it has", key(7) + ": the store has the checksum"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("nothing of %q in %v", word, err)
		}
	}
	if n := strings.Count(err.Error(), "\n"); n != 2 {
		t.Errorf("%d problems: %v", n+1, err)
	}
	// A checksum of parts, as a copy may have another, proves nothing.
	composite := m
	composite.Tables = append([]archive.Table(nil), m.Tables[:1]...)
	composite.Tables[0].Object.Checksum = strings.Repeat("A", 43) + "=-2"
	if err := a.Present(t.Context(), composite); err != nil {
		t.Error(err)
	}
	// What is on the way to the store says nothing of the backup.
	faults.Choose(func(r *http.Request) s3test.Fault { return s3test.Denied })
	if err := a.Present(t.Context(), m); !store.Is(err, store.KindDenied) || errors.As(err, &broken) {
		t.Error(err)
	}
}

func TestABackupThatIsGoneHasALimitedListOfProblems(t *testing.T) {
	a, server, _ := bucket(t, nil)
	var seeds []uint64
	for i := range uint64(60) {
		seeds = append(seeds, i+1)
	}
	m := write(t, a, request("one", noon, seeds...)).Manifest
	for _, table := range m.Tables {
		server.Remove(a.Key(table.Object.Key))
	}
	err := a.Present(t.Context(), m)
	if n := strings.Count(fmt.Sprint(err), "\n"); n < 20 || n > 40 || !strings.Contains(err.Error(), "there may be more") {
		t.Errorf("%d problems: %v", n, err)
	}
}

func TestATableIsReadFromAnyByteOn(t *testing.T) {
	for name, recipients := range map[string]bool{"plain": false, "encrypted": true} {
		t.Run(name, func(t *testing.T) {
			a, server, faults := bucket(t, nil)
			r := request("one", noon, 1)
			identities := ""
			if recipients {
				var recipient string
				recipient, identities = identity(t)
				r.Recipients = []string{recipient}
			}
			m := write(t, a, r).Manifest
			table := m.Tables[0]
			source, err := a.Open(m, identities)
			if err != nil {
				t.Fatal(err)
			}
			want := random(1, int(table.Size))
			read := func(offset int64) ([]byte, error) {
				body, err := source.TableFrom(t.Context(), table, offset)
				if err != nil {
					return nil, err
				}
				defer body.Close()
				return io.ReadAll(body)
			}
			for _, offset := range []int64{0, 1, 1000, table.Size - 1} {
				if got, err := read(offset); err != nil || string(got) != string(want[offset:]) {
					t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
				}
			}
			key := a.Key(table.Object.Key)
			for problem, change := range map[string]func([]byte) []byte{
				"cut": func(b []byte) []byte { return b[:len(b)-1] }, "cut before the offset": func(b []byte) []byte { return b[:500] }, "longer": func(b []byte) []byte { return append(b, 0) },
			} {
				whole, _ := server.Object(key)
				server.Corrupt(key, change)
				var broken *archive.BrokenError
				if _, err := read(1000); !errors.As(err, &broken) || broken.Key != key {
					t.Errorf("%s: %v", problem, err)
				}
				// Between the question and the reading.
				server.Corrupt(key, func([]byte) []byte { return whole })
				faults.Choose(func(r *http.Request) s3test.Fault {
					if r.Method == http.MethodGet {
						server.Corrupt(key, change)
					}
					return s3test.None
				})
				if _, err := read(1000); err == nil {
					t.Errorf("%s while it was read: taken for whole", problem)
				}
				faults.Choose(nil)
				server.Corrupt(key, func([]byte) []byte { return whole })
			}
		})
	}
}

func TestAManifestOfAnUnknownFormatIsToldFromADamagedOne(t *testing.T) {
	a, server, _ := bucket(t, nil)
	one := write(t, a, request("one", noon, 1))
	whole, _ := server.Object(one.Key)
	for text, unknown := range map[string]bool{strings.Replace(string(whole), "backup/1.0", "backup/2.0", 1): true, string(whole[:len(whole)/2]): false, string(whole): false} {
		server.Put(one.Key, []byte(text))
		b, err := a.Read(t.Context(), one.ID)
		if b.Unknown != unknown || (err == nil) != (text == string(whole)) {
			t.Errorf("%+v %v", b, err)
		}
		if text == string(whole) && b.SHA256 != one.SHA256 {
			t.Errorf("SHA-256 %s, it was written with %s", b.SHA256, one.SHA256)
		}
	}
}
