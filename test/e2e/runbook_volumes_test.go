//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// TestTheRunbooksOfLostVolumes follows the pages about the loss of one, of most, and of all volumes of the placement centre.
func TestTheRunbooksOfLostVolumes(t *testing.T) {
	s, d := runbookScene(t)
	s.withUsers("old", 4)
	s.messages("e2e/kept")
	s.ask(pageBackup, v1alpha1.RobustMQBackupSpec{})
	s.complete(pageBackup, d.s3, 2*time.Minute)
	s.withUsers("new", 2)
	s.follows(t, "one-volume-lost.md", d, followOneVolumeLost)
	s.follows(t, "majority-lost.md", d, followMajorityLost)
	s.follows(t, "total-loss-with-a-backup.md", d, followTotalLossWithABackup)
	s.follows(t, "total-loss-without-a-backup.md", d, followTotalLossWithoutABackup)
}

// alone is a member of the placement centre that does not lead and shares its node with no broker, as far as there is one.
func (s *scene) alone() int {
	s.Helper()
	leader := s.leader()
	brokers := map[string]bool{}
	for _, pod := range s.pods() {
		if pod.Labels[v1alpha1.LabelRole] != v1alpha1.ComponentPlacementCenter {
			brokers[pod.Spec.NodeName] = true
		}
	}
	best, most := 2, -1
	for ordinal := range 3 {
		points := 0
		if s.member(ordinal) != leader {
			points++
		}
		if !brokers[s.getPod(s.member(ordinal)).Spec.NodeName] {
			points += 2
		}
		if points > most {
			best, most = ordinal, points
		}
	}
	return best
}

// followOneVolumeLost: a machine loses its power for good, and with it the local volume of a member.
func followOneVolumeLost(s *scene, d *desk) {
	p := s.page("one-volume-lost.md", d)
	users := s.users()
	ordinal := s.alone()
	member := s.member(ordinal)
	node, volume := s.getPod(member).Spec.NodeName, s.volumeOf(member.Name)
	p.where("my-cluster-placement-center-2", member.Name)
	p.where("NODE ", node+" ")
	s.must(theBed.PowerCut(s.Context(), node))
	s.Cleanup(func() { _ = theBed.PowerOn(contextWithoutCancel(s.T), node) })

	p.until("kubectl get rmqc my-cluster -o wide", 3*time.Minute, "2/3", v1alpha1.ReasonNodeLost)
	p.run("volume={.volume}")
	p.run("kubectl events")
	p.run("kubectl taint nodes NODE")
	s.must(live.Until(s.Context(), member.Name+" is made anew, and waits for its volume", time.Second, 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		var pod corev1.Pod
		err := k8s.Get(ctx, member, &pod)
		return err == nil && pod.DeletionTimestamp == nil && pod.Spec.NodeName == "", fmt.Sprintf("%s on %s, %v", pod.Status.Phase, pod.Spec.NodeName, err), nil
	}))
	p.until("kubectl get rmqc my-cluster -o wide", time.Minute, "2/3")
	p.run("kubectl delete pvc data-my-cluster-placement-center-2")
	p.run("kubectl delete pod my-cluster-placement-center-2")
	p.run("--for=condition=QuorumHealthy")
	if now := s.volumeOf(member.Name); now == volume {
		s.Errorf("%s has volume %s again", member.Name, now)
	}
	p.run("kubectl delete node NODE", "NODE", node)
	s.must(theBed.PowerOn(s.Context(), node)) // it comes back as a machine that nobody knows
	p.run("--for=condition=Ready")
	rows := p.run("volume={.volume}")
	for row := range strings.Lines(rows) {
		if !strings.Contains(row, "inService=true") || strings.HasPrefix(row, member.Name+" ") && !strings.Contains(row, "marker=Seeded") {
			s.Errorf("a row says %s", row)
		}
	}
	p.sees(p.run("kubectl events"), v1alpha1.ReasonSeeded)
	s.hasUsers(users)
	s.sameKeys("a volume was given up")
	if n := len(s.restores(s.Context())); n != 0 {
		s.Errorf("%d restores", n)
	}
	s.messages("e2e/kept")
}

