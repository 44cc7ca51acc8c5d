package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"

	"github.com/robustmq/robustmq-operator/backup/job"
)

// backup is the program of a Job: args are its kind and its request. The result goes to the file that Kubernetes reads as the termination message.
func backup(args []string, stderr io.Writer, messageFile string, adjust func(*job.Options)) int {
	debug.SetMemoryLimit(job.MemoryLimit)
	log := slog.New(slog.NewJSONHandler(stderr, nil)).With("component", "backup")
	flags := flag.NewFlagSet("agent backup", flag.ContinueOnError)
	flags.SetOutput(stderr)
	text := flags.String("request", "", "what to do, as JSON of job.Request")
	if len(args) == 0 || !slices.Contains(job.Kinds, job.Kind(args[0])) || flags.Parse(args[1:]) != nil || flags.NArg() > 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	kind := job.Kind(args[0])
	log = log.With("kind", kind)

	message := &termination{file: messageFile}
	request, err := job.Parse(kind, *text)
	if err != nil {
		return end(log, message, job.Result{Kind: kind, Reason: job.RequestInvalid, Message: err.Error() + ": operator and agent may be of different versions"})
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// Clearing away may last longer than the pod's grace period, above all when the bucket is what does not answer: what is known is said at once.
	defer context.AfterFunc(ctx, func() {
		log.Info("told to end")
		if err := message.say(job.InterruptedResult(kind), false); err != nil {
			log.Error("the result cannot be written", "error", err)
		}
	})()
	options := job.Options{Tool: "robustmq-operator " + version, Log: log, Holder: "pod " + hostname()}
	if adjust != nil {
		adjust(&options)
	}
	log.Info("begun", "bucket", request.Destination.Bucket, "endpoint", request.Destination.Endpoint, "prefix", request.Destination.Prefix,
		"cluster", request.Owner.Namespace+"/"+request.Owner.Name, "clusterUID", request.Owner.ClusterUID, "version", version)
	return end(log, message, job.Run(ctx, kind, request, options))
}

// end says what came of the Job, to people and to the operator.
func end(log *slog.Logger, message *termination, result job.Result) int {
	level, code := slog.LevelInfo, 0
	if !result.OK() {
		level, code = slog.LevelError, 1
	}
	log.Log(context.Background(), level, result.Message, "reason", result.Reason, "result", result)
	if err := message.say(result, true); err != nil {
		log.Error("the result cannot be written", "error", err)
		return 1
	}
	return code
}

// termination is the file that Kubernetes reads when the container has ended.
type termination struct {
	file string

	mu    sync.Mutex
	final bool
}

// say a result. Behind a final one nothing else is said.
func (t *termination) say(result job.Result, final bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.final {
		return nil
	}
	t.final = final
	return os.WriteFile(t.file, result.Encode(), 0o644)
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
