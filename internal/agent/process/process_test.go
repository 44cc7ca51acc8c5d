package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// TestMain plays the server when the test binary is started as one: --conf names a file with what to do.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "--conf=") {
		os.Exit(play(strings.TrimPrefix(os.Args[1], "--conf=")))
	}
	if os.Getenv("REAPER_TEST") != "" {
		os.Exit(reap())
	}
	os.Exit(m.Run())
}

func play(conf string) int {
	raw, err := os.ReadFile(conf)
	if err != nil {
		return 99
	}
	words := strings.Fields(string(raw))
	switch words[0] {
	case "exit":
		code, err := strconv.Atoi(words[1])
		if err != nil {
			return 98
		}
		return code
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "kill-itself": // as a shell: Go's runtime turns some signals into exit codes
		if err := syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -" + words[1] + " $$"}, os.Environ()); err != nil {
			return 97
		}
	case "wait": // for SIGTERM, then ends softly
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("ready")
		<-terminated
		fmt.Println("bye")
	case "orphan": // leaves a grandchild behind that ends a little later
		if err := exec.Command("/bin/sh", "-c", "(exec >/dev/null 2>&1; sleep 0.05) & exit 0").Run(); err != nil {
			return 96
		}
	case "panic":
		fmt.Fprint(os.Stderr, "\nthread 'main' (30458) panicked at src/common/config/src/broker.rs:30:84:\nTOML parse error at line 5, column 13\n  |\n"+
			"5 | grpc_port = \"abc\"\n  |             ^^^^^\ninvalid type: string \"abc\", expected u32\n\nstack backtrace:\nnote: Some details\n")
		return 101
	}
	return 0
}

