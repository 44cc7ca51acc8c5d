package job

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/internal/agent/client"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
)

// Patience with the agent, and, for tests, with everything. The zero value of a field means its default.
type Patience struct {
	// Poll is the time between two questions whether the image is ready; default half a second.
	Poll time.Duration
	// Lost is how long the agent may not answer, and a stream may be without a byte over several attempts; default 45 s. An agent that was started again has no image any more.
	Lost time.Duration
	// Stall is how long one connection may be without a byte; default 15 s.
	Stall time.Duration
	// Busy is how long another image is waited for; default two and a half minutes: that of a Job that died is gone by then.
	Busy time.Duration
	// Backoff before the first repetition; default 250 ms. It doubles up to 5 s.
	Backoff time.Duration
	// Report is the least time between two reports of progress, and Renew the most; default 1 s and 20 s.
	Report, Renew time.Duration
	// Deadline replaces the request's, which is in seconds.
	Deadline time.Duration
}

func (p Patience) withDefaults() Patience {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&p.Poll, 500*time.Millisecond)
	set(&p.Lost, 45*time.Second)
	set(&p.Stall, 15*time.Second)
	set(&p.Busy, protocol.ImageLease+30*time.Second)
	set(&p.Backoff, 250*time.Millisecond)
	set(&p.Report, time.Second)
	set(&p.Renew, 20*time.Second)
	return p
}

// backoff before the next attempt, after a number of failures.
func (p Patience) backoff(failures int) time.Duration {
	return min(p.Backoff<<min(failures-1, 10), 5*time.Second)
}

// source is an image at a member's agent.
type source struct {
	agent    client.Client
	id       string
	patience Patience
	log      *slog.Logger
}

// source that a request names.
func (w *work) source() (*source, error) {
	t := w.request.Take
	agent, err := w.agent(t.ServerName, t.Agent)
	if err != nil {
		return nil, err
	}
	return &source{agent: agent, id: t.ImageID, patience: w.Patience, log: w.Log}, nil
}

// agent at host:port, one of the cluster's, with the name in its certificate.
func (w *work) agent(serverName, address string) (client.Client, error) {
	identity := client.Identity{ServerName: serverName}
	for name, to := range map[string]*[]byte{"ca.crt": &identity.CA, "tls.crt": &identity.Cert, "tls.key": &identity.Key} {
		b, err := w.files.read(filepath.Join(protocol.PKIDir, name))
		if err != nil {
			return nil, fail(AgentRefused, err, "the Job's certificate is made by the operator: look at its log")
		}
		*to = b
	}
	agent, err := client.NewPool(client.Limits{}, w.Dial).ClientAt(w.request.Owner.ClusterUID, identity, address)
	if err != nil {
		return nil, fail(AgentRefused, err, "the Job's certificate is made by the operator: look at its log")
	}
	return agent, nil
}

// prepare asks for the image and waits until it is ready.
func (s *source) prepare(ctx context.Context) (protocol.Image, error) {
	image, err := s.begin(ctx)
	for err == nil && image.Phase == protocol.ImageStaging {
		if err = pause.For(ctx, s.patience.Poll); err != nil {
			break
		}
		err = s.persist(ctx, "asking for the image", func(ctx context.Context) (err error) {
			image, err = s.agent.Image(ctx, s.id)
			return err
		})
	}
	switch {
	case err != nil:
		return protocol.Image{}, err
	case image.Phase == protocol.ImageFailed && image.Reason == protocol.ImageNoSpace:
		return protocol.Image{}, fail(NoSpace, errors.New(image.Message), adviceNoSpace)
	case image.Phase != protocol.ImageReady:
		return protocol.Image{}, fail(ImageFailed, fmt.Errorf("the member could not take an image of its data (%s): %s", image.Reason, image.Message), "")
	}
	return image, checkImage(image)
}

const adviceNoSpace = "grow the volume of the member, or free space on it; an image needs little, but RocksDB must never run out"

// begin the image. Another one is waited for: that of a Job that died goes with its lease.
func (s *source) begin(ctx context.Context) (image protocol.Image, err error) {
	for until := time.Now().Add(s.patience.Busy); ; {
		err = s.persist(ctx, "asking for an image", func(ctx context.Context) (err error) {
			image, err = s.agent.BeginImage(ctx, protocol.ImageRequest{ID: s.id, Families: protocol.FamiliesMetadata})
			return err
		})
		if err == nil || !isBusy(err) || time.Now().After(until) {
			return image, err
		}
		s.log.Info("another image is at the agent", "error", err)
		if err := pause.For(ctx, max(s.patience.Poll, min(2*time.Second, s.patience.Busy/10))); err != nil {
			return image, err
		}
	}
}

