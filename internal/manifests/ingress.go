package manifests

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// websocketPath is the only path that RobustMQ serves on its WebSocket port.
const websocketPath = "/mqtt"

// Ingress for MQTT over WebSocket and, when asked for, the admin UI; nil when the spec has none.
func Ingress(cluster *v1alpha1.RobustMQCluster) *networkingv1.Ingress {
	want := cluster.Spec.Ingress
	if want == nil {
		return nil
	}
	paths := []networkingv1.HTTPIngressPath{ingressPath(cluster, websocketPath, networkingv1.PathTypeExact, "ws")}
	if want.Admin {
		paths = append(paths, ingressPath(cluster, "/", networkingv1.PathTypePrefix, "admin"))
	}
	i := &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: meta(cluster, cluster.Name, v1alpha1.ComponentMQTTBroker),
		Spec: networkingv1.IngressSpec{
			IngressClassName: want.ClassName,
			Rules: []networkingv1.IngressRule{{
				Host:             want.Host,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: paths}},
			}},
		},
	}
	i.Annotations = want.Annotations
	if want.TLSSecretName != "" {
		i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{want.Host}, SecretName: want.TLSSecretName}}
	}
	return i
}

func ingressPath(cluster *v1alpha1.RobustMQCluster, path string, kind networkingv1.PathType, port string) networkingv1.HTTPIngressPath {
	return networkingv1.HTTPIngressPath{
		Path:     path,
		PathType: ptr.To(kind),
		Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
			Name: IngressServiceName(cluster), Port: networkingv1.ServiceBackendPort{Name: port},
		}},
	}
}
