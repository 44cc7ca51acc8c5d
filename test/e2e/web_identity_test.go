//go:build e2e

package e2e

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/robustmq/robustmq-operator/test/e2e/bed"
)

// webIdentityAccount is the ServiceAccount whose tokens are exchanged for credentials.
const webIdentityAccount = "robustmq-backup"

// webIdentity makes an account with an identity at the S3 server. Amazon's clusters have a webhook that gives the pods of such accounts a token and says to the SDKs where to exchange it
// (github.com/aws/amazon-eks-pod-identity-webhook); here an admission policy does the same to the pods of this namespace.
func (s *scene) webIdentity(s3 bed.S3) {
	s.Helper()
	s.must(k8s.Create(s.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.name.Namespace, Name: webIdentityAccount}}))
	text := strings.NewReplacer("@NAMESPACE", s.name.Namespace, "@ACCOUNT", webIdentityAccount, "@AUDIENCE", s3.Audience, "@ROLE", s3.RoleARN, "@REGION", s3.Region, "@STS", s3.Endpoint).Replace(identityPolicy)
	_, err := k8s.Kubectl(s.Context(), strings.NewReader(text), "apply", "-f", "-")
	s.must(err)
	ctx := contextWithoutCancel(s.T)
	s.Cleanup(func() { // policies are of no namespace
		if _, err := k8s.Kubectl(ctx, strings.NewReader(text), "delete", "--ignore-not-found", "-f", "-"); err != nil {
			s.Error(err)
		}
	})
}

const identityPolicy = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: "@NAMESPACE-web-identity"}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "@NAMESPACE"}}
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  matchConditions:
  - {name: account, expression: "has(object.spec.serviceAccountName) && object.spec.serviceAccountName == '@ACCOUNT'"}
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: JSONPatch # the sources of a projected volume are atomic, which ApplyConfiguration does not write
    jsonPatch:
      expression: >-
        [
          JSONPatch{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{
            name: "web-identity",
            projected: Object.spec.volumes.projected{sources: [Object.spec.volumes.projected.sources{
              serviceAccountToken: Object.spec.volumes.projected.sources.serviceAccountToken{audience: "@AUDIENCE", expirationSeconds: 3600, path: "token"}}]}}},
          JSONPatch{op: "add", path: "/spec/containers/0/volumeMounts/-", value: Object.spec.containers.volumeMounts{
            name: "web-identity", mountPath: "/var/run/secrets/eks.amazonaws.com/serviceaccount", readOnly: true}},
          JSONPatch{op: "add", path: "/spec/containers/0/env", value: [
            Object.spec.containers.env{name: "AWS_ROLE_ARN", value: "@ROLE"},
            Object.spec.containers.env{name: "AWS_WEB_IDENTITY_TOKEN_FILE", value: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"},
            Object.spec.containers.env{name: "AWS_REGION", value: "@REGION"},
            Object.spec.containers.env{name: "AWS_ENDPOINT_URL_STS", value: "@STS"}]}
        ]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: "@NAMESPACE-web-identity"}
spec: {policyName: "@NAMESPACE-web-identity"}
`
