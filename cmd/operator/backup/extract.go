package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/robustmq/robustmq-operator/backup/image"
)

// Extracted is the report of extract.
type Extracted struct {
	Version int `json:"version"`
	// From is the database's folder, Into the one that was made.
	From string `json:"from"`
	Into string `json:"into"`
	// Live says that a server had it open.
	Live bool `json:"live"`
	// Attempts and LinkedSeconds are of the image of a live one.
	Attempts      int      `json:"attempts,omitempty"`
	LinkedSeconds float64  `json:"linkedSeconds,omitempty"`
	Families      []string `json:"families"`
	// SkippedLogs are those that RocksDB would not read either, behind one that was cut off.
	SkippedLogs []uint64 `json:"skippedLogs,omitempty"`
	Seconds     float64  `json:"seconds"`
	Database    Database `json:"database"`
}

type extractOptions struct {
	into     string
	families []string
}

func extractCommand(t *tool) *cobra.Command {
	o := extractOptions{families: image.MetadataFamilies}
	cmd := t.command("extract DIRECTORY --into DIRECTORY", "Take the metadata out of a data directory, as a backup does", `Take the metadata out of a data directory of RobustMQ, exactly as the agent does for a backup, and say what is in it, so that anyone can compare it with RocksDB's own tools
(ldb --db=DIRECTORY --column_family=meta_metadata scan). It reads a server's data path, the database in it (_rocksdb, or _data before 0.4.1), a copy of that, or a downloaded backup.

The server may run: then the database is imaged first, by hard links in a folder beside it that is removed again; nothing is stopped or paused. Of a stopped one nothing is changed.
The result has passwords of users in clear; only you can read it.`,
		1, func(ctx context.Context, args []string) error { return t.extract(ctx, o, args) })
	f := cmd.Flags()
	f.StringVar(&o.into, "into", "", "directory to make; it must not exist, or be empty (required)")
	f.StringSliceVar(&o.families, "families", o.families, "column families to take, of "+strings.Join(image.Families, ", ")+"; storage has the messages")
	return cmd
}

func (t *tool) extract(ctx context.Context, e extractOptions, args []string) error {
	switch {
	case len(args) == 0:
		return usage("name the data directory")
	case e.into == "":
		return usage("say where to with --into DIRECTORY")
	case len(e.families) == 0:
		return usage("--families: name at least one of %s", strings.Join(image.Families, ", "))
	}
	for i, name := range e.families {
		if !slices.Contains(image.Families, name) || slices.Contains(e.families[:i], name) {
			return usage("--families %q: name each of %s at most once", name, strings.Join(image.Families, ", "))
		}
	}
	from, err := databaseIn(args[0])
	if err != nil {
		return err
	}
	into := filepath.Clean(e.into)
	if err := free(into); err != nil {
		return err
	}
	if err := apart(from, into); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(into), ".robustmq-operator-extract-*")
	if err != nil {
		return fmt.Errorf("extracting: %w", err)
	}
	defer os.RemoveAll(temp) //nolint:errcheck // whoever finds it knows by its name what it is
	began := t.now()
	r := Extracted{Version: FormatVersion, From: from, Into: into, Families: e.families}
	out := filepath.Join(temp, "database")
	if err := r.take(ctx, t.fs, out); err != nil {
		return err
	}
	if r.Database, err = inspect(ctx, out); err != nil {
		return fmt.Errorf("reading back what was extracted: %w", err)
	}
	if err := os.Chmod(out, 0o700); err != nil {
		return fmt.Errorf("extracting: %w", err)
	}
	if err := appear(out, into); err != nil {
		return fmt.Errorf("extracting: %w", err)
	}
	r.Seconds = t.now().Sub(began).Seconds()
	return t.print(r, r.human)
}

