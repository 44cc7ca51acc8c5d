package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// Keys come out of manifests and lists, which anybody with access to the bucket can write.
func FuzzEveryKeyIsRefusedOrStaysInsideTheDirectory(f *testing.F) {
	for _, key := range []string{"a", "a/b/c", "../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", ".uploads/x", "a\x00b", "a\\..\\b", "ü/€", "\xff", "link/x"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		outside := t.TempDir()
		inside := filepath.Join(outside, "inside")
		if err := os.Mkdir(inside, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(inside, "link")); err != nil {
			t.Fatal(err)
		}
		d, err := store.OpenDir(inside)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		if _, err := d.Put(t.Context(), key, store.Content{Body: bytes.NewReader([]byte("x")), Size: 1}); err == nil {
			if got, err := store.ReadAll(t.Context(), d, key, 10); err != nil || string(got) != "x" {
				t.Errorf("%q was written and is %q, %v", key, got, err)
			}
			if err := d.Delete(t.Context(), key); err != nil {
				t.Errorf("%q was written and cannot be deleted: %v", key, err)
			}
		}
		entries, err := os.ReadDir(outside)
		if err != nil || len(entries) != 1 {
			t.Errorf("%q left the directory: %v, %v", key, entries, err)
		}
	})
}
