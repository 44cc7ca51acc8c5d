package cluster

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// transition is one thing that became true between two statuses, told once as an event.
type transition struct{ pod, kind, reason, message string }

// transitions compares two statuses. The former one is read for telling only, never for deciding.
func transitions(before, after v1alpha1.RobustMQClusterStatus) []transition {
	var out []transition
	was := map[string]v1alpha1.MemberStatus{}
	for _, m := range before.Members {
		was[m.Pod] = m
	}
	if !before.Founded && after.Founded {
		out = append(out, transition{"", corev1.EventTypeNormal, v1alpha1.ReasonFounded, fmt.Sprintf("the cluster %s is founded", after.ClusterUID)})
	}
	switch was, is := before.Upgrade, after.Upgrade; {
	case was == nil && is != nil:
		out = append(out, transition{"", corev1.EventTypeNormal, v1alpha1.ReasonUpgradeStopping, fmt.Sprintf("the upgrade from RobustMQ %s to %s with everything stopped begins: brokers and journal servers are stopped first", after.Version, is.Version)})
	case is != nil && is.Opened && !was.Opened:
		out = append(out, transition{"", corev1.EventTypeNormal, v1alpha1.ReasonUpgradeStarting, fmt.Sprintf("every server of RobustMQ %s has stopped, backup %s is complete, and the pods are made for %s", after.Version, is.BackupName, is.Version)})
	case was != nil && is == nil && was.Opened:
		out = append(out, transition{"", corev1.EventTypeNormal, v1alpha1.ReasonUpgraded, fmt.Sprintf("every server runs RobustMQ %s", after.Version)})
	case was != nil && is == nil:
		out = append(out, transition{"", corev1.EventTypeNormal, v1alpha1.ReasonUpgradeTakenBack, fmt.Sprintf("no server of RobustMQ %s was started; those of %s start again as they were", was.Version, after.Version)})
	}
	for _, m := range after.Members {
		switch {
		case m.Role == v1alpha1.RolePlacementCenter && m.InService && (!before.Founded || !was[m.Pod].InService):
			// Told from the founding on: the founder's own membership is part of it, and the event of the founding comes first.
			if after.Founded {
				out = append(out, transition{m.Pod, corev1.EventTypeNormal, v1alpha1.ReasonMemberJoined, fmt.Sprintf("%s is a voter of every raft group", m.Pod)})
			}
		case m.InService && !was[m.Pod].InService:
			out = append(out, transition{m.Pod, corev1.EventTypeNormal, v1alpha1.ReasonNodeInService, fmt.Sprintf("%s is registered and serves", m.Pod)})
		case !m.InService && was[m.Pod].InService:
			out = append(out, transition{m.Pod, corev1.EventTypeWarning, v1alpha1.ReasonOutOfService, fmt.Sprintf("%s is no longer in service (server %s)", m.Pod, m.Server)})
		}
	}
	for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionDegraded, v1alpha1.ConditionVersionSupported} {
		then, now := meta.FindStatusCondition(before.Conditions, condition), meta.FindStatusCondition(after.Conditions, condition)
		if now == nil || then != nil && then.Status == now.Status && (then.Reason == now.Reason || condition == v1alpha1.ConditionReady) {
			continue
		}
		switch {
		case condition == v1alpha1.ConditionReady && now.Status == metav1.ConditionTrue:
			out = append(out, transition{"", corev1.EventTypeNormal, v1alpha1.ReasonReady, now.Message})
		case condition == v1alpha1.ConditionReady && then != nil && then.Status == metav1.ConditionTrue:
			out = append(out, transition{"", corev1.EventTypeWarning, v1alpha1.ReasonNotReady, now.Message})
		case condition == v1alpha1.ConditionDegraded && now.Status == metav1.ConditionTrue:
			out = append(out, transition{"", corev1.EventTypeWarning, now.Reason, now.Message})
		case condition == v1alpha1.ConditionVersionSupported && now.Status == metav1.ConditionFalse:
			out = append(out, transition{"", corev1.EventTypeWarning, now.Reason, now.Message})
		}
	}
	return out
}
