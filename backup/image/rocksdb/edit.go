package rocksdb

import (
	"encoding/binary"
	"fmt"
)

// Tags of a VersionEdit (db/version_edit.h, enum Tag).
const (
	tagComparator    = 1
	tagLogNumber     = 2
	tagNextFile      = 3
	tagLastSequence  = 4
	tagCompactCursor = 5
	tagDeletedFile   = 6
	tagPrevLog       = 9
	tagMinLogToKeep  = 10
	tagNewFile4      = 103
	tagFamily        = 200
	tagFamilyAdd     = 201
	tagFamilyDrop    = 202
	tagMaxFamily     = 203
	tagAtomicGroup   = 300

	// Tags with this bit carry a string and may be ignored by a reader that does not know them.
	tagIgnorable         = 1 << 13
	tagDBID              = tagIgnorable + 1
	tagFullHistoryTsLow  = tagIgnorable + 6
	tagPersistTimestamps = tagIgnorable + 9
)

// Tags of the fields at the end of a new file's record (db/version_edit.h, enum NewFileCustomTag).
const (
	fieldEnd               = 1
	fieldMinLogToKeep      = 3
	fieldOldestBlob        = 4
	fieldMinTimestamp      = 10
	fieldMaxTimestamp      = 11
	fieldTimestampsPresent = 16
	// Fields with this bit must not be ignored by a reader that does not know them.
	fieldNotIgnorable = 1 << 6
	fieldPathID       = 65
)

// refusedTags are the ones that exist and that RobustMQ's databases never have.
var refusedTags = map[uint32]string{
	7:                   "new file record of LevelDB (MANIFEST tag 7)",
	8:                   "large value reference (MANIFEST tag 8)",
	100:                 "new file record of RocksDB 2 (MANIFEST tag 100)",
	102:                 "new file record of RocksDB 3 (MANIFEST tag 102)",
	400:                 "blob files (MANIFEST tag 400)",
	401:                 "blob files (MANIFEST tag 401)",
	tagIgnorable + 2:    "blob files (MANIFEST tag 8194)",
	tagIgnorable + 3:    "blob files (MANIFEST tag 8195)",
	tagFullHistoryTsLow: "user-defined timestamps (MANIFEST tag 8198)",
}

// VersionEdit is one record of a MANIFEST: a change of what the database consists of. Nil means that the record does not say.
type VersionEdit struct {
	DBID         *string
	Comparator   *string
	LogNumber    *uint64 // of Family: what is in older WALs is in its tables
	PrevLog      *uint64
	NextFile     *uint64 // lower bound of every later file number
	MaxFamily    *uint32
	MinLogToKeep *uint64 // WALs below are not needed by any family
	LastSequence *uint64
	Cursors      []CompactCursor
	Deleted      []DeletedFile
	New          []NewFile
	Family       uint32 // what the record is about; 0 is the default family
	AddFamily    *string
	DropFamily   bool
	// AtomicRemaining is the number of records that must follow before this one and they come into force together.
	AtomicRemaining *uint32
	// Ignorable holds what may be ignored, in the order of the record.
	Ignorable []IgnorableField
}

// CompactCursor is where the round-robin compaction of a level goes on. A hint.
type CompactCursor struct {
	Level uint32
	Key   []byte
}

// DeletedFile is a table that is no longer part of its family.
type DeletedFile struct {
	Level  uint32
	Number uint64
}

// NewFile is a table that becomes part of its family. Only Number may be changed: everything else is written as it was read.
type NewFile struct {
	Level                             uint32
	Number                            uint64
	Size                              uint64 // bytes
	SmallestSequence, LargestSequence uint64
	// tail is the record from its size on, without the end mark and without MinLogToKeep.
	tail []byte
	// MinLogToKeep is a MANIFEST-wide value that older writers hid in the first new file of a record. It counts in the writer's own file numbers, so it must not travel with the table.
	MinLogToKeep *uint64
}

// IgnorableField is a field whose tag says that a reader may ignore it.
type IgnorableField struct {
	Tag   uint32
	Value []byte
}

// internalKeyTrailer is the length of sequence and type at the end of every internal key (db/dbformat.h).
const internalKeyTrailer = 8

