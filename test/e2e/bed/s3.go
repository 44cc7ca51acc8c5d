package bed

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/store"
)

// The S3 servers that a bed can run beside its Kubernetes.
const (
	MinIO     = "minio"
	Versitygw = "versitygw"
)

// Names of the Secrets that S3.Secrets makes.
const (
	CredentialsSecret = "s3-credentials"
	CASecret          = "s3-ca"
)

// S3 is a server that runs. It speaks TLS only, by an authority of its own.
type S3 struct {
	// Endpoint is where pods reach it; with a bucket before the host name, too.
	Endpoint string
	// FromHere is where it is reached inside of `bed exec`; without a bucket before the host name, which is an address.
	FromHere  string
	Region    string
	AccessKey string
	SecretKey store.Secret
	// CA is the authority of its certificate, in PEM.
	CA []byte
	// Audience of the tokens of service accounts that MinIO takes for credentials of RoleARN. Empty where the server does not know web identities.
	Audience, RoleARN string
}

// S3 starts a server if it does not run, and says how it is reached. Its program must have been compiled before: inside of `bed exec` nothing can be downloaded.
func (b Bed) S3(ctx context.Context, server string) (S3, error) {
	out, err := exec.CommandContext(ctx, b.script, server, "up").Output()
	if err != nil {
		said := err.Error()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			said = strings.TrimSpace(string(exit.Stderr)) // not what it printed, which holds a key
		}
		return S3{}, fmt.Errorf("bed %s up: %s", server, said)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		said[name] = value
	}
	s := S3{
		Endpoint: said["S3_ENDPOINT"], FromHere: said["S3_ENDPOINT_FROM_BED_EXEC"], Region: said["S3_REGION"],
		AccessKey: said["S3_ACCESS_KEY"], SecretKey: store.Secret(said["S3_SECRET_KEY"]), Audience: said["S3_AUDIENCE"], RoleARN: said["S3_ROLE_ARN"],
	}
	if s.CA, err = os.ReadFile(said["S3_CA"]); err != nil {
		return S3{}, fmt.Errorf("bed %s up: its authority: %w", server, err)
	}
	return s, nil
}

// EndS3 ends a server at once, as a power cut would; S3 starts it again with what was in it.
func (b Bed) EndS3(ctx context.Context, server string) error { return b.run(ctx, server, "down") }

// Destination is a place in a bucket, reached with the keys of Secrets, and with the bucket in the path.
func (s S3) Destination(bucket, prefix string) v1alpha1.S3Destination {
	return v1alpha1.S3Destination{
		Bucket: bucket, Prefix: prefix, Endpoint: s.Endpoint, Region: s.Region, PathStyle: true,
		CredentialsSecretName: CredentialsSecret, CASecretName: CASecret,
	}
}

// Secrets are what Destination names.
func (s S3) Secrets(namespace string) []*corev1.Secret {
	return []*corev1.Secret{
		{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: CredentialsSecret}, StringData: map[string]string{"accessKey": s.AccessKey, "secretKey": string(s.SecretKey)}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: CASecret}, Data: map[string][]byte{"ca.crt": s.CA}},
	}
}

// MakeBucket makes a bucket, unless it is there.
func (s S3) MakeBucket(ctx context.Context, bucket string) error {
	client, err := s.client()
	if err != nil {
		return fmt.Errorf("making bucket %s: %w", bucket, err)
	}
	there, err := client.BucketExists(ctx, bucket)
	if err == nil && !there {
		err = client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: s.Region})
	}
	if err != nil {
		return fmt.Errorf("making bucket %s: %w", bucket, err)
	}
	return nil
}

// RemoveBucket removes a bucket with everything in it, if it is there.
func (s S3) RemoveBucket(ctx context.Context, bucket string) error {
	client, err := s.client()
	if err != nil {
		return fmt.Errorf("removing bucket %s: %w", bucket, err)
	}
	there, err := client.BucketExists(ctx, bucket)
	if err == nil && there {
		err = client.RemoveBucketWithOptions(ctx, bucket, minio.RemoveBucketOptions{ForceDelete: true}) // MinIO takes along what is in it
	}
	if err != nil {
		return fmt.Errorf("removing bucket %s: %w", bucket, err)
	}
	return nil
}

func (s S3) client() (*minio.Client, error) {
	endpoint, err := url.Parse(s.FromHere)
	if err != nil {
		return nil, err
	}
	transport, err := trusting(s.CA)
	if err != nil {
		return nil, err
	}
	return minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, string(s.SecretKey), ""), Secure: endpoint.Scheme == "https", Transport: transport, Region: s.Region, BucketLookup: minio.BucketLookupPath,
	})
}

func trusting(ca []byte) (*http.Transport, error) {
	t, err := minio.DefaultTransport(true)
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority holds no certificate")
	}
	return t, nil
}

// Store reads a bucket from here, without the product's Jobs.
func (s S3) Store(bucket string) (*store.S3, error) {
	return store.NewS3(store.Config{Bucket: bucket, Endpoint: s.FromHere, Region: s.Region, PathStyle: true, CA: s.CA, AccessKey: s.AccessKey, SecretKey: s.SecretKey})
}
