package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Images are the calls that take images and put them in place. The ID names an image for one agent; a call that is repeated is harmless.
type Images interface {
	// BeginImage asks for an image. It answers at once; ask Image until its phase is Ready or Failed.
	BeginImage(ctx context.Context, request protocol.ImageRequest) (protocol.Image, error)
	// Image tells how far it is, and renews its lease. Reason NotFound: it was removed, or the agent was started again; the message says which if it is known.
	Image(ctx context.Context, id string) (protocol.Image, error)
	// ImageFile streams a file of a ready image from offset on; its Read fails at the end with ErrDamaged when the bytes are not those that were sent. The caller closes it.
	// It ends with ctx, not with a limit: a stream may take hours.
	ImageFile(ctx context.Context, id, name string, offset int64) (io.ReadCloser, error)
	// ImageBytes is ImageFile without that comparison, for a caller who compares the whole file with the SHA-256 that the image lists: neither side hashes for it. What was cut is an
	// error here, too; what was changed on its way is none.
	ImageBytes(ctx context.Context, id, name string, offset int64) (io.ReadCloser, error)
	// ReportImage tells how far the caller is with an image, for the operator to see, and renews its lease.
	ReportImage(ctx context.Context, id string, progress protocol.ImageProgress) (protocol.Image, error)
	// ReleaseImage removes an image; one that is gone is no error.
	ReleaseImage(ctx context.Context, id string) error

	// BeginPlacement announces an image that is to be put in place.
	BeginPlacement(ctx context.Context, request protocol.PlacementRequest) (protocol.Placement, error)
	// Placement tells how far it is.
	Placement(ctx context.Context, id string) (protocol.Placement, error)
	// PutFile sends the bytes of a file from offset on; content ends where the file ends, or earlier: go on from Received. It ends with ctx, not with a limit.
	// Content that has a method Len() int, as a bytes.Reader has, is announced with that length, and sent without the framing of what has none; if it ends earlier, the call fails.
	PutFile(ctx context.Context, id, name string, offset int64, content io.Reader) (protocol.PlacedFile, error)
	// AbandonPlacement removes what was received, before it is placed.
	AbandonPlacement(ctx context.Context, id string) error
	// Place puts a received image in place. It answers at once; ask Placement until its phase is Placed or Failed.
	Place(ctx context.Context, id string) (protocol.Placement, error)
	// OpenPlacement lets the server start on what was put in place.
	OpenPlacement(ctx context.Context, id string) (protocol.Placement, error)
	// RevertPlacement puts back what was there before.
	RevertPlacement(ctx context.Context, id string) (protocol.Placement, error)
	// DiscardPlacement removes what was there before.
	DiscardPlacement(ctx context.Context, id string) error
}

// ErrDamaged says that a stream's bytes do not have the SHA-256 that the agent says it sent.
var ErrDamaged = errors.New("the bytes that arrived are not those that the agent sent")

func imagePath(id string, parts ...string) string {
	return below(protocol.PathImages, id, parts)
}

func placementPath(id string, parts ...string) string {
	return below(protocol.PathPlacements, id, parts)
}

func below(base, id string, parts []string) string {
	path := base + "/" + url.PathEscape(id)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// answered makes a call with the limit of orders and decodes its answer into T.
func answered[T any](ctx context.Context, c *podClient, method, path string, body any) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.Order)
	defer cancel()
	var answer T
	_, raw, err := c.do(ctx, method, path, body)
	if err != nil {
		return answer, err
	}
	if len(raw) == 0 {
		return answer, nil
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("agent's answer to %s %s: %w", method, path, err)
	}
	return answer, nil
}

func (c *podClient) BeginImage(ctx context.Context, request protocol.ImageRequest) (protocol.Image, error) {
	return answered[protocol.Image](ctx, c, http.MethodPost, protocol.PathImages, request)
}

func (c *podClient) Image(ctx context.Context, id string) (protocol.Image, error) {
	return answered[protocol.Image](ctx, c, http.MethodGet, imagePath(id), nil)
}

func (c *podClient) ReportImage(ctx context.Context, id string, progress protocol.ImageProgress) (protocol.Image, error) {
	return answered[protocol.Image](ctx, c, http.MethodPut, imagePath(id, "progress"), progress)
}

