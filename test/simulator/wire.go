package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
	"github.com/robustmq/robustmq-operator/test/simulator/raft"
)

// MetaServer is the server side of meta.service.common.MetaServiceService, as far as the operator calls it.
type MetaServer interface {
	ClusterStatus(context.Context) (string, error)
	NodeList(context.Context) ([][]byte, error)
	Heartbeat(context.Context, uint64) error
	UnRegisterNode(context.Context, uint64) error
	JoinCluster(ctx context.Context, id uint64, rpcAddr string) error
	LeaveCluster(context.Context, uint64) error
	SetResourceConfig(ctx context.Context, resources []string, config []byte) error
	GetResourceConfig(ctx context.Context, resources []string) ([]byte, error)
	DeleteResourceConfig(ctx context.Context, resources []string) error
	// Segments are the records of a shard's segments, or of all, as this member has them.
	Segments(ctx context.Context, shard string, number int32) ([][]byte, error)
}

// ServerCodec is the option that a gRPC server of these messages needs.
func ServerCodec() grpc.ServerOption { return grpc.ForceServerCodec(metaservice.Codec) }

// RegisterMetaServer offers the meta service on a gRPC server that was made with ServerCodec.
func RegisterMetaServer(s *grpc.Server, m MetaServer) {
	empty := &metaservice.Empty{}
	s.RegisterService(&grpc.ServiceDesc{ServiceName: metaservice.ServiceName, HandlerType: (*MetaServer)(nil), Methods: []grpc.MethodDesc{
		method("ClusterStatus", func(ctx context.Context, _ *metaservice.Empty) (metaservice.Message, error) {
			content, err := m.ClusterStatus(ctx)
			return &metaservice.ClusterStatusReply{Content: content}, err
		}),
		method("NodeList", func(ctx context.Context, _ *metaservice.Empty) (metaservice.Message, error) {
			nodes, err := m.NodeList(ctx)
			return &metaservice.NodeListReply{Nodes: nodes}, err
		}),
		method("Heartbeat", func(ctx context.Context, r *metaservice.HeartbeatRequest) (metaservice.Message, error) {
			return empty, m.Heartbeat(ctx, r.NodeID)
		}),
		method("UnRegisterNode", func(ctx context.Context, r *metaservice.UnRegisterNodeRequest) (metaservice.Message, error) {
			return empty, m.UnRegisterNode(ctx, r.NodeID)
		}),
		method("JoinCluster", func(ctx context.Context, r *metaservice.JoinClusterRequest) (metaservice.Message, error) {
			return empty, m.JoinCluster(ctx, r.NodeID, r.RPCAddr)
		}),
		method("LeaveCluster", func(ctx context.Context, r *metaservice.LeaveClusterRequest) (metaservice.Message, error) {
			return empty, m.LeaveCluster(ctx, r.NodeID)
		}),
		method("SetResourceConfig", func(ctx context.Context, r *metaservice.ResourceConfigRequest) (metaservice.Message, error) {
			return empty, m.SetResourceConfig(ctx, r.Resources, r.Config)
		}),
		method("GetResourceConfig", func(ctx context.Context, r *metaservice.ResourceConfigRequest) (metaservice.Message, error) {
			config, err := m.GetResourceConfig(ctx, r.Resources)
			return &metaservice.GetResourceConfigReply{Config: config}, err
		}),
		method("DeleteResourceConfig", func(ctx context.Context, r *metaservice.ResourceConfigRequest) (metaservice.Message, error) {
			return empty, m.DeleteResourceConfig(ctx, r.Resources)
		}),
	}}, m)
	s.RegisterService(&grpc.ServiceDesc{ServiceName: metaservice.EngineServiceName, HandlerType: (*MetaServer)(nil), Streams: []grpc.StreamDesc{{
		StreamName: "ListSegment", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			var r metaservice.ListSegmentRequest
			if err := stream.RecvMsg(&r); err != nil {
				return err
			}
			records, err := m.Segments(stream.Context(), r.Shard, r.Segment)
			if err != nil {
				return statusOf(err)
			}
			for _, record := range records {
				if err := stream.SendMsg(&metaservice.ListSegmentReply{Segment: record}); err != nil {
					return err
				}
			}
			return nil
		},
	}}}, m)
}