// databaseIn finds the folder of the database.
func databaseIn(dir string) (string, error) {
	var found []string
	for _, name := range []string{".", "_rocksdb", "_data"} {
		path := filepath.Join(dir, name)
		switch _, err := os.Stat(filepath.Join(path, "CURRENT")); {
		case err == nil:
			found = append(found, path)
		case !errors.Is(err, fs.ErrNotExist):
			return "", usage("%s: %w", dir, cause(err))
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", usage("%s: there is no database in it: a database has a file CURRENT, and in a data path of RobustMQ it is the folder _rocksdb, or _data before 0.4.1", dir)
	}
	return "", usage("%s: there are %d databases in it: name one of them: %s", dir, len(found), strings.Join(found, ", "))
}

// apart refuses to write into what is read.
func apart(from, into string) error {
	a, errA := filepath.EvalSymlinks(from)
	b, errB := filepath.EvalSymlinks(filepath.Dir(into))
	if err := errors.Join(errA, errB); err != nil {
		return usage("%w", err)
	}
	a, errA = filepath.Abs(a)
	b, errB = filepath.Abs(b)
	if err := errors.Join(errA, errB); err != nil {
		return usage("%w", err)
	}
	if b == a || strings.HasPrefix(b, a+string(filepath.Separator)) {
		return usage("--into %s: it would be in the database itself: name a directory elsewhere", into)
	}
	return nil
}

// take extracts, of a server that runs or of one that does not. One that starts meanwhile is found out, and then it is live.
func (r *Extracted) take(ctx context.Context, fsys image.FS, out string) error {
	for range 2 {
		var err error
		if r.Live, err = inUse(r.From); err != nil {
			return err
		}
		if r.Live {
			return r.live(ctx, out)
		}
		before, err := fingerprint(r.From)
		if err != nil {
			return err
		}
		result, extractErr := image.Extract(ctx, fsys, r.From, out, r.Families)
		started, err := inUse(r.From)
		after, readErr := fingerprint(r.From)
		switch {
		case err != nil || readErr != nil:
			return errors.Join(err, readErr)
		case started || !bytes.Equal(before, after):
			if err := os.RemoveAll(out); err != nil {
				return err
			}
			continue
		case extractErr != nil:
			return extractErr
		}
		r.SkippedLogs = result.SkippedWALs
		return nil
	}
	return fmt.Errorf("extracting %s: a server is just starting or stopping there: try again", r.From)
}

// live takes an image first.
func (r *Extracted) live(ctx context.Context, out string) (err error) {
	from, err := filepath.Abs(r.From) // of "." too there is a folder beside it
	if err != nil {
		return err
	}
	links, err := os.MkdirTemp(filepath.Dir(from), ".robustmq-operator-extract-*")
	if err != nil {
		return fmt.Errorf("the database is in use, so that its files have to be linked beside it first: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(links)) }()
	staged, err := image.Taker{}.Take(ctx, from, filepath.Join(links, "image"), r.Families)
	if err != nil {
		return err
	}
	r.Attempts, r.LinkedSeconds = staged.Attempts, staged.Took.Seconds()
	_, err = staged.Extract(ctx, out, image.Cache{})
	return err
}

// inUse reports whether a process has a database open. RocksDB holds a POSIX lock on all of LOCK; asking for it takes nothing and changes nothing, and works where one may only read.
func inUse(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, "LOCK"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a copy without it, or a downloaded backup
	}
	if err != nil {
		return false, fmt.Errorf("finding out whether a server runs: %w", err)
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return false, fmt.Errorf("finding out whether a server runs in %s: %w", dir, err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

// fingerprint is another one after a server has opened the database: it writes a new MANIFEST.
func fingerprint(dir string) ([]byte, error) {
	current, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(dir, strings.TrimSpace(string(current))))
	if errors.Is(err, fs.ErrNotExist) {
		return current, nil // extracting says so in its own words
	}
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(current, "%d", info.Size()), nil
}

func (r Extracted) human(p *page) {
	how := "nothing had it open"
	if r.Live {
		how = fmt.Sprintf("live: %s, linked in %.0f ms", count(r.Attempts, "attempt"), r.LinkedSeconds*1000)
	}
	p.line("%s of %s (%s) in %s; in %.1f s", strings.Join(r.Families, ", "), r.From, how, r.Into, r.Seconds)
	for _, n := range r.SkippedLogs {
		p.line("%06d.log is not in it: it is behind one that was cut off, and RocksDB would not read it either", n)
	}
	p.line("")
	r.Database.human(p)
}
