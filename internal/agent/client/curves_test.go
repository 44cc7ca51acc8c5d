package client

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestAHandshakeWithAnAgentUsesP256AloneAndNeverLessThanTLS13(t *testing.T) {
	id := identity(t, name)
	var curve tls.CurveID
	var version uint16
	pool, _ := serve(t, id, Limits{}, func(w http.ResponseWriter, r *http.Request) {
		curve, version = r.TLS.CurveID, r.TLS.Version
		_, _ = w.Write([]byte(`{}`))
	})
	c, err := pool.Client("uid", id, "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.State(t.Context()); err != nil {
		t.Fatal(err)
	}
	if curve != tls.CurveP256 || version != tls.VersionTLS13 {
		t.Errorf("%s, %s", curve, tls.VersionName(version))
	}
}

func TestOfAClusterThatRestsNothingIsKept(t *testing.T) {
	id := identity(t, name)
	pool := NewPool(Limits{}, nil)
	if _, err := pool.Client("uid", id, "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if len(pool.clusters) != 1 {
		t.Error("a cluster that is asked has no transport")
	}
	if pool.Forget("uid"); len(pool.clusters) != 0 {
		t.Error("its certificates are still there")
	}
}
