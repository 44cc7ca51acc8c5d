package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestSettingsAreReadAndContradictionsRefused(t *testing.T) {
	s, err := read(env())
	if err != nil || s.Current || s.Sample != "config/samples/quickstart.yaml" || s.Timeout != 5*time.Minute {
		t.Errorf("nothing set: %+v, %v", s, err)
	}
	s, err = read(env("DEMO_CLUSTER", "current", "DEMO_SAMPLE", "x.yaml", "DEMO_TIMEOUT", "90s"))
	if err != nil || !s.Current || s.Sample != "x.yaml" || s.Timeout != 90*time.Second {
		t.Errorf("everything set: %+v, %v", s, err)
	}
	for want, bad := range map[string]func(string) string{
		"DEMO_CLUSTER=kind": env("DEMO_CLUSTER", "kind"),
		"exclude":           env("DEMO_CLUSTER", "current", "ROBUSTMQ_BIN", "/x"),
		"DEMO_TIMEOUT=soon": env("DEMO_TIMEOUT", "soon"),
		"DEMO_TIMEOUT=-1s":  env("DEMO_TIMEOUT", "-1s"),
	} {
		if _, err := read(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func forming(server string, ready metav1.ConditionStatus) *v1alpha1.RobustMQCluster {
	c := &v1alpha1.RobustMQCluster{}
	c.Status.Members = []v1alpha1.MemberStatus{{Pod: "a-placement-center-0", NodeID: 1, Role: v1alpha1.RolePlacementCenter, Volume: "Empty", Gate: "AwaitsOrder", Server: server}}
	c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: "Founding", Message: strings.Repeat("long ", 100)}}
	return c
}

func TestWithoutATerminalALineIsWrittenForEachChangeOnly(t *testing.T) {
	var out bytes.Buffer
	f := &formation{n: &narrator{out: &out, began: time.Now()}}
	for _, server := range []string{"Stopped", "Stopped", "Running", "Running"} {
		f.see(forming(server, metav1.ConditionFalse))
	}
	text := out.String()
	if strings.Count(text, "server Stopped") != 1 || strings.Count(text, "server Running") != 1 || strings.Count(text, "Ready False") != 1 {
		t.Errorf("%q", text)
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("control characters for a file: %q", text)
	}
}

func TestOnATerminalTheTableIsWrittenOverItself(t *testing.T) {
	var out bytes.Buffer
	f := &formation{n: &narrator{out: &out, began: time.Now(), terminal: true}}
	f.see(forming("Stopped", metav1.ConditionFalse))
	first := out.Len()
	f.see(forming("Stopped", metav1.ConditionFalse))
	if out.Len() != first {
		t.Errorf("nothing changed and %q was written", out.String()[first:])
	}
	f.see(forming("Running", metav1.ConditionTrue))
	second := out.String()[first:]
	// heading, one member, what is waited for
	if !strings.HasPrefix(second, "\x1b[3A\x1b[J") || !strings.Contains(second, "Running") || strings.Count(second, "\n") != 3 {
		t.Errorf("%q", second)
	}
	for line := range strings.Lines(second) {
		if len([]rune(line)) > 180 {
			t.Errorf("a line that would wrap: %q", line)
		}
	}
}

func TestWhatProgramsSayIsSetOff(t *testing.T) {
	var out bytes.Buffer
	w := &indented{out: &out, fresh: true}
	for _, part := range []string{"one\ntw", "o\n", "\nthree\n"} {
		if n, err := w.Write([]byte(part)); err != nil || n != len(part) {
			t.Fatal(n, err)
		}
	}
	if want := indent + "one\n" + indent + "two\n\n" + indent + "three\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestABackupTellsEachChangeOnceAndWhyItFailed(t *testing.T) {
	b := &v1alpha1.RobustMQBackup{}
	var w watched
	var told []string
	tell := func() {
		if line := w.news(b); line != "" {
			told = append(told, line)
		}
	}
	tell()
	b.Status.Stage, b.Status.Source.Pod = v1alpha1.BackupUploading, "a-placement-center-1"
	b.Status.Progress.Summary = "37 % of 12.3 MiB"
	tell()
	tell()
	b.Status.Stage = v1alpha1.BackupFailed
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: "BucketMissing", Message: "make it"}}
	tell()
	want := []string{"not looked at yet", "Uploading, from a-placement-center-1, 37 % of 12.3 MiB", "Failed, from a-placement-center-1: BucketMissing: make it"}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", told, want)
	}
	size, new := int64(100), int64(40)
	b.Status.Size, b.Status.SizeBytes, b.Status.UploadedBytes = "100 B", &size, &new
	if got := summary(b); !strings.Contains(got, "100 B, 40 of 100 bytes uploaded") {
		t.Errorf("%q", got)
	}
}

func TestARestoreTellsItsStageWhatItWaitsForAndWhyItFailed(t *testing.T) {
	r := &v1alpha1.RobustMQRestore{}
	if got := course(r); got != "not looked at yet" {
		t.Errorf("%q", got)
	}
	r.Status.Stage, r.Status.Progress.Summary, r.Status.Awaits = v1alpha1.RestoreTransferring, "37 % of 12.3 MiB", "the Job"
	if got := course(r); got != "Transferring, 37 % of 12.3 MiB; waits for the Job" {
		t.Errorf("%q", got)
	}
	r.Status.Stage = v1alpha1.RestoreFailed
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRestoreRefused, Message: "too few nodes"}}
	if got := course(r); got != "Failed: RestoreRefused: too few nodes" {
		t.Errorf("%q", got)
	}
	r.Status.Stage, r.Status.Conditions = v1alpha1.RestoreComplete, nil
	if got := course(r); got != "Complete" {
		t.Errorf("%q", got)
	}
}
