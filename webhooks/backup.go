package webhooks

import (
	"context"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/webhooks/rules"
)

var (
	backupKind  = schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "RobustMQBackup"}
	restoreKind = schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "RobustMQRestore"}
)

// backupValidator judges a RobustMQBackup, and keeps one that a running restore reads.
type backupValidator struct {
	beside *surroundings
	decisions
}

// Handle answers for create, update and delete.
func (v backupValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Operation == admissionv1.Delete {
		var b v1alpha1.RobustMQBackup
		if err := decode(req.OldObject.Raw, &b); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		return v.answer(backupKind, req.Name, rules.DeleteBackup(&b, rules.Context{Around: v.beside.ofDeletedBackup(ctx, req.Namespace)}))
	}
	var is, was v1alpha1.RobustMQBackup
	if err := decode(req.Object.Raw, &is); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	switch req.Operation {
	case admissionv1.Create:
		return v.answer(backupKind, req.Name, rules.Backup(nil, &is, rules.Context{Operation: rules.Create, Around: v.beside.ofBackup(ctx, &is, req.Namespace)}))
	case admissionv1.Update:
		if err := decode(req.OldObject.Raw, &was); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		if !is.DeletionTimestamp.IsZero() || equality.Semantic.DeepEqual(was.Spec, is.Spec) {
			return admission.Allowed("")
		}
		return v.answer(backupKind, req.Name, rules.Backup(&was, &is, rules.Context{Operation: rules.Update}))
	}
	return admission.Allowed("")
}

// restoreValidator judges a RobustMQRestore with the cluster, the backup and the other restores beside it, and by the policies that hold in its namespace.
type restoreValidator struct{ platform }

// Handle answers for create and update.
func (v restoreValidator) Handle(ctx context.Context, req admission.Request) admission.Response {
	var is, was v1alpha1.RobustMQRestore
	if err := decode(req.Object.Raw, &is); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	switch req.Operation {
	case admissionv1.Create:
		c := rules.Context{Operation: rules.Create}
		v.fill(ctx, &c, req.Namespace)
		c.Around = v.beside.ofRestore(ctx, &is, req.Namespace)
		return v.answer(restoreKind, req.Name, rules.Restore(nil, &is, c))
	case admissionv1.Update:
		if err := decode(req.OldObject.Raw, &was); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		if !is.DeletionTimestamp.IsZero() || equality.Semantic.DeepEqual(was.Spec, is.Spec) {
			return admission.Allowed("")
		}
		return v.answer(restoreKind, req.Name, rules.Restore(&was, &is, rules.Context{Operation: rules.Update}))
	}
	return admission.Allowed("")
}
