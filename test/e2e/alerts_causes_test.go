//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"time"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/bed"
)

// rounds of causes. The lanes of a round run beside one another, the causes of a lane one after the other; each finds the cluster well but for what the other lanes do. All of it happens to one cluster
// of three members and two brokers.
var rounds = [][][]cause{
	{serverCauses, bucketCauses, requestCauses},
	{changeCauses},
	{operatorCauses},
	{lossCauses},
}

// bucketCauses happen to the bucket; servers do not mind.
var bucketCauses = []cause{
	{
		what: "the S3 server is away", alerts: []string{"RobustMQBackupStorageUnusable", "RobustMQBackupFailing", "RobustMQBackupTooOld"}, within: 6 * time.Minute, clears: 6 * time.Minute,
		do: func(w *watched) func() {
			w.must(theBed.EndS3(w.Context(), bed.MinIO))
			return func() {
				if _, err := theBed.S3(contextWithoutCancel(w.T), bed.MinIO); err != nil {
					w.Error(err)
				}
			}
		},
	},
}

// requestCauses come from people, and touch no server.
var requestCauses = []cause{
	{
		what: "a cluster with a misspelt key is applied 200 times", alerts: []string{"RobustMQAdmissionDenials"},
		do: func(w *watched) func() {
			w.refusals(200)
			return func() {}
		},
	},
	{
		what: "a policy asks for five members, and the cluster has three", alerts: []string{"RobustMQPolicyViolated"},
		do: func(w *watched) func() {
			_, err := k8s.Kubectl(w.Context(), strings.NewReader(fmt.Sprintf(`{"apiVersion":%q,"kind":"RobustMQPolicy","metadata":{"name":"e2e-watched"},"spec":{
				"rules":[{"name":"PolicyMinimumMembers","action":"Warn"}],"requirements":{"minimumPlacementCenterReplicas":5}}}`, v1alpha1.GroupVersion)), "apply", "-f", "-")
			w.must(err)
			return func() { w.kubectl("delete", "robustmqpolicy", "e2e-watched") }
		},
	},
}

// changeCauses are changes of the cluster.
var changeCauses = []cause{
	{
		what: "the leadership is asked to move four times", alerts: []string{"RobustMQLeaderChanges"},
		do: func(w *watched) func() {
			for range 4 {
				leader := w.leader()
				target := w.member((w.ordinal(leader.Name) + 1) % 3)
				w.leadOn(target.Name)
				w.await(target.Name+" leads", 2*time.Minute, func(c *v1alpha1.RobustMQCluster) bool { return c.Status.Leader == target.Name })
				w.ready(time.Minute)
			}
			return func() { w.leadOn("") }
		},
	},
	{
		what: "a restore is asked of a cluster that cannot be saved first, because the servers of two of three members hang (SIGSTOP)", alerts: []string{"RobustMQRestoreSlow"}, clears: 8 * time.Minute,
		do: func(w *watched) func() {
			goOn := w.hangs(w.followers()...)
			w.askRestore("again", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: "by-hand"}})
			return func() {
				goOn()
				w.ready(6 * time.Minute)
			}
		},
	},
	{
		what: "a backup's manifest is deleted from the bucket, and a restore asked of it", alerts: []string{"RobustMQRestoreFailed"}, within: 4 * time.Minute,
		do: func(w *watched) func() {
			w.ask("doomed", v1alpha1.RobustMQBackupSpec{})
			b, _ := w.complete("doomed", w.minio, 2*time.Minute)
			objects, err := w.minio.Store(bucket)
			w.must(err)
			w.must(objects.Delete(w.Context(), b.Status.Key))
			w.askRestore("of-doomed", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: "doomed"}})
			return func() { w.ready(4 * time.Minute) }
		},
	},
	{
		what: "the cluster is paused", alerts: []string{"RobustMQClusterPaused"},
		do: func(w *watched) func() {
			w.spec.Spec.Paused = true
			w.apply(w.spec)
			return func() {
				w.spec.Spec.Paused = false
				w.apply(w.spec)
			}
		},
	},
	{
		what: "the listeners' certificate is replaced by one of 75 s", alerts: []string{"RobustMQServerCertificateExpires", "RobustMQCertificateExpired"}, within: 4 * time.Minute,
		do: func(w *watched) func() {
			w.servingCertificate(75 * time.Second)
			w.nudgeAll()
			return func() {
				w.servingCertificate(90 * 24 * time.Hour)
				w.nudgeAll()
			}
		},
	},
}

