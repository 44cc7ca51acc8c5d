package images

import (
	"os"

	"github.com/robustmq/robustmq-operator/backup/image"
)

// FS is what this package does to a volume.
type FS interface {
	image.FS
	// Append opens a file, made if it is not there, to write at its end.
	Append(name string) (image.WriteFile, error)
}

// OS is the file system of the machine.
type OS struct{ image.OS }

// Append see FS.
func (OS) Append(name string) (image.WriteFile, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}
