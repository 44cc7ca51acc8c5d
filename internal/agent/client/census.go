package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Counts is the call that counts what the pod's server holds.
type Counts interface {
	// Census begins a census, or tells how far the one of that ID is: ask until its phase is Ready or Failed. Reason Busy: an image, or another census, is being made.
	Census(ctx context.Context, id string) (protocol.Census, error)
}

func (c *podClient) Census(ctx context.Context, id string) (protocol.Census, error) {
	return answered[protocol.Census](ctx, c, http.MethodGet, protocol.PathCensus+"?"+url.Values{"id": {id}}.Encode(), nil)
}
