package manifests

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Objects are all objects of a cluster whose content is not random, in the order in which they are to be applied: what a pod needs before the pods.
// Left out are the generated credentials and certificates (AdminSecret, MQTTSecret, JWTSecret, PKISecrets), which have to exist before the StatefulSets.
func Objects(cluster *v1alpha1.RobustMQCluster, in Inputs) ([]client.Object, error) {
	objects := []client.Object{ServiceAccount(cluster)}
	for _, p := range NetworkPolicies(cluster, in) {
		objects = append(objects, p)
	}
	roles := cluster.Spec.Roles()
	for _, role := range roles {
		r := role.Role
		config, err := ConfigSecret(cluster, in, r)
		if err != nil {
			return nil, err
		}
		objects = append(objects, config, GoverningService(cluster, r))
	}
	objects = append(objects, AgentsService(cluster))
	if s := ClientService(cluster, in); s != nil {
		objects = append(objects, s)
	}
	if s := IngressService(cluster, in); s != nil {
		objects = append(objects, s, Ingress(cluster))
	}
	if c := Certificate(cluster, in); c != nil {
		objects = append(objects, c)
	}
	for _, role := range roles {
		if b := PodDisruptionBudget(cluster, in, role.Role); b != nil {
			objects = append(objects, b)
		}
	}
	for _, role := range roles {
		objects = append(objects, StatefulSet(cluster, in, role.Role))
	}
	return objects, nil
}

// Absent are the objects that an earlier spec may have left and this one does not want: kind and name only. Whoever deletes one checks first that the cluster owns it.
// StatefulSets, their Services and generated Secrets are never among them: what holds data, or names those who hold it, goes in steps or not at all.
func Absent(cluster *v1alpha1.RobustMQCluster, in Inputs) []client.Object {
	var absent []client.Object
	bare := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: cluster.Namespace}
	}
	if ClientService(cluster, in) == nil {
		absent = append(absent, &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: bare(ClientServiceName(cluster))})
	}
	if cluster.Spec.Ingress == nil {
		absent = append(absent,
			&networkingv1.Ingress{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"}, ObjectMeta: bare(cluster.Name)},
			&corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: bare(IngressServiceName(cluster))})
	}
	present := map[string]bool{}
	for _, p := range NetworkPolicies(cluster, in) {
		present[p.Name] = true
	}
	for _, name := range []string{internalPolicyName(cluster), clientPolicyName(cluster)} {
		if !present[name] {
			absent = append(absent, &networkingv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: bare(name)})
		}
	}
	for _, role := range cluster.Spec.Roles() {
		if PodDisruptionBudget(cluster, in, role.Role) == nil {
			absent = append(absent, &policyv1.PodDisruptionBudget{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: bare(WorkloadName(cluster, role.Role))})
		}
	}
	if cluster.Spec.TLS.IssuerRef == nil {
		absent = append(absent, certificate(cluster))
	}
	return absent
}
