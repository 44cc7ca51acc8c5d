package imagetest

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// Names of recorded databases of a RobustMQ 0.4.11.
const (
	// Fresh is of one node after its start.
	Fresh = "fresh-1node"
	// Follower is of a follower of three with 316 users: four tables a family and a write-ahead log. Its raft groups are at term 1, led by node 1.
	Follower = "follower-300users"
)

// Unpack writes a recorded database into the folder dir, which it makes.
func Unpack(name, dir string) error {
	if errRecorded != nil {
		return errRecorded
	}
	packed, err := os.Open(filepath.Join(recorded, name+".tar.zst"))
	if err != nil {
		return err
	}
	defer packed.Close()
	unpacked, err := zstd.NewReader(packed)
	if err != nil {
		return err
	}
	defer unpacked.Close()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(archive)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(header.Name)), content, 0o640)
		}
		if err != nil {
			return err
		}
	}
}

// recorded is looked for when the test's program begins: a test may change its directory.
var recorded, errRecorded = testdata()

// testdata is found from the folder of whatever package is being tested.
func testdata() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "backup", "image", "testdata"), nil
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("the module of %s: %w", dir, err)
		}
	}
}

// Contents are what is in a database whatever its files' numbers and sequences are: of each family the hashes of its tables, in order, and then the operations of its write-ahead logs.
// Two databases with the same contents are the same to RocksDB.
func Contents(ctx context.Context, dir string) (map[string][]string, error) {
	database, err := image.Open(image.OS{}, dir)
	if err != nil {
		return nil, err
	}
	contents := map[string][]string{}
	for _, family := range database.State.Sorted() {
		contents[family.Name] = nil
		for _, table := range family.SortedTables() {
			content, err := os.ReadFile(filepath.Join(dir, rocksdb.TableName(table.Number)))
			if err != nil {
				return nil, err
			}
			contents[family.Name] = append(contents[family.Name], fmt.Sprintf("level %d table %x", table.Level, sha256.Sum256(content)))
		}
	}
	err = image.Entries(ctx, image.OS{}, dir, func(family string, op rocksdb.Op) error {
		contents[family] = append(contents[family], fmt.Sprintf("operation %d %x %x", op.Kind, op.Key, op.Value))
		return nil
	})
	return contents, err
}

// Messages appends one more write-ahead log of about size bytes to a database that is not in use: messages of valueSize bytes each, and evenly among them about wanted bytes of metadata, at most
// 512 a message, as a server under load writes them. It returns how many bytes of metadata there are.
func Messages(ctx context.Context, dir string, size int64, valueSize int, wanted int64) (metadata int64, err error) {
	inspection, err := image.Inspect(ctx, image.OS{}, dir)
	if err != nil {
		return 0, err
	}
	ids, number := map[string]uint32{}, uint64(0)
	for _, family := range inspection.Families {
		ids[family.Name] = family.ID
		for _, table := range family.Tables {
			number = max(number, table.Number)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		_, n := rocksdb.ParseFileName(entry.Name())
		number = max(number, n)
	}
	f, err := os.Create(filepath.Join(dir, rocksdb.WALName(number+1)))
	if err != nil {
		return 0, err
	}
	log, sequence := rocksdb.NewLogWriter(f), inspection.MaxSequence+1
	value := make([]byte, valueSize)
	for i := range value {
		value[i] = byte(i * 31)
	}
	small := make([]byte, 512)
	var record []byte
	for i := uint64(0); log.Size() < size && err == nil; i++ {
		batch := rocksdb.Batch{Sequence: sequence, Ops: []rocksdb.Op{{Kind: rocksdb.Put, Family: ids[image.FamilyStorage], Key: fmt.Appendf(nil, "message-%d", i), Value: value}}}
		if float64(metadata) <= float64(log.Size())/float64(size)*float64(wanted) {
			batch.Ops = append(batch.Ops, rocksdb.Op{Kind: rocksdb.Put, Family: ids[image.FamilyMetadata], Key: fmt.Appendf(nil, "/test/metadata/%d", i), Value: small})
			metadata += int64(len(small))
		}
		sequence += uint64(len(batch.Ops))
		record = batch.Append(record[:0])
		err = log.Append(record)
	}
	return metadata, errors.Join(err, f.Close())
}
