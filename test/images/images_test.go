package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestAnArchiveHoldsTheFilesAndRunsAsNobodyInParticular(t *testing.T) {
	out, source := filepath.Join(t.TempDir(), "app.tar"), t.TempDir()
	write(t, filepath.Join(source, "app"), "program", 0o755)
	write(t, filepath.Join(source, "etc", "app.conf"), "setting", 0o600)
	if err := packCommand([]string{out, "bed.local/app:1", "/bin/app", filepath.Join(source, "app") + "=/bin/app", filepath.Join(source, "etc") + "=/etc/app"}); err != nil {
		t.Fatal(err)
	}
	image, content := read(t, out)
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/bin/app"}) {
		t.Errorf("user %q, entrypoint %q", c.User, c.Entrypoint)
	}
	for path, want := range map[string]struct {
		content string
		mode    int64
	}{"bin/app": {"program", 0o755}, "etc/app/app.conf": {"setting", 0o644}, "tmp/": {"", 0o1777}, "bin/": {"", 0o755}} {
		if got, ok := content[path]; !ok || got.data != want.content || got.mode != want.mode {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	if !strings.Contains(content["etc/passwd"].data, ":65532:65532:") {
		t.Errorf("nobody with the user's id in /etc/passwd: %q", content["etc/passwd"].data)
	}
}

func TestTheSameInputGivesTheSameBytes(t *testing.T) {
	source := filepath.Join(t.TempDir(), "app")
	write(t, source, "program", 0o755)
	var archives [2][]byte
	for i := range archives {
		out := filepath.Join(t.TempDir(), "app.tar")
		if err := packCommand([]string{out, "bed.local/app:1", "/app", source + "=/app", source + "=/also"}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = data
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the archives differ")
	}
}

func TestWhatIsNotAFileInTheImageIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"x.tar", "bed.local/app:1", "/app"},
		{"x.tar", "bed.local/app:1", "/app", "/bin/true"},
		{"x.tar", "bed.local/app:1", "/app", "/bin/true=relative"},
		{"x.tar", "bed.local/app:1", "/app", "/no/such/file=/app"},
		{filepath.Join(t.TempDir(), "x.tar"), "bed.local/App without tag", "/app", os.Args[0] + "=/app"},
	} {
		if err := packCommand(args); err == nil {
			t.Errorf("%q was packed", args)
		}
	}
}

func TestARecipeCompilesItsProgramAndNamesItsVersion(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module example\n\ngo 1.26\n", 0o644)
	for _, pkg := range []string{"cmd/operator", "cmd/agent", "test/simulator/cmd/broker-server"} {
		write(t, filepath.Join(root, pkg, "main.go"), "package main\n\nfunc main() {}\n", 0o644)
	}
	out := t.TempDir()
	if err := buildCommand([]string{"-root", root, "-out", out}); err != nil {
		t.Fatal(err)
	}
	for archive, path := range map[string]string{"robustmq-operator": "operator", "robustmq-agent": "agent"} {
		_, content := read(t, filepath.Join(out, archive+".tar"))
		if content[path].mode != 0o755 || !strings.HasPrefix(content[path].data, "\x7fELF") {
			t.Errorf("%s holds no program /%s", archive, path)
		}
		if !strings.Contains(content["etc/ssl/certs/ca-certificates.crt"].data, "BEGIN CERTIFICATE") {
			t.Errorf("%s holds no certificate authorities", archive)
		}
	}
	for _, version := range simulated {
		image, content := read(t, filepath.Join(out, "robustmq-simulator-v"+version+".tar"))
		if got := content["robustmq/config/version.ini"].data; got != version+"\n" {
			t.Errorf("simulator of %s says it is %q", version, got)
		}
		if content["robustmq/"].owner != nonroot || content["robustmq/libs/broker-server"].mode != 0o755 {
			t.Errorf("simulator of %s: %+v, server mode %o", version, content["robustmq/"], content["robustmq/libs/broker-server"].mode)
		}
		if config, err := image.ConfigFile(); err != nil || config.Config.WorkingDir != "/robustmq" {
			t.Errorf("simulator of %s: %+v, %v", version, config, err)
		}
	}
	for _, name := range []string{"robustmq", "prometheus", "prometheus-operator", "prometheus-config-reloader"} {
		if _, err := os.Stat(filepath.Join(out, name+".tar")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the image %s was made although nobody asked for it", name)
		}
	}
}

func TestAProgramOfOtherPeopleIsCompiledInTheModuleThatPinsIt(t *testing.T) {
	root := t.TempDir()
	// Two modules, and in neither the package of the other: a program that was looked for in the wrong one would not be found.
	for module, pkg := range map[string]string{prometheusModule: "prom", prometheusOperatorModule: "oper"} {
		write(t, filepath.Join(root, module, "go.mod"), "module example.com/"+pkg+"\n\ngo 1.26\n", 0o644)
		write(t, filepath.Join(root, module, "cmd/operator/main.go"), "package main\n\nfunc main() {}\n", 0o644)
	}
	b := builder{root: root, out: t.TempDir(), compiled: map[string]string{}}
	for name, r := range map[string]recipe{
		"a": foreign("a", prometheusModule, "example.com/prom/cmd/operator"),
		"b": foreign("b", prometheusOperatorModule, "example.com/oper/cmd/operator", "-tags=x"),
	} {
		files, err := r.files(&b)
		if err != nil || len(files) != 1 || files[0].path != "/bin/"+name || filepath.Base(files[0].source) != name {
			t.Errorf("%s: %+v, %v", name, files, err)
		}
	}
}

