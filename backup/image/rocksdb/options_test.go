package rocksdb

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestTheOptionsOfTheRealServerAreAccepted(t *testing.T) {
	o, err := ParseOptions(bytes.NewReader(recorded(t, "options-0.4.11")))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range o.Families {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "default meta_raft meta_data meta_metadata broker storage" {
		t.Error(got)
	}
	if o.DB["wal_compression"] != "kNoCompression" || o.DB["recycle_log_file_num"] != "0" || o.Families[1].Options["comparator"] != BytewiseComparator {
		t.Errorf("%v", o.DB)
	}
	if err := o.Check(o.DB["wal_dir"]); err != nil {
		t.Error(err)
	}
}

func TestEveryOptionThatChangesTheMeaningOfFilesIsRefusedByName(t *testing.T) {
	file := string(recorded(t, "options-0.4.11"))
	for change, want := range map[[2]string]string{
		{"recycle_log_file_num=0", "recycle_log_file_num=4"}:                                 "recycle_log_file_num=4",
		{"wal_compression=kNoCompression", "wal_compression=kZSTD"}:                          "wal_compression=kZSTD",
		{"manual_wal_flush=false", "manual_wal_flush=true"}:                                  "manual_wal_flush=true",
		{"two_write_queues=false", "two_write_queues=true"}:                                  "two_write_queues=true",
		{"allow_2pc=false", "allow_2pc=true"}:                                                "allow_2pc=true",
		{"atomic_flush=false", "atomic_flush=true"}:                                          "atomic_flush=true",
		{"allow_mmap_writes=false", "allow_mmap_writes=true"}:                                "allow_mmap_writes=true",
		{"wal_recovery_mode=kPointInTimeRecovery", "wal_recovery_mode=kAbsoluteConsistency"}: "wal_recovery_mode=kAbsoluteConsistency",
		{"enable_blob_files=false", "enable_blob_files=true"}:                                `enable_blob_files=true of column family "default"`,
		{"comparator=leveldb.BytewiseComparator", "comparator=rocksdb.ReverseBytewise"}:      `comparator=rocksdb.ReverseBytewise of column family "default"`,
		{"persist_user_defined_timestamps=true", "persist_user_defined_timestamps=false"}:    `persist_user_defined_timestamps=false of column family "default"`,
		{"[DBOptions]", "[DBOptions]\n  track_and_verify_wals=true"}:                         "track_and_verify_wals=true",
		{"[DBOptions]", "[DBOptions]\n  wal_dir=/elsewhere"}:                                 "wal_dir=/elsewhere",
	} {
		if !strings.Contains(file, change[0]) {
			t.Errorf("the recorded file has no %s", change[0])
			continue
		}
		o, err := ParseOptions(strings.NewReader(strings.Replace(file, change[0], change[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		err = o.Check("data/_rocksdb")
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

func TestAllRefusedOptionsAreNamedAtOnce(t *testing.T) {
	o, err := ParseOptions(strings.NewReader("[DBOptions]\nrecycle_log_file_num=1\nwal_compression=kZSTD # why not\n"))
	if err != nil {
		t.Fatal(err)
	}
	var unsupported *UnsupportedError
	if err := o.Check(""); !errors.As(err, &unsupported) || len(unsupported.Features) != 2 {
		t.Error(err)
	}
}

func TestBrokenOptionsAreAnErrorWithTheirLine(t *testing.T) {
	for file, want := range map[string]string{
		"":                             "corrupt: OPTIONS has no section DBOptions",
		"# written by somebody else\n": "corrupt: OPTIONS has no section DBOptions",
		"a=b\n":                        `OPTIONS line 1: corrupt: "a=b" is no option of a section`,
		"[DBOptions]\nnonsense\n":      `OPTIONS line 2: corrupt: "nonsense" is no option of a section`,
		"[DBOptions]\n=1\n":            `OPTIONS line 2: corrupt: "=1" is no option of a section`,
		"[DBOptions\n":                 `OPTIONS line 1: corrupt: section "[DBOptions" has no end`,
		"[DBOptions]\n[DBOptions]\n":   "OPTIONS line 2: corrupt: a second section DBOptions",
		"[Surprise]\n":                 `OPTIONS line 1: corrupt: unknown section "[Surprise]"`,
		"[DBOptions]\n[CFOptions \"a\"]\n[CFOptions \"a\"]\n":   `OPTIONS line 3: corrupt: a second section CFOptions "a"`,
		"[DBOptions]\na=" + strings.Repeat("x", maxOptionsLine): "a line of OPTIONS is larger than 1048576 bytes",
	} {
		if _, err := ParseOptions(strings.NewReader(file)); err == nil || err.Error() != want {
			t.Errorf("%.40q\n got %v\nwant %s", file, err, want)
		}
	}
}

func TestEscapesAndComments(t *testing.T) {
	o, err := ParseOptions(strings.NewReader("[DBOptions] # first\n wal_dir = /a\\#b # second\n[CFOptions \"x\\#y\"]\n"))
	if err != nil || o.DB["wal_dir"] != `/a\#b` || o.Families[0].Name != "x#y" || o.Check("/a#b/") != nil {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestFileNames(t *testing.T) {
	for name, want := range map[string]struct {
		kind   FileKind
		number uint64
	}{
		"000012.sst": {TableFile, 12}, "1234567.sst": {TableFile, 1234567}, "000004.log": {WALFile, 4}, "MANIFEST-000005": {ManifestFile, 5}, "OPTIONS-000007": {OptionsFile, 7},
		"CURRENT": {CurrentFile, 0}, "OPTIONS-000007.dbtmp": {Other, 0}, "000005.dbtmp": {Other, 0}, "LOCK": {Other, 0}, "LOG.old.17": {Other, 0}, "MANIFEST-": {Other, 0},
		"-1.log": {Other, 0}, "+1.log": {Other, 0}, "99999999999999999999.sst": {Other, 0}, "simulator.journal": {Other, 0},
	} {
		if kind, number := ParseFileName(name); kind != want.kind || number != want.number {
			t.Errorf("%s: %d %d", name, kind, number)
		}
	}
	if TableName(7) != "000007.sst" || WALName(12345678) != "12345678.log" || ManifestName(5) != "MANIFEST-000005" {
		t.Error("names")
	}
}

func TestCurrentNamesAManifestOrIsRefused(t *testing.T) {
	if name, err := ParseCurrent(Current(ManifestName(48))); err != nil || name != "MANIFEST-000048" {
		t.Error(name, err)
	}
	for _, content := range []string{"", "\n", "MANIFEST-000048", "MANIFEST-48\n", "MANIFEST-000048\n\n", "000048.sst\n", "../MANIFEST-000048\n", "MANIFEST-00004x\n", strings.Repeat("M", 100)} {
		if name, err := ParseCurrent([]byte(content)); err == nil {
			t.Errorf("%q is %s", content, name)
		}
	}
}

func FuzzParseOptions(f *testing.F) {
	f.Add(recorded(f, "options-0.4.11"))
	f.Add([]byte("[DBOptions] # first\n wal_dir = /a\\#b # second\n[CFOptions \"x\\#y\"]\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		o, err := ParseOptions(bytes.NewReader(file))
		if err != nil {
			return
		}
		if o.DB == nil {
			t.Fatal("no options and no error")
		}
		if err := o.Check("/data"); err != nil && err.Error() == "" {
			t.Fatal("refused without a word")
		}
	})
}

func FuzzParseCurrent(f *testing.F) {
	f.Add([]byte("MANIFEST-000005\n"))
	f.Add([]byte("MANIFEST-5\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if name, err := ParseCurrent(content); err == nil && !bytes.Equal(Current(name), content) {
			t.Fatalf("%q is %s", content, name)
		}
	})
}
