package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func records(t *testing.T, s Storage) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := s.Each(func(r Record) error { all[r.Family+"/"+string(r.Key)] = string(r.Value); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatWasWrittenIsFoundAgainAfterAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := s.Write(Record{Family: FamilyRaft, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(Record{Family: FamilyRaft, Key: []byte("k3"), Delete: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second server opened the directory: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, journalFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := append(whole, encode([]Record{{Family: FamilyRaft, Key: []byte("torn"), Value: []byte("half")}})[:11]...)
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	all := records(t, again)
	if len(all) != 9 || all["meta_raft/k4"] != "v" || all["meta_raft/k3"] != "" {
		t.Fatalf("found %v", all)
	}
}

func TestTheDirectoryLooksInitialised(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, name := range []string{"CURRENT", "MANIFEST-000005", "IDENTITY", "LOCK", "OPTIONS-000007", "000004.log"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func FuzzAJournalOfAnyBytesNeverPanics(f *testing.F) {
	f.Add(encode([]Record{{Family: "f", Key: []byte("k"), Value: []byte("v")}}))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalFile), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(dir); err == nil {
			_ = s.Close()
		}
	})
}
