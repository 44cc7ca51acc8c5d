package world

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAWriteIsNamedByItsPath(t *testing.T) {
	for path, want := range map[string]string{
		"PATCH /apis/apps/v1/namespaces/w1/statefulsets/c":                       "patch statefulsets c",
		"PUT /apis/robustmq.io/v1alpha1/namespaces/w1/robustmqclusters/c/status": "update robustmqclusters/status c",
		"POST /api/v1/namespaces/w1/secrets":                                     "create secrets ",
		"DELETE /api/v1/namespaces/w1/pods/c-0":                                  "delete pods c-0",
		"POST /api/v1/namespaces":                                                "create namespaces ",
	} {
		method, where, _ := strings.Cut(path, " ")
		request, err := http.NewRequest(method, "https://127.0.0.1:1"+where, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := writeOf(request).String(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

type answers func(*http.Request) int

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a(r), Body: io.NopCloser(strings.NewReader(""))}, nil
}

func TestAnOperatorDiesAfterItsNthWriteAndNothingOfItArrivesAnyMore(t *testing.T) {
	arrived := 0
	died := make(chan struct{})
	r := &recorder{killAfter: 2, fatal: func() { close(died) }, next: answers(func(*http.Request) int { arrived++; return http.StatusOK })}
	do := func(method, path string) error {
		request, err := http.NewRequest(method, "https://127.0.0.1:1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := r.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	for _, path := range []string{"/api/v1/namespaces/w1/secrets", "/apis/events.k8s.io/v1/namespaces/w1/events"} {
		if err := do(http.MethodPost, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := do(http.MethodGet, "/api/v1/namespaces/w1/secrets/s"); err != nil {
		t.Fatal(err)
	}
	if err := do(http.MethodPost, "/api/v1/namespaces/w1/services"); !errors.Is(err, errDead) {
		t.Fatalf("the second write's answer: %v, want none", err)
	}
	<-died
	if err := do(http.MethodGet, "/api/v1/namespaces/w1/secrets/s"); !errors.Is(err, errDead) {
		t.Fatalf("a read after the death: %v, want none", err)
	}
	if arrived != 4 || len(r.seen()) != 3 {
		t.Errorf("%d requests arrived and %v were recorded; want 4, and 3 writes", arrived, r.seen())
	}
}
