package store_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/store"
	"github.com/robustmq/robustmq-operator/backup/store/s3test"
)

func put(ctx context.Context, s store.Store, key string, body []byte) error {
	_, err := s.Put(ctx, key, store.Content{Body: bytes.NewReader(body), Size: int64(len(body)), SHA256: hexSum(body)})
	return err
}

func TestFaultsThatPassDoNotMatter(t *testing.T) {
	body := random(store.PartSize + 5)
	for _, fault := range []s3test.Fault{s3test.Storm, s3test.Broken, s3test.LostAnswer, s3test.Truncated, s3test.Stalled} {
		for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodGet, http.MethodHead, http.MethodDelete} {
			t.Run(fmt.Sprint(fault, " ", method), func(t *testing.T) {
				server, faults, s := serve(t, func(_ *s3test.Server, c *store.Config) {
					if fault == s3test.Stalled {
						c.Stall = time.Second // long enough for a busy machine's honest answers
					}
				})
				faults.Choose(s3test.First(3, method, fault))
				if err := put(t.Context(), s, "k", body); err != nil {
					t.Fatal(err)
				}
				if got, err := store.ReadAll(t.Context(), s, "k", store.MaxObjectSize); err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				wantEqual(t, keys(t.Context(), t, s, "", true), []string{"k"})
				if _, err := s.Head(t.Context(), "k"); err != nil {
					t.Fatal(err)
				}
				if err := s.Delete(t.Context(), "k"); err != nil {
					t.Fatal(err)
				}
				if method != http.MethodPost || fault < s3test.LostAnswer { // else the upload whose beginning got lost is left for Sweep
					wantEqual(t, server.Uploads(), 0)
				}
			})
		}
	}
}

func TestACreateWhoseAnswerWasLostIsStillOurs(t *testing.T) {
	_, faults, s := serve(t, nil)
	faults.Choose(s3test.First(1, http.MethodPut, s3test.LostAnswer))
	if _, err := s.Create(t.Context(), "owner", []byte("one")); err != nil {
		t.Fatal(err)
	}
}

