package archive

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// files writes what is not a table: the same files make the same archive.
func (w *writer) files(ctx context.Context) (Files, error) {
	files := slices.Clone(w.req.Files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	entries := make([]Entry, 0, len(files))
	for _, f := range files {
		entries = append(entries, Entry{f.Name, f.Size, f.SHA256})
	}
	r, pipe := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pipe.CloseWithError(w.pack(ctx, pipe, files))
	}()
	defer func() {
		_ = r.Close() // never fails; it ends the packing
		<-done
	}()
	var body io.Reader = r
	if len(w.recipients) > 0 {
		encrypted, err := age.EncryptReader(r, w.recipients...)
		if err != nil {
			return Files{}, fmt.Errorf("encrypting: %w", err)
		}
		body = encrypted
	}
	object, err := w.put(ctx, w.filesKey(), store.Content{Body: body, Size: store.UnknownSize})
	return Files{Object: object, Entries: entries}, wrap(err, "saving the files that are no tables")
}

// pack is a tar with nothing in it that is not content, compressed by one thread: several would make it depend on time.
func (w *writer) pack(ctx context.Context, to io.Writer, files []File) error {
	compressor, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	defer func() { _ = compressor.Close() }() // again, after an error: it frees what it has
	archive := tar.NewWriter(compressor)
	for _, f := range files {
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o600, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
		if err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
		if err := w.packOne(ctx, archive, f); err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	return compressor.Close()
}

func (w *writer) packOne(ctx context.Context, to io.Writer, f File) error {
	body, err := w.opener(f, true)(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(to, body)
	return err
}
