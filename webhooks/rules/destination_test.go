package rules

import (
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/api/v1alpha1"
)

var clusterKind = v1alpha1.GroupVersion.WithKind("RobustMQCluster").GroupKind()

func saved(d v1alpha1.S3Destination) *cluster {
	return valid(func(c *cluster) {
		c.Spec.Backup = &v1alpha1.BackupSpec{Destination: d, Schedules: []v1alpha1.BackupSchedule{{Name: "a", Cron: "@daily"}}}
	})
}

func TestABucketThatS3CouldNotHaveIsRefused(t *testing.T) {
	for name, want := range map[string]string{
		"":                             "3 to 63",
		"ab":                           "3 to 63",
		strings.Repeat("a", 64):        "3 to 63",
		"Backups":                      "lower-case",
		"back_ups":                     "lower-case",
		"s3://backups":                 "lower-case",
		"backups/eu":                   "lower-case",
		"-backups":                     "begins and ends",
		"backups-":                     "begins and ends",
		".backups":                     "begins and ends",
		"back..ups":                    "single dots",
		"back.-ups":                    "begins and ends",
		"back-.ups":                    "begins and ends",
		"192.168.5.4":                  "IP address",
		"999.999.999.999":              "IP address",
		"xn--backups":                  "xn--",
		"sthree-backups":               "sthree-",
		"amzn-s3-demo-backups":         "amzn-s3-demo-",
		"backups-s3alias":              "-s3alias",
		"backups--ol-s3":               "--ol-s3",
		"backups.mrap":                 ".mrap",
		"backups--eun1-az1--x-s3":      "--x-s3",
		"backups--table-s3":            "--table-s3",
		"backüps":                      "lower-case",
		"arn:aws:s3:::backups":         "lower-case",
		"backups.s3.amazonaws.com.":    "begins and ends",
		"abc\n":                        "lower-case",
		"robustmq backups of the team": "lower-case",
	} {
		vs := Denied(Cluster(nil, saved(v1alpha1.S3Destination{Bucket: name}), Context{Operation: Create}))
		if len(vs) != 1 || vs[0].Rule != "BackupDestination" || vs[0].Field.String() != "spec.backup.destination.bucket" || vs[0].Value != name || !strings.Contains(vs[0].Message, want) {
			t.Errorf("%q: %s; want %q", name, Summary(vs), want)
		}
	}
	for _, name := range []string{"abc", strings.Repeat("a", 63), "1.2.3", "a-b.c-d", "192.168.5.4a", "x--n", "backups-xn--a", "123", "192.168.5"} {
		if vs := Denied(Cluster(nil, saved(v1alpha1.S3Destination{Bucket: name, PathStyle: true}), Context{Operation: Create})); len(vs) != 0 {
			t.Errorf("%q: %s", name, Summary(vs))
		}
	}
}

func TestAnEndpointIsSchemeAndHost(t *testing.T) {
	for _, e := range []string{
		"s3.example.com", "ftp://s3.example.com", "https://", "https://s3.example.com/backups", "https://user:hunter2@s3.example.com", "https://s3.example.com:0", "https://s3.example.com:65536", "https://s3.example.com:123456",
		"https://s3..example.com", "https://-s3.example.com", "https://s3.example.com?x=y", "https:///s3.example.com", "HTTPS://s3.example.com", "https://s3 example.com", "https://[::1", "//s3.example.com",
	} {
		vs := Denied(Cluster(nil, saved(v1alpha1.S3Destination{Bucket: "backups", Endpoint: e}), Context{Operation: Create}))
		if len(vs) != 1 || vs[0].Field.String() != "spec.backup.destination.endpoint" || !strings.Contains(vs[0].WayOut, "https://s3.example.com") {
			t.Errorf("%q: %s", e, Summary(vs))
		}
		if text := Error(clusterKind, "c", vs).Error(); strings.Contains(text, "hunter2") {
			t.Errorf("a password is repeated: %s", text)
		}
	}
	for _, e := range []string{"", "https://s3.example.com", "https://s3.example.com/", "https://minio:9000", "https://10.0.0.1:9000", "https://[fd00::1]:9000", "https://backups.example.com", "https://s3.eu-central-1.amazonaws.com:65535"} {
		if vs := Cluster(nil, saved(v1alpha1.S3Destination{Bucket: "backups", Endpoint: e}), Context{Operation: Create}); len(vs) != 0 {
			t.Errorf("%q: %s", e, Summary(vs))
		}
	}
	vs := Denied(Cluster(nil, saved(v1alpha1.S3Destination{Bucket: "backups", Endpoint: "https://backups.s3.eu-central-1.amazonaws.com"}), Context{Operation: Create}))
	if len(vs) != 1 || !strings.Contains(vs[0].Message, "once more") {
		t.Errorf("the bucket in the host name: %s", Summary(vs))
	}
}

