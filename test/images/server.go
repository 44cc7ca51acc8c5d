package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// seenVersion is what a local server is taken for unless ROBUSTMQ_VERSION says otherwise: its own --version prints a constant
// (RobustMQ 0.3.0: 0.0.1, 0.4.x: 0.3.3), and the version.ini of its source tree lags behind.
const seenVersion = "0.4.11"

var versionForm = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+([-+.][0-9A-Za-z.-]+)?$`)

func (b *builder) serverVersion() string {
	if v := strings.TrimPrefix(b.env("ROBUSTMQ_VERSION"), "v"); v != "" {
		return v
	}
	return seenVersion
}

// realServer returns the files of an image that holds the server which ROBUSTMQ_BIN names, with the shared libraries of this
// machine, as RobustMQ's own images lay them out. The folders config and dist beside the binary's own are taken along if they
// are there (X/libs/broker-server: X/config with the demonstration certificates, X/dist with the web pages).
func realServer(b *builder) ([]file, error) {
	binary := b.env("ROBUSTMQ_BIN")
	if binary == "" {
		return nil, errors.New("ROBUSTMQ_BIN must name a broker-server")
	}
	version := b.serverVersion()
	if !versionForm.MatchString(version) {
		return nil, fmt.Errorf("ROBUSTMQ_VERSION %q is not a version such as %s", version, seenVersion)
	}
	server, err := fromDisk(binary, serverPath)
	if err != nil {
		return nil, fmt.Errorf("ROBUSTMQ_BIN: %w", err)
	}
	if len(server) != 1 || server[0].mode&0o111 == 0 {
		return nil, fmt.Errorf("ROBUSTMQ_BIN: %s is not a program", binary)
	}
	var files []file
	for _, folder := range []string{"config", "dist"} {
		beside := filepath.Join(filepath.Dir(binary), "..", folder)
		if info, err := os.Stat(beside); err == nil && info.IsDir() {
			more, err := fromDisk(beside, serverHome+"/"+folder)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
	}
	libraries, err := sharedLibraries(binary)
	if err != nil {
		return nil, err
	}
	certificates, err := authorities()
	if err != nil {
		return nil, err
	}
	files = append(files, serverFolders(version)...)
	files = append(files, libraries...)
	files = append(files, certificates...)
	// without it the C library asks DNS before /etc/hosts
	files = append(files, file{path: "/etc/nsswitch.conf", mode: 0o644, data: []byte("hosts: files dns\n")})
	return append(files, server...), nil
}

var libraryLine = regexp.MustCompile(`(/\S+) \(0x[0-9a-f]+\)`)

// parseLibraries returns the files that ldd's output names: the loader and the libraries, where they are on this machine.
func parseLibraries(ldd string) ([]string, error) {
	if strings.Contains(ldd, "not found") {
		return nil, fmt.Errorf("a shared library is missing on this machine:\n%s", ldd)
	}
	var paths []string
	for _, m := range libraryLine.FindAllStringSubmatch(ldd, -1) {
		paths = append(paths, m[1])
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("ldd names no library:\n%s", ldd)
	}
	return paths, nil
}

// sharedLibraries returns what a dynamic program needs: the libraries it is linked with, and those that the C library opens
// by itself to resolve names. Of a static program it returns none.
func sharedLibraries(binary string) ([]file, error) {
	out, err := exec.Command("ldd", binary).CombinedOutput()
	if strings.Contains(string(out), "not a dynamic executable") || strings.Contains(string(out), "statically linked") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking ldd what %s needs: %w: %s", binary, err, out)
	}
	paths, err := parseLibraries(string(out))
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if filepath.Base(p) != "libc.so.6" {
			continue
		}
		for _, resolver := range []string{"libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"} {
			if beside := filepath.Join(filepath.Dir(p), resolver); exists(beside) {
				paths = append(paths, beside)
			}
		}
	}
	var files []file
	for _, p := range paths {
		more, err := fromDisk(p, p)
		if err != nil {
			return nil, err
		}
		more[0].mode = 0o755
		files = append(files, more...)
	}
	return files, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
