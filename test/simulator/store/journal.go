package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"
)

// journalFile holds every batch, beside files that make the directory look like RocksDB's.
const journalFile = "simulator.journal"

// maxBatch bounds what a length field of a damaged journal can ask for.
const maxBatch = 64 << 20

// ErrLocked says that another process, or another simulated server of this one, has the directory open. RocksDB's LOCK says the same.
var ErrLocked = errors.New("lock hold by current process")

// ErrClosed is returned by a storage that was closed.
var ErrClosed = errors.New("storage is closed")

type journal struct {
	dir string

	mu   sync.Mutex
	file *os.File
	lock *os.File
	live map[string]map[string][]byte
}

var open = struct {
	sync.Mutex
	dirs map[string]bool
}{dirs: map[string]bool{}}

// Open opens the store in dir, and makes it when it does not exist. A batch that was cut off at the end (the process was killed in the middle of it) is forgotten.
func Open(dir string) (Storage, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	if err := os.MkdirAll(absolute, 0o750); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	open.Lock()
	defer open.Unlock()
	if open.dirs[absolute] {
		return nil, fmt.Errorf("storage %s: %w", dir, ErrLocked)
	}
	j := &journal{dir: absolute, live: map[string]map[string][]byte{}}
	if err := j.decorate(); err != nil {
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	if err := j.load(); err != nil {
		_ = j.lock.Close()
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	open.dirs[absolute] = true
	return j, nil
}

// decorate writes the small files that RocksDB keeps, so that whoever asks whether the directory is initialised gets the answer he would get from RobustMQ's.
func (j *journal) decorate() error {
	var err error
	if j.lock, err = os.OpenFile(filepath.Join(j.dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o640); err != nil {
		return err
	}
	if err := lockFile(j.lock); err != nil {
		_ = j.lock.Close()
		return ErrLocked
	}
	for name, content := range map[string]string{
		"MANIFEST-000005": "simulator\n",
		"IDENTITY":        "00000000-0000-4000-8000-000000000000",
		"OPTIONS-000007":  "# written by the RobustMQ simulator\n",
		"000004.log":      "",
		"CURRENT":         "MANIFEST-000005\n",
	} {
		path := filepath.Join(j.dir, name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			_ = j.lock.Close()
			return err
		}
	}
	return nil
}

// load reads the journal and writes it anew with the live records only.
func (j *journal) load() error {
	path := filepath.Join(j.dir, journalFile)
	if f, err := os.Open(path); err == nil {
		err = j.replay(bufio.NewReader(f))
		_ = f.Close()
		if err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	var batch []Record
	for family, keys := range j.live {
		for key, value := range keys {
			batch = append(batch, Record{Family: family, Key: []byte(key), Value: value})
		}
	}
	for len(batch) > 0 {
		n := min(len(batch), 256)
		if _, err := f.Write(encode(batch[:n])); err != nil {
			_ = f.Close()
			return err
		}
		batch = batch[n:]
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = f.Close()
		return err
	}
	j.file = f
	return nil
}

func (j *journal) replay(r io.Reader) error {
	for {
		var header [8]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return ignoreTorn(err)
		}
		size, sum := binary.LittleEndian.Uint32(header[:4]), binary.LittleEndian.Uint32(header[4:])
		if size > maxBatch {
			return fmt.Errorf("a batch of %d bytes in %s", size, journalFile)
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return ignoreTorn(err)
		}
		if crc32.ChecksumIEEE(body) != sum {
			return fmt.Errorf("checksum mismatch in %s", journalFile)
		}
		batch, err := decode(body)
		if err != nil {
			return err
		}
		for _, record := range batch {
			j.apply(record)
		}
	}
}

func ignoreTorn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (j *journal) apply(r Record) {
	keys := j.live[r.Family]
	if keys == nil {
		keys = map[string][]byte{}
		j.live[r.Family] = keys
	}
	if r.Delete {
		delete(keys, string(r.Key))
		return
	}
	keys[string(r.Key)] = append([]byte(nil), r.Value...)
}

// Write implements Storage.
func (j *journal) Write(batch ...Record) error {
	if len(batch) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return ErrClosed
	}
	if _, err := j.file.Write(encode(batch)); err != nil {
		return fmt.Errorf("storage %s: %w", j.dir, err)
	}
	for _, r := range batch {
		j.apply(r)
	}
	return nil
}

// Each implements Storage.
func (j *journal) Each(visit func(Record) error) error {
	j.mu.Lock()
	var all []Record
	for family, keys := range j.live {
		for key, value := range keys {
			all = append(all, Record{Family: family, Key: []byte(key), Value: value})
		}
	}
	j.mu.Unlock()
	sort.Slice(all, func(a, b int) bool {
		if all[a].Family != all[b].Family {
			return all[a].Family < all[b].Family
		}
		return string(all[a].Key) < string(all[b].Key)
	})
	for _, r := range all {
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Storage.
func (j *journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	open.Lock()
	delete(open.dirs, j.dir)
	open.Unlock()
	err := errors.Join(j.file.Close(), j.lock.Close())
	j.file = nil
	return err
}

func encode(batch []Record) []byte {
	body := binary.LittleEndian.AppendUint32(nil, uint32(len(batch)))
	put := func(b []byte) {
		body = binary.LittleEndian.AppendUint32(body, uint32(len(b)))
		body = append(body, b...)
	}
	for _, r := range batch {
		flag := byte(0)
		if r.Delete {
			flag = 1
		}
		body = append(body, flag)
		put([]byte(r.Family))
		put(r.Key)
		put(r.Value)
	}
	out := make([]byte, 8, 8+len(body))
	binary.LittleEndian.PutUint32(out[:4], uint32(len(body)))
	binary.LittleEndian.PutUint32(out[4:], crc32.ChecksumIEEE(body))
	return append(out, body...)
}

func decode(body []byte) ([]Record, error) {
	bad := fmt.Errorf("a batch of %s does not decode", journalFile)
	take := func() ([]byte, bool) {
		if len(body) < 4 {
			return nil, false
		}
		n := binary.LittleEndian.Uint32(body)
		if uint64(n) > uint64(len(body)-4) {
			return nil, false
		}
		b := body[4 : 4+n]
		body = body[4+n:]
		return b, true
	}
	if len(body) < 4 {
		return nil, bad
	}
	count := binary.LittleEndian.Uint32(body)
	body = body[4:]
	var batch []Record
	for range count {
		if len(body) == 0 {
			return nil, bad
		}
		r := Record{Delete: body[0] == 1}
		body = body[1:]
		family, ok1 := take()
		key, ok2 := take()
		value, ok3 := take()
		if !ok1 || !ok2 || !ok3 {
			return nil, bad
		}
		r.Family, r.Key, r.Value = string(family), key, value
		batch = append(batch, r)
	}
	return batch, nil
}
