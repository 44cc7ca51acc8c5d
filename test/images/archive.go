package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nonroot is the user and group that every image runs as, and that owns the folders a program may write to.
const nonroot = 65532

// A file of an image: bytes, or the content of a file on disk, or (neither of both) a folder.
type file struct {
	path   string // absolute, in the image
	mode   fs.FileMode
	data   []byte
	source string
	folder bool
	owner  int // uid and gid
}

// A spec says what is in an image of one layer.
type spec struct {
	reference  string // name:tag
	entrypoint []string
	workdir    string
	files      []file
}

// fromDisk returns the file source, or all files below the folder source, as files of an image. Symbolic links are followed:
// an image holds content only.
func fromDisk(source, to string) ([]file, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		mode := fs.FileMode(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		return []file{{path: to, mode: mode, source: source}}, nil
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		more, err := fromDisk(filepath.Join(source, e.Name()), path.Join(to, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// layer packs the files, with all folders above them, a writable /tmp and the users that file ownership needs, as a tar archive
// whose bytes depend on nothing but the content. It also returns how many bytes of files there are.
func (s spec) layer() ([]byte, int64, error) {
	all := map[string]file{
		"/tmp":        {path: "/tmp", mode: 0o777 | fs.ModeSticky, folder: true},
		"/etc/passwd": {path: "/etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/tmp:/\n")},
		"/etc/group":  {path: "/etc/group", mode: 0o644, data: []byte("root:x:0:\nnonroot:x:65532:\n")},
	}
	for _, f := range s.files {
		all[path.Clean(f.path)] = f
	}
	var paths []string
	for p := range all {
		paths = append(paths, p)
	}
	for _, p := range paths {
		for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
			if _, known := all[dir]; !known {
				all[dir] = file{mode: 0o755, folder: true}
			}
		}
	}
	paths = paths[:0]
	for p := range all {
		paths = append(paths, p)
	}
	slices.Sort(paths)

	var buffer bytes.Buffer
	var size int64
	w := tar.NewWriter(&buffer)
	for _, p := range paths {
		f := all[p]
		h := &tar.Header{Name: strings.TrimPrefix(p, "/"), Mode: int64(f.mode.Perm()), Uid: f.owner, Gid: f.owner, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if f.folder {
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
			if f.mode&fs.ModeSticky != 0 {
				h.Mode |= 0o1000
			}
			if err := w.WriteHeader(h); err != nil {
				return nil, 0, err
			}
			continue
		}
		data := f.data
		if f.source != "" {
			var err error
			if data, err = os.ReadFile(f.source); err != nil {
				return nil, 0, err
			}
		}
		h.Size = int64(len(data))
		size += h.Size
		if err := w.WriteHeader(h); err != nil {
			return nil, 0, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, 0, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, 0, err
	}
	return buffer.Bytes(), size, nil
}

// write makes the image and its archive, and returns how many bytes of files are in it. The layer is not compressed: the archive
// never leaves the machine, and the nodes of a bed would only have to unpack it, each for itself.
func (s spec) write(to string) (int64, error) {
	tag, err := name.NewTag(s.reference, name.StrictValidation)
	if err != nil {
		return 0, err
	}
	data, size, err := s.layer()
	if err != nil {
		return 0, err
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH,
		Config: v1.Config{
			Entrypoint: s.entrypoint,
			WorkingDir: s.workdir,
			User:       fmt.Sprintf("%d:%d", nonroot, nonroot),
			Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		},
	})
	if err != nil {
		return 0, err
	}
	image, err = mutate.AppendLayers(image, static.NewLayer(data, types.DockerUncompressedLayer))
	if err != nil {
		return 0, err
	}
	if err := tarball.WriteToFile(to+".new", tag, image); err != nil {
		return 0, err
	}
	return size, os.Rename(to+".new", to)
}
