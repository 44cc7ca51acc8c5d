package live

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Until asks again every period until the condition holds, it fails, or the time is up; then the error says what was awaited and what was seen last.
// look returns whether it holds and, where not, what is seen instead.
func Until(ctx context.Context, what string, period, timeout time.Duration, look func(context.Context) (bool, string, error)) error {
	var seen string
	err := wait.PollUntilContextTimeout(ctx, period, timeout, true, func(ctx context.Context) (bool, error) {
		ok, now, err := look(ctx)
		if ctx.Err() == nil { // a question that the end of the time cut off saw nothing
			seen = now
		}
		return ok, err
	})
	switch {
	case err == nil:
		return nil
	case wait.Interrupted(err) && ctx.Err() == nil:
		return fmt.Errorf("%s: not within %s; last seen: %s", what, timeout, seen)
	default:
		return fmt.Errorf("%s: %w (last seen: %s)", what, err, seen)
	}
}

// IsReady says whether the status speaks of the present spec and the cluster is ready.
func IsReady(c *v1alpha1.RobustMQCluster) bool {
	return c.Status.ObservedGeneration == c.Generation && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady)
}

// Summary is a cluster's state in one line.
func Summary(c *v1alpha1.RobustMQCluster) string {
	var parts []string
	for _, t := range append(slices.Clone(v1alpha1.ConditionTypes), v1alpha1.ConditionStorageReady) {
		condition := meta.FindStatusCondition(c.Status.Conditions, t)
		// what is as it should be needs no words
		if condition == nil || t == v1alpha1.ConditionPaused && condition.Status == metav1.ConditionFalse {
			continue
		}
		if good := t != v1alpha1.ConditionProgressing && t != v1alpha1.ConditionDegraded; good == (condition.Status == metav1.ConditionTrue) && condition.Status != metav1.ConditionUnknown {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s=%s (%s: %s)", t, condition.Status, condition.Reason, condition.Message))
	}
	if len(parts) == 0 {
		return "all conditions are as they should be"
	}
	return strings.Join(parts, "; ")
}

// AwaitCluster polls a cluster until the condition holds; each state that is read is shown to see, which may be nil.
func (k *Kubernetes) AwaitCluster(ctx context.Context, what string, key client.ObjectKey, timeout time.Duration, see func(*v1alpha1.RobustMQCluster), holds func(*v1alpha1.RobustMQCluster) bool) (*v1alpha1.RobustMQCluster, error) {
	var cluster v1alpha1.RobustMQCluster
	var last string
	err := Until(ctx, fmt.Sprintf("cluster %s: %s", key.Name, what), 250*time.Millisecond, timeout, func(ctx context.Context) (bool, string, error) {
		// A fresh object each time: decoding leaves what an answer does not mention.
		cluster = v1alpha1.RobustMQCluster{}
		if err := k.Get(ctx, key, &cluster); err != nil {
			return false, fmt.Sprintf("%s (then: %v)", last, err), nil
		}
		if see != nil {
			see(&cluster)
		}
		last = Summary(&cluster)
		return holds(&cluster), last, nil
	})
	return &cluster, err
}
