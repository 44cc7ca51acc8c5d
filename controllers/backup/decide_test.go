package backup

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

var timings = DefaultTimings()

func TestABackupThatHasNotBegun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *observation)
		reason string
		begin  bool
	}{
		"begins when nothing stands in its way": {func(*observation) {}, v1alpha1.ReasonWaitingForPods, true},
		"waits for its cluster":                 {func(o *observation) { o.cluster = nil }, v1alpha1.ReasonWaitingForCluster, false},
		"does not begin in a cluster that goes": {func(o *observation) { o.cluster.DeletionTimestamp = ptr.To(metav1.NewTime(noon)) }, v1alpha1.ReasonWaitingForCluster, false},
		"waits for a destination":               {func(o *observation) { o.cluster.Spec.Backup = nil }, v1alpha1.ReasonNoDestination, false},
		"waits until the cluster was founded":   {func(o *observation) { o.cluster.Status.Founded = false }, v1alpha1.ReasonWaitingForCluster, false},
		"waits until its Job's name is free": {func(o *observation) {
			o.job = newJob(newBackup(func(b *v1alpha1.RobustMQBackup) { b.UID = "other" }), o.cluster)
		}, v1alpha1.ReasonNameTaken, false},
		"waits for its turn":                           {func(o *observation) { o.turn = &wait{v1alpha1.ReasonWaitingForTurn, "x"} }, v1alpha1.ReasonWaitingForTurn, false},
		"waits for a restore":                          {func(o *observation) { o.restore = "undo" }, v1alpha1.ReasonRestoreRunning, false},
		"waits for a Secret":                           {func(o *observation) { o.missing = &wait{v1alpha1.ReasonWaitingForSecret, "x"} }, v1alpha1.ReasonWaitingForSecret, false},
		"waits for a member":                           {func(o *observation) { o.unready = &wait{v1alpha1.ReasonWaitingForMember, "x"} }, v1alpha1.ReasonWaitingForMember, false},
		"asks for the destination before anybody else": {func(o *observation) { o.cluster.Spec.Backup, o.turn, o.restore = nil, &wait{"x", "x"}, "undo" }, v1alpha1.ReasonNoDestination, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := &observation{now: noon.Add(v1alpha1.DefaultStartDeadline - time.Second), backup: newBackup(), cluster: newCluster(), source: newChoice()}
			c.change(o)
			v := decide(o, timings)
			if v.stage != v1alpha1.BackupWaiting || v.reason != c.reason || v.begin != c.begin || v.remove || v.message == "" {
				t.Errorf("%+v", v)
			}
			// A second later its time is over, for the same reason.
			o.now = o.now.Add(time.Second)
			if v := decide(o, timings); v.stage != v1alpha1.BackupFailed || v.begin || (v.reason != c.reason && !c.begin) || !strings.Contains(v.message, "it could not begin within 10m0s") {
				t.Errorf("at its deadline: %+v", v)
			}
		})
	}
}

