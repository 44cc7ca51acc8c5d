package registration

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestAControllerWorksAtLeastOnOneObjectAndTriesAgainEverMoreRarely(t *testing.T) {
	o := Options{Concurrency: -1}
	c := o.Controller(time.Second, 3*time.Second)
	if c.MaxConcurrentReconciles != 1 || *c.SkipNameValidation || o.Named("own") != "own" || (Options{Name: "other"}).Named("own") != "other" {
		t.Errorf("%+v", c)
	}
	if c = (Options{Concurrency: 4, SkipNameValidation: true}).Controller(time.Second, 3*time.Second); c.MaxConcurrentReconciles != 4 || !*c.SkipNameValidation {
		t.Errorf("%+v", c)
	}
	failing := reconcile.Request{NamespacedName: types.NamespacedName{Name: "c"}}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		if got := c.RateLimiter.When(failing); got != want {
			t.Errorf("failure %d: again after %s, want %s", i+1, got, want)
		}
	}
}