// persist repeats a call that got no answer.
func (s *source) persist(ctx context.Context, doing string, call func(context.Context) error) error {
	last := time.Now()
	for attempt := 1; ; attempt++ {
		err := call(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if reason := s.final(err); reason != nil {
			return reason
		}
		if time.Since(last) > s.patience.Lost {
			return lost(doing, err)
		}
		s.log.Info("the agent does not answer, trying again", "doing", doing, "error", err)
		if err := pause.For(ctx, s.backoff(attempt)); err != nil {
			return err
		}
	}
}

func (s *source) backoff(attempt int) time.Duration { return s.patience.backoff(attempt) }

func lost(doing string, err error) error {
	return fail(AgentLost, fmt.Errorf("%s: the member's agent does not answer any more: %w", doing, err), "its pod was stopped, replaced or cut off; the next backup takes a member that is there")
}

// final is what an error means that no repetition mends, and nil where one may.
func (s *source) final(err error) error {
	var (
		refused      *client.Error
		verification *tls.CertificateVerificationError
		unknown      x509.UnknownAuthorityError
		remote       *net.OpError
	)
	switch {
	case errors.As(err, &refused):
	case errors.As(err, &verification), errors.As(err, &unknown), errors.As(err, &remote) && remote.Op == "remote error": // an alert of TLS
		return fail(AgentRefused, fmt.Errorf("the member's agent and the Job do not trust one another: %w", err), "certificates are made by the operator and reach the pods within two minutes: run it again")
	default:
		return nil
	}
	switch refused.Reason {
	case protocol.ReasonNotFound:
		return fail(AgentLost, fmt.Errorf("the image %s is not at the agent any more: %w", s.id, err), "the agent was started again, or heard nothing of the Job for two minutes; make another backup")
	case protocol.ReasonForbidden, protocol.ReasonBadRequest:
		return fail(AgentRefused, err, "operator and agents may be of different versions: a pod takes a new agent when it is restarted")
	case protocol.ReasonNoSpace:
		return fail(NoSpace, err, adviceNoSpace)
	case protocol.ReasonBusy:
		return fail(Busy, err, "one image at a time; try again when the other one is gone")
	case protocol.ReasonInternal:
		if refused.Status >= 500 {
			return nil
		}
	}
	return fail(ImageFailed, err, "")
}

func isBusy(err error) bool {
	var known *failure
	return errors.As(err, &known) && known.reason == Busy
}

// release the image; the agent does that by itself when it hears nothing more.
func (s *source) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.agent.ReleaseImage(ctx, s.id); err != nil {
		s.log.Info("the image could not be released, the agent removes it by itself", "error", err)
	}
}

// fileForm is that of RocksDB's files, as a manifest takes them.
var fileForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// checkImage refuses what no agent should say.
func checkImage(image protocol.Image) error {
	others := 0
	for _, f := range image.Files {
		if !fileForm.MatchString(f.Name) || f.Size < 0 || !hexSHA256.MatchString(f.SHA256) || f.Table != strings.HasSuffix(f.Name, ".sst") {
			return fail(ImageFailed, fmt.Errorf("the agent announces the file %q of %d bytes with SHA-256 %q, table %t, which no image has", f.Name, f.Size, f.SHA256, f.Table), "")
		}
		if !f.Table {
			others++
		}
	}
	if others == 0 || len(image.Groups) == 0 {
		return fail(ImageFailed, fmt.Errorf("the agent announces an image of %d files, %d of them no tables, and %d raft groups", len(image.Files), others, len(image.Groups)), "")
	}
	return nil
}

// file of the image, for the archive.
func (s *source) file(f protocol.ImageFile) archive.File {
	return archive.File{Name: f.Name, Size: f.Size, SHA256: f.SHA256, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return &stream{source: s, ctx: ctx, file: f, last: time.Now()}, nil
	}}
}

// stream reads a file, and goes on where a connection was cut. Its whole content is compared by the archive.
type stream struct {
	source *source
	ctx    context.Context
	file   protocol.ImageFile
	offset int64

	body     io.ReadCloser
	watch    *time.Timer
	end      context.CancelFunc
	last     time.Time // of a byte
	failures int       // since then
	err      error
}

// Read implements io.Reader.
func (r *stream) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.body == nil {
			if r.offset > 0 && r.offset == r.file.Size { // cut between the last byte and the end
				r.err = io.EOF
				break
			}
			if err := r.open(); err != nil {
				r.err = r.again(err)
				continue
			}
		}
		r.watch.Reset(r.source.patience.Stall)
		n, err := r.body.Read(p)
		r.watch.Stop()
		r.offset += int64(n)
		if n > 0 {
			r.last, r.failures = time.Now(), 0
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && r.offset == r.file.Size:
			r.err = io.EOF
		case errors.Is(err, io.EOF) && r.offset > r.file.Size:
			r.err = fail(ImageFailed, fmt.Errorf("%s was announced with %d bytes, and more came", r.file.Name, r.file.Size), "")
		default:
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			r.close()
			r.err = r.again(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

func (r *stream) open() error {
	ctx, cancel := context.WithCancel(r.ctx)
	timer := time.AfterFunc(r.source.patience.Stall, cancel)
	body, err := r.source.agent.ImageBytes(ctx, r.source.id, r.file.Name, r.offset)
	timer.Stop()
	if err != nil {
		cancel()
		return err
	}
	r.body, r.watch, r.end = body, timer, cancel
	return nil
}

// again waits before the next attempt; an error says that there is none.
func (r *stream) again(err error) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	doing := fmt.Sprintf("reading %s at %d of %d bytes", r.file.Name, r.offset, r.file.Size)
	if reason := r.source.final(err); reason != nil && !isBusy(reason) { // busy: the stream before may not be gone yet
		return reason
	}
	if time.Since(r.last) > r.source.patience.Lost {
		return lost(doing, err)
	}
	r.failures++
	r.source.log.Info("trying again", "doing", doing, "error", err)
	return pause.For(r.ctx, r.source.backoff(r.failures))
}

func (r *stream) close() {
	if r.body != nil {
		r.watch.Stop()
		r.end()
		r.body.Close()
		r.body = nil
	}
}

// Close implements io.Closer.
func (r *stream) Close() error {
	r.close()
	if r.err == nil {
		r.err = errors.New("read after it was closed")
	}
	return nil
}
