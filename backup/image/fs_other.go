//go:build !linux

package image

import (
	"errors"
	"io"
	"os"
)

// Exchange see FS. RobustMQ's pods run on Linux; elsewhere only the offline tool does.
func (OS) Exchange(a, b string) error {
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errors.ErrUnsupported}
}

// Lock see FS.
func (OS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }
