package job_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/job"
	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

// at is a fault that stays, at some of the requests.
func at(fault s3test.Fault, where func(*http.Request) bool) func(*world) {
	return func(w *world) {
		w.faults.Choose(func(r *http.Request) s3test.Fault {
			if where(r) {
				return fault
			}
			return s3test.None
		})
	}
}

// multipart is refused, and needed for what has no hash beforehand and is larger than a part.
func multipart(w *world) {
	files := image()
	files["000104.log"] = bytesContent(random(4, store.PartSize+100))
	w.agent = newAgent(w.t, w.root, files)
	at(s3test.Denied, method("POST", ""))(w)
}

func everywhere(*http.Request) bool { return true }

func method(m, part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == m && strings.Contains(r.URL.Path, part) }
}

// lying answers HEAD with another size.
func lying(w *world) {
	w.faults.Next = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/tables/") {
			rec := httptest.NewRecorder()
			w.server.ServeHTTP(rec, r)
			for name, values := range rec.Header() {
				rw.Header()[name] = values
			}
			if rec.Code == http.StatusOK {
				rw.Header().Set("Content-Length", "17")
			}
			rw.WriteHeader(rec.Code)
			return
		}
		w.server.ServeHTTP(rw, r)
	})
}

func TestWhateverIsWrongWithTheDestinationIsSaidAndLeavesNoBackupAndTheNextOneWorks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		reason job.Reason
		words  string
	}{
		"wrong bucket":            {func(w *world) { w.request.Destination.Bucket = "other" }, job.BucketMissing, "make it, or correct its name"},
		"wrong region":            {func(w *world) { w.request.Destination.Region = "us-9" }, job.WrongRegion, "eu-1"},
		"wrong access key":        {func(w *world) { w.secret("accessKey", "AKOTHER") }, job.CredentialsInvalid, "compare"},
		"wrong secret key":        {func(w *world) { w.secret("secretKey", "planted-other") }, job.CredentialsInvalid, "compare"},
		"clock behind":            {func(w *world) { w.server.Now = func() time.Time { return time.Now().Add(time.Hour) } }, job.ClockSkew, "set the node's"},
		"expired token":           {func(w *world) { w.server.SessionToken = "newer"; w.secret("sessionToken", sessionToken) }, job.CredentialsExpired, "renew"},
		"no access key":           {func(w *world) { w.remove(job.CredentialsDir + "/accessKey") }, job.CredentialsInvalid, "keys accessKey and secretKey"},
		"empty secret key":        {func(w *world) { w.secret("secretKey", "") }, job.CredentialsInvalid, "keys accessKey and secretKey"},
		"a line break":            {func(w *world) { w.secret("secretKey", secretKey+"\n") }, job.CredentialsInvalid, "line break"},
		"an endpoint":             {func(w *world) { w.request.Destination.Endpoint = "s3.example.com" }, job.DestinationInvalid, "https://"},
		"no such CA":              {func(w *world) { w.request.Destination.PrivateCA = true }, job.CertificateInvalid, "ca.crt"},
		"TLS where none is":       {func(w *world) { w.request.Destination.Endpoint = strings.Replace(w.url, "http:", "https:", 1) }, job.CertificateInvalid, "http://"},
		"nobody there":            {func(w *world) { w.request.Destination.Endpoint = "http://127.0.0.1:1" }, job.StoreUnavailable, "could not be reached"},
		"a customer key in clear": {func(w *world) { w.secret("sseCustomerKey", strings.Repeat("k", 32)) }, job.DestinationInvalid, "https"},
		"a bad customer key":      {func(w *world) { w.secret("sseCustomerKey", "planted-short") }, job.CredentialsInvalid, "32 random bytes"},
		"two encryptions": {func(w *world) {
			w.secret("sseCustomerKey", strings.Repeat("k", 32))
			w.request.Destination.ServerSideEncryption = &job.ServerSideEncryption{Mode: "S3"}
		}, job.DestinationInvalid, "leave destination.serverSideEncryption or"},
		"nothing allowed":          {at(s3test.Denied, everywhere), job.AccessDenied, "PutObject"},
		"writing not allowed":      {at(s3test.Denied, method("PUT", "")), job.AccessDenied, "put"},
		"tables not allowed":       {at(s3test.Denied, method("PUT", "/tables/")), job.AccessDenied, "tables"},
		"multipart not allowed":    {multipart, job.AccessDenied, "upload"},
		"listing not allowed":      {at(s3test.Denied, func(r *http.Request) bool { return r.URL.Query().Has("list-type") }), job.AccessDenied, "list"},
		"reading not allowed":      {at(s3test.Denied, method("HEAD", "")), job.AccessDenied, "head"},
		"the manifest not allowed": {at(s3test.Denied, method("PUT", "manifest.json")), job.AccessDenied, "manifest.json"},
		"secrets echoed":           {at(s3test.Echo, everywhere), job.AccessDenied, "hidden"},
		"storm":                    {at(s3test.Storm, everywhere), job.StoreUnavailable, "SlowDown"},
		"storm at the end":         {at(s3test.Storm, method("PUT", "manifest.json")), job.StoreUnavailable, "SlowDown"},
		"broken":                   {at(s3test.Broken, method("PUT", "/tables/")), job.StoreUnavailable, "InternalError"},
		"every connection cut":     {at(s3test.Gone, method("PUT", "files.tar")), job.StoreUnavailable, "files.tar"},
		"full":                     {at(s3test.Full, method("PUT", "/tables/")), job.BucketFull, "make room"},
		"full at the end":          {at(s3test.Full, method("PUT", "manifest.json")), job.BucketFull, "make room"},
		"lying size":               {lying, job.BackupBroken, "17 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			good := w.request
			c.change(w)
			r := w.run(job.Take, w.take("one", noon))
			w.want(r, c.reason, c.words)
			if r.Key != "" || r.ID != "" {
				t.Errorf("%+v names a backup", r)
			}
			wantEqual(t, len(w.server.Objects()) > 0 && strings.Contains(strings.Join(w.server.Objects(), " "), "manifest.json"), false)
			if c.reason != job.BackupBroken { // which a probe does not look for
				if p := w.run(job.Probe, w.request); p.OK() && !strings.Contains("tables files.tar manifest.json upload", c.words) && c.reason == job.CredentialsInvalid {
					t.Errorf("a probe finds nothing wrong: %+v", p)
				}
			}
			// Mended.
			w.request, w.server.Now, w.server.SessionToken, w.faults.Next = good, nil, "", w.server
			w.faults.Choose(nil)
			w.secret("accessKey", "AKTEST")
			w.secret("secretKey", secretKey)
			w.secret("sseCustomerKey", "")
			w.mustTake("two", noon.Add(time.Hour))
			wantEqual(t, w.backups(), []string{"20261125T130000Z-two"})
		})
	}
}

