// images makes container image archives without a container engine, a registry or a base image.
//
//	images build [-root DIR] [-out DIR] [NAME...]    the project's own images (all but "robustmq" if none is named)
//	images list                                      their names
//	images pack OUT.tar NAME:TAG ENTRYPOINT FILE=/path/in/image...    any image of plain files
//
// build compiles what belongs in an image, writes the archives to -out and prints their paths, one a line, on standard output, for
// `bed load-image`. "robustmq" packs the local server binary that ROBUSTMQ_BIN names, with its shared libraries.
// An archive is what `docker save` writes, so docker, containerd, kind and crane read it. The same input gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("images: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: images build|list|pack ...")
	}
	var err error
	switch args := os.Args[2:]; os.Args[1] {
	case "build":
		err = buildCommand(args)
	case "list":
		for _, r := range recipes {
			fmt.Println(r.name)
		}
	case "pack":
		err = packCommand(args)
	default:
		err = fmt.Errorf("unknown command %q: build, list and pack are known", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func buildCommand(args []string) error {
	flags := flag.NewFlagSet("images build", flag.ExitOnError)
	root := flags.String("root", ".", "root of the repository")
	out := flags.String("out", defaultOut(), "folder for the archives")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		return err
	}
	b := builder{root: *root, out: *out, env: os.Getenv, compiled: map[string]string{}}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	for _, r := range chosen {
		begin := time.Now()
		files, err := r.files(&b)
		if err != nil {
			return fmt.Errorf("image %s: %w", r.name, err)
		}
		spec := spec{reference: r.reference(&b), entrypoint: r.entrypoint, workdir: r.workdir, files: files}
		path := filepath.Join(b.out, r.name+".tar")
		size, err := spec.write(path)
		if err != nil {
			return fmt.Errorf("image %s: %w", r.name, err)
		}
		if r.limit > 0 && size > r.limit {
			return fmt.Errorf("image %s has %s of files and may have no more than %s", r.name, mebibytes(size), mebibytes(r.limit))
		}
		log.Printf("%-48s %10s  in %.1fs", spec.reference, mebibytes(size), time.Since(begin).Seconds())
		fmt.Println(path)
	}
	return nil
}

func packCommand(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: images pack OUT.tar NAME:TAG ENTRYPOINT FILE=/path/in/image...")
	}
	s := spec{reference: args[1], entrypoint: []string{args[2]}, workdir: "/"}
	for _, pair := range args[3:] {
		source, path, found := strings.Cut(pair, "=")
		if !found || !strings.HasPrefix(path, "/") {
			return fmt.Errorf("%q is not FILE=/path/in/image", pair)
		}
		files, err := fromDisk(source, path)
		if err != nil {
			return err
		}
		s.files = append(s.files, files...)
	}
	_, err := s.write(args[0])
	return err
}

func defaultOut() string {
	cache := os.Getenv("ROBUSTMQ_OPERATOR_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		cache = filepath.Join(home, ".cache", "robustmq-operator")
	}
	return filepath.Join(cache, "images")
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
