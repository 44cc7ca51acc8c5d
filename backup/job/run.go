package job

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
)

// MemoryLimit of the program in bytes, for debug.SetMemoryLimit: the collector works harder above it. The container's limit is 128 MiB.
const MemoryLimit = 88 << 20

// buffers of the store, for what goes in parts: four tables travel at a time, and while some parts are being sent others are being filled. They are the most that the program's memory has.
const buffers = 6

// Options are a Job's surroundings. Holder, Tool and Log are required; the rest has the defaults of a pod.
type Options struct {
	// Holder names the Job for people who find its lock: its pod.
	Holder string
	// Tool is the program and its version, for the manifest.
	Tool string
	Log  *slog.Logger

	// Root is where the mounted files are; default /.
	Root string
	Now  func() time.Time
	// Random bytes for probes.
	Random io.Reader
	// Dial reaches the agent; nil outside of tests.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Tune changes the store's patience; nil outside of tests.
	Tune func(*store.Config)
	// Patience with the agent; its zero value is right outside of tests.
	Patience Patience
}

func (o Options) withDefaults() Options {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	o.Patience = o.Patience.withDefaults()
	return o
}

const defaultProgressDeadline = 5 * time.Minute

// work is a Job under way.
type work struct {
	Options
	request  Request
	files    mounted
	watch    *watch
	store    store.Store
	archive  *archive.Archive
	warnings []string
}

// Run does what a request, which is valid for the kind, asks for. When ctx ends, it ends with Interrupted. Whatever happens, there is a result, and it says nothing of success that is not so.
func Run(ctx context.Context, kind Kind, r Request, o Options) (result Result) {
	w := &work{Options: o.withDefaults(), request: r, watch: &watch{limit: defaultProgressDeadline, doing: "beginning"}}
	w.files = mounted{w.Root}
	if s := r.ProgressDeadlineSeconds; s > 0 {
		w.watch.limit = time.Duration(s) * time.Second
	}
	if d := w.Patience.Deadline; d > 0 {
		w.watch.limit = d
	}
	began := w.Now()
	ctx, stop := w.watch.start(ctx)
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			w.Log.Error("panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			result = Result{Reason: Crashed, Message: fmt.Sprintf("a fault in the program, please report it with the log of this pod: %v", p)}
		}
		result.Kind, result.Warnings, result.TookMilliseconds = kind, w.warnings, max(0, w.Now().Sub(began).Milliseconds())
	}()
	result, err := w.do(ctx, kind)
	if err == nil {
		result.Reason = success[kind]
		return result
	}
	result.Reason, result.Message = explain(ctx, err)
	return result
}

func (w *work) do(ctx context.Context, kind Kind) (Result, error) {
	config, err := w.files.config(w.request.Destination)
	if err != nil {
		return Result{}, err
	}
	config.Buffers = buffers
	if w.Tune != nil {
		w.Tune(&config)
	}
	s3, err := store.NewS3(config)
	if err != nil {
		return Result{}, err
	}
	w.store = moving{s3, w.watch.moved}
	if w.archive, err = archive.New(w.store, w.request.Destination.Prefix, w.request.Owner.ClusterUID); err != nil {
		return Result{}, fail(RequestInvalid, err, "")
	}
	switch kind {
	case Take:
		return w.take(ctx)
	case Probe:
		return w.probe(ctx)
	case Collect:
		return w.collect(ctx)
	case Delete:
		return w.delete(ctx)
	case Verify:
		return w.verify(ctx)
	case Inspect:
		return w.inspect(ctx)
	case Restore:
		return w.restore(ctx)
	}
	return Result{}, fail(RequestInvalid, fmt.Errorf("%q is nothing that a backup Job does", string(kind)), "")
}

// owner of the place, as the archive has it.
func (w *work) owner() archive.Owner {
	o := w.request.Owner
	return archive.Owner{ClusterUID: o.ClusterUID, Name: o.Name, Namespace: o.Namespace, Installation: o.Installation}
}

// warn of something that does not keep the Job from its end.
func (w *work) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.warnings = append(w.warnings, text)
	w.Log.Warn(text)
}

// ours: what is deleted is that of this cluster. A place that nobody claimed holds nothing.
func (w *work) ours(ctx context.Context) error {
	owner, err := w.archive.Owner(ctx)
	var broken *archive.BrokenError
	switch {
	case store.Is(err, store.KindNotFound):
		return nil
	case errors.As(err, &broken):
		return &archive.OwnerError{Place: broken.Key, Problem: broken.Problem}
	case err != nil:
		return err
	case owner != w.owner():
		return w.archive.Claim(ctx, w.owner()) // it refuses, with words
	}
	return nil
}

// sizeOf is a number of bytes for people.
func sizeOf(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