// followMajorityLost: two of three volumes are emptied. A backup is restored at first, and taken back: the survivor has what it had. Then nobody does anything.
func followMajorityLost(s *scene, d *desk) {
	p := s.page("majority-lost.md", d)
	users := s.users()
	s.wipe(1, 2)
	p.until(`range .status.conditions[*]`, 4*time.Minute, "Degraded=True MajorityLost", "QuorumHealthy=False", s.member(1).Name, s.member(2).Name, s.member(0).Name+" survives")
	p.run("kubectl get rmqc my-cluster -o wide")
	p.run(`"paused":true`)
	p.until(`range .status.conditions[*]`, time.Minute, "Paused=True")
	p.run(`"paused":false`)

	p.spare("kubectl delete node NODE", "no machine is gone here; one-volume-lost.md has the same command, and there it is run")

	p.run("name: after-majority-loss}")
	p.watch("kubectl get rmqr after-majority-loss -w", in(v1alpha1.RestoreTransferring, v1alpha1.RestoreOpening, v1alpha1.RestoreVerifying), 3*time.Minute)
	p.run("robustmq.io/abort=true")
	s.restoreIn("after-majority-loss", 5*time.Minute, v1alpha1.RestoreAborted)

	p.run("--for=condition=QuorumHealthy")
	p.run("--for=condition=Ready")
	p.sees(p.run("kubectl events"), v1alpha1.ReasonSeeded, v1alpha1.ReasonRecovered)
	s.hasUsers(users)
	for _, m := range s.cluster().Status.Members {
		if (m.Pod == s.member(1).Name || m.Pod == s.member(2).Name) && m.Marker != "Seeded" {
			s.Errorf("%s: marker %s", m.Pod, m.Marker)
		}
	}
	s.sameKeys("a majority was lost")
	s.messages("e2e/kept")
	s.kubectl("delete", "rmqr", "after-majority-loss", "-n", s.name.Namespace)
}

// loseAll empties every volume of the placement centre, and waits until that is said.
func (s *scene) loseAll() {
	s.Helper()
	s.wipe(0, 1, 2)
	s.says(4*time.Minute, v1alpha1.ConditionDegraded, metav1.ConditionTrue, v1alpha1.ReasonDataLost)
}

// lossRestore waits for the restore that the operator makes, unless it is this one.
func (s *scene) lossRestore(within time.Duration, not string) *v1alpha1.RobustMQRestore {
	s.Helper()
	var found *v1alpha1.RobustMQRestore
	s.must(live.Until(s.Context(), "a restore that nobody asked for", 250*time.Millisecond, within, func(ctx context.Context) (bool, string, error) {
		for _, r := range s.restores(ctx) {
			if strings.HasPrefix(r.Name, pageCluster+"-loss-") && string(r.UID) != not {
				found = &r
				return true, "", nil
			}
		}
		return false, live.Summary(s.cluster()), nil
	}))
	return found
}