func TestAPrefixIsNamesWithSingleSlashes(t *testing.T) {
	for _, p := range []string{"/a", "a/", "a//b", "a/../b", "..", ".", "a/./b", "a b", "ä", "a?b", "a\\b"} {
		if got := denials(nil, saved(v1alpha1.S3Destination{Bucket: "backups", Prefix: p}), Create); len(got) != 1 || got[0] != "BackupDestination@spec.backup.destination.prefix" {
			t.Errorf("%q: %v", p, got)
		}
	}
	for _, p := range []string{"a", "production/eu", "a...b/.c", "(x)!_*-"} {
		if got := denials(nil, saved(v1alpha1.S3Destination{Bucket: "backups", Prefix: p}), Create); len(got) != 0 {
			t.Errorf("%q: %v", p, got)
		}
	}
}

func TestPlainHTTPIsRefusedWhereverABackupIsWrittenOrRead(t *testing.T) {
	plain := v1alpha1.S3Destination{Bucket: "backups", Endpoint: "http://minio:9000"}
	bad := plain
	bad.Bucket = "Backups"
	bootstrap := valid(func(c *cluster) {
		c.Spec.Bootstrap = &v1alpha1.BootstrapSpec{RestoreFrom: &v1alpha1.RestoreSource{Destination: &plain}}
	})
	for want, c := range map[string]*cluster{"spec.backup.destination.endpoint": saved(plain), "spec.bootstrap.restoreFrom.destination.endpoint": bootstrap} {
		vs := Denied(Cluster(nil, c, Context{Operation: Create}))
		if len(vs) != 1 || vs[0].Field.String() != want || !strings.Contains(vs[0].Text(), "AllowInsecureS3") {
			t.Errorf("%s: %s", want, Summary(vs))
		}
		c.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowInsecureS3}
		if vs := Denied(Cluster(nil, c, Context{Operation: Create})); len(vs) != 0 {
			t.Errorf("%s, with the escape: %s", want, Summary(vs))
		}
	}
	c := saved(bad)
	c.Spec.Unsafe = []v1alpha1.UnsafeEscape{v1alpha1.AllowInsecureS3}
	if got := denials(nil, c, Create); len(got) != 1 || got[0] != "BackupDestination@spec.backup.destination.bucket" {
		t.Errorf("the escape takes more off than the demand for https: %v", got)
	}
}

func TestABucketWithDotsIsWarnedOfWhereItIsPartOfAHostName(t *testing.T) {
	for _, c := range []struct {
		d    v1alpha1.S3Destination
		warn bool
	}{
		{v1alpha1.S3Destination{Bucket: "a.b.c"}, true},
		{v1alpha1.S3Destination{Bucket: "a.b.c", Endpoint: "https://s3.example.com"}, true},
		{v1alpha1.S3Destination{Bucket: "a.b.c", PathStyle: true}, false},
		{v1alpha1.S3Destination{Bucket: "a-b-c"}, false},
	} {
		vs := Warned(Cluster(nil, saved(c.d), Context{Operation: Create}))
		if warned := len(vs) == 1 && vs[0].Rule == "BackupDestination" && strings.Contains(vs[0].Text(), "certificate"); warned != c.warn {
			t.Errorf("%+v: %s", c.d, Summary(vs))
		}
	}
}

func TestTwoClustersOfANamespaceDoNotShareAPlaceInABucket(t *testing.T) {
	here := v1alpha1.S3Destination{Bucket: "backups", Prefix: "a", Endpoint: "https://s3.example.com"}
	other := saved(here)
	other.Name, other.Spec.Backup.Destination.Endpoint = "other", "https://s3.example.com/"
	around := &Around{Clusters: []cluster{*saved(here), *other, *valid(func(c *cluster) { c.Name = "third" })}}
	vs := Denied(Cluster(nil, saved(here), Context{Operation: Create, Around: around}))
	if len(vs) != 1 || vs[0].Field.String() != "spec.backup.destination" || !strings.Contains(vs[0].Text(), "cluster other") || !strings.Contains(vs[0].WayOut, "prefix") {
		t.Errorf("%s", Summary(vs))
	}
	here.Prefix = "b"
	if vs := Denied(Cluster(nil, saved(here), Context{Operation: Create, Around: around})); len(vs) != 0 {
		t.Errorf("with prefixes of their own: %s", Summary(vs))
	}
}

func TestAKeyOfKMSIsNamedWithItsModeAlone(t *testing.T) {
	for mode, refused := range map[v1alpha1.ServerSideEncryptionMode]bool{v1alpha1.ServerSideEncryptionS3: true, v1alpha1.ServerSideEncryptionKMS: false} {
		for _, key := range []string{"", "alias/backups"} {
			d := v1alpha1.S3Destination{Bucket: "backups", ServerSideEncryption: &v1alpha1.ServerSideEncryption{Mode: mode, KMSKeyID: key}}
			vs := Denied(Cluster(nil, saved(d), Context{Operation: Create}))
			if len(vs) > 0 != (refused && key != "") || len(vs) > 0 && (vs[0].Rule != "BackupDestination" || vs[0].Field.String() != "spec.backup.destination.serverSideEncryption.kmsKeyID") {
				t.Errorf("%s with %q: %s", mode, key, Summary(vs))
			}
		}
	}
}
