package live

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// OperatorNamespace is where config/default installs the operator.
const OperatorNamespace = "robustmq-operator-system"

// OperatorSelector finds the operator's pods.
var OperatorSelector = client.MatchingLabels{"app.kubernetes.io/name": "robustmq-operator"}

// lines of a log that help; more would bury what stands above.
const (
	operatorLines int64 = 40
	serverLines   int64 = 15
)

// Diagnose writes all that helps to find why a cluster is not as it should be. It never fails: what cannot be read is said.
func (k *Kubernetes) Diagnose(ctx context.Context, w io.Writer, key client.ObjectKey) {
	// The caller's context may be why we are here.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()

	var cluster v1alpha1.RobustMQCluster
	if err := k.Get(ctx, key, &cluster); err != nil {
		fmt.Fprintf(w, "\nThe cluster cannot be read: %v\n", err)
	} else {
		fmt.Fprintf(w, "\nConditions of cluster %s (generation %d, observed %d)\n", key, cluster.Generation, cluster.Status.ObservedGeneration)
		WriteConditions(w, &cluster)
		fmt.Fprintln(w, "\nMembers")
		WriteMembers(w, &cluster)
	}
	fmt.Fprintln(w, "\nPods")
	inService := map[string]bool{}
	for _, m := range cluster.Status.Members {
		inService[m.Pod] = m.InService
	}
	var pods corev1.PodList
	if err := k.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.LabelCluster: key.Name}); err != nil {
		fmt.Fprintf(w, "  cannot be listed: %v\n", err)
	}
	for i := range pods.Items {
		fmt.Fprintf(w, "  %s\n", PodLine(&pods.Items[i]))
	}
	fmt.Fprintln(w, "\nEvents")
	if events, err := k.Events(ctx, "RobustMQCluster", key, ""); err != nil {
		fmt.Fprintf(w, "  %v\n", err)
	} else {
		WriteEvents(w, events)
	}
	k.podEvents(ctx, w, key.Namespace)
	for i := range pods.Items {
		if p := &pods.Items[i]; !inService[p.Name] {
			fmt.Fprintf(w, "\nLog of %s (last %d lines)\n", p.Name, serverLines)
			k.tail(ctx, w, p, "server", serverLines)
		}
	}
	k.DiagnoseOperator(ctx, w)
}

// DiagnoseOperator writes the state and the last words of the operator.
func (k *Kubernetes) DiagnoseOperator(ctx context.Context, w io.Writer) {
	var pods corev1.PodList
	if err := k.List(ctx, &pods, client.InNamespace(OperatorNamespace), OperatorSelector); err != nil {
		fmt.Fprintf(w, "\nThe operator's pods cannot be listed: %v\n", err)
	}
	if len(pods.Items) == 0 {
		fmt.Fprintf(w, "\nThere is no pod of the operator in namespace %s.\n", OperatorNamespace)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		fmt.Fprintf(w, "\nOperator %s: %s\n", p.Name, PodLine(p))
		k.tail(ctx, w, p, "", operatorLines)
	}
	k.podEvents(ctx, w, OperatorNamespace)
}

// podEvents are the warnings of Kubernetes itself: images, volumes, scheduling.
func (k *Kubernetes) podEvents(ctx context.Context, w io.Writer, namespace string) {
	var list corev1.EventList
	if err := k.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return
	}
	told := map[string]bool{}
	for _, e := range list.Items {
		line := fmt.Sprintf("  %s %s: %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
		if e.Type == corev1.EventTypeWarning && e.InvolvedObject.Kind != "RobustMQCluster" && !told[line] {
			if len(told) == 0 {
				fmt.Fprintf(w, "\nWarnings of Kubernetes in namespace %s\n", namespace)
			}
			told[line] = true
			fmt.Fprintln(w, line)
		}
	}
}

func (k *Kubernetes) tail(ctx context.Context, w io.Writer, pod *corev1.Pod, container string, lines int64) {
	log, err := k.clients.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, TailLines: &lines}).DoRaw(ctx)
	if err != nil {
		fmt.Fprintf(w, "  cannot be read: %v\n", err)
		return
	}
	for line := range strings.Lines(string(log)) {
		fmt.Fprintf(w, "  | %s\n", strings.TrimRight(line, "\n"))
	}
}

// PodLine is the state of a pod and its containers in one line.
func PodLine(p *corev1.Pod) string {
	line := fmt.Sprintf("%s on %s: %s", p.Name, orDash(p.Spec.NodeName), p.Status.Phase)
	for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		switch {
		case s.State.Waiting != nil:
			line += fmt.Sprintf("; %s waits: %s %s", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
		case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
			line += fmt.Sprintf("; %s ended: %s, code %d", s.Name, s.State.Terminated.Reason, s.State.Terminated.ExitCode)
		case s.State.Running != nil && !s.Ready:
			line += fmt.Sprintf("; %s runs, not ready", s.Name)
		}
		if s.RestartCount > 0 {
			line += fmt.Sprintf(" (%d restarts)", s.RestartCount)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			line += "; " + c.Message
		}
	}
	return line
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// WriteConditions writes the conditions as a table.
func WriteConditions(w io.Writer, c *v1alpha1.RobustMQCluster) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, condition := range c.Status.Conditions {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	_ = t.Flush()
}

// MemberColumns and MemberRow are the table of members.
var MemberColumns = []string{"POD", "NODE", "VOLUME", "GATE", "SERVER", "VOTER IN", "LEADS", "IN SERVICE"}

// MemberRow is one member in the order of MemberColumns.
func MemberRow(m v1alpha1.MemberStatus) []string {
	voter, leads := "", ""
	if m.Role == v1alpha1.RolePlacementCenter {
		voter, leads = fmt.Sprintf("%d groups", len(m.VoterIn)), orDash(strings.Join(m.LeaderOf, ","))
	}
	service := "no"
	if m.InService {
		service = "yes"
	}
	return []string{m.Pod, fmt.Sprint(m.NodeID), m.Volume, m.Gate, m.Server, voter, leads, service}
}

// WriteMembers writes the members as a table.
func WriteMembers(w io.Writer, c *v1alpha1.RobustMQCluster) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  %s\n", strings.Join(MemberColumns, "\t"))
	for _, m := range c.Status.Members {
		fmt.Fprintf(t, "  %s\n", strings.Join(MemberRow(m), "\t"))
	}
	_ = t.Flush()
}

// WriteEvents writes events with the time since the first.
func WriteEvents(w io.Writer, events []Event) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range events {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		fmt.Fprintf(t, "  +%.1fs\t%s\t%s\t%s%s\n", e.At.Sub(events[0].At).Seconds(), e.Type, e.Reason, e.Message, times)
	}
	_ = t.Flush()
}
