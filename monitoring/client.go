package monitoring

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Client counts what a controller writes through a client. With a nil receiver it is the client itself.
func (w *Work) Client(controller string, inner client.Client) client.Client {
	if w == nil {
		return inner
	}
	return &countingClient{Client: inner, work: w, controller: controller}
}

type countingClient struct {
	client.Client
	work       *Work
	controller string
}

// wrote counts a write that was taken; err is handed through.
func (c *countingClient) wrote(ctx context.Context, kind, verb string, err error) error {
	if err == nil {
		c.work.writes.WithLabelValues(c.controller, kind, verb).Inc()
		Changed(ctx)
	}
	return err
}

// kind of an object for the label; what has none is told by its Go type.
func (c *countingClient) kind(object client.Object) string {
	gvk, err := c.GroupVersionKindFor(object)
	if err != nil {
		return fmt.Sprintf("%T", object)
	}
	return gvk.Kind
}

func kindOfApply(object runtime.ApplyConfiguration) string {
	switch o := object.(type) {
	case interface{ GetKind() string }: // unstructured
		return o.GetKind()
	case interface{ GetKind() *string }: // generated ones
		if kind := o.GetKind(); kind != nil {
			return *kind
		}
	}
	return fmt.Sprintf("%T", object)
}

func (c *countingClient) Create(ctx context.Context, object client.Object, opts ...client.CreateOption) error {
	return c.wrote(ctx, c.kind(object), "create", c.Client.Create(ctx, object, opts...))
}

func (c *countingClient) Update(ctx context.Context, object client.Object, opts ...client.UpdateOption) error {
	return c.wrote(ctx, c.kind(object), "update", c.Client.Update(ctx, object, opts...))
}

func (c *countingClient) Patch(ctx context.Context, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return c.wrote(ctx, c.kind(object), "patch", c.Client.Patch(ctx, object, patch, opts...))
}

func (c *countingClient) Delete(ctx context.Context, object client.Object, opts ...client.DeleteOption) error {
	return c.wrote(ctx, c.kind(object), "delete", c.Client.Delete(ctx, object, opts...))
}

func (c *countingClient) DeleteAllOf(ctx context.Context, object client.Object, opts ...client.DeleteAllOfOption) error {
	return c.wrote(ctx, c.kind(object), "delete", c.Client.DeleteAllOf(ctx, object, opts...))
}

func (c *countingClient) Apply(ctx context.Context, object runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	return c.wrote(ctx, kindOfApply(object), "apply", c.Client.Apply(ctx, object, opts...))
}

func (c *countingClient) Status() client.SubResourceWriter { return c.SubResource("status") }

func (c *countingClient) SubResource(name string) client.SubResourceClient {
	return &countingSubResource{SubResourceClient: c.Client.SubResource(name), of: c, name: "/" + name}
}

type countingSubResource struct {
	client.SubResourceClient
	of   *countingClient
	name string // with a slash before it
}

func (s *countingSubResource) Create(ctx context.Context, object, sub client.Object, opts ...client.SubResourceCreateOption) error {
	return s.of.wrote(ctx, s.of.kind(object)+s.name, "create", s.SubResourceClient.Create(ctx, object, sub, opts...))
}

func (s *countingSubResource) Update(ctx context.Context, object client.Object, opts ...client.SubResourceUpdateOption) error {
	return s.of.wrote(ctx, s.of.kind(object)+s.name, "update", s.SubResourceClient.Update(ctx, object, opts...))
}

func (s *countingSubResource) Patch(ctx context.Context, object client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return s.of.wrote(ctx, s.of.kind(object)+s.name, "patch", s.SubResourceClient.Patch(ctx, object, patch, opts...))
}

func (s *countingSubResource) Apply(ctx context.Context, object runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	return s.of.wrote(ctx, kindOfApply(object)+s.name, "apply", s.SubResourceClient.Apply(ctx, object, opts...))
}