func TestABackupWhoseJobExists(t *testing.T) {
	b, c := newBackup(begun(v1alpha1.BackupWaiting, time.Time{})), newCluster()
	j := newJob(b, c)
	uploading := func(o *observation) {
		o.image = &protocol.Image{ID: imageID(o.backup), Progress: &protocol.ImageProgress{Stage: protocol.StageUploading, Bytes: 5, Total: 10}}
	}
	at := func(stage v1alpha1.BackupStage, moved time.Duration) func(*observation) {
		return func(o *observation) { begun(stage, noon.Add(moved))(o.backup) }
	}
	good := string(success(j).Encode())
	other := success(j)
	other.ID = "20200101T000000Z-other"
	elsewhere := success(j)
	elsewhere.Key = "elsewhere/manifest.json"
	run := podFor(j, running(noon.Add(5*time.Second)))
	pulling := podFor(j, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}, func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending })
	for name, x := range map[string]struct {
		pod    *corev1.Pod
		after  time.Duration // noon
		change func(*observation)
		stage  v1alpha1.BackupStage
		reason string
		remove bool
	}{
		"waits for the pod":                                             {nil, time.Minute, nil, v1alpha1.BackupWaiting, v1alpha1.ReasonWaitingForPods, false},
		"waits for an image to be pulled":                               {pulling, time.Minute, nil, v1alpha1.BackupWaiting, v1alpha1.ReasonImagePullFailed, false},
		"fails of that at the start deadline":                           {pulling, 10 * time.Minute, nil, v1alpha1.BackupFailed, v1alpha1.ReasonImagePullFailed, true},
		"is staging while the program runs and says nothing":            {run, time.Minute, nil, v1alpha1.BackupStaging, v1alpha1.ReasonBackupStarted, false},
		"is uploading when the agent was told so":                       {run, time.Minute, uploading, v1alpha1.BackupUploading, v1alpha1.ReasonBackupUploading, false},
		"does not go back from verifying to uploading":                  {run, time.Minute, func(o *observation) { at(v1alpha1.BackupVerifying, 50*time.Second)(o); uploading(o) }, v1alpha1.BackupVerifying, v1alpha1.ReasonBackupVerifying, false},
		"does not go back to waiting when its pod is gone":              {nil, time.Minute, at(v1alpha1.BackupUploading, 50*time.Second), v1alpha1.BackupUploading, v1alpha1.ReasonBackupUploading, false},
		"does not fail at the start deadline once it has begun":         {run, 11 * time.Minute, at(v1alpha1.BackupUploading, 10*time.Minute), v1alpha1.BackupUploading, v1alpha1.ReasonBackupUploading, false},
		"is let go on while the Job itself may still say why it stands": {run, 10*time.Minute + 29*time.Second, at(v1alpha1.BackupUploading, 5*time.Minute), v1alpha1.BackupUploading, v1alpha1.ReasonBackupUploading, false},
		"fails when nothing has moved for too long":                     {run, 10*time.Minute + 30*time.Second, at(v1alpha1.BackupUploading, 5*time.Minute), v1alpha1.BackupFailed, v1alpha1.ReasonDeadline, true},
		"fails when its program never reported anything":                {run, 11 * time.Minute, at(v1alpha1.BackupStaging, 5*time.Second), v1alpha1.BackupFailed, v1alpha1.ReasonDeadline, true},
		"is let go on when a byte moved at the last moment":             {run, 11 * time.Minute, func(o *observation) { at(v1alpha1.BackupUploading, 5*time.Minute)(o); uploading(o) }, v1alpha1.BackupUploading, v1alpha1.ReasonBackupUploading, false},
		"fails when its cluster is gone":                                {run, time.Minute, func(o *observation) { o.cluster = nil }, v1alpha1.BackupFailed, v1alpha1.ReasonClusterDeleted, true},
		"fails when its cluster goes":                                   {run, time.Minute, func(o *observation) { o.cluster.DeletionTimestamp = ptr.To(metav1.NewTime(noon)) }, v1alpha1.BackupFailed, v1alpha1.ReasonClusterDeleted, true},
		"is complete when its result says so":                           {podFor(j, terminated(noon.Add(time.Minute), 0, good)), 2 * time.Minute, nil, v1alpha1.BackupComplete, v1alpha1.ReasonBackupComplete, false},
		"is complete although its cluster is gone":                      {podFor(j, terminated(noon.Add(time.Minute), 0, good)), 2 * time.Minute, func(o *observation) { o.cluster = nil }, v1alpha1.BackupComplete, v1alpha1.ReasonBackupComplete, false},
		"is complete although its deadlines are over":                   {podFor(j, terminated(noon.Add(time.Minute), 0, good)), 9 * time.Hour, nil, v1alpha1.BackupComplete, v1alpha1.ReasonBackupComplete, false},
		"is not complete because its program ended well":                {podFor(j, terminated(noon.Add(time.Minute), 0, "")), 2 * time.Minute, nil, v1alpha1.BackupFailed, v1alpha1.ReasonCrashed, false},
		"is not complete by a result with exit code 1":                  {podFor(j, terminated(noon.Add(time.Minute), 1, good)), 2 * time.Minute, nil, v1alpha1.BackupFailed, v1alpha1.ReasonCrashed, false},
		"is not complete by the result of another backup":               {podFor(j, terminated(noon.Add(time.Minute), 0, string(other.Encode()))), 2 * time.Minute, nil, v1alpha1.BackupFailed, v1alpha1.ReasonRequestInvalid, false},
		"is not complete by a result about another place":               {podFor(j, terminated(noon.Add(time.Minute), 0, string(elsewhere.Encode()))), 2 * time.Minute, nil, v1alpha1.BackupFailed, v1alpha1.ReasonRequestInvalid, false},
		"fails with the reason of its result":                           {podFor(j, terminated(noon.Add(time.Minute), 1, string(job.Result{Kind: job.Take, Reason: job.AccessDenied, Message: "m"}.Encode()))), 2 * time.Minute, nil, v1alpha1.BackupFailed, v1alpha1.ReasonAccessDenied, false},
		"is not complete by the result of a pod that is not its Job's":  {podFor(j, terminated(noon.Add(time.Minute), 0, good), func(p *corev1.Pod) { p.OwnerReferences[0].UID = "somebody" }), time.Minute, nil, v1alpha1.BackupWaiting, v1alpha1.ReasonWaitingForPods, false},
		"is not complete by what a Job says whose request was not read": {podFor(j, terminated(noon.Add(time.Minute), 0, good)), 2 * time.Minute, func(o *observation) { o.record = record{problem: "p"} }, v1alpha1.BackupFailed, v1alpha1.ReasonRequestInvalid, false},
		"fails when its Job is gone and nobody saw a result":            {nil, time.Minute, func(o *observation) { o.job = nil }, v1alpha1.BackupFailed, v1alpha1.ReasonJobLost, false},
		"fails when its Job is gone and another has its name":           {nil, time.Minute, func(o *observation) { o.job.OwnerReferences[0].UID = "somebody" }, v1alpha1.BackupFailed, v1alpha1.ReasonJobLost, false},
	} {
		t.Run(name, func(t *testing.T) {
			var pods []*corev1.Pod
			if x.pod != nil {
				pods = append(pods, x.pod)
			}
			o := seen(b.DeepCopy(), c.DeepCopy(), j.DeepCopy(), noon.Add(x.after), pods...)
			if x.change != nil {
				x.change(o)
			}
			v := decide(o, timings)
			if v.stage != x.stage || v.reason != x.reason || v.remove != x.remove || v.begin {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestWhatHasEndedIsLeftAsItIsAndItsJobIsRemovedWhereNothingCanBeReadInIt(t *testing.T) {
	over := func(j *batchv1.Job) {
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	}
	for name, x := range map[string]struct {
		stage  v1alpha1.BackupStage
		job    func(*batchv1.Job)
		remove bool
	}{
		"a complete one's Job goes":                  {v1alpha1.BackupComplete, over, true},
		"a failed one's Job stays for its log":       {v1alpha1.BackupFailed, over, false},
		"a failed one's Job that still runs goes":    {v1alpha1.BackupFailed, func(*batchv1.Job) {}, true},
		"a Job that goes already is not asked again": {v1alpha1.BackupFailed, func(j *batchv1.Job) { j.DeletionTimestamp = ptr.To(metav1.NewTime(noon)) }, false},
		"somebody else's Job is left alone":          {v1alpha1.BackupComplete, func(j *batchv1.Job) { j.OwnerReferences[0].UID = "x" }, false},
	} {
		b := newBackup(begun(x.stage, noon))
		j := newJob(b, newCluster())
		x.job(j)
		// The pod says the contrary of what was written: nothing changes any more.
		o := seen(b, newCluster(), j, noon.Add(time.Hour), podFor(j, terminated(noon, 0, string(success(newJob(b, newCluster())).Encode()))))
		v := decide(o, timings)
		if v.remove != x.remove || v.begin || v.stage != x.stage {
			t.Errorf("%s: %+v", name, v)
		}
		if next := computeStatus(o, v, timings); !equalStatus(next, b.Status) {
			t.Errorf("%s: the status moved to %+v", name, next)
		}
	}
}

func TestTheStatusOfACompleteBackupSaysWhatARestoreCountsOn(t *testing.T) {
	b, c := newBackup(begun(v1alpha1.BackupVerifying, noon)), newCluster()
	j := newJob(b, c)
	o := seen(b, c, j, noon.Add(time.Minute), podFor(j, terminated(noon.Add(50*time.Second), 0, string(success(j).Encode()))))
	s := computeStatus(o, decide(o, timings), timings)
	if s.Key != "eu/0b6c6a2e-54b1-4d0c-a0a4-4c9a1c9f2f55/backups/20261125T120000Z-b/manifest.json" || s.ManifestSHA256 != digits || *s.SizeBytes != 1<<20 || *s.UploadedBytes != 1<<10 || s.Size != "1.0 MiB" ||
		s.Source.Pod != "c-placement-center-1" || s.Source.NodeID != 2 || s.Source.Leader || s.Destination.Bucket != "backups" || s.Destination.CredentialsSecretName != "s3" || s.ClusterUID != c.Status.ClusterUID ||
		s.Version != "0.4.11" || s.Nodes != (v1alpha1.RoleCounts{PlacementCenter: 3, MQTTBroker: 2}) || !s.RecoveryPoint.Time.Equal(ptr.To(metav1.NewTime(noon.Add(time.Second)))) ||
		len(s.RecoveryPoint.Groups) != 1 || s.RecoveryPoint.Groups[0].LastApplied != 11 || s.Progress.Percent != 100 || s.JobName != "b-backup" || !s.CompletionTime.Time.Equal(noon.Add(50*time.Second)) || s.ObservedGeneration != 1 {
		t.Errorf("%+v", s)
	}
	for condition, reason := range map[string]string{v1alpha1.ConditionComplete: v1alpha1.ReasonBackupComplete, v1alpha1.ConditionVerified: v1alpha1.ReasonBackupVerified} {
		if got := meta.FindStatusCondition(s.Conditions, condition); got == nil || got.Status != metav1.ConditionTrue || got.Reason != reason {
			t.Errorf("%s: %+v", condition, got)
		}
	}
}

func TestWhileBytesMoveTheStatusIsWrittenAtMostEveryFiveSeconds(t *testing.T) {
	b, c := newBackup(begun(v1alpha1.BackupStaging, noon)), newCluster()
	j := newJob(b, c)
	pod := podFor(j, running(noon))
	var written []time.Duration
	for ms := 0; ms < 60_000; ms += 700 {
		now := noon.Add(time.Duration(ms) * time.Millisecond)
		o := seen(b, c, j, now, pod)
		o.image = &protocol.Image{Progress: &protocol.ImageProgress{Stage: protocol.StageUploading, Bytes: int64(ms), Total: 60_000}}
		next := computeStatus(o, decide(o, timings), timings)
		if equalStatus(next, b.Status) {
			continue
		}
		written = append(written, now.Sub(noon))
		b.Status = stored(t, next)
	}
	if len(written) < 10 {
		t.Errorf("only %v", written)
	}
	for i := 1; i < len(written); i++ {
		if gap := written[i] - written[i-1]; gap < 4*time.Second { // stored times are whole seconds
			t.Errorf("two writes within %s: %v", gap, written)
		}
	}
	if b.Status.Progress.Percent < 90 || b.Status.Progress.Summary != "94 % of 59 KiB" && b.Status.Progress.Percent > 100 {
		t.Errorf("%+v", b.Status.Progress)
	}
	// Nothing moves: nothing is written.
	o := seen(b, c, j, noon.Add(2*time.Minute), pod)
	o.image = &protocol.Image{Progress: &protocol.ImageProgress{Stage: protocol.StageUploading, Bytes: b.Status.Progress.Bytes, Total: b.Status.Progress.TotalBytes}}
	if next := computeStatus(o, decide(o, timings), timings); !equalStatus(next, b.Status) {
		t.Errorf("without a byte the status moved: %+v", next)
	}
}

func TestProgressIsBoundedWhateverIsReported(t *testing.T) {
	for _, p := range []protocol.ImageProgress{{}, {Bytes: -1, Total: -1}, {Bytes: 11, Total: 10}, {Bytes: 1<<63 - 1, Total: 1<<63 - 1}, {Bytes: 1<<63 - 2, Total: 1<<63 - 1}, {Bytes: 1, Total: 3}} {
		got := progressOf(p, noon)
		if got.Percent < 0 || got.Percent > 100 || got.Bytes < 0 || got.TotalBytes < 0 || len(got.Summary) > 64 {
			t.Errorf("%+v: %+v", p, got)
		}
		if (got.Percent == 100) != (p.Total > 0 && p.Bytes >= p.Total) && p.Bytes < 1<<62 {
			t.Errorf("%+v: %d %%", p, got.Percent)
		}
	}
}

func TestEveryTransitionIsToldOnce(t *testing.T) {
	b, c := newBackup(), newCluster()
	j := newJob(b, c)
	var told []string
	pass := func(o *observation) {
		v := decide(o, timings)
		next := computeStatus(o, v, timings)
		for _, x := range transitions(b.Status, next) {
			told = append(told, x.kind+" "+x.reason)
		}
		b.Status = stored(t, next)
	}
	for range 3 {
		pass(&observation{now: noon, backup: b})
	}
	for range 3 {
		pass(&observation{now: noon, backup: b, cluster: c, source: newChoice()})
	}
	for range 3 {
		pass(seen(b, c, j, noon.Add(time.Second)))
	}
	for _, stage := range []protocol.ImageStage{protocol.StageStaging, protocol.StageUploading, protocol.StageUploading, protocol.StageVerifying} {
		o := seen(b, c, j, noon.Add(time.Second), podFor(j, running(noon)))
		o.image = &protocol.Image{Progress: &protocol.ImageProgress{Stage: stage}}
		pass(o)
	}
	for range 3 {
		pass(seen(b, c, j, noon.Add(time.Second), podFor(j, terminated(noon, 0, string(success(j).Encode())))))
	}
	want := []string{
		"Normal WaitingForCluster", "Normal WaitingForPods", "Normal BackupStarted", "Normal BackupUploading", "Normal BackupVerifying", "Normal BackupComplete",
	}
	if strings.Join(told, ", ") != strings.Join(want, ", ") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, ", "), strings.Join(want, ", "))
	}
}

// Without a Secret there is nothing to hide in what a Job is told, and nothing of one is ever in it.
func TestTheRequestOfAJobNamesSecretsAndHoldsNone(t *testing.T) {
	c := newCluster(func(c *v1alpha1.RobustMQCluster) {
		c.Spec.Backup.Destination.CASecretName = "authority"
		c.Spec.Backup.Encryption = &v1alpha1.BackupEncryption{Recipients: []string{"age1x"}, IdentitySecretName: "identity"}
		c.Spec.Backup.Verification = v1alpha1.VerificationFull
	})
	j := newJob(newBackup(), c)
	command := strings.Join(j.Spec.Template.Spec.Containers[0].Command, " ")
	for _, name := range []string{"authority", "identity", `"s3"`} {
		if strings.Contains(command, name) {
			t.Errorf("the request has %q: %s", name, command)
		}
	}
	mounted := 0
	for _, v := range j.Spec.Template.Spec.Volumes {
		if v.Secret != nil && (v.Secret.SecretName == "authority" || v.Secret.SecretName == "identity" || v.Secret.SecretName == "c-job-pki") || v.Projected != nil && v.Projected.Sources[0].Secret.Name == "s3" {
			mounted++
		}
	}
	r := readRecord(j)
	if mounted != 4 || r.problem != "" || len(r.take.Recipients) != 1 || r.destination.CredentialsSecretName != "s3" || r.take.Verification != "Full" || r.owner.Installation == "" {
		t.Errorf("%d Secrets mounted, %+v", mounted, r)
	}
	// For a verification by checksums nobody needs the identity.
	for _, v := range newJob(newBackup(func(b *v1alpha1.RobustMQBackup) { b.Spec.Verification = v1alpha1.VerificationChecksum }), c).Spec.Template.Spec.Volumes {
		if v.Secret != nil && v.Secret.SecretName == "identity" {
			t.Error("the identity is mounted where nothing is opened")
		}
	}
}

func TestAnAnnotationCannotMoveABackup(t *testing.T) {
	j := newJob(newBackup(), newCluster())
	j.Annotations[v1alpha1.AnnotationDestination] = `{"bucket":"evil","prefix":"x","credentialsSecretName":"other"}`
	if r := readRecord(j); r.destination.Bucket != "backups" || r.destination.Prefix != "eu" || !strings.HasPrefix(r.key(), "eu/") {
		t.Errorf("%+v", r)
	}
	for name, spoil := range map[string]func(*batchv1.Job){
		"no annotation": func(j *batchv1.Job) { j.Annotations = nil },
		"no request":    func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Command = []string{"/agent"} },
		"no command":    func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Command = nil },
		"two containers": func(j *batchv1.Job) {
			j.Spec.Template.Spec.Containers = append(j.Spec.Template.Spec.Containers, corev1.Container{})
		},
		"half a request": func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Command[3] = `--request={"destination":` },
	} {
		j := newJob(newBackup(), newCluster())
		spoil(j)
		if readRecord(j).problem == "" {
			t.Errorf("%s: it was read", name)
		}
	}
}
