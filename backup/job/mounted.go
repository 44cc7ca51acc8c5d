package job

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/store"
)

// mounted are the files of the Job's pod.
type mounted struct{ root string }

// maxFile is more than any of these files has.
const maxFile = 1 << 20

// read one of them. Its errors name the file and nothing of what is in it.
func (m mounted) read(name string) ([]byte, error) {
	b, err := image.ReadSmall(image.OS{}, filepath.Join(m.root, name), maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, reasonOf(err))
	}
	return b, nil
}

// reasonOf leaves the path out, which is said already.
func reasonOf(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// optional is empty where there is no such file.
func (m mounted) optional(name string) (string, error) {
	b, err := m.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// config is the destination with what is mounted.
func (m mounted) config(d Destination) (store.Config, error) {
	c := store.Config{Bucket: d.Bucket, Endpoint: d.Endpoint, Region: d.Region, PathStyle: d.PathStyle}
	if sse := d.ServerSideEncryption; sse != nil {
		c.SSE = store.SSE{Mode: store.SSEMode(sse.Mode), KMSKeyID: sse.KMSKeyID}
	}
	if d.PrivateCA {
		ca, err := m.read(CAFile)
		if err != nil {
			return c, fail(CertificateInvalid, err, "the Secret that destination.caSecretName names needs the key ca.crt with the authority of the endpoint's certificate")
		}
		c.CA = ca
	}
	if !d.StaticCredentials {
		return c, nil
	}
	return m.credentials(c)
}

func (m mounted) credentials(c store.Config) (store.Config, error) {
	values := map[string]string{}
	for _, name := range []string{AccessKeyFile, SecretKeyFile, SessionTokenFile, CustomerKeyFile} {
		value, err := m.optional(filepath.Join(CredentialsDir, name))
		if err != nil {
			return c, fail(CredentialsInvalid, err, "the Secret that destination.credentialsSecretName names cannot be read")
		}
		values[name] = value
	}
	for _, name := range []string{AccessKeyFile, SecretKeyFile} {
		if values[name] == "" {
			return c, fail(CredentialsInvalid, fmt.Errorf("%s is missing or empty", name), "the Secret that destination.credentialsSecretName names needs the keys accessKey and secretKey, and sessionToken if they are temporary")
		}
	}
	for _, name := range []string{AccessKeyFile, SecretKeyFile, SessionTokenFile} {
		if strings.ContainsAny(values[name], " \t\r\n") {
			return c, fail(CredentialsInvalid, fmt.Errorf("%s has a space or a line break in it", name), "write the Secret that destination.credentialsSecretName names without them (echo adds a line break, printf does not)")
		}
	}
	c.AccessKey, c.SecretKey, c.SessionToken = values[AccessKeyFile], store.Secret(values[SecretKeyFile]), store.Secret(values[SessionTokenFile])
	if values[CustomerKeyFile] == "" {
		return c, nil
	}
	key, err := customerKey(values[CustomerKeyFile])
	if err != nil {
		return c, fail(CredentialsInvalid, err, "the key sseCustomerKey is 32 random bytes, or those in base64: make one with openssl rand -base64 32")
	}
	if c.SSE.Mode != store.SSENone {
		return c, fail(DestinationInvalid, errors.New("serverSideEncryption and sseCustomerKey are both given"),
			"the store encrypts either with keys of its own or with the one that is sent along: leave destination.serverSideEncryption or the Secret's key sseCustomerKey out")
	}
	c.SSE = store.SSE{Mode: store.SSEC, Key: store.Secret(key)}
	return c, nil
}

// customerKey is 32 bytes, as they are or in base64.
func customerKey(text string) ([]byte, error) {
	if len(text) == 32 {
		return []byte(text), nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s is no key", CustomerKeyFile) // nothing of its text: it is a secret
	}
	return key, nil
}

// identity for reading encrypted backups; empty where none is mounted.
func (m mounted) identity() (string, error) {
	text, err := m.optional(IdentityFile)
	if err != nil {
		return "", fail(EncryptionInvalid, err, "the Secret that encryption.identitySecretName names needs the key identity")
	}
	return text, nil
}
