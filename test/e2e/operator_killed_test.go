//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// operatorKilled is how long the operator is left alone on average, where E2E_OPERATOR_KILLED says so (30s): whatever the tests do then has to end as well as ever.
func operatorKilled() (time.Duration, error) {
	text := os.Getenv("E2E_OPERATOR_KILLED")
	if text == "" {
		return 0, nil
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < time.Second {
		return 0, fmt.Errorf("E2E_OPERATOR_KILLED=%s: a duration from 1s", text)
	}
	return every, nil
}

// killOperators kills the leading replica of the operator at random times, until stop is called, which says how often. The pod goes, and not only its process: a container that ends often is started after
// ever longer pauses.
func killOperators(every time.Duration) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	killed := 0
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(rand.Int64N(int64(2 * every)))): //nolint:gosec // when it hits is no secret
			}
			pod, err := killLeader(ctx)
			if err != nil {
				log.Printf("the operator was not killed: %v", err)
				continue
			}
			killed++
			log.Printf("operator %s was killed", pod)
		}
	})
	return func() int {
		cancel()
		ended.Wait()
		return killed
	}
}

// killLeader kills the pod that holds the operator's lease.
func killLeader(ctx context.Context) (string, error) {
	var lease coordinationv1.Lease
	if err := k8s.Get(ctx, client.ObjectKey{Namespace: live.OperatorNamespace, Name: "robustmq-operator"}, &lease); err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil {
		return "", fmt.Errorf("nobody holds the lease")
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: live.OperatorNamespace, Name: name}}
	return name, k8s.Delete(ctx, pod, client.GracePeriodSeconds(0))
}
