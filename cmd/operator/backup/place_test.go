package backup

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatIsWrongWithAFlagNamesItsValueAndTheWayOut(t *testing.T) {
	environment(t, nil)
	path, d := dir(t)
	other := request(t, "other-hourly-1", "fresh-1node", noon)
	other.Owner = archive.Owner{ClusterUID: "other-uid", Name: "my-cluster", Namespace: "prod"}
	two := t.TempDir()
	copied(t, path, two)
	save(t, openDir(t, two), other)
	save(t, d, request(t, "my-cluster-hourly-1", "fresh-1node", noon.Add(2*time.Hour))) // the name once more
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	data := database(t, "fresh-1node")
	here := []string{"--dir", path, "--prefix", prefix}
	for _, c := range []struct {
		args string
		says string
	}{
		{"", "say list, show, verify, download or extract"},
		{"remove", `"remove": say list, show`},
		{"list", "give --bucket, -f with the cluster's file, or --dir"},
		{"list --nothing", "unknown flag: --nothing (robustmq-operator backup list --help)"},
		{"list all HERE", `"all": list takes at most 0 argument`},
		{"list --dir " + path + " --bucket b", "a directory has no bucket; leave one of them out"},
		{"list --dir " + path + " -f x", "both name a place"},
		{"list HERE -o xml", `--output "xml": say text, json or yaml`},
		{"list --bucket s3://b/x", `--bucket "s3://b/x"`},
		{"list --bucket backups --endpoint ftp://x --credentials-dir " + keys(t, "a", planted), "the endpoint is scheme and host"},
		{"list --bucket backups", "there are no credentials: set AWS_ACCESS_KEY_ID"},
		{"list --bucket backups --credentials-dir /nonexistent", "--credentials-dir /nonexistent/accessKey: no such file"},
		{"list --bucket backups --credentials-dir " + keys(t, "a", ""), "accessKey or secretKey is empty"},
		{"list --bucket backups --credentials-dir /x --profile y", "keys are in one place"},
		{"list --bucket backups --credentials-file /nonexistent", "/nonexistent: there is no such file"},
		{"list --bucket backups --credentials-file " + file(t, "c", "[default]\n"+planted+"\n"), `no usable keys of the profile "default"`},
		{"list --bucket backups --credentials-file " + file(t, "c", "[default]\naws_access_key_id = a\naws_secret_access_key = "+planted+"\n") + " --profile eu", `no usable keys of the profile "eu"`},
		{"list --bucket backups --ca-file /nonexistent", "--ca-file /nonexistent: no such file"},
		{"list -f /nonexistent", "-f /nonexistent: no such file"},
		{"list -f " + file(t, "x.yaml", "robustmq.io: ["), "this is no YAML"},
		{"list -f " + file(t, "x.yaml", cluster("")), "no RobustMQCluster in it has spec.backup.destination"},
		{"list -f " + file(t, "x.yaml", cluster("{bucket: a-b}")+"---\n"+cluster("{bucket: c-d}")), "2 objects in it name a destination (RobustMQCluster prod/my-cluster, RobustMQCluster prod/my-cluster)"},
		{"list --dir " + path + " --prefix elsewhere", "there are no backups in " + path + " below elsewhere"},
		{"list HERE --cluster somebody", "--cluster somebody: it has no backups"},
		{"show latest --dir " + two + " --prefix " + prefix, "2 clusters have backups in"},
		{"list --cluster prod/my-cluster --dir " + two + " --prefix " + prefix, "2 clusters have that name"},
		{"show HERE", "name the backup"},
		{"show nothing HERE", `"nothing": there is no such backup; the newest are: 20261125T120000Z-my-cluster-hourly-1, `},
		{"show my-cluster-hourly-1 HERE", "2 backups have that name"},
		{"verify HERE", "or say --all"},
		{"verify latest --all HERE", "or say --all"},
		{"verify latest --mode Quick HERE", `--mode "Quick": say Full or Checksum`},
		{"verify latest --identity-file /nonexistent HERE", "--identity-file /nonexistent: no such file"},
		{"verify latest --identity-file - -f -", "can be read once"},
		{"verify latest --identity-file - HERE", "--identity-file -: it is empty"},
		{"download latest HERE", "say where to with --into"},
		{"download --into x HERE", "name the backup"},
		{"download latest --into " + full + " HERE", "it is there and not empty"},
		{"download latest --into /nonexistent/x HERE", "make that first"},
		{"extract --into x", "name the data directory"},
		{"extract " + data, "say where to with --into"},
		{"extract " + full + " --into x", "a database has a file CURRENT"},
		{"extract " + data + " --into " + filepath.Join(data, "x"), "it would be in the database itself"},
		{"extract " + data + " --into " + full, "it is there and not empty"},
		{"extract " + data + " --families meta_raft,users --into x", `--families "users"`},
		{"extract " + data + " --families meta_raft,meta_raft --into x", `--families "meta_raft"`},
	} {
		var args []string
		for _, a := range strings.Fields(c.args) {
			if a == "HERE" {
				args = append(args, here...)
			} else {
				args = append(args, a)
			}
		}
		if r := call(t, args...); r.code != codeUsage || !strings.Contains(r.err, c.says) {
			t.Errorf("%s: exit code %d:\n%swant %s", c.args, r.code, r.err, c.says)
		}
	}
	if exists("x") {
		t.Error("something was made")
	}
}

