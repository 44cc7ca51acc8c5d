package backup

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
)

// credentials say where keys are; they never are keys.
type credentials struct {
	dir, file, profile string
	instance           bool
}

func (c *credentials) bind(f *pflag.FlagSet) {
	f.StringVar(&c.dir, "credentials-dir", "", "directory with the files accessKey, secretKey and, if needed, sessionToken and sseCustomerKey, as the destination's Secret has them")
	f.StringVar(&c.file, "credentials-file", "", "file in the form of ~/.aws/credentials")
	f.StringVar(&c.profile, "profile", "", "profile in --credentials-file, or in ~/.aws (default: AWS_PROFILE, or default)")
	f.BoolVar(&c.instance, "instance-role", false, "where nothing else is found, take the role of this machine (EC2's metadata service)")
}

// identities of a workload, which the environment tells of.
var workload = []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}

// choose finds the credentials, or says where they could have been. Nothing is tried one after another: keys that are wrong are an error, not a reason to look for others.
func (c *credentials) choose(config *store.Config) error {
	if c.dir != "" && (c.file != "" || c.profile != "") {
		return usage("--credentials-dir %s and --credentials-file or --profile: keys are in one place; leave one of them out", c.dir)
	}
	shared := &store.SharedFiles{File: c.file, Profile: c.profile}
	switch {
	case c.dir != "":
		return c.fromDir(config)
	case c.file != "" || c.profile != "":
		config.Shared = shared
	case os.Getenv("AWS_ACCESS_KEY_ID") != "" && os.Getenv("AWS_SECRET_ACCESS_KEY") != "":
	case anySet(workload):
	case sharedFilesThere():
		config.Shared = shared
	case c.instance:
	default:
		return usage("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --credentials-dir, --credentials-file or, on EC2, --instance-role (robustmq-operator backup --help)")
	}
	return nil
}

func anySet(names []string) bool {
	for _, name := range names {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// sharedFilesThere reports whether AWS's own tools left files here.
func sharedFilesThere() bool {
	home, _ := os.UserHomeDir() // without one, only the variables can name them
	for _, f := range []struct{ variable, name string }{{"AWS_SHARED_CREDENTIALS_FILE", "credentials"}, {"AWS_CONFIG_FILE", "config"}} {
		name := os.Getenv(f.variable)
		if name == "" && home != "" {
			name = filepath.Join(home, ".aws", f.name)
		}
		if _, err := os.Stat(name); err == nil {
			return true
		}
	}
	return false
}

// fromDir reads the files of the Secret, as a Job's pod has them.
func (c *credentials) fromDir(config *store.Config) error {
	read := func(name string, needed bool) (string, error) {
		b, err := readSmall("credentials-dir", filepath.Join(c.dir, name), nil)
		if errors.Is(err, fs.ErrNotExist) && !needed {
			return "", nil
		}
		return strings.TrimSpace(string(b)), err
	}
	var session, customer string
	for _, f := range []struct {
		name   string
		needed bool
		into   *string
	}{{job.AccessKeyFile, true, &config.AccessKey}, {job.SecretKeyFile, true, (*string)(&config.SecretKey)}, {job.SessionTokenFile, false, &session}, {job.CustomerKeyFile, false, &customer}} {
		var err error
		if *f.into, err = read(f.name, f.needed); err != nil {
			return err
		}
	}
	config.SessionToken = store.Secret(session)
	if customer != "" {
		key, err := base64.StdEncoding.DecodeString(customer)
		if err != nil || len(key) != 32 {
			return usage("--credentials-dir %s: %s is no key of 32 bytes in base64", c.dir, job.CustomerKeyFile)
		}
		config.SSE = store.SSE{Mode: store.SSEC, Key: store.Secret(key)}
	}
	if config.AccessKey == "" || config.SecretKey == "" {
		return usage("--credentials-dir %s: %s or %s is empty", c.dir, job.AccessKeyFile, job.SecretKeyFile)
	}
	return nil
}
