package image

import (
	"path/filepath"
	"testing"
)

// recorded are all directories in testdata, and whether they have messages.
var recorded = map[string]bool{"fresh-1node": true, "follower-300users": true, "torn-tail": true, "follower-300users-metaonly": false}

// Whatever is done with whichever directory, RocksDB reads what it read in the recorded ones, key by key.
func TestEveryRecordedDirectoryExtractedPlacedAndMergedIsItsOracle(t *testing.T) {
	files, err := filepath.Glob("testdata/*.tar.zst")
	if err != nil || len(files) != len(recorded) {
		t.Fatalf("%v, %v: say of each whether it has messages", files, err)
	}
	for name := range recorded {
		metadata := oracle(t, name, MetadataFamilies...)
		t.Run(name, func(t *testing.T) {
			out, _ := extract(t, unpack(t, name), MetadataFamilies)
			sameDump(t, ldbDump(t, out, Families...), metadata)

			empty := filepath.Join(t.TempDir(), "_rocksdb")
			place(t, Placement{Image: out, Target: empty, Keep: EngineFamilies})
			sameDump(t, ldbDump(t, empty, Families...), metadata)

			again, _ := extract(t, empty, MetadataFamilies)
			sameDump(t, ldbDump(t, again, Families...), metadata)

			for onto, messages := range recorded {
				target := unpack(t, onto)
				place(t, Placement{Image: out, Target: target, Keep: EngineFamilies})
				want := metadata
				if messages {
					want = append(want[:len(want):len(want)], oracle(t, onto, EngineFamilies...)...)
				}
				sameDump(t, ldbDump(t, target, Families...), want)

				placed, _ := extract(t, target, MetadataFamilies)
				sameDump(t, ldbDump(t, placed, Families...), metadata)

				if err := Revert(OS{}, target, nil); err != nil {
					t.Fatal(err)
				}
				sameDump(t, ldbDump(t, target, Families...), oracle(t, onto))
			}
		})
	}
}
