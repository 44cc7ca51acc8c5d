package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// A recipe tells how one image of the project is made.
type recipe struct {
	name       string // of the archive, and on the command line
	onDemand   bool   // made only when it is asked for by name
	reference  func(*builder) string
	entrypoint []string
	workdir    string
	files      func(*builder) ([]file, error)
	limit      int64 // bytes of files in it, 0 for no limit
}

// The versions that the simulator speaks: one of each range that the product treats differently and that was seen running.
var simulated = []string{"0.4.11", "0.3.0"}

// serverPath is where RobustMQ's published images keep the server; the simulator's image imitates them.
const (
	serverHome = "/robustmq"
	serverPath = serverHome + "/libs/broker-server"
)

var recipes = func() []recipe {
	list := []recipe{
		{
			name:       "robustmq-operator",
			reference:  fixed("bed.local/robustmq-operator:dev"),
			entrypoint: []string{"/operator"},
			workdir:    "/",
			files:      program("./cmd/operator", "/operator"),
		},
		{
			name:       "robustmq-agent",
			reference:  fixed("bed.local/robustmq-agent:dev"),
			entrypoint: []string{"/agent"},
			workdir:    "/",
			files:      program("./cmd/agent", "/agent"),
			// It is copied into the pod of every member, and so delays every start of a member.
			limit: 25 << 20,
		},
	}
	for _, version := range simulated {
		list = append(list, recipe{
			name:       "robustmq-simulator-v" + version,
			reference:  fixed("bed.local/robustmq-simulator:v" + version),
			entrypoint: []string{serverPath},
			workdir:    serverHome,
			files: func(b *builder) ([]file, error) {
				files, err := program("./test/simulator/cmd/broker-server", serverPath)(b)
				return append(files, serverFolders(version)...), err
			},
		})
	}
	list = append(list, monitoring...)
	return append(list, recipe{
		name:       "robustmq",
		onDemand:   true,
		reference:  func(b *builder) string { return "bed.local/robustmq:v" + b.serverVersion() },
		entrypoint: []string{serverPath},
		workdir:    serverHome,
		files:      realServer,
	})
}()

func fixed(reference string) func(*builder) string {
	return func(*builder) string { return reference }
}

// choose returns the named recipes, or all that are not on demand.
func choose(names []string) ([]recipe, error) {
	var chosen []recipe
	for _, r := range recipes {
		if len(names) == 0 && !r.onDemand || slices.Contains(names, r.name) {
			chosen = append(chosen, r)
		}
	}
	for _, n := range names {
		if !slices.ContainsFunc(recipes, func(r recipe) bool { return r.name == n }) {
			return nil, fmt.Errorf("no image is called %q; `images list` tells their names", n)
		}
	}
	return chosen, nil
}

// serverFolders are what a RobustMQ image has beside the server: the file that names its version, read relative to the working
// directory, and a home that belongs to the user.
func serverFolders(version string) []file {
	return []file{
		{path: serverHome, mode: 0o755, folder: true, owner: nonroot},
		{path: serverHome + "/config", mode: 0o755, folder: true, owner: nonroot},
		{path: serverHome + "/config/version.ini", mode: 0o644, data: []byte(version + "\n")},
	}
}

// A builder compiles programs, each once.
type builder struct {
	root, out string
	env       func(string) string
	compiled  map[string]string // package -> binary
}

// compile builds the main package pkg of the repository as a static program and returns where it is.
func (b *builder) compile(pkg string) (string, error) {
	return b.compileIn(".", pkg, filepath.Base(pkg))
}

// compileIn builds the main package pkg, as the module in that folder of the repository pins it, as a program of that name.
func (b *builder) compileIn(module, pkg, name string, flags ...string) (string, error) {
	if binary, done := b.compiled[pkg]; done {
		return binary, nil
	}
	folder, err := filepath.Abs(filepath.Join(b.out, "bin"))
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, name)
	cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary}, flags, []string{pkg})...)
	cmd.Dir = filepath.Join(b.root, module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	log.Printf("compiling %s", pkg)
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("compiling %s: %w", pkg, err)
	}
	b.compiled[pkg] = binary
	return binary, nil
}

// program returns the files of an image that holds one static program, and the certificates of the public authorities, by which
// it judges S3 endpoints.
func program(pkg, path string) func(*builder) ([]file, error) {
	return func(b *builder) ([]file, error) {
		binary, err := b.compile(pkg)
		if err != nil {
			return nil, err
		}
		certificates, err := authorities()
		return append(certificates, file{path: path, mode: 0o755, source: binary}), err
	}
}

// authorities returns this machine's bundle of certificate authorities, where programs of any Linux distribution look for it.
func authorities() ([]file, error) {
	for _, bundle := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if _, err := os.Stat(bundle); err == nil {
			return fromDisk(bundle, "/etc/ssl/certs/ca-certificates.crt")
		}
	}
	return nil, errors.New("no bundle of certificate authorities on this machine: install the package ca-certificates")
}
