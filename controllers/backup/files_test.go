package backup

import (
	"path"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
)

// Two packages that do not know one another say where the files of a Job are, and what it is called.
func TestAJobsFilesAreWhereItsProgramLooks(t *testing.T) {
	c := newCluster(func(c *v1alpha1.RobustMQCluster) {
		c.Spec.Backup.Destination.CASecretName = "authority"
		c.Spec.Backup.Encryption = &v1alpha1.BackupEncryption{Recipients: []string{"age1x"}, IdentitySecretName: "identity"}
		c.Spec.Backup.Verification = v1alpha1.VerificationFull
	})
	pod := newJob(newBackup(), c).Spec.Template.Spec
	files := map[string]bool{}
	for _, m := range pod.Containers[0].VolumeMounts {
		v := pod.Volumes[slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })]
		var items []corev1.KeyToPath
		if v.Secret != nil {
			items = v.Secret.Items
		}
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				items = append(items, s.Secret.Items...)
			}
		}
		for _, i := range items {
			files[path.Join(m.MountPath, i.Path)] = true
		}
	}
	for _, want := range []string{
		job.CredentialsDir + "/" + job.AccessKeyFile, job.CredentialsDir + "/" + job.SecretKeyFile, job.CredentialsDir + "/" + job.SessionTokenFile, job.CredentialsDir + "/" + job.CustomerKeyFile,
		job.CAFile, job.IdentityFile, protocol.PKIDir + "/ca.crt", protocol.PKIDir + "/tls.crt", protocol.PKIDir + "/tls.key",
	} {
		if !files[want] {
			t.Errorf("%s is not mounted: %v", want, files)
		}
		delete(files, want)
	}
	if len(files) != 0 {
		t.Errorf("mounted for nobody: %v", files)
	}
	if got := pod.Containers[0].TerminationMessagePath; got != job.TerminationMessage {
		t.Errorf("its result goes to %s, and Kubernetes reads %s", job.TerminationMessage, got)
	}
	var kinds []string
	for _, k := range []manifests.JobKind{manifests.JobTake, manifests.JobProbe, manifests.JobCollect, manifests.JobDelete, manifests.JobVerify, manifests.JobInspect, manifests.JobRestore} {
		kinds = append(kinds, string(k))
	}
	for _, k := range job.Kinds {
		if !slices.Contains(kinds, string(k)) {
			t.Errorf("there is no Job that does %s: %s", k, strings.Join(kinds, " "))
		}
	}
}
