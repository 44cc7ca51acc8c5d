package store

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// Secret is a string that does not show itself when it is printed or encoded.
type Secret string

// String hides it.
func (Secret) String() string { return "(hidden)" }

// GoString hides it from %#v.
func (Secret) GoString() string { return "(hidden)" }

// MarshalText hides it from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("(hidden)"), nil }

// Config of an S3 store. There is no way to skip the verification of certificates.
type Config struct {
	// Bucket that exists.
	Bucket string
	// Endpoint is scheme and host, with a port if needed. Empty: Amazon's.
	Endpoint string
	// Region of the bucket. Empty: AWS_REGION, AWS_DEFAULT_REGION, or the store is asked.
	Region string
	// PathStyle puts the bucket into the path instead of the host name.
	PathStyle bool
	// CA are the authorities of the endpoint in PEM, in addition to the system's.
	CA []byte

	// AccessKey, SecretKey and SessionToken are static credentials. Without an access key they come from the environment (AWS_ACCESS_KEY_ID…), a web identity
	// (AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, as EKS sets them), a container's endpoint (EKS pod identity, ECS) or the machine's metadata service, in this order.
	AccessKey    string
	SecretKey    Secret
	SessionToken Secret
	// Shared are AWS's shared files, in the place of all of these. For people's machines: pods have none.
	Shared *SharedFiles
	// STSEndpoint exchanges the token of a web identity. Empty: AWS_ENDPOINT_URL_STS, or Amazon's of the region.
	STSEndpoint string

	// SSE is encryption by the store.
	SSE SSE

	// Buffers of PartSize that uploads share, 1 to 64: they bound memory and the requests at a time. 0 means 4.
	Buffers int
	// Stall is how long a transfer may go without a byte before its connection is given up. 0 means a minute.
	Stall time.Duration
	// Attempts at a request before an error is final, 1 to 100. 0 means 8, which lasts about a minute.
	Attempts int
	// Backoff before the next attempt, 1 being the first. Nil: doubling from half a second to 20 s, with jitter.
	Backoff func(attempt int) time.Duration
}

// SharedFiles name a profile in the files that AWS's own tools share.
type SharedFiles struct {
	// File in the form of ~/.aws/credentials. Empty: AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, above AWS_CONFIG_FILE or ~/.aws/config.
	File string
	// Profile in it. Empty: AWS_PROFILE, or default.
	Profile string
}

// SSEMode is how the store encrypts.
type SSEMode string

// The modes of encryption by the store.
const (
	SSENone SSEMode = ""
	SSES3   SSEMode = "S3"  // keys of the store
	SSEKMS  SSEMode = "KMS" // a key of its key management
	SSEC    SSEMode = "C"   // our key, sent along; only over TLS
)

// SSE is encryption by the store.
type SSE struct {
	Mode SSEMode
	// KMSKeyID names the key for SSEKMS; empty is the store's default one.
	KMSKeyID string
	// Key of 32 bytes for SSEC.
	Key Secret
}

func (s SSE) serverSide() (encrypt.ServerSide, error) {
	switch s.Mode {
	case SSENone:
		return nil, nil
	case SSES3:
		return encrypt.NewSSE(), nil
	case SSEKMS:
		return encrypt.NewSSEKMS(s.KMSKeyID, nil)
	case SSEC:
		return encrypt.NewSSEC([]byte(s.Key))
	}
	return nil, fmt.Errorf("encryption by the store is S3, KMS or C, not %q", string(s.Mode))
}

// endpoint splits scheme and host.
func (c Config) endpoint() (host string, secure bool, err error) {
	if c.Endpoint == "" {
		return "s3.amazonaws.com", true, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", false, errors.New("the endpoint is scheme and host, such as https://s3.example.com") // without the text, which may hold a password
	}
	return u.Host, u.Scheme == "https", nil
}

func (c Config) region() string {
	for _, r := range []string{c.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if r != "" {
			return r
		}
	}
	return ""
}

func (c Config) lookup() minio.BucketLookupType {
	if c.PathStyle {
		return minio.BucketLookupPath
	}
	return minio.BucketLookupDNS
}

// transport trusts the system's authorities and those given.
func (c Config) transport() (*http.Transport, error) {
	t, err := minio.DefaultTransport(true)
	if err != nil {
		return nil, fmt.Errorf("making the connection's settings: %w", err)
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	t.TLSClientConfig.MinVersion = tls.VersionTLS12
	if len(c.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(c.CA) {
			return nil, errors.New("ca.crt holds no certificate in PEM")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return t, nil
}

// credentials are static ones, or the chain. The client of the chain trusts the same authorities: a private STS often has the endpoint's.
func (c Config) credentials(client *http.Client) (*credentials.Credentials, error) {
	if c.AccessKey != "" || c.SecretKey != "" {
		if c.AccessKey == "" || c.SecretKey == "" {
			return nil, errors.New("an access key and a secret key belong together: one of them is empty")
		}
		if strings.ContainsAny(c.AccessKey+string(c.SecretKey), "\r\n") {
			return nil, errors.New("the access key or the secret key has a line break: remove it from the Secret")
		}
		return credentials.NewStaticV4(c.AccessKey, string(c.SecretKey), string(c.SessionToken)), nil
	}
	if c.Shared != nil {
		return c.Shared.credentials(client)
	}
	sts := c.STSEndpoint
	if sts == "" {
		sts = os.Getenv("AWS_ENDPOINT_URL_STS")
	}
	iam := &credentials.IAM{Client: client, Region: c.region()}
	if os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		iam.Endpoint = sts // for the other sources Endpoint would be something else
	}
	return credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, iam}), nil
}

// credentials are read at once: a chain would pass over a file that cannot be read, and ask as nobody.
func (s *SharedFiles) credentials(client *http.Client) (*credentials.Credentials, error) {
	creds := credentials.NewFileAWSCredentials(s.File, s.Profile)
	v, err := creds.GetWithContext(&credentials.CredContext{Client: client})
	if err == nil && v.AccessKeyID != "" {
		return creds, nil
	}
	file, profile := cmp.Or(s.File, "AWS's shared files"), cmp.Or(s.Profile, os.Getenv("AWS_PROFILE"), "default")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file", file)
	}
	// Not the reader's own words: they repeat the line that it does not understand.
	return nil, fmt.Errorf("%s: there are no usable keys of the profile %q: write aws_access_key_id and aws_secret_access_key below [%s], or log in again (aws sso login)", file, profile, profile)
}
