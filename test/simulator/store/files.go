package store

import (
	"bytes"
	"crypto/rand"
	_ "embed" // OPTIONS
	"encoding/binary"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/test/simulator/store/table"
)

// options is the OPTIONS file of a RobustMQ 0.4.11, byte for byte: sections and values are those that the real server writes.
//
//go:embed options-0.4.11.ini
var options []byte

// newSession is an identifier of an opening as RocksDB makes them: 20 digits of base 36 in capitals (R db/db_impl/db_impl.cc, GenerateDbSessionId).
func newSession() string {
	n, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(36), big.NewInt(20), nil))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return fmt.Sprintf("%020s", strings.ToUpper(n.Text(36)))
}

// put writes a small file beside and renames it, as RocksDB does with CURRENT and OPTIONS.
func (d *database) put(name string, content []byte) error {
	temporary := d.path(fmt.Sprintf("%06d.dbtmp", d.newNumber()))
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	d.o.step("dbtmp of " + name)
	if err := os.Rename(temporary, d.path(name)); err != nil {
		return err
	}
	d.o.step(name)
	return nil
}

func (d *database) newNumber() uint64 {
	d.next++
	return d.next - 1
}

// identify reads IDENTITY, or makes it: a folder that was put in place by a restore has none.
func (d *database) identify() error {
	content, err := os.ReadFile(d.path("IDENTITY"))
	if err == nil && len(content) > 0 {
		d.identity = strings.TrimSpace(string(content))
		return nil
	}
	d.identity = uuid.NewString()
	return os.WriteFile(d.path("IDENTITY"), []byte(d.identity), 0o644)
}

// note writes a line into LOG, which in RocksDB tells what it does.
func (d *database) note(format string, args ...any) error {
	f, err := os.OpenFile(d.path("LOG"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s simulator: "+format+"\n", append([]any{d.o.Now().UTC().Format("2006/01/02-15:04:05.000000")}, args...)...)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

// newWAL begins a WAL. The one before is complete.
func (d *database) newWAL() error {
	number := d.newNumber()
	l, err := newLogFile(d.path(rocksdb.WALName(number)))
	if err != nil {
		return err
	}
	if err := d.wal.close(); err != nil {
		_ = l.close()
		return err
	}
	d.wal, d.wals = l, append(d.wals, number)
	d.o.step(rocksdb.WALName(number))
	return nil
}

// newTable writes a table of a family and returns what the MANIFEST says of it.
func (d *database) newTable(f *family, level uint32, c table.Contents) (rocksdb.NewFile, error) {
	number, now := d.newNumber(), d.o.Now().Unix()
	name := rocksdb.TableName(number)
	var content bytes.Buffer
	s, err := table.Write(&content, table.Origin{Family: f.name, FamilyID: f.id, Created: now, Database: d.identity, Session: d.session, Number: number}, c)
	if err != nil {
		return rocksdb.NewFile{}, err
	}
	if err := os.WriteFile(d.path(name), content.Bytes(), 0o644); err != nil {
		return rocksdb.NewFile{}, err
	}
	d.o.step(name)
	// The record is made as bytes: package rocksdb passes tables on and has no use for making one up.
	const newFile, ancestorTime, creationTime, end = 103, 5, 6, 1
	var b []byte
	for _, n := range []uint64{newFile, uint64(level), number, s.Size} {
		b = binary.AppendUvarint(b, n)
	}
	for _, key := range [][]byte{s.Smallest, s.Largest} {
		b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, s.SmallestSequence), s.LargestSequence)
	for _, field := range []byte{ancestorTime, creationTime} {
		at := binary.AppendUvarint(nil, uint64(now))
		b = append(append(b, field, byte(len(at))), at...)
	}
	e, err := rocksdb.DecodeVersionEdit(append(b, end))
	if err != nil {
		return rocksdb.NewFile{}, err
	}
	return e.New[0], nil
}

// removeObsolete removes what is no longer part of the database: WALs that no family needs, tables of no family, MANIFESTs but the newest, OPTIONS but the two newest, temporary files.
// Names that RocksDB does not give are left alone.
func (d *database) removeObsolete(manifest uint64) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	live := map[uint64]bool{}
	for _, f := range d.families {
		for _, t := range f.tables {
			live[t.Number] = true
		}
	}
	var settings []string
	for _, e := range entries {
		name := e.Name()
		kind, number := rocksdb.ParseFileName(name)
		gone := false
		switch kind {
		case rocksdb.WALFile:
			gone = number < d.oldest
		case rocksdb.TableFile:
			gone = !live[number]
		case rocksdb.ManifestFile:
			gone = number != manifest
		case rocksdb.OptionsFile:
			settings = append(settings, name)
		default:
			gone = strings.HasSuffix(name, ".dbtmp")
		}
		if gone {
			if err := d.remove(name); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(settings, func(a, b string) int {
		_, x := rocksdb.ParseFileName(a)
		_, y := rocksdb.ParseFileName(b)
		return int(x) - int(y)
	})
	for len(settings) > 2 {
		if err := d.remove(settings[0]); err != nil {
			return err
		}
		settings = settings[1:]
	}
	return nil
}

func (d *database) remove(name string) error {
	if err := os.Remove(d.path(name)); err != nil && !os.IsNotExist(err) {
		return err
	}
	d.o.step("without " + name)
	return nil
}
