package metaclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

// DialFunc opens a TCP connection to host:port.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Client is one node's meta service. Connections are made when they are needed and after each failure anew, so that a name is resolved again when its pod has moved.
// It is safe for concurrent use.
type Client struct {
	conn *grpc.ClientConn
	meta *metaservice.Client
}

// Dial limits: a connection that does not stand after dialTimeout is given up; retries follow within a second or two, as a member that is back must be found at once.
const (
	dialTimeout = 1500 * time.Millisecond
	maxBackoff  = 2 * time.Second
	maxMessage  = 16 << 20
)

// New returns a client of the node at addr (host:port). Nothing is dialled yet. The error is one of addr alone.
func New(addr string, dial DialFunc) (*Client, error) {
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // RobustMQ's gRPC is plain text in every version
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dial(ctx, "tcp", addr) }),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("meta service at %s: %w", addr, err)
	}
	return &Client{conn: conn, meta: metaservice.NewClient(conn)}, nil
}

// Close drops the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Error is the server's own refusal, as opposed to a call that did not reach it.
type Error struct {
	Code    codes.Code
	Message string
	forward *robustmq.Forward
}

func (e *Error) Error() string { return fmt.Sprintf("meta service answered %s: %s", e.Code, e.Message) }

// Unwrap gives the *robustmq.Forward that names the leader, when the refusal is one.
func (e *Error) Unwrap() error {
	if e.forward == nil {
		return nil
	}
	return e.forward
}

// IsUnreachable reports whether err says that the call did not reach the server or that no answer came in time: a write may have been done all the same.
func IsUnreachable(err error) bool {
	var refused *Error
	return err != nil && !errors.As(err, &refused)
}

func (c *Client) wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return fmt.Errorf("%s: %w", doing, err)
	}
	refused := &Error{Code: s.Code(), Message: s.Message()}
	if f, ok := robustmq.ParseForward(s.Message()); ok {
		refused.forward = f
	}
	return fmt.Errorf("%s: %w", doing, refused)
}

// Status is the node's own view of its raft groups.
func (c *Client) Status(ctx context.Context) (robustmq.ClusterStatus, error) {
	content, err := c.meta.ClusterStatus(ctx)
	if err != nil {
		return nil, c.wrap("cluster status", err)
	}
	return robustmq.ParseClusterStatus([]byte(content))
}

// Registry lists the nodes that are registered at this member, by id.
func (c *Client) Registry(ctx context.Context) ([]robustmq.NodeRecord, error) {
	records, err := c.meta.NodeList(ctx)
	if err != nil {
		return nil, c.wrap("node list", err)
	}
	nodes := make([]robustmq.NodeRecord, 0, len(records))
	for i, record := range records {
		node, err := robustmq.ParseNodeRecord(record)
		if err != nil {
			return nil, fmt.Errorf("node list, record %d: %w", i, err)
		}
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b robustmq.NodeRecord) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
	return nodes, nil
}

// Segments visits every segment that this member knows of. Any member answers; only the metadata leader knows the present state.
func (c *Client) Segments(ctx context.Context, visit func(robustmq.SegmentRecord)) error {
	return c.wrap("listing segments", c.meta.ListSegments(ctx, func(record []byte) error {
		segment, err := robustmq.ParseSegmentRecord(record)
		if err != nil {
			return err
		}
		visit(segment)
		return nil
	}))
}

// Heartbeat tells this member that node id lives. A node that is not registered there is an *Error.
func (c *Client) Heartbeat(ctx context.Context, id uint64) error {
	return c.wrap(fmt.Sprintf("heartbeat of node %d", id), c.meta.Heartbeat(ctx, id))
}

// Join makes node id a voter of every raft group; see metaservice.Client.
func (c *Client) Join(ctx context.Context, id uint64, addr string) error {
	return c.wrap(fmt.Sprintf("joining node %d", id), c.meta.JoinCluster(ctx, id, addr))
}

// Leave takes node id out of every raft group; see metaservice.Client.
func (c *Client) Leave(ctx context.Context, id uint64) error {
	return c.wrap(fmt.Sprintf("removing member %d", id), c.meta.LeaveCluster(ctx, id))
}

// Unregister decommissions node id; see metaservice.Client.
func (c *Client) Unregister(ctx context.Context, id uint64) error {
	return c.wrap(fmt.Sprintf("unregistering node %d", id), c.meta.UnRegisterNode(ctx, id))
}

// DeleteResourceConfig takes a stored dynamic configuration out again, so that the next start of a server does not read it; metadata leader only.
func (c *Client) DeleteResourceConfig(ctx context.Context, kind string) error {
	return c.wrap("deleting the stored configuration "+kind, c.meta.DeleteResourceConfig(ctx, []string{"cluster", kind}))
}

// StoredConfig is the stored dynamic configuration of a kind, empty when there is none.
func (c *Client) StoredConfig(ctx context.Context, kind string) ([]byte, error) {
	config, err := c.meta.GetResourceConfig(ctx, []string{"cluster", kind})
	return config, c.wrap("reading the stored configuration "+kind, err)
}
