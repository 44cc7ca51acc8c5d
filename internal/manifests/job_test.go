package manifests

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// jobs are one of every kind, of a cluster with everything that a Job follows.
func jobs(t testing.TB) (*v1alpha1.RobustMQCluster, Inputs, []*batchv1.Job) {
	t.Helper()
	cluster, in := sample(t, "production")
	owner := metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RobustMQBackup", Name: "before-upgrade", UID: "00000000-0000-4000-8000-000000000002", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}
	whole := &v1alpha1.S3Destination{Bucket: "b", CredentialsSecretName: "s3-credentials", CASecretName: "s3-authority"}
	identity := &v1alpha1.S3Destination{Bucket: "b", ServiceAccountName: "robustmq-backup"}
	options := []JobOptions{
		{Kind: JobTake, Name: BackupJobName("before-upgrade"), Backup: "before-upgrade", Destination: whole, Agent: true, IdentitySecretName: "backup-identity", Deadline: 24 * time.Hour, Keep: time.Hour, Annotations: map[string]string{"robustmq.io/note": "n"}},
		{Kind: JobProbe, Name: ProbeJobName(cluster.Name), Destination: identity, Deadline: time.Minute, Keep: time.Minute},
		{Kind: JobCollect, Name: CollectJobName(cluster.Name), Destination: whole, Deadline: time.Hour, Keep: time.Minute},
		{Kind: JobDelete, Name: BackupDeletionJobName("before-upgrade"), Backup: "before-upgrade", Destination: whole, Deadline: time.Hour, Keep: time.Minute},
		{Kind: JobVerify, Name: VerifyJobName(cluster.Name), Destination: whole, Deadline: time.Hour, Keep: time.Minute},
		{Kind: JobInspect, Name: InspectJobName("undo-deletion"), Restore: "undo-deletion", Destination: whole, IdentitySecretName: "backup-identity", Deadline: time.Hour, Keep: time.Hour},
		{Kind: JobRestore, Name: RestoreJobName("undo-deletion"), Restore: "undo-deletion", Destination: whole, Agent: true, IdentitySecretName: "backup-identity", Deadline: 24 * time.Hour, Keep: time.Hour},
	}
	var all []*batchv1.Job
	for _, o := range options {
		o.Owner, o.Request = owner, []byte(`{"kind":"`+string(o.Kind)+`"}`)
		all = append(all, Job(cluster, in, o))
	}
	return cluster, in, all
}

func TestTheJobsAreTheGoldens(t *testing.T) {
	_, _, all := jobs(t)
	var objects []client.Object
	for _, j := range all {
		objects = append(objects, j)
	}
	got, file := render(t, objects), filepath.Join("testdata", "jobs.golden.yaml")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the Jobs differ from %s: go test ./internal/manifests -update writes it anew, git diff shows what changed\n%s", file, firstDifference(got, want))
	}
}

func TestEveryJobPassesThePodSecurityProfileRestrictedAndHasNoKubernetesToken(t *testing.T) {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, all := jobs(t)
	for _, j := range all {
		pod := j.Spec.Template
		for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", j.Name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
		if !ptr.Deref(pod.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem, false) || ptr.Deref(pod.Spec.AutomountServiceAccountToken, true) {
			t.Errorf("%s: its root file system can be written, or it has a token", j.Name)
		}
	}
}

func TestTheLongestNamesFitIntoTheLabelsOfAJobsPods(t *testing.T) {
	backup, cluster, restore := strings.Repeat("b", v1alpha1.MaxBackupNameLength), strings.Repeat("c", v1alpha1.MaxNameLength), strings.Repeat("r", v1alpha1.MaxRestoreNameLength)
	for _, name := range []string{
		BackupJobName(backup), BackupDeletionJobName(backup), ProbeJobName(cluster), CollectJobName(cluster), VerifyJobName(cluster), InspectJobName(restore), RestoreJobName(restore),
	} {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			t.Errorf("%s (%d characters): %v", name, len(name), problems)
		}
	}
}

