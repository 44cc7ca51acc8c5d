package messages

import (
	"context"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// Access is how clients reach one cluster. It holds passwords: never print it.
type Access struct {
	kubernetes  *live.Kubernetes
	cluster     *v1alpha1.RobustMQCluster
	mqtt, admin credentials
}

type credentials struct{ username, password string }

// Reach reads the Secrets that the operator made, or that the spec names.
func Reach(ctx context.Context, k *live.Kubernetes, cluster *v1alpha1.RobustMQCluster) (*Access, error) {
	c := cluster.DeepCopy()
	c.Default()
	a := &Access{kubernetes: k, cluster: c}
	for name, into := range map[string]*credentials{manifests.MQTTSecretName(c): &a.mqtt, manifests.AdminSecretName(c): &a.admin} {
		var secret corev1.Secret
		if err := k.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, &secret); err != nil {
			return nil, fmt.Errorf("reading Secret %s: %w", name, err)
		}
		into.username, into.password = string(secret.Data[corev1.BasicAuthUsernameKey]), string(secret.Data[corev1.BasicAuthPasswordKey])
		if into.username == "" || into.password == "" {
			return nil, fmt.Errorf("the Secret %s has no username or no password", name)
		}
	}
	return a, nil
}

// Broker is the MQTT port of one broker.
func (a *Access) Broker(ordinal int32) Endpoint {
	return Endpoint{Dial: a.dial(a.BrokerPod(ordinal), "mqtt"), Username: a.mqtt.username, Password: a.mqtt.password}
}

// Brokers are all of them.
func (a *Access) Brokers() []Endpoint {
	var all []Endpoint
	for i := range a.cluster.Spec.MQTTBroker.Replicas {
		all = append(all, a.Broker(i))
	}
	return all
}

// BrokerPod is the name of one broker's pod.
func (a *Access) BrokerPod(ordinal int32) string {
	return manifests.PodName(a.cluster, v1alpha1.RoleMQTTBroker, ordinal)
}

// Admin is the admin API of one broker.
func (a *Access) Admin(ordinal int32) Admin {
	return Admin{Dial: a.dial(a.BrokerPod(ordinal), "admin"), Username: a.admin.username, Password: a.admin.password}
}

func (a *Access) dial(pod, listener string) Dial {
	var port int32
	for _, l := range a.cluster.Spec.Listeners.Effective() {
		if l.Name == listener {
			port = l.Port
		}
	}
	return func(ctx context.Context) (net.Conn, error) {
		return a.kubernetes.DialPod(ctx, client.ObjectKey{Namespace: a.cluster.Namespace, Name: pod}, port)
	}
}
