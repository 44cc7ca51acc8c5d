package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
)

// Client calls one agent. Every call ends with its context or with the call's own limit (see Limits), whichever comes first.
// Errors are *Error when the agent answered, and wrap a network error when it did not.
type Client interface {
	// State returns what the agent knows of its pod.
	State(ctx context.Context) (protocol.State, error)
	// End returns when the pod has ended, with its server, and starts nothing any more. It is for pods that are being deleted, and waits protocol.EndWait at most; a Conflict says that this pod has not, and
	// any other error that nothing is known.
	End(ctx context.Context) (protocol.End, error)
	// Gate gives the order that opens a closed gate; repeating it is harmless.
	Gate(ctx context.Context, order protocol.GateOrder) (protocol.State, error)
	// Server stops, starts or restarts the server in place. It returns when the old process is gone and, for a start, when the new one runs or waits for what
	// the state's message says.
	Server(ctx context.Context, order protocol.ServerOrder) (protocol.State, error)
	// Wipe empties the volume of a stopped server.
	Wipe(ctx context.Context, order protocol.WipeOrder) (protocol.State, error)
	// Join makes a node a voter, through this pod's server. An error does not mean that nothing changed.
	Join(ctx context.Context, order protocol.MembershipOrder) (protocol.State, error)
	// Leave takes a voter out, through this pod's server. An error does not mean that nothing changed.
	Leave(ctx context.Context, order protocol.MembershipOrder) (protocol.State, error)
	// Unregister decommissions a node, through this pod's server. A success says nothing: a node that is not listed is a silent no-op.
	Unregister(ctx context.Context, order protocol.MembershipOrder) (protocol.State, error)
	// Login has a broker make its MQTT user anew with the mounted password.
	Login(ctx context.Context, order protocol.LoginOrder) (protocol.State, error)
	// Settings has the pod give one kind of its mounted configuration to the running servers.
	Settings(ctx context.Context, order protocol.SettingsOrder) (protocol.State, error)
	// Admin calls the server's admin API: path starts with "/api/". A nil body sends none. It returns the data of the answer's envelope; a failure that the
	// server itself reports is an *admin.Error.
	Admin(ctx context.Context, method, path string, body any) (json.RawMessage, error)
	// Transfer carries out one step of moving the leadership of raft groups; repeating it is harmless.
	Transfer(ctx context.Context, order protocol.TransferOrder) (protocol.Transfer, error)
	// Alone makes one of the last two voters the only one, and holds its server; repeating it is harmless.
	Alone(ctx context.Context, order protocol.AloneOrder) (protocol.State, error)
	// Images takes images and puts them in place.
	Images
	// Counts counts what the server holds.
	Counts
	// Seeds fills volumes from living members.
	Seeds
}

// Error is an agent's refusal or failure.
type Error struct {
	Status  int    // HTTP status
	Reason  string // one of protocol's Reason constants
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("agent: %s: %s", e.Reason, e.Message) }

// Reason returns the protocol reason of err, and "" when the agent was not reached or err is something else.
func Reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// IsUnreachable reports whether err says that no agent answered: refused, timed out, wrong certificate, connection lost. What was ordered may have been done.
func IsUnreachable(err error) bool {
	if err == nil {
		return false
	}
	var agent *Error
	var server *admin.Error
	return !errors.As(err, &agent) && !errors.As(err, &server)
}

type podClient struct {
	base   string // https://ip:port
	http   *http.Client
	limits Limits
}

var _ Client = (*podClient)(nil)

func (c *podClient) State(ctx context.Context) (protocol.State, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.State)
	defer cancel()
	return c.state(ctx, http.MethodGet, protocol.PathState, nil)
}

func (c *podClient) Gate(ctx context.Context, order protocol.GateOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathGate, order)
}

func (c *podClient) Server(ctx context.Context, order protocol.ServerOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathServer, order)
}

func (c *podClient) Wipe(ctx context.Context, order protocol.WipeOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathWipe, order)
}

func (c *podClient) Join(ctx context.Context, order protocol.MembershipOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathJoin, order)
}

func (c *podClient) Leave(ctx context.Context, order protocol.MembershipOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathLeave, order)
}

func (c *podClient) Unregister(ctx context.Context, order protocol.MembershipOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathUnregister, order)
}

func (c *podClient) Login(ctx context.Context, order protocol.LoginOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathLogin, order)
}

func (c *podClient) Settings(ctx context.Context, order protocol.SettingsOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathSettings, order)
}

func (c *podClient) Transfer(ctx context.Context, order protocol.TransferOrder) (protocol.Transfer, error) {
	return answered[protocol.Transfer](ctx, c, http.MethodPost, protocol.PathTransfer, order)
}

func (c *podClient) End(ctx context.Context) (protocol.End, error) {
	return answered[protocol.End](ctx, c, http.MethodGet, protocol.PathEnd, nil)
}

func (c *podClient) Alone(ctx context.Context, order protocol.AloneOrder) (protocol.State, error) {
	return c.order(ctx, protocol.PathAlone, order)
}

func (c *podClient) Admin(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	rest, ok := strings.CutPrefix(path, "/api/")
	if !ok {
		return nil, fmt.Errorf("admin path %q does not start with /api/", path)
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.Order)
	defer cancel()
	status, answer, err := c.do(ctx, method, protocol.PathAdmin+"api/"+rest, body)
	if err != nil {
		return nil, err
	}
	return admin.DecodeEnvelope(status, answer)
}

func (c *podClient) order(ctx context.Context, path string, order any) (protocol.State, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Order)
	defer cancel()
	return c.state(ctx, http.MethodPost, path, order)
}

func (c *podClient) state(ctx context.Context, method, path string, body any) (protocol.State, error) {
	_, answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return protocol.State{}, err
	}
	var state protocol.State
	if err := json.Unmarshal(answer, &state); err != nil {
		return protocol.State{}, fmt.Errorf("agent's answer to %s %s: %w", method, path, err)
	}
	return state, nil
}

// do returns the status and body of a successful call; for admin calls the status is the server's.
func (c *podClient) do(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("encoding the body of %s %s: %w", method, path, err)
		}
		payload = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return 0, nil, fmt.Errorf("request %s %s: %w", method, path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("agent call: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the agent's answer to %s %s: %w", method, path, err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, fmt.Errorf("agent's answer to %s %s is larger than %d bytes", method, path, maxAnswer)
	}
	if header := response.Header.Get(protocol.HeaderAdminStatus); header != "" {
		var status int
		if _, err := fmt.Sscanf(header, "%d", &status); err != nil {
			return 0, nil, fmt.Errorf("agent's answer to %s %s: header %s %q: %w", method, path, protocol.HeaderAdminStatus, header, err)
		}
		return status, answer, nil
	}
	if response.StatusCode/100 != 2 {
		return 0, nil, agentError(response.StatusCode, answer)
	}
	return response.StatusCode, answer, nil
}

func agentError(status int, body []byte) error {
	var said protocol.Error
	if err := json.Unmarshal(body, &said); err != nil || said.Reason == "" {
		said = protocol.Error{Reason: protocol.ReasonInternal, Message: fmt.Sprintf("HTTP %d without a reason", status)}
	}
	return &Error{Status: status, Reason: said.Reason, Message: said.Message}
}

// maxAnswer bounds an answer in memory; a list of 1000 rows of the admin API is far below.
const maxAnswer = 32 << 20