func TestTheManifestsOfTheBedsPrometheusNameTheImagesThatAreMade(t *testing.T) {
	manifests, err := filepath.Glob("../prometheus/install/*.yaml")
	if err != nil || len(manifests) == 0 {
		t.Fatal(manifests, err)
	}
	var text strings.Builder
	for _, m := range manifests {
		data, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	for _, r := range monitoring {
		if reference := r.reference(nil); !strings.Contains(text.String(), reference) {
			t.Errorf("%s is made, and no manifest names it", reference)
		}
	}
}

func TestAnAgentThatGrowsTooLargeIsRefused(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module example\n\ngo 1.26\n", 0o644)
	write(t, filepath.Join(root, "cmd/agent/ballast"), strings.Repeat("0123456789abcdef", 25<<16), 0o644)
	write(t, filepath.Join(root, "cmd/agent/main.go"), "package main\n\nimport _ \"embed\"\n\n//go:embed ballast\nvar ballast string\n\nfunc main() { println(ballast) }\n", 0o644)
	err := buildCommand([]string{"-root", root, "-out", t.TempDir(), "robustmq-agent"})
	if err == nil || !strings.Contains(err.Error(), "no more than 25.0 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestALocalServerIsPackedWithItsLibraries(t *testing.T) {
	dynamic, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no dynamic program at hand")
	}
	if out, err := exec.Command("ldd", dynamic).CombinedOutput(); err != nil {
		t.Skipf("ldd: %v: %s", err, out)
	}
	home := t.TempDir()
	data, err := os.ReadFile(dynamic)
	if err != nil {
		t.Fatal(err)
	}
	server := filepath.Join(home, "libs", "broker-server")
	write(t, server, string(data), 0o755)
	write(t, filepath.Join(home, "config", "version.ini"), "0.4.3", 0o644)
	write(t, filepath.Join(home, "config", "certs", "cert.pem"), "public", 0o644)
	t.Setenv("ROBUSTMQ_BIN", server)
	t.Setenv("ROBUSTMQ_VERSION", "v0.4.12")
	out := t.TempDir()
	if err := buildCommand([]string{"-out", out, "robustmq"}); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(out, "robustmq.tar")
	_, content := read(t, archive)
	for path, want := range map[string]string{
		"robustmq/libs/broker-server": string(data), "robustmq/config/version.ini": "0.4.12\n", "robustmq/config/certs/cert.pem": "public", "etc/nsswitch.conf": "hosts: files dns\n",
	} {
		if content[path].data != want {
			t.Errorf("%s is not as it should be", path)
		}
	}
	for _, library := range []string{"libc.so.6", "ld-linux"} {
		found := false
		for path := range content {
			found = found || strings.Contains(path, library)
		}
		if !found {
			t.Errorf("%s is not in the image", library)
		}
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(archive) })
	if err != nil || len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"bed.local/robustmq:v0.4.12"}) {
		t.Errorf("manifest %+v, %v", manifest, err)
	}
}

func TestAServerThatCannotBePackedIsRefusedWithTheReason(t *testing.T) {
	folder := t.TempDir()
	plain := filepath.Join(folder, "notes.txt")
	write(t, plain, "text", 0o644)
	for _, c := range []struct{ bin, version, want string }{
		{"", "", "ROBUSTMQ_BIN must name"},
		{filepath.Join(folder, "missing"), "", "no such file"},
		{folder, "", "is not a program"},
		{plain, "", "is not a program"},
		{plain, "latest", "is not a version"},
	} {
		t.Setenv("ROBUSTMQ_BIN", c.bin)
		t.Setenv("ROBUSTMQ_VERSION", c.version)
		if err := buildCommand([]string{"-out", folder, "robustmq"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := buildCommand([]string{"-out", folder, "robustmq-oprator"}); err == nil {
		t.Error("an image that nobody knows was built")
	}
}

func FuzzLddOutputNamesOnlyAbsolutePaths(f *testing.F) {
	f.Add("\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n")
	f.Add("\tlibrocksdb.so => not found\n")
	f.Add("\tnot a dynamic executable\n")
	f.Fuzz(func(t *testing.T, out string) {
		paths, err := parseLibraries(out)
		if (err == nil) != (len(paths) > 0) {
			t.Fatalf("%d paths and %v", len(paths), err)
		}
		for _, p := range paths {
			if !filepath.IsAbs(p) || strings.ContainsAny(p, " \t\n") {
				t.Errorf("%q", p)
			}
		}
	})
}

type entry struct {
	data  string
	mode  int64
	owner int
}

func read(t *testing.T, archive string) (v1.Image, map[string]entry) {
	t.Helper()
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	layer, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	content := map[string]entry{}
	for r := tar.NewReader(layer); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return image, content
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content[h.Name] = entry{string(data), h.Mode, h.Uid}
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
