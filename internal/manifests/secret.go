package manifests

import (
	"encoding/json"
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pki"
)

// jwtKey is the key in the Secret of the tokens' signing key, and the file's name in the pod.
const jwtKey = "secret"

var configKey = path.Base(protocol.ConfigFile)

// ConfigSecret holds what the agents of one role are given. It is a Secret because the user's own configuration may hold passwords (connectors, external auth).
func ConfigSecret(cluster *v1alpha1.RobustMQCluster, in Inputs, r v1alpha1.Role) (*corev1.Secret, error) {
	config, err := AgentConfig(cluster, in, r)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encode the configuration of %s: %w", r, err)
	}
	return secret(meta(cluster, ConfigSecretName(cluster, r), r.Component()), corev1.SecretTypeOpaque, map[string][]byte{configKey: data}), nil
}

// AdminSecret holds the generated user of the admin API. Make it once: its values are random.
func AdminSecret(cluster *v1alpha1.RobustMQCluster, password string) *corev1.Secret {
	return credentials(cluster, cluster.Name+"-admin", "admin", password)
}

// MQTTSecret holds the generated first MQTT user. RobustMQ stores it in its metadata at its first start and never changes it again: a new value here would only lock everybody out.
func MQTTSecret(cluster *v1alpha1.RobustMQCluster, password string) *corev1.Secret {
	return credentials(cluster, cluster.Name+"-mqtt", "robustmq", password)
}

// JWTSecret holds the key that signs the admin API's tokens.
func JWTSecret(cluster *v1alpha1.RobustMQCluster, key string) *corev1.Secret {
	return secret(asLongAsTheData(cluster, JWTSecretName(cluster)), corev1.SecretTypeOpaque, map[string][]byte{jwtKey: []byte(key)})
}

func credentials(cluster *v1alpha1.RobustMQCluster, name, user, password string) *corev1.Secret {
	return secret(asLongAsTheData(cluster, name), corev1.SecretTypeBasicAuth, map[string][]byte{
		corev1.BasicAuthUsernameKey: []byte(user), corev1.BasicAuthPasswordKey: []byte(password),
	})
}

// asLongAsTheData: retained volumes hold the user with this password, so the Secret is retained with them.
func asLongAsTheData(cluster *v1alpha1.RobustMQCluster, name string) metav1.ObjectMeta {
	if cluster.Spec.VolumeRetention == v1alpha1.VolumesDeleted {
		return meta(cluster, name, "")
	}
	return unowned(cluster, name, "")
}

// PKISecrets are the Secrets of the cluster's certificates; those that certs does not hold are left out.
func PKISecrets(cluster *v1alpha1.RobustMQCluster, certs pki.Secrets) []*corev1.Secret {
	var secrets []*corev1.Secret
	for _, s := range []struct {
		name string
		data map[string][]byte
	}{
		{AuthoritySecretName(cluster), certs.Authority},
		{AgentPKISecretName(cluster), certs.Agent},
		{OperatorPKISecretName(cluster), certs.Operator},
		{JobPKISecretName(cluster), certs.Job},
		{cluster.Name + "-server-tls", certs.Listener},
	} {
		if s.data != nil {
			secrets = append(secrets, secret(meta(cluster, s.name, ""), corev1.SecretTypeTLS, s.data))
		}
	}
	return secrets
}

// PKISubject is whose certificates are to be made.
func PKISubject(cluster *v1alpha1.RobustMQCluster, in Inputs) pki.Subject {
	who := pki.Subject{Namespace: cluster.Namespace, Cluster: cluster.Name}
	if GeneratesServerTLS(cluster) {
		who.ListenerDNSNames = ListenerDNSNames(cluster, in)
	}
	return who
}

func secret(m metav1.ObjectMeta, kind corev1.SecretType, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: m, Type: kind, Data: data}
}
