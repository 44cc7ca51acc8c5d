//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"path"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/pki"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// serverProgram is what the kernel calls the server's process.
var serverProgram = path.Base(protocol.ServerBinary)

// signal sends a signal to the server of a pod, once one runs.
func (w *watched) signal(key client.ObjectKey, signal string) {
	w.Helper()
	w.must(live.Until(w.Context(), "a server in "+key.Name, 200*time.Millisecond, time.Minute, func(ctx context.Context) (bool, string, error) {
		err := w.trySignal(ctx, key, signal)
		return err == nil, fmt.Sprint(err), nil
	}))
}

func (w *watched) trySignal(ctx context.Context, key client.ObjectKey, signal string) error {
	var p corev1.Pod
	if err := k8s.Get(ctx, key, &p); err != nil {
		return err
	}
	if len(p.Status.ContainerStatuses) == 0 {
		return fmt.Errorf("%s has no container", key.Name)
	}
	return theBed.SignalProgram(ctx, p.Spec.NodeName, p.Status.ContainerStatuses[0].ContainerID, serverProgram, signal)
}

// hangs stops the servers of pods, and whatever their agents start in their place, until it is taken back. Their ports go on taking connections, as those of a process that hangs.
func (w *watched) hangs(pods ...client.ObjectKey) (undo func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	var stopping sync.WaitGroup
	for _, pod := range pods {
		w.signal(pod, "STOP")
		stopping.Go(func() {
			_ = live.Until(ctx, "the end", time.Second, time.Hour, func(ctx context.Context) (bool, string, error) {
				_ = w.trySignal(ctx, pod, "STOP") // between two servers there is none
				return false, "", nil
			})
		})
	}
	return func() {
		cancel()
		stopping.Wait()
		for _, pod := range pods {
			_ = w.trySignal(contextWithoutCancel(w.T), pod, "CONT")
		}
	}
}

// followers are the members that do not lead.
func (w *watched) followers() []client.ObjectKey {
	w.Helper()
	leader := w.leader()
	var all []client.ObjectKey
	for i := range 3 {
		if w.member(i) != leader {
			all = append(all, w.member(i))
		}
	}
	return all
}

// nodes are the names of all.
func (w *watched) nodes() []string {
	w.Helper()
	var list corev1.NodeList
	w.must(k8s.List(w.Context(), &list))
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	return names
}

// nudgeAll has the pods of the cluster take in what is mounted.
func (w *watched) nudgeAll() {
	w.Helper()
	for _, p := range w.pods() {
		w.nudge(p.Namespace, p.Name)
	}
}

// editSettings changes what the operator gives to the agents of a role, as a person would who thinks that is where settings are.
func (w *watched) editSettings(role v1alpha1.Role, edit func(config map[string]any)) {
	w.Helper()
	var secret corev1.Secret
	w.must(k8s.Get(w.Context(), client.ObjectKey{Namespace: w.name.Namespace, Name: manifests.ConfigSecretName(w.spec, role)}, &secret))
	key := path.Base(protocol.ConfigFile)
	config := map[string]any{}
	w.must(json.Unmarshal(secret.Data[key], &config))
	edit(config)
	data, err := json.Marshal(config)
	w.must(err)
	secret.Data[key] = data
	w.must(k8s.Update(w.Context(), &secret))
}

// tlsSecret holds the certificate of the listeners.
const tlsSecret = "e2e-listeners"

// servingCertificate puts a certificate of so long a life into tlsSecret.
func (w *watched) servingCertificate(life time.Duration) {
	w.Helper()
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "e2e"}, DNSNames: []string{w.name.Name + "." + w.name.Namespace + ".svc"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	cert, key := w.issue(template, template, authority, life)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name.Namespace, Name: tlsSecret}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key},
	}
	err = k8s.Create(w.Context(), secret)
	if apierrors.IsAlreadyExists(err) {
		err = k8s.Update(w.Context(), secret)
	}
	w.must(err)
}

