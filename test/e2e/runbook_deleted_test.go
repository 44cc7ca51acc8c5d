//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// TestTheRunbooksOfDeletedObjects follows the pages about a Kubernetes, a namespace and a cluster that are no more.
func TestTheRunbooksOfDeletedObjects(t *testing.T) {
	s, d := runbookScene(t)
	s.Cleanup(func() { // else it could not be removed
		_, _ = k8s.Kubectl(contextWithoutCancel(t), nil, "annotate", "rmqc", s.name.Name, "-n", s.name.Namespace, v1alpha1.AnnotationDeletionProtection+"-")
	})
	s.withUsers("old", 4)
	s.messages("e2e/kept")
	s.follows(t, "kubernetes-lost.md", d, followKubernetesLost)
	s.follows(t, "cluster-or-namespace-deleted.md", d, followClusterOrNamespaceDeleted)
}

// followKubernetesLost: the namespace goes with all that is in it. What is left is the bucket, and the file of the identity.
func followKubernetesLost(s *scene, d *desk) {
	p := s.page("kubernetes-lost.md", d)
	file, recipient := s.encrypt("backup-identity")
	d.file(s, "backup-identity.txt", file)
	d.file(s, "accessKey", d.s3.AccessKey)
	d.file(s, "secretKey", string(d.s3.SecretKey))
	users := s.users()
	s.ask("last", v1alpha1.RobustMQBackupSpec{})
	s.complete("last", d.s3, 2*time.Minute)
	uid := s.cluster().Status.ClusterUID
	s.must(removeNamespace(s.Context(), s.name.Namespace))

	p.sees(p.run("robustmq-operator backup list"), uid, "last")
	p.sees(p.run("robustmq-operator backup verify latest"), "good", "last")
	p.run("kubectl create namespace mqtt")
	p.run("kubectl create secret generic s3-credentials")
	p.run("kubectl create secret generic backup-identity")
	for _, secret := range d.s3.Secrets(s.name.Namespace) { // the authority of this S3, which Amazon's does not need
		if err := k8s.Create(s.Context(), secret); client.IgnoreAlreadyExists(err) != nil {
			s.Fatal(err)
		}
	}
	p.sees(p.run("robustmq-operator backup show latest"), "Nodes", "3 placement centre, 2 MQTT brokers")
	p.where(pageRecipient, recipient)
	p.where("mqttBroker: {replicas: 5}", "mqttBroker: {replicas: 2}") // as many as the backup has; more would only take time
	p.run("kind: RobustMQCluster")                                    // with the UID of the page, which is nobody's: it fails
	p.watch("kubectl get rmqr -n mqtt -w", in(v1alpha1.RestoreFailed), 4*time.Minute)
	s.restoreSays("my-cluster-bootstrap", v1alpha1.RestoreFailed, v1alpha1.ReasonRestoreRefused)
	failed := s.restores(s.Context())[0].UID
	p.run("kind: RobustMQCluster", pageUID, uid) // "correct spec.bootstrap.restoreFrom"
	p.run("kubectl delete rmqr -n mqtt my-cluster-bootstrap")
	s.must(live.Until(s.Context(), "the restore is made again", 250*time.Millisecond, time.Minute, func(ctx context.Context) (bool, string, error) {
		all := s.restores(ctx)
		return len(all) == 1 && all[0].UID != failed, fmt.Sprint(len(all)), nil
	}))
	p.run("kubectl wait -n mqtt rmqr/my-cluster-bootstrap")
	p.run("kubectl wait -n mqtt rmqc/my-cluster")
	r := s.restoreIn("my-cluster-bootstrap", time.Second, v1alpha1.RestoreComplete)
	s.isComplete(r)
	s.hasUsers(users)
	s.ask("first-of-the-new", v1alpha1.RobustMQBackupSpec{})
	s.complete("first-of-the-new", d.s3, 2*time.Minute)
	p.sees(p.run("kubectl get rmqb -n mqtt"), "first-of-the-new", "Complete")
	s.fullLists(time.Minute)
	s.messages("e2e/kept")
}

