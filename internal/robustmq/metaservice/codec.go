package metaservice

import "google.golang.org/grpc/encoding"

// codecName is what gRPC puts into the content type; RobustMQ accepts application/grpc+proto like any protobuf client's.
const codecName = "proto"

// Codec is the gRPC codec of this package's messages. Use it with grpc.ForceCodec (client) and grpc.ForceServerCodec (simulator): it is not registered globally,
// so that other gRPC users in the process keep theirs.
var Codec encoding.Codec = codec{}

type codec struct{}

func (codec) Name() string { return codecName }

func (codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(Message)
	if !ok {
		return nil, errNotAMessage
	}
	return m.MarshalWire(), nil
}

func (codec) Unmarshal(data []byte, v any) error {
	m, ok := v.(Message)
	if !ok {
		return errNotAMessage
	}
	return m.UnmarshalWire(data)
}
