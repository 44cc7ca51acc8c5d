package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/fnv"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// Count is what a census says of one column family. Sums are modulo 2^256, of the SHA-256 of each entry: they do not depend on the order, and two of parts can be added.
type Count struct {
	Keys uint64
	// KeySum is of the keys. Healthy members at one position have the same keys (S: seeded, joined and replayed members were compared key by key).
	KeySum Sum
	// Sum is of keys and values. Members differ in it: most values end with the time at which the member applied them (M, S).
	Sum Sum
}

// DefaultCensusMemory is how many bytes of the WAL a census holds at most, if Census is not told otherwise.
const DefaultCensusMemory = 32 << 20

// Census counts what is in the families of a database that is not in use, or that Extract made: the keys that RocksDB would show, with a digest that does not depend on their order.
//
// Tables are read as streams, one block of each at a time. Of the WALs the last word about every key is held; where that would take more than memory bytes (0: DefaultCensusMemory)
// the keys are divided by hash and the files are read once for each part. Whatever is not known of the files is an error: then nothing is said about the member.
func Census(ctx context.Context, fsys FS, dir string, families []string, memory int64) (map[string]Count, error) {
	counts, err := func() (map[string]Count, error) {
		db, err := Open(fsys, dir)
		if err != nil {
			return nil, err
		}
		if err := checkFamilies(db.State, families); err != nil {
			return nil, err
		}
		if memory <= 0 {
			memory = DefaultCensusMemory
		}
		wals := int64(0)
		for _, wal := range db.WALs {
			wals += wal.Size
		}
		parts := uint32(min(wals/memory, 1<<16)) + 1
		counts := map[string]Count{}
		for part := range parts {
			if err := censusPart(ctx, db, families, share{part, parts}, counts); err != nil {
				return nil, err
			}
		}
		return counts, nil
	}()
	if err != nil {
		return nil, fmt.Errorf("census of %s: %w", dir, err)
	}
	return counts, nil
}

// share is one part of the keys.
type share struct{ part, parts uint32 }

func (s share) has(key []byte) bool {
	if s.parts == 1 {
		return true
	}
	h := fnv.New32a()
	_, _ = h.Write(key) // never fails
	return h.Sum32()%s.parts == s.part
}

// overlay is what the WALs say of a family: newer than every table.
type overlay struct {
	words map[string]word
	cuts  []erasure // sequences count the operations of this census, not RocksDB's
}

// word is the last operation on a key.
type word struct {
	sequence uint64
	deleted  bool
	sum      [sha256.Size]byte
}

func censusPart(ctx context.Context, db *Database, families []string, mine share, counts map[string]Count) error {
	overlays := map[string]*overlay{}
	for _, name := range families {
		overlays[name] = &overlay{words: map[string]word{}}
	}
	sequence := uint64(0)
	_, _, err := replay(ctx, db, func(op rocksdb.Op) error {
		sequence++
		o := overlays[db.State.Families[op.Family].Name]
		if o == nil {
			return nil
		}
		return o.apply(op, sequence, mine)
	})
	if err != nil {
		return err
	}
	for _, name := range families {
		count := counts[name]
		if err := overlays[name].count(ctx, db, db.State.Family(name), mine, &count); err != nil {
			return fmt.Errorf("column family %s: %w", name, err)
		}
		counts[name] = count
	}
	return nil
}

func (o *overlay) apply(op rocksdb.Op, sequence uint64, mine share) error {
	switch op.Kind {
	case rocksdb.RangeDelete:
		o.cuts = append(o.cuts, erasure{string(op.Key), string(op.Value), sequence})
		return nil
	case rocksdb.Put, rocksdb.Delete, rocksdb.SingleDelete:
	default:
		return &rocksdb.UnsupportedError{Features: []string{fmt.Sprintf("operation 0x%02x in a census", byte(op.Kind))}}
	}
	if !mine.has(op.Key) {
		return nil
	}
	w := word{sequence: sequence, deleted: op.Kind != rocksdb.Put}
	if !w.deleted {
		w.sum = hashEntry(op.Key, op.Value)
	}
	o.words[string(op.Key)] = w
	return nil
}

// count adds what the family shows: what the WALs put and did not delete, and of the tables what the WALs do not speak of.
func (o *overlay) count(ctx context.Context, db *Database, family *rocksdb.Family, mine share, count *Count) error {
	cuts := pieces(o.cuts)
	for key, w := range o.words {
		if cut, ok := cuts.cover(key); !w.deleted && (!ok || cut < w.sequence) {
			count.add([]byte(key), w.sum)
		}
	}
	return eachLive(ctx, db, family, func(key, value []byte) {
		if !mine.has(key) {
			return
		}
		if _, spoken := o.words[string(key)]; spoken {
			return
		}
		if _, deleted := cuts.cover(string(key)); deleted {
			return
		}
		count.add(key, hashEntry(key, value))
	})
}

func (c *Count) add(key []byte, entry [sha256.Size]byte) {
	c.Keys++
	c.KeySum.Add(sha256.Sum256(key))
	c.Sum.Add(entry)
}

// CensusFamilies are those that the raft groups' state machines write: every member has the same keys in them at the same positions. meta_raft is each member's own (its log is cut at other
// places), broker and storage are of the node alone.
var CensusFamilies = []string{FamilyData, FamilyMetadata}
