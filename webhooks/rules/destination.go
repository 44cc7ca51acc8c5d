package rules

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

// Amazon's rules for names of buckets (User Guide, "General purpose bucket naming rules"); MinIO's client asks the same, and forbids a dash beside a dot.
var (
	bucketForm    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	looksLikeAnIP = regexp.MustCompile(`^([0-9]{1,3}[.]){3}[0-9]{1,3}$`)
	keptPrefixes  = []string{"xn--", "sthree-", "amzn-s3-demo-"}
	keptSuffixes  = []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}
	prefixForm    = regexp.MustCompile(`^[A-Za-z0-9!_.*()-]+(/[A-Za-z0-9!_.*()-]+)*$`)
	hostForm      = regexp.MustCompile(`^([[][0-9A-Fa-f:.]{2,45}[]]|[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?([.][A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*)(:[0-9]{1,5})?/?$`)
)

func backupDestination(_, new *cluster, ctx Context) []Violation {
	var out []Violation
	if b := new.Spec.Backup; b != nil {
		at := spec.Child("backup", "destination")
		out = destination(&b.Destination, at)
		if other := sharer(new, ctx.Around); other != "" {
			out = append(out, Violation{
				Field: at, Value: place(&b.Destination), Message: fmt.Sprintf("the cluster %s of this namespace has its backups there, and each would collect what the other needs", other),
				WayOut: "give each cluster a prefix of its own",
			})
		}
	}
	if b := new.Spec.Bootstrap; b != nil && b.RestoreFrom != nil && b.RestoreFrom.Destination != nil {
		out = append(out, destination(b.RestoreFrom.Destination, spec.Child("bootstrap", "restoreFrom", "destination"))...)
	}
	return out
}

// sharer is the name of another cluster that has the same destination; "" when there is none, or none is known.
func sharer(c *cluster, a *Around) string {
	if a == nil {
		return ""
	}
	for i := range a.Clusters {
		other := &a.Clusters[i]
		if other.Name != c.Name && other.DeletionTimestamp.IsZero() && other.Spec.Backup != nil && place(&other.Spec.Backup.Destination) == place(&c.Spec.Backup.Destination) {
			return other.Name
		}
	}
	return ""
}

// ChangesDestination reports whether a cluster says for the first time, or anew, where its backups go, so that the other clusters have to be looked at. old is nil when it is created.
func ChangesDestination(old, new *v1alpha1.RobustMQCluster) bool {
	if new.Spec.Backup == nil {
		return false
	}
	return old == nil || old.Spec.Backup == nil || place(&old.Spec.Backup.Destination) != place(&new.Spec.Backup.Destination)
}

// place is where a destination is, whoever may write there.
func place(d *v1alpha1.S3Destination) string {
	return strings.Join([]string{strings.TrimSuffix(d.Endpoint, "/"), d.Bucket, d.Prefix}, "/")
}

// destination is what is wrong with a place in a bucket.
func destination(d *v1alpha1.S3Destination, at *field.Path) []Violation {
	var out []Violation
	if problem := bucketProblem(d.Bucket); problem != "" {
		out = append(out, Violation{Field: at.Child("bucket"), Value: d.Bucket, Message: problem, WayOut: "write the name of a bucket of general purpose, without s3:// and path"})
	}
	if d.Prefix != "" && (!prefixForm.MatchString(d.Prefix) || climbs(d.Prefix)) {
		out = append(out, Violation{
			Field: at.Child("prefix"), Value: d.Prefix, Message: "it is not names of letters, digits and !_.*()- with single slashes between them", WayOut: "write one such as production/eu",
		})
	}
	if e := d.ServerSideEncryption; e != nil && e.KMSKeyID != "" && e.Mode != v1alpha1.ServerSideEncryptionKMS {
		out = append(out, Violation{
			Field: at.Child("serverSideEncryption", "kmsKeyID"), Value: e.KMSKeyID, Message: "it names a key of the store's key management, which mode " + string(e.Mode) + " does not use", WayOut: "write mode KMS, or leave it out",
		})
	}
	return append(out, endpoint(d, at)...)
}

func climbs(prefix string) bool {
	for name := range strings.SplitSeq(prefix, "/") {
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

func bucketProblem(name string) string {
	switch {
	case len(name) < 3 || len(name) > 63:
		return fmt.Sprintf("a bucket has 3 to 63 characters, not %d", len(name))
	case looksLikeAnIP.MatchString(name):
		return "a bucket cannot look like an IP address"
	case !bucketForm.MatchString(name):
		return "a bucket has lower-case letters, digits and dashes, and single dots between such words, and each word begins and ends with a letter or digit"
	}
	for _, p := range keptPrefixes {
		if strings.HasPrefix(name, p) {
			return fmt.Sprintf("S3 keeps names that begin with %s for itself", p)
		}
	}
	for _, s := range keptSuffixes {
		if strings.HasSuffix(name, s) {
			return fmt.Sprintf("S3 keeps names that end with %s for itself", s)
		}
	}
	return ""
}

func endpoint(d *v1alpha1.S3Destination, at *field.Path) []Violation {
	field := at.Child("endpoint")
	scheme, rest, ok := strings.Cut(d.Endpoint, "://")
	u, err := url.Parse(d.Endpoint)
	switch {
	case d.Endpoint == "":
		return bucketWithDots(d, at)
	case !ok || scheme != "https" && scheme != "http" || !hostForm.MatchString(rest) || err != nil || !portFits(u.Port()):
		return []Violation{{Field: field, Value: withoutUser(d.Endpoint), Message: "it is not scheme and host, with a port from 1 to 65535 if needed", WayOut: "write one such as https://s3.example.com"}}
	case scheme == "http":
		return []Violation{{
			Field: field, Value: d.Endpoint, Escape: v1alpha1.AllowInsecureS3, Message: "backups, which hold passwords, and the credentials for them would cross the network in clear",
			WayOut: "write an https address, or list AllowInsecureS3 in spec.unsafe",
		}}
	case strings.HasPrefix(u.Hostname(), d.Bucket+".") && strings.HasSuffix(u.Hostname(), ".amazonaws.com"):
		return []Violation{{
			Field: field, Value: d.Endpoint, Message: "the bucket stands in the host name already, and would be put there once more", WayOut: "leave endpoint out and write the region, which says the same",
		}}
	}
	return bucketWithDots(d, at)
}

// withoutUser is an endpoint as it may be repeated: one with an @ in it may hold a password.
func withoutUser(endpoint string) string {
	if strings.Contains(endpoint, "@") {
		return "(not shown)"
	}
	return endpoint
}

func portFits(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

// bucketWithDots warns of a bucket that no certificate covers: *.s3.example.com is one word, not two.
func bucketWithDots(d *v1alpha1.S3Destination, at *field.Path) []Violation {
	if d.PathStyle || !strings.Contains(d.Bucket, ".") {
		return nil
	}
	return []Violation{{
		Field: at.Child("pathStyle"), Value: false, Severity: Warn, Message: fmt.Sprintf("the bucket %s has dots, and no certificate covers it as part of a host name", d.Bucket), WayOut: "write true",
	}}
}
