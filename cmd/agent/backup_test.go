package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

// pod makes the files of a Job's pod, and the request of a probe of a store.
func pod(t *testing.T, endpoint string) (root, request string) {
	t.Helper()
	root = t.TempDir()
	dir := filepath.Join(root, job.CredentialsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{job.AccessKeyFile: "AKTEST", job.SecretKeyFile: "planted-secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := job.Request{
		Destination: job.Destination{Bucket: "backups", Endpoint: endpoint, Region: "r", PathStyle: true, StaticCredentials: true},
		Owner:       job.Owner{ClusterUID: "u", Name: "demo", Namespace: "ns"},
	}.Encode(job.Probe)
	if err != nil {
		t.Fatal(err)
	}
	return root, text
}

func said(t *testing.T, file string) job.Result {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := job.ParseResult(job.Probe, string(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAJobSaysInItsTerminationMessageWhatCameOfItAndEndsAccordingly(t *testing.T) {
	server := &s3test.Server{Bucket: "backups", Region: "r", AccessKey: "AKTEST", SecretKey: "planted-secret"}
	faults := &s3test.Faults{Next: server}
	h := httptest.NewServer(faults)
	defer h.Close()
	root, request := pod(t, h.URL)
	message := filepath.Join(root, "message")
	probe := func(text string) (int, job.Result, string) {
		var log bytes.Buffer
		code := backup([]string{"probe", "--request=" + text}, &log, message, func(o *job.Options) {
			o.Root, o.Tune = root, func(c *store.Config) { c.Attempts = 1 }
		})
		return code, said(t, message), log.String()
	}
	code, r, log := probe(request)
	if code != 0 || r.Reason != job.DestinationWritable || !strings.Contains(log, r.Message) {
		t.Errorf("%d %+v\n%s", code, r, log)
	}
	faults.Choose(func(*http.Request) s3test.Fault { return s3test.Denied })
	code, r, log = probe(request)
	if code != 1 || r.Reason != job.AccessDenied || !strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, "AccessDenied") {
		t.Errorf("%d %+v\n%s", code, r, log)
	}
	for _, text := range []string{"", "{}", `{"x":1}`} {
		if code, r, _ = probe(text); code != 1 || r.Reason != job.RequestInvalid || !strings.Contains(r.Message, "different versions") {
			t.Errorf("%q: %d %+v", text, code, r)
		}
	}
	// Where the result cannot be written the Job has failed: nobody would know of a success.
	faults.Choose(nil)
	if code := backup([]string{"probe", "--request", request}, &bytes.Buffer{}, filepath.Join(root, "no", "folder"), func(o *job.Options) { o.Root = root }); code != 1 {
		t.Errorf("ended with %d", code)
	}
}

func TestAJobOfNoKindIsToldHowToAsk(t *testing.T) {
	for _, args := range [][]string{nil, {"undo"}, {"probe", "--secret=x"}, {"probe", "--request={}", "more"}} {
		var log bytes.Buffer
		if code := backup(args, &log, filepath.Join(t.TempDir(), "message"), nil); code != 2 || !strings.Contains(log.String(), "agent backup take|probe|collect|delete|verify|inspect|restore") {
			t.Errorf("%q: %d, %s", args, code, &log)
		}
	}
	var log bytes.Buffer
	if code := dispatch([]string{"backup", "nothing"}, &log, &log); code != 2 {
		t.Errorf("ended with %d", code)
	}
}

func TestAJobThatIsToldToEndSaysSoAtOnce(t *testing.T) {
	arrived := make(chan struct{}, 100)
	faults := &s3test.Faults{}
	faults.Choose(func(*http.Request) s3test.Fault { arrived <- struct{}{}; return s3test.Hung })
	h := httptest.NewServer(faults)
	defer func() { h.CloseClientConnections(); h.Close() }()
	root, request := pod(t, h.URL)
	cmd := exec.Command(os.Args[0], "probe", "--request="+request)
	cmd.Env = append(os.Environ(), "AGENT_TEST_JOB_ROOT="+root)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-arrived:
	case err := <-ended:
		t.Fatalf("%v\n%s", err, &log)
	case <-time.After(time.Minute):
		t.Fatal("nothing was asked of the store")
	}
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Log("it ended:", err)
	case <-time.After(time.Minute):
		t.Fatalf("it does not end\n%s", &log)
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 || time.Since(began) > 20*time.Second {
		t.Errorf("ended with %d after %s\n%s", code, time.Since(began), &log)
	}
	if r := said(t, filepath.Join(root, "message")); r.Reason != job.Interrupted {
		t.Errorf("%+v", r)
	}
}
