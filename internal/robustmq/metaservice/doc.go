// Package metaservice speaks RobustMQ's gRPC service meta.service.common.MetaServiceService: the few calls that the operator
// needs, as plain Go values. The wire form is protobuf; the field numbers are facts of RobustMQ v0.4.11 (and of v0.3.0 where it has the call).
package metaservice