// followClusterOrNamespaceDeleted: the cluster is deleted and its claims are kept; then its namespace is, and its volumes are kept; then nothing is left of it but a backup.
func followClusterOrNamespaceDeleted(s *scene, d *desk) {
	p := s.page("cluster-or-namespace-deleted.md", d)
	c := s.cluster()
	c.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RobustMQCluster"))
	place := c.Spec.Backup.Destination
	p.where("--prefix "+pagePrefix, "--prefix "+place.Prefix)
	p.where("mqttBroker: {replicas: 5}", "mqttBroker: {replicas: 2}")
	users := s.withUsers("new", 2)
	s.ask("last-of-all", v1alpha1.RobustMQBackupSpec{})
	s.complete("last-of-all", d.s3, 2*time.Minute)
	d.file(s, "my-cluster.yaml", manifest(s, c))
	uid := c.Status.ClusterUID

	// The claims are still there.
	s.deleteCluster()
	if out := p.run("kubectl get rmqc"); strings.Contains(out, pageCluster) {
		s.Error("it is listed")
	}
	p.sees(p.run("kubectl get pvc"), "data-"+s.member(0).Name, "data-"+s.broker(0).Name)
	p.run("kubectl get pv -o custom-columns")
	p.sees(p.run("kubectl get rmqb -n mqtt"), "last-of-all")
	p.run("kubectl apply -n mqtt -f my-cluster.yaml")
	s.adopted(p, uid, users)
	p.until("kubectl events -n mqtt", time.Minute, v1alpha1.ReasonAdopted)

	// The volumes are still there.
	volumes := s.keepVolumes()
	generation := s.claimGeneration()
	s.must(removeNamespace(s.Context(), s.name.Namespace))
	listed := p.run("kubectl get pv -o custom-columns")
	p.run("kubectl create namespace mqtt")
	for _, secret := range d.s3.Secrets(s.name.Namespace) {
		s.must(k8s.Create(s.Context(), secret))
	}
	if e := c.Spec.Backup.Encryption; e != nil {
		file, err := os.ReadFile(filepath.Join(d.folder, "backup-identity.txt"))
		s.must(err)
		s.keepIdentity(e.IdentitySecretName, string(file))
	}
	p.sees(p.run("robustmq-operator backup list"), uid)
	for claim, volume := range volumes {
		if !regexp.MustCompile(`(?m)^` + volume + ` +Released +Retain +` + pageNamespace + ` +` + claim + `$`).MatchString(listed) {
			s.Errorf("volume %s of %s is not listed as Released", volume, claim)
		}
		p.run("kubectl patch pv PV", "patch pv PV", "patch pv "+volume)
	}
	for ordinal := range 3 {
		claim := "data-" + s.member(ordinal).Name
		p.run("kind: PersistentVolumeClaim", "data-my-cluster-placement-center-0", claim, pageUID, uid, "volumeName: PV", "volumeName: "+volumes[claim], "fast-ssd", "bed", `"1"`, fmt.Sprintf("%q", generation))
	}
	p.run("kubectl apply -n mqtt -f my-cluster.yaml")
	s.adopted(p, uid, users)
	p.until("kubectl events -n mqtt", time.Minute, v1alpha1.ReasonAdopted)
	for claim, volume := range volumes {
		if now := s.volumeOf(strings.TrimPrefix(claim, "data-")); now != volume {
			s.Errorf("%s has volume %s, and had %s", claim, now, volume)
		}
	}
	p.run("kubectl get secret my-cluster-mqtt")
	s.dropVolumes(volumes) // with their claims, from here on

	// Only backups are left.
	if c.Spec.Backup.Encryption != nil {
		s.kubectl("patch", "rmqc", s.name.Name, "-n", s.name.Namespace, "--type=json", "-p", `[{"op":"remove","path":"/spec/backup/encryption"}]`)
		s.ready(time.Minute)
	}
	s.ask(pageBackup, v1alpha1.RobustMQBackupSpec{})
	s.complete(pageBackup, d.s3, 2*time.Minute)
	s.deleteCluster()
	s.kubectl("delete", "pvc", "-n", s.name.Namespace, "--all")
	p.sees(p.run("kubectl get rmqb -n mqtt"), pageBackup)
	p.run("kind: RobustMQCluster")
	p.run("kubectl wait -n mqtt rmqc/my-cluster")
	s.hasUsers(users)
	if now := s.cluster().Status.ClusterUID; now == uid {
		s.Errorf("the new cluster has the UID %s of the old one", now)
	}
	s.messages("e2e/kept")

	p.run("robustmq.io/deletion-protection=true")
	if out, err := k8s.Kubectl(s.Context(), nil, "delete", "rmqc", s.name.Name, "-n", s.name.Namespace, "--timeout=20s"); err == nil || !strings.Contains(err.Error(), v1alpha1.AnnotationDeletionProtection) {
		s.Errorf("a protected cluster is deleted: %s, %v", out, err)
	}
	s.kubectl("annotate", "rmqc", s.name.Name, "-n", s.name.Namespace, v1alpha1.AnnotationDeletionProtection+"-")
}

// adopted checks what the page says of a cluster that is well again.
func (s *scene) adopted(p *page, uid string, users []string) {
	s.Helper()
	p.run("kubectl wait -n mqtt rmqc/my-cluster")
	now := s.cluster()
	if now.Status.ClusterUID != uid {
		s.Errorf("UID %s, before %s", now.Status.ClusterUID, uid)
	}
	for _, m := range now.Status.Members {
		if !m.InService {
			s.Errorf("%s is not in service", m.Pod)
		}
	}
	s.hasUsers(users)
	s.fullLists(time.Minute)
	for _, e := range s.events() {
		if e.Reason == v1alpha1.ReasonFounding || e.Reason == v1alpha1.ReasonFounded {
			s.Errorf("it was founded again: %s", e.Message)
		}
	}
	if got := s.read("e2e/kept"); len(got) < 20 {
		s.Errorf("%d messages of e2e/kept can be read", len(got))
	}
}

// keepVolumes has every volume stay when its claim goes, and returns them by claim. When the test ends they go.
func (s *scene) keepVolumes() map[string]string {
	s.Helper()
	var claims corev1.PersistentVolumeClaimList
	s.must(k8s.List(s.Context(), &claims, client.InNamespace(s.name.Namespace)))
	volumes := map[string]string{}
	for _, c := range claims.Items {
		volumes[c.Name] = c.Spec.VolumeName
		s.kubectl("patch", "pv", c.Spec.VolumeName, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`)
	}
	s.Cleanup(func() { s.dropVolumes(volumes) })
	return volumes
}

// dropVolumes has volumes go with their claims, or at once where they have none.
func (s *scene) dropVolumes(volumes map[string]string) {
	for _, volume := range volumes {
		_, _ = k8s.Kubectl(contextWithoutCancel(s.T), nil, "patch", "pv", volume, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	}
}

// claimGeneration is what the claims of the placement centre say, as the marker file on their volumes does.
func (s *scene) claimGeneration() string {
	s.Helper()
	var claim corev1.PersistentVolumeClaim
	s.must(k8s.Get(s.Context(), client.ObjectKey{Namespace: s.name.Namespace, Name: "data-" + s.member(0).Name}, &claim))
	if g := claim.Annotations[v1alpha1.AnnotationGeneration]; g != "" {
		return g
	}
	return "1"
}
