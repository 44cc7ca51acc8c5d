package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	agentclient "github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/internal/topology"
)

// Randomness is where keys and passwords come from: crypto/rand outside tests.
type Randomness = io.Reader

// ensureSecrets makes what is generated once and kept (credentials, the JWT key), renews the certificates that are due, and looks whether the Secrets that the user named are there.
// It returns the operator's own identity towards the cluster's agents.
func (r *Reconciler) ensureSecrets(ctx context.Context, p *pass) (agentclient.Identity, error) {
	if err := r.checkNamed(ctx, p); err != nil {
		return agentclient.Identity{}, err
	}
	if err := r.ensureCredentials(ctx, p); err != nil {
		return agentclient.Identity{}, err
	}
	return r.ensureCertificates(ctx, p)
}

// named is a Secret that the spec refers to, and the keys it must have.
type named struct {
	field, name string
	keys        []string
}

func namedSecrets(cluster *v1alpha1.RobustMQCluster) []named {
	var out []named
	add := func(field, name string, keys ...string) {
		if name != "" {
			out = append(out, named{field, name, keys})
		}
	}
	add("spec.auth.adminSecretName", cluster.Spec.Auth.AdminSecretName, "username", "password")
	add("spec.auth.mqttSecretName", cluster.Spec.Auth.MQTTSecretName, "username", "password")
	add("spec.tls.secretName", cluster.Spec.TLS.SecretName, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	for i, ref := range cluster.Spec.ImagePullSecrets {
		add(fmt.Sprintf("spec.imagePullSecrets[%d].name", i), ref.Name)
	}
	return out
}

// checkNamed reads the Secrets that the user named, past the cache: the operator holds nobody else's Secrets in memory.
func (r *Reconciler) checkNamed(ctx context.Context, p *pass) error {
	for _, want := range namedSecrets(p.desired) {
		var secret corev1.Secret
		err := r.Reader.Get(ctx, types.NamespacedName{Namespace: p.cluster.Namespace, Name: want.name}, &secret)
		switch {
		case apierrors.IsNotFound(err):
			p.waits = append(p.waits, topology.Wait{Reason: v1alpha1.ReasonWaitingForSecret, Trouble: true,
				Message: fmt.Sprintf("%s names Secret %q, which does not exist in namespace %s", want.field, want.name, p.cluster.Namespace)})
			continue
		case err != nil:
			return fmt.Errorf("reading Secret %s (%s): %w", want.name, want.field, err)
		}
		for _, key := range want.keys {
			if len(secret.Data[key]) == 0 {
				p.waits = append(p.waits, topology.Wait{Reason: v1alpha1.ReasonWaitingForSecret, Trouble: true,
					Message: fmt.Sprintf("Secret %q (%s) has no key %q", want.name, want.field, key)})
			}
		}
	}
	return nil
}

// ensureCredentials makes the Secrets of users and the JWT key that do not exist. What exists is never changed: the metadata knows the first MQTT password only.
func (r *Reconciler) ensureCredentials(ctx context.Context, p *pass) error {
	type generated struct {
		name   string
		length int
		make   func(random string) *corev1.Secret
	}
	wanted := []generated{{manifests.JWTSecretName(p.desired), manifests.JWTKeyLength, func(s string) *corev1.Secret { return manifests.JWTSecret(p.desired, s) }}}
	if p.desired.Spec.Auth.AdminSecretName == "" {
		wanted = append(wanted, generated{manifests.AdminSecretName(p.desired), manifests.PasswordLength, func(s string) *corev1.Secret { return manifests.AdminSecret(p.desired, s) }})
	}
	if p.desired.Spec.Auth.MQTTSecretName == "" {
		wanted = append(wanted, generated{manifests.MQTTSecretName(p.desired), manifests.PasswordLength, func(s string) *corev1.Secret { return manifests.MQTTSecret(p.desired, s) }})
	}
	for _, g := range wanted {
		var live corev1.Secret
		err := r.Get(ctx, types.NamespacedName{Namespace: p.cluster.Namespace, Name: g.name}, &live, client.UnsafeDisableDeepCopy)
		if err == nil || p.cluster.Spec.Paused {
			continue
		}
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("reading Secret %s: %w", g.name, err)
		}
		random, err := manifests.RandomText(r.Random, g.length)
		if err != nil {
			return fmt.Errorf("making Secret %s: %w", g.name, err)
		}
		// Create, not apply: if somebody made it since it was looked for, theirs stands.
		if err := r.Create(ctx, g.make(random), client.FieldOwner(FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating Secret %s: %w", g.name, err)
		}
	}
	return nil
}

// settledCertificates are certificates of which nothing was to be made anew: the versions of their Secrets, and whose they are. To find that out again, all of them and their keys are parsed and their
// signatures checked; as long as neither changes the answer stays the same until the first of them is to be renewed.
type settledCertificates struct {
	of        string
	at, until time.Time
}

func (s settledCertificates) stillAre(of string, now time.Time) bool {
	return s.of != "" && s.of == of && !now.Before(s.at) && now.Before(s.until) // a clock that went back may show one that is not valid yet
}

// ensureCertificates renews what is due and returns the operator's client identity.
func (r *Reconciler) ensureCertificates(ctx context.Context, p *pass) (agentclient.Identity, error) {
	var existing pki.Secrets
	var versions strings.Builder
	for _, s := range []struct {
		name string
		into *map[string][]byte
	}{
		{manifests.AuthoritySecretName(p.desired), &existing.Authority},
		{manifests.AgentPKISecretName(p.desired), &existing.Agent},
		{manifests.OperatorPKISecretName(p.desired), &existing.Operator},
		{manifests.JobPKISecretName(p.desired), &existing.Job},
		{manifests.ServerTLSSecretName(p.desired), &existing.Listener},
	} {
		if s.into == &existing.Listener && !manifests.GeneratesServerTLS(p.desired) {
			continue
		}
		var live corev1.Secret
		err := r.Get(ctx, types.NamespacedName{Namespace: p.cluster.Namespace, Name: s.name}, &live, client.UnsafeDisableDeepCopy)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return agentclient.Identity{}, fmt.Errorf("reading Secret %s: %w", s.name, err)
		default:
			*s.into = maps.Clone(live.Data) // the live one belongs to the cache
			fmt.Fprintf(&versions, "%s %s ", live.UID, live.ResourceVersion)
		}
	}
	certs := existing
	who := manifests.PKISubject(p.desired, p.inputs)
	fmt.Fprintf(&versions, "%q", who)
	now := r.Now()
	settled := p.memory.settled.stillAre(versions.String(), now)
	if !settled {
		r.noteCertificates(p, existing) // before any is made anew: what cannot be written is then seen to end
	}
	if !p.cluster.Spec.Paused && !settled {
		want, err := pki.Desired(existing, who, r.PKIRules, now, r.Random)
		if err != nil {
			return agentclient.Identity{}, fmt.Errorf("certificates of cluster %s: %w", p.cluster.Name, err)
		}
		if len(want.Changes) > 0 {
			for _, secret := range manifests.PKISecrets(p.desired, want.Secrets) {
				if _, err := r.apply(ctx, p, secret); err != nil {
					return agentclient.Identity{}, err
				}
			}
		}
		for _, c := range want.Changes {
			p.log.Info("certificate made", "certificate", c.Secret, "reason", c.Reason)
		}
		certs = want.Secrets
		if len(want.Changes) > 0 {
			p.memory.settled = settledCertificates{}
			r.noteCertificates(p, certs)
		} else {
			p.memory.settled = settledCertificates{of: versions.String(), at: now, until: want.Next}
		}
	}
	return agentclient.Identity{
		CA: certs.Operator[pki.KeyTrust], Cert: certs.Operator[pki.KeyCert], Key: certs.Operator[pki.KeyKey],
		ServerName: protocol.ServerName(p.cluster.Namespace, p.cluster.Name), Agents: certs.Agent[pki.KeyCert],
	}, nil
}
