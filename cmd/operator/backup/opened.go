package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/image"
)

// openDatabase reads what the small files of a backup say: that they are a database, that its tables are those of the manifest, and that its log has no gap.
// The tables themselves were compared before, and are not needed. What is no database is a *archive.BrokenError.
func openDatabase(ctx context.Context, a *archive.Archive, m archive.Manifest, identities string) error {
	dir, err := os.MkdirTemp("", "robustmq-operator-verify-*")
	if err != nil {
		return fmt.Errorf("opening the database of a backup: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in the folder of temporary files
	source, err := a.Open(m, identities)
	if err != nil {
		return err
	}
	err = source.Files(ctx, func(e archive.Entry, content io.Reader) error { return writeFile(filepath.Join(dir, e.Name), content) })
	if err != nil {
		return err
	}
	tables := map[string]int64{}
	for _, t := range m.Tables {
		tables[t.Name] = t.Size
	}
	if _, err := image.Inspect(ctx, elsewhere{tables: tables}, dir); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &archive.BrokenError{Key: a.Key(m.Files.Object.Key), Problem: "every object is what was saved, but that is no whole database: " + strings.NewReplacer(dir+"/", "", "inspect "+dir+": ", "", "database "+dir+": ", "").Replace(err.Error())}
	}
	return nil
}

// elsewhere is the machine's file system, with tables that lie elsewhere and of which only the sizes are known.
type elsewhere struct {
	image.OS
	tables map[string]int64
}

// Stat see image.FS.
func (e elsewhere) Stat(name string) (image.Info, error) {
	if n, ok := e.tables[filepath.Base(name)]; ok {
		return image.Info{Size: n}, nil
	}
	return e.OS.Stat(name)
}

// writeFile makes a file that is on the disk when it returns, or is not there. Metadata has passwords in clear: nobody else may read it.
func writeFile(name string, content io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
