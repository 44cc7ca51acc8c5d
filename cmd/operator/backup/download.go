package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/image"
)

// Downloaded is the report of download.
type Downloaded struct {
	Version int    `json:"version"`
	Place   string `json:"place"`
	ID      string `json:"id"`
	// Into is the directory that RocksDB opens.
	Into  string `json:"into"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	// FetchedBytes came now; the rest was there from a download that was interrupted.
	FetchedBytes int64    `json:"fetchedBytes"`
	Seconds      float64  `json:"seconds"`
	Database     Database `json:"database"`
}

type downloadOptions struct{ into, identityFile string }

func downloadCommand(t *tool) *cobra.Command {
	o := downloadOptions{}
	cmd := t.command("download ID --into DIRECTORY", "Make a local database of a backup", `Make a local directory of a backup, decrypted, every file compared with the manifest, that RocksDB and its tools open.

The directory appears when it is whole. Until then what was fetched lies beside it, in DIRECTORY.ID.download: after an interruption the same command goes on from there.
It has passwords of users in clear; only you can read it.`,
		1, func(ctx context.Context, args []string) error { return t.download(ctx, o, args) })
	t.place.bind(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&o.into, "into", "", "directory to make; it must not exist, or be empty (required)")
	f.StringVar(&o.identityFile, "identity-file", "", "file with identities of age, as age-keygen writes it; - for the standard input")
	return cmd
}

func (t *tool) download(ctx context.Context, d downloadOptions, args []string) error {
	switch {
	case len(args) == 0:
		return usage("name the backup: an ID of robustmq-operator backup list, or %s", latest)
	case d.into == "":
		return usage("say where to with --into DIRECTORY")
	}
	into := filepath.Clean(d.into)
	if err := free(into); err != nil {
		return err
	}
	identities, err := t.identities(d.identityFile)
	if err != nil {
		return err
	}
	o, err := t.open()
	if err != nil {
		return err
	}
	defer o.close()
	s, err := o.only(ctx)
	if err != nil {
		return err
	}
	b, err := s.good(ctx, args[0])
	if err != nil {
		return err
	}
	source, err := s.archive.Open(b.Manifest, identities)
	if err != nil {
		return err
	}
	working, release, err := t.reading(ctx, s)
	if err != nil {
		return err
	}
	defer release()
	f := fetch{source: source, manifest: b.Manifest, stage: into + "." + b.ID + ".download"}
	if err := f.run(working, t); err != nil {
		if kept := f.kept(); kept > 0 {
			return ended(ctx, fmt.Errorf("%w\n%s of %s are in %s: the same command goes on from there; remove that folder if nobody will", err, size(kept), size(f.total), f.stage))
		}
		return err
	}
	database, err := f.finish(ctx, into)
	if err != nil {
		return err
	}
	r := Downloaded{Version: FormatVersion, Place: o.store.String(), ID: b.ID, Into: into, Files: len(f.wanted()), Bytes: f.total, FetchedBytes: f.fetched, Seconds: f.seconds, Database: database}
	return t.print(r, r.human)
}

func (r Downloaded) human(p *page) {
	again := ""
	if kept := r.Bytes - r.FetchedBytes; kept > 0 {
		again = fmt.Sprintf(", of which %s were there from before", size(kept))
	}
	p.line("%s of %s in %s%s; %s", count(r.Files, "file"), size(r.Bytes), r.Into, again, speed(r.FetchedBytes, r.Seconds))
	p.line("Every file is what %s saved, and together they are a database:", r.ID)
	p.line("")
	r.Database.human(p)
}

// free says whether a directory can be made: it is not there, or empty, and what it is to be in is there.
func free(into string) error {
	switch names, err := os.ReadDir(into); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return usage("--into %s: %w: name a directory that does not exist", into, cause(err))
	case len(names) > 0:
		return usage("--into %s: it is there and not empty: nothing is written over what exists; name another", into)
	}
	if _, err := os.Stat(filepath.Dir(into)); err != nil {
		return usage("--into %s: what it is to be in cannot be looked at (%w): make that first", into, cause(err))
	}
	return nil
}

// fetch is a download under way.
type fetch struct {
	source   *archive.Source
	manifest archive.Manifest
	stage    string
	total    int64
	seconds  float64
	bar      *progress

	mu      sync.Mutex
	fetched int64
}

// parallel tables at a time, as backups are written.
const parallel = 4

// wanted are all files of the database.
func (f *fetch) wanted() []archive.Entry {
	all := slices.Clone(f.manifest.Files.Entries)
	for _, t := range f.manifest.Tables {
		all = append(all, t.Entry)
	}
	return all
}

// run fetches what is not there yet.
func (f *fetch) run(ctx context.Context, t *tool) error {
	for _, e := range f.wanted() {
		f.total += e.Size
	}
	if err := os.Mkdir(f.stage, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("downloading: %w", err)
	}
	lock, err := alone(f.stage)
	if err != nil {
		return err
	}
	defer lock.Close()
	f.bar = t.begin("Downloading", f.total)
	defer f.bar.end()
	there, err := f.check(ctx)
	if err != nil {
		return err
	}
	if err := f.room(there); err != nil {
		return err
	}
	if err := f.tables(ctx, there); err != nil {
		return err
	}
	if err := f.files(ctx, there); err != nil {
		return err
	}
	f.seconds = f.bar.took().Seconds()
	return nil
}

// alone keeps a second download away from the same folder.
func alone(dir string) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("downloading: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, usage("%s: another download of this backup is under way: wait for it, or name another directory with --into", dir)
	}
	return f, nil
}

// check hashes what an earlier download left, and removes what is not, or not wholly, of this backup.
func (f *fetch) check(ctx context.Context) (there map[string]bool, err error) {
	byName := map[string]archive.Entry{}
	for _, e := range f.wanted() {
		byName[e.Name] = e
	}
	names, err := os.ReadDir(f.stage)
	if err != nil {
		return nil, fmt.Errorf("downloading: %w", err)
	}
	there = map[string]bool{}
	for _, n := range names {
		path := filepath.Join(f.stage, n.Name())
		e, ours := byName[n.Name()]
		same, err := ours && isContent(ctx, path, e), ctx.Err()
		if err != nil {
			return nil, err
		}
		if !same {
			if err := os.RemoveAll(path); err != nil {
				return nil, fmt.Errorf("downloading: %w", err)
			}
			continue
		}
		there[n.Name()] = true
		f.bar.add(e.Size)
	}
	return there, nil
}

// isContent reports whether a file has the content of an entry.
func isContent(ctx context.Context, path string, e archive.Entry) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, interruptible{ctx, file})
	return err == nil && n == e.Size && hex.EncodeToString(hash.Sum(nil)) == e.SHA256
}

// interruptible is a reader that ends with a context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// room compares what is to come with the free space.
func (f *fetch) room(there map[string]bool) error {
	needed := f.total
	for _, e := range f.wanted() {
		if there[e.Name] {
			needed -= e.Size
		}
	}
	has, err := image.OS{}.Free(f.stage)
	if err != nil {
		return fmt.Errorf("downloading: %w", err)
	}
	if uint64(needed) > has {
		return fmt.Errorf("downloading: %s are free in %s and %s are needed: make room, or name another directory with --into", size(int64(has)), filepath.Dir(f.stage), size(needed))
	}
	return nil
}

// tables, several at a time. The first error ends it.
func (f *fetch) tables(ctx context.Context, there map[string]bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, parallel)
	var group sync.WaitGroup
	for _, t := range f.manifest.Tables {
		if there[t.Name] {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			body, err := f.source.Table(ctx, t)
			if err == nil {
				err = f.save(ctx, t.Entry, body)
				body.Close()
			}
			if err != nil {
				cancel(fmt.Errorf("downloading the table %s: %w", t.Name, err))
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// files are in one archive: where one is missing, all are read.
func (f *fetch) files(ctx context.Context, there map[string]bool) error {
	if !slices.ContainsFunc(f.manifest.Files.Entries, func(e archive.Entry) bool { return !there[e.Name] }) {
		return nil
	}
	err := f.source.Files(ctx, func(e archive.Entry, content io.Reader) error {
		if there[e.Name] {
			return nil
		}
		return f.save(ctx, e, content)
	})
	if err != nil {
		return fmt.Errorf("downloading the files that are no tables: %w", err)
	}
	return nil
}

// save a file under its name once it is whole. A source's end is a good one only if the content was the manifest's.
func (f *fetch) save(ctx context.Context, e archive.Entry, content io.Reader) error {
	path := filepath.Join(f.stage, e.Name)
	if err := writeFile(path+".part", io.TeeReader(interruptible{ctx, content}, f)); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// Write counts what comes.
func (f *fetch) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched += int64(len(p))
	f.bar.add(int64(len(p)))
	return len(p), nil
}

// kept are the bytes of whole files that a download that failed leaves. A folder without any is removed.
func (f *fetch) kept() int64 {
	n := int64(0)
	for _, e := range f.wanted() {
		if info, err := os.Stat(filepath.Join(f.stage, e.Name)); err == nil {
			n += info.Size()
		}
	}
	if n == 0 {
		_ = os.Remove(f.stage) // what is in it says why it stays
	}
	return n
}

// finish looks whether it is a database, and gives the folder its name.
func (f *fetch) finish(ctx context.Context, into string) (Database, error) {
	database, err := inspect(ctx, f.stage)
	if ctx.Err() != nil {
		return database, err
	}
	if err != nil {
		return database, &archive.BrokenError{Key: f.stage, Problem: "every file is what was saved, but together they are no whole database; the folder is left to be looked at: " + err.Error()}
	}
	if err := errors.Join(image.OS{}.Sync(f.stage), appear(f.stage, into)); err != nil {
		return database, fmt.Errorf("finishing the download: %w", err)
	}
	return database, nil
}

// appear renames a folder to its name, in the place of an empty one, for good.
func appear(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return image.OS{}.Sync(filepath.Dir(to))
}
