package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// wrongObjects are the objects that a report finds wrong.
func wrongObjects(v Verified) []string {
	var keys []string
	for _, p := range v.Problems {
		keys = append(keys, p.Object)
	}
	for _, b := range v.Backups {
		for _, p := range b.Problems {
			keys = append(keys, p.Object)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// some bytes of an object: at its beginning, its end and between, or only there.
func some(n int, many bool) []int {
	if many {
		return slices.Compact([]int{0, n / 2, n - 1})
	}
	return []int{n / 2}
}

func TestAByteThatFlipsAnywhereInADirectoryIsNamed(t *testing.T) {
	recipient, key := identity(t)
	for what, c := range map[string]struct{ recipients, args []string }{
		"in clear": {}, "encrypted, with its identity": {[]string{recipient}, []string{"--identity-file", key}}, "encrypted, without": {[]string{recipient}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			path := t.TempDir()
			d := openDir(t, path)
			save(t, d, request(t, "one", "follower-300users", noon, c.recipients...))
			save(t, d, request(t, "two", "follower-300users", noon.Add(time.Hour), c.recipients...))
			args := append([]string{"verify", "--all", "--dir", path, "--prefix", prefix, "--cluster", uid, "-o", "json"}, c.args...)
			objects := 0
			for key := range sums(t, path) {
				objects++
				name := filepath.Join(path, key)
				good, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range some(len(good), what == "in clear") {
					bad := bytes.Clone(good)
					bad[at] ^= 0x20
					if err := os.WriteFile(name, bad, 0o600); err != nil {
						t.Fatal(err)
					}
					r := call(t, args...)
					// A manifest of which a byte flipped is one of the two that no longer fit, and is named by its own key.
					want := []string{strings.Replace(key, "manifest.sha256", "manifest.json", 1)}
					if got := wrongObjects(decode[Verified](t, r)); r.code != codeWrong || !slices.Equal(got, want) && !slices.Equal(got, []string{key}) {
						t.Errorf("%s at %d: exit code %d, named %v: %s", key, at, r.code, got, r.err)
					}
				}
				if err := os.WriteFile(name, good, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if objects < 12+1+2*3 {
				t.Errorf("only %d objects: the test does not test", objects)
			}
			v := decode[Verified](t, call(t, args...))
			if opened := what != "encrypted, without"; !v.Good || v.Backups[0].Opened != opened || v.Backups[1].Opened != opened {
				t.Errorf("%+v", v)
			}
		})
	}
}

// What a bad disk does behind a store that does not look is found by reading.
func TestAByteThatFlipsBehindABucketIsNamed(t *testing.T) {
	server, _, flags := bucket(t)
	for _, key := range server.Objects() {
		good, _ := server.Object(key)
		server.Corrupt(key, func(b []byte) []byte { b[len(b)/2] ^= 0x20; return b })
		r := call(t, append([]string{"verify", "--all", "--cluster", uid, "-o", "json"}, flags...)...)
		if got := wrongObjects(decode[Verified](t, r)); r.code != codeWrong || !slices.Equal(got, []string{strings.Replace(key, "manifest.sha256", "manifest.json", 1)}) {
			t.Errorf("%s: exit code %d, named %v: %s", key, r.code, got, r.err)
		}
		server.Corrupt(key, func([]byte) []byte { return good })
	}
	wantCode(t, call(t, append([]string{"verify", "--all"}, flags...)...), 0, "1 backup verified, 1 good, 0 wrong")
	for _, key := range server.Objects() {
		if strings.Contains(key, "/locks/") {
			t.Errorf("%s is left", key)
		}
	}
}

func TestEveryObjectThatIsMissingOrCutIsNamedInEveryBackupThatNeedsIt(t *testing.T) {
	path, _ := dir(t)
	tables, err := filepath.Glob(filepath.Join(path, prefix, uid, "tables", "*"))
	if err != nil || len(tables) != 12 {
		t.Fatal(len(tables), err)
	}
	for i, name := range tables {
		if i%2 == 0 {
			truncate(t, name, 10)
		} else if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []string{"Full", "Checksum"} {
		r := call(t, "verify", "--all", "--mode", mode, "--dir", path, "--prefix", prefix, "-o", "json")
		v := decode[Verified](t, r)
		if r.code != codeWrong || len(v.Backups) != 2 || len(v.Backups[0].Problems) != 12 || len(v.Backups[1].Problems) != 12 {
			t.Errorf("%s: %s", mode, r.out)
		}
	}
}

func TestIdentitiesThatDoNotFitAreAMistakeOfTheCaller(t *testing.T) {
	recipient, right := identity(t)
	_, wrong := identity(t)
	server, _, flags := bucket(t, recipient)
	if n := len(server.Objects()); n == 0 {
		t.Fatal("nothing is there")
	}
	for _, command := range [][]string{{"verify", "latest"}, {"download", "latest", "--into", filepath.Join(t.TempDir(), "x")}} {
		wantCode(t, call(t, slices.Concat(command, flags, []string{"--identity-file", wrong})...), codeUsage, "none of the identities")
		wantCode(t, call(t, slices.Concat(command, flags, []string{"--identity-file", file(t, "k", planted)})...), codeUsage, "AGE-SECRET-KEY-")
		wantCode(t, call(t, slices.Concat(command, flags, []string{"--identity-file", right})...), 0)
	}
	wantCode(t, call(t, append([]string{"verify", "latest"}, flags...)...), 0, "--identity-file opens it")
	wantCode(t, call(t, append([]string{"download", "latest", "--into", filepath.Join(t.TempDir(), "y")}, flags...)...), codeUsage, "an identity of one of its recipients is needed")
}

func TestABrokenManifestIsShownWithItsReasonAndHidesNoOther(t *testing.T) {
	path, _ := dir(t)
	manifest := filepath.Join(path, prefix, uid, "backups", "20261125T130000Z-my-cluster-hourly-2", "manifest.json")
	content, err := os.ReadFile(manifest)
	if err == nil {
		err = os.WriteFile(manifest, bytes.Replace(content, []byte("backup/1.0"), []byte("backup/7.0"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	place := []string{"--dir", path, "--prefix", prefix}
	wantCode(t, call(t, append([]string{"list"}, place...)...), 0, "good\n", "broken: reading the manifest: the manifest has format \"robustmq.io/backup/7.0\"")
	for _, command := range [][]string{{"show"}, {"verify"}, {"download", "--into", filepath.Join(t.TempDir(), "x")}} {
		wantCode(t, call(t, slices.Concat(command, []string{"20261125T130000Z-my-cluster-hourly-2"}, place)...), codeWrong, "robustmq.io/backup/7.0", "manifest.json")
	}
	if s := decode[Shown](t, call(t, append([]string{"show", "latest", "-o", "json"}, place...)...)); s.ID != "20261125T120000Z-my-cluster-hourly-1" {
		t.Errorf("the latest good one is %s", s.ID)
	}
}

func TestNothingIsNotVerified(t *testing.T) {
	path := t.TempDir()
	a, err := archive.New(openDir(t, path), prefix, uid)
	if err == nil {
		err = a.Claim(t.Context(), owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, which := range []string{"--all", "latest"} {
		wantCode(t, call(t, "verify", which, "--dir", path, "--prefix", prefix), codeUsage, "has no backups")
	}
	wantCode(t, call(t, "list", "--dir", path, "--prefix", prefix), 0, "0 backups of the cluster")
}

// Hashes that fit say that what was saved is there, not that it is a database: one whose maker was wrong is found by opening it.
func TestWhatIsNoDatabaseIsFoundByOpeningIt(t *testing.T) {
	for what, change := range map[string]func(*archive.Request){
		"a table is missing":  func(r *archive.Request) { r.Tables = r.Tables[1:] },
		"CURRENT is missing":  func(r *archive.Request) { r.Files = r.Files[:len(r.Files)-1] },
		"the MANIFEST is cut": func(r *archive.Request) { cutFile(t, r, rocksdb.ManifestFile) },
		"the log is damaged":  func(r *archive.Request) { damageFile(t, r, rocksdb.WALFile) },
	} {
		t.Run(what, func(t *testing.T) {
			path := t.TempDir()
			r := request(t, "one", "follower-300users", noon)
			change(&r)
			save(t, openDir(t, path), r)
			place := []string{"--dir", path, "--prefix", prefix}
			wantCode(t, call(t, append([]string{"verify", "latest", "--mode", "Checksum"}, place...)...), 0)
			found := call(t, append([]string{"verify", "latest"}, place...)...)
			if strings.Contains(found.out, os.TempDir()+"/robustmq") {
				t.Errorf("it names a folder that nobody can look at any more: %s", found.out)
			}
			wantCode(t, found, codeWrong, "files.tar.zst: every object is what was saved, but that is no whole database")
			into := filepath.Join(t.TempDir(), "x")
			wantCode(t, call(t, append([]string{"download", "latest", "--into", into}, place...)...), codeWrong, "no whole database")
			if exists(into) {
				t.Error("it appeared")
			}
		})
	}
}

func changeFile(t *testing.T, r *archive.Request, kind rocksdb.FileKind, change func([]byte) []byte) {
	t.Helper()
	for i, f := range r.Files {
		if k, _ := rocksdb.ParseFileName(f.Name); k != kind {
			continue
		}
		body, err := f.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		r.Files[i] = archive.FileOf(f.Name, change(b.Bytes()))
		return
	}
	t.Fatal("no such file")
}

func cutFile(t *testing.T, r *archive.Request, kind rocksdb.FileKind) {
	t.Helper()
	changeFile(t, r, kind, func(b []byte) []byte { return b[:len(b)-3] })
}

func damageFile(t *testing.T, r *archive.Request, kind rocksdb.FileKind) {
	t.Helper()
	changeFile(t, r, kind, func(b []byte) []byte { b[100] ^= 1; return b })
}