// method describes a unary call. M is the request's struct.
func method[M any, P interface {
	*M
	metaservice.Message
}](name string, serve func(context.Context, P) (metaservice.Message, error)) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		request := P(new(M))
		if err := decode(request); err != nil {
			return nil, err
		}
		handler := func(ctx context.Context, r any) (any, error) {
			reply, err := serve(ctx, r.(P))
			if err != nil {
				return nil, statusOf(err)
			}
			return reply, nil
		}
		if interceptor == nil {
			return handler(ctx, request)
		}
		return interceptor(ctx, request, &grpc.UnaryServerInfo{FullMethod: name}, handler)
	}}
}

// statusOf gives an error the code that RobustMQ answers with: INTERNAL, unless it says another.
func statusOf(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Internal, err.Error())
}

// packet is the body of the simulator's own calls between nodes.
type packet struct{ Body []byte }

// MarshalWire implements metaservice.Message.
func (p *packet) MarshalWire() []byte { return p.Body }

// UnmarshalWire implements metaservice.Message.
func (p *packet) UnmarshalWire(b []byte) error {
	p.Body = append([]byte(nil), b...)
	return nil
}

const (
	raftService = "simulator.Raft"
	nodeService = "simulator.Node" // on every node
	dataService = "simulator.Meta" // on members only: what RobustMQ's other meta services are for
)

// jsonMethod is a call of the simulator's own, with JSON in it.
func jsonMethod[Q, R any](name string, serve func(context.Context, Q) (R, error)) grpc.MethodDesc {
	return method(name, func(ctx context.Context, p *packet) (metaservice.Message, error) {
		var request Q
		if err := json.Unmarshal(p.Body, &request); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		reply, err := serve(ctx, request)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(reply)
		return &packet{raw}, err
	})
}

// invoke is the client's side of jsonMethod.
func invoke[R any](ctx context.Context, conn grpc.ClientConnInterface, service, name string, request any) (R, error) {
	var reply R
	raw, err := json.Marshal(request)
	if err != nil {
		return reply, fmt.Errorf("%s/%s: %w", service, name, err)
	}
	var p packet
	if err := conn.Invoke(ctx, "/"+service+"/"+name, &packet{raw}, &p, grpc.ForceCodec(metaservice.Codec)); err != nil {
		return reply, err
	}
	return reply, json.Unmarshal(p.Body, &reply)
}

// raftTransport carries raft's messages over the pool's connections.
type raftTransport struct {
	calls   *pool
	metrics *metrics
}

type raftCall[T any] struct {
	Group string `json:"group"`
	Body  T      `json:"body"`
}

func (t raftTransport) Vote(ctx context.Context, addr, group string, r raft.VoteRequest) (raft.VoteReply, error) {
	return raftInvoke[raft.VoteReply](ctx, t, addr, "Vote", raftCall[raft.VoteRequest]{group, r})
}

func (t raftTransport) Append(ctx context.Context, addr, group string, r raft.AppendRequest) (raft.AppendReply, error) {
	return raftInvoke[raft.AppendReply](ctx, t, addr, "Append", raftCall[raft.AppendRequest]{group, r})
}

func (t raftTransport) Snapshot(ctx context.Context, addr, group string, r raft.SnapshotRequest) (raft.SnapshotReply, error) {
	return raftInvoke[raft.SnapshotReply](ctx, t, addr, "Snapshot", raftCall[raft.SnapshotRequest]{group, r})
}

var rpcTypes = map[string]string{"Vote": "vote", "Append": "append_entries", "Snapshot": "install_snapshot"}

func raftInvoke[R, Q any](ctx context.Context, t raftTransport, addr, name string, request raftCall[Q]) (R, error) {
	var reply R
	begin := time.Now()
	err := t.calls.once(ctx, addr, func(ctx context.Context, conn *grpc.ClientConn) error {
		var err error
		reply, err = invoke[R](ctx, conn, raftService, name, request)
		return err
	})
	t.metrics.exchanged(request.Group, rpcTypes[name], begin, err)
	return reply, err
}