// shortenAgentCertificate gives the agents a certificate as the one they have, by the cluster's authority, of another life.
func (w *watched) shortenAgentCertificate(life time.Duration) {
	w.Helper()
	var authority, agent corev1.Secret
	w.must(k8s.Get(w.Context(), client.ObjectKey{Namespace: w.name.Namespace, Name: manifests.AuthoritySecretName(w.spec)}, &authority))
	w.must(k8s.Get(w.Context(), client.ObjectKey{Namespace: w.name.Namespace, Name: manifests.AgentPKISecretName(w.spec)}, &agent))
	have, err := pki.ParseCertificate(agent.Data[pki.KeyCert])
	w.must(err)
	parent, err := pki.ParseCertificate(authority.Data[pki.KeyCert])
	w.must(err)
	parentKey, err := signer(authority.Data[pki.KeyKey])
	w.must(err)
	agent.Data[pki.KeyCert], agent.Data[pki.KeyKey] = w.issue(&x509.Certificate{
		Subject: have.Subject, DNSNames: have.DNSNames, URIs: have.URIs, IPAddresses: have.IPAddresses, KeyUsage: have.KeyUsage, ExtKeyUsage: have.ExtKeyUsage,
	}, parent, parentKey, life)
	w.must(k8s.Update(w.Context(), &agent))
}

func signer(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the authority's key is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the authority's key: %w", err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the authority's key is a %T", key)
	}
	return ec, nil
}

// issue makes a key, and a certificate of it from a minute ago for so long from now on, signed by the parent; both in PEM.
func (w *watched) issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, life time.Duration) (cert, key []byte) {
	w.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	if template == parent {
		own = parentKey // it signs itself
	}
	now := time.Now()
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(now.UnixNano()), now.Add(-time.Minute), now.Add(life)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, parentKey)
	w.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(own)
	w.must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// everythingHappens that has figures on a dashboard: a backup by hand, a restore of it, a move of the leadership, a server that ends, a change that is refused.
func (w *watched) everythingHappens() {
	w.Helper()
	w.ask("by-hand", v1alpha1.RobustMQBackupSpec{Verification: v1alpha1.VerificationFull})
	w.complete("by-hand", w.minio, 2*time.Minute)
	w.askRestore("take-back", v1alpha1.RobustMQRestoreSpec{Source: v1alpha1.RestoreSource{BackupName: "by-hand"}})
	w.must(live.Until(w.Context(), "the restore has ended", time.Second, 4*time.Minute, func(context.Context) (bool, string, error) {
		all := w.restores(w.Context())
		i := slices.IndexFunc(all, func(r v1alpha1.RobustMQRestore) bool { return r.Name == "take-back" })
		return i >= 0 && all[i].Ended(), "", nil
	}))
	w.ready(2 * time.Minute)
	leader := w.leader()
	target := w.member((w.ordinal(leader.Name) + 1) % 3)
	w.leadOn(target.Name)
	w.await(target.Name+" leads", 2*time.Minute, func(c *v1alpha1.RobustMQCluster) bool { return c.Status.Leader == target.Name })
	w.leadOn("")
	w.signal(w.broker(1), "KILL")
	w.refusals(1)
	w.ready(2 * time.Minute)
}

// refusals applies so often what the webhook refuses: a key with a letter too few.
func (w *watched) refusals(count int) {
	w.Helper()
	for range count {
		c := small("refused")
		c.Namespace = w.name.Namespace
		c.Spec.Config = v1alpha1.Config{"mqtt_runtime.protocol": {"max_paket_size": apiextensionsv1.JSON{Raw: []byte("1048576")}}}
		if err := k8s.Create(w.Context(), c); err == nil {
			w.Fatal("a cluster with a misspelt key was admitted")
		}
	}
}

// operatorPod is one replica.
func (w *watched) operatorPod() *corev1.Pod {
	w.Helper()
	names := slices.Sorted(maps.Keys(w.operators()))
	if len(names) == 0 {
		w.Fatal("no operator runs")
	}
	return w.getPod(client.ObjectKey{Namespace: live.OperatorNamespace, Name: names[0]})
}
