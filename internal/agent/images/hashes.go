package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// hashes remembers the SHA-256 of tables between images: their content never changes, and reading gigabytes for every image would disturb the server.
// A number is used again by a database that was put in place, but not with the same size and time.
type hashes struct {
	known map[string]tableHash // by name, of the last image
}

type tableHash struct {
	size     int64
	modified time.Time
	sum      string
}

// of describes the files of an image's folder.
func (h *hashes) of(ctx context.Context, fsys image.FS, dir string, names []string) ([]protocol.ImageFile, error) {
	seen := make(map[string]tableHash)
	files := make([]protocol.ImageFile, 0, len(names))
	for _, name := range names {
		kind, _ := rocksdb.ParseFileName(name)
		table := kind == rocksdb.TableFile
		path := filepath.Join(dir, name)
		info, err := fsys.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("image: %w", err)
		}
		hash, ok := h.known[name]
		if !ok || !table || hash.size != info.Size || !hash.modified.Equal(info.ModTime) {
			sum, size, err := sumOf(ctx, fsys, path)
			if err != nil {
				return nil, err
			}
			hash = tableHash{size: size, modified: info.ModTime, sum: sum}
		}
		if table {
			seen[name] = hash
		}
		files = append(files, protocol.ImageFile{Name: name, Size: hash.size, SHA256: hash.sum, Table: table})
	}
	h.known = seen
	return files, nil
}

// chunk is how much of a file is in memory at a time.
const chunk = 64 << 10

// sumOf reads a file for its SHA-256 and its size.
func sumOf(ctx context.Context, fsys image.FS, path string) (sum string, size int64, err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	hash := sha256.New()
	buffer := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := f.Read(buffer)
		hash.Write(buffer[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(hash.Sum(nil)), size, nil
		}
		if err != nil {
			return "", 0, fmt.Errorf("%s: %w", path, err)
		}
	}
}