// The agents' port is open to the cluster's own pods: that has to include its Jobs. What counts or serves pods must not.
func TestAJobsPodMayCallTheAgentsAndIsCountedByNothing(t *testing.T) {
	cluster, in, all := jobs(t)
	for _, j := range all {
		l := k8slabels.Set(j.Spec.Template.Labels)
		reached := false
		for _, p := range NetworkPolicies(cluster, in) {
			for _, rule := range p.Spec.Ingress {
				for _, from := range rule.From {
					s, err := metav1.LabelSelectorAsSelector(from.PodSelector)
					if err != nil {
						t.Fatal(err)
					}
					reached = reached || from.PodSelector != nil && from.NamespaceSelector == nil && s.Matches(l) && slices.ContainsFunc(rule.Ports, policyPortIs(7443))
				}
			}
			if slices.Contains(p.Spec.PolicyTypes, "Egress") {
				t.Errorf("%s: policy %s closes the way to S3", j.Name, p.Name)
			}
		}
		if !reached {
			t.Errorf("%s: no NetworkPolicy lets its pods %v to the agents", j.Name, l)
		}
		for _, r := range allRoles {
			if k8slabels.SelectorFromSet(Selector(cluster, r)).Matches(l) {
				t.Errorf("%s: its pods are taken for a %s", j.Name, r)
			}
		}
	}
}

func TestOnlyWhatAJobNeedsIsMounted(t *testing.T) {
	cluster, in := sample(t, "production")
	sources := func(o JobOptions) []string {
		o.Destination.Bucket = "b"
		var names []string
		pod := Job(cluster, in, o).Spec.Template.Spec
		for _, v := range pod.Volumes {
			if v.Secret != nil {
				names = append(names, v.Secret.SecretName)
			}
			if v.Projected != nil {
				for _, s := range v.Projected.Sources {
					for _, item := range s.Secret.Items {
						names = append(names, s.Secret.Name+"/"+item.Path+map[bool]string{true: "?"}[ptr.Deref(s.Secret.Optional, false)])
					}
				}
			}
		}
		if len(pod.Volumes) != len(pod.Containers[0].VolumeMounts) {
			t.Errorf("%d volumes, %d mounts", len(pod.Volumes), len(pod.Containers[0].VolumeMounts))
		}
		if len(pod.Containers[0].Env) != 0 || len(pod.Containers[0].EnvFrom) != 0 {
			t.Errorf("the environment holds %v %v", pod.Containers[0].Env, pod.Containers[0].EnvFrom)
		}
		return names
	}
	for want, o := range map[string]JobOptions{
		"":                        {Destination: &v1alpha1.S3Destination{}},
		cluster.Name + "-job-pki": {Destination: &v1alpha1.S3Destination{}, Agent: true},
		"k/accessKey k/secretKey k/sessionToken? k/sseCustomerKey?": {Destination: &v1alpha1.S3Destination{CredentialsSecretName: "k"}},
		"ca id": {Destination: &v1alpha1.S3Destination{CASecretName: "ca"}, IdentitySecretName: "id"},
	} {
		if got := strings.Join(sources(o), " "); got != want {
			t.Errorf("mounted is %q, want %q", got, want)
		}
	}
}

func TestAJobOfAClusterThatIsGoneNeedsNothingOfIt(t *testing.T) {
	gone := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns"}}
	pod := Job(gone, Inputs{AgentImage: "agent"}, JobOptions{Kind: JobDelete, Name: "x", Destination: &v1alpha1.S3Destination{Bucket: "b"}, Deadline: time.Minute}).Spec.Template.Spec
	if owners := Job(gone, Inputs{}, JobOptions{Kind: JobDelete, Name: "x"}).OwnerReferences; len(owners) != 0 {
		t.Errorf("without an owner it has %v", owners)
	}
	if pod.ServiceAccountName != "" || len(pod.ImagePullSecrets) != 0 || slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Secret != nil }) {
		t.Errorf("account %q, %v, %v", pod.ServiceAccountName, pod.ImagePullSecrets, pod.Volumes)
	}
}

func policyPortIs(number int) func(networkingv1.NetworkPolicyPort) bool {
	return func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() == number }
}
