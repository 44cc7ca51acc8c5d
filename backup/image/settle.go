package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
)

// Settle finishes or undoes what a power cut interrupted in Place or Revert, so that the folder and what lies beside it belong together. It may itself be interrupted and called again.
// It must be called before the server starts, and before anybody concludes from a missing folder that the volume is empty.
func Settle(fsys FS, target string) error {
	if err := settle(fsys, target); err != nil {
		return fmt.Errorf("settle %s: %w", target, err)
	}
	return nil
}

func settle(fsys FS, target string) error {
	there, err := exists(fsys, target)
	if err != nil {
		return err
	}
	if !there {
		if err := goBack(fsys, target); err != nil {
			return err
		}
	}
	if err := errors.Join(fsys.RemoveAll(target+intentSuffix+newSuffix), fsys.RemoveAll(target+appendSuffix)); err != nil {
		return err
	}
	i, err := readIntent(fsys, target)
	if err != nil {
		return err
	}
	if i == nil {
		// Without an intent nothing was exchanged: what is there is a database half built.
		return errors.Join(fsys.RemoveAll(target+newSuffix), fsys.RemoveAll(target+goneSuffix))
	}
	now, err := identity(fsys, target)
	var corrupt *rocksdb.CorruptError
	switch {
	case err == nil && now == i.New:
		err = i.finish(fsys, target)
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.As(err, &corrupt): // the old one may be anything, the new one was read back
		err = i.undo(fsys, target)
	}
	if err != nil {
		return err
	}
	if err := fsys.RemoveAll(target + intentSuffix); err != nil {
		return err
	}
	return fsys.Sync(parent(target))
}

// goBack takes back the first of the two steps that an exchange has where the file system has none: the old database was moved away, and the new one not yet in.
func goBack(fsys FS, target string) error {
	old, err := exists(fsys, target+OldSuffix)
	if err != nil || !old {
		return err
	}
	if err := fsys.Rename(target+OldSuffix, target); err != nil {
		return err
	}
	return fsys.Sync(parent(target))
}

// finish puts away what the exchange left: the folder .new now has the old database.
func (i *intent) finish(fsys FS, target string) error {
	switch i.Action {
	case "revert":
		// .old has what was given up.
		if err := errors.Join(fsys.RemoveAll(target+OldSuffix), fsys.RemoveAll(target+newSuffix)); err != nil {
			return err
		}
		return removeAside(fsys, i.Beside)
	default:
		return renameIfThere(fsys, target+newSuffix, target+OldSuffix)
	}
}

// undo is for an exchange that did not happen.
func (i *intent) undo(fsys FS, target string) error {
	if i.Action == "revert" {
		return nil // the caller will try again, or not
	}
	for _, folder := range i.Beside {
		there, err := exists(fsys, folder)
		if err != nil {
			return err
		}
		if !there {
			if err := renameIfThere(fsys, folder+OldSuffix, folder); err != nil {
				return err
			}
		}
	}
	return fsys.RemoveAll(target + newSuffix)
}

func removeAside(fsys FS, folders []string) error {
	var errs []error
	for _, folder := range folders {
		errs = append(errs, fsys.RemoveAll(folder+OldSuffix), fsys.RemoveAll(folder))
	}
	return errors.Join(errs...)
}

// ErrNothingToRevert says that the database that was there before is gone, or never was.
var ErrNothingToRevert = errors.New("no old database to go back to")

// Revert puts back the database that Place replaced, and removes what Place brought. The folders beside it are not put back: RobustMQ makes its _snapshot anew.
func Revert(fsys FS, target string, beside []string) error {
	if err := revert(fsys, target, beside); err != nil {
		return fmt.Errorf("go back to the old database of %s: %w", target, err)
	}
	return nil
}

func revert(fsys FS, target string, beside []string) error {
	if err := settle(fsys, target); err != nil {
		return err
	}
	old, err := exists(fsys, target+OldSuffix)
	if err != nil {
		return err
	}
	if !old {
		return ErrNothingToRevert
	}
	lock, err := fsys.Lock(target)
	if err != nil {
		return err
	}
	defer lock.Close()
	id, err := identity(fsys, target+OldSuffix)
	if err != nil {
		return err
	}
	if err := writeIntent(fsys, target, intent{Action: "revert", New: id, Beside: beside}); err != nil {
		return err
	}
	if err := swapBack(fsys, target); err != nil {
		return errors.Join(err, settle(fsys, target))
	}
	return settle(fsys, target)
}

// swapBack exchanges target and target.old.
func swapBack(fsys FS, target string) error {
	err := fsys.Exchange(target+OldSuffix, target)
	if errors.Is(err, errors.ErrUnsupported) {
		// Without an exchange the new database is given up first; Settle then finds only the old one and takes it.
		if err := fsys.RemoveAll(target + newSuffix); err != nil {
			return err
		}
		if err := fsys.Rename(target, target+newSuffix); err != nil {
			return err
		}
		if err := fsys.Sync(parent(target)); err != nil {
			return err
		}
		err = fsys.Rename(target+OldSuffix, target)
	}
	if err != nil {
		return err
	}
	return fsys.Sync(parent(target))
}

// Discard removes the old database and the folders that went with it. After it there is no way back.
func Discard(fsys FS, target string, beside []string) error {
	if err := settle(fsys, target); err != nil {
		return fmt.Errorf("discard the old database of %s: %w", target, err)
	}
	errs := []error{discardOld(fsys, target)}
	for _, folder := range beside {
		errs = append(errs, fsys.RemoveAll(folder+OldSuffix))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("discard the old database of %s: %w", target, err)
	}
	return nil
}

// discardOld removes the old database so that a power cut leaves it complete or gone: half of it must not be what Revert finds.
func discardOld(fsys FS, target string) error {
	if err := renameIfThere(fsys, target+OldSuffix, target+goneSuffix); err != nil {
		return err
	}
	return fsys.RemoveAll(target + goneSuffix)
}

func parent(name string) string { return filepath.Dir(name) }

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}

func copyBuffer(w io.Writer, r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 256<<10))
}
