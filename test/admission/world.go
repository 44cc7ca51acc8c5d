package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/controllers/policy"
	"github.com/robustmq/robustmq-operator/test/apiserver"
	"github.com/robustmq/robustmq-operator/webhooks"
)

const serviceDNS = apiserver.WebhookService + "." + apiserver.OperatorNamespace + ".svc"

// World is an API server with the webhooks in front of it.
type World struct {
	*apiserver.Server
	// Replicas of the webhooks.
	Replicas []*Replica

	root     string
	balancer net.Listener
	cancel   context.CancelFunc
}

// Replica is one operator's webhooks.
type Replica struct {
	*apiserver.Replica
	Registry *prometheus.Registry
}

// address of its webhook server.
func (r *Replica) address() string { return fmt.Sprintf("127.0.0.1:%d", r.Port) }

// Start brings up an API server with the definitions and the operator's rights of the repository at root, and replicas of the webhooks with these lifetimes, whose managers have those rights and no others. Without replicas the operator is gone, and its webhook configurations were left behind.
// It returns when all are ready. Stop has to be called, unless there is an error.
func Start(ctx context.Context, root string, replicas int, lifetimes webhooks.Lifetimes) (_ *World, err error) {
	w := &World{root: root}
	ctx, w.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	if w.Server, err = apiserver.Start(ctx, root, nil); err != nil {
		return nil, err
	}
	for _, folder := range []string{"rbac", "webhook"} {
		if err := w.apply(ctx, filepath.Join(root, "config", folder)); err != nil {
			return nil, err
		}
	}
	if w.balancer, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	installed, err := w.Installed(w.balancer.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(w.Client.Create(ctx, installed.Mutating), w.Client.Create(ctx, installed.Validating)); err != nil {
		return nil, err
	}
	for i := range replicas {
		r, err := w.start(ctx, i, lifetimes)
		if err != nil {
			return nil, fmt.Errorf("replica %d: %w", i, err)
		}
		w.Replicas = append(w.Replicas, r)
	}
	if replicas == 0 {
		_ = w.balancer.Close() // the operator is gone: nobody listens
	} else {
		go w.balance(ctx)
	}
	for i, r := range w.Replicas {
		if err := r.Ready(ctx); err != nil {
			return nil, fmt.Errorf("replica %d: %w", i, err)
		}
	}
	return w, nil
}

// Stop ends everything.
func (w *World) Stop() error {
	w.cancel()
	var errs []error
	for _, r := range w.Replicas {
		if err := r.Ended(); err != nil {
			errs = append(errs, err)
		}
	}
	if w.balancer != nil {
		_ = w.balancer.Close()
	}
	if w.Server != nil {
		errs = append(errs, w.Server.Stop())
	}
	return errors.Join(errs...)
}

// AddPolicies makes n policies that hold everywhere and ask for what the load's clusters have.
func (w *World) AddPolicies(ctx context.Context, n int) error {
	for i := range n {
		least := int32(1 + i%3)
		p := &v1alpha1.RobustMQPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("policy-%d", i)}}
		p.Spec.Requirements.MinimumPlacementCenterReplicas = &least
		if err := w.Client.Create(ctx, p); err != nil {
			return fmt.Errorf("policy %s: %w", p.Name, err)
		}
	}
	return nil
}

// apply makes the roles and bindings of a folder.
func (w *World) apply(ctx context.Context, folder string) error {
	return apiserver.EachDocument(folder, func(u *unstructured.Unstructured) error {
		switch u.GetKind() {
		case "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
			return w.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("kubectl"))
		}
		return nil
	})
}

// start runs one replica.
func (w *World) start(ctx context.Context, i int, lifetimes webhooks.Lifetimes) (*Replica, error) {
	operator, err := w.User(apiserver.OperatorUser, "system:serviceaccounts", "system:authenticated")
	if err != nil {
		return nil, err
	}
	base, err := apiserver.NewReplica(operator, filepath.Join(w.Dir, fmt.Sprintf("replica-%d", i)))
	if err != nil {
		return nil, err
	}
	r := &Replica{Replica: base, Registry: prometheus.NewRegistry()}
	source, err := policy.NewSource(r.Manager)
	if err != nil {
		return nil, err
	}
	if err := r.Manager.Add(source); err != nil {
		return nil, err
	}
	if err := webhooks.Setup(r.Manager, webhooks.Options{
		Namespace: apiserver.OperatorNamespace, ServiceName: apiserver.WebhookService, CertDir: r.CertDir, SelfSigned: true, ExtraDNSNames: []string{"localhost"},
		Lifetimes: lifetimes, Metrics: r.Registry, Policies: source,
	}); err != nil {
		return nil, err
	}
	r.Start(ctx)
	return r, nil
}

// balance is the Service: each connection goes to the next replica.
func (w *World) balance(ctx context.Context) {
	for i := 0; ; i++ {
		from, err := w.balancer.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			to, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.Replicas[i%len(w.Replicas)].address())
			if err != nil {
				return
			}
			defer to.Close()
			go func() {
				_, _ = io.Copy(to, from)
				_ = to.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(from, to)
		}()
	}
}
