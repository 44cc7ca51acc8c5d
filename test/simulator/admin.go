package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
)

// adminServer is the admin HTTP API, with its envelope and its oddities.
type adminServer struct {
	n       *Node
	dynamic *dynamicConfig
	routes  map[string]map[string]handler // path -> method
}

// handler answers data, or an error that becomes code 100.
type handler func(r *http.Request, body []byte) (any, error)

// plainError is an answer without envelope, or with a status of its own.
type plainError struct {
	status   int
	body     string
	jsonType bool
}

func (e *plainError) Error() string { return e.body }

// invalid is a body that does not fit: HTTP 400, code 100.
type invalid struct{ text string }

func (e *invalid) Error() string { return e.text }

func newAdminServer(n *Node) *adminServer {
	a := &adminServer{n: n, dynamic: newDynamicConfig(n.file)}
	a.dynamic.refuses = n.o.Refuses
	a.routes = map[string]map[string]handler{}
	a.add("GET", "/api/mqtt/overview", a.overview)
	traits := robustmq.Lookup(n.gen.version)
	if traits.HealthAPI {
		a.addHealth()
	}
	if n.gen.islands {
		a.addOld()
		return a
	}
	a.add("GET", traits.InfoPath, a.info)
	a.addResources()
	a.addStorage()
	return a
}

// addHealth: ready looks at ports, the other two are placeholders that always say ok.
func (a *adminServer) addHealth() {
	a.add("GET", "/api/health/ready", a.ready)
	placeholder := func(kind string) handler {
		return func(*http.Request, []byte) (any, error) {
			return map[string]any{"status": "ok", "check_type": kind, "message": "health check placeholder"}, nil
		}
	}
	a.add("GET", "/api/health/node", placeholder("node"))
	a.add("GET", "/api/health/cluster", placeholder("cluster"))
}

func (a *adminServer) add(method, path string, h handler) {
	if a.routes[path] == nil {
		a.routes[path] = map[string]handler{}
	}
	a.routes[path][method] = h
}

func (a *adminServer) serve(l net.Listener) {
	server := &http.Server{Handler: a, ErrorLog: quiet, ReadHeaderTimeout: 30 * time.Second, BaseContext: func(net.Listener) context.Context { return a.n.ctx }}
	a.n.onEnd(func() { _ = server.Close() })
	a.n.spawn(func() { _ = server.Serve(l) })
}

