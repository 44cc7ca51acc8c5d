package destination

import (
	"reflect"
	"testing"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/job"
)

func TestAJobIsToldEverythingOfADestinationButItsSecrets(t *testing.T) {
	full := v1alpha1.S3Destination{
		Bucket: "b", Prefix: "p", Endpoint: "e", Region: "r", PathStyle: true, CredentialsSecretName: "s", CASecretName: "c", ServiceAccountName: "a",
		ServerSideEncryption: &v1alpha1.ServerSideEncryption{Mode: v1alpha1.ServerSideEncryptionKMS, KMSKeyID: "k"},
	}
	for i := range reflect.TypeFor[v1alpha1.S3Destination]().NumField() { // a field that is added later is thought of here
		if reflect.ValueOf(full).Field(i).IsZero() {
			t.Errorf("%s is not tried", reflect.TypeFor[v1alpha1.S3Destination]().Field(i).Name)
		}
	}
	want := job.Destination{
		Bucket: "b", Prefix: "p", Endpoint: "e", Region: "r", PathStyle: true, StaticCredentials: true, PrivateCA: true,
		ServerSideEncryption: &job.ServerSideEncryption{Mode: "KMS", KMSKeyID: "k"},
	}
	if got := Of(&full); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := Of(&v1alpha1.S3Destination{Bucket: "b"}); !reflect.DeepEqual(got, job.Destination{Bucket: "b"}) {
		t.Errorf("%+v", got)
	}
}
