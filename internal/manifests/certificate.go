package manifests

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// CertificateKind is cert-manager's; its types are not imported for one object.
var CertificateKind = schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}

// Certificate asks cert-manager for the listeners' certificate; nil unless the spec names an issuer.
func Certificate(cluster *v1alpha1.RobustMQCluster, in Inputs) *unstructured.Unstructured {
	issuer := cluster.Spec.TLS.IssuerRef
	if issuer == nil {
		return nil
	}
	u := certificate(cluster)
	u.SetLabels(labels(cluster, v1alpha1.ComponentMQTTBroker))
	u.SetOwnerReferences(meta(cluster, "", "").OwnerReferences)
	u.Object["spec"] = map[string]any{
		"secretName": ServerTLSSecretName(cluster),
		"secretTemplate": map[string]any{
			"labels": anyMap(labels(cluster, v1alpha1.ComponentMQTTBroker)), // the operator's cache holds only labelled Secrets
		},
		"dnsNames":   anyList(sortedSet(ListenerDNSNames(cluster, in))),
		"usages":     []any{"digital signature", "server auth"},
		"privateKey": map[string]any{"algorithm": "ECDSA", "size": int64(256), "rotationPolicy": "Always"},
		"issuerRef": map[string]any{
			"name":  issuer.Name,
			"kind":  cmp.Or(issuer.Kind, "Issuer"),
			"group": cmp.Or(issuer.Group, CertificateKind.Group),
		},
	}
	return u
}

// certificate is the bare object: kind and name.
func certificate(cluster *v1alpha1.RobustMQCluster) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(CertificateKind)
	u.SetName(cluster.Name + "-server-tls")
	u.SetNamespace(cluster.Namespace)
	return u
}

func sortedSet(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

func anyList(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func anyMap(in map[string]string) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		out[k] = v
	}
	return out
}
