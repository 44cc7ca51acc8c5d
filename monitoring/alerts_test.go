package monitoring_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	backups "github.com/robustmq/robustmq-operator/controllers/backup/plan"
	"github.com/robustmq/robustmq-operator/monitoring"
	"github.com/robustmq/robustmq-operator/test/recording"
)

// operator is a controller of the product at work, in a bubble whose clock goes on when everybody waits, and a Prometheus that asks it every 30 s.
type operator struct {
	*recording.Recording
	begin time.Time
	// answer is how the API server answers a read; nil: at once.
	answer func(ctx context.Context, name string) error
}

func (o *operator) since() time.Duration { return time.Since(o.begin) }

// lasts lets so much time pass.
func (o *operator) lasts(d time.Duration) {
	ticker := time.NewTicker(30 * time.Second)
	defer ticker.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-ticker.C {
		synctest.Wait()
		o.Scrape(time.Now(), recording.Operator(), promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	}
	synctest.Wait()
}

// atWork runs a story with an operator that has so many clusters to look at.
func atWork(t *testing.T, clusters int, story func(*operator)) *recording.Recording {
	t.Helper()
	r := recording.New(t)
	synctest.Test(t, func(t *testing.T) {
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		o := &operator{Recording: r, begin: time.Now()}
		api := fake.NewClientBuilder().WithScheme(scheme)
		var all []reconcile.Request
		for i := range clusters {
			c := &v1alpha1.RobustMQCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: fmt.Sprint("c", i)}}
			api, all = api.WithObjects(c), append(all, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c)})
		}
		slow := interceptor.NewClient(api.Build(), interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
			if o.answer != nil {
				if err := o.answer(ctx, key.Name); err != nil {
					return err
				}
			}
			return c.Get(ctx, key, into, opts...)
		}})
		const name, concurrency = "robustmqbackupplan", 8 // --max-concurrent-reconciles
		skip := true
		c, err := controller.NewUnmanaged(name, controller.Options{
			Reconciler:              monitoring.NewWork().Reconciler(name, &backups.Reconciler{Client: slow, Metrics: monitoring.NewBackups(), Timings: backups.DefaultTimings(), Now: time.Now}),
			MaxConcurrentReconciles: concurrency, SkipNameValidation: &skip, Logger: logr.Discard(),
		})
		if err != nil {
			t.Fatal(err)
		}
		changed := make(chan struct{}) // every cluster changes once
		if err := c.Watch(source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			go func() {
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
				for _, request := range all {
					queue.Add(request)
				}
			}()
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Start(ctx) }()
		o.lasts(5 * time.Minute)
		close(changed)
		story(o)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestAlertOperatorBehindFiresWhileTheAPIServerTakesAMinuteForEachAnswer(t *testing.T) {
	const clusters = 500
	var cause, cure time.Duration
	r := atWork(t, clusters, func(o *operator) {
		cause = o.since()
		o.answer = func(ctx context.Context, _ string) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		o.lasts(25 * time.Minute)
		cure, o.answer = o.since(), nil
		o.lasts(5 * time.Minute)
	})
	r.Fires("RobustMQOperatorBehind", 0, cause, cure)
	r.Quiet(0, "RobustMQOperatorStuck") // each of them ends
}

func TestAlertOperatorStuckFiresWhileTheAPIServerDoesNotAnswerACall(t *testing.T) {
	var cause, cure time.Duration
	r := atWork(t, 20, func(o *operator) {
		cause = o.since()
		broken := make(chan struct{})
		o.answer = func(ctx context.Context, name string) error {
			if name != "c7" {
				return nil
			}
			select {
			case <-broken:
				return errors.New("connection reset by peer")
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		o.lasts(20 * time.Minute)
		cure, o.answer = o.since(), nil
		close(broken)
		o.lasts(5 * time.Minute)
	})
	r.Fires("RobustMQOperatorStuck", 0, cause, cure)
	r.Quiet(0, "RobustMQOperatorBehind")
}