// lossCauses take machines and disks away.
var lossCauses = []cause{
	{
		what: "every node is cordoned, and one more broker asked for", alerts: []string{"RobustMQPodMissing", "RobustMQClusterProgressingLong"},
		do: func(w *watched) func() {
			nodes := w.nodes()
			w.kubectl(append([]string{"cordon"}, nodes...)...)
			w.spec.Spec.MQTTBroker.Replicas = 3
			w.apply(w.spec)
			return func() {
				w.kubectl(append([]string{"uncordon"}, nodes...)...)
				w.ready(3 * time.Minute)
			}
		},
	},
	{
		what: "the nodes of two of three members lose their power", alerts: []string{"RobustMQMemberFenced"}, clears: 5 * time.Minute,
		do: func(w *watched) func() {
			witness, err := w.in.Node(w.Context())
			w.must(err)
			var nodes []string
			for i := range 3 {
				if node := w.getPod(w.member(i)).Spec.NodeName; node != witness && len(nodes) < 2 {
					nodes = append(nodes, node)
				}
			}
			for _, n := range nodes {
				w.must(theBed.PowerCut(w.Context(), n))
			}
			return func() {
				for _, n := range nodes {
					if err := theBed.PowerOn(contextWithoutCancel(w.T), n); err != nil {
						w.Error(err)
					}
				}
				w.ready(5 * time.Minute)
			}
		},
	},
	{
		what: "the volumes of all members are deleted with their pods", alerts: []string{"RobustMQDataLost", "RobustMQGateClosed"}, within: 4 * time.Minute, clears: 8 * time.Minute,
		do: func(w *watched) func() {
			for i := range 3 {
				w.kubectl("delete", "pvc", "data-"+w.member(i).Name, "-n", w.name.Namespace, "--wait=false")
			}
			for i := range 3 {
				w.kubectl("delete", "pod", w.member(i).Name, "-n", w.name.Namespace, "--grace-period=0", "--force", "--wait=false")
			}
			return func() { w.ready(8 * time.Minute) } // the operator takes the newest backup by itself
		},
	},
}