func TestWhatPassesDoesNotMatter(t *testing.T) {
	for name, choose := range map[string]func(*http.Request) s3test.Fault{
		"storm on writes":    s3test.First(2, "PUT", s3test.Storm),
		"broken on reads":    s3test.First(2, "GET", s3test.Broken),
		"lost answers":       s3test.First(2, "PUT", s3test.LostAnswer),
		"cut answers":        s3test.First(2, "GET", s3test.Truncated),
		"silent answers":     s3test.First(1, "GET", s3test.Stalled),
		"cut connections":    s3test.First(2, "POST", s3test.Gone),
		"deleting forbidden": s3test.First(1000, "DELETE", s3test.Denied),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.faults.Choose(choose)
			w.mustTake("one", noon)
			wantEqual(t, len(w.backups()), 1)
		})
	}
}

func TestTheEndpointsOwnAuthorityIsTrustedWhereItIsMounted(t *testing.T) {
	w := newWorld(t)
	h := httptest.NewTLSServer(w.server)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	w.request.Destination.Endpoint = h.URL
	w.want(w.run(job.Take, w.take("one", noon)), job.CertificateInvalid, "ca.crt")
	w.request.Destination.PrivateCA = true
	put(t, w.root, job.CAFile, []byte("no certificate"))
	w.want(w.run(job.Take, w.take("one", noon)), job.DestinationInvalid, "ca.crt holds no certificate")
	put(t, w.root, job.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
	w.mustTake("one", noon)

	// A key of ours goes over TLS alone, and as bytes or as their base64.
	key := random(7, 32)
	for i, text := range []string{string(key), base64.StdEncoding.EncodeToString(key) + "\n"} {
		sent := 0
		h.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key") == base64.StdEncoding.EncodeToString(key) {
				sent++
			}
			w.server.ServeHTTP(rw, r)
		})
		w.secret("sseCustomerKey", strings.TrimSuffix(text, "\n"))
		put(t, w.root, job.CredentialsDir+"/sseCustomerKey", []byte(text))
		w.mustTake("two", noon.Add(time.Duration(i+1)*time.Hour))
		if sent == 0 {
			t.Errorf("%q: the key was not sent", text)
		}
	}
}

