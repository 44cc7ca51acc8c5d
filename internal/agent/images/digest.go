package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// digest reads the received files once more and sums up what is put in place. What is not what was announced is not put in place: it was verified when it arrived, and a disk may lose it since.
func (t *Target) digest(ctx context.Context, r protocol.PlacementRequest) (string, error) {
	found := make([]protocol.PlacementFile, 0, len(r.Files))
	for _, f := range r.Files {
		sum, size, err := sumOf(ctx, t.o.FS, filepath.Join(t.o.Dir, filesName, f.Name))
		if err != nil {
			return "", err
		}
		if sum != f.SHA256 || size != f.Size {
			return "", &rocksdb.CorruptError{Offset: -1, What: fmt.Sprintf("file %s has %d bytes with SHA-256 %s on the disk, and had %d bytes with %s when it was received", f.Name, size, sum, f.Size, f.SHA256)}
		}
		found = append(found, protocol.PlacementFile{Name: f.Name, Size: size, SHA256: sum})
	}
	return Digest(found, r.Edits)
}

// Digest is protocol.Placement.SHA256 of files and edits, whatever the order of the files.
func Digest(files []protocol.PlacementFile, edits protocol.PlacementEdits) (string, error) {
	hash := sha256.New()
	for _, f := range slices.SortedFunc(slices.Values(files), func(a, b protocol.PlacementFile) int { return strings.Compare(a.Name, b.Name) }) {
		fmt.Fprintf(hash, "%s %d %s\n", f.Name, f.Size, f.SHA256)
	}
	content, err := json.Marshal(edits) // maps in the order of their keys
	if err != nil {
		return "", fmt.Errorf("digest of the edits: %w", err)
	}
	hash.Write(content)
	return hex.EncodeToString(hash.Sum(nil)), nil
}
