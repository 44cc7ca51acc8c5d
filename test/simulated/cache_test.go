package simulated

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// mutationDetector makes client-go's informers keep a copy of what they hold, and panic when that is no longer equal. It is read as the program starts.
const mutationDetector = "KUBE_CACHE_MUTATION_DETECTOR"

// The operator reads most of what it has in its cache without a copy, so whoever changed such an object would change what every later pass sees. Some lives of clusters are lived again by a
// process that notices, before the package's other worlds: two processors cannot hurry both.
func TestNoPassChangesAnObjectOfTheCache(t *testing.T) {
	if os.Getenv(mutationDetector) != "" {
		t.Skip("this is that process")
	}
	lives := []string{
		"TestThreeMembersAndTwoBrokersFormOneClusterInOrder",
		"TestVolumesGrowWithoutARestartAndNewMembersGetTheLargerSize",
		"TestTheVolumeOfADrainedBrokerGoesWithItWhereTheUserSaidSo",
		"TestAnUpgradeRollsAndTheStatusFollowsWhenEveryServerRunsIt",
		"TestAMemberThatLostItsVolumeIsSeededFromAnImageOfALiveFollower",
		"TestAClusterHibernatesWithItsVolumesAndWakesAsTheSame",
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout", "15m", "-test.run", "^("+strings.Join(lives, "|")+")$")
	cmd.Env = append(os.Environ(), mutationDetector+"=true")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, life := range lives {
		if !strings.Contains(string(out), "--- PASS: "+life+" ") {
			t.Errorf("%s was not lived\n%s", life, out)
		}
	}
}