// DecodeVersionEdit reads one record of a MANIFEST. What it returns shares memory with the record.
// It fails with *UnsupportedError for a tag that it does not know or does not handle, and with *CorruptError for bytes that make no sense.
func DecodeVersionEdit(record []byte) (*VersionEdit, error) {
	e := &VersionEdit{}
	c := &cursor{rest: record}
	for len(c.rest) > 0 {
		tag := c.uvarint32()
		if c.bad {
			return nil, corrupt("VersionEdit: no tag")
		}
		if err := e.field(tag, c); err != nil {
			return nil, err
		}
		if c.bad {
			return nil, corrupt("VersionEdit: field of tag %d does not fit its record", tag)
		}
	}
	if e.AddFamily != nil && e.DropFamily || (e.AddFamily != nil || e.DropFamily) && len(e.New)+len(e.Deleted) > 0 {
		return nil, corrupt("VersionEdit: adds or drops a column family and changes its files at once")
	}
	return e, nil
}

func (e *VersionEdit) field(tag uint32, c *cursor) error {
	switch tag {
	case tagComparator:
		e.Comparator = ptr(string(c.string()))
	case tagLogNumber:
		e.LogNumber = ptr(c.uvarint())
	case tagNextFile:
		e.NextFile = ptr(c.uvarint())
	case tagLastSequence:
		e.LastSequence = ptr(c.uvarint())
	case tagPrevLog:
		e.PrevLog = ptr(c.uvarint())
	case tagMinLogToKeep:
		e.MinLogToKeep = ptr(c.uvarint())
	case tagCompactCursor:
		cursor := CompactCursor{Level: c.uvarint32(), Key: c.string()}
		e.Cursors = append(e.Cursors, cursor)
	case tagDeletedFile:
		e.Deleted = append(e.Deleted, DeletedFile{Level: c.uvarint32(), Number: c.uvarint()})
	case tagNewFile4:
		file, err := decodeNewFile(c)
		if err != nil {
			return err
		}
		e.New = append(e.New, file)
	case tagFamily:
		e.Family = c.uvarint32()
	case tagFamilyAdd:
		e.AddFamily = ptr(string(c.string()))
	case tagFamilyDrop:
		e.DropFamily = true
	case tagMaxFamily:
		e.MaxFamily = ptr(c.uvarint32())
	case tagAtomicGroup:
		e.AtomicRemaining = ptr(c.uvarint32())
	case tagDBID:
		e.DBID = ptr(string(c.string()))
	default:
		return e.rare(tag, c)
	}
	return nil
}

// rare reads a field that no recorded MANIFEST of RobustMQ has, or that only says what is so anyway.
func (e *VersionEdit) rare(tag uint32, c *cursor) error {
	if name, refused := refusedTags[tag]; refused {
		return unsupported("%s", name)
	}
	if tag&tagIgnorable == 0 {
		return unsupported("unknown MANIFEST tag %d", tag)
	}
	value := c.string()
	if tag == tagPersistTimestamps && !c.bad && (len(value) != 1 || value[0] != 1) {
		return unsupported("user-defined timestamps (MANIFEST tag %d)", tag)
	}
	e.Ignorable = append(e.Ignorable, IgnorableField{Tag: tag, Value: value})
	return nil
}

