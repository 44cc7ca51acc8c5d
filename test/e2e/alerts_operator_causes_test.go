//go:build e2e

package e2e

import (
	"context"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/test/e2e/live"
)

// operatorAccount is who the operator is.
const operatorAccount = live.OperatorNamespace + ":robustmq-operator"

// operatorCauses happen to the operator.
var operatorCauses = []cause{
	{
		what: "a replica of the operator is stopped (SIGSTOP)", alerts: []string{"RobustMQOperatorReplicaDown"},
		do: func(w *watched) func() {
			pod := w.operatorPod()
			container := pod.Status.ContainerStatuses[0].ContainerID
			w.must(theBed.FreezeContainer(w.Context(), pod.Spec.NodeName, container))
			return func() { _ = theBed.ThawContainer(contextWithoutCancel(w.T), pod.Spec.NodeName, container) }
		},
	},
	{
		what: "a replica of the operator is killed three times", alerts: []string{"RobustMQOperatorRestarts"}, within: 4 * time.Minute,
		do: func(w *watched) func() {
			name := w.operatorPod().Name
			for range 3 {
				pod := w.getPod(client.ObjectKey{Namespace: live.OperatorNamespace, Name: name})
				w.must(theBed.KillContainer(w.Context(), pod.Spec.NodeName, pod.Status.ContainerStatuses[0].ContainerID))
				w.must(live.Until(w.Context(), name+" is ready again", time.Second, time.Minute, func(context.Context) (bool, string, error) {
					now := w.getPod(client.ObjectKeyFromObject(pod)).Status.ContainerStatuses[0]
					return now.RestartCount > pod.Status.ContainerStatuses[0].RestartCount && now.Ready, live.PodLine(pod), nil
				}))
				w.quietFor(35 * time.Second) // Prometheus has to see each of them, and looks every 30 s
			}
			return func() {}
		},
	},
	{
		what: "the operator's right to its lease is taken away", alerts: []string{"RobustMQOperatorNotLeading"},
		do: func(w *watched) func() {
			w.kubectl("delete", "rolebinding", "robustmq-operator-leader-election", "-n", live.OperatorNamespace)
			return func() {
				w.kubectl("apply", "--server-side", "--force-conflicts", "-f", root+"/config/rbac/leader-election.yaml")
			}
		},
	},
	{
		what: "somebody changes the cluster's Service once a second, and the operator changes it back", alerts: []string{"RobustMQOperatorWritesWhenIdle"}, within: 3 * time.Minute,
		do: func(w *watched) func() {
			for range 45 {
				w.kubectl("label", "service", w.name.Name, "-n", w.name.Namespace, "--overwrite", "app.kubernetes.io/name=somebody-elses")
				w.quietFor(time.Second)
			}
			return func() {}
		},
	},
	{
		what: "the operator may read Secrets and no longer write them, and the agents' certificate has one day left", alerts: []string{"RobustMQOperatorReconcileErrors", "RobustMQClusterCertificateExpires"}, within: 5 * time.Minute,
		do: func(w *watched) func() {
			const binding, reader = "robustmq-operator-secrets", "e2e-reads-secrets"
			w.kubectl("create", "clusterrole", reader, "--verb=get,list,watch", "--resource=secrets")
			w.kubectl("delete", "clusterrolebinding", binding)
			w.kubectl("create", "clusterrolebinding", binding, "--clusterrole="+reader, "--serviceaccount="+operatorAccount)
			w.must(live.Until(w.Context(), "the operator may not write Secrets", 200*time.Millisecond, time.Minute, func(ctx context.Context) (bool, string, error) {
				out, _ := k8s.Kubectl(ctx, nil, "auth", "can-i", "patch", "secrets", "-n", w.name.Namespace, "--as=system:serviceaccount:"+operatorAccount) // "no" is an error, too
				return strings.TrimSpace(out) == "no", out, nil
			}))
			w.shortenAgentCertificate(24 * time.Hour)
			return func() {
				w.kubectl("delete", "clusterrolebinding", binding)
				w.kubectl("delete", "clusterrole", reader)
				w.kubectl("apply", "--server-side", "--force-conflicts", "-f", root+"/config/rbac/everywhere.yaml")
				w.nudgeAll()
			}
		},
	},
	{
		what:   "the operator is away, and somebody edits what it keeps: settings, and the agents' certificate (one day left)",
		alerts: []string{"RobustMQOperatorDown", "RobustMQConfigInvalid", "RobustMQConfigPending", "RobustMQConfigKeysIgnored", "RobustMQAgentCertificateExpires"}, within: 4 * time.Minute, clears: 8 * time.Minute,
		do: func(w *watched) func() {
			w.kubectl("scale", "deployment", live.OperatorDeployment, "-n", live.OperatorNamespace, "--replicas=0")
			w.must(live.Until(w.Context(), "no operator runs", time.Second, 2*time.Minute, func(context.Context) (bool, string, error) { return len(w.operators()) == 0, "", nil }))
			w.editSettings(v1alpha1.RoleMQTTBroker, func(config map[string]any) { config["ports"].(map[string]any)["mqtt"] = 70000 })
			w.editSettings(v1alpha1.RolePlacementCenter, func(config map[string]any) {
				config["sections"] = map[string]any{"mqtt_runtime.keep_alive": map[string]any{"default_time": 201}, "mqtt_runtime.server": map[string]any{"tcp_port": 1999}}
			})
			w.shortenAgentCertificate(24 * time.Hour)
			w.nudgeAll()
			return func() {
				w.kubectl("scale", "deployment", live.OperatorDeployment, "-n", live.OperatorNamespace, "--replicas=2")
				w.carriedOut(4 * time.Minute)
				w.nudgeAll()
			}
		},
	},
	{
		what: "the webhooks' certificate is deleted, and the operator told to make such of one day", alerts: []string{"RobustMQWebhookCertificateExpires"}, within: 3 * time.Minute,
		do: func(w *watched) func() {
			install := func(args ...string) {
				in := installation(args...)
				in.Components = []string{watchedComponent}
				w.must(k8s.Install(contextWithoutCancel(w.T), in, 2*time.Minute))
				w.kubectl("delete", "secret", "robustmq-operator-webhook-cert", "-n", live.OperatorNamespace)
			}
			install("--webhook-certificate-lifetime=24h")
			return func() { install() }
		},
	},
}