// ServeHTTP implements http.Handler.
func (a *adminServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.n.frozen.wait(r.Context())
	path := r.URL.Path
	begin, answered := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
	defer func() { a.n.metrics.visited(r.Method, path, answered.status, begin) }()
	w = answered
	switch {
	case path == "/metrics" && a.n.gen.metricsOnHTTP():
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, a.n.metrics.text())
		return
	case path == "/.well-known/oauth-protected-resource" && !a.n.gen.version.Less(robustmq.Version{Major: 0, Minor: 3, Patch: 9}):
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"resource":"http://%s:%d/mcp","authorization_servers":[],"bearer_methods_supported":["header"],"scopes_supported":[]}`, a.n.host, a.n.file.number("http_port"))
		return
	case path == "/api" && a.n.gen.islands:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "RobustMQ API "+a.n.version)
		return
	case path == "/api/v1/login" && a.n.gen.jwt:
		a.login(w, r)
		return
	}
	if strings.HasPrefix(path, "/api/") && !a.authorised(w, r) {
		return
	}
	methods := a.routes[path]
	if methods == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h := methods[r.Method]
	if h == nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err == nil && r.Method == http.MethodPost && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		err = &plainError{status: http.StatusUnsupportedMediaType, body: "Expected request with `Content-Type: application/json`"}
	}
	var data any
	if err == nil {
		data, err = h(r, body)
	}
	writeAnswer(w, data, err)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func writeAnswer(w http.ResponseWriter, data any, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	var plain *plainError
	var bad *invalid
	switch {
	case err == nil:
		if h, ok := data.(health); ok && h.Status != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(mustJSON(struct {
			Code  int  `json:"code"`
			Data  any  `json:"data"`
			Error *int `json:"error"`
		}{0, data, nil}))
		return
	case errors.As(err, &plain):
		if plain.jsonType {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(plain.status)
		_, _ = io.WriteString(w, plain.body)
		return
	case errors.As(err, &bad):
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = w.Write(mustJSON(struct {
		Code  int    `json:"code"`
		Data  string `json:"data"`
		Error string `json:"error"`
	}{100, "", err.Error()}))
}

// authorised lets callers of the own machine in, and others with a token whose signature holds: who it was made for does not matter.
func (a *adminServer) authorised(w http.ResponseWriter, r *http.Request) bool {
	if !a.n.gen.jwt {
		return true
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && a.n.o.Loopback(peer.Addr().Unmap()) {
		return true
	}
	refuse := func(text string) bool {
		writeAnswer(w, nil, &plainError{http.StatusUnauthorized, `{"code":401,"data":null,"message":"` + text + `"}`, true})
		return false
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return refuse("Missing Authorization header")
	}
	token, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return refuse("Invalid Authorization header format")
	}
	secret := []byte(a.n.file.text("admin.jwt_secret"))
	_, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return secret, nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil {
		return refuse("Invalid or expired token")
	}
	return true
}

func (a *adminServer) login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var q struct{ Username, Password *string }
	if err := json.Unmarshal(body, &q); err != nil || q.Username == nil || q.Password == nil {
		missing := "username"
		if q.Username != nil {
			missing = "password"
		}
		writeAnswer(w, nil, &plainError{status: http.StatusUnprocessableEntity, body: fmt.Sprintf("Failed to deserialize the JSON body into the target type: missing field `%s` at line 1 column %d", missing, len(body))})
		return
	}
	f := a.n.file
	if *q.Username != f.text("admin.username") || *q.Password != f.text("admin.password") {
		writeAnswer(w, nil, &plainError{http.StatusUnauthorized, `{"code":401,"data":null,"message":"Invalid username or password"}`, true})
		return
	}
	ttl := f.number("admin.token_ttl_hours") * 3600
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": *q.Username, "iat": a.n.now(), "exp": a.n.now() + ttl}).SignedString([]byte(f.text("admin.jwt_secret")))
	if err != nil {
		writeAnswer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(mustJSON(map[string]any{"code": 0, "data": map[string]any{"token": token, "expires_in": ttl}, "message": "success"}))
}

// health is the data of the health endpoints.
type health struct {
	Status    string `json:"status"`
	CheckType string `json:"check_type"`
	Message   string `json:"message"`
}

// ready connects to every configured port over TCP, the QUIC port too, which is UDP: it fails unless that number is also a TCP port's.
func (a *adminServer) ready(r *http.Request, _ []byte) (any, error) {
	f := a.n.file
	ports := []string{"http_port", "grpc_port"}
	if f.role("broker") {
		for _, p := range []string{"tcp_port", "tls_port", "websocket_port", "websockets_port", "quic_port"} {
			ports = append(ports, "mqtt_runtime.server."+p)
		}
	}
	if f.role("engine") {
		ports = append(ports, "storage_runtime.tcp_port")
	}
	for _, p := range ports {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(a.n.o.LoopbackHost, fmt.Sprint(f.number(p))))
		cancel()
		if err != nil {
			return health{"not_ready", "ready", "one or more configured ports are not ready"}, nil
		}
		_ = conn.Close()
	}
	return health{"ok", "ready", "all configured ports are ready"}, nil
}

// list pages rows: 10 unless a limit is given, with the true count beside.
type list struct {
	Data       any `json:"data"`
	TotalCount int `json:"total_count"`
}

const pageRows = 10

func page[T any](rows []T, q url.Values) list {
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit <= 0 {
		limit = pageRows
	}
	number, err := strconv.Atoi(q.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	return pageOf(rows, limit, number)
}

func pageOf[T any](rows []T, limit, number int) list {
	total := len(rows)
	from := min((number-1)*limit, total)
	part := rows[from:min(from+limit, total)]
	if part == nil {
		part = []T{}
	}
	return list{part, total}
}

// decodeBody reads a JSON body with the messages of RobustMQ: what is missing is named.
func decodeBody(body []byte, into any, needed ...string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return &invalid{"JSON parsing failed: Failed to parse the request body as JSON: " + err.Error()}
	}
	for _, name := range needed {
		if _, ok := fields[name]; !ok {
			return &invalid{fmt.Sprintf("JSON parsing failed: Failed to deserialize the JSON body into the target type: missing field `%s` at line 1 column %d", name, len(body))}
		}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &invalid{"JSON parsing failed: Failed to deserialize the JSON body into the target type: " + err.Error()}
	}
	return nil
}

func between(name, value string, least, most int) error {
	if len(value) < least || len(value) > most {
		return &invalid{fmt.Sprintf("Parameter validation failed: %s length must be between %d-%d", name, least, most)}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// quiet takes what net/http would write to the test's stderr.
var quiet = log.New(io.Discard, "", 0)