// keys are files of credentials.
func keys(t *testing.T, access, secret string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"accessKey": access, "secretKey": secret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// cluster is a manifest, with a destination or without.
func cluster(destination string) string {
	text := "apiVersion: robustmq.io/v1alpha1\nkind: RobustMQCluster\nmetadata: {name: my-cluster, namespace: prod}\nspec:\n  version: \"0.4.11\"\n"
	if destination != "" {
		text += "  backup: {destination: " + destination + "}\n"
	}
	return text
}

func copied(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestTheFileOfAClusterOrABackupNamesThePlace(t *testing.T) {
	_, _, flags := bucket(t)
	endpoint := flags[5]
	destination := fmt.Sprintf("{bucket: backups, prefix: %s, endpoint: %q, region: r, pathStyle: true, caSecretName: s3-ca}", prefix, endpoint)
	status := "status: {clusterUID: " + uid + "}\n"
	backup := fmt.Sprintf("apiVersion: robustmq.io/v1alpha1\nkind: RobustMQBackup\nmetadata: {name: b}\nspec: {}\nstatus: {clusterUID: %s, destination: %s}\n", uid, destination)
	for what, text := range map[string]string{
		"a cluster": cluster(destination), "one of kubectl get -o yaml": cluster(destination) + status, "a backup": backup,
		"beside other things": "kind: ConfigMap\napiVersion: v1\n---\n" + cluster("") + "---\n" + cluster(destination),
	} {
		r := call(t, "list", "-f", file(t, "c.yaml", text))
		wantCode(t, r, 0, "20261125T120000Z-my-cluster-hourly-1", "the Secret s3-ca", "the endpoint is http")
		in := with(t, func(tool *tool, _ *context.Context) { tool.in = strings.NewReader(text) }, "list", "-f", "-")
		if in.out != r.out {
			t.Errorf("%s: %s", what, in.err)
		}
	}
	text := file(t, "c.yaml", cluster(destination)+strings.Replace(status, uid, "another-uid", 1))
	wantCode(t, call(t, "list", "-f", text), codeUsage, "--cluster another-uid: it has no backups", uid+" prod/my-cluster")
	wantCode(t, call(t, "list", "-f", text, "--cluster", uid), 0, "1 backup of the cluster")
	wantCode(t, call(t, "list", "-f", file(t, "c.yaml", cluster(destination)), "--prefix", "elsewhere"), codeUsage, "below elsewhere")
}

func TestCredentialsComeFromFilesAndTheEnvironment(t *testing.T) {
	_, _, flags := bucket(t)
	list := append([]string{"list"}, flags...)
	shared := "[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n[eu]\naws_access_key_id = AKTEST\naws_secret_access_key = " + planted + "\n"
	for what, c := range map[string]struct {
		env  map[string]string
		home string
		args []string
		code int
	}{
		"the environment":             {env: map[string]string{"AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": planted}},
		"wrong ones there":            {env: map[string]string{"AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "wrong"}, code: codeUndone},
		"files win":                   {env: map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, args: []string{"--credentials-dir", keys(t, "AKTEST", planted)}},
		"a file and a profile":        {args: []string{"--credentials-file", file(t, "c", shared), "--profile", "eu"}},
		"the wrong profile":           {args: []string{"--credentials-file", file(t, "c", shared)}, code: codeUndone},
		"at home":                     {home: shared, args: []string{"--profile", "eu"}},
		"at home, by the environment": {home: shared, env: map[string]string{"AWS_PROFILE": "eu"}},
		"at home, the wrong profile":  {home: shared, code: codeUndone},
	} {
		t.Run(what, func(t *testing.T) {
			environment(t, c.env)
			if c.home != "" {
				if err := os.MkdirAll(filepath.Join(os.Getenv("HOME"), ".aws"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".aws", "credentials"), []byte(c.home), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			wantCode(t, call(t, append(list, c.args...)...), c.code)
		})
	}
}

func TestAKeyOfOursForTheStoreIsReadFromItsFile(t *testing.T) {
	dir := keys(t, "AKTEST", planted)
	if err := os.WriteFile(filepath.Join(dir, "sseCustomerKey"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, call(t, "list", "--bucket", "backups", "--credentials-dir", dir), codeUsage, "sseCustomerKey is no key of 32 bytes in base64")
	if err := os.WriteFile(filepath.Join(dir, "sseCustomerKey"), []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, call(t, "list", "--bucket", "backups", "--endpoint", "http://127.0.0.1:1", "--credentials-dir", dir), codeUsage, "use an https endpoint")
}

func TestAPlaceThatCannotBeReachedSaysNothingAboutBackups(t *testing.T) {
	_, faults, flags := bucket(t)
	for what, fault := range map[string]s3test.Fault{"503 for ever": s3test.Storm, "403": s3test.Denied, "a chatty proxy": s3test.Echo} {
		faults.Choose(s3test.First(1<<30, "GET", fault))
		for _, args := range [][]string{{"list"}, {"show", "latest"}, {"verify", "--all"}, {"download", "latest", "--into", filepath.Join(t.TempDir(), "x")}} {
			r := call(t, append(args, flags...)...)
			if r.code != codeUndone || r.out != "" {
				t.Errorf("%s, %s: exit code %d: %s%s", what, args[0], r.code, r.out, r.err)
			}
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	wantCode(t, call(t, "list", "--bucket", "backups", "--endpoint", closed.URL, "--path-style"), codeUndone, "could not be reached")
	wantCode(t, call(t, "list", "--dir", filepath.Join(t.TempDir(), "missing")), codeUndone, "missing")
}

func TestABackupIsFoundByItsIDItsKeyAndItsName(t *testing.T) {
	path, _ := dir(t)
	for _, want := range []string{
		"20261125T120000Z-my-cluster-hourly-1", "my-cluster-hourly-1", prefix + "/" + uid + "/backups/20261125T120000Z-my-cluster-hourly-1/manifest.json",
		"s3://backups/" + prefix + "/" + uid + "/backups/20261125T120000Z-my-cluster-hourly-1/manifest.json",
	} {
		if s := decode[Shown](t, call(t, "show", want, "--dir", path, "--prefix", prefix, "-o", "json")); s.ID != "20261125T120000Z-my-cluster-hourly-1" {
			t.Errorf("%s is %s", want, s.ID)
		}
	}
	if s := decode[Shown](t, call(t, "show", "latest", "--dir", path, "--prefix", prefix, "-o", "json")); s.ID != "20261125T130000Z-my-cluster-hourly-2" {
		t.Errorf("latest is %s", s.ID)
	}
}

// A backup is as good without the record of whose it is as with it.
func TestAClusterWhoseRecordIsLostIsFoundByItsUID(t *testing.T) {
	path, _ := dir(t)
	record := filepath.Join(path, prefix, uid, "owner.json")
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	place := []string{"--dir", path, "--prefix", prefix}
	wantCode(t, call(t, append([]string{"list"}, place...)...), codeUsage, "there are no backups")
	wantCode(t, call(t, append([]string{"list", "--cluster", uid}, place...)...), 0, "2 backups of the cluster "+uid)
	wantCode(t, call(t, append([]string{"verify", "latest", "--cluster", uid}, place...)...), codeWrong, "WRONG   "+filepath.Join(prefix, uid, "owner.json"), "good    2026")
	wantCode(t, call(t, append([]string{"download", "latest", "--cluster", uid, "--into", filepath.Join(t.TempDir(), "x")}, place...)...), 0)
}
