package validate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/validate"
)

// stdin is the name of the standard input among files.
const stdin = "-"

// endings of the files that are looked for in a folder; a file that is named itself may end as it likes.
var endings = []string{".yaml", ".yml", ".json"}

// readAll reads files, folders with all that is below them, and the standard input.
func readAll(c *validate.Contents, names []string, in io.Reader) error {
	for _, name := range names {
		if err := read(c, name, in); err != nil {
			return err
		}
	}
	return nil
}

func read(c *validate.Contents, name string, in io.Reader) error {
	if name == stdin {
		return c.Read("stdin", in, mine)
	}
	info, err := os.Stat(name)
	if err != nil {
		return shorter(err)
	}
	if !info.IsDir() {
		return file(c, name)
	}
	found := false
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		switch hidden := path != name && strings.HasPrefix(d.Name(), "."); {
		case err != nil:
			return err
		case d.IsDir() && hidden:
			return fs.SkipDir // .git and the like
		case d.IsDir() || hidden || !slices.Contains(endings, strings.ToLower(filepath.Ext(path))):
			return nil
		}
		found = true
		return file(c, path)
	})
	if err != nil {
		return shorter(err)
	}
	if !found {
		return fmt.Errorf("folder %s: there is no file that ends with %s in it", name, strings.Join(endings, ", "))
	}
	return nil
}

func file(c *validate.Contents, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return shorter(err)
	}
	defer f.Close()
	return c.Read(name, f, mine)
}

// shorter leaves the name of the system call out.
func shorter(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("file %s: %w", p.Path, p.Err)
	}
	return err
}
