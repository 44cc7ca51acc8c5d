package store

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/image/imagetest"
)

// model is what a database must hold: family/key to value.
type model map[string]string

func (m model) apply(batch []Record) {
	for _, r := range batch {
		switch {
		case r.Until != nil:
			for key := range m {
				if key >= r.Family+"/"+string(r.Key) && key < r.Family+"/"+string(r.Until) {
					delete(m, key)
				}
			}
		case r.Delete:
			delete(m, r.Family+"/"+string(r.Key))
		default:
			m[r.Family+"/"+string(r.Key)] = string(r.Value)
		}
	}
}

func contents(t testing.TB, s Storage) model {
	t.Helper()
	m := model{}
	for _, family := range familyNames {
		last := ""
		err := s.Each(family, func(key, value []byte) error {
			if string(key) <= last && last != "" {
				t.Fatalf("%s: %q after %q", family, key, last)
			}
			last = string(key)
			m[family+"/"+last] = string(value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func sameModel(t testing.TB, what string, got, want model) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[key]; !ok || v != want[key] {
			t.Fatalf("%s: %q is %.40q (there: %v), want %.40q; %d keys of %d", what, key, v, ok, want[key], len(got), len(want))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			t.Fatalf("%s: %q should not be there; %d keys of %d", what, key, len(got), len(want))
		}
	}
}

func mustOpen(t testing.TB, dir string, o Options) Storage {
	t.Helper()
	s, err := OpenWith(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// batches makes random batches: puts, deletions and deleted ranges in all families, small values and some over a block of the WAL.
type batches struct{ *rand.Rand }

func (r batches) next() []Record {
	batch := make([]Record, 0, 4)
	for range 1 + r.IntN(3) {
		rec := Record{Family: familyNames[r.IntN(len(familyNames))], Key: fmt.Appendf(nil, "k%03d", r.IntN(300))}
		switch n := r.IntN(100); {
		case n < 12:
			rec.Delete = true
		case n < 16:
			from := r.IntN(300)
			rec.Key, rec.Until = fmt.Appendf(nil, "k%03d", from), fmt.Appendf(nil, "k%03d", from+1+r.IntN(40))
		case n < 18:
			rec.Value = bytes.Repeat([]byte{byte(n)}, 20000+r.IntN(30000))
		default:
			rec.Value = fmt.Appendf(nil, "v%d", r.Uint64())
		}
		batch = append(batch, rec)
	}
	return batch
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "_rocksdb")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

const imageData = "../../../backup/image/testdata"

// recorded unpacks a directory that was recorded from a real RobustMQ 0.4.11.
func recorded(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := imagetest.Unpack(name, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func unpacked(t testing.TB, name string) io.Reader {
	t.Helper()
	f, err := os.Open(filepath.Join(imageData, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

// oracle is what RocksDB itself read in a recorded directory.
func oracle(t testing.TB, name string) model {
	t.Helper()
	m := model{}
	lines := bufio.NewScanner(unpacked(t, name+".dump.zst"))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), " ")
		key, err1 := hex.DecodeString(fields[1])
		value, err2 := hex.DecodeString(fields[2])
		if err := errors.Join(lines.Err(), err1, err2); err != nil {
			t.Fatal(err)
		}
		m[fields[0]+"/"+string(key)] = string(value)
	}
	if len(m) == 0 {
		t.Fatal("no oracle")
	}
	return m
}
