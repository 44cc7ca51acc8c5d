package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

func TestARestoreRaisesTheGenerationFromItsFirstByteOnAndTakesItBackWhileItIsAborted(t *testing.T) {
	for what, c := range map[string]struct {
		recorded int64
		restores []v1alpha1.RobustMQRestore
		want     int64
		onClaims int64 // 0: as the record
	}{
		"no restore":                        {3, nil, 3, 0},
		"its number was only chosen":        {3, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreStopping, 4)}, 3, 0},
		"bytes move":                        {3, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreTransferring, 4)}, 4, 0},
		"the members swap":                  {3, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreOpening, 4)}, 4, 0},
		"they are verified":                 {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreVerifying, 4)}, 4, 0},
		"brokers start":                     {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreStarting, 4)}, 4, 0},
		"the record was lost":               {1, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreComplete, 4)}, 4, 0},
		"a later one is older than records": {6, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreComplete, 4)}, 6, 0},
		"taken back":                        {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborting, 4)}, 3, 0},
		"taken back already":                {3, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborting, 4)}, 3, 0},
		"aborted before it had a number":    {1, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborting, 0)}, 1, 0},
		"aborted for good":                  {3, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborted, 4)}, 3, 0},
		"an older one was aborted with the number that this one has": {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborted, 4), restoreAt("b", v1alpha1.RestoreComplete, 4)}, 4, 0},
		"failed":                    {3, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreFailed, 4)}, 3, 0},
		"a later one moves already": {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborting, 4), restoreAt("b", v1alpha1.RestoreTransferring, 5)}, 5, 0},
		"it ended before the status was behind it": {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborted, 4)}, 3, 3},
		"the same of one that failed":              {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreFailed, 4)}, 3, 3},
		"an aborted one and lost claims":           {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborted, 4)}, 4, 1},
		"a later one has its number":               {4, []v1alpha1.RobustMQRestore{restoreAt("a", v1alpha1.RestoreAborted, 4)}, 4, 4},
	} {
		if c.onClaims == 0 {
			c.onClaims = c.recorded
		}
		if got := generationBy(c.recorded, c.onClaims, c.restores); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}

func TestTheHighestRecordOfTheGenerationCounts(t *testing.T) {
	for what, c := range map[string]struct {
		status int64
		claims []string
		want   int64
	}{
		"nothing is recorded":   {0, []string{"", "", ""}, 1},
		"the status was lost":   {0, []string{"3", "3", "2"}, 3},
		"the claims were":       {3, []string{"", "", ""}, 3},
		"a claim is newer":      {2, []string{"", "3", ""}, 3},
		"a claim is older":      {3, []string{"2", "2", "2"}, 3},
		"a claim says nonsense": {2, []string{"many", "-4", "0"}, 2},
	} {
		cluster := sample("0.4.11")
		cluster.Status.ClusterUID, cluster.Status.Generation = testUID, c.status
		o := &observation{claims: map[string]*corev1.PersistentVolumeClaim{}}
		for i, generation := range c.claims {
			name := manifests.PodName(cluster, v1alpha1.RolePlacementCenter, int32(i))
			o.claims[name] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationClusterUID: testUID, v1alpha1.AnnotationGeneration: generation}}}
		}
		o.claims["c-mqtt-broker-0"] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationClusterUID: testUID, v1alpha1.AnnotationGeneration: "9"}}}
		id, _, err := identify(cluster, o, func() string { return "fresh" })
		if err != nil || id.recorded != c.want || id.generation != c.want {
			t.Errorf("%s: %+v %v, want %d", what, id, err, c.want)
		}
	}
}

// stored is a reconciler with an API server that has the pass's claims and pods and the configuration of its placement centre, and what was written to it.
func stored(t *testing.T, p *pass) (*Reconciler, *[]string) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(scheme)
	for _, claim := range p.observed.claims {
		claim.Namespace = "ns"
		b = b.WithObjects(claim)
	}
	for _, pod := range p.observed.pods {
		b = b.WithObjects(pod)
	}
	config, err := manifests.ConfigSecret(p.desired, p.inputs, v1alpha1.RolePlacementCenter)
	if err != nil {
		t.Fatal(err)
	}
	written := []string{}
	api := interceptor.NewClient(b.WithObjects(config).Build(), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			written = append(written, o.GetName())
			return c.Patch(ctx, o, patch, opts...)
		},
	})
	return &Reconciler{Client: api}, &written
}

// reread takes what the API server has of the claims and pods into the pass, as the next one would.
func reread(t *testing.T, r *Reconciler, p *pass) {
	t.Helper()
	for pod, claim := range p.observed.claims {
		var now corev1.PersistentVolumeClaim
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(claim), &now); err != nil {
			t.Fatal(err)
		}
		p.observed.claims[pod] = &now
	}
	for name, pod := range p.observed.pods {
		var now corev1.Pod
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(pod), &now); err != nil {
			t.Fatal(err)
		}
		p.observed.pods[name] = &now
	}
	p.snapshot = newSnapshot(p, topology.DefaultLimits())
}

func generationsOn(p *pass) map[string]string {
	out := map[string]string{}
	for pod, claim := range p.observed.claims {
		if g := claim.Annotations[v1alpha1.AnnotationGeneration]; g != "" {
			out[pod] = g + " founded " + claim.Annotations[v1alpha1.AnnotationFounded]
		}
	}
	return out
}

