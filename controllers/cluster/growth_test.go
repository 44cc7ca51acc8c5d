package cluster

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func claim(asked, has string, conditions ...corev1.PersistentVolumeClaimCondition) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-c-placement-center-0"}}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(asked)}
	c.Status.Phase, c.Status.Conditions = corev1.ClaimPending, conditions
	if has != "" {
		c.Status.Phase, c.Status.Capacity = corev1.ClaimBound, corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(has)}
	}
	return c
}

func setOf(size string) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "c-placement-center"}}
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*claim(size, "")}
	return set
}

func TestVolumesGrowClaimsFirstAndTheTemplateOfTheSetOnlyThen(t *testing.T) {
	t.Parallel()
	going := claim("10Gi", "10Gi")
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	leaving := setOf("10Gi")
	leaving.DeletionTimestamp = going.DeletionTimestamp
	failed := corev1.PersistentVolumeClaimCondition{Type: corev1.PersistentVolumeClaimControllerResizeError, Status: corev1.ConditionTrue, Message: "out of quota"}
	pending := corev1.PersistentVolumeClaimCondition{Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue}
	over := failed
	over.Status = corev1.ConditionFalse
	for name, c := range map[string]struct {
		wanted string
		claims []*corev1.PersistentVolumeClaim
		set    *appsv1.StatefulSet

		grow    int
		remake  bool
		wait    string // part of the only wait
		trouble bool
	}{
		"all as wanted":                     {"10Gi", []*corev1.PersistentVolumeClaim{claim("10Gi", "10Gi")}, setOf("10Gi"), 0, false, "", false},
		"same size in other words":          {"10Gi", []*corev1.PersistentVolumeClaim{claim("10240Mi", "10Gi")}, setOf("10240Mi"), 0, false, "", false},
		"claims ask for less":               {"20Gi", []*corev1.PersistentVolumeClaim{claim("10Gi", "10Gi"), claim("20Gi", "20Gi")}, setOf("10Gi"), 1, false, "", false},
		"every claim asks":                  {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "10Gi")}, setOf("10Gi"), 0, true, "grows from 10Gi to 20Gi", false},
		"every claim has":                   {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "20Gi")}, setOf("10Gi"), 0, true, "", false},
		"the driver gives more than asked":  {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "32Gi")}, setOf("20Gi"), 0, false, "", false},
		"a claim that is not bound yet":     {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "")}, setOf("20Gi"), 0, false, "", false},
		"a claim that goes is left alone":   {"20Gi", []*corev1.PersistentVolumeClaim{going}, setOf("20Gi"), 0, false, "", false},
		"a set that goes is not deleted":    {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "20Gi")}, leaving, 0, false, "", false},
		"the set is gone":                   {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "20Gi")}, nil, 0, false, "", false},
		"nothing shrinks":                   {"5Gi", []*corev1.PersistentVolumeClaim{claim("10Gi", "10Gi")}, setOf("10Gi"), 0, false, "", false},
		"the driver failed":                 {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "10Gi", failed)}, setOf("20Gi"), 0, false, "out of quota", true},
		"the driver's failure is over":      {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "10Gi", over)}, setOf("20Gi"), 0, false, "grows from 10Gi to 20Gi", false},
		"the file system is still to grow":  {"20Gi", []*corev1.PersistentVolumeClaim{claim("20Gi", "10Gi", pending)}, setOf("20Gi"), 0, false, "file system", false},
		"no claim yet, a larger set wanted": {"20Gi", nil, setOf("10Gi"), 0, true, "", false},
	} {
		g := planGrowth(resource.MustParse(c.wanted), c.claims, c.set)
		if len(g.claims) != c.grow || (g.remake != nil) != c.remake {
			t.Errorf("%s: %d claims grow, set made anew: %v; want %d, %v", name, len(g.claims), g.remake != nil, c.grow, c.remake)
		}
		switch {
		case c.wait == "" && len(g.waits) == 0:
		case c.wait != "" && len(g.waits) == 1 && strings.Contains(g.waits[0].Message, c.wait) && g.waits[0].Trouble == c.trouble:
		default:
			t.Errorf("%s: waits %+v, want %q (trouble %v)", name, g.waits, c.wait, c.trouble)
		}
	}
}
