package image

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func place(t testing.TB, p Placement) *Result {
	t.Helper()
	result, err := p.Place(context0)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestOnAnEmptyVolumeTheImageBecomesTheDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	place(t, Placement{Image: unpack(t, "follower-300users-metaonly"), Target: dir, Keep: EngineFamilies})
	sameContents(t, mustContents(t, OS{}, dir), mustContents(t, OS{}, unpack(t, "follower-300users-metaonly")))
	sameDump(t, ldbDump(t, dir, MetadataFamilies...), oracle(t, "follower-300users", MetadataFamilies...))
}

// The target's tables keep their numbers, the image's are counted on from there; both have tables and a WAL of every family.
func TestMergedTheMetadataIsTheImagesAndTheMessagesAreTheVolumes(t *testing.T) {
	dir, image := unpack(t, "follower-300users"), filepath.Join(t.TempDir(), "image")
	extracted, err := Extract(context0, OS{}, unpack(t, "torn-tail"), image, MetadataFamilies)
	if err != nil {
		t.Fatal(err)
	}
	before, from := mustContents(t, OS{}, dir), mustContents(t, OS{}, image)
	result := place(t, Placement{Image: image, Target: dir, Keep: EngineFamilies})
	sameContents(t, mustContents(t, OS{}, dir), from.with(before, EngineFamilies...))
	db, err := Open(OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range db.State.Sorted() {
		for number := range f.Tables {
			if own := number < 49; own != contains(EngineFamilies, f.Name) {
				t.Errorf("table %d of %s", number, f.Name)
			}
		}
	}
	// The greater of the two last sequences: 2457 of the target, or the image's.
	if want := max(2457, extracted.MaxSequence) + uint64(result.Operations); result.MaxSequence != want {
		t.Errorf("last sequence %d, want %d", result.MaxSequence, want)
	}
	want := append(oracle(t, "torn-tail", MetadataFamilies...), oracle(t, "follower-300users", EngineFamilies...)...)
	sameDump(t, ldbDump(t, dir, Families...), want)
	if err := Revert(OS{}, dir, nil); err != nil {
		t.Fatal(err)
	}
	sameDump(t, ldbDump(t, dir, Families...), oracle(t, "follower-300users"))
}

// Ids are not promised by anybody: families are found by their names.
func TestFamiliesAreMappedByName(t *testing.T) {
	image := unpack(t, "follower-300users-metaonly")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Mkdir(other, 0o750); err != nil {
		t.Fatal(err)
	}
	comparator := rocksdb.BytewiseComparator
	var edits []*rocksdb.VersionEdit
	for i, name := range []string{FamilyStorage, FamilyMetadata, FamilyBroker, FamilyRaft, FamilyData} {
		edits = append(edits, &rocksdb.VersionEdit{Comparator: &comparator, Family: uint32(i) + 3, AddFamily: &name})
	}
	_, err := writeLog(OS{}, other, "MANIFEST-000005", 0, func(log *rocksdb.LogWriter) error {
		for _, e := range edits {
			if err := log.Append(e.Append(nil)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(other, "CURRENT"), rocksdb.Current("MANIFEST-000005"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	gap(t, other, 6, 1) // one operation on family 3, which here is storage
	place(t, Placement{Image: image, Target: other, Keep: EngineFamilies})
	db, err := Open(OS{}, other)
	if err != nil || db.State.Family(FamilyStorage).ID != 3 || db.State.Family(FamilyRaft).ID != 6 {
		t.Fatalf("%+v, %v", db, err)
	}
	want := append(oracle(t, "follower-300users", MetadataFamilies...), "storage "+hexOf([]byte("key"))+" "+hexOf([]byte("value")))
	sameDump(t, ldbDump(t, other, append(slices.Clone(MetadataFamilies), FamilyStorage)...), want)
}

func TestADatabaseInUseIsNotTouched(t *testing.T) {
	dir := unpack(t, "fresh-1node")
	held, err := OS{}.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Placement{Image: unpack(t, "follower-300users-metaonly"), Target: dir}).Place(context0); !errors.Is(err, ErrInUse) {
		t.Errorf("place: %v", err)
	}
	if err := Append(context0, OS{}, dir, []Edit{SetVote("data_0", Vote{})}); !errors.Is(err, ErrInUse) {
		t.Errorf("append: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Append(context0, OS{}, dir, []Edit{SetVote("data_0", Vote{})}); err != nil {
		t.Error(err)
	}
}

func TestADamagedImageLeavesTheVolumeAsItIs(t *testing.T) {
	dir, image := unpack(t, "fresh-1node"), unpack(t, "follower-300users-metaonly")
	cut(t, image, "000010.sst", 7)
	before := mustContents(t, OS{}, dir)
	if _, err := (Placement{Image: image, Target: dir, Keep: EngineFamilies}).Place(context0); err == nil {
		t.Error("placed")
	}
	sameContents(t, mustContents(t, OS{}, dir), before)
	if names, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestADamagedVolumeCanBeReplacedAsAWhole(t *testing.T) {
	dir := unpack(t, "fresh-1node")
	damage(t, filepath.Join(dir, "MANIFEST-000005"), 20)
	image := unpack(t, "follower-300users-metaonly")
	if _, err := (Placement{Image: image, Target: dir, Keep: EngineFamilies}).Place(context0); err == nil {
		t.Error("messages were taken out of a damaged database")
	}
	place(t, Placement{Image: image, Target: dir})
	sameContents(t, mustContents(t, OS{}, dir), mustContents(t, OS{}, image))
}

// The records that the recorded server stored are the oracle for those that are made here.
func TestEditsAreTheRecordsOfTheRealServer(t *testing.T) {
	stored := map[string]string{}
	for _, line := range oracle(t, "follower-300users") {
		f := strings.Fields(line)
		stored[f[0]+" "+f[1]] = f[2]
	}
	addresses := map[uint64]string{1: "n1.lab:1228", 2: "n2.lab:1228", 3: "n3.lab:1228"}
	var edits []Edit
	for group, index := range map[string]uint64{robustmq.GroupMetadata: 30, robustmq.GroupOffset: 7, robustmq.GroupData: 15} {
		edits = append(edits, SetMembership(group, Membership{LogID: &robustmq.LogID{Term: 1, NodeID: 1, Index: index}, Addresses: addresses}), SetVote(group, Vote{Term: 1, Node: 1, Committed: true}))
	}
	for _, e := range edits {
		if got := stored[e.Family+" "+hexOf(e.Key)]; got == "" || got != hexOf(e.Value) {
			t.Errorf("%s %x\n got %x\nwant %s", e.Family, e.Key, e.Value, got)
		}
	}
	var nodes []RegisteredNode
	for id, times := range map[uint64][2]uint64{1: {}, 2: {}, 3: {}} {
		value, err := hex.DecodeString(stored["meta_metadata "+hexOf([]byte(registryPrefix))+hexOf([]byte{'0' + byte(id)})])
		if err != nil || len(value) != 390 {
			t.Fatal("no record of node ", id)
		}
		parsed, err := robustmq.ParseNodeRecord(value[:382])
		if err != nil {
			t.Fatal(err)
		}
		times[0] = le64(value[382-8*3-len("./data/engine")-8*1:])
		nodes = append(nodes, RegisteredNode{
			ID: id, Host: parsed.IP, Roles: parsed.Roles, Folders: parsed.Folders, Started: times[0], Registered: parsed.Registered, Created: le64(value[382:]),
			Ports: NodePorts{GRPC: 1228, HTTP: 58080, Engine: 1778, MQTT: 1883, MQTTS: 1885, WebSocket: 8083, WebSockets: 8085, QUIC: 9083, NATS: 4222, NATSTLS: 4223, NATSWS: 4080, NATSWSS: 4443, Kafka: 9092},
		})
	}
	rewrite, err := RewriteRegistry(nodes)
	if err != nil || len(rewrite) != 4 || rewrite[0].Kind != rocksdb.RangeDelete {
		t.Fatalf("%+v, %v", rewrite, err)
	}
	for _, e := range rewrite[1:] {
		want := stored[e.Family+" "+hexOf(e.Key)]
		// Start and registration times are read from the record itself; everything else is built.
		if got := hexOf(e.Value); got != want {
			t.Errorf("%s\n got %s\nwant %s", e.Key, got, want)
		}
	}
}

func le64(b []byte) uint64 {
	var v uint64
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

func TestARegistryIsNeverEmptiedAndHasNoNodeTwice(t *testing.T) {
	one := RegisteredNode{ID: 1, Host: "a"}
	for name, nodes := range map[string][]RegisteredNode{"empty": nil, "twice": {one, one}, "no id": {{Host: "a"}}, "no host": {{ID: 1}}} {
		if edits, err := RewriteRegistry(nodes); err == nil {
			t.Errorf("%s: %v", name, edits)
		}
	}
}

// What a restore writes, as RocksDB then reads it: the registry with only the new records, node_epoch untouched, the votes and memberships changed.
func TestRocksDBReadsTheEditsInPlaceOfWhatTheyReplace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "_rocksdb")
	registry, err := RewriteRegistry([]RegisteredNode{{ID: 1, Host: "new.svc", Roles: []string{"meta", "engine"}, Folders: []string{"./data/engine"}}})
	if err != nil {
		t.Fatal(err)
	}
	vote := SetVote(robustmq.GroupData, Vote{Term: 2, Node: 1, Committed: true})
	place(t, Placement{Image: unpack(t, "follower-300users-metaonly"), Target: dir, Edits: append(registry, vote)})
	var want []string
	for _, line := range oracle(t, "follower-300users", MetadataFamilies...) {
		f := strings.Fields(line)
		switch {
		case f[1] == hexOf([]byte(registryPrefix+"1")):
			line = strings.Join([]string{f[0], f[1], hexOf(registry[1].Value)}, " ")
		case strings.HasPrefix(f[1], hexOf([]byte(registryPrefix))):
			continue
		case f[1] == hexOf(vote.Key):
			line = strings.Join([]string{f[0], f[1], hexOf(vote.Value)}, " ")
		}
		want = append(want, line)
	}
	sameDump(t, ldbDump(t, dir, MetadataFamilies...), want)
}

func TestEditsAppendedBehindATornEndAreRead(t *testing.T) {
	for _, name := range []string{"torn-tail", "follower-300users"} {
		dir := unpack(t, name)
		vote := SetVote(robustmq.GroupData, Vote{Term: 7, Node: 2, Committed: true})
		if err := Append(context0, OS{}, dir, []Edit{vote}); err != nil {
			t.Fatal(err)
		}
		i, err := Inspect(context0, OS{}, dir)
		if err != nil || i.Groups[robustmq.GroupData].Vote == nil || *i.Groups[robustmq.GroupData].Vote != (Vote{7, 2, true}) {
			t.Fatalf("%+v, %v", i, err)
		}
		want := oracle(t, name)
		for n, line := range want {
			if f := strings.Fields(line); f[1] == hexOf(vote.Key) {
				want[n] = strings.Join([]string{f[0], f[1], hexOf(vote.Value)}, " ")
			}
		}
		sameDump(t, ldbDump(t, dir, Families...), want)
	}
}

// With no record before the tear RocksDB has no sequence to go on from: it would silently not read the edits (seen: see README.md).
func TestNothingIsAppendedBehindAWALThatIsTornBeforeItsFirstRecord(t *testing.T) {
	dir := unpack(t, "fresh-1node")
	cut(t, dir, "000004.log", 20)
	if err := Append(context0, OS{}, dir, []Edit{SetVote(robustmq.GroupData, Vote{Term: 7, Node: 2})}); !errors.Is(err, ErrTornStart) {
		t.Error(err)
	}
}

func TestAnEditOfAFamilyThatIsNotThereIsAnError(t *testing.T) {
	err := Append(context0, OS{}, unpack(t, "fresh-1node"), []Edit{{Kind: rocksdb.Put, Family: "nobody"}})
	if err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Error(err)
	}
}

func TestInspectionSaysWhatTheOracleSays(t *testing.T) {
	i, err := Inspect(context0, OS{}, unpack(t, "follower-300users"))
	if err != nil {
		t.Fatal(err)
	}
	if i.Manifest != "MANIFEST-000048" || i.Edits != 21 || i.MaxSequence != 2457 || len(i.Families) != 6 || len(i.WALs) != 1 || i.WALs[0].First != 2080 || i.WALs[0].Next != 2458 {
		t.Errorf("%+v", i)
	}
	operations := 0
	for _, f := range i.Families {
		operations += f.Puts + f.Deletes + f.RangeDeletes
		if f.ID > 0 && len(f.Tables) != 4 {
			t.Errorf("%s: %d tables", f.Name, len(f.Tables))
		}
	}
	if operations != 378 {
		t.Errorf("%d operations", operations)
	}
	fresh, err := Inspect(context0, OS{}, unpack(t, "fresh-1node"))
	if err != nil {
		t.Fatal(err)
	}
	for group, last := range map[string]uint64{robustmq.GroupMetadata: 21, robustmq.GroupOffset: 1, robustmq.GroupData: 9} {
		g := fresh.Groups[group]
		if g.LastLog == nil || *g.LastLog != last || g.Applied == nil || g.Applied.Index != last || g.Vote == nil || *g.Vote != (Vote{1, 7, true}) || g.Purged != nil ||
			g.Members == nil || len(g.Members.Addresses) != 1 || g.Members.Addresses[7] != "n7.lab:1228" || g.Members.LogID == nil || *g.Members.LogID != (robustmq.LogID{}) {
			content, err := json.Marshal(g)
			t.Errorf("%s: %s %v", group, content, err)
		}
	}
}