// followTotalLossWithABackup: every volume is emptied three times: an older backup is chosen, the newest is brought back by hand, and at last the operator does it, at first with an identity that does not
// fit.
func followTotalLossWithABackup(s *scene, d *desk) {
	p := s.page("total-loss-with-a-backup.md", d)
	uid := s.cluster().Status.ClusterUID
	p.where(pageUID, uid)
	older := s.saved(pageBackup).Status.RecoveryPoint.Time.UTC()
	newest := s.withUsers("newest", 1)
	s.ask("newest", v1alpha1.RobustMQBackupSpec{})
	s.complete("newest", d.s3, 2*time.Minute)
	s.patch(map[string]any{"backup": map[string]any{"autoRestore": "Disabled"}})

	s.loseAll()
	p.sees(p.run("kubectl get rmqc my-cluster -o wide"), v1alpha1.ReasonDataLost)
	p.run("kubectl get rmqr")
	p.run("name: older}", "2026-11-20T00:00:00Z", older.Add(time.Second).Format(time.RFC3339))
	s.restoreIn("older", 5*time.Minute, v1alpha1.RestoreComplete)
	s.ready(3 * time.Minute)
	if users := s.users(); slices.Contains(users, "newest-0") || slices.Contains(users, "new-0") || !slices.Contains(users, "old-3") {
		s.Errorf("users of the older backup: %v", users)
	}

	s.loseAll()
	p.sees(p.run("{.status.clusterUID}"), uid, pageBucket)
	p.run("name: after-the-loss}")
	s.restoreIn("after-the-loss", 5*time.Minute, v1alpha1.RestoreComplete)
	s.ready(3 * time.Minute)
	s.hasUsers(newest)

	fits, _ := s.encrypt("backup-identity")
	s.ask("encrypted", v1alpha1.RobustMQBackupSpec{})
	s.complete("encrypted", d.s3, 2*time.Minute)
	another, _ := identity(s)
	s.keepIdentity("backup-identity", another)
	s.patch(map[string]any{"backup": map[string]any{"autoRestore": "OnTotalLoss"}})
	s.loseAll()
	p.run(`"paused":true`)
	s.says(time.Minute, v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonPaused)
	p.run(`"paused":false`)
	made := s.lossRestore(5*time.Minute, "")
	p.where("my-cluster-loss-1", made.Name)
	p.until("kubectl get rmqr", time.Minute, made.Name)
	p.sees(p.run("kubectl events"), v1alpha1.ReasonAutoRestore)
	s.restoreSays(made.Name, v1alpha1.RestoreFailed, v1alpha1.ReasonRestoreRefused, v1alpha1.ReasonEncryptionInvalid)
	p.sees(p.run("kubectl describe rmqr my-cluster-loss-1"), v1alpha1.ReasonEncryptionInvalid)
	s.keepIdentity("backup-identity", fits) // "mend what it says"
	p.run("kubectl delete rmqr my-cluster-loss-1")
	s.lossRestore(4*time.Minute, string(made.UID))
	p.watch("kubectl get rmqr my-cluster-loss-1 -w", in(v1alpha1.RestoreComplete), 5*time.Minute)
	p.run("kubectl wait rmqr/my-cluster-loss-1")
	p.run("kubectl wait rmqc/my-cluster")
	p.sees(p.run("kubectl get rmqr my-cluster-loss-1 -o jsonpath"), "Complete=True RestoreComplete", "Verified=True RestoreVerified")
	for _, m := range s.cluster().Status.Members {
		if m.Role == v1alpha1.RolePlacementCenter && m.Marker != "Restored" {
			s.Errorf("%s: marker %s", m.Pod, m.Marker)
		}
	}
	s.hasUsers(newest)
	s.fullLists(time.Minute)
	// Every pod stores messages, and which of them led this topic is chance: with a lost volume its copy is gone.
	figures.add("messages of a topic with three copies that can be read after the loss of the placement centre's three volumes", "%d", len(s.read("e2e/kept")))
	s.messages("e2e/kept")
}

// followTotalLossWithoutABackup: the cluster has no spec.backup any more, and every volume is emptied.
func followTotalLossWithoutABackup(s *scene, d *desk) {
	p := s.page("total-loss-without-a-backup.md", d)
	s.kubectl("patch", "rmqc", s.name.Name, "-n", s.name.Namespace, "--type=json", "-p", `[{"op":"remove","path":"/spec/backup"}]`)
	s.ready(time.Minute)
	s.loseAll()
	p.until("kubectl get rmqc my-cluster -o wide", time.Minute, v1alpha1.ReasonDataLost)
	for _, m := range s.cluster().Status.Members {
		if m.Role == v1alpha1.RolePlacementCenter && m.Volume != "Empty" {
			s.Errorf("%s: volume %s", m.Pod, m.Volume)
		}
	}
	p.run("kubectl describe rmqr")
	p.sees(p.run("kubectl get pv -o custom-columns"), "data-"+s.member(0).Name, s.name.Namespace)
	p.sees(p.run("robustmq-operator backup list", "BUCKET", pageBucket, "PREFIX", pagePrefix), s.cluster().Status.ClusterUID) // found, and for the trial not used
	before := s.cluster().Status.Generation
	p.run("robustmq.io/start-empty=")
	p.run("kubectl wait rmqc/my-cluster")
	s.await("Ready with a new generation", 5*time.Minute, func(c *v1alpha1.RobustMQCluster) bool {
		return live.IsReady(c) && c.Status.Generation > before
	})
	p.sees(p.run("range .status.conditions[*]"), "Ready=True", "QuorumHealthy=True")
	p.run("robustmq.io/start-empty-")
	if !slices.ContainsFunc(s.events(), func(e live.Event) bool { return e.Reason == v1alpha1.ReasonStartedEmpty }) {
		s.Errorf("no event %s", v1alpha1.ReasonStartedEmpty)
	}
	if users := s.users(); slices.Contains(users, "old-0") {
		s.Errorf("users %v in a cluster that began empty", users)
	}
	s.fullLists(time.Minute)
	s.messages("e2e/new") // with the user of its Secret
}
