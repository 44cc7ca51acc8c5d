package image

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// Recorded directories of a real RobustMQ 0.4.11 (see README.md): fresh-1node, follower-300users, torn-tail, and what extracting the follower's metadata must give.
func unpack(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(decompressed(t, name+".tar.zst"))
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(archive)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), content, 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func decompressed(t testing.TB, name string) io.Reader {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// oracle is what RocksDB itself read in the recorded directory: one line a key, "family hexkey hexvalue".
func oracle(t testing.TB, name string, families ...string) []string {
	t.Helper()
	var lines []string
	scanner := bufio.NewScanner(decompressed(t, name+".dump.zst"))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		family, _, _ := strings.Cut(scanner.Text(), " ")
		if len(families) == 0 || contains(families, family) {
			lines = append(lines, scanner.Text())
		}
	}
	if scanner.Err() != nil || len(lines) == 0 {
		t.Fatal("no oracle: ", scanner.Err())
	}
	return lines
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// ldbDump reads a database with RocksDB's own tool, or skips the test. Nothing installs it: where it is (Debian: rocksdb-tools), it judges.
func ldbDump(t testing.TB, dir string, families ...string) []string {
	t.Helper()
	ldb, err := exec.LookPath("ldb")
	if err != nil {
		t.Skip("RocksDB's ldb is not installed (Debian: rocksdb-tools): the result is not opened by RocksDB here")
	}
	var lines []string
	for _, family := range families {
		cmd := exec.Command(ldb, "--db="+dir, "--ignore_unknown_options", "--column_family="+family, "--hex", "scan")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ldb of %s in %s: %v\n%s", family, dir, err, out)
		}
		for line := range strings.Lines(string(out)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), " : ")
			if !ok {
				t.Fatalf("ldb says %q", line)
			}
			lines = append(lines, strings.ToLower(fmt.Sprintf("%s %s %s", family, strings.TrimPrefix(key, "0x"), strings.TrimPrefix(value, "0x"))))
		}
	}
	return lines
}

// contents is a database without file numbers and sequences: per family the hashes of its tables in order, and the operations of the WALs that are not in them.
type contents map[string]familyContents

type familyContents struct {
	Tables     []string
	Operations []string
}

func contentsOf(fsys FS, dir string) (contents, error) {
	db, err := Open(fsys, dir)
	if err != nil {
		return nil, err
	}
	c := contents{}
	for _, f := range db.State.Sorted() {
		var fc familyContents
		for _, table := range f.SortedTables() {
			r, err := fsys.Open(join(dir, rocksdb.TableName(table.Number)))
			if err != nil {
				return nil, err
			}
			hash := sha256.New()
			_, err = io.Copy(hash, r)
			r.Close()
			if err != nil {
				return nil, err
			}
			fc.Tables = append(fc.Tables, fmt.Sprintf("L%d %s", table.Level, hex.EncodeToString(hash.Sum(nil)[:8])))
		}
		c[f.Name] = fc
	}
	err = Entries(context0, fsys, dir, func(family string, op rocksdb.Op) error {
		fc := c[family]
		fc.Operations = append(fc.Operations, fmt.Sprintf("%d %x %x", op.Kind, op.Key, op.Value))
		c[family] = fc
		return nil
	})
	return c, err
}

func mustContents(t testing.TB, fsys FS, dir string) contents {
	t.Helper()
	c, err := contentsOf(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// only returns the contents with all other families empty.
func (c contents) only(families ...string) contents {
	o := contents{}
	for name, fc := range c {
		if !contains(families, name) {
			fc = familyContents{}
		}
		o[name] = fc
	}
	return o
}

// with takes some families from other contents.
func (c contents) with(other contents, families ...string) contents {
	o := c.only(without(Families, families)...)
	for _, name := range families {
		o[name] = other[name]
	}
	return o
}

func sameContents(t testing.TB, got, want contents) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("families %v, want %v", reflect.ValueOf(got).MapKeys(), reflect.ValueOf(want).MapKeys())
	}
	for name, w := range want {
		g := got[name]
		if !reflect.DeepEqual(g.Tables, w.Tables) {
			t.Errorf("%s: tables %v\nwant %v", name, g.Tables, w.Tables)
		}
		if !reflect.DeepEqual(g.Operations, w.Operations) {
			t.Errorf("%s: %d operations, want %d", name, len(g.Operations), len(w.Operations))
		}
	}
}

func sameDump(t testing.TB, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("RocksDB reads %d keys, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("key %d\n got %.200s\nwant %.200s", i, got[i], want[i])
		}
	}
}