func TestWhereConditionsAreIgnoredTheLoserSeesIt(t *testing.T) {
	_, _, s := serve(t, func(server *s3test.Server, _ *store.Config) { server.NoConditions = true })
	if _, err := s.Create(t.Context(), "owner", []byte("one")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Create(t.Context(), "owner", []byte("two"))
	wantKind(t, err, store.KindExists)
}

func TestFaultsThatStayAreErrorsOfTheirKindAndLeaveNothing(t *testing.T) {
	for _, c := range []struct {
		fault s3test.Fault
		kind  store.Kind
	}{{s3test.Storm, store.KindTransient}, {s3test.Broken, store.KindTransient}, {s3test.Denied, store.KindDenied}, {s3test.Full, store.KindFull}} {
		t.Run(string(c.kind), func(t *testing.T) {
			server, faults, s := serve(t, func(_ *s3test.Server, config *store.Config) { config.Attempts = 2 })
			seen := 0
			faults.Choose(func(r *http.Request) s3test.Fault { // from the second part on
				if r.Method == http.MethodPut {
					if seen++; seen > 1 {
						return c.fault
					}
				}
				return s3test.None
			})
			wantKind(t, put(t.Context(), s, "k", random(4*store.PartSize)), c.kind)
			wantEqual(t, server.Objects(), []string{})
			wantEqual(t, server.Uploads(), 0)
			faults.Choose(nil) // and the buffers have all come back
			if err := put(t.Context(), s, "k", random(6*store.PartSize)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAnUploadThatIsCalledOffLeavesNothing(t *testing.T) {
	server, _, s := serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		w.Write(random(2 * store.PartSize)) //nolint:errcheck // the reader may have gone
		cancel()
		w.CloseWithError(context.Canceled)
	}()
	if _, err := s.Put(ctx, "k", store.Content{Body: r, Size: store.UnknownSize}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wantEqual(t, server.Uploads(), 0)
	wantEqual(t, server.Objects(), []string{})
}

func TestPartsOfADeadUploadAreSwept(t *testing.T) {
	server, faults, s := serve(t, func(_ *s3test.Server, c *store.Config) { c.Attempts = 1 })
	faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodDelete || r.URL.Query().Get("partNumber") == "2" {
			return s3test.Denied
		}
		return s3test.None
	})
	err := put(t.Context(), s, "p/k", random(2*store.PartSize))
	wantKind(t, err, store.KindDenied)
	if err == nil || !strings.Contains(err.Error(), "left behind") {
		t.Error(err)
	}
	wantEqual(t, server.Uploads(), 1)
	faults.Choose(nil)
	for _, c := range []struct {
		prefix string
		before time.Duration
		want   int
	}{{"other/", time.Hour, 0}, {"p/", -time.Hour, 0}, {"p/", time.Hour, 1}} {
		if n, err := s.Sweep(t.Context(), c.prefix, time.Now().Add(c.before)); n != c.want || err != nil {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
	wantEqual(t, server.Uploads(), 0)
}

func TestAReadNeverMixesTwoVersions(t *testing.T) {
	server, faults, s := serve(t, nil)
	server.Put("k", bytes.Repeat([]byte("a"), 1<<20))
	faults.Choose(func(r *http.Request) s3test.Fault {
		if r.Method != http.MethodGet {
			return s3test.None
		}
		return s3test.Truncated
	})
	r, err := s.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	faults.Choose(nil)
	server.Put("k", bytes.Repeat([]byte("b"), 1<<20))
	_, err = io.ReadAll(r)
	wantKind(t, err, store.KindMismatch)
}

func TestListsOfManyPagesAreWhole(t *testing.T) {
	server, faults, s := serve(t, func(server *s3test.Server, _ *store.Config) { server.PageSize = 7 })
	for i := range 100 {
		server.Put(fmt.Sprintf("d%02d/x", i), nil)
		server.Put(fmt.Sprintf("d%02d/y", i), nil)
	}
	faults.Choose(s3test.First(5, http.MethodGet, s3test.Truncated))
	wantEqual(t, len(keys(t.Context(), t, s, "", true)), 200)
	wantEqual(t, len(keys(t.Context(), t, s, "", false)), 100)
}

func TestMistakesOfAUserAreErrorsThatSayWhatToDo(t *testing.T) {
	cases := []struct {
		what   string
		change func(*s3test.Server, *store.Config)
		kind   store.Kind
		says   string
	}{
		{"another bucket", func(_ *s3test.Server, c *store.Config) { c.Bucket = "backup" }, store.KindBucketMissing, "correct its name"},
		{"another region", func(_ *s3test.Server, c *store.Config) { c.Region = "us-west-2" }, store.KindWrongRegion, "it is in eu-central-1"},
		{"another access key", func(_ *s3test.Server, c *store.Config) { c.AccessKey = "AKWRONG" }, store.KindCredentials, "compare access key"},
		{"another secret key", func(_ *s3test.Server, c *store.Config) { c.SecretKey = "planted-wrong-secret" }, store.KindCredentials, "compare access key"},
		{"an old token", func(s *s3test.Server, c *store.Config) { s.SessionToken, c.SessionToken = "new", "planted-old-token" }, store.KindExpired, "renew"},
		{"a clock that is wrong", func(s *s3test.Server, _ *store.Config) {
			s.Now = func() time.Time { return time.Now().Add(20 * time.Minute) }
		}, store.KindClockSkew, "set the node's"},
		{"TLS where there is none", func(_ *s3test.Server, c *store.Config) { c.Endpoint = "https://placeholder.invalid" }, store.KindCertificate, "http://"},
		{"nobody there", func(_ *s3test.Server, c *store.Config) { c.Endpoint = "http://127.0.0.1:1" }, store.KindTransient, "connection refused"},
		{"no such name", func(_ *s3test.Server, c *store.Config) { c.Endpoint = "http://nothing.invalid" }, store.KindTransient, ""},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			var config store.Config
			server := &s3test.Server{}
			_, _, s := serve(t, func(in *s3test.Server, out *store.Config) {
				out.Attempts = 2
				c.change(in, out)
				config, server = *out, in
			})
			if config.Endpoint == "https://placeholder.invalid" {
				h := httptest.NewServer(server)
				defer h.Close()
				config.Endpoint = strings.Replace(h.URL, "http://", "https://", 1)
				var err error
				if s, err = store.NewS3(config); err != nil {
					t.Fatal(err)
				}
			}
			_, err := store.Probe(t.Context(), s, "probe/1", random(10))
			wantKind(t, err, c.kind)
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			for _, secret := range []string{string(config.SecretKey), string(config.SessionToken), config.AccessKey} {
				if secret != "" && strings.Contains(err.Error(), secret) {
					t.Errorf("%q tells %q", err, secret)
				}
			}
		})
	}
}

func TestAStoreThatEchoesTheRequestTellsNoCredential(t *testing.T) {
	_, faults, s := serve(t, func(server *s3test.Server, c *store.Config) {
		server.SessionToken, c.SessionToken = "planted-token", "planted-token"
	})
	faults.Choose(func(*http.Request) s3test.Fault { return s3test.Echo })
	_, err := store.Probe(t.Context(), s, "probe/1", random(10))
	wantKind(t, err, store.KindDenied)
	for _, secret := range []string{"planted", "AKTEST"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q tells %q", err, secret)
		}
	}
	if !strings.Contains(err.Error(), "Signature=(hidden)") {
		t.Errorf("nothing was hidden, so the echo did not come through, or the signature did: %q", err)
	}
}

func TestSecretsDoNotPrintThemselves(t *testing.T) {
	c := store.Config{SecretKey: "planted", SessionToken: "planted", SSE: store.SSE{Key: "planted"}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, c); strings.Contains(text, "planted") {
			t.Errorf("%s: %s", format, text)
		}
	}
}

func TestAProbeNamesTheOperationThatIsDenied(t *testing.T) {
	for method, says := range map[string]string{http.MethodPut: "put", http.MethodDelete: "delete", http.MethodHead: "head", http.MethodGet: "get"} {
		_, faults, s := serve(t, nil)
		faults.Choose(func(r *http.Request) s3test.Fault {
			if r.Method == method {
				return s3test.Denied
			}
			return s3test.None
		})
		_, err := store.Probe(t.Context(), s, "probe/1", random(10))
		wantKind(t, err, store.KindDenied)
		if err == nil || !strings.Contains(err.Error(), ": "+says+` "probe/1"`) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestAnAuthorityOfOnesOwnIsTrustedAndNoOther(t *testing.T) {
	server := &s3test.Server{Bucket: "backups", Region: "us-east-1", AccessKey: "AKTEST", SecretKey: "planted-secret-1"}
	h := httptest.NewTLSServer(server)
	defer h.Close()
	config := store.Config{Bucket: "backups", Region: "us-east-1", AccessKey: "AKTEST", SecretKey: "planted-secret-1", PathStyle: true, Endpoint: h.URL, Attempts: 2,
		Backoff: func(int) time.Duration { return time.Millisecond }}
	strange, err := store.NewS3(config)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, put(t.Context(), strange, "k", random(10)), store.KindCertificate)
	config.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	for _, mode := range []store.SSE{{}, {Mode: store.SSES3}, {Mode: store.SSEKMS, KMSKeyID: "key"}, {Mode: store.SSEC, Key: store.Secret(bytes.Repeat([]byte{1}, 32))}} {
		config.SSE = mode
		s, err := store.NewS3(config)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{10, store.PartSize + 10} {
			if err := put(t.Context(), s, "k", random(n)); err != nil {
				t.Fatal(err)
			}
			wantEqual(t, server.Encryption("k"), map[store.SSEMode]string{store.SSES3: "AES256", store.SSEKMS: "aws:kms"}[mode.Mode])
		}
		if _, err := s.Head(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheBucketIsInTheHostNameUnlessThePathIsAskedFor(t *testing.T) {
	server, _, s := serve(t, nil)
	if err := put(t.Context(), s, "k", nil); err != nil {
		t.Fatal(err)
	}
	var host string
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host = r.Host
		server.ServeHTTP(w, r)
	}))
	defer h.Close()
	// *.localhost is loopback by RFC 6761; the proxy of the environment is not asked, the address is given by the dialer of a resolver that knows it.
	url := strings.Replace(h.URL, "127.0.0.1", "localhost", 1)
	virtual, err := store.NewS3(store.Config{Bucket: "backups", Region: "eu-central-1", AccessKey: "AKTEST", SecretKey: "planted-secret-1", Endpoint: url, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := virtual.Head(t.Context(), "k"); err != nil {
		if store.KindOf(err) == store.KindTransient && strings.Contains(err.Error(), "not known") && strings.Contains(err.Error(), "backups.localhost") {
			return // no resolver here, but the name that was asked for is the right one
		}
		t.Fatal(err)
	}
	if !strings.HasPrefix(host, "backups.localhost:") {
		t.Errorf("asked for %s", host)
	}
}

func TestWithoutKeysTheEnvironmentAndTheWebIdentityAreAsked(t *testing.T) {
	none := map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_ACCESS_KEY": "", "AWS_SECRET_KEY": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_ROLE_ARN": ""}
	for name, value := range none {
		t.Setenv(name, value)
	}
	config := func(_ *s3test.Server, c *store.Config) { c.AccessKey, c.SecretKey = "", "" }
	t.Run("environment", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "AKTEST")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-1")
		_, _, s := serve(t, config)
		if err := put(t.Context(), s, "k", random(10)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("web identity", func(t *testing.T) {
		token := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(token, []byte("planted-jwt"), 0o600); err != nil {
			t.Fatal(err)
		}
		sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("WebIdentityToken") != "planted-jwt" || r.FormValue("RoleArn") != "arn:aws:iam::1:role/backup" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>`+
				`<AccessKeyId>AKTEST</AccessKeyId><SecretAccessKey>planted-secret-1</SecretAccessKey><SessionToken>planted-session</SessionToken><Expiration>%s</Expiration>`+
				`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		}))
		defer sts.Close()
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
		t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup")
		t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
		_, faults, s := serve(t, func(server *s3test.Server, c *store.Config) {
			config(server, c)
			server.SessionToken = "planted-session"
		})
		if err := put(t.Context(), s, "k", random(10)); err != nil {
			t.Fatal(err)
		}
		faults.Choose(func(*http.Request) s3test.Fault { return s3test.Echo })
		if err := put(t.Context(), s, "k", random(10)); err == nil || strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), "AKTEST") {
			t.Errorf("%v", err)
		}
	})
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for what, c := range map[string]store.Config{
		"an endpoint without scheme":   {Endpoint: "s3.example.com"},
		"an endpoint with a path":      {Endpoint: "https://s3.example.com/bucket"},
		"an endpoint with a password":  {Endpoint: "https://user:planted@s3.example.com"},
		"half of the keys":             {AccessKey: "AK"},
		"the other half":               {SecretKey: "planted"},
		"a line break in a key":        {AccessKey: "AK", SecretKey: "planted\n"},
		"a CA that is none":            {CA: []byte("x")},
		"a key that leaves in clear":   {Endpoint: "http://s3.example.com", SSE: store.SSE{Mode: store.SSEC, Key: store.Secret(make([]byte, 32))}},
		"a key that is too short":      {SSE: store.SSE{Mode: store.SSEC, Key: "planted"}},
		"another way of encrypting":    {SSE: store.SSE{Mode: "rot13"}},
		"more buffers than are useful": {Buffers: 65},
	} {
		c.Bucket = "backups"
		_, err := store.NewS3(c)
		wantKind(t, err, store.KindInvalid)
		if err != nil && strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
