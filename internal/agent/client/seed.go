package client

import (
	"context"
	"net/http"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Seeds are the calls that have a pod's volume filled with the metadata of a living member. A call that is repeated is harmless.
type Seeds interface {
	// Seed orders it. It answers at once; State.Images.Seed tells how far it is. Once it is Placed, OpenPlacement with the same ID lets the server start.
	Seed(ctx context.Context, order protocol.SeedOrder) (protocol.Seed, error)
	// AbandonSeed stops it and removes what was received, before it is put in place; one that is gone is no error.
	AbandonSeed(ctx context.Context, id string) error
}

func (c *podClient) Seed(ctx context.Context, order protocol.SeedOrder) (protocol.Seed, error) {
	return answered[protocol.Seed](ctx, c, http.MethodPost, protocol.PathSeed, order)
}

func (c *podClient) AbandonSeed(ctx context.Context, id string) error {
	_, err := answered[struct{}](ctx, c, http.MethodDelete, below(protocol.PathSeed, id, nil), nil)
	return err
}