func conf(t testing.TB, what string) string {
	path := filepath.Join(t.TempDir(), "server.toml")
	if err := os.WriteFile(path, []byte(what), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, what string, out io.Writer) Process {
	t.Helper()
	p, err := Exec{}.Start(context.Background(), Spec{Binary: os.Args[0], Conf: conf(t, what), Dir: t.TempDir(), Stdout: out, Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryEndIsTold(t *testing.T) {
	for what, want := range map[string]struct {
		status ExitStatus
		reason string
	}{
		"exit 0":         {ExitStatus{}, protocol.ExitEnded},
		"exit 1":         {ExitStatus{Code: 1}, protocol.ExitStartFailed},
		"exit 101":       {ExitStatus{Code: 101}, protocol.ExitConfigPanic},
		"exit 7":         {ExitStatus{Code: 7}, protocol.ExitUnknown},
		"kill-itself 9":  {ExitStatus{Code: 137, Signal: syscall.SIGKILL}, protocol.ExitKilled},
		"kill-itself 15": {ExitStatus{Code: 143, Signal: syscall.SIGTERM}, protocol.ExitKilled},
		"kill-itself 6":  {ExitStatus{Code: 134, Signal: syscall.SIGABRT}, protocol.ExitCrashed},
	} {
		got := start(t, what, io.Discard).Wait()
		if got.Err != nil || got != want.status || Classify(got, false) != want.reason {
			t.Errorf("%s: %+v (%s), want %+v (%s)", what, got, Classify(got, false), want.status, want.reason)
		}
	}
	if got := Classify(ExitStatus{Code: 137, Signal: syscall.SIGKILL}, true); got != protocol.ExitOOMKilled {
		t.Errorf("killed for memory: %s", got)
	}
}

func TestASignalReachesTheServerAndAnEndedOneIsNoError(t *testing.T) {
	reader, writer := io.Pipe()
	p := start(t, "wait", writer)
	line := make([]byte, 6)
	if _, err := io.ReadFull(reader, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	go io.Copy(io.Discard, reader) //nolint:errcheck // ends with the test
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := p.Wait(); got != (ExitStatus{}) {
		t.Errorf("%+v", got)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestAProgramThatCannotBeExecutedIsAnError(t *testing.T) {
	if p, err := (Exec{}).Start(context.Background(), Spec{Binary: "/does/not/exist"}); err == nil {
		t.Errorf("%+v", p)
	}
}

func TestTheEndOfTheContextKills(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	p, err := Exec{}.Start(ctx, Spec{Binary: os.Args[0], Conf: conf(t, "wait"), Stdout: writer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(reader, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, reader) //nolint:errcheck // ends with the test
	cancel()
	if got := p.Wait(); got.Signal != syscall.SIGKILL {
		t.Errorf("%+v", got)
	}
}

func TestOverridesInTheEnvironmentDoNotReachTheServer(t *testing.T) {
	t.Setenv("ROBUST_MQ_SERVER_BROKER_ID", "9")
	t.Setenv("ROBUSTMQ_BROKER_IP", "1.2.3.4")
	t.Setenv("KEPT", "yes")
	var out bytes.Buffer
	start(t, "env", &out).Wait()
	if s := out.String(); strings.Contains(s, "BROKER_I") || !strings.Contains(s, "KEPT=yes") {
		t.Error(s)
	}
}

// reap is the body of the test below in a process of its own, whose children are all known.
func reap() int {
	fail := func(format string, args ...any) int { fmt.Printf(format+"\n", args...); return 1 }
	reaper, err := NewReaper()
	if err != nil {
		return fail("%v", err)
	}
	wake := make(chan os.Signal, 1)
	signal.Notify(wake, syscall.SIGCHLD)
	done := make(chan struct{})
	go reaper.Run(done, wake)
	dir, err := os.MkdirTemp("", "reaper")
	if err != nil {
		return fail("%v", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // test
	for i := range 30 {
		what, want := fmt.Sprintf("exit %d", i), i
		if i%3 == 0 {
			what, want = "orphan", 0
		}
		path := filepath.Join(dir, "conf")
		if err := os.WriteFile(path, []byte(what), 0o600); err != nil {
			return fail("%v", err)
		}
		p, err := Exec{Reaper: reaper}.Start(context.Background(), Spec{Binary: os.Args[0], Conf: path})
		if err != nil {
			return fail("%v", err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for i%2 == 1 { // it has ended and lies there for all to see, before Wait is called
			pid, err := peek()
			if err != nil || time.Now().After(deadline) {
				return fail("peek: %d, %v", pid, err)
			}
			if pid == p.PID() {
				reaper.collect()
				break
			}
		}
		if got := p.Wait(); got.Err != nil || got.Code != want {
			return fail("%s: %+v", what, got)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left, err := children()
		if err != nil {
			return fail("%v", err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fail("not reaped: %v", left)
		}
		<-time.After(10 * time.Millisecond)
	}
	close(done)
	fmt.Println("all children told, all orphans reaped")
	return 0
}

// children lists this process's children, dead ones too.
func children() ([]string, error) {
	var all []string
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil, err
	}
	for _, task := range tasks {
		raw, err := os.ReadFile(task)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return nil, err
		}
		all = append(all, strings.Fields(string(raw))...)
	}
	return all, nil
}

func TestOrphansAreReapedAndNoChildsStatusIsStolen(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REAPER_TEST=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all orphans reaped") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAPanicIsTheMessageOfTheEnd(t *testing.T) {
	o := NewOutput(nil)
	var passed bytes.Buffer
	w := o.Writer(&passed)
	if got := start(t, "panic", w).Wait(); got.Code != 101 {
		t.Fatalf("%+v", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if m := o.Message(); !strings.HasPrefix(m, "TOML parse error at line 5, column 13") || !strings.Contains(m, "expected u32") || strings.Contains(m, "backtrace") {
		t.Errorf("message: %q", m)
	}
	if !strings.Contains(passed.String(), "stack backtrace") {
		t.Errorf("not passed on: %q", passed.String())
	}
}

func TestTheLastErrorLineIsTheMessageOfTheEnd(t *testing.T) {
	o := NewOutput(nil)
	w := o.Writer(io.Discard)
	fmt.Fprint(w, "2026-11-23T17:00:03.8Z ERROR broker_server::server: first\n2026-11-23T17:00:03.9Z ERROR broker_server: Failed to initialize inner topics\n2026 INFO x: this ERROR is none\n")
	if m := o.Message(); !strings.HasSuffix(m, "Failed to initialize inner topics") {
		t.Error(m)
	}
	if got := len(o.Tail()); got != 3 {
		t.Errorf("%d lines kept", got)
	}
}

func TestSecretsAreBlottedOutHoweverTheyArrive(t *testing.T) {
	secret := "s3cr3t-with-ünïcode"
	text := "a " + secret + " b\n" + strings.Repeat("x", maxLine-9) + secret + " after a line that is too long\nend " + secret
	for size := 1; size < 64; size += 7 {
		o := NewOutput([]string{secret, "", "x"})
		var passed bytes.Buffer
		w := o.Writer(&passed)
		for chunk := range slices.Chunk([]byte(text), size) {
			if n, err := w.Write(chunk); n != len(chunk) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(text, secret, blot); passed.String() != want {
			t.Fatalf("pieces of %d: %d bytes passed on, want %d; secret in it: %v", size, passed.Len(), len(want), strings.Contains(passed.String(), secret))
		}
		if strings.Contains(strings.Join(o.Tail(), ""), secret) {
			t.Error("the tail shows it")
		}
	}
}

func TestALogThatCannotBeWrittenDoesNotStopTheServer(t *testing.T) {
	w := NewOutput(nil).Writer(broken{})
	if n, err := w.Write([]byte("line\n")); n != 5 || err != nil {
		t.Error(n, err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestTheBackOffIsBoundedAndForgetsAfterAStableRun(t *testing.T) {
	b := Backoff{First: time.Second, Max: 30 * time.Second, Stable: time.Minute}
	var got []time.Duration
	for range 7 {
		got = append(got, b.Next(time.Second)/time.Second)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 30, 30}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if d := b.Next(2 * time.Minute); d != time.Second {
		t.Errorf("after a stable run: %s", d)
	}
	b.Next(0)
	b.Reset()
	if d := b.Next(0); d != time.Second {
		t.Errorf("after a reset: %s", d)
	}
}

func TestTheCounterOfMemoryKillsIsReadFromBothVersionsOfCgroups(t *testing.T) {
	for text, want := range map[string]uint64{
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n": 2,
		"oom_kill_disable 0\nunder_oom 0\noom_kill 1\n":                1,
	} {
		if n, ok := ParseOOMKills(text); !ok || n != want {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
	if n, ok := ParseOOMKills("oom_kill x\n"); ok {
		t.Error(n)
	}
}

func FuzzOutputPassesEverythingOn(f *testing.F) {
	f.Add([]byte("thread 'main' panicked at x:1:2:\nwhy\n\n"), 3)
	f.Add([]byte("\n\n ERROR \x00\xff\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size <= 0 || size > 1<<16 {
			size = 1
		}
		o := NewOutput([]string{"secret-value"})
		var passed bytes.Buffer
		w := o.Writer(&passed)
		for chunk := range slices.Chunk(text, size) {
			if _, err := w.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := bytes.ReplaceAll(text, []byte("secret-value"), []byte(blot)); len(text) < maxLine && !bytes.Equal(passed.Bytes(), want) {
			t.Errorf("%q became %q", text, passed.Bytes())
		}
		_ = o.Message()
	})
}
