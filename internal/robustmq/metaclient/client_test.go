package metaclient

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaservice"
)

// serve answers every call of the meta service with answer.
func serve(t *testing.T, answer func(method string, decode func(any) error) (any, error)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(metaservice.Codec), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		reply, err := answer(method, func(m any) error { return stream.RecvMsg(m) })
		if err != nil {
			return err
		}
		return stream.SendMsg(reply)
	}))
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func client(t *testing.T, addr string) *Client {
	t.Helper()
	c, err := New(addr, (&net.Dialer{}).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestARefusalNamesTheLeader(t *testing.T) {
	addr := serve(t, func(method string, decode func(any) error) (any, error) {
		var request metaservice.JoinClusterRequest
		if err := decode(&request); err != nil || method != "/"+metaservice.ServiceName+"/JoinCluster" || request.NodeID != 4 || request.RPCAddr != "n4:1228" {
			t.Errorf("%s %+v, %v", method, request, err)
		}
		return nil, status.Error(codes.Internal, `has to forward request to: Some(3), Some(Node { node_id: 3, rpc_addr: "n3:1228" })`)
	})
	err := client(t, addr).Join(context.Background(), 4, "n4:1228")
	var forward *robustmq.Forward
	if !errors.As(err, &forward) || forward.LeaderID != 3 || forward.LeaderAddr != "n3:1228" || IsUnreachable(err) {
		t.Errorf("%v", err)
	}
}

func TestAnAnswerIsDecoded(t *testing.T) {
	addr := serve(t, func(_ string, decode func(any) error) (any, error) {
		if err := decode(&metaservice.Empty{}); err != nil {
			return nil, err
		}
		return &metaservice.ClusterStatusReply{Content: `{"metadata_0":{"running_state":{"Ok":null},"id":7}}`}, nil
	})
	got, err := client(t, addr).Status(context.Background())
	if err != nil || got[robustmq.GroupMetadata].ID != 7 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAServerThatComesBackIsFoundWithinSeconds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c := client(t, addr)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Heartbeat(ctx, 1); err == nil || !IsUnreachable(err) {
		t.Fatalf("nobody listens, but %v", err)
	}
	if listener, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(metaservice.Codec), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg(&metaservice.Empty{})
	}))
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	for {
		if err := c.Heartbeat(ctx, 1); err == nil {
			return
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestADialThatHangsEndsWithTheCall(t *testing.T) {
	c, err := New("192.0.2.1:1", func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // test
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := c.Heartbeat(ctx, 1); !IsUnreachable(err) || time.Since(start) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestEverySegmentOfTheStreamIsVisitedAndADamagedOneIsAnError(t *testing.T) {
	// A segment without replicas: the shard "s", and zeros: the number, three lists, epochs, leader and status.
	record := append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 's'}, make([]byte, 4+3*8+4+8+4+8+4)...)
	records := [][]byte{record, record, record}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(metaservice.Codec), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var request metaservice.ListSegmentRequest
		method, _ := grpc.MethodFromServerStream(stream)
		if err := stream.RecvMsg(&request); err != nil || method != "/"+metaservice.EngineServiceName+"/ListSegment" || request.Segment != metaservice.AllSegments {
			t.Errorf("%s %+v, %v", method, request, err)
		}
		for _, r := range records {
			if err := stream.SendMsg(&metaservice.ListSegmentReply{Segment: r}); err != nil {
				return err
			}
		}
		return nil
	}))
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	c := client(t, listener.Addr().String())
	visited := 0
	if err := c.Segments(t.Context(), func(s robustmq.SegmentRecord) { visited++ }); err != nil || visited != 3 {
		t.Errorf("%d segments, %v", visited, err)
	}
	records = [][]byte{record, record[:20]}
	if err := c.Segments(t.Context(), func(robustmq.SegmentRecord) {}); err == nil {
		t.Error("a damaged record was passed over")
	}
	server.Stop()
	if err := c.Segments(t.Context(), func(robustmq.SegmentRecord) {}); !IsUnreachable(err) {
		t.Errorf("a server that is gone: %v", err)
	}
}