func (c *podClient) ReleaseImage(ctx context.Context, id string) error {
	_, err := answered[struct{}](ctx, c, http.MethodDelete, imagePath(id), nil)
	return err
}

func (c *podClient) ImageFile(ctx context.Context, id, name string, offset int64) (io.ReadCloser, error) {
	return c.imageFile(ctx, id, name, offset, true)
}

func (c *podClient) ImageBytes(ctx context.Context, id, name string, offset int64) (io.ReadCloser, error) {
	return c.imageFile(ctx, id, name, offset, false)
}

// imageFile asks for a file from offset on, with a trailer that its bytes are compared with or without.
func (c *podClient) imageFile(ctx context.Context, id, name string, offset int64, compared bool) (io.ReadCloser, error) {
	path := imagePath(id, "files", name)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", path, err)
	}
	if compared {
		request.Header.Set("TE", "trailers")
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("agent call: %w", err)
	}
	if response.StatusCode/100 == 2 && (response.StatusCode == http.StatusPartialContent) == (offset > 0) {
		if compared {
			return &stream{response: response, hash: sha256.New()}, nil
		}
		return response.Body, nil
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("agent's answer to GET %s: %w", path, err)
	}
	return nil, agentError(response.StatusCode, answer)
}

// maxRefusal bounds a refusal in memory.
const maxRefusal = 64 << 10

// stream is the body of a file, checked against the trailer at its end.
type stream struct {
	response *http.Response
	hash     hash.Hash
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.response.Body.Read(p)
	s.hash.Write(p[:n])
	if errors.Is(err, io.EOF) && s.response.Trailer.Get(protocol.TrailerSHA256) != hex.EncodeToString(s.hash.Sum(nil)) {
		err = fmt.Errorf("%s: %w", s.response.Request.URL.Path, ErrDamaged)
	}
	return n, err
}

func (s *stream) Close() error { return s.response.Body.Close() }

func (c *podClient) BeginPlacement(ctx context.Context, request protocol.PlacementRequest) (protocol.Placement, error) {
	return answered[protocol.Placement](ctx, c, http.MethodPost, protocol.PathPlacements, request)
}

func (c *podClient) Placement(ctx context.Context, id string) (protocol.Placement, error) {
	return answered[protocol.Placement](ctx, c, http.MethodGet, placementPath(id), nil)
}

func (c *podClient) PutFile(ctx context.Context, id, name string, offset int64, content io.Reader) (protocol.PlacedFile, error) {
	path := placementPath(id, "files", name)
	var file protocol.PlacedFile
	// Not the caller's Close: http would close a file that the caller reads on from.
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+path+"?offset="+strconv.FormatInt(offset, 10), io.NopCloser(content))
	if err != nil {
		return file, fmt.Errorf("request %s: %w", path, err)
	}
	if known, ok := content.(interface{ Len() int }); ok {
		request.ContentLength = int64(known.Len()) // 0 is, to net/http, a length that is not known
	}
	response, err := c.http.Do(request)
	if err != nil {
		return file, fmt.Errorf("agent call: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err != nil {
		return file, fmt.Errorf("agent's answer to PUT %s: %w", path, err)
	}
	if response.StatusCode/100 != 2 {
		return file, agentError(response.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, &file); err != nil {
		return file, fmt.Errorf("agent's answer to PUT %s: %w", path, err)
	}
	return file, nil
}

func (c *podClient) AbandonPlacement(ctx context.Context, id string) error {
	_, err := answered[struct{}](ctx, c, http.MethodDelete, placementPath(id), nil)
	return err
}

func (c *podClient) Place(ctx context.Context, id string) (protocol.Placement, error) {
	return answered[protocol.Placement](ctx, c, http.MethodPost, placementPath(id, "place"), nil)
}

func (c *podClient) OpenPlacement(ctx context.Context, id string) (protocol.Placement, error) {
	return answered[protocol.Placement](ctx, c, http.MethodPost, placementPath(id, "open"), nil)
}

func (c *podClient) RevertPlacement(ctx context.Context, id string) (protocol.Placement, error) {
	return answered[protocol.Placement](ctx, c, http.MethodPost, placementPath(id, "revert"), nil)
}

func (c *podClient) DiscardPlacement(ctx context.Context, id string) error {
	_, err := answered[struct{}](ctx, c, http.MethodPost, placementPath(id, "discard"), nil)
	return err
}