func decodeNewFile(c *cursor) (NewFile, error) {
	f := NewFile{Level: c.uvarint32(), Number: c.uvarint()}
	start := c.rest
	f.Size = c.uvarint()
	smallest, largest := c.string(), c.string()
	f.SmallestSequence, f.LargestSequence = c.uvarint(), c.uvarint()
	if c.bad {
		return f, nil
	}
	if len(smallest) < internalKeyTrailer || len(largest) < internalKeyTrailer {
		return f, corrupt("table %d: a boundary is no internal key", f.Number)
	}
	if f.SmallestSequence > f.LargestSequence {
		return f, corrupt("table %d: sequences %d to %d", f.Number, f.SmallestSequence, f.LargestSequence)
	}
	f.tail = append(f.tail, start[:len(start)-len(c.rest)]...)
	for {
		start = c.rest
		tag := c.uvarint32()
		if c.bad || tag == fieldEnd {
			return f, nil
		}
		value := c.string()
		if c.bad {
			return f, nil
		}
		switch {
		case tag == fieldMinLogToKeep:
			if len(value) != 8 {
				return f, corrupt("table %d: minimal log number of %d bytes", f.Number, len(value))
			}
			f.MinLogToKeep = ptr(binary.LittleEndian.Uint64(value))
			continue
		case tag == fieldPathID:
			if len(value) != 1 || value[0] != 0 {
				return f, unsupported("table %d in a second path (db_paths)", f.Number)
			}
		case tag == fieldOldestBlob:
			return f, unsupported("table %d refers to blob files", f.Number)
		case tag == fieldMinTimestamp, tag == fieldMaxTimestamp, tag == fieldTimestampsPresent:
			return f, unsupported("table %d has user-defined timestamps", f.Number)
		case tag&fieldNotIgnorable != 0:
			return f, unsupported("table %d: unknown field %d that must not be ignored", f.Number, tag)
		}
		f.tail = append(f.tail, start[:len(start)-len(c.rest)]...)
	}
}

// Append encodes the edit in the order in which RocksDB 8.10 does.
func (e *VersionEdit) Append(b []byte) []byte {
	b = appendText(b, tagDBID, e.DBID)
	b = appendText(b, tagComparator, e.Comparator)
	b = appendNumber(b, tagLogNumber, e.LogNumber)
	b = appendNumber(b, tagPrevLog, e.PrevLog)
	b = appendNumber(b, tagNextFile, e.NextFile)
	b = appendNumber(b, tagMaxFamily, e.MaxFamily)
	b = appendNumber(b, tagMinLogToKeep, e.MinLogToKeep)
	b = appendNumber(b, tagLastSequence, e.LastSequence)
	for _, cursor := range e.Cursors {
		b = binary.AppendUvarint(b, tagCompactCursor)
		b = binary.AppendUvarint(b, uint64(cursor.Level))
		b = appendString(b, cursor.Key)
	}
	for _, f := range e.Deleted {
		b = binary.AppendUvarint(b, tagDeletedFile)
		b = binary.AppendUvarint(b, uint64(f.Level))
		b = binary.AppendUvarint(b, f.Number)
	}
	for _, f := range e.New {
		b = binary.AppendUvarint(b, tagNewFile4)
		b = binary.AppendUvarint(b, uint64(f.Level))
		b = binary.AppendUvarint(b, f.Number)
		b = append(b, f.tail...)
		b = binary.AppendUvarint(b, fieldEnd)
	}
	if e.Family != 0 {
		b = binary.AppendUvarint(b, tagFamily)
		b = binary.AppendUvarint(b, uint64(e.Family))
	}
	b = appendText(b, tagFamilyAdd, e.AddFamily)
	if e.DropFamily {
		b = binary.AppendUvarint(b, tagFamilyDrop)
	}
	b = appendNumber(b, tagAtomicGroup, e.AtomicRemaining)
	for _, f := range e.Ignorable {
		b = binary.AppendUvarint(b, uint64(f.Tag))
		b = appendString(b, f.Value)
	}
	return b
}

func appendNumber[T uint32 | uint64](b []byte, tag uint64, v *T) []byte {
	if v == nil {
		return b
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, tag), uint64(*v))
}

func appendText(b []byte, tag uint64, v *string) []byte {
	if v == nil {
		return b
	}
	return appendString(binary.AppendUvarint(b, tag), *v)
}

func ptr[T any](v T) *T { return &v }

// Boundaries are the table's first and last internal keys, as the MANIFEST has them.
func (f NewFile) Boundaries() (smallest, largest []byte, err error) {
	c := cursor{rest: f.tail}
	c.uvarint() // size
	smallest, largest = c.string(), c.string()
	if c.bad {
		return nil, nil, corrupt("table %d has no boundaries", f.Number)
	}
	return smallest, largest, nil
}

// String is for messages: level, number and size.
func (f NewFile) String() string {
	return fmt.Sprintf("L%d %s, %d bytes", f.Level, TableName(f.Number), f.Size)
}