func TestANewGenerationIsRecordedOnTheMembersClaimsAndNoOthers(t *testing.T) {
	p := formed(t)
	delete(p.observed.claims["c-placement-center-1"].Annotations, v1alpha1.AnnotationFounded)
	r, written := stored(t, p)
	reread(t, r, p)
	if err := r.recordGeneration(t.Context(), p); err != nil || len(*written) != 0 {
		t.Fatalf("of the first generation %v is written: %v", *written, err)
	}
	p.id.generation, p.id.recorded = 2, 1
	if err := r.recordGeneration(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	reread(t, r, p)
	want := map[string]string{"c-placement-center-0": "2 founded true", "c-placement-center-1": "2 founded true", "c-placement-center-2": "2 founded true"}
	if got := generationsOn(p); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := p.generationToTell(); got != 2 {
		t.Errorf("the status says %d", got)
	}
	before := len(*written)
	if err := r.recordGeneration(t.Context(), p); err != nil || len(*written) != before {
		t.Errorf("written again: %v, %v", *written, err)
	}
}

func TestAGenerationThatIsTakenBackStaysInTheStatusUntilNoClaimHasItAnyMore(t *testing.T) {
	p := formed(t)
	for o := range int32(3) {
		p.observed.claims[manifests.PodName(p.desired, v1alpha1.RolePlacementCenter, o)].Annotations[v1alpha1.AnnotationGeneration] = "4"
	}
	p.id.generation, p.id.recorded = 3, 4
	r, _ := stored(t, p)
	reread(t, r, p)
	if got := statusOf(p, noon).Generation; got != 4 {
		t.Errorf("before anything is written the status says %d", got)
	}
	if err := r.recordGeneration(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got := statusOf(p, noon).Generation; got != 4 {
		t.Errorf("while the cache still has the old claims the status says %d, and whoever relies on it would see the generation come back", got)
	}
	reread(t, r, p)
	if got := statusOf(p, noon).Generation; got != 3 {
		t.Errorf("then the status says %d", got)
	}
	if got := generationsOn(p)["c-placement-center-2"]; got != "3 founded true" {
		t.Errorf("a claim says %s", got)
	}
}

func TestOnlyThePlacementCentreIsGivenANewerGeneration(t *testing.T) {
	p := formed(t)
	p.inputs.Generation, p.id.generation = 5, 5
	for role, want := range map[v1alpha1.Role]int64{v1alpha1.RolePlacementCenter: 5, v1alpha1.RoleMQTTBroker: 1, v1alpha1.RoleJournalServer: 1} {
		p.desired.Spec.JournalServer = &v1alpha1.JournalServerSpec{}
		secret, err := manifests.ConfigSecret(p.desired, p.inputs, role)
		if err != nil {
			t.Fatal(err)
		}
		if got := manifests.GivesGeneration(secret); got != want {
			t.Errorf("the configuration of %s: %d", role, got)
		}
	}
	for pod, want := range map[string]int64{"c-placement-center-2": 5, "c-mqtt-broker-1": 1} {
		order := p.gateOrder(protocol.GateJoin, topology.Step{Pod: pod, NodeID: 3})
		if order.Generation != want || order.ClusterUID != testUID || order.NodeID != 3 || order.Action != protocol.GateJoin {
			t.Errorf("%s: %+v", pod, order)
		}
	}
	if text, err := json.Marshal(map[string]int{"x": 1}); err != nil || manifests.GivesGeneration(&corev1.Secret{Data: map[string][]byte{"config.json": text}}) != 0 || manifests.GivesGeneration(&corev1.Secret{}) != 0 {
		t.Error("a configuration without a generation has one")
	}
}

func TestTheKubeletsOfMembersAreHurriedOnceTheirConfigurationHasANewGeneration(t *testing.T) {
	p := formed(t)
	p.id.generation = 2
	stale, err := manifests.ConfigSecret(p.desired, p.inputs, v1alpha1.RolePlacementCenter)
	if err != nil {
		t.Fatal(err)
	}
	p.inputs.Generation = 2
	r, written := stored(t, p)
	want := func() {
		t.Helper()
		reread(t, r, p)
		p.snapshot.Wanted.Sources = map[v1alpha1.Role]string{v1alpha1.RolePlacementCenter: "new"}
		for i := range p.snapshot.Members {
			p.snapshot.Members[i].Agent.Source = "old"
		}
		p.snapshot.Members[0].Agent.Source = "new" // it has it already
		*written = nil
	}
	want()
	fresh := stale.DeepCopy()
	if err := r.Get(t.Context(), client.ObjectKeyFromObject(stale), fresh); err != nil {
		t.Fatal(err)
	}
	given := fresh.Data
	fresh.Data = stale.Data
	if err := r.Update(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	r.hurryGeneration(t.Context(), p)
	if len(*written) != 0 {
		t.Errorf("before the Secret is seen to have it: %v", *written)
	}
	fresh.Data = given
	if err := r.Update(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	r.hurryGeneration(t.Context(), p)
	if len(*written) != 2 || (*written)[0] != "c-placement-center-1" || (*written)[1] != "c-placement-center-2" {
		t.Errorf("%v", *written)
	}
	want()
	if got := p.observed.pods["c-placement-center-1"].Annotations[v1alpha1.AnnotationGeneration]; got != strconv.Itoa(2) {
		t.Errorf("the pod says %q", got)
	}
	r.hurryGeneration(t.Context(), p)
	if len(*written) != 0 {
		t.Errorf("a second time: %v", *written)
	}
	p.id.generation, p.snapshot.Members[1].Agent.Source = 1, "old"
	if late := p.latePods(); len(late) != 2 {
		t.Errorf("a generation that is taken back hurries %d pods", len(late))
	}
}

func TestAClusterThatWasNeverRestoredHasNoPodTouched(t *testing.T) {
	p := formed(t)
	p.snapshot.Wanted.Sources = map[v1alpha1.Role]string{v1alpha1.RolePlacementCenter: "new"}
	if late := p.latePods(); len(late) != 0 {
		t.Errorf("%d pods", len(late))
	}
}
