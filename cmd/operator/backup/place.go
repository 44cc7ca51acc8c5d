package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/spf13/pflag"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/internal/validate"
)

// place is where backups are, as the flags say it.
type place struct {
	flags *pflag.FlagSet

	dir         string
	file        string // with a cluster that names its destination
	destination v1alpha1.S3Destination
	caFile      string
	credentials credentials
	cluster     string
}

func (p *place) bind(f *pflag.FlagSet) {
	f.StringVar(&p.dir, "dir", "", "directory with the layout of a bucket, in the place of a bucket")
	f.StringVarP(&p.file, "filename", "f", "", "file with a RobustMQCluster, whose spec.backup.destination is the place, or a RobustMQBackup, whose status.destination it is; - for the standard input")
	f.StringVar(&p.destination.Bucket, "bucket", "", "bucket")
	f.StringVar(&p.destination.Prefix, "prefix", "", "prefix of the destination, such as production/eu")
	f.StringVar(&p.destination.Endpoint, "endpoint", "", "scheme and host of the S3 service, such as https://s3.example.com (default: Amazon's)")
	f.StringVar(&p.destination.Region, "region", "", "region of the bucket (default: AWS_REGION, or the store is asked)")
	f.BoolVar(&p.destination.PathStyle, "path-style", false, "put the bucket into the path instead of the host name, as MinIO wants it")
	f.StringVar(&p.caFile, "ca-file", "", "certificates in PEM that the endpoint is trusted by, beside the system's")
	f.StringVar(&p.cluster, "cluster", "", "UID of the cluster that was saved, or NAMESPACE/NAME, where the place has several")
	p.credentials.bind(f)
}

// ofBuckets are the flags that make no sense with a directory.
var ofBuckets = []string{"bucket", "endpoint", "region", "path-style", "ca-file", "credentials-dir", "credentials-file", "profile", "instance-role"}

// opened is a place that can be asked.
type opened struct {
	store  store.Store
	prefix string
	// cluster is the UID, or NAMESPACE/NAME, that was asked for; empty where nobody said.
	cluster string
	close   func()
}

// open makes a store of the flags. Nothing is asked of a bucket yet.
func (t *tool) open() (*opened, error) {
	p := &t.place
	o := &opened{prefix: strings.Trim(p.destination.Prefix, "/"), cluster: p.cluster, close: func() {}}
	switch {
	case p.dir != "" && p.file != "":
		return nil, usage("--dir %s and -f %s: both name a place; leave one of them out", p.dir, p.file)
	case p.dir != "":
		for _, name := range ofBuckets {
			if p.flags.Changed(name) {
				return nil, usage("--dir %s and --%s: a directory has no bucket; leave one of them out", p.dir, name)
			}
		}
		d, err := store.OpenDir(p.dir)
		if err != nil {
			return nil, err
		}
		o.store, o.close = d, func() { _ = d.Close() }
		return o, nil
	case p.file != "":
		if err := t.fromFile(o); err != nil {
			return nil, err
		}
	case p.destination.Bucket == "":
		return nil, usage("nothing says where the backups are: give --bucket, -f with the cluster's file, or --dir")
	}
	if err := s3utils.CheckValidBucketName(p.destination.Bucket); err != nil {
		return nil, usage("--bucket %q: %w: write the bucket's name alone, without s3:// and path", p.destination.Bucket, err)
	}
	s, err := t.bucket()
	o.store = s
	return o, err
}

// bucket makes the client.
func (t *tool) bucket() (store.Store, error) {
	p := &t.place
	d := p.destination
	// Five attempts last about 8 s: somebody waits.
	config := store.Config{Attempts: 5, Backoff: t.backoff, Bucket: d.Bucket, Endpoint: d.Endpoint, Region: d.Region, PathStyle: d.PathStyle}
	if p.caFile != "" {
		var err error
		if config.CA, err = readSmall("ca-file", p.caFile, t.in); err != nil {
			return nil, err
		}
	}
	if err := p.credentials.choose(&config); err != nil {
		return nil, err
	}
	if strings.HasPrefix(d.Endpoint, "http://") {
		t.note("the endpoint is http: what is read crosses the network in clear")
	}
	s, err := store.NewS3(config)
	if err != nil {
		return nil, err // not s: a nil of its type is no nil
	}
	return s, nil
}