// simulated are the alerts that this test does not make fire, because a test without a bed does: real agents or simulated servers are brought into the condition, and Prometheus' engine judges what they export.
var simulated = map[string]testOf{
	"RobustMQAgentPanics":             {"internal/agent", "TestAlertAgentPanicsFiresWhenTheAgentHasCaughtAPanic"},
	"RobustMQAuthorizationFailures":   {"test/contract", "TestAlertAuthorizationFailuresFiresWhileAClientTriesWhatAnAccessRuleForbidsIt"},
	"RobustMQBackPressure":            {"test/contract", "TestAlertBackPressureFiresWhileAClientSendsMoreThanASlowDiskTakes"},
	"RobustMQBackupBroken":            {"controllers/backup/plan", "TestAlertBackupBrokenFiresWhenAVerificationFindsAnObjectDamagedInTheBucket"},
	"RobustMQBackupOverdue":           {"controllers/backup/plan", "TestAlertBackupOverdueFiresWhileAQuotaRefusesTheBackupOfASchedule"},
	"RobustMQBackupUnverified":        {"controllers/backup/plan", "TestAlertBackupUnverifiedFiresWhileTheBucketCannotBeRead"},
	"RobustMQFaultyMemberMended":      {"test/simulated", "TestAMemberThatWasEmptiedOfHalfItsKeysIsTakenOutNamedAndSeeded"},
	"RobustMQHandlerTimeouts":         {"test/contract", "TestAlertHandlerTimeoutsFiresWhileTheDiskTakesAMinuteForAWrite"},
	"RobustMQLearnerStuck":            {"test/simulated", "TestAlertLearnerStuckFiresWhileANewcomerThatIsLostDoesNotCatchUp"},
	"RobustMQLeadershipTransfersFail": {"test/simulated", "TestAlertLeadershipTransfersFailFiresWhileTheLeadersAgentCannotBeAskedToStop"},
	"RobustMQMemberHalfJoined":        {"test/simulated", "TestAlertMemberHalfJoinedFiresWhileAMemberVotesInTwoOfThreeGroupsAndNobodyMendsIt"},
	"RobustMQMetadataLogLarge":        {"internal/agent", "TestAlertMetadataLogLargeFiresWhileTheLogsOfTheDatabaseHaveMoreThanAGibibyte"},
	"RobustMQOperatorBehind":          {"monitoring", "TestAlertOperatorBehindFiresWhileTheAPIServerTakesAMinuteForEachAnswer"},
	"RobustMQOperatorStuck":           {"monitoring", "TestAlertOperatorStuckFiresWhileTheAPIServerDoesNotAnswerACall"},
	"RobustMQRaftApplyLag":            {"test/contract", "TestAlertRaftApplyLagFiresWhileTheStateMachineOfAFollowerStandsStill"},
	"RobustMQRaftCommitsSlow":         {"test/contract", "TestAlertRaftCommitsSlowFiresWhileTheDiskTakesMoreThanHalfASecondForAWrite"},
	"RobustMQRaftLag":                 {"test/simulated", "TestAlertRaftLagFiresWhileTheStateMachineOfAFollowerStandsStill"},
	"RobustMQRaftPeerUnreached":       {"test/contract", "TestAlertRaftPeerUnreachedFiresAtTheLeaderOfAMemberThatIsGone"},
	"RobustMQServerOutOfMemory":       {"internal/agent", "TestAlertServerOutOfMemoryFiresWhenTheKernelHasKilledTheServer"},
	"RobustMQStorageErrors":           {"test/contract", "TestAlertStorageErrorsFiresWhileTheOnlyCopyOfATopicIsOutOfReach"},
	"RobustMQVersionsMixed":           {"internal/agent", "TestAlertVersionsMixedFiresWhileAnUpgradeHasReachedOneOfTwo"},
	"RobustMQVolumeFilling":           {"internal/agent", "TestAlertsVolumeFillingAndVolumeFullFireWhileTheFileSystemHasLittleLeft"},
	"RobustMQVolumeFillsSoon":         {"internal/agent", "TestAlertVolumeFillsSoonFiresWhileAVolumeGrowsThatWouldNotLastADay"},
	"RobustMQVolumeFull":              {"internal/agent", "TestAlertsVolumeFillingAndVolumeFullFireWhileTheFileSystemHasLittleLeft"},
}

// testOf is a test by its package's folder and its name.
type testOf struct{ folder, name string }

// trueOfTheBed are alerts that may fire without anybody's doing, because what they say is true there.
var trueOfTheBed = map[string]string{
	"RobustMQVolumeFilling":   "the volumes of a bed are folders of the machine's disk, however full that is",
	"RobustMQVolumeFull":      "the volumes of a bed are folders of the machine's disk, however full that is",
	"RobustMQVolumeFillsSoon": "the volumes of a bed are folders of the machine's disk, which others write to",
	// They wait half an hour and more in the rules that wake people, and look back over what the cluster's formation wrote.
	"RobustMQOperatorWritesWhenIdle": "a quarter of an hour ago the cluster was not there yet",
}
