package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// recorded returns status and body of a recorded answer.
func recorded(t testing.TB, name string) (int, []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Response struct {
			Status int             `json:"status"`
			Body   json.RawMessage `json:"body"`
		} `json:"response"`
	}
	if err := json.Unmarshal(raw, &record); err != nil {
		t.Fatal(err)
	}
	var text string
	if json.Unmarshal(record.Response.Body, &text) == nil {
		return record.Response.Status, []byte(text)
	}
	return record.Response.Status, record.Response.Body
}

func TestRecordedAnswersAreToldApart(t *testing.T) {
	for name, want := range map[string]*Error{
		"s-tenant-create":            nil,
		"s-login-ok":                 nil,
		"s-user-list-paged":          nil,
		"s-user-create-nopw":         {400, 100, "Parameter validation failed: Password length must be between 1-128"},
		"s-user-create-again-samepw": {200, 100, `Grpc call of the node failed,Grpc status was code: 'Internal error', message: "User [alice] already exist"`},
		"s-login-bad":                {401, 401, "Invalid username or password"},
		"s-info-no-token":            {401, 401, "Missing Authorization header"},
		"s-notfound":                 {404, 0, "Not Found"},
	} {
		status, body := recorded(t, name)
		_, err := DecodeEnvelope(status, body)
		var got *Error
		errors.As(err, &got)
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestAReadinessThatIsFalseIsAnErrorThoughItsCodeIsZero(t *testing.T) {
	_, err := DecodeEnvelope(503, []byte(`{"code":0,"data":{"status":"not_ready","check_type":"ready","message":"one or more configured ports are not ready"},"error":null}`))
	var got *Error
	if !errors.As(err, &got) || got.Status != 503 || got.Message != "one or more configured ports are not ready" {
		t.Errorf("%v", err)
	}
}

func TestTheNodeListIsReadFromBothGenerations(t *testing.T) {
	status, body := recorded(t, "c-info-n2")
	data, err := DecodeEnvelope(status, body)
	if err != nil {
		t.Fatal(err)
	}
	info, err := ParseInfo(data)
	if err != nil || !slices.Equal(info.IDs(), []uint64{1, 2, 3}) || info.Version != "0.4.3" || info.Nodes[0].IP != "n1.lab" {
		t.Errorf("0.4.11: %+v, %v", info, err)
	}
	raw, err := os.ReadFile("testdata/overview-0.3.0.json")
	if err != nil {
		t.Fatal(err)
	}
	if data, err = DecodeEnvelope(200, raw); err != nil {
		t.Fatal(err)
	}
	if info, err = ParseInfo(data); err != nil || !slices.Equal(info.IDs(), []uint64{1}) {
		t.Errorf("0.3.0: %+v, %v", info, err)
	}
	if info, err := ParseInfo([]byte(`{"version":"x"}`)); err == nil {
		t.Errorf("no list, but %+v", info)
	}
}

func TestTheTotalOfAListIsReadWhateverItsRows(t *testing.T) {
	status, body := recorded(t, "s-user-list-paged")
	data, err := DecodeEnvelope(status, body)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Total uint64            `json:"total_count"`
		Rows  []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(data, &want); err != nil || want.Total == 0 {
		t.Fatalf("%+v, %v", want, err)
	}
	if got, err := ParseTotal(data); err != nil || got != want.Total {
		t.Errorf("%d, %v, want %d", got, err, want.Total)
	}
	for _, bad := range []string{`{"data":[]}`, `{"total_count":-1}`, `{"total_count":"3"}`, `[]`, ``} {
		if got, err := ParseTotal([]byte(bad)); err == nil {
			t.Errorf("%s is %d", bad, got)
		}
	}
}

const secret = "a-secret"

// server answers with a page of rows, and checks what the real one checks: the exact prefix, the signature and the expiry of the token.
func server(t *testing.T, rows int) *Client {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var token string
		if _, err := fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &token); err != nil {
			http.Error(w, `{"code":401,"data":null,"message":"Missing Authorization header"}`, http.StatusUnauthorized)
			return
		}
		if _, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(secret), nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired()); err != nil {
			http.Error(w, `{"code":401,"data":null,"message":"Invalid or expired token"}`, http.StatusUnauthorized)
			return
		}
		limit, page := 10, 1
		if n, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil {
			limit = n
		}
		if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil {
			page = n
		}
		list := []int{}
		for i := (page - 1) * limit; i < min(page*limit, rows); i++ {
			list = append(list, i)
		}
		answer, err := json.Marshal(map[string]any{"code": 0, "data": map[string]any{"data": list, "total_count": rows}, "error": nil})
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(answer)
	}))
	t.Cleanup(s.Close)
	return &Client{Base: s.URL, HTTP: s.Client(), Secret: func() string { return secret }, Now: time.Now}
}

func TestAListIsReadToItsEnd(t *testing.T) {
	for _, rows := range []int{0, 9, 11, 1000, 2345} {
		got, err := server(t, rows).List(context.Background(), "/api/cluster/user/list?tenant=a")
		if err != nil || len(got) != rows {
			t.Errorf("%d rows: %d, %v", rows, len(got), err)
		}
	}
}

func TestATokenOfAnotherSecretIsRefused(t *testing.T) {
	c := server(t, 1)
	c.Secret = func() string { return "other" }
	_, err := c.List(context.Background(), "/api/cluster/user/list")
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != 401 {
		t.Errorf("%v", err)
	}
	c = server(t, 1)
	c.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	if _, err = c.List(context.Background(), "/api/cluster/user/list"); !errors.As(err, &refused) {
		t.Errorf("an expired token: %v", err)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	for _, name := range []string{"s-tenant-create", "s-login-bad", "s-notfound", "s-user-create-nopw"} {
		status, body := recorded(f, name)
		f.Add(status, body)
	}
	f.Add(200, []byte(`{"code":null}`))
	f.Add(200, []byte(`[]`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		data, err := DecodeEnvelope(status, body)
		if err != nil && data != nil {
			t.Error("data beside an error")
		}
	})
}

func FuzzParseInfo(f *testing.F) {
	_, body := recorded(f, "c-info-n2")
	f.Add(body)
	f.Add([]byte(`{"broker_node_list":[{"node_id":18446744073709551615}]}`))
	f.Add([]byte(`{"data":[],"total_count":7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if info, err := ParseInfo(data); err == nil {
			_ = info.IDs()
		}
		if total, err := ParseTotal(data); err != nil && total != 0 {
			t.Error("a total beside an error")
		}
	})
}
