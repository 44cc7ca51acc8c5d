package metaservice

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
)

// Full gRPC names of the services.
const (
	ServiceName = "meta.service.common.MetaServiceService"
	// EngineServiceName is the service that keeps shards and segments.
	EngineServiceName = "meta.service.journal.EngineService"
)

// Client calls the service on one connection. Errors are gRPC status errors.
type Client struct {
	conn grpc.ClientConnInterface
}

// NewClient returns a client on conn.
func NewClient(conn grpc.ClientConnInterface) *Client { return &Client{conn: conn} }

func (c *Client) call(ctx context.Context, method string, req, reply Message) error {
	return c.conn.Invoke(ctx, "/"+ServiceName+"/"+method, req, reply, grpc.ForceCodec(Codec))
}

// ClusterStatus returns the raft state of the node asked, as JSON.
func (c *Client) ClusterStatus(ctx context.Context) (string, error) {
	var reply ClusterStatusReply
	err := c.call(ctx, "ClusterStatus", &Empty{}, &reply)
	return reply.Content, err
}

// NodeList returns the registered nodes, one bincode record each.
func (c *Client) NodeList(ctx context.Context) ([][]byte, error) {
	var reply NodeListReply
	err := c.call(ctx, "NodeList", &Empty{}, &reply)
	return reply.Nodes, err
}

// Heartbeat says that node id lives; an unregistered id is an INTERNAL error "Node N does not exist".
func (c *Client) Heartbeat(ctx context.Context, id uint64) error {
	return c.call(ctx, "Heartbeat", &HeartbeatRequest{NodeID: id}, &Empty{})
}

// UnRegisterNode decommissions a node; a success says nothing (a node not listed is a silent no-op).
func (c *Client) UnRegisterNode(ctx context.Context, id uint64) error {
	return c.call(ctx, "UnRegisterNode", &UnRegisterNodeRequest{NodeID: id}, &Empty{})
}

// JoinCluster makes node id a voter in every group. An error does not mean that nothing changed: compare ClusterStatus afterwards.
func (c *Client) JoinCluster(ctx context.Context, id uint64, rpcAddr string) error {
	return c.call(ctx, "JoinCluster", &JoinClusterRequest{NodeID: id, RPCAddr: rpcAddr}, &Empty{})
}

// LeaveCluster takes node id out of every group. An error does not mean that nothing changed.
func (c *Client) LeaveCluster(ctx context.Context, id uint64) error {
	return c.call(ctx, "LeaveCluster", &LeaveClusterRequest{NodeID: id}, &Empty{})
}

// SetResourceConfig stores a dynamic configuration; metadata leader only.
func (c *Client) SetResourceConfig(ctx context.Context, resources []string, config []byte) error {
	return c.call(ctx, "SetResourceConfig", &ResourceConfigRequest{Resources: resources, Config: config}, &Empty{})
}

// GetResourceConfig returns a stored dynamic configuration, empty when there is none.
func (c *Client) GetResourceConfig(ctx context.Context, resources []string) ([]byte, error) {
	var reply GetResourceConfigReply
	err := c.call(ctx, "GetResourceConfig", &ResourceConfigRequest{Resources: resources}, &reply)
	return reply.Config, err
}

// DeleteResourceConfig removes a stored dynamic configuration; metadata leader only.
func (c *Client) DeleteResourceConfig(ctx context.Context, resources []string) error {
	return c.call(ctx, "DeleteResourceConfig", &ResourceConfigRequest{Resources: resources}, &Empty{})
}

// ListSegments visits the record of every segment that the member asked has applied, one bincode record each. An error of visit ends it and is returned.
// The answer is a stream out of the member's own database: any member gives one, and only the metadata leader's is the present state.
func (c *Client) ListSegments(ctx context.Context, visit func(record []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a stream that is left early ends so
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+EngineServiceName+"/ListSegment", grpc.ForceCodec(Codec))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&ListSegmentRequest{Segment: AllSegments}); err != nil && !errors.Is(err, io.EOF) { // then RecvMsg has the reason
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		var reply ListSegmentReply
		switch err := stream.RecvMsg(&reply); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := visit(reply.Segment); err != nil {
			return err
		}
	}
}