// TestABitThatFlipsOnItsWayToTheBucketIsFound also where the store knows no checksums and TLS leaves payloads unsigned: then by reading everything back.
func TestABitThatFlipsOnItsWayToTheBucketIsFound(t *testing.T) {
	recipient, _ := identity(t)
	for name, secure := range map[string]bool{"in clear": false, "over TLS": true} {
		for _, ignorant := range []bool{false, true} {
			for _, part := range []string{"/tables/", "files.tar", "manifest.json"} {
				for _, recipients := range [][]string{nil, {recipient}} {
					t.Run(fmt.Sprintf("%s, checksums %t, %s, %d recipients", name, !ignorant, part, len(recipients)), func(t *testing.T) {
						w := newWorld(t)
						w.server.NoChecksums = ignorant
						if secure {
							h := httptest.NewTLSServer(w.faults)
							t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
							w.request.Destination.Endpoint, w.request.Destination.PrivateCA = h.URL, true
							put(t, w.root, job.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
						}
						at(s3test.Altered, method("PUT", part))(w)
						r := w.take("one", noon)
						r.Take.Recipients = recipients
						if r := w.run(job.Take, r); r.OK() {
							t.Errorf("%+v", r)
						}
						w.faults.Choose(nil)
						wantEqual(t, len(w.backups()), 0)
						w.mustTake("two", noon.Add(time.Hour), func(t *job.TakeRequest) { t.Recipients = recipients })
						wantEqual(t, w.backups(), []string{"20261125T130000Z-two"})
					})
				}
			}
		}
	}
}

func TestTheStoreIsAskedToEncrypt(t *testing.T) {
	for mode, want := range map[string]string{"S3": "AES256", "KMS": "aws:kms"} {
		w := newWorld(t)
		w.request.Destination.ServerSideEncryption = &job.ServerSideEncryption{Mode: mode}
		r := w.mustTake("one", noon)
		for _, key := range w.server.Objects() {
			if got := w.server.Encryption(key); got != want {
				t.Errorf("%s: %s has %q", mode, key, got)
			}
		}
		if _, there := w.server.Object(r.Key); !there {
			t.Error("no manifest")
		}
	}
}

func TestTemporaryCredentialsCarryTheirToken(t *testing.T) {
	w := newWorld(t)
	w.server.SessionToken = sessionToken
	w.secret("sessionToken", sessionToken)
	w.mustTake("one", noon)
}

func TestAWorkloadsIdentityIsUsedOnlyWhereNoSecretIsNamed(t *testing.T) {
	w := newWorld(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	w.remove(job.CredentialsDir + "/accessKey")
	w.want(w.run(job.Take, w.take("one", noon)), job.CredentialsInvalid)
	w.request.Destination.StaticCredentials = false
	w.mustTake("one", noon)
}

// However a Job dies, at whatever request: there is a whole backup or none, the next one works, and what is left behind goes.
func TestAJobThatIsKilledAnywhereLeavesAWholeBackupOrNone(t *testing.T) {
	whole, none := 0, 0
	for _, last := range []s3test.Fault{s3test.Gone, s3test.LostAnswer} { // the request at which it dies is not carried out, or it is
		for n := 1; ; n++ {
			w := newWorld(t, func(w *world) {
				if last == s3test.LostAnswer { // without parts, which one of the two is enough for
					w.agent = newAgent(w.t, w.root, small())
				}
			})
			w.options.Patience.Lost = 20 * time.Millisecond
			w.options.Tune = func(c *store.Config) {
				c.Attempts, c.Backoff = 1, func(int) time.Duration { return 0 }
			}
			seen := 0
			w.faults.Choose(func(*http.Request) s3test.Fault {
				switch seen++; {
				case seen < n:
					return s3test.None
				case seen == n:
					w.agent.with(func(a *fakeAgent) {
						a.intercept = func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
					})
					return last
				}
				return s3test.Gone
			})
			r := w.run(job.Take, w.take("one", noon))
			if seen < n {
				break // it never came to that
			}
			w.faults.Choose(nil)
			w.agent.with(func(a *fakeAgent) { a.intercept = nil })
			left := w.backups()
			if r.OK() && len(left) != 1 {
				t.Fatalf("at %d: it says that it is complete, and it is not there", n)
			}
			if len(left) == 1 {
				whole++
			} else {
				none++
			}
			again := w.mustTake("one", noon)               // a second pod of the same Job
			next := w.mustTake("two", noon.Add(time.Hour)) // and the next backup
			wantEqual(t, w.backups(), []string{again.ID, next.ID})
			w.server.Age(25 * time.Hour)
			c := w.request
			c.Collect = &job.CollectRequest{Policies: []job.Policy{{Schedule: "hourly", KeepLast: 1}}}
			if collected := w.run(job.Collect, c); !collected.OK() || collected.Collected.Expired != 1 {
				t.Fatalf("at %d: %+v", n, collected)
			}
			b, err := w.archive().Read(t.Context(), next.ID)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"owner.json", "backups/" + next.ID + "/manifest.json", "backups/" + next.ID + "/manifest.sha256"}
			for _, o := range b.Manifest.Objects() {
				want = append(want, o.Key)
			}
			w.wantObjects(want...)
			wantEqual(t, w.server.Uploads(), 0)
		}
	}
	t.Logf("killed at %d requests: %d times the backup was whole, %d times there was none", whole+none, whole, none)
	if whole == 0 || none < 20 {
		t.Error("hardly a stage was met")
	}
}

func TestTheLogTellsAPersonWhatHappened(t *testing.T) {
	w := newWorld(t)
	w.mustTake("one", noon)
	for _, words := range []string{"asking for an image", "the image is ready"} {
		if !bytes.Contains(w.log.Bytes(), []byte(words)) {
			t.Errorf("nothing of %q in %s", words, w.log)
		}
	}
}
