package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// Names beside the database's folder while one is put in its place.
const (
	newSuffix = ".new" // being built
	// OldSuffix is of what was there before, until Discard. While it is there, and no Settle is due, the new database is the one in force.
	OldSuffix    = ".old"
	goneSuffix   = ".gone"    // being removed
	intentSuffix = ".placing" // an exchange is under way
	appendSuffix = ".append"  // edits being written
)

// Placement is an image that is to become the database of a volume.
type Placement struct {
	FS     FS     // default: the machine's
	Image  string // a database made by Extract, on the same volume or not
	Target string // the database's folder, for example data/_rocksdb; may be missing or without CURRENT
	// Keep are the families that the target has and the image does not replace: EngineFamilies, or none. A target without CURRENT has nothing to keep.
	Keep  []string
	Edits []Edit
	// Beside are folders that belong to the replaced database and not to the new one: RobustMQ's _snapshot, which it makes anew.
	Beside []string
}

// intent is written before the exchange and removed when it is over. It names the new database by what its folder must hold.
type intent struct {
	Action string   `json:"action"` // place or revert
	New    string   `json:"new"`    // identity of the new database
	Beside []string `json:"beside,omitempty"`
}

const maxIntent = 64 << 10

// Place builds the new database beside the old one and exchanges the two folders. The server must not run: ErrInUse.
//
// Behind a power cut at any point Target is the old database or the new one, complete. Settle, called before the server's next start, brings the rest in order.
// When Place returns nil everything is on the disk, and the old database is in Target.old until Discard, for Revert.
func (p Placement) Place(ctx context.Context) (*Result, error) {
	if p.FS == nil {
		p.FS = OS{}
	}
	result, err := p.place(ctx)
	if err != nil {
		return nil, fmt.Errorf("put %s in the place of %s: %w", p.Image, p.Target, err)
	}
	return result, nil
}

func (p Placement) place(ctx context.Context) (*Result, error) {
	if err := settle(p.FS, p.Target); err != nil {
		return nil, err
	}
	if err := errors.Join(p.FS.RemoveAll(p.Target+newSuffix), discardOld(p.FS, p.Target)); err != nil {
		return nil, err
	}
	there, err := exists(p.FS, p.Target)
	if err != nil {
		return nil, err
	}
	if there {
		lock, err := p.FS.Lock(p.Target)
		if err != nil {
			return nil, err
		}
		defer lock.Close()
	}
	parts, err := p.parts(ctx)
	if err != nil {
		return nil, err
	}
	result, err := build(ctx, p.FS, p.Target+newSuffix, parts, p.Edits, 0)
	if err != nil {
		return nil, err
	}
	if err := verify(ctx, p.FS, p.Target+newSuffix, result); err != nil {
		return nil, errors.Join(err, p.FS.RemoveAll(p.Target+newSuffix))
	}
	if err := p.FS.Sync(parent(p.Target)); err != nil {
		return nil, err
	}
	return result, p.exchange(there)
}

// parts reads the image and, if it has something to keep, the target, which then is the base.
func (p Placement) parts(ctx context.Context) ([]*part, error) {
	source, err := Open(p.FS, p.Image)
	if err != nil {
		return nil, err
	}
	initialised, err := exists(p.FS, join(p.Target, rocksdb.CurrentName))
	if err != nil {
		return nil, err
	}
	keep := p.Keep
	if !initialised {
		keep = nil
	}
	wanted := without(Families, keep)
	if err := checkFamilies(source.State, wanted); err != nil {
		return nil, err
	}
	fromImage, err := scan(ctx, source, wanted)
	if err != nil {
		return nil, err
	}
	if len(keep) == 0 {
		return []*part{fromImage}, nil
	}
	target, err := Open(p.FS, p.Target)
	if err != nil {
		return nil, err
	}
	if err := checkFamilies(target.State, keep); err != nil {
		return nil, err
	}
	fromTarget, err := scan(ctx, target, keep)
	if err != nil {
		return nil, err
	}
	return []*part{fromTarget, fromImage}, nil
}

// verify reads back what was built, as the server will.
func verify(ctx context.Context, fsys FS, dir string, result *Result) error {
	db, err := Open(fsys, dir)
	if err != nil {
		return err
	}
	p, err := scan(ctx, db, Families)
	if err != nil {
		return err
	}
	if p.greatest != result.MaxSequence || len(p.skipped) > 0 {
		return &rocksdb.CorruptError{Offset: -1, What: fmt.Sprintf("%s read back ends at sequence %d, written %d", dir, p.greatest, result.MaxSequence)}
	}
	return nil
}

// exchange makes the new database the one in force.
func (p Placement) exchange(there bool) error {
	id, err := identity(p.FS, p.Target+newSuffix)
	if err != nil {
		return err
	}
	if err := writeIntent(p.FS, p.Target, intent{Action: "place", New: id, Beside: p.Beside}); err != nil {
		return err
	}
	if err := setAside(p.FS, p.Beside); err != nil {
		return err
	}
	if err := swap(p.FS, p.Target, p.Target+newSuffix, there); err != nil {
		return errors.Join(err, settle(p.FS, p.Target))
	}
	return settle(p.FS, p.Target)
}

// swap exchanges two folders and makes that last. Where the file system cannot, it needs two steps; Settle goes back when it finds only the first.
func swap(fsys FS, target, other string, there bool) error {
	if there {
		err := fsys.Exchange(other, target)
		if err == nil {
			return fsys.Sync(parent(target))
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if err := fsys.Rename(target, target+OldSuffix); err != nil {
			return err
		}
		if err := fsys.Sync(parent(target)); err != nil {
			return err
		}
	}
	if err := fsys.Rename(other, target); err != nil {
		return err
	}
	return fsys.Sync(parent(target))
}

// setAside renames the folders that go with the old database.
func setAside(fsys FS, folders []string) error {
	for _, folder := range folders {
		if err := renameIfThere(fsys, folder, folder+OldSuffix); err != nil {
			return err
		}
	}
	return nil
}

func renameIfThere(fsys FS, from, to string) error {
	there, err := exists(fsys, from)
	if err != nil || !there {
		return err
	}
	if err := errors.Join(fsys.RemoveAll(to), fsys.Rename(from, to)); err != nil {
		return err
	}
	return fsys.Sync(parent(from))
}

// identity tells databases apart: the bytes of CURRENT and of the MANIFEST. It changes when the server opens the database.
func identity(fsys FS, dir string) (string, error) {
	current, err := ReadSmall(fsys, join(dir, rocksdb.CurrentName), 4096)
	if err != nil {
		return "", err
	}
	name, err := rocksdb.ParseCurrent(current)
	if err != nil {
		return "", err
	}
	f, err := fsys.Open(join(dir, name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size, err := copyBuffer(hash, f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s/%d/%08x", name, size, hash.Sum32()), nil
}

func writeIntent(fsys FS, target string, i intent) error {
	content, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return ReplaceFile(fsys, target+intentSuffix, content)
}

func readIntent(fsys FS, target string) (*intent, error) {
	content, err := ReadSmall(fsys, target+intentSuffix, maxIntent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := &intent{}
	if err := json.Unmarshal(content, i); err != nil {
		return nil, fmt.Errorf("%s: %w", target+intentSuffix, err)
	}
	return i, nil
}