// fromFile takes the destination of the one object that has one. Flags say more than it does.
func (t *tool) fromFile(o *opened) error {
	p := &t.place
	found, err := t.destinations(p.file)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		names := make([]string, 0, len(found))
		for _, f := range found {
			names = append(names, f.who)
		}
		if len(found) == 0 {
			return usage("-f %s: no RobustMQCluster in it has spec.backup.destination, and no RobustMQBackup status.destination: name the place with --bucket or --dir", p.file)
		}
		return usage("-f %s: %d objects in it name a destination (%s): give a file with one of them", p.file, len(found), strings.Join(names, ", "))
	}
	f := found[0]
	for name, take := range map[string]func(){
		"bucket": func() { p.destination.Bucket = f.destination.Bucket }, "endpoint": func() { p.destination.Endpoint = f.destination.Endpoint },
		"region": func() { p.destination.Region = f.destination.Region }, "path-style": func() { p.destination.PathStyle = f.destination.PathStyle },
		"prefix": func() {
			p.destination.Prefix = f.destination.Prefix
			o.prefix = strings.Trim(f.destination.Prefix, "/")
		},
		"cluster": func() { o.cluster = f.uid },
	} {
		if !p.flags.Changed(name) {
			take()
		}
	}
	if f.destination.CASecretName != "" && p.caFile == "" {
		t.note("%s trusts its endpoint by the Secret %s, which is not here: if the certificate is refused, save its ca.crt and give it with --ca-file", f.who, f.destination.CASecretName)
	}
	return nil
}

// named is a destination in a file.
type named struct {
	who         string
	destination v1alpha1.S3Destination
	uid         string // of the cluster; empty where the object was never in one
}

func (t *tool) destinations(name string) ([]named, error) {
	r := t.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("-f %s: %w", name, cause(err))
		}
		defer f.Close()
		r = f
	}
	var c validate.Contents
	ours := func(apiVersion, kind string) bool {
		return apiVersion == v1alpha1.GroupVersion.String() && (kind == "RobustMQCluster" || kind == "RobustMQBackup")
	}
	if err := c.Read(name, r, ours); err != nil {
		return nil, usage("-f %w", err)
	}
	for _, u := range c.Unreadable {
		return nil, usage("-f %w", u)
	}
	var found []named
	for _, d := range c.Documents {
		n := named{who: strings.TrimSuffix(d.Object.GetKind()+" "+d.Object.GetNamespace()+"/"+d.Object.GetName(), "/")}
		if err := n.read(d); err != nil {
			return nil, usage("-f %s:%d: %s: %w (robustmq-operator validate -f tells more)", name, d.Line, n.who, err)
		}
		if n.destination.Bucket != "" {
			found = append(found, n)
		}
	}
	return found, nil
}

func (n *named) read(d *validate.Document) error {
	if d.Object.GetKind() == "RobustMQBackup" {
		var b v1alpha1.RobustMQBackup
		if err := convert(d.Object, &b); err != nil {
			return err
		}
		n.uid = b.Status.ClusterUID
		if b.Status.Destination != nil {
			n.destination = *b.Status.Destination
		}
		return nil
	}
	var c v1alpha1.RobustMQCluster
	if err := convert(d.Object, &c); err != nil {
		return err
	}
	n.uid = c.Status.ClusterUID
	if c.Spec.Backup != nil {
		n.destination = c.Spec.Backup.Destination
	}
	return nil
}

// maxSmall bytes are read of a file with certificates, keys or identities.
const maxSmall = 1 << 20

// readSmall reads a file that a flag names; - is the standard input. Its errors have nothing of the content.
func readSmall(flag, name string, in io.Reader) ([]byte, error) {
	r := in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("--%s %s: %w", flag, name, cause(err))
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSmall+1))
	if err != nil {
		return nil, usage("--%s %s: %w", flag, name, cause(err))
	}
	if len(b) > maxSmall {
		return nil, usage("--%s %s: it has more than %d bytes, which nothing of its kind has", flag, name, maxSmall)
	}
	return b, nil
}

// cause leaves the names of system call and file out.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%w", p.Err)
	}
	return err
}
